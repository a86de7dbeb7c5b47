"""The deadline.* duties: the register, the terms, what feeds, pages and sitemaps prove, and who is never accused."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import register
from monitoring.checks import deadlines
from monitoring.checks.deadline_units import summary_by_unit
from monitoring.deadlines import RULES
from monitoring.register import LABELS
from ops import CannotSee, Check, Finding, policy
from ops.catalog import duties_of
from tests.kit import NOW
from tests.monitoring.portal import BROKEN, MET, RISK, UNSEEN, Portal, portal, rss, sitemap

# NOW is Friday 20 November 2026; Tuesday 24 is a holiday.
OLD = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Portal]:
    with portal(tmp_path) as made:
        made.put("rss.xml", rss(("/cu", "Tin cũ", OLD, "")))
        yield made


def book(site: Portal, *rows: str, head: str = "so_hieu;loai;ngay_ban_hanh;tieu_de;duong_dan;ngay_dang;don_vi") -> Path:
    place = site.folder / "so.csv"
    place.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8-sig")
    return place


def run(site: Portal, check: Check, *rows: str, now: datetime = NOW, limit: dict[str, float] | None = None,
        **more: str) -> dict[str, Finding]:
    return site.run(check, now=now, thresholds=limit, deadlines=book(site, *rows, **more))


def one(found: dict[str, Finding]) -> Finding:
    assert len(found) == 1, found
    return next(iter(found.values()))


# ------------------------------------------------------------------ the register


def read(text: str, now: datetime = NOW) -> register.Ledger:
    return register.parse(text, now)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_csv_that_excel_writes(tmp_path: Path, mark: str, charset: str) -> None:
    rows = [["Số hiệu", "Loại", "Ngày ban hành", "Đơn vị", "Cột lạ"], ["15/2026/QĐ-UBND", "Văn bản", "5/11/2026", "Văn phòng", "x"]]
    (tmp_path / "so.csv").write_text("\r\n".join(mark.join(row) for row in rows), encoding=charset)
    [entry] = register.read(tmp_path / "so.csv", NOW).entries
    assert (entry.number, entry.kind, entry.trigger, entry.unit, entry.line) == (
        "15/2026/QĐ-UBND", "legal_document", date(2026, 11, 5), "Văn phòng", 2)


def test_each_bad_line_is_told_with_its_number_and_the_mend() -> None:
    found = read(
        "so_hieu,loai,ngay_ban_hanh,ngay_dang\n1,văn bản,31/02/2026,\n2,linh tinh,1/11/2026,\n3,tin,,\n4,tin,21/12/2026,\n"
        "5,tin,10/11/2026,9/11/2026\n6,tin,11/25/2026,\n\n,,,\n7,tin,10/11/2026,30/12/2026\n8,\"tin\nhai\",10/11/2026,\n"
        "9,tin,5/11/1899,\n10,tin,10/11/2026\n11,tin,10/11/2026,,thừa,cột\n")
    assert [fault.line for fault in found.faults] == [2, 3, 4, 5, 6, 7, 10, 11, 13]
    assert all(f"dòng {fault.line}:" in fault.what.vi and f"line {fault.line}:" in fault.what.en for fault in found.faults)
    assert "25/11/2026" in found.faults[0].what.vi and "văn bản" in found.faults[1].what.vi
    assert [entry.number for entry in found.entries] == ["10", "11"]


def test_a_broken_quote_hides_the_rest_and_says_so() -> None:
    found = read('loai,ngay_ban_hanh\ntin,10/11/2026\n"tin"x,10/11/2026\ntin,11/11/2026\n')
    assert [entry.line for entry in found.entries] == [2]
    assert found.faults and found.faults[0].line == 3


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a;b\n1;2\n", b"loai;so_hieu\ntin;1\n", "số".encode("cp1258", "replace") + b"\xf4;\n", b"\x00\xff"])
def test_a_register_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "so.csv").write_bytes(data)
    if not data.strip():
        assert register.read(tmp_path / "so.csv", NOW).entries == []
    else:
        with pytest.raises(CannotSee):
            register.read(tmp_path / "so.csv", NOW)


def test_no_register_says_how_to_make_one(site: Portal, tmp_path: Path) -> None:
    for place in (None, tmp_path / "khong-co.csv", tmp_path):
        with pytest.raises(CannotSee) as trouble:
            site.run(deadlines.legal_document, deadlines=place)
        assert "content.deadlines" in trouble.value.mend.vi


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from('abctin"\',;\t\n\r/0123456789= -ộ\x00\u202e'), max_size=200))
def test_any_text_is_read(text: str) -> None:
    found = read("loai,ngay_ban_hanh,so_hieu\n" + text)
    for entry in found.entries:
        assert not any(sign in entry.label for sign in "\x00\u202e\n")


def test_an_endless_register_ends() -> None:
    found = read("loai,ngay_ban_hanh\n" + "tin,10/11/2026\n" * 25_000)
    assert len(found.entries) == register.MOST_ROWS and found.faults
    assert len(read("loai,ngay_ban_hanh\n" + "x" * 200_000 + ",1/1/2026\n").faults) == 1


# ------------------------------------------------------------------ documents


def test_a_document_published_in_time_by_address_title_and_number(site: Portal) -> None:
    when = datetime(2026, 11, 12, 3, tzinfo=UTC)
    site.put("rss.xml", rss(("/vb/1", "Một", when, ""), ("/vb/2", "Quyết định hai", when, ""),
                            ("/vb/3", "Toàn văn Quyết định số 15/2026/QĐ-UBND về chợ", when, ""), ("/cu", "Cũ", OLD, "")))
    found = one(run(site, deadlines.legal_document, "1/2026/QĐ-UBND;văn bản;10/11/2026;;/vb/1/?utm_source=x;;VP",
                    ";văn bản;10/11/2026;Quyết định  HAI;;;VP", "15/2026/QĐ-UBND;văn bản;10/11/2026;;;;VP"))
    assert (found.verdict, found.measures["kept"]) == (MET, 3)


def test_a_number_is_not_found_within_another(site: Portal) -> None:
    site.put("rss.xml", rss(("/vb/3", "Quyết định 15/2026/QĐ-UBND", datetime(2026, 11, 12, tzinfo=UTC), ""), ("/cu", "Cũ", OLD, "")))
    found = one(run(site, deadlines.legal_document, "5/2026/QĐ-UBND;văn bản;2/11/2026;;;;VP"))
    assert found.verdict is BROKEN and "5/2026/QĐ-UBND quá hạn" in found.detail.vi


@pytest.mark.parametrize(("issued", "verdict", "left"), [
    ("20/11/2026", MET, 3), ("18/11/2026", RISK, 1), ("17/11/2026", RISK, 0), ("16/11/2026", BROKEN, 1),
])
def test_the_term_runs_in_working_days(site: Portal, issued: str, verdict: object, left: int) -> None:
    found = one(run(site, deadlines.legal_document, f"1/QĐ-UBND;văn bản;{issued};;;;VP"))
    assert found.verdict is verdict
    if verdict is not MET:
        assert found.facts["cases"][0]["days"] == left and "1/QĐ-UBND" in found.detail.vi
        assert shlex.split(found.next)[-1] == str(site.folder / "so.csv")


def test_the_holiday_and_the_configuration_stretch_the_term(site: Portal) -> None:
    row = "1/QĐ-UBND;văn bản;20/11/2026;;;;VP"  # Friday: Monday 23, (24 holiday), Wednesday 25, Thursday 26
    friday = datetime(2026, 11, 27, 3, tzinfo=UTC)
    assert one(run(site, deadlines.legal_document, row, now=friday)).facts["cases"][0]["due"] == "2026-11-26"
    found = site.run(deadlines.legal_document, now=friday, deadlines=book(site, row), days_off=["2026-11-25"])
    assert one(found).facts["cases"][0]["due"] == "2026-11-27" and one(found).verdict is RISK


def test_a_term_that_ended_on_friday_is_over_on_saturday(site: Portal) -> None:
    row = "1/QĐ-UBND;văn bản;17/11/2026;;;;VP"
    assert one(run(site, deadlines.legal_document, row, now=datetime(2026, 11, 20, 16, 59, tzinfo=UTC))).verdict is RISK
    assert one(run(site, deadlines.legal_document, row, now=datetime(2026, 11, 20, 17, 1, tzinfo=UTC))).verdict is BROKEN


def test_the_policys_number_counts(site: Portal) -> None:
    row = "1/QĐ-UBND;văn bản;18/11/2026;;;;VP"
    assert one(run(site, deadlines.legal_document, row, limit={"deadline.legal_document_days": 1})).verdict is BROKEN


def test_late_publication_is_told_for_a_month_and_then_only_counted(site: Portal) -> None:
    site.put("rss.xml", rss(("/vb/1", "Một", datetime(2026, 11, 18, tzinfo=UTC), ""), ("/cu", "Cũ", OLD, "")))
    rows = ("1/QĐ-UBND;văn bản;10/11/2026;;/vb/1;;VP", "2/QĐ-UBND;văn bản;20/11/2026;;;20/11/2026;VP")
    found = one(run(site, deadlines.legal_document, *rows))
    assert found.verdict is BROKEN and "làm muộn 3 ngày làm việc" in found.detail.vi
    later = one(run(site, deadlines.legal_document, *rows, "3/QĐ-UBND;văn bản;20/12/2026;;;21/12/2026;VP",
                    now=NOW + timedelta(days=31)))
    assert (later.verdict, later.measures["late"]) == (MET, 0)


def test_a_sitemap_proves_in_time_but_never_late(site: Portal) -> None:
    site.put("map.xml", sitemap((f"{site.url}vb/1", "2026-11-12"), (f"{site.url}vb/2", "2026-11-19")))
    chosen = {"feeds": ("/map.xml",)}
    good = site.run(deadlines.legal_document, deadlines=book(site, "1/QĐ;văn bản;10/11/2026;;/vb/1;;VP"), **chosen)
    assert one(good).verdict is MET
    site.put("vb/2", "<!doctype html><meta charset=utf-8><p>Một văn bản không ghi ngày đăng")
    changed = site.run(deadlines.legal_document, deadlines=book(site, "2/QĐ;văn bản;10/11/2026;;/vb/2;;VP"), **chosen)
    assert one(changed).verdict is UNSEEN and "ngay_dang" in one(changed).detail.vi


@pytest.mark.parametrize("page", [
    '<meta property="article:published_time" content="2026-11-12T08:00:00+07:00">',
    '<script type="application/ld+json">{"@type":"NewsArticle","datePublished":"2026-11-12"}</script>',
    '<meta name="DC.date.issued" content="12/11/2026">', '<article><time datetime="2026-11-12">12/11</time></article>',
])
def test_a_page_tells_its_own_date(site: Portal, page: str) -> None:
    site.put("vb/1", f"<!doctype html><meta charset=utf-8>{page}<p>Văn bản")
    found = one(run(site, deadlines.legal_document, "1/QĐ;văn bản;10/11/2026;;/vb/1;;VP"))
    assert found.verdict is MET
    late = one(run(site, deadlines.legal_document, "1/QĐ;văn bản;4/11/2026;;/vb/1;;VP"))
    assert late.verdict is BROKEN and late.facts["cases"][0]["source"] == "page"


def test_an_address_that_is_not_there_is_overdue_and_one_elsewhere_is_not_asked(site: Portal) -> None:
    gone = one(run(site, deadlines.legal_document, "1/QĐ;văn bản;4/11/2026;;/vb/khong-co;;VP"))
    assert gone.verdict is BROKEN
    elsewhere = one(run(site, deadlines.legal_document, "1/QĐ;văn bản;4/11/2026;;http://169.254.169.254/x;;VP"))
    assert elsewhere.verdict is UNSEEN


def test_feeds_that_do_not_reach_back_accuse_nobody(site: Portal) -> None:
    site.put("rss.xml", rss(("/moi", "Tin mới", datetime(2026, 11, 19, tzinfo=UTC), "")))
    assert one(run(site, deadlines.legal_document, "1/QĐ;văn bản;4/11/2026;;;;VP")).verdict is UNSEEN
    (site.root / "rss.xml").unlink()
    dark = one(run(site, deadlines.legal_document, "1/QĐ;văn bản;4/11/2026;;;;VP"))
    assert dark.verdict is UNSEEN and "RSS" in dark.detail.vi
    said = one(run(site, deadlines.legal_document, "1/QĐ;văn bản;4/11/2026;;;5/11/2026;VP", "2/QĐ;văn bản;19/11/2026;;;;VP"))
    assert said.verdict is MET


def test_an_empty_kind_and_a_sleeping_register_are_no_proof(site: Portal) -> None:
    assert one(run(site, deadlines.legal_document, "1;tin;10/11/2026;;;10/11/2026;VP")).verdict is UNSEEN
    kept = "1/QĐ;văn bản;1/9/2026;;;2/9/2026;VP"
    asleep = one(run(site, deadlines.legal_document, kept))
    assert asleep.verdict is UNSEEN and "80 ngày" in asleep.detail.vi
    assert one(run(site, deadlines.legal_document, kept, "x;tin;19/11/2026;;;19/11/2026;VP")).verdict is MET


def test_bad_lines_stand_beside_the_good_ones(site: Portal) -> None:
    found = run(site, deadlines.legal_document, "1/QĐ;văn bản;19/11/2026;;;19/11/2026;VP", "2/QĐ;văn bản;99/11/2026;;;;VP",
                "3;tin;99/11/2026;;;;VP", "4;la;1/11/2026;;;;VP")
    assert {key: one.verdict for key, one in found.items()} == {"legal_document": MET, "register": UNSEEN}
    assert found["register"].facts["lines"] == [3, 5]
    assert found["register"].next.startswith("${EDITOR:-nano} +3 ")


def test_script_in_the_register_stays_text(site: Portal) -> None:
    found = one(run(site, deadlines.legal_document, "<script>alert(1)</script>\u202e{x}{0};văn bản;4/11/2026;;;;VP"))
    assert "{x}{0}" in found.detail.vi and "\u202e" not in found.detail.vi


# ------------------------------------------------------------------ the other kinds


def test_at_once_shows_the_target_beside_the_days(site: Portal) -> None:
    found = one(run(site, deadlines.immediate, "x;thời sự;18/11/2026;;;;VP"))
    assert found.verdict is BROKEN and "quy chế ghi “ngay”, mức áp dụng 1 ngày làm việc" in found.detail.vi
    assert one(run(site, deadlines.statistics, "x;thống kê;20/11/2026;;;;VP")).verdict is RISK
    assert one(run(site, deadlines.statistics, "x;thống kê;19/11/2026;;;;VP")).verdict is BROKEN
    # sent on a Saturday: the term of zero days ends on Monday
    weekend = one(run(site, deadlines.statistics, "x;thống kê;21/11/2026;;;;VP", now=NOW + timedelta(days=2)))
    assert weekend.facts["cases"] == [] or weekend.facts["cases"][0]["due"] == "2026-11-23"


@pytest.mark.parametrize(("name", "kind", "late", "good"), [
    ("policy", "chính sách", "9/11/2026", "13/11/2026"), ("news", "tin tức", "18/11/2026", "20/11/2026"),
    ("other", "khác", "5/11/2026", "10/11/2026"), ("conference", "hội nghị", "17/11/2026", "20/11/2026"),
])
def test_each_kind_has_its_term(site: Portal, name: str, kind: str, late: str, good: str) -> None:
    check = next(duty for duty in duties_of(deadlines) if duty.name == f"deadline.{name}")
    assert isinstance(check, Check)
    assert one(run(site, check, f"x;{kind};{late};;;;VP")).verdict is BROKEN
    assert one(run(site, check, f"x;{kind};{good};;;;VP")).verdict is MET


def test_a_conference_counts_from_its_end(site: Portal) -> None:
    head = "so_hieu;loai;ngay_dien_ra;ngay_ket_thuc"
    found = one(run(site, deadlines.conference, "hn;hội nghị;12/11/2026;19/11/2026", head=head))
    assert found.verdict is RISK and found.facts["cases"][0]["due"] == "2026-11-23"
    assert one(run(site, deadlines.conference, "hn;hội nghị;12/11/2026;", head=head)).verdict is BROKEN


@pytest.mark.parametrize(("effective", "published", "verdict"), [
    ("20/11/2026", "", RISK), ("19/11/2026", "", BROKEN), ("19/11/2026", "19/11/2026", MET), ("15/11/2026", "16/11/2026", BROKEN),
    ("1/12/2026", "", MET), ("22/11/2026", "", RISK),
])
def test_effective_dates_count_every_day(site: Portal, effective: str, published: str, verdict: object) -> None:
    head = "so_hieu;loai;ngay_ban_hanh;ngay_hieu_luc;ngay_dang"
    rows = (f"1/HD;chính sách;2/11/2026;{effective};{published}", "2/HD;chính sách;2/11/2026;;")
    found = one(run(site, deadlines.effective_date, *rows, head=head))
    assert (found.verdict, found.measures["entries"]) == (verdict, 1)


QUESTION = "so_hieu;loai;ngay_nhan;ngay_chuyen;ngay_tra_loi;ngay_bao_tien_do;ngay_hen;don_vi"


@pytest.mark.parametrize(("row", "verdict"), [
    ("h1;hỏi đáp;2/11/2026;;;;;", RISK), ("h1;hỏi đáp;3/11/2026;;;;;", MET),  # one and two of 15 working days are left
    ("h1;hỏi đáp;29/10/2026;;;;;", BROKEN), ("h1;hỏi đáp;29/10/2026;;19/11/2026;;;", MET),
    ("h1;hỏi đáp;26/10/2026;;19/11/2026;;;", BROKEN),
    ("h1;hỏi đáp;26/10/2026;;;10/11/2026;30/11/2026;", MET),  # told in time, with a day
    ("h1;hỏi đáp;26/10/2026;;;10/11/2026;;", BROKEN),  # no day was named
    ("h1;hỏi đáp;26/10/2026;;;18/11/2026;30/11/2026;", BROKEN),  # told too late
    ("h1;hỏi đáp;12/10/2026;;;20/10/2026;16/11/2026;", BROKEN),  # the promised day went by
])
def test_questions(site: Portal, row: str, verdict: object) -> None:
    (site.root / "rss.xml").unlink()
    found = one(run(site, deadlines.qa_answer, row, "h2;hỏi đáp;19/11/2026;;20/11/2026;;;", head=QUESTION))
    assert found.verdict is verdict


def test_questions_are_passed_on_at_once(site: Portal) -> None:
    rows = ("h1;hỏi đáp;17/11/2026;18/11/2026;;;;", "h2;hỏi đáp;16/11/2026;;17/11/2026;;;")
    assert one(run(site, deadlines.qa_routing, *rows, head=QUESTION)).verdict is MET
    found = one(run(site, deadlines.qa_routing, *rows, "h3;hỏi đáp;17/11/2026;;;;;", head=QUESTION))
    assert found.verdict is BROKEN and "h3" in found.detail.vi and "h1" not in found.detail.vi


def test_units(site: Portal) -> None:
    rows = ("1/QĐ;văn bản;4/11/2026;;;;Tư pháp", "2/QĐ;văn bản;19/11/2026;;;19/11/2026;Văn phòng", "3;hội nghị;4/11/2026;;;;Văn phòng",
            "4;tin bài;19/11/2026;;;;Đoàn xã", "5/QĐ;văn bản;18/11/2026;;;;Địa chính", "6/QĐ;văn bản;19/11/2026;;;;")
    found = site.run(summary_by_unit, thresholds={"deadline.legal_document_days": 3}, deadlines=book(site, *rows),
                     units=("Trạm y tế", "Đoàn xã", "tư pháp"))
    assert {key: one.verdict for key, one in found.items()} == {
        "tư pháp": BROKEN, "Văn phòng": MET, "Đoàn xã": MET, "Trạm y tế": RISK, "Địa chính": RISK}
    assert found["tư pháp"].facts["overdue"] == ["1/QĐ"]
    none = site.run(summary_by_unit, deadlines=book(site, "1/QĐ;văn bản;4/11/2026;;;;"))
    assert none["units"].verdict is UNSEEN


def test_every_deadline_of_every_policy_is_a_duty_with_the_policys_threshold() -> None:
    duties = {duty.name: duty for duty in [*duties_of(deadlines), summary_by_unit]}
    for rules in (policy.load(one) for one in policy.ids()):
        for clause in rules.clauses:
            for name in clause.answered_by:
                if name.startswith("deadline."):
                    assert clause.id in duties[name].clauses, (name, clause.id)
            for number in clause.thresholds:
                if number.name.startswith("deadline."):
                    rule = next(one for one in RULES.values() if f"deadline.{one.threshold}" == number.name)
                    assert (number.unit == "days") is rule.calendar_days
    assert set(duties) == {f"deadline.{name}" for name in RULES} | {"deadline.summary_by_unit"}
    assert {kind for rule in RULES.values() for kind in rule.kinds} <= set(LABELS)
