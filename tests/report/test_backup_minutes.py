"""The backup minutes out of a real signed store: what the ledger says is there, what it does not say is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops import policy, status
from ops.errors import UsageError
from ops.model import Flip, Verdict
from ops.moment import stamp
from ops.report import backup_minutes, month, write
from ops.report import docx as as_docx
from ops.report import json as as_json
from ops.report import pdf as as_pdf
from ops.report.backup_tables import amount, brief, cited, number
from ops.report.backup_words import sentence
from ops.report.tree import Paragraph, Table
from ops.signing import Signer
from ops.store import Store, open_store
from tests.report.world import make_duties, make_site

SITE = "an-binh"
NOW = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)
FIRST = datetime(2026, 10, 24, 18, 30, tzinfo=UTC)  # 01:30 on the 25th in Vietnam
SETS = {"noi-dung": "user", "may-chu": "system"}
DUTIES = make_duties()


class Books:
    """Writes what the engine writes, at any time; the bodies are those of real runs, cut to what is read."""

    def __init__(self, place: Path) -> None:
        self.store: Store = open_store(f"sqlite:///{place}/s.db", Signer.create(place / "key", "gaccong/an-binh"))

    def line(self, when: datetime, kind: str, duty: str, subject: str, body: dict[str, Any]) -> Any:
        with self.store.transaction(SITE, when) as writer:
            line = writer.append(kind, duty, subject, body)
            if kind == "flip":
                writer.add_flip(duty, subject, Flip(when, Verdict(body["verdict"])))
            return line

    def copy(self, when: datetime, name: str, outcome: str = "proved", detail: str = "đã chứng minh bằng 2 kiểm tra",
             files: int = 12408) -> Any:
        """One run of backup.run: intent and outcome with its proofs."""
        tags = ["--tag", f"level={SETS[name]}", "--tag", f"set={name}"]
        plan = {"steps": [{"why": {}, "argv": ["restic", "backup", *tags]}]}
        intent = self.line(when, "intent", "backup.run", "", {"digest": "d", "args": {"set": name}, "plan": plan, "by": "x"})
        made = outcome in ("proved", "unproved")
        answers: list[Any] = [
            {"repository": "used", "restic": "restic 0.19.1"},
            {"manifest": "ab" * 32, "files": files, "bytes": 635_000_000 + when.day * 1_000_000, "repository": "/srv/kho"},
            {"snapshot_id": f"{when.day:02d}{name.encode().hex()}"[:8] + "0" * 56} if made else None,
        ]
        proofs = [
            {"check": "backup.contents", "subject": name, "verdict": "met", "measures": {}, "facts": {},
             "detail": {"vi": f"bộ {name}: bản sao đủ {files} tệp theo danh mục", "en": ""}},
            {"check": "backup.integrity", "subject": name, "verdict": "met", "measures": {"oldest_unread_seconds": 0},
             "facts": {}, "detail": {"vi": "kho nguyên vẹn; phần lâu chưa đọc nhất: 0 ngày", "en": ""}},
        ] if made else []
        return self.line(when + timedelta(minutes=3), "outcome", "backup.run", "", {
            "intent": intent.seq, "digest": "d", "args": {"set": name}, "outcome": outcome, "proofs": proofs,
            "steps": [{"why": {}, "answer": answer, "code": 0} for answer in answers], "started": stamp(when),
            "finished": stamp(when), "detail": {"vi": detail, "en": detail}})

    def daily(self, when: datetime, duty: str, subjects: dict[str, dict[str, Any]]) -> Any:
        """The day's first look of a check."""
        whole = {name: {"verdict": "met", "detail": {"vi": "tốt", "en": "good"}, "measures": {}, "facts": {}, **seen}
                 for name, seen in subjects.items()}
        return self.line(when, "daily", duty, "", {"day": "x", "subjects": whole})

    def drill(self, when: datetime, verdict: str = "met", vi: str = "khôi phục đủ, đúng từng byte", **more: float) -> Any:
        seen = {name: {"verdict": verdict, "detail": {"vi": f"bộ {name}: {vi}", "en": ""}, "measures": {
            "drilled_timestamp_seconds": when.timestamp(), "rto_seconds": 41.2, "rpo_seconds": 84_600.0, "files": 12408.0,
            "rows": 4487.0, **more}} for name in SETS}
        return self.daily(when, "backup.drill", seen)

    def month(self, *, until: datetime = NOW, skip: Any = lambda when, name: False) -> None:
        """Nights from FIRST on: two copies, the looks, a drill each Sunday."""
        night = FIRST
        while night < until:
            for number_, name in enumerate(SETS):
                if not skip(night, name):
                    self.copy(night + timedelta(minutes=30 * number_), name)
            if not skip(night, "*"):
                late = "chờ 2 giờ"
                self.daily(night + timedelta(hours=2), "backup.offsite", {"tinh": {
                    "measures": {"lag_seconds": 7200.0}, "detail": {"vi": f"kho tinh: {late}", "en": ""}}})
                self.daily(night + timedelta(hours=3), "backup.anomaly", {name: {} for name in SETS})
                if night.weekday() == 6:
                    self.drill(night + timedelta(hours=4))
            night += timedelta(days=1)

    def minutes(self, text: str = "2026-11", now: datetime = NOW, verified: bool = True) -> Any:
        start, end, _, name = month(text, now)
        stand = status.read(make_site(), policy.load("thong-nhat"), self.store, DUTIES, now)
        return backup_minutes(stand, self.store, now, start=start, end=end, name=name, verified=verified)


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A normal month, only read."""
    found = Books(tmp_path_factory.mktemp("normal"))
    found.month()
    yield found
    found.store.close()


@pytest.fixture
def books(tmp_path: Path) -> Any:
    found = Books(tmp_path)
    yield found
    found.store.close()


def words(document: Any) -> str:
    """All that stands on the paper."""
    parts = []
    for block in document.body:
        if isinstance(block, Paragraph):
            parts.append("".join(run.text for run in block.runs))
        elif isinstance(block, Table):
            parts += ["\n".join(row) for row in block.rows]
    return "\n".join(parts)


def weeks(document: Any) -> dict[str, tuple[str, int, int]]:
    return {week["week"]: (week["state"], week["days"]["user"], week["days"]["system"]) for week in document.data["weeks"]}


# ---------------------------------------------------------------------- a normal month


def test_a_normal_month_is_met_and_every_number_has_its_evidence(normal: Books) -> None:
    document = normal.minutes()
    assert document.data["verdict"] == "met" and document.data["findings"] == []
    assert weeks(document) == {f"2026-W{week}": ("full", 7, 7) for week in (45, 46, 47, 48)}
    told = words(document)
    runs = [line for line in normal.store.evidence(SITE, kind="outcome") if line.time >= datetime(2026, 10, 31, 17, tzinfo=UTC)
            and line.time < datetime(2026, 11, 30, 17, tzinfo=UTC)]
    assert f"{len(runs)} lần chạy sao lưu, {len(runs)} lần được chứng minh" in told
    newest = document.data["newest"]
    for name, evidence in newest.items():
        line = normal.store.line(SITE, int(evidence.partition("#")[2]))
        assert line is not None and line.body["args"] == {"set": name} and evidence.removeprefix(SITE) in told
    assert "4; 4" in told or "5; 5" in told
    assert "41 giây" in told and "23 giờ 30 phút" in told and "12.408 tệp; 4.487 dòng" in told
    assert "restic 0.19.1" in told and "Nơi cất thứ hai đủ bản không\ntinh\n" in told and "chậm 2 giờ" in told
    assert "dấu # là số dòng trong sổ “an-binh”" in told
    assert "đạt yêu cầu" in told and "chưa đạt" not in told
    every = set(re.findall(r"#(\d+)", told))
    assert every and all(normal.store.line(SITE, int(number_)) for number_ in every)


def test_the_same_ledger_gives_the_same_bytes(normal: Books) -> None:
    first, second = normal.minutes(), normal.minutes()
    assert as_json.render(first) == as_json.render(second)
    assert as_docx.render(first) == as_docx.render(second) and as_pdf.render(first) == as_pdf.render(second)


# ---------------------------------------------------------------------- months that are not normal


def test_two_days_in_a_week_are_not_three(books: Books) -> None:
    """Week 46: of the system level three runs on two days; of the user level seven."""
    def skip(when: datetime, name: str) -> bool:
        return name != "noi-dung" and datetime(2026, 11, 10, tzinfo=UTC) < when < datetime(2026, 11, 15, 18, tzinfo=UTC)

    books.month(skip=skip, until=datetime(2026, 11, 17, tzinfo=UTC))
    books.copy(datetime(2026, 11, 17, 3, tzinfo=UTC), "may-chu")  # twice on the Tuesday of the week after
    document = books.minutes("2026-W46")
    assert weeks(document) == {"2026-W46": ("full", 7, 2)}
    assert document.data["verdict"] == "broken"
    assert any("Tuần 46" in one and "hệ thống 2 ngày" in one for one in document.data["findings"])
    assert weeks(books.minutes("2026-W47", datetime(2026, 11, 18, tzinfo=UTC)))["2026-W47"][2] == 2


def test_runs_that_are_not_proved_do_not_count_and_are_told(books: Books) -> None:
    night = datetime(2026, 11, 8, 18, 30, tzinfo=UTC)
    books.daily(FIRST, "backup.fresh", {"user": {}})
    for day in range(7):
        books.copy(night + timedelta(days=day), "noi-dung", "undone" if day % 2 else "unproved", "hết chỗ đĩa")
        books.copy(night + timedelta(days=day, minutes=30), "may-chu")
    document = books.minutes()
    assert weeks(document)["2026-W46"] == ("full", 0, 7)
    assert any("hết chỗ đĩa" in one for one in document.data["findings"]) and "7 lần không" in words(document)


def test_weeks_of_which_the_ledger_is_silent_are_said_to_be_so(books: Books) -> None:
    books.month(until=datetime(2026, 11, 8, tzinfo=UTC))
    books.drill(datetime(2026, 11, 24, tzinfo=UTC))
    document = books.minutes()
    states = {week: found[0] for week, found in weeks(document).items()}
    assert states == {"2026-W45": "full", "2026-W46": "silent", "2026-W47": "silent", "2026-W48": "full"}
    assert "sổ không ghi gì" in words(document) and document.data["verdict"] == "broken"  # W48: seen, and no copy


def test_before_the_ledger_began_nothing_is_held_against_anybody(books: Books) -> None:
    late = datetime(2026, 11, 19, 18, 30, tzinfo=UTC)  # a Friday in Vietnam
    for day in range(11):
        books.copy(late + timedelta(days=day), "noi-dung")
        books.copy(late + timedelta(days=day, minutes=30), "may-chu")
        if day == 2:
            books.drill(late + timedelta(days=day, hours=1))
    document = books.minutes()
    states = {week: found[0] for week, found in weeks(document).items()}
    assert states == {"2026-W45": "unknown", "2026-W46": "unknown", "2026-W47": "begun", "2026-W48": "full"}
    assert document.data["verdict"] == "unseen" and "chưa đủ số liệu" in words(document)


def test_an_empty_ledger_gives_whole_minutes(books: Books, tmp_path: Path) -> None:
    document = books.minutes()
    assert document.data["verdict"] == "unseen" and document.data["runs"] == [] and document.data["drills"] == []
    told = words(document)
    assert "không có lần chạy sao lưu nào" in told and "không có lần diễn tập nào" in told
    assert all(path.stat().st_size for path in write(document, ["docx", "pdf", "json"], tmp_path / "out", "x"))


def test_a_failed_drill_and_what_was_done_about_an_alarm(books: Books) -> None:
    books.month(until=datetime(2026, 11, 20, tzinfo=UTC))
    books.line(datetime(2026, 11, 21, 2, tzinfo=UTC), "flip", "backup.anomaly", "noi-dung", {
        "verdict": "broken", "was": "met", "measures": {}, "facts": {}, "next": "",
        "detail": {"vi": "58 % số tệp đổi và không nén được", "en": ""}})
    books.line(datetime(2026, 11, 21, 5, tzinfo=UTC), "outcome", "backup.clear", "", {
        "intent": 0, "args": {"set": "noi-dung", "reason": "thay giao diện"}, "outcome": "proved", "steps": [], "proofs": [],
        "started": "", "detail": {"vi": "", "en": ""}})
    books.line(datetime(2026, 11, 21, 6, tzinfo=UTC), "flip", "backup.anomaly", "noi-dung", {
        "verdict": "met", "was": "broken", "measures": {}, "facts": {}, "next": "", "detail": {"vi": "bình thường", "en": ""}})
    books.drill(datetime(2026, 11, 22, 22, tzinfo=UTC), "broken", "3 tệp sai nội dung", files=12405.0)
    document = books.minutes()
    told = words(document)
    assert "58 % số tệp đổi" in told and "đạt lại 21/11/2026 13:00" in told
    assert "Xác nhận báo động: 1 lần (1 đã chứng minh); lần cuối 21/11/2026 12:00 (noi-dung; thay giao diện)" in told
    assert "3 tệp sai nội dung" in told and document.data["verdict"] == "broken" and "Không đạt" in told


def test_an_alarm_that_nobody_answered_is_no_good_month(books: Books) -> None:
    """Enough copies, all proved, drilled: and still the newest may be copies of ransomware's work."""
    books.month(until=datetime(2026, 11, 30, 12, tzinfo=UTC))
    books.line(datetime(2026, 11, 30, 14, tzinfo=UTC), "flip", "backup.anomaly", "noi-dung", {
        "verdict": "broken", "was": "met", "measures": {}, "facts": {}, "next": "",
        "detail": {"vi": "bộ noi-dung: 1 lần chạy đáng ngờ", "en": ""}})
    document = books.minutes()
    assert document.data["verdict"] == "at_risk"
    assert "còn báo động chưa có người trả lời" in words(document) and "**đạt yêu cầu**" not in words(document)
    books.line(datetime(2026, 11, 30, 16, tzinfo=UTC), "flip", "backup.anomaly", "noi-dung", {
        "verdict": "met", "was": "broken", "measures": {}, "facts": {}, "next": "", "detail": {"vi": "đã có người xem xét", "en": ""}})
    assert books.minutes().data["verdict"] == "met"


