"""The policies: complete against the register of the five regulations, well-formed, and read strictly."""

from __future__ import annotations

import math
import re
import time
import tomllib
import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops import legal, policy
from ops.duty import Change, Check, Duty
from ops.errors import GaccongError
from ops.model import Text
from ops.policy import Attested, Clause, Policy, PolicyError, Threshold

REGISTER = {
    "thong-nhat": {
        "A": """
            TN-2.1 TN-3.1 TN-3.1.vn TN-3.1.ipv6 TN-3.1.url TN-3.5 TN-4.3 TN-4.4 TN-4.5 TN-5.2 TN-6.5.a TN-6.5.b TN-7.1
            TN-7.2 TN-7.3.search TN-7.3.link TN-7.3.print TN-7.4 TN-8.5.link TN-8.5.mal TN-10.1.a TN-10.1.b.av TN-10.1.c
            TN-10.1.d.freq TN-10.1.d.lvl TN-10.1.d.rto TN-10.1.đ.acc TN-10.1.đ.rev TN-10.1.e TN-10.2.a TN-10.2.b TN-11.6
            TN-12.1 TN-12.2 TN-12.3
        """,
        "H": """
            TN-2.2 TN-3.2 TN-3.3 TN-4.1-4.2 TN-5.1.a TN-5.2.a TN-5.2.b TN-6.2 TN-6.3 TN-6.4 TN-6.5.c TN-6.5.d TN-7.5
            TN-7.5.emc TN-8.1.a-e TN-8.2 TN-8.4 TN-10.1 TN-10.1.b.att TN-10.1.b.dr TN-10.1.d.proc TN-10.2.c TN-10.2.d
            TN-11.2 TN-11.3 TN-11.8 TN-13.2.a-e TN-14 TN-16.1
        """,
        "M": """
            TN-5.1.b TN-5.1.c TN-6.1 TN-7.4.ndsh TN-9.1 TN-9.2 TN-10.1.infra TN-10.2.đ TN-10.3 TN-10.4 TN-11.1 TN-11.4
            TN-11.5-11.7 TN-16.2
        """,
    },
    "bac-quynh": {
        "A": """
            BQ-2.3 BQ-6.1.đ BQ-6.2 BQ-7.4 BQ-7.5 BQ-8.1.a BQ-8.1.d BQ-8.1.e BQ-8.1.g BQ-8.2.a BQ-9.1 BQ-9.3bis
        """,
        "H": """
            BQ-3.1-3.8 BQ-6.1.a-d BQ-6.3 BQ-7.3 BQ-7.5bis BQ-7.6 BQ-8.2.b BQ-9.2 BQ-9.3 BQ-10.2.1 BQ-11
        """,
        "M": """
            BQ-5.1 BQ-5.2 BQ-5.3 BQ-7.1 BQ-8.1.b BQ-8.1.c BQ-8.3 BQ-9.4 BQ-10.1 BQ-10.2.2-7 BQ-13
        """,
    },
    "phuong-1-quan-10": {
        "A": """
            P1-2.1.c P1-2.3 P1-4.2 P1-4.3 P1-7.1.e P1-7.3 P1-7.5 P1-8.1 P1-8.2 P1-9.1 P1-9.2 P1-9.4 P1-10.3 P1-10.4
            P1-12.7 P1-13.1 P1-13.3 P1-15
        """,
        "H": """
            P1-2.1.b P1-2.1.d P1-3.3 P1-6.1-6.11 P1-7.1.a-d P1-7.2 P1-7.4 P1-7.6 P1-7.7 P1-8.3 P1-9.5.a-c P1-10.1
            P1-10.2 P1-12.1 P1-12.4 P1-12.10 P1-13.4
        """,
        "M": """
            P1-3.1 P1-4.1 P1-5 P1-9.3 P1-11 P1-12.6 P1-12.8 P1-13.2 P1-16
        """,
    },
    "kep": {
        "A": """
            KP-2.1-2.4 KP-3.1 KP-3.2 KP-4.3 KP-6.1 KP-6.2 KP-7.1 KP-9.5 KP-9.5bis KP-11
        """,
        "H": """
            KP-4.6 KP-5.1 KP-7.3 KP-7.4 KP-8 KP-9.1 KP-9.2 KP-9.3 KP-9.4
        """,
        "M": """
            KP-4.2 KP-4.4 KP-5.2 KP-7.2 KP-13
        """,
    },
    "lac-long": {
        "A": """
            LL-3 LL-4.3 LL-6A.1 LL-6A.2.vh1 LL-6A.4 LL-6B.1 LL-8 LL-8.đ LL-8.e
        """,
        "H": """
            LL-4.6 LL-5.1 LL-6A.2.vp2 LL-6A.3 LL-6B.3 LL-6B.4 LL-7 LL-8.a LL-8.b LL-8.c LL-8.d
        """,
        "M": """
            LL-4.2 LL-4.4 LL-5.2 LL-6A.2.vp1 LL-6A.2.vh2 LL-6A.2.vh3 LL-6B.2 LL-11
        """,
    },
}

