"""The figures of one site's page, from a real store and a real record of availability."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from monitoring import windows
from monitoring.page import drawing, facts, history
from monitoring.page.desk import Desk
from monitoring.page.dossier import Dossier, dossier
from monitoring.page.render import long
from monitoring.page.rows import last_good
from monitoring.uptime.judging import State as Up
from ops import Flip, Verdict, availability, local_day
from tests.kit import NOW
from tests.monitoring.desk import BROKEN, HOSTILE, MET, RISK, UNSEEN, Shelf, duty, policy, read, state
from tests.monitoring.seeded import PRIVATE, seeded
from tests.monitoring.test_page import served, text_of

PERSON = "Nguyễn Văn Mẫu"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    found, store = seeded(tmp_path_factory.mktemp("seeded"))
    yield found
    store.close()


@pytest.fixture(scope="module")
def made(desk: Desk) -> Dossier:
    return dossier(desk.read("xamau"), desk, PRIVATE)


def test_the_last_good_state_stands_at_what_is_broken(desk: Desk) -> None:
    with served(lambda: [desk.read("xamau")], desk=desk) as site:
        words = text_of(site.get("/")[2])
    assert "từ 06:53, đã 3 giờ" in words
    assert "Lần cuối đạt: 06:53 20/11, trước đó đạt liền 89 ngày" in words
    assert words.index("3 việc đang hỏng") < words.index("Lần cuối đạt") < words.index("Hoạt động 90 ngày qua")


@pytest.mark.parametrize(("turns", "words"), [
    ([(5, MET), (2, BROKEN)], "Lần cuối đạt: 10:00 18/11, trước đó đạt liền 3 ngày"),
    ([(9, MET), (5, UNSEEN), (2, BROKEN)], "Lần cuối đạt: 10:00 15/11, trước đó đạt liền 4 ngày"),
    ([(9, MET), (5, RISK), (2, BROKEN)], "Lần cuối đạt: 10:00 15/11, trước đó đạt liền 4 ngày"),
    ([(9, BROKEN)], "Chưa thấy đạt lần nào từ 11/11/2026"),
    ([], ""),
])
def test_the_last_good_state(turns: list[tuple[int, Verdict]], words: str) -> None:
    flips = [Flip(NOW - timedelta(days=days), verdict) for days, verdict in turns]
    assert last_good(flips, NOW).vi == words


def test_ninety_days_over_each_family(made: Dossier) -> None:
    four, six = made.lines
    assert (four.family.label, four.now, six.now) == ("IPv4", Up.UP, Up.DOWN)
    assert [len(four.cells), four.cells[-1].day] == [90, local_day(NOW)]
    assert (four.total.outages, four.total.longest, four.total.planned) == (1, 2400, 2400)
    assert (six.total.outages, six.total.longest) == (2, 11_220)
    assert {cell.kind for cell in four.cells} == {"up", "down", "none"}
    assert sum(cell.kind == "none" for cell in four.cells) == 1, "two days of silence hold one whole day"
    assert sum(cell.planned for cell in four.cells) == 2
    assert [one.reason for one in six.outages] == ["refused", "timeout"], "the newest first"
    assert drawing.percent(four.total) == "99,968"


def test_no_share_is_rounded_up_to_a_hundred() -> None:
    almost = history.Cell(local_day(NOW), 86_399, 1, 0, False)
    assert (drawing.percent(almost), almost.kind) == ("99,998", "part")
    assert drawing.percent(replace(almost, down=0)) == "100"
    assert drawing.percent(replace(almost, up=0, down=0)) == "–"


def test_without_a_record_the_transitions_of_the_check_speak() -> None:
    """Days and sums agree with the kernel's own sums, whatever the transitions."""
    dice = random.Random(4)
    for _ in range(20):
        at, turns = NOW - timedelta(days=80), []
        while at < NOW:
            turns.append(Flip(at, dice.choice([MET, BROKEN, RISK, UNSEEN])))
            at += timedelta(seconds=dice.randint(60, 9 * 86_400))

        class View(Shelf):
            def flips(self, site, duty_, subject, start, end, turns=turns):
                return turns if subject == "ipv4" else []

        [line] = history.lines_of("a", NOW, View([]), None, windows.Register())
        begin = NOW.replace(hour=17) - timedelta(days=90)
        truth = availability(turns, begin, NOW)
        assert line.source == "flips"
        assert abs(sum(cell.up for cell in line.cells) - truth.good_seconds) <= len(line.cells)
        assert abs(line.total.up - truth.good_seconds) <= 1
        assert abs(line.total.up + line.total.down - truth.valid_seconds) <= 1
        assert line.total.outages == truth.outages


def test_bars_tell_without_colour(made: Dossier) -> None:
    bars = drawing.bars(made.lines[0])
    for bar in bars:
        if bar.cell.kind == "up":
            assert (bar.top, bar.rest, bar.down) == (0.0, drawing.HEIGHT, 0.0)
        elif bar.cell.kind == "none":
            assert bar.rest == drawing.STUB
        else:
            assert bar.down >= 0.4 * drawing.HEIGHT
            assert bar.rest + bar.down < drawing.HEIGHT, "a gap parts them"


def test_the_plot_stays_in_its_frame(made: Dossier) -> None:
    assert made.plot is not None
    for curve in made.plot.curves:
        for x, y in re.findall(r"([\d.]+),([\d.-]+)", " ".join(curve.pieces)):
            assert 0 <= float(x) <= drawing.PLOT_WIDTH
            assert 0 <= float(y) <= drawing.PLOT_HEIGHT
    assert made.plot.most >= max(value for line in made.lines for _, value in line.pace)


