"""backup.integrity: every byte is read in turn, for certain; damage is found and named."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup import reading
from backup.checks.integrity import integrity
from backup.keyless import look
from backup.objects import Folder
from backup.reading import Reading, groups
from backup.restic import repository_of
from backup.trouble import ResticTrouble
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


def nights(room: Room, count: int) -> list[Path]:
    """So many copies with some new bytes each; gives the packs, the greatest last."""
    for number in range(count):
        (room.www / f"{number}.bin").write_bytes(os.urandom(20_000))
        room.night(prove=())
    packs = [path for path in (room.repository / "data").rglob("*") if path.is_file()]
    return sorted(packs, key=lambda path: path.stat().st_size)


def budget(room: Room, share: float) -> None:
    """Each look reads this share of the data."""
    room.more = {"read_gib_per_look": reading.local_bytes(room.repository) * share / (1 << 30)}
    room.site.settings["backup"] = room.settings()


def test_a_flipped_bit_is_found_by_a_full_rotation(room: Room) -> None:
    """At a quarter of the repository a look, each pack is read within one rotation, and damage stays told after it."""
    packs = nights(room, 6)
    assert room.look(integrity)["user"].measures["verified_share"] == 1
    budget(room, 0.25)
    flip(packs[-1])
    verdicts = []
    for _ in range(12):
        room.now += timedelta(days=1)
        finding = room.look(integrity)["user"]
        assert finding.measures["read_bytes"] < reading.local_bytes(room.repository) * 0.7
        verdicts.append(finding.verdict.value)
    found = verdicts.index("broken")
    assert found < 8 and set(verdicts[found:]) == {"broken"}  # and the rotation goes on: no class is left behind
    assert finding.measures["oldest_unread_seconds"] < 9 * 86400
    assert finding.next == "gaccong plan backup.heal --site demo"
    assert packs[-1].name[:8] in finding.detail.vi and "hỏng 1 gói dữ liệu" in finding.detail.vi
    assert finding.measures["bad_objects"] == 1 and finding.measures["missing_objects"] == 0


def test_a_lost_pack_is_found_at_once(room: Room) -> None:
    room.night()
    pack = next(path for path in (room.repository / "data").rglob("*") if path.is_file())
    pack.unlink()
    finding = room.look(integrity)["user"]
    assert finding.verdict == "broken" and "mất 1 gói dữ liệu" in finding.detail.vi
    assert finding.facts["missing"] == [f"data/{pack.name}"]


def calls(room: Room, log: Path) -> Path:
    """restic, with each call that opens the repository noted in `log`."""
    spy = room.tmp / "restic-spy"
    spy.write_text(f"#!/bin/sh\ncase $1 in version) ;; *) echo \"$*\" >> {log} ;; esac\nexec {room.program} \"$@\"\n")
    spy.chmod(0o755)
    return spy


def test_a_night_opens_the_repository_twice(each: Room) -> None:
    """restic's key derivation costs 0.7 s for each opening: one for the copy, one for its proof."""
    log = each.tmp / "calls"
    each.site.settings["backup"] = each.settings(restic=str(calls(each, log)))
    for name in ("user", "system"):
        log.write_text("")
        body = each.night(name, prove=("backup.contents", "backup.integrity"))
        assert body["outcome"] == "proved", body["proofs"]
        said = log.read_text().splitlines()
        assert len(said) == 2 and " backup " in said[0] and " ls " in said[1], said


def test_as_a_proof_only_what_is_new_is_read(room: Room) -> None:
    (room.www / "to.bin").write_bytes(os.urandom(400_000))
    room.night(prove=("backup.contents", "backup.integrity"))
    (room.www / "nho.bin").write_bytes(os.urandom(1000))
    room.night(prove=("backup.contents",))
    finding = room.look(integrity, "user")["user"]
    assert finding.verdict == "met", finding.detail.vi
    assert 1000 < finding.measures["read_bytes"] < 100_000
    assert room.look(integrity)["user"].measures["read_bytes"] > 400_000


def test_new_damage_in_an_old_pack_waits_for_its_turn_but_new_packs_do_not(room: Room) -> None:
    packs = nights(room, 2)
    room.look(integrity)
    flip(packs[-1])
    assert room.look(integrity, "user")["user"].verdict == "met"
    assert room.look(integrity)["user"].verdict == "broken"
    assert room.look(integrity, "user")["user"].verdict == "broken"  # known now: read again as a proof too


def test_what_is_no_object_is_no_matter(room: Room) -> None:
    room.night()
    folder = room.repository / "data/00"
    folder.mkdir(exist_ok=True)
    (folder / ("00" * 32 + "-tmp-12345")).write_bytes(b"half")
    (room.repository / "data/zz").mkdir()
    (room.repository / "keys/note.txt").write_text("x")
    (room.repository / "data/ab").mkdir(exist_ok=True)
    os.mkfifo(room.repository / "data/ab" / ("ab" * 32))
    assert room.look(integrity)["user"].verdict == "met"


def test_a_repository_that_we_may_not_read_is_not_called_damaged(room: Room) -> None:
    room.night()
    shut = Folder(str(room.repository))
    name = next(iter(shut.names("snapshots")))
    with pytest.raises(ResticTrouble) as raised, pytest.MonkeyPatch.context() as patch:
        def refuse(self: Folder, name: str) -> Any:
            raise PermissionError(13, "Permission denied", name)

        patch.setattr(Folder, "open", refuse)  # root reads everything; a refusal can only be played
        look(room.site, room.ctx(), repository_of(room.ctx()), shut)
    assert name and raised.value.kind == "permission"


def test_repository_gone(room: Room) -> None:
    room.night()
    room.repository.rename(room.tmp / "away")
    assert room.look(integrity)["user"].verdict == "broken"


def test_long_unread_is_a_risk(room: Room) -> None:
    room.night()
    place = reading.path_of(room.ctx().home, str(room.repository))
    budget(room, 0.6)
    reading.keep(place, Reading((room.now - timedelta(days=100)).timestamp()))
    assert room.look(integrity)["user"].verdict == "at_risk"
    assert room.look(integrity)["user"].verdict == "met"