KNOWN_THRESHOLDS = {
    "backup.days_per_week": ("at_least", 3), "backup.longest_gap_hours": ("at_most", 84),
    "backup.drill_days": ("at_most", 92), "accounts.revocation_hours": ("at_most", 24),
    "tls.days_left": ("at_least", 14), "disk.free_percent": ("at_least", 10),
}
FIRST_RELEASE = ["backup.fresh", "backup.contents", "backup.integrity", "backup.drill", "web.http", "web.ipv6", "dns.address", "tls.certificate", "host.disk", "host.load", "accounts.census", "accounts.leavers", "accounts.refused", "backup.run", "accounts.revoke", "restore_site"]
REPORTS = {
    "thong-nhat": {("upgrade_review", "yearly"), ("annual_risk", "yearly"), ("annual_board", "yearly"),
                   ("infra_plan", "yearly"), ("annual_office", "yearly")},
    "bac-quynh": {("quarterly", "quarterly"), ("semiannual", "semiannual"), ("annual_board", "yearly")},
    "phuong-1-quan-10": {("monthly", "monthly"), ("quarterly", "quarterly"), ("annual_board", "yearly")},
    "kep": {("quarterly", "quarterly"), ("annual_board", "yearly")},
    "lac-long": {("monthly", "monthly"), ("quarterly", "quarterly"), ("annual_board", "yearly")},
}
GOOD = """
id = "mau"
prefix = "MA"
name = { vi = "Quy chế mẫu", en = "A model" }
issued = "2026"
issuer = { vi = "UBND xã Mẫu", en = "The committee" }

[[clause]]
id = "MA-1.1"
article = "1.1"
class = "A"
duty = { vi = "Giữ cổng", en = "Keep the gate" }
answered_by = ["web.http"]
thresholds = [{ name = "tls.days_left", at_least = 14, unit = "days", source = "default" }]

[[clause]]
id = "MA-1.2"
article = "1.2.đ"
class = "M"
duty = { vi = "Có kế hoạch", en = "Have a plan" }
attested = { vi = "Đã có kế hoạch", en = "A plan exists" }
"""
ALL = [policy.load(name) for name in policy.ids()]
CLAUSES = [clause for found in ALL for clause in found.clauses]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mau.toml"
    path.write_text(text, encoding="utf-8")
    return path


def duty(name: str, *clauses: str) -> Check:
    return Check(name, clauses, lambda site, ctx: [], 1.0, timedelta(hours=1))


def built(*duties: Duty) -> dict[str, Duty]:
    return {each.name: each for each in duties}


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in strings(part)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", REGISTER)
@pytest.mark.parametrize("klass", ["A", "H", "M"])
def test_every_row_of_the_register_is_there_in_its_class_and_no_other(name: str, klass: str) -> None:
    found = [clause.id for clause in policy.load(name).clauses if clause.klass == klass]
    assert found == REGISTER[name][klass].split()