def test_a_cleared_alarm_stands_first_and_its_copy_is_suspect(books: Books) -> None:
    books.month(until=datetime(2026, 11, 20, tzinfo=UTC))
    calm, rang = (books.copy(datetime(2026, 11, 21, hour, tzinfo=UTC), "noi-dung") for hour in (0, 1))
    for name in SETS:
        books.line(datetime(2026, 11, 21, 1, 30, tzinfo=UTC), "flip", "backup.integrity", name, {
            "verdict": "broken", "was": "met", "measures": {}, "facts": {}, "next": "",
            "detail": {"vi": "kho sao lưu /srv/kho: mất 1 gói. Đừng xóa gì, đừng prune\n  → chạy sửa kho", "en": ""}})
    one = {"evidence": rang.id, "kind": "encrypted", "says": {"vi": "54% số tệp đổi: dấu hiệu bị mã hóa", "en": ""}}
    flip = books.line(datetime(2026, 11, 21, 2, tzinfo=UTC), "flip", "backup.anomaly", "noi-dung", {
        "verdict": "broken", "was": "met", "measures": {}, "facts": {"alarms": [one], "cleared": []}, "next": "",
        "detail": {"vi": "bộ noi-dung: 1 lần chạy đáng ngờ", "en": ""}})
    assert "chưa có người xem xét" in books.minutes().data["findings"][0]
    books.line(datetime(2026, 11, 21, 3, tzinfo=UTC), "flip", "backup.anomaly", "noi-dung", {
        "verdict": "met", "was": "broken", "measures": {}, "next": "", "detail": {"vi": "đã có người xem xét", "en": ""},
        "facts": {"alarms": [], "cleared": [{"by": "Trần Minh Họa", "reason": "thay giao diện", "run": rang.id,
                                             "evidence": flip.id, "set": "noi-dung"}]}})
    document = books.minutes()
    first, second, *rest = document.data["findings"]
    assert "dấu hiệu bị mã hóa" in first and "Trần Minh Họa xác nhận đã xem xét, lý do: “thay giao diện”" in first
    assert "(may-chu, noi-dung) không đạt: kho sao lưu: mất 1 gói [" in second
    assert not any("mất 1 gói" in one for one in rest) and "Đừng" not in words(document)
    rows = [row[5:] for block in document.body if isinstance(block, Table) for row in block.rows if row[0] == "noi-dung"]
    assert rows[:2] == [(f"Đáng ngờ: #{flip.seq}", f"#{rang.seq}"), ("Đạt", f"#{calm.seq}")]


