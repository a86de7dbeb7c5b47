"""What is due: rhythms, slots in Vietnamese time, catching up once, and a clock that was wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops.duty import hours
from ops.schedule import check_due, last_slot, next_slot, occasion_due

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)  # 10:00 in Vietnam


def test_slots_are_vietnamese() -> None:
    assert last_slot("30 1 * * *", NOW) == datetime(2026, 11, 19, 18, 30, tzinfo=UTC)
    assert next_slot("30 1 * * *", NOW) == datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
    assert last_slot("0 10 * * *", NOW) == NOW


def test_missed_slots_are_caught_up_once() -> None:
    assert occasion_due("30 1 * * *", None, NOW)
    assert occasion_due("30 1 * * *", NOW - timedelta(days=9), NOW)
    assert not occasion_due("30 1 * * *", NOW - timedelta(hours=1), NOW)


def test_a_last_run_in_the_future_stops_nothing() -> None:
    assert occasion_due("30 1 * * *", NOW + timedelta(days=3650), NOW)
    assert check_due(hours(1), NOW + timedelta(days=3650), NOW)


def test_rhythms() -> None:
    assert check_due(hours(1), None, NOW) and check_due(hours(1), NOW - hours(1), NOW)
    assert not check_due(hours(1), NOW - timedelta(minutes=30), NOW)


def test_a_line_that_never_fires_is_an_error() -> None:
    with pytest.raises(ValueError):
        last_slot("0 0 31 2 *", NOW)
    with pytest.raises(ValueError):
        next_slot("nonsense", NOW)