def test_there_are_five_policies_with_their_prefixes_and_about_two_hundred_clauses() -> None:
    assert {found.id: found.prefix for found in ALL} == {
        "thong-nhat": "TN", "bac-quynh": "BQ", "phuong-1-quan-10": "P1", "kep": "KP", "lac-long": "LL"}
    assert len(CLAUSES) == 208
    assert policy.load("phuong-1-quan-10").number == "554/QĐ-UBND"
    assert policy.load("lac-long").issued == "2021-01-12"


def test_slugs_are_ascii_and_unique_and_find_their_clause() -> None:
    slugs = [clause.slug for clause in CLAUSES]
    assert all(slug.isascii() and re.fullmatch(r"[\w.\-]+", slug) for slug in slugs)
    assert len(set(slugs)) == len(slugs)
    found = policy.load("thong-nhat").clause("TN-10.1.dd.acc")
    assert found is not None
    assert found.id == "TN-10.1.đ.acc"


def test_every_text_stands_in_both_languages_composed_and_in_one_line() -> None:
    for path in [*policy.FOLDER.glob("*.toml"), legal.LEGAL]:
        raw = path.read_text(encoding="utf-8")
        assert unicodedata.is_normalized("NFC", raw), path
        for text in strings(tomllib.loads(raw)):
            assert text.strip() == text
            assert text
            assert "\n" not in text
    for clause in CLAUSES:
        assert clause.duty.vi != clause.duty.en
        assert re.search(r"[à-ỹđ]", clause.duty.vi), clause.id
        assert not re.search(r"[ạ-ỹđăơư]", clause.duty.en.lower().replace("điều", "")), clause.id
        assert clause.cite.vi
        assert clause.cite.en


def test_a_program_answers_for_a_a_person_for_m_and_nobody_for_nothing() -> None:
    for clause in CLAUSES:
        assert clause.answered_by or clause.attested, clause.id
        if clause.klass == "A":
            assert clause.answered_by, clause.id
            assert clause.attested is None, clause.id
        elif clause.klass == "H":
            assert clause.answered_by, clause.id
        else:
            assert not clause.answered_by, clause.id
            assert clause.attested is not None, clause.id
            assert clause.attested.every_days == 365


def test_each_duty_of_the_first_release_answers_a_clause_of_thong_nhat() -> None:
    named = {name for clause in policy.load("thong-nhat").clauses for name in clause.answered_by}
    assert set(FIRST_RELEASE) <= named


@pytest.mark.parametrize("clause", ["TN-10.1.a", "TN-11.6", "BQ-8.1.e", "P1-4.2", "KP-3.2", "LL-6A.2.vh1"])
def test_continuity_is_answered_by_the_page_and_the_machine(clause: str) -> None:
    found = next(each for each in CLAUSES if each.id == clause)
    assert {"web.http", "host.disk", "host.load"} <= set(found.answered_by)
    assert ("web.ipv6" in found.answered_by) == clause.startswith("TN")


def test_names_that_the_toolkit_has_given_up_are_gone() -> None:
    gone = {"net.ipv6", "web.tls", "backup.cadence", "backup.levels", "backup.availability", "backup.restore_drill",
            "backup.rto", "uptime.availability", "uptime.longest_outage", "accounts.inventory", "accounts.orphan",
            "accounts.revocation_latency"}
    assert not gone & {name for clause in CLAUSES for name in clause.answered_by}


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.id)
def test_every_policy_knows_the_numbers_of_the_first_release(found: Policy) -> None:
    known = found.thresholds()
    for name, (side, number) in KNOWN_THRESHOLDS.items():
        assert getattr(known[name][0], side) == number
    for item, _ in known.values():
        assert (item.at_least is None) != (item.at_most is None)
        assert item.says.vi.startswith("ít nhất" if item.at_least is not None else "không quá")