def test_what_was_never_begun_was_not_undone(books: Books) -> None:
    books.month(until=datetime(2026, 11, 20, tzinfo=UTC))
    for duty, args in (("backup.prune", {}), ("backup.run", {"set": "may-chu"})):
        books.line(datetime(2026, 11, 21, tzinfo=UTC), "outcome", duty, "", {
            "intent": 0, "args": args, "outcome": "undone", "steps": [], "proofs": [],
            "started": stamp(datetime(2026, 11, 21, tzinfo=UTC)), "finished": "",
            "detail": {"vi": "đến hạn nhưng chưa được duyệt\n  → gaccong approve", "en": ""}})
    told = words(books.minutes())
    assert "Bỏ bản sao cũ: 1 lần bị từ chối, chưa làm gì: đến hạn nhưng chưa được duyệt [#" in told
    assert "sao lưu bộ may-chu bị từ chối: đến hạn nhưng chưa được duyệt" in told
    assert "hoàn tác" not in told and "Ngoài ra 1 lần đến hạn bị từ chối" in told and "lần không" not in told


@pytest.mark.parametrize(("text", "most", "plain"), [
    ("repository: [Errno 111] Connection refused\n  → bật máy", 99, "kho sao lưu: máy chủ từ chối kết nối"),
    ("kho /srv/a: mất 1 tệp bản sao (snapshot). Đừng xóa gì", 99, "kho chính: mất 1 tệp bản sao"),
    ("kho rest:https://sao.luu:8000/x/: chậm", 99, "kho sao lưu: chậm"),
    ("lần chạy bình thường (0.5% đổi); bản kết xuất bị mã hóa không nhận ra", 50, "lần chạy bình thường (0,5% đổi)"),
    ("một hai ba bốn năm sáu", 16, "một hai ba bốn …"), ("restic 0.14.0 xem an-binh#12", 99, "restic 0.14.0 xem #12"),
    ("4/5 tệp, 22/11/2026", 99, "4/5 tệp, 22/11/2026"), ("", 9, "")])
