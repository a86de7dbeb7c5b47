"""The keep rule and its guards: properties that hold for whatever copies there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from backup.checks.fresh import rhythm
from backup.copies import Copy
from backup.keep import KeepRule
from backup.keeping import ALL_DAYS, DAILY_DAYS, choose, guards
from backup.restic import Snapshot
from backup.vouched import Lot
from ops.moment import local, local_day

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
times = st.lists(st.integers(0, 900 * 24).map(lambda hours: NOW - timedelta(hours=hours)), max_size=90)
rules = st.builds(KeepRule, last=st.integers(3, 12), days=st.integers(0, 40), weeks=st.integers(0, 20),
                  months=st.integers(0, 30), years=st.integers(0, 6))


def lot(time: datetime, number: int, *, name: str = "user", proved: bool = True, streams: Sequence[str] = ()) -> Lot:
    identity = f"{number:064x}"
    copy = Copy(name, identity, "", 1, 1, "/kho", proved, time, f"demo#{number}", dict.fromkeys(streams, identity))
    tags = ("gaccong", f"set={name}", "site=demo")
    found = [Snapshot(identity, time, "demo", tags, ())]
    found += [Snapshot(identity, time, "demo", (*tags, f"stream={one}"), ()) for one in streams]
    return Lot(name, copy, copy.evidence, time, tuple(found))


@given(rules, times)
def test_the_rule_keeps_at_least_the_newest_and_the_newest_of_each_period(rule: KeepRule, made: list[datetime]) -> None:
    stays = rule.stays(made)
    kept = [time for time, stay in zip(made, stays, strict=True) if stay]
    assert len(kept) >= min(rule.last, len(made))
    assert sorted(made, reverse=True)[: rule.last] == sorted(kept, reverse=True)[: rule.last]
    for count, period in ((rule.days, local_day), (rule.weeks, lambda at: local(at).isocalendar()[:2]),
                          (rule.months, lambda at: (local(at).year, local(at).month)),
                          (rule.years, lambda at: local(at).year)):
        newest: dict[object, datetime] = {}
        for time in sorted(made):
            newest[period(time)] = time
        assert set(sorted(newest.values(), reverse=True)[:count]) <= set(kept)


@given(rules, times)
def test_what_stays_would_stay_again_and_a_wider_rule_keeps_no_less(rule: KeepRule, made: list[datetime]) -> None:
    kept = [time for time, stay in zip(made, rule.stays(made), strict=True) if stay]
    assert all(rule.stays(kept))
    wider = KeepRule(last=rule.last + 2, days=rule.days + 3, weeks=rule.weeks + 1, months=rule.months + 1,
                     years=rule.years + 1)
    assert all(later or not earlier for earlier, later in zip(rule.stays(made), wider.stays(made), strict=True))


@settings(deadline=None)
@given(rules, times, st.sets(st.integers(0, 89)), st.integers(0, 89))
def test_no_rule_takes_what_the_policy_counts(rule: KeepRule, made: list[datetime], bad: set[int], drilled: int) -> None:
    lots = [lot(time, number, proved=number not in bad) for number, time in enumerate(made)]
    chosen = choose(rule, lots, NOW, sets={"user"}, drilled={f"demo#{drilled}"})
    assert sorted(lots, key=lambda one: one.evidence) == sorted([*chosen.go, *chosen.stay], key=lambda one: one.evidence)
    proved = sorted(one.time for one in lots if one.proved)
    left = sorted(one.time for one in chosen.stay if one.proved)
    assert len(left) >= min(rule.last, len(proved))
    assert not any(one.evidence == f"demo#{drilled}" and one.proved for one in chosen.go)
    assert not any(NOW - one.time <= timedelta(days=ALL_DAYS) for one in chosen.go)
    recent = NOW - timedelta(days=DAILY_DAYS)
    assert {local_day(time) for time in proved if time >= recent} == {local_day(time) for time in left if time >= recent}
    if proved:
        assert proved[-1] == left[-1]
        before, after = rhythm(proved, NOW), rhythm(left, NOW)
        assert (before.rolling, before.this_week, before.age) == (after.rolling, after.this_week, after.age)
        if proved[-1] > NOW - timedelta(days=ALL_DAYS) and any(time <= NOW - timedelta(days=7) for time in left):
            assert after.gap <= max(before.gap, timedelta(days=8))
    unproved = [one for one in chosen.go if not one.proved]
    assert all(sum(time > one.time for time in proved) >= rule.last for one in unproved)


@given(rules, times)
def test_a_set_without_a_copy_of_late_or_out_of_the_settings_is_left_alone(rule: KeepRule, made: list[datetime]) -> None:
    old = [lot(time - timedelta(days=ALL_DAYS + 1), number) for number, time in enumerate(made)]
    assert not choose(rule, old, NOW, sets={"user"}).go
    strange = [lot(time, number, name="cu") for number, time in enumerate(made)]
    assert not choose(rule, strange, NOW, sets={"user"}).go


def test_sets_are_counted_apart() -> None:
    every = [lot(NOW - timedelta(days=n), n) for n in range(100)]
    every += [lot(NOW - timedelta(days=n * 3), 100 + n, name="system") for n in range(5)]
    chosen = choose(KeepRule(last=3, days=0, weeks=0, months=0, years=0), every, NOW, sets={"user", "system"})
    assert sum(one.set == "system" for one in chosen.stay) == 5
    assert sum(one.set == "user" for one in chosen.stay) == DAILY_DAYS + 1
    assert chosen.over_half() == ["user"]


def test_a_copy_without_one_of_its_dumps_is_no_proved_copy() -> None:
    whole = lot(NOW, 1, streams=["db"])
    assert whole.proved and len(whole.snapshots) == 2
    half = Lot(whole.set, whole.copy, whole.evidence, whole.time, whole.snapshots[:1])
    assert not half.proved


def test_the_rule_says_itself() -> None:
    said = KeepRule(last=5, days=14, weeks=0, months=3, years=0).sentence()
    assert "5 bản mới nhất" in said.vi and "14 ngày" in said.vi and "3 tháng" in said.vi and "tuần" not in said.vi
    assert KeepRule(days=0, weeks=0, months=0, years=0).sentence().vi == "giữ 7 bản mới nhất"
    assert str(ALL_DAYS) in guards().vi and str(DAILY_DAYS) in guards().en