def test_only_the_regulation_itself_makes_a_number_a_rule() -> None:
    rules = {(found.id, name): item.number for found in ALL for name, (item, _) in found.thresholds().items()
             if item.source == "regulation"}
    assert rules == {
        ("thong-nhat", "backup.days_per_week"): 3, ("thong-nhat", "deadline.policy_days"): 7,
        ("thong-nhat", "deadline.legal_document_days"): 3, ("thong-nhat", "deadline.other_days"): 10,
        ("thong-nhat", "deadline.qa_answer_days"): 15, ("bac-quynh", "content.sections"): 9,
        ("bac-quynh", "deadline.effective_days"): 0, ("phuong-1-quan-10", "content.sections"): 11,
        ("phuong-1-quan-10", "content.items_per_working_day"): 1, ("kep", "content.member_items_per_month"): 2,
        ("kep", "deadline.news_days"): 1, ("kep", "deadline.legal_document_days"): 1,
        ("kep", "deadline.conference_days"): 2, ("kep", "deadline.qa_answer_days"): 15,
        ("lac-long", "content.items_per_working_day"): 1, ("lac-long", "deadline.news_days"): 1,
        ("lac-long", "deadline.legal_document_days"): 1, ("lac-long", "deadline.conference_days"): 2,
        ("lac-long", "deadline.qa_answer_days"): 15,
    }


def test_a_looser_number_is_remarked_a_stricter_or_equal_one_is_not() -> None:
    found = policy.load("thong-nhat")
    assert found.looser({"backup.days_per_week": 3, "backup.longest_gap_hours": 84, "deadline.policy_days": 7}) == ()
    assert found.looser({"backup.days_per_week": 7, "backup.longest_gap_hours": 24, "tls.days_left": 30}) == ()
    low, high = found.looser({"backup.days_per_week": 2, "backup.longest_gap_hours": 84.5})
    assert low.vi == "backup.days_per_week = 2 lỏng hơn quy định tại điểm d khoản 1 Điều 10 (ít nhất 3 ngày mỗi tuần)"
    assert high.en == "backup.longest_gap_hours = 84.5 is looser than the proposed default (at most 84 hours)"
    assert len(found.looser({"tls.days_left": math.nan, "disk.free_percent": -1})) == 2


def test_a_threshold_that_no_check_knows_is_remarked() -> None:
    (remark,) = policy.load("kep").looser({"backup.days_a_week": 9})
    assert "backup.days_a_week" in remark.vi
    assert "unknown" in remark.en


def test_the_sites_own_number_is_the_one_in_force() -> None:
    found = policy.load("thong-nhat")
    assert found.thresholds_in_force()["backup.days_per_week"] == 3
    in_force = found.thresholds_in_force({"backup.days_per_week": 5})
    assert in_force["backup.days_per_week"] == 5
    assert in_force["backup.drill_days"] == 92


@pytest.mark.parametrize(("name", "clause", "cite"), [
    ("thong-nhat", "TN-10.1.d.freq", Text("điểm d khoản 1 Điều 10", "Article 10(1)(d)")),
    ("thong-nhat", "TN-10.1.đ.rev", Text("điểm đ khoản 1 Điều 10", "Article 10(1)(đ)")),
    ("thong-nhat", "TN-14", Text("Điều 14", "Article 14")),
    ("lac-long", "LL-4.6", Text("gạch đầu dòng thứ 6 Điều 4", "Article 4, sixth dash")),
])
def test_clauses_are_cited_as_papers_cite_them(name: str, clause: str, cite: Text) -> None:
    found = policy.load(name).clause(clause)
    assert found is not None
    assert found.cite == cite


@pytest.mark.parametrize("name", REPORTS)
def test_reports_and_their_cadence(name: str) -> None:
    assert {(report.kind, report.cadence) for _, report in policy.load(name).reports()} == REPORTS[name]


