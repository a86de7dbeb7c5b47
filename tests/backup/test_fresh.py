"""backup.fresh: counts proved copies that still exist, on Vietnamese days, patiently in the first week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backup.checks.fresh import fresh, judge, rhythm
from backup.copies import Copy
from tests.backup.room import Room
from tests.kit import NOW, make_context, make_site


def at(day: int, hour: int = 18, minute: int = 30) -> datetime:
    """A moment of November 2026, UTC; 18:30 UTC is 01:30 of the next Vietnamese day."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_days_are_vietnamese_days() -> None:
    """Two copies of one UTC day lie on two Vietnamese days, and two of one Vietnamese day count once."""
    two = rhythm([at(18, 16, 59), at(18, 17, 1)], at(19, 3))
    assert two.rolling == 2
    one = rhythm([at(18, 17, 1), at(19, 16, 59)], at(19, 17, 30))
    assert one.rolling == 1


def test_week_is_an_iso_week() -> None:
    """Monday 16 November 2026 begins at 17:00 UTC of the 15th."""
    found = rhythm([at(15, 16, 59), at(15, 17, 1), at(17)], at(18, 3))
    assert found.this_week == 2


def test_mon_wed_fri_is_never_short_before_todays_copy() -> None:
    """Friday 00:10 in Vietnam: this Friday's copy is still to come, last Friday's still counts."""
    mon_wed_fri = [at(day) for day in (8, 10, 12, 15, 17)]  # 01:30 of the 9th, 11th, 13th, 16th, 18th
    assert rhythm(mon_wed_fri, at(19, 17, 10)).rolling == 3
    assert rhythm(mon_wed_fri, at(20, 17, 10)).rolling == 2  # Saturday: Friday was missed
    assert rhythm([*mon_wed_fri, at(20, 17, 30)], at(20, 18)).rolling == 3  # mended on Saturday


def test_gap_runs_to_now() -> None:
    found = rhythm([at(10), at(14)], at(16))
    assert found.gap == timedelta(days=4)
    assert found.age == timedelta(days=2)


def judged(room: Room, ages: list[float], *, young: bool = False, thresholds: dict[str, float] | None = None) -> str:
    """The verdict for copies of these ages in days."""
    site = make_site(backup=room.settings())
    ctx = make_context(room.tmp, room.settings(), thresholds=thresholds)
    copies = [Copy("user", "ab", "", 1, 1, "", True, NOW - timedelta(days=age), "demo#1") for age in sorted(ages, reverse=True)]
    return judge(site, ctx, "user", copies, [], young).verdict.value


@pytest.mark.parametrize(("ages", "young", "verdict"), [
    ([9, 7, 5, 3, 1], False, "met"),
    ([9, 6, 1], False, "broken"),
    ([9, 6, 4, 3.9], False, "broken"),
    ([9, 6, 5, 4], False, "at_risk"),      # three days, but four days old: the longest gap is passed
    ([1], True, "at_risk"),                # good so far, but three a week are not shown yet
    ([3, 2, 1], True, "met"),
    ([0.1], True, "at_risk"),
    ([4], True, "at_risk"),
])
def test_verdicts(room: Room, ages: list[float], young: bool, verdict: str) -> None:
    assert judged(room, ages, young=young) == verdict


def test_the_sites_own_demand_counts(room: Room) -> None:
    ages = [9, 7, 5, 3, 1]
    assert judged(room, ages, thresholds={"backup.days_per_week": 5}) == "broken"
    assert judged(room, ages, thresholds={"backup.longest_gap_hours": 20}) == "at_risk"


def test_real_copies(room: Room) -> None:
    """Only proved copies count; a snapshot that was forgotten no longer does; both levels are told."""
    for _ in range(3):
        room.night()
    found = room.look(fresh)
    assert found["user"].verdict == "met"
    assert "chưa đủ 7 ngày" in found["user"].detail.vi
    assert found["user"].measures["days_rolling_7"] == 3
    assert found["system"].verdict == "broken"
    room.restic("forget", room.ledger.lines[1].body["steps"][-2]["answer"]["snapshot_id"])
    found = room.look(fresh)
    assert found["user"].measures["days_rolling_7"] == 2
    assert len(found["user"].facts["vanished"]) == 1
    room.www.rename(room.tmp / "away")
    assert room.night()["outcome"] == "unproved"
    assert room.look(fresh)["user"].measures["days_rolling_7"] == 2


def test_history_of_a_site_whose_copies_all_vanished_is_not_young(room: Room) -> None:
    for _ in range(2):
        room.night()
    room.now += timedelta(days=10)
    room.restic("forget", "latest")
    finding = room.look(fresh)["user"]
    assert finding.verdict == "broken"


def test_no_repository_is_no_copy(room: Room) -> None:
    room.repository.rename(room.tmp / "away")
    assert room.look(fresh)["user"].verdict == "broken"


def test_a_lost_repository_is_not_called_a_beginning(room: Room) -> None:
    room.night()
    room.repository.rename(room.tmp / "away")
    found = room.look(fresh)["user"]
    assert "bình thường" not in found.detail.vi and "kho thứ hai" in found.detail.vi and "plan" not in found.next


def test_on_the_day_of_a_copy_a_young_site_has_only_to_wait(room: Room) -> None:
    room.night()
    room.now -= timedelta(days=1) - timedelta(hours=1)
    found = room.look(fresh)["user"]
    assert found.verdict == "at_risk" and not found.next and "không phải làm gì" in found.detail.vi


def test_an_hourly_look_opens_nothing(room: Room) -> None:
    """The password is wrong and no restic is there: names alone tell which copies still exist."""
    for _ in range(3):
        room.night()
    (room.tmp / "mat-khau").write_bytes(b"sai")
    room.site.settings["backup"] = room.settings(restic="/khong/co/restic")
    assert room.look(fresh)["user"].verdict == "met"


def test_a_snapshot_whose_bytes_are_not_its_own_does_not_count(room: Room) -> None:
    for _ in range(3):
        room.night()
    spoilt = next(iter((room.repository / "snapshots").iterdir()))
    spoilt.chmod(0o600)
    spoilt.write_bytes(b"{}")
    finding = room.look(fresh)["user"]
    assert finding.measures["days_rolling_7"] == 2 and len(finding.facts["vanished"]) == 1


def test_a_copy_without_its_dump_does_not_count(room: Room) -> None:
    room.night()
    answers = room.ledger.lines[0].body["steps"]
    answers.append({"answer": {"stream": "tin", "snapshot_id": "ab" * 32}})
    assert room.look(fresh)["user"].verdict == "broken"