def test_the_calendar_of_copies(made: Dossier) -> None:
    user, system = made.calendar
    assert [week.days for week in user.weeks] == [3, 3, 2, 3, 3, 3]
    assert [week.days for week in system.weeks][1] == 1
    assert system.weeks[1].enough is False
    kinds = [one.kind for one in user.weeks[2].squares]
    assert kinds.count("failed") == 1, "a run that was not proved is no copy"
    assert [one.kind for one in system.weeks[0].squares[-2:]] == ["ahead", "ahead"]
    assert system.weeks[0].enough is True


def test_a_week_is_not_condemned_before_it_is_over() -> None:
    today = local_day(NOW)  # a Friday
    monday = today - timedelta(days=4)
    def week(days: list[int], began=monday - timedelta(days=70)):
        return facts._week(monday, "user", {("user", monday + timedelta(days=one)): True for one in days}, today, began, 3)
    assert week([0, 1]).enough is None
    assert week([]).enough is None, "today, Saturday and Sunday are three"
    assert week([], monday + timedelta(days=2)).enough is None
    earlier = facts._week(monday - timedelta(days=7), "user", {}, today, monday - timedelta(days=70), 3)
    assert earlier.enough is False


def test_ends_drills_and_accounts(made: Dossier) -> None:
    assert [(one.words.en, one.days, one.verdict) for one in made.ends] == [("Certificate", 9, RISK), ("Domain", 131, MET)]
    assert [(one.set, one.rto, one.rpo) for one in made.drills] == [("system", 41.5, 180_000), ("user", 754, 93_600)]
    assert made.accounts is not None
    assert (made.accounts.people, made.accounts.overdue) == (1, 1)


def test_lengths_of_time() -> None:
    assert [long(one).vi for one in (None, 0.416, 42, 754, 11_220, 180_000, 3600)] == [
        "–", "0,42 giây", "42 giây", "12 phút", "3 giờ 7 phút", "2 ngày 2 giờ", "1 giờ"]


def test_the_ledger_on_the_page_names_nobody(desk: Desk) -> None:
    size, root = desk.view.head("xamau")
    with served(lambda: [desk.read("xamau")], desk=desk) as site:
        pages = [site.get("/")[2], site.get("/site/xamau/evidence")[2], site.get("/site/xamau/evidence?from=50")[2]]
        pages += [site.get(f"/site/xamau/evidence/{seq}")[2] for seq in range(1, size + 1)]
        for missing in ("0", str(size + 1), "x", "9" * 400, "-1", "1e3", "%31%2f2"):
            assert site.get(f"/site/xamau/evidence/{missing}")[0] == 404, missing
        assert site.get("/site/khac/evidence/1")[0] == 404
        assert site.get("/site/xamau/evidence?from=" + "9" * 5000)[0] == 200
    assert all(PERSON not in page for page in pages)
    assert root in pages[1]
    line = desk.view.line("xamau", size)
    assert line is not None
    assert line.leaf in pages[-1]
    assert line.body["prev"] in pages[-1]
    assert f'href="/site/xamau/evidence/{size}"' in pages[0]


def test_maintenance_stands_beside_availability(desk: Desk) -> None:
    with served(lambda: [desk.read("xamau")], desk=desk) as site:
        words = text_of(site.get("/")[2])
    assert "trong bảo trì đã báo trước 40 phút (vẫn tính là ngừng)" in words
    assert "Bảo trì sắp tới 10:00 26/11 – 13:00 26/11 : Nâng cấp máy chủ cơ sở dữ liệu" in words
    assert "(ghi muộn)" in words


def test_what_cannot_be_read_costs_only_itself(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "uptime").mkdir()
    (tmp_path / "uptime" / "uptime.db").write_bytes(b"no database" * 100)
    home = tmp_path / "sites" / "xamau"
    home.mkdir(parents=True)
    (home / windows.FILE).write_bytes(b'{"spoilt"\n')

    class View(Shelf):
        def flips(self, *_):
            raise RuntimeError("mat-khau")

        def evidence(self, *_, **__):
            raise RuntimeError("mat-khau")

    broken = Desk(desk.sites, desk.read, View([]), None, tmp_path)
    with served(lambda: [desk.read("xamau")], desk=broken) as site:
        status, _, page = site.get("/")
    assert status == 200
    assert "3 việc đang hỏng" in page
    assert "mat-khau" not in page
    assert "không đọc được lịch sử khả dụng" in page
    assert "dòng 1 của maintenance.jsonl hỏng" in page


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    home = tmp_path / "sites" / "xamau"
    windows.add(home, windows.Window(NOW - timedelta(hours=1), NOW + timedelta(hours=2), NOW - timedelta(days=9), HOSTILE,
                                     HOSTILE, NOW - timedelta(days=9)))
    rows = [state("backup.drill", HOSTILE, BROKEN, HOSTILE, HOSTILE, measures={"rto_seconds": 1e308, "rpo_seconds": -5.0}),
            state("tls.certificate", HOSTILE, BROKEN, HOSTILE, HOSTILE, measures={"days_left": -3.2})]
    status = read(rows, policy(), [duty("backup.drill"), duty("tls.certificate")], name=HOSTILE)
    desk = Desk(lambda: {"xamau": status.site}, lambda _: status, Shelf(rows), None, tmp_path)
    with served([status], desk=desk, public=["*"]) as site:
        pages = [site.get(path)[2] for path in ("/", "/status", "/?lang=en")]
    for page in pages:
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert not re.search(r"<[^>]*\salert\(", page)
    assert "đã hết hạn" in pages[0]
