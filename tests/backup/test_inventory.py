"""The inventory: what vanished stays told until it is back, or a change of ours says that it let it go."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from backup import inventory
from backup.checks.integrity import integrity
from backup.inventory import load, path_of
from backup.objects import Names, Stream
from backup.restic import Repository, repository_of
from ops.model import Evidence
from tests.backup.room import Room


class Sheet:
    """A repository that is a table of names."""

    at = "/kho"

    def __init__(self, names: Names) -> None:
        self.there = names

    def names(self, *kinds: str) -> Names:
        return {name: size for name, size in self.there.items() if not kinds or name.partition("/")[0] in kinds}

    def open(self, name: str) -> AbstractContextManager[Stream]:
        return closing(BytesIO(b"config"))


def name(number: int, kind: str = "data") -> str:
    return f"{kind}/{number:064x}"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 12)), st.sampled_from(["plain", "removal", "give_up"])), max_size=12))
def test_nothing_vanishes_untold(rounds: list[tuple[set[int], str]]) -> None:
    """Whatever comes and goes: missed is what was there once, is not now, and was not let go by a run that said so."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inventory" / "x.json"
        before: set[int] = set()
        missed: set[int] = set()
        last = ""
        for there, how in rounds:
            told = inventory.write(path, Sheet({name(one): one for one in there}), after_removal=how == "removal",
                                   give_up=("all",) if how == "give_up" else ())
            if how == "plain":
                missed |= before
            elif how == "give_up":
                missed = set()
            missed -= there
            kept = load(path)
            assert kept is not None and kept.sha256 == told["inventory"] and kept.previous == last
            assert set(kept.missed) == {name(one) for one in missed} and set(kept.objects) == {name(one) for one in there}
            assert told["objects"] == len(there) and told["object_bytes"] == sum(there)
            before, last = there, kept.sha256


def test_only_what_is_named_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "i" / "x.json"
    inventory.write(path, Sheet({name(1): 1, name(2): 2, name(3, "snapshots"): 3}))
    told = inventory.write(path, Sheet({}), give_up=(name(1), name(3, "snapshots")))
    kept = load(path)
    assert kept is not None and set(kept.missed) == {name(2)}
    assert told["removed_snapshots"] == [f"{3:064x}"]


def test_config_stays_pinned(tmp_path: Path) -> None:
    path, sheet = tmp_path / "i" / "x.json", Sheet({name(1): 1})
    first = inventory.write(path, sheet)["config"]
    sheet.open = lambda name: closing(BytesIO(b"another"))  # type: ignore[method-assign,assignment]
    assert inventory.write(path, sheet)["config"] == first
    assert inventory.write(path, sheet, give_up=("config",))["config"] != first


def test_a_hundred_thousand_objects(tmp_path: Path) -> None:
    """Written, read back and compared in about a second, in a file of 8 MB; the chain of hashes stays short."""
    path, sheet = tmp_path / "i" / "x.json", Sheet({name(one * 7919): 16 << 20 for one in range(100_000)})
    began = time.process_time()
    inventory.write(path, sheet)
    inventory.write(path, sheet)
    kept = load(path)
    assert kept is not None and len(kept.objects) == 100_000 and not kept.missed
    assert time.process_time() - began < 6 and path.stat().st_size < 9_000_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for _ in range(70):
        inventory.write(tmp_path / "i" / "y.json", Sheet({}))
    assert len((load(tmp_path / "i" / "y.json") or kept).chain) == 64


def test_a_file_that_cannot_be_understood_is_no_inventory(tmp_path: Path) -> None:
    place = tmp_path / "x.json"
    assert load(place) is None
    for spoilt in (b"", b"{", b"[]", b"{}", b'{"objects": []}', b'{"config": "", "previous": "", "chain": [], "objects": {"data": 3}, "missed": {}}'):
        place.write_bytes(spoilt)
        assert load(place) is None