def test_words_of_programs_become_words_of_a_paper(text: str, most: int, plain: str) -> None:
    assert sentence(text, most, {"/srv/a": "chính"}, SITE) == plain


def test_a_drill_that_is_only_repeated_is_counted_once(books: Books) -> None:
    books.month(until=datetime(2026, 11, 3, tzinfo=UTC))
    when = datetime(2026, 11, 4, tzinfo=UTC)
    for day in range(3):
        seen = {"noi-dung": {"measures": {"drilled_timestamp_seconds": when.timestamp(), "files": 3.0}}}
        books.daily(when + timedelta(days=7 * day), "backup.drill", seen)
    found = [one for one in books.minutes().data["drills"] if one["subject"] == "noi-dung"]
    assert len([one for one in found if one["measures"]["files"] == 3.0]) == 1


def test_a_ledger_that_does_not_verify_is_told_first(normal: Books) -> None:
    document = normal.minutes(verified=False)
    assert document.warnings and document.data["verdict"] == "unseen" and "KHÔNG xác minh được" in words(document)


def test_hostile_words_stay_words(books: Books, tmp_path: Path) -> None:
    books.daily(FIRST, "backup.fresh", {"user": {}})
    nasty = '#let x = "1" $ \\ **b** <c> \x1b[31m\u202e ' + "dài " * 200
    books.copy(datetime(2026, 11, 9, 18, 30, tzinfo=UTC), "noi-dung", "undone", nasty)
    document = books.minutes()
    assert len(max(document.data["findings"], key=len)) < 300
    assert all(path.stat().st_size for path in write(document, ["docx", "pdf", "json"], tmp_path / "out", "x"))


