"""backup.integrity: every byte is read in turn, for certain; damage is found and named."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup import reading
from backup.checks.integrity import integrity
from backup.reading import Reading, groups
from tests.backup.room import Room

T0 = datetime(2026, 11, 1, tzinfo=UTC)


@given(st.lists(st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128, 256]), min_size=1, max_size=20))
def test_the_oldest_class_is_always_next(rounds: list[int]) -> None:
    """Whatever t was in between, the group that is read holds the class unread for longest."""
    state, now = Reading(T0.timestamp()), T0
    for t in rounds:
        now += timedelta(days=1)
        before = state.oldest(now)
        n = state.group(t)
        assert 1 <= n <= t
        state = state.after(n, t, now)
        assert sum(stamp == now.timestamp() for stamp in state.read) == 256 // t
        assert state.oldest(now) <= before


@pytest.mark.parametrize("t", [1, 2, 8, 256])
def test_t_rounds_cover_everything(t: int) -> None:
    state, now = Reading(T0.timestamp()), T0
    for _ in range(t):
        now += timedelta(days=1)
        state = state.after(state.group(t), t, now)
    assert state.never == 0
    assert state.oldest(now) == (t - 1) * 86400


@pytest.mark.parametrize(("size", "budget", "t"), [(0, 10, 1), (10, 10, 1), (11, 10, 2), (40, 10, 4), (41, 10, 8),
                                                   (10**9, 10, 256)])
def test_groups(size: int, budget: float, t: int) -> None:
    assert groups(size, budget) == t


def test_reading_survives_and_a_spoilt_file_starts_anew(tmp_path: Path) -> None:
    place = tmp_path / "r.json"
    state = Reading(T0.timestamp()).after(1, 2, T0)
    reading.keep(place, state)
    assert reading.load(place, T0) == state
    for spoilt in ("", "{", "[]", '{"first": 1, "read": [1]}', '{"first": 1, "read": null}'):
        place.write_text(spoilt)
        assert reading.load(place, T0) == Reading(T0.timestamp())


def test_one_look_serves_all_sets(room: Room) -> None:
    room.night()
    found = room.look(integrity)
    assert set(found) == {"user", "system"}
    assert all(finding.verdict == "met" and finding.measures["unread_classes"] == 0 for finding in found.values())
    assert set(room.look(integrity, "user")) == {"user"}


def flip(pack: Path) -> None:
    data = bytearray(pack.read_bytes())
    data[100] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)


def test_a_flipped_bit_is_found_by_a_full_rotation(room: Room) -> None:
    """At a quarter of the repository a look, one of four looks finds it, and is not counted as read."""
    for number in range(6):
        (room.www / f"{number}.bin").write_bytes(os.urandom(20_000))
        room.night(prove=())
    packs = sorted((room.repository / "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    size = reading.local_bytes(room.repository)
    room.more = {"read_gib_per_look": size / 3.5 / (1 << 30)}
    room.site.settings["backup"] = room.settings()
    assert groups(size, size / 3.5) == 4
    flip(packs[-1])
    group = int(packs[-1].name[:2], 16) % 4 + 1
    verdicts = []
    for _ in range(group):
        finding = room.look(integrity)["user"]
        verdicts.append(finding.verdict.value)
        room.now += timedelta(days=1)
    assert verdicts == ["met"] * (group - 1) + ["broken"]
    assert finding.next.endswith("check --read-data")
    assert packs[-1].name[:8] in str(finding.facts)
    assert room.look(integrity)["user"].verdict == "broken"  # still the oldest unread: it is read again


def test_a_lost_pack_is_found_at_once(room: Room) -> None:
    room.night()
    next(path for path in (room.repository / "data").rglob("*") if path.is_file()).unlink()
    assert room.look(integrity)["user"].verdict == "broken"


def test_repository_gone(room: Room) -> None:
    room.night()
    room.repository.rename(room.tmp / "away")
    assert room.look(integrity)["user"].verdict == "broken"


def test_long_unread_is_a_risk(room: Room) -> None:
    room.night()
    place = reading.path_of(room.ctx().home, str(room.repository))
    size = reading.local_bytes(room.repository)
    room.more = {"read_gib_per_look": size / 1.5 / (1 << 30)}
    room.site.settings["backup"] = room.settings()
    reading.keep(place, Reading((room.now - timedelta(days=100)).timestamp()))
    assert room.look(integrity)["user"].verdict == "at_risk"
    assert room.look(integrity)["user"].verdict == "met"
