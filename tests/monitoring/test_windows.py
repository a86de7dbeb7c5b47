"""Maintenance windows: the file, its faults, what is in force; whether they are announced in time."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.checks.notice import notice
from monitoring.settings import Settings
from monitoring.windows import FILE, Window, add, cancel, covered, in_force, read, upcoming
from ops import CannotSee, Finding, UsageError, Verdict
from tests.kit import NOW, make_context, make_site

HOUR = timedelta(hours=1)


def window(start: datetime = NOW + 24 * HOUR, *, long: timedelta = 2 * HOUR, announced: datetime = NOW - 30 * 24 * HOUR,
           recorded: datetime = NOW, reason: str = "nâng cấp máy chủ", **more: object) -> Window:
    return Window(start, start + long, announced, reason, "Tổ kỹ thuật", recorded, **more)


def test_what_is_added_is_read_back_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    made = add(tmp_path, window(reason="nâng cấp\nmáy\u202e chủ"))
    assert read(tmp_path).windows == (made,)
    assert made.reason == "nâng cấp máy chủ"
    assert read(tmp_path).find(made.id) == made
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    add(tmp_path, window(reason="nâng cấp\nmáy\u202e chủ"))
    assert len((tmp_path / FILE).read_text().splitlines()) == 1


def test_no_file_is_no_window(tmp_path: Path) -> None:
    assert read(tmp_path).windows == ()


@pytest.mark.parametrize("bad", [
    {"long": timedelta(0)}, {"long": timedelta(days=32)}, {"announced": NOW + HOUR}, {"reason": " \u200b"},
    {"start": datetime(2026, 12, 1)},
])
def test_senseless_windows_are_refused(tmp_path: Path, bad: dict) -> None:
    with pytest.raises(UsageError):
        add(tmp_path, window(**bad))
    assert not (tmp_path / FILE).exists()


def test_a_late_entry_is_kept_and_flagged(tmp_path: Path) -> None:
    made = add(tmp_path, window(NOW - HOUR))
    assert made.late and not window().late
    assert covered([made], NOW - 5 * HOUR, NOW + 5 * HOUR) == []
    assert covered([made], NOW - 5 * HOUR, NOW + 5 * HOUR, late=True) == [(NOW - HOUR, NOW + HOUR)]


def test_calling_off(tmp_path: Path) -> None:
    running = add(tmp_path, window(NOW - HOUR, long=3 * HOUR, recorded=NOW - 9 * HOUR))
    coming = add(tmp_path, window())
    cancel(tmp_path, coming.id, reason="hoãn", who="Tổ kỹ thuật", now=NOW)
    cancel(tmp_path, running.id, reason="xong sớm", who="Tổ kỹ thuật", now=NOW)
    found = read(tmp_path).windows
    assert upcoming(found, NOW) == []
    assert in_force(found, NOW - HOUR / 2) is not None and in_force(found, NOW) is None
    assert covered(found, NOW - 9 * HOUR, NOW + 99 * HOUR) == [(NOW - HOUR, NOW)]
    with pytest.raises(UsageError):
        cancel(tmp_path, coming.id, reason="hoãn", who="Tổ", now=NOW)
    with pytest.raises(UsageError):
        cancel(tmp_path, "khongco", reason="hoãn", who="Tổ", now=NOW)


def test_spoilt_lines_are_told_and_the_others_count(tmp_path: Path) -> None:
    made = add(tmp_path, window())
    edited = json.loads((tmp_path / FILE).read_text()) | {"announced_at": "2026-01-01T00:00:00Z"}
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(json.dumps(edited).encode() + b"\n[1]\n\xff\n" + b'{"cancels":["x"]}\n' + b"[" * 100_000
                     + b'\n{"start":"2026')
    after = add(tmp_path, window(NOW + 72 * HOUR))
    found = read(tmp_path)
    assert found.windows == (made, after)
    assert [line for line, _ in found.faults] == [2, 3, 4, 5, 6, 7]


def test_a_file_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(CannotSee):
        read(tmp_path)
    (tmp_path / FILE).rmdir()
    with (tmp_path / FILE).open("wb") as stream:
        stream.truncate(5 << 20)
    with pytest.raises(CannotSee):
        read(tmp_path)


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add(tmp_path, window(NOW + n * HOUR + HOUR)), range(40)))
    found = read(tmp_path)
    assert (len(found.windows), found.faults) == (40, ())


MINUTES = st.integers(0, 300)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MINUTES, st.integers(1, 120)), max_size=8), MINUTES, MINUTES)
def test_covered_equals_minute_by_minute(spans: list[tuple[int, int]], one: int, other: int) -> None:
    start, end = sorted((one, other))
    zero = datetime(2026, 11, 1, tzinfo=UTC)
    made = [window(zero + timedelta(minutes=a), long=timedelta(minutes=b), recorded=zero - HOUR) for a, b in spans]
    parts = covered(made, zero + timedelta(minutes=start), zero + timedelta(minutes=end))
    brute = sum(in_force(made, zero + timedelta(minutes=m)) is not None for m in range(start, end))
    assert sum((b - a).total_seconds() for a, b in parts) == 60 * brute
    assert all(a[1] < b[0] for a, b in zip(parts, parts[1:], strict=False))


def look(tmp: Path) -> Finding:
    [found] = notice.function(make_site(), make_context(tmp, Settings()))
    return found


def noticed(tmp: Path, announced: datetime, start: datetime, **more: object) -> Finding:
    home = tmp / "home"
    home.mkdir(exist_ok=True)
    (home / FILE).unlink(missing_ok=True)
    add(home, replace(window(start, announced=announced, recorded=announced), **more))
    return look(tmp)


def test_notice_counts_seven_whole_working_days(tmp_path: Path) -> None:
    # told on Friday 20 November 2026; Tuesday the 24th is a holiday: the 7th working day after is Wednesday 2 December
    assert look(tmp_path).verdict is Verdict.MET
    short = noticed(tmp_path, NOW, datetime(2026, 12, 2, 1, tzinfo=UTC))
    assert (short.verdict, short.measures["least_notice_workdays"]) == (Verdict.BROKEN, 6)
    assert "02/12/2026" in short.detail.vi and "dời lại" in short.detail.vi
    good = noticed(tmp_path, NOW, datetime(2026, 12, 3, 1, tzinfo=UTC))
    assert (good.verdict, good.measures["least_notice_workdays"]) == (Verdict.MET, 7)


def test_force_majeure_needs_no_notice_and_is_counted(tmp_path: Path) -> None:
    found = noticed(tmp_path, NOW, NOW + HOUR, forced=True)
    assert (found.verdict, found.measures["forced"]) == (Verdict.MET, 1)


def test_notice_is_not_met_when_the_file_was_edited(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / FILE).write_text("{}\n")
    assert look(tmp_path).verdict is Verdict.UNSEEN
