"""The engine of risks: what raises a likelihood, and that missing data never lower one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops import risk, risk_data
from ops.errors import GaccongError
from ops.model import Verdict
from tests.report.world import END, NAMES, NOW, START, World, good_year, make_duties, make_status

REGISTER = risk_data.load()
DAY = timedelta(days=1)


def row_of(code, **changes):
    return replace(next(row for row in REGISTER.rows if row.id == code), **changes)


def assess(row, world, duties=None, register=REGISTER):
    built = make_duties() if duties is None else duties
    return risk.assess(row, make_status(world, built), world, built, register, START, END)


def test_a_year_in_which_everything_held_and_everything_was_seen_is_1():
    found = assess(row_of("R3-01"), good_year())
    assert (found.likelihood, found.missing, found.level.id) == (1, False, "trung_binh")
    assert found.effectiveness == risk.GOOD
    assert found.reasons[0].vi == "mọi biện pháp đều đạt trong kỳ"
    assert found.evidence


@pytest.mark.parametrize("code", [row.id for row in REGISTER.rows])
@pytest.mark.parametrize("gone", sorted(NAMES))
def test_taking_a_source_away_never_lowers_and_marks_the_row(code, gone):
    row = row_of(code)
    before, after = assess(row, good_year()), assess(row, good_year(gone), make_duties(gone))
    assert after.likelihood >= before.likelihood
    if gone in (*row.key, *row.support):
        assert after.missing and after.likelihood >= 3
        assert any("thiếu dữ liệu" in reason.vi for reason in after.reasons)
        assert after.effectiveness != risk.GOOD or gone in row.support


def test_a_source_that_fell_silent_is_not_what_it_last_said():
    world = good_year()
    world.seen["backup.integrity", "user"] = START + 100 * DAY
    found = assess(row_of("R3-01"), world)
    assert found.missing and found.likelihood == 3
    assert next(item for item in found.key if item.duty == "backup.integrity").coverage == pytest.approx(
        100 / 365, abs=0.01
    )


def test_a_duty_that_is_not_built_is_missing_data():
    found = assess(row_of("R6.2-01"), good_year())
    assert found.missing and found.likelihood == 3 and found.effectiveness == risk.UNKNOWN
    assert not found.key[0].built


def test_no_evidence_at_all():
    found = [assess(row, World(), {}) for row in REGISTER.rows]
    assert all(item.missing and item.likelihood >= 3 and item.effectiveness == risk.UNKNOWN for item in found)
    assert {item.row.kind for item in found} == {"R1", "R2", "R3", "R4", "R5", "R6"}
    assert all(item.level.id != "thap" and not item.evidence for item in found)


def test_broken_at_the_end_is_4_and_mended_once_is_3():
    row = row_of("R6.5-01")
    world = good_year()
    world.happen("tls.certificate", "trang", NOW - 2 * DAY, Verdict.BROKEN)
    assert assess(row, world).likelihood == 4
    assert assess(row, world).effectiveness == risk.WEAK
    world.happen("tls.certificate", "trang", NOW - DAY, Verdict.MET)
    mended = assess(row, world)
    assert mended.likelihood == 3 and mended.effectiveness == risk.PARTLY and not mended.missing


def test_two_broken_are_4_and_three_times_in_a_year_is_4():
    world = good_year()
    for duty in ("dns.address", "tls.certificate"):
        world.happen(duty, "trang" if duty.startswith("tls") else "A", NOW - 2 * DAY, Verdict.BROKEN)
    assert assess(row_of("R4-02", support=()), world).likelihood == 4
    often = good_year()
    for month in (2, 5, 9):
        often.happen("web.http", "ipv4", datetime(2026, month, 1, tzinfo=UTC), Verdict.BROKEN)
        often.happen("web.http", "ipv4", datetime(2026, month, 1, 3, tzinfo=UTC), Verdict.MET)
    assert assess(row_of("R6.1-01"), often).likelihood == 4


def test_a_warning_is_2_and_a_long_one_is_3():
    for days, expected in ((3, 2), (40, 3)):
        world = good_year()
        world.happen("tls.certificate", "trang", datetime(2026, 5, 1, tzinfo=UTC), Verdict.AT_RISK)
        world.happen("tls.certificate", "trang", datetime(2026, 5, 1, tzinfo=UTC) + days * DAY, Verdict.MET)
        assert assess(row_of("R6.5-01"), world).likelihood == expected


def test_a_leaver_who_can_still_log_in_is_an_open_danger():
    world = good_year()
    world.happen("accounts.leavers", "Trần Thị Nghỉ", datetime(2026, 11, 4, tzinfo=UTC), Verdict.BROKEN)
    found = assess(row_of("R2-01"), world)
    assert found.likelihood == 4 and any("đang mở" in reason.vi for reason in found.reasons)
    control = next(item for item in found.key if item.duty == "accounts.leavers")
    assert control.coverage == 1.0, "a person who appeared in November does not owe the months before"
    assert control.broken_seconds == pytest.approx((NOW - datetime(2026, 11, 4, tzinfo=UTC)).total_seconds(), abs=86400)


def test_a_subject_that_is_no_more_owes_nothing_after_but_its_breaches_count():
    world = good_year()
    world.happen("dns.address", "AAAA", datetime(2026, 3, 1, tzinfo=UTC), Verdict.BROKEN)
    world.cease("dns.address", "AAAA", datetime(2026, 5, 1, tzinfo=UTC))
    found = assess(row_of("R4-02", support=()), world)
    assert not found.missing and found.likelihood == 3
    world.cease("dns.address", "A", datetime(2026, 6, 1, tzinfo=UTC))
    assert assess(row_of("R4-02", support=()), world).missing, "a duty that lost its last subject sees nothing"


def test_an_hour_without_settings_does_not_blind_the_year():
    world = good_year()
    world.happen("web.http", "*", START + DAY, Verdict.UNSEEN)
    world.cease("web.http", "*", START + DAY + timedelta(hours=1))
    found = assess(row_of("R6.1-01"), world)
    assert not found.missing and 0.999 < found.coverage < 1.0


def test_a_source_that_was_unseen_by_turns_is_covered_only_where_all_were_seen():
    world = World()
    for subject, away in (("A", 10), ("AAAA", 20)):
        world.happen("dns.address", subject, START, Verdict.MET)
        world.happen("dns.address", subject, START + away * DAY, Verdict.UNSEEN)
        world.happen("dns.address", subject, START + (away + 10) * DAY, Verdict.MET)
    control = assess(row_of("R4-02"), world).key[0]
    assert control.coverage == pytest.approx((365 - 20) / 365, abs=0.001)


def test_never_worked_is_5_and_none():
    world = World()
    world.happen("tls.certificate", "trang", START - DAY, Verdict.BROKEN)
    found = assess(row_of("R6.5-01", support=()), world)
    assert (found.likelihood, found.effectiveness) == (5, risk.NONE)


def test_a_broken_supporting_control_is_at_least_3():
    world = good_year()
    world.happen("backup.drill", "user", NOW - DAY, Verdict.BROKEN)
    assert assess(row_of("R3-01"), world).likelihood == 3


def test_half_covered_is_2_at_best_and_under_eighty_percent_is_3():
    for share, likelihood, missing in ((0.9, 2, False), (0.5, 3, True)):
        world = World()
        world.happen("malware.scan", "x", START + (END - START) * (1 - share), Verdict.MET)
        duties = make_duties()
        duties["malware.scan"] = replace(duties["web.http"], name="malware.scan")
        found = assess(row_of("R6.2-01"), world, duties)
        assert (found.likelihood, found.missing) == (likelihood, missing)


def test_an_attestation_counts_until_it_runs_out():
    world = World()
    world.write(
        "attestation",
        "",
        "TN-10.1.infra",
        START - DAY,
        {"says": "met", "until": "2026-12-31T00:00:00.000000Z", "detail": {"vi": "", "en": ""}},
    )
    row = row_of("R6.7-01", support=())
    assert assess(row, world).likelihood == 1
    short = World()
    short.write(
        "attestation",
        "",
        "TN-10.1.infra",
        START - DAY,
        {"says": "met", "until": "2026-03-01T00:00:00.000000Z", "detail": {"vi": "", "en": ""}},
    )
    found = assess(row, short)
    assert found.missing and found.likelihood == 3 and found.key[0].verdict is Verdict.UNSEEN


def test_the_floor_of_a_severe_impact_holds_in_any_matrix():
    cells = tuple(("thap",) * 5 for _ in range(5))
    world = good_year()
    world.happen("backup.fresh", "user", NOW - DAY, Verdict.BROKEN)
    found = assess(row_of("R3-01"), world, register=replace(REGISTER, cells=cells))
    assert found.level.id == "cao"
    assert assess(row_of("R3-02"), world, register=replace(REGISTER, cells=cells)).level.id == "thap"


def test_the_bands_are_those_of_the_table():
    names = [[REGISTER.band(high, wide).id for wide in range(1, 6)] for high in range(1, 6)]
    low, mid, high, top = "thap", "trung_binh", "cao", "rat_cao"
    assert names == [
        [low, low, low, low, mid],
        [low, low, mid, mid, high],
        [low, mid, mid, high, high],
        [low, mid, high, high, top],
        [mid, high, high, top, top],
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('floor_band = "cao"', 'floor_band = "sao"'),
        ("value = 2", "value = 7"),
        ('kind = "R5"', 'kind = "R9"'),
        ('id = "R1-02"', 'id = "R1-01"'),
        ("coverage_floor = 0.80", ""),
        ("version = 1", "version = ["),
    ],
)
def test_a_register_that_could_judge_wrongly_is_refused(tmp_path, old, new):
    text = risk_data.HERE.read_text(encoding="utf-8")
    assert old in text
    bad = tmp_path / "risks.toml"
    bad.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(GaccongError) as caught:
        risk_data.load(bad)
    assert "risks.toml" in caught.value.what.vi and caught.value.mend.vi


def test_every_duty_of_the_register_has_a_name_and_every_clause_exists():
    from ops import policy

    known = {clause.id for clause in policy.load("thong-nhat").clauses}
    for row in REGISTER.rows:
        assert set(row.clauses) <= known, row.id
        assert {*row.key, *row.support} <= set(REGISTER.controls), row.id
        assert set(row.misuse) <= set(row.key), row.id


def test_percent_never_says_more_than_was_seen():
    assert [risk.percent(share) for share in (1.0, 0.99999, 0.987, 0.00001, 0.0, 0.5)] == [
        "100%",
        "99,9%",
        "98,7%",
        "0,1%",
        "0%",
        "50%",
    ]