def test_a_month_that_runs_is_told_so(books: Books) -> None:
    now = datetime(2026, 11, 18, 3, tzinfo=UTC)
    books.month(until=now)
    document = books.minutes(now=now)
    assert document.data["period"]["open"] and weeks(document)["2026-W47"][0] == "open"
    assert "tính đến 18/11/2026 10:00" in words(document) and document.data["verdict"] == "met"


# ---------------------------------------------------------------------- periods, numbers


@pytest.mark.parametrize(("text", "start", "end", "name"), [
    ("2026-11", (2026, 10, 31), (2026, 11, 30), "tháng 11 năm 2026"),
    ("2026-02", (2026, 1, 31), (2026, 2, 28), "tháng 02 năm 2026"),
    ("2025-12", (2025, 11, 30), (2025, 12, 31), "tháng 12 năm 2025"),
    ("2026-Q4", (2026, 9, 30), (2026, 12, 31), "quý 4 năm 2026"),
    ("2026-W47", (2026, 11, 15), (2026, 11, 22), "tuần 47 năm 2026"),
    ("", (2026, 11, 30), (2026, 12, 31), "tháng 12 năm 2026")])
def test_periods(text: str, start: tuple[int, int, int], end: tuple[int, int, int], name: str) -> None:
    found = month(text, NOW)
    assert found[0] == datetime(*start, 17, tzinfo=UTC) and found[1] == datetime(*end, 17, tzinfo=UTC)
    assert found[3] == name


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-00", "2027-01", "2026-Q5", "2026-W54", "2025-W53", "２０２６-11", "x"])
def test_odd_periods_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        month(text, NOW)