def test_the_risk_report_has_no_named_recipient_and_the_office_reports_to_the_province() -> None:
    papers = {report.kind: (clause.id, report) for clause, report in policy.load("thong-nhat").reports()}
    assert papers["annual_risk"][0] == "TN-10.1.e"
    assert papers["annual_risk"][1].recipients == ()
    assert [to.vi for to in papers["annual_office"][1].recipients] == [
        "Ủy ban nhân dân tỉnh", "Cổng thông tin điện tử tỉnh"]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_good_file_is_read(tmp_path: Path) -> None:
    found = policy.read(written(tmp_path, GOOD))
    assert [clause.id for clause in found.clauses] == ["MA-1.1", "MA-1.2"]
    assert found.clauses[1].attested == Attested(Text("Đã có kế hoạch", "A plan exists"), 365)
    assert found.clauses[0].thresholds[0] == Threshold("tls.days_left", 14, None, "days", "default", Text("", ""))


@pytest.mark.parametrize(("old", "new", "place", "says", "mend"), [
    ('article = "1.1"', 'article = "1.1"\nartcle = "1"', "mau.toml: MA-1.1:", "unknown key: artcle", "mend the key"),
    ('prefix = "MA"', 'prefix = "MA"\nfoo = 1', "mau.toml:", "unknown key: foo", "mend the key"),
    ('{ vi = "Giữ cổng", en = "Keep the gate" }', '{ vi = "Giữ cổng" }', "MA-1.1:", "en is missing", "add en"),
    ('{ vi = "Giữ cổng", en = "Keep the gate" }', '{ vi = " ", en = "x" }', "MA-1.1:", "vi is missing", "add vi"),
    ('duty = { vi = "Có kế hoạch", en = "Have a plan" }\n', "", "MA-1.2:", "duty is missing", "duty.vi"),
    ('"MA-1.2"', '"MA-1.1"', "mau.toml:", "clause MA-1.1 stands twice", "keep one"),
    ('"MA-1.2"', '"MB-1.2"', "MB-1.2:", "does not begin with MA-", "mend the id"),
    ('"MA-1.2"', '"MA-1 2"', "mau.toml:", "has the wrong form", "write it as"),
    ('answered_by = ["web.http"]', "answered_by = []", "MA-1.1:", "nobody answers", "answered_by or attested"),
    ('answered_by = ["web.http"]', 'answered_by = ["Web Http"]', "MA-1.1:", "has the wrong form", "write it as"),
    ('answered_by = ["web.http"]', 'answered_by = "web.http"', "MA-1.1:", "of the wrong type", "as list"),
    ('attested = { vi', 'attested = { every_days = 0, vi', "MA-1.2:", "1 or more", "mend every_days"),
    ('attested = { vi', 'attested = { by = "x", vi', "MA-1.2:", "unknown key: by", "mend the key"),
    ('class = "A"', 'class = "X"', "MA-1.1:", "class = X is not allowed", "A, H, M"),
    ("at_least = 14", "at_least = 14, at_most = 20", "MA-1.1 tls.days_left:", "exactly one bound", "either"),
    ("at_least = 14, ", "", "MA-1.1 tls.days_left:", "exactly one bound", "either"),
    ("at_least = 14", "at_least = true", "MA-1.1 tls.days_left:", "of the wrong type", "as number"),
    ('unit = "days"', 'unit = "moons"', "MA-1.1 tls.days_left:", "unit = moons is not allowed", "days"),
    ('source = "default"', 'source = "hearsay"', "MA-1.1 tls.days_left:", "is not allowed", "regulation"),
    ('id = "mau"', 'id = "khac"', "mau.toml:", "differs from the file's name", 'id = "mau"'),
    ('issued = "2026"', 'issued = "22/4/2026"', "mau.toml:", "has the wrong form", "write it as"),
    ('id = "mau"', "id = ", "mau.toml:", "cannot be read", "TOML"),
])
def test_a_bad_file_is_refused_with_place_and_mend(
    tmp_path: Path, old: str, new: str, place: str, says: str, mend: str
) -> None:
    assert old in GOOD
    with pytest.raises(PolicyError) as caught:
        policy.read(written(tmp_path, GOOD.replace(old, new, 1)))
    english = caught.value.explain("en")
    assert place in english
    assert says in english
    assert mend in english.partition("→")[2]
    assert caught.value.mend.vi
    assert isinstance(caught.value, GaccongError)
    assert caught.value.exit_code == 2