def test_a_place_that_cannot_be_listed_leaves_the_inventory_as_it_was(room: Room) -> None:
    room.night()
    path = path_of(room.ctx().home, str(room.repository))
    before = path.read_bytes()
    for at in (str(room.tmp / "khong-co"), "rest:http://127.0.0.1:9/", "sftp:kho:/x"):
        done = subprocess.run([sys.executable, "-I", "-m", "backup.inventory", "--at", at, "--file", str(path)],
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == inventory.NOT_LISTED and at in done.stderr and not done.stdout
    assert path.read_bytes() == before


def test_the_ledger_keeps_its_hash_and_the_next_night_follows(room: Room) -> None:
    bodies = [room.night() for _ in range(2)]
    noted = inventory.notes(room.site, room.ctx(), str(room.repository))
    kept = load(path_of(room.ctx().home, str(room.repository)))
    assert kept is not None and [note.sha256 for note in noted] == [kept.previous, kept.sha256]
    assert bodies[0]["steps"][-1]["answer"]["objects"] < bodies[1]["steps"][-1]["answer"]["objects"]
    assert room.look(integrity)["user"].verdict == "met"


def test_an_inventory_put_back_to_an_old_state_is_told(room: Room) -> None:
    room.night()
    path = path_of(room.ctx().home, str(room.repository))
    old = path.read_bytes()
    room.night()
    path.write_bytes(old)
    finding = room.look(integrity)["user"]
    assert finding.verdict == "broken" and "demo#2" in finding.detail.vi
    assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "unproved"  # it grew from a false one
    assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"


def test_a_lost_inventory_hides_no_lost_copy(room: Room) -> None:
    """Inventory and snapshot deleted together, even past the next night: the ledger still knows the copy."""
    for _ in range(3):
        room.night()
    path_of(room.ctx().home, str(room.repository)).unlink()
    finding = room.look(integrity)["user"]
    assert finding.verdict == "at_risk" and "danh mục kho" in finding.detail.vi
    listed = json.loads(room.restic("snapshots", "--json"))
    (room.repository / "snapshots" / listed[1]["id"]).unlink()
    room.night()
    finding = room.look(integrity)["user"]
    assert finding.verdict == "broken" and listed[1]["id"][:8] in finding.detail.vi


def test_copies_that_an_interrupted_run_left_are_no_matter(room: Room) -> None:
    """Steps were carried out, the outcome never noted: the file is one ahead of the ledger, and follows it."""
    room.night()
    room.carry(room.plan().steps)
    assert room.look(integrity)["user"].verdict == "met"
    assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"


def test_a_removal_of_ours_is_no_loss_but_one_before_it_is(room: Room) -> None:
    for _ in range(4):
        room.night()
    listed = [one["id"] for one in json.loads(room.restic("snapshots", "--json"))]
    (room.repository / "snapshots" / listed[3]).unlink()  # somebody else's deed
    repository = inventory_repository(room)
    before = inventory.step(room.ctx().home, repository)
    after = inventory.step(room.ctx().home, repository, gone=[listed[0]])
    results = room.carry(tuple(before))
    room.restic("forget", "--prune", listed[0])
    (room.repository / "snapshots" / listed[2]).unlink()  # and once more, behind the removal of ours
    results += room.carry(tuple(after))
    assert all(result.done for result in results)
    assert results[-1].answer["removed_snapshots"] == [listed[0]]
    room.ledger.lines.append(Evidence("demo", 99, room.now + timedelta(minutes=1), "outcome", "backup.prune", "",
                                      {"steps": [result.json() for result in results]}))
    finding = room.look(integrity)["user"]
    assert finding.facts["missing"] == sorted(f"snapshots/{one}" for one in listed[2:4])


def test_a_removal_that_was_killed_is_known_as_ours_and_nothing_else_is(tmp_path: Path) -> None:
    """The note of what goes is written before it goes; the next run takes exactly that, and the note away."""
    path, ours, other = tmp_path / "i" / "x.json", name(1, "snapshots"), name(2, "snapshots")
    inventory.write(path, Sheet({ours: 1, other: 1, name(3): 3, name(4, "keys"): 4}))
    inventory.note_going(inventory.going_of(path), [ours[10:]])
    assert stat.S_IMODE(inventory.going_of(path).stat().st_mode) == 0o600
    told = inventory.write(path, Sheet({}))
    kept = load(path)
    assert kept is not None and set(kept.missed) == {other, name(4, "keys")} and told["removed_snapshots"] == [ours[10:]]
    assert not inventory.going(path) and not inventory.going_of(path).exists()


def inventory_repository(room: Room) -> Repository:
    return repository_of(room.ctx())


def test_while_a_change_is_at_work_missing_objects_accuse_nobody(room: Room) -> None:
    room.night()
    next((room.repository / "snapshots").iterdir()).unlink()
    room.ledger.lines.append(Evidence("demo", 50, room.now, "intent", "backup.prune", "", {}))
    assert room.look(integrity)["user"].verdict == "unseen"
    room.ledger.lines.append(Evidence("demo", 51, room.now, "outcome", "backup.prune", "", {"intent": 50, "steps": []}))
    assert room.look(integrity)["user"].verdict == "broken"