def test_numbers_as_vietnamese_papers_write_them() -> None:
    assert (number(1234567), number(12.5, 1)) == ("1.234.567", "12,5")
    assert (amount(999), amount(1500), amount(635e6), amount(1.24e12)) == ("999 byte", "1,5 KB", "635 MB", "1,2 TB")
    assert (brief(None), brief(0.42), brief(3725)) == ("không đo", "0,4 giây", "1 giờ 2 phút")
    assert (cited(["a#1"]), cited(["a#1", "a#4", "a#9"]), cited([])) == ("#1", "#1 … #9 (3 dòng)", "–")


# ---------------------------------------------------------------------- on paper


@pytest.mark.skipif(not shutil.which("pdfinfo"), reason="poppler-utils is not installed")
def test_a_normal_month_is_two_pages_signed_by_three(normal: Books, tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(as_pdf.render(normal.minutes()))
    said = subprocess.run(["pdfinfo", str(path)], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Pages:           2" in said
    text = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, timeout=60, check=True).stdout
    first, second = text.split("\f")[:2]
    for part in ("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "/BB-BBT", "An Bình, ngày 01 tháng 12 năm 2026", "BIÊN BẢN",
                 "Kiểm tra sao lưu dữ liệu", "Thành phần", "điểm c, điểm d khoản 1 Điều 10"):
        assert part in " ".join(first.split()), part
    assert "Kính gửi" not in text and "LƯU HÀNH" not in text
    for part in ("NGƯỜI LẬP BIÊN BẢN", "NGƯỜI KIỂM TRA", "TRƯỞNG BAN", "Nguyễn Văn Mẫu", "Nơi nhận:", "./."):
        assert part in second, part


def lively(books: Books) -> None:
    """A month in which much went wrong: nights that failed, alarms, a damaged repository, and many acts."""
    sick = {3, 5, 9, 12, 14, 19, 23, 26}
    night = FIRST
    while night < NOW:
        for number_, name in enumerate(SETS):
            failed = name == "noi-dung" and night.day in sick and night.month == 11
            books.copy(night + timedelta(minutes=5 * number_), name, *(("unproved", "hết dung lượng: no space left") if failed else ()))
        books.daily(night + timedelta(hours=2), "backup.offsite", {"tinh": {"measures": {"lag_seconds": 7200.0}}})
        books.daily(night + timedelta(hours=3), "backup.anomaly", {name: {} for name in SETS})
        if night.weekday() == 6:
            books.drill(night + timedelta(hours=4))
        for hour, change in enumerate(("backup.heal", "backup.copy", "backup.prune", "backup.restore")):
            if night.day % 7 == 0 and night.month == 11:
                books.line(night + timedelta(hours=5 + hour), "outcome", change, "", {
                    "intent": 1, "args": {"place": "tinh"}, "outcome": "undone" if night.day == 14 else "proved", "steps": [{}],
                    "proofs": [], "started": stamp(night), "detail": {"vi": "", "en": ""}})
        for verdict, was, hour in (("broken", "met", 10), ("met", "broken", 12)):
            for name in SETS if night.day % 10 == 8 else ():
                books.line(night + timedelta(hours=hour), "flip", "backup.integrity", name, {
                    "verdict": verdict, "was": was, "measures": {}, "facts": {}, "next": "",
                    "detail": {"vi": "kho sao lưu /srv/kho: mất 1 gói dữ liệu; ảnh hưởng 214 tệp", "en": ""}})
        night += timedelta(days=1)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = Books(tmp_path_factory.mktemp("noisy"))
    lively(found)
    yield found
    found.store.close()


def test_a_lively_month_is_counted_on_the_paper_and_told_in_the_annex(noisy: Books) -> None:
    document = noisy.minutes()
    every = document.data["findings"]
    assert len(every) == 11 and sum("hết dung lượng" in one for one in every) == 8
    told = words(document)
    assert "hết dung lượng" not in told and "Trong kỳ có 11 tồn tại, từng lần ở Phụ lục" in told
    assert "Lần sao lưu không thành\n8\n" in told and "Tính toàn vẹn không đạt\n3\n09/11, 19/11, 29/11\nĐã xử lý" in told
    assert "sửa kho sao lưu 4 lần (1 không thành)" in told and "Chi tiết ở Phụ lục" in told
    [annex] = document.appendices
    cells = [row[1] for block in annex.blocks if isinstance(block, Table) for row in block.rows]
    assert cells[: len(every)] == every and any(cell.startswith("Sửa kho sao lưu: 4 lần") for cell in cells)


def test_what_is_not_mended_is_counted_as_such(books: Books) -> None:
    for day in range(6):
        books.copy(datetime(2026, 11, 10 + day, 3, tzinfo=UTC), "noi-dung", "unproved", "hết chỗ")
    assert "Lần sao lưu không thành\n6\n10/11, 11/11, 12/11 …\nCòn 6 chưa xử lý" in words(books.minutes())


def test_checks_are_told_as_a_chair_asks(noisy: Books) -> None:
    told = words(noisy.minutes())
    for asked in ("Bản sao có đủ tệp không\n", "Dữ liệu đã cất còn nguyên không\n", "Có dấu hiệu bất thường không\n"):
        assert asked in told
    assert "phần lâu chưa đọc nhất" not in told and "theo danh mục" in told


@pytest.mark.skipif(not shutil.which("pdfinfo"), reason="poppler-utils is not installed")
def test_a_lively_month_is_signed_on_page_two_and_its_annex_is_that_of_minutes(noisy: Books, tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(as_pdf.render(noisy.minutes()))
    text = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, timeout=60, check=True).stdout
    pages = text.split("\f")
    assert "NGƯỜI LẬP BIÊN BẢN" in pages[1] and "Nơi nhận:" in pages[1]
    assert "Phụ lục" in pages[2] and "(Kèm theo Biên bản số" in pages[2] and "/BB-BBT" in pages[2]


def test_the_docx_has_the_same_signatures(normal: Books) -> None:
    from io import BytesIO

    import docx

    paper = docx.Document(BytesIO(as_docx.render(normal.minutes())))
    cells = [cell.text for cell in paper.tables[-1].rows[0].cells]
    assert ["NGƯỜI LẬP BIÊN BẢN" in cells[0], "NGƯỜI KIỂM TRA" in cells[1], "Nguyễn Văn Mẫu" in cells[2]] == [True] * 3
    texts = [line.text for line in paper.paragraphs]
    assert "BIÊN BẢN" in texts and "Nơi nhận:" in texts and not any(line.startswith("Kính gửi") for line in texts)


def test_the_command_writes_them(tmp_path: Path) -> None:
    """The real command over a site that was backed up for real."""
    from tests.backup.room import make_template
    from tests.journeys.place import Place

    place = Place(tmp_path / "m", make_template(tmp_path))
    place.allow("user")
    out = tmp_path / "out"
    body = place.json("report", "backup-minutes", "--out", str(out), "--format", "docx,pdf,json", code=0)
    assert body["verified"] and len(body["files"]) == 3
    data = json.loads(next(Path(path) for path in body["files"] if path.endswith("json")).read_text())
    [run] = data["runs"]
    assert run["set"] == "user" and run["level"] == "user" and run["outcome"] == "proved" and run["files"] == 23
    assert run["snapshot"] and data["newest"] == {"user": run["evidence"]}
    assert place.gaccong("report", "backup-minutes", "--out", str(out), "--period", "2020-01").returncode in (0, 2)
    assert place.gaccong("report", "bien-ban", "--out", str(out)).returncode == 2


def test_a_healed_copy_is_the_newest_and_what_is_gone_is_not(books: Books) -> None:
    books.month(until=datetime(2026, 11, 20, tzinfo=UTC))
    when = datetime(2026, 11, 21, 3, tzinfo=UTC)
    steps = [{"answer": {"manifest": "e" * 64, "files": 7, "bytes": 70, "path": "/x/stage/noi-dung/manifest"}},
             {"answer": {"snapshot_id": "ab" * 32}}]
    healed = books.line(when, "outcome", "backup.heal", "", {
        "intent": 0, "args": {}, "outcome": "proved", "steps": steps, "proofs": [], "started": stamp(when),
        "detail": {"vi": "", "en": ""}})
    assert books.minutes().data["newest"]["noi-dung"] == healed.id
    books.line(when + timedelta(hours=1), "flip", "backup.fresh", "user", {
        "verdict": "broken", "was": "met", "measures": {}, "facts": {"vanished": ["ab" * 32]}, "next": "",
        "detail": {"vi": "mất", "en": ""}})
    assert books.minutes().data["newest"]["noi-dung"] != healed.id


def test_a_refused_act_is_no_failed_one(books: Books) -> None:
    books.month(until=datetime(2026, 11, 20, tzinfo=UTC))
    for number_, duty in enumerate(("backup.prune", "backup.copy", "backup.heal")):
        books.line(datetime(2026, 11, 21, number_, tzinfo=UTC), "outcome", duty, "", {
            "intent": 0, "args": {}, "outcome": "undone", "steps": [], "proofs": [], "started": "",
            "detail": {"vi": "chưa duyệt", "en": ""}})
    told = words(books.minutes())
    assert "bỏ bản sao cũ bị từ chối 1 lần, chưa làm gì" in told and "không thành" not in told