def test_a_number_that_stands_twice_is_refused(tmp_path: Path) -> None:
    more = '\n[[default]]\nname = "tls.days_left"\nat_least = 7\nunit = "days"\nsource = "default"\n'
    with pytest.raises(PolicyError, match=r"threshold tls\.days_left stands twice"):
        policy.read(written(tmp_path, GOOD + more))


def test_a_policy_without_clauses_an_absent_file_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no clause at all"):
        policy.read(written(tmp_path, GOOD.partition("[[clause]]")[0]))
    with pytest.raises(PolicyError, match="cannot be read"):
        policy.read(tmp_path / "none.toml")
    with pytest.raises(PolicyError, match="there is no policy hanoi") as caught:
        policy.load("hanoi")
    assert "thong-nhat" in caught.value.mend.vi


def test_decomposed_text_is_composed_on_entry(tmp_path: Path) -> None:
    found = policy.read(written(tmp_path, unicodedata.normalize("NFD", GOOD)))
    assert found.clauses[0].duty.vi == "Giữ cổng"


# --- the audit --------------------------------------------------------------------------------------------------------


def planted(*clauses: Clause) -> Policy:
    return Policy("mau", "MA", Text("Mẫu", "Model"), "", "2026", Text("Xã", "Commune"), clauses)


def clause(clause_id: str, *names: str, attested: bool = False) -> Clause:
    confirm = Attested(Text("Có", "Yes"), 365) if attested else None
    return Clause(clause_id, "1", Text("Giữ", "Keep"), "A", names, confirm)


def test_the_audit_finds_planted_orphans_strays_and_duties_not_built() -> None:
    found = planted(clause("MA-1"), clause("MA-2", "web.http"), clause("MA-3", attested=True), clause("MA-4"),
                    clause("MA-5", "web.http", "web.moon"))
    audit = policy.check([found], built(duty("web.http"), duty("web.late", "MA-4"), duty("web.lost", "MA-9", "MA-2"),
                                        duty("web.idle")))
    assert audit.orphans == ("MA-1",)
    assert audit.strays == (("web.idle", ""), ("web.lost", "MA-9"))
    assert audit.unbuilt == (("web.moon", ("MA-5",)),)
    assert not audit.sound
    (count,) = audit.counts
    assert (count.policy, count.clauses, count.built, count.unbuilt, count.attested) == ("mau", 5, 3, 1, 1)
    assert count.by_class == {"A": 5, "H": 0, "M": 0}


def test_a_change_answers_as_well_as_a_check() -> None:
    run = Change("backup.run", ("MA-1",), lambda site, ctx: None, 1.0)
    assert policy.check([planted(clause("MA-1"))], built(run)).sound


def test_the_policies_as_shipped_have_no_orphan() -> None:
    audit = policy.check(ALL, {})
    assert audit.sound
    assert sum(count.clauses for count in audit.counts) == len(CLAUSES)
    assert {name for name, _ in audit.unbuilt} >= set(FIRST_RELEASE)
    by_name = dict(audit.unbuilt)
    assert "TN-10.1.d.freq" in by_name["backup.run"]
    assert "TN-10.1.d.lvl" in by_name["backup.run"]
    assert "TN-10.1.đ.rev" in by_name["accounts.revoke"]
    assert by_name["restore_site"] == ("TN-10.1.b.dr", "TN-10.1.c")


def test_a_policy_stands_still_and_is_read_fast() -> None:
    with pytest.raises(AttributeError):
        ALL[0].clauses[0].klass = "M"  # type: ignore[misc]
    assert policy.load("kep") is policy.load("kep")
    spans = []
    for _ in range(5):
        start = time.perf_counter()
        for name in policy.ids():
            policy.read(policy.FOLDER / f"{name}.toml")
        spans.append(time.perf_counter() - start)
    assert min(spans) < 0.25
