"""backup.heal: what the site or a mirror still has comes back; what nothing can bring back is said, not hidden."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backup.changes.copy import blamed, copy
from backup.changes.heal import heal
from backup.changes.restore import restore
from backup.checks.anomaly import anomaly
from backup.checks.contents import contents
from backup.checks.drill import drill
from backup.checks.fresh import fresh
from backup.checks.integrity import integrity
from backup.checks.offsite import offsite
from backup.copies import copies
from backup.mend import MOVING, aside
from backup.objects import Folder
from backup.restic import repository_of
from backup.vouched import holding
from ops.errors import PlanRefused
from ops.model import Evidence, Plan, State
from ops.moment import stamp
from ops.run import Here
from ops.secrets import resolve
from ops.steps import Carrier
from tests.backup.fastkey import _counter, _keys, _mac
from tests.backup.room import NEWER, PASSWORD, Room
from tests.backup.saved import Saved
from tests.backup.second import act, placed, restic, with_second


def copied(room: Room) -> Room:
    """Two copies of one set and one of the other, proved; two packs can be told apart by their size."""
    for number in range(2):
        (room.www / f"{number}.bin").write_bytes(os.urandom(60_000))
        assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
    assert room.night("system", prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
    return room


@pytest.fixture(scope="module")
def saved_newer(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Saved:
    place = tmp_path_factory.mktemp("newer")
    return Saved(copied(Room(place / "room", template, program=NEWER)), place / "saved")


@pytest.fixture(scope="module")
def saved_old(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Saved:
    place = tmp_path_factory.mktemp("old")
    return Saved(copied(Room(place / "room", template)), place / "saved")


@pytest.fixture
def newer(saved_newer: Saved) -> Room:
    """A room with a restic that can repair."""
    return saved_newer.again()


@pytest.fixture
def old(saved_old: Saved) -> Room:
    """The same with Debian's."""
    return saved_old.again()


def pack(room: Room) -> Path:
    """The greatest pack."""
    return max((path for path in (room.repository / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def spoil(path: Path, at: int = 5000) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 8
    path.chmod(0o600)
    path.write_bytes(data)


def plan(room: Room, **args: str) -> Plan:
    made = heal.function(room.site, room.ctx(), **args)
    assert made == heal.function(room.site, room.ctx(), **args)  # what is approved is what is planned again
    return made


def healed(room: Room, *, outcome: str = "proved", **args: str) -> dict[str, Any]:
    """Plans, carries out, proves with the real checks, notes the outcome."""
    made = plan(room, **args)
    results = room.carry(made.steps)
    assert len(results) == len(made.steps) and results[-1].done, results[-1].trouble.en
    seen = {check: {name: (finding.verdict.value, finding.detail.en) for name, finding in room.look(check).items()}
            for check in (integrity, contents)}  # as the engine: proof first, then the outcome's line
    room.ledger.lines.append(Evidence("demo", len(room.ledger.lines) + 1, room.now, "outcome", "backup.heal", "", {
        "steps": [result.json() for result in results], "outcome": outcome}))
    return seen


def assert_whole(room: Room, found: dict[str, Any]) -> None:
    """Both proofs hold, restic agrees, and every file comes back right."""
    assert {verdict for one in found.values() for verdict, _ in one.values()} == {"met"}, json.dumps(list(found.values()), indent=1)
    room.restic("check", "--read-data")
    target = room.tmp / "ra"
    room.restic("restore", "latest", "--tag", "set=user", "--target", str(target))
    for path in (one for one in room.www.rglob("*") if one.is_file()):
        assert (target / str(path).lstrip("/")).read_bytes() == path.read_bytes()


def lost_index(room: Room) -> None:
    for path in (room.repository / "index").iterdir():
        path.unlink()


@pytest.mark.parametrize("harm", [lambda room: spoil(pack(room)), lambda room: spoil(pack(room), -3), lost_index,
                                  lambda room: spoil(next((room.repository / "index").iterdir()), 40)],
                         ids=["flipped", "header", "no_index", "spoilt_index"])
def test_damage_is_healed_from_the_site(newer: Room, harm: Callable[[Room], None]) -> None:
    harm(newer)
    assert newer.look(integrity)["user"].verdict == "broken"
    assert_whole(newer, healed(newer))
    assert plan(newer).steps == ()
    assert newer.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
    assert not list(Path.cwd().glob("pack-*"))  # restic's rescue files lie in a folder of ours


@pytest.mark.parametrize("harm", [lambda room: pack(room).unlink(), lambda room: os.truncate(_open(pack(room)), 0)],
                         ids=["deleted", "emptied"])
def test_a_whole_pack_that_is_gone_leaves_holes_in_old_copies_which_are_told(newer: Room, harm: Callable[[Room], None]) -> None:
    """The site gives its files again; last night's manifest, which lay in the same pack, nobody has."""
    harm(newer)
    assert newer.look(integrity)["user"].verdict == "broken"
    assert "give_up=yes" in plan(newer).title.vi
    found = healed(newer)
    assert {verdict for verdict, _ in found[contents].values()} == {"met"}  # the new copies are whole
    assert found[integrity]["user"][0] == "broken"
    assert_whole(newer, healed(newer, give_up="yes"))
    assert newer.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"


def _open(path: Path) -> Path:
    path.chmod(0o600)
    return path


def test_force_alone_would_heal_nothing(newer: Room) -> None:
    """Why the plan repairs first: restic's own backup of every byte exits 0 and leaves the damage."""
    spoil(pack(newer))
    newer.restic("backup", "--force", str(newer.www))
    newer.restic("check", "--read-data", code=1)


def test_the_old_restic_heals_a_lost_index_and_says_what_it_cannot(old: Room) -> None:
    room = old
    harmed = pack(room)
    kept = harmed.read_bytes()
    spoil(harmed)
    room.look(integrity)
    with pytest.raises(PlanRefused) as refused:
        plan(room)
    assert "0.16" in refused.value.mend.en and "(1 gói)" in refused.value.what.vi
    harmed.write_bytes(kept)
    lost_index(room)
    assert_whole(room, healed(room))


def test_a_file_mirror_heals_everything(old: Room) -> None:
    """The same names elsewhere, as a mirror has them: pack, snapshot, key, index and config come back, byte for byte."""
    room = old
    mirror = room.tmp / "guong"
    shutil.copytree(room.repository, mirror)
    room.more["second"] = {"guong": {"repository": str(mirror), "password": "file:mat-khau", "schedule": "0 5 * * *"}}
    room.site.settings["backup"] = room.settings()
    before = {path.relative_to(room.repository): path.read_bytes() for path in room.repository.rglob("*") if path.is_file()}
    spoil(pack(room))
    for kind in ("snapshots", "keys", "index"):
        next((room.repository / kind).iterdir()).unlink()
    spoil(room.repository / "config", 20)
    finding = room.look(integrity)["user"]
    assert all(word in finding.detail.vi for word in ("gói dữ liệu", "bản sao", "tệp khóa", "tệp chỉ mục", "config"))
    assert_whole(room, healed(room))
    for name, content in before.items():
        assert (room.repository / name).read_bytes() == content


def test_a_mirror_that_is_bad_itself_is_not_believed(newer: Room) -> None:
    mirror = newer.tmp / "guong"
    shutil.copytree(newer.repository, mirror)
    newer.more["second"] = {"guong": {"repository": str(mirror), "password": "file:mat-khau", "schedule": "0 5 * * *"}}
    newer.site.settings["backup"] = newer.settings()
    harmed = pack(newer)
    spoil(harmed)
    spoil(mirror / harmed.relative_to(newer.repository), 9000)
    newer.look(integrity)
    assert_whole(newer, healed(newer))


def test_a_lost_key_is_told_as_final(old: Room) -> None:
    room = old
    for key in (room.repository / "keys").iterdir():
        key.unlink()
    assert "mất 1 tệp khóa" in room.look(integrity)["user"].detail.vi
    with pytest.raises(PlanRefused) as refused:
        plan(room)
    assert "không có cách chữa" in refused.value.what.vi


def newest(room: Room) -> Path:
    return room.repository / "snapshots" / json.loads(room.restic("snapshots", "--json", "--tag", "set=user"))[-1]["id"]


def test_a_deleted_snapshot_is_given_up_only_by_word(old: Room) -> None:
    room = old
    newest(room).unlink()
    assert "mất 1 tệp bản sao" in room.look(integrity)["user"].detail.vi
    with pytest.raises(PlanRefused) as refused:
        plan(room)
    assert "give_up=yes" in refused.value.mend.vi
    found = healed(room, give_up="yes")
    assert_whole(room, found)
    room.now += timedelta(days=1)
    assert room.look(integrity)["user"].verdict == "met"  # the loss was accepted, by a change that the ledger has


def test_a_deleted_snapshot_comes_back_from_a_second_place(old: Room) -> None:
    room = old
    second = room.tmp / "kho-hai"
    room.restic("-r", str(second), "init", "--from-repo", str(room.repository), "--from-password-file",
                str(room.tmp / "mat-khau"), "--copy-chunker-params")
    room.restic("-r", str(second), "copy", "--from-repo", str(room.repository), "--from-password-file",
                str(room.tmp / "mat-khau"))
    room.more["second"] = {"hai": {"repository": str(second), "password": "file:mat-khau", "schedule": "0 5 * * *"}}
    room.site.settings["backup"] = room.settings()
    gone = newest(room)
    kept = gone.read_bytes()
    gone.unlink()
    room.look(integrity)
    with pytest.raises(PlanRefused) as refused:  # it claims to be the lost one; the ledger knows nothing of it
        plan(room)
    assert "không lấy" in refused.value.what.vi and "not taken" in refused.value.what.en
    gone.write_bytes(kept)
    assert act(room, copy, place="hai")["steps"][0]["answer"]["pairs"]
    forge(room, second, gone.name)
    gone.unlink()
    room.look(integrity)
    assert_whole(room, healed(room))
    assert gone.name in room.restic("snapshots", "--json")  # as the `original` of the one that came back
    assert '"forged"' not in room.restic("snapshots", "--json")


def forge(room: Room, second: Path, original: str) -> None:
    """Plants a snapshot of other files that names this original, as whoever holds the second place can."""
    (room.tmp / "gia").mkdir()
    (room.tmp / "gia" / "tep").write_text("giả")
    tags = [part for tag in ("gaccong", "level=user", "set=user", "site=demo", "forged") for part in ("--tag", tag)]
    room.restic("-r", str(second), "backup", *tags, str(room.tmp / "gia"))
    newest_there = max((second / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    (keys,) = (second / "keys").iterdir()
    body = json.loads(keys.read_bytes())
    key, mac, nonce = _keys(PASSWORD, body)
    assert mac and nonce
    sealed = base64.b64decode(body["data"])
    master = json.loads(_counter(key, sealed[:16], sealed[16:-16]))
    crypt, one, two = (base64.b64decode(part) for part in (master["encrypt"], master["mac"]["k"], master["mac"]["r"]))
    said = {**json.loads(room.restic("-r", str(second), "cat", "snapshot", newest_there.name)), "original": original}
    fresh = os.urandom(16)
    data = _counter(crypt, fresh, json.dumps(said).encode())
    made = fresh + data + _mac(one, two, fresh, data)
    newest_there.unlink()
    (second / "snapshots" / hashlib.sha256(made).hexdigest()).write_bytes(made)


def test_a_killed_run_leaves_snapshots_aside_and_the_next_puts_them_back(old: Room) -> None:
    """As after kill -9 in the middle of bringing copies back: nothing is lost, though no other place has it."""
    gone = newest(old)
    kept = gone.read_bytes()
    rescue = old.ctx().home / "rescue"
    rescue.mkdir(mode=0o700)
    assert aside(Folder(str(old.repository)), rescue, [f"snapshots/{gone.name}"], mark=MOVING) == 1
    (rescue / f"{MOVING}snapshots-{'0' * 64}").write_bytes(b"not what its name says")
    assert not gone.exists() and "mất 1 tệp bản sao" in old.look(integrity)["user"].detail.vi
    assert_whole(old, healed(old))
    assert gone.read_bytes() == kept and not (gone.parent / ("0" * 64)).exists()


@pytest.mark.parametrize("kind", ["old", "newer"])
def test_holes_in_old_copies_are_filled_from_a_second_place(kind: str, request: pytest.FixtureRequest) -> None:
    """Last night's manifest lay in the lost pack: the site cannot give it again, the second place can, with any restic."""
    room: Room = request.getfixturevalue(kind)
    second = room.tmp / "kho-hai"
    source = ("--from-repo", str(room.repository), "--from-password-file", str(room.tmp / "mat-khau"))
    room.restic("-r", str(second), "init", *source, "--copy-chunker-params")
    room.restic("-r", str(second), "copy", *source)
    room.more["second"] = {"hai": {"repository": str(second), "password": "file:mat-khau", "schedule": "0 5 * * *"}}
    room.site.settings["backup"] = room.settings()
    before = [copy.snapshot for copy in copies(room.site, room.ctx())]
    pack(room).unlink()
    assert room.look(integrity)["user"].verdict == "broken"
    assert "give_up" not in plan(room).title.vi
    assert_whole(room, healed(room))
    known = copies(room.site, room.ctx())
    assert not {copy.snapshot for copy in known} & set(before)  # they came back under new names,
    listed = json.loads(room.restic("snapshots", "--json"))
    assert {copy.snapshot for copy in known} <= {one["id"] for one in listed}  # and the ledger vouches for these
    for one in listed:
        room.restic("restore", one["id"], "--target", str(room.tmp / "moi" / one["short_id"]))
    room.now += timedelta(days=1)
    assert room.look(integrity)["user"].verdict == "met"
    assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"


@pytest.mark.parametrize(("kind", "harm"), [("old", lost_index), ("newer", lambda room: spoil(pack(room)))], ids=["old", "newer"])
def test_what_a_heal_copies_counts_as_copies(kind: str, harm: Callable[[Room], None], request: pytest.FixtureRequest) -> None:
    """One outcome with a copy of each set: known, counted, drilled, and nothing strange to the alarm."""
    room: Room = request.getfixturevalue(kind)
    room.now += timedelta(days=5)
    harm(room)
    room.look(integrity)
    healed(room, outcome="proved")
    mine = {copy.set: copy for copy in copies(room.site, room.ctx()) if copy.evidence == room.ledger.lines[-1].id}
    assert mine.keys() == {"user", "system"} and all(copy.proved and copy.files and copy.manifest for copy in mine.values())
    assert len({copy.snapshot for copy in mine.values()}) == 2
    listed = repository_of(room.ctx()).snapshots(room.ctx(), "gaccong")
    held = holding(room.site, room.ctx(), listed)
    assert held.strangers == () and [lot.copy for lot in held.lots if lot.evidence == room.ledger.lines[-1].id] == [
        mine[lot.set] for lot in held.lots if lot.evidence == room.ledger.lines[-1].id]
    assert {held.of(name)[-1].evidence for name in mine} == {room.ledger.lines[-1].id}
    for level, made in mine.items():
        found = room.look(fresh)[level]
        assert found.facts["snapshots"][-1] == made.snapshot and found.measures["newest_age_seconds"] == 0
    assert {one.verdict for one in room.look(anomaly).values()} == {"met"}  # every byte read anew is no mass change
    assert room.look(drill, "user")["user"].facts["evidence"] == mine["user"].evidence
    back = restore.function(room.site, room.ctx(), set="system", to=str(room.tmp / "may"))
    assert any(mine["system"].snapshot in step.argv for step in back.steps)
    room.now += timedelta(days=1)
    assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
    assert room.look(anomaly)["user"].verdict == "met"
    line = next(one for one in room.ledger.lines if one.duty == "backup.heal")
    room.ledger.lines[line.seq - 1] = replace(line, body={**line.body, "outcome": "unproved"})
    assert not any(copy.proved for copy in copies(room.site, room.ctx()) if copy.evidence == line.id)


def test_what_a_killed_heal_left_is_no_strangers_work(old: Room) -> None:
    lost_index(old)
    old.look(integrity)
    healed(old)
    line = old.ledger.lines[-1]
    made = {copy.snapshot for copy in copies(old.site, old.ctx()) if copy.evidence == line.id}
    body = {"steps": [], "outcome": "interrupted", "args": {}, "started": stamp(datetime.now(UTC) - timedelta(minutes=10))}
    old.ledger.lines[-1] = replace(line, body=body, time=datetime.now(UTC) + timedelta(minutes=1))
    held = holding(old.site, old.ctx(), repository_of(old.ctx()).snapshots(old.ctx(), "gaccong"))
    left = [one.id for lot in held.lots if lot.copy is None for one in lot.snapshots]
    assert held.strangers == () and len(left) == len(made) == 2 and all(any(one.startswith(id_) for one in left) for id_ in made)


def oldest_pack(room: Room) -> Path:
    """The pack whose data only the first copies need: its file was written anew since."""
    data = (path for path in (room.repository / "data").rglob("*") if path.is_file() and path.stat().st_size > 50_000)
    return min(data, key=lambda path: path.stat().st_mtime_ns)


def holed(room: Room) -> Room:
    """A room whose first two copies lack a file for good, after a heal that could not bring it back: unproved."""
    room.ledger.known = []
    (room.www / "0.bin").write_bytes(os.urandom(60_000))
    room.night(prove=("backup.contents", "backup.integrity"))
    spoil(oldest_pack(room))
    assert room.look(integrity)["user"].verdict == "broken"
    found = healed(room, outcome="unproved")
    assert found[integrity]["user"][0] == "broken"
    return room


def stand(room: Room) -> None:
    """What the engine would keep of backup.integrity now."""
    room.ledger.known = [State("demo", "backup.integrity", one.subject, one.verdict, room.now, room.now, one.detail, {}, "", 1,
                               86400.0) for one in room.look(integrity).values()]


def test_a_loss_that_no_heal_can_mend_is_named_and_given_up_by_word(newer: Room, second_template: Path) -> None:
    """No loop of the same heal; what is rewritten is work of ours, no whole copy, here and at the second place."""
    room = holed(newer)
    lost = [one.snapshot for one in copies(room.site, room.ctx()) if one.set == "user"][:2]
    stand(room)
    with pytest.raises(PlanRefused) as refused:
        plan(room)
    assert all(one[:8] in refused.value.what.vi for one in lost) and "srv/www/0.bin" in refused.value.what.vi
    assert "gaccong plan backup.heal give_up=yes --site demo" in refused.value.mend.vi
    assert "0.bin" in plan(room, give_up="yes").title.vi
    assert_whole(room, healed(room, give_up="yes"))
    answer = next(step["answer"] for step in room.ledger.lines[-1].body["steps"] if "rewritten" in (step["answer"] or {}))
    assert answer["rewritten"].keys() == set(lost) and answer["dropped"] == []
    new = set(answer["rewritten"].values())
    room.restic("restore", min(new), "--target", str(room.tmp / "con"))
    assert (room.tmp / f"con{room.www}" / "index.html").exists()
    found = room.look(anomaly)["repository"]
    assert found.verdict == "met" and set(found.facts["not_counted"]) == new, found.detail.vi
    lots = holding(room.site, room.ctx(), repository_of(room.ctx()).snapshots(room.ctx(), "gaccong")).lots
    assert [lot.proved for lot in lots if new & {one.id for one in lot.snapshots}] == [False, False]
    good = sum(lot.proved for lot in lots)
    assert good == len(lots) - 4  # the heal before was not proved: its copies of both sets stand beside
    stand(room)
    with_second(room, placed(second_template, room.tmp / "kho2"))
    assert act(room, copy, [offsite], place="xa")["outcome"] == "proved"
    found = room.look(offsite)["xa"]
    assert found.verdict == "met" and found.facts["unknown"] == [] and found.measures["copies"] == good
    empty = plan(room)
    assert empty.steps == () and [proof.check for proof in empty.proofs] == ["backup.integrity"]


def test_what_the_site_still_has_is_not_given_up(newer: Room) -> None:
    """The word is for what is lost: old copies stay whole where the site gave their data again."""
    before = [one["id"] for one in json.loads(newer.restic("snapshots", "--json"))]
    spoil(pack(newer))
    newer.look(integrity)
    assert_whole(newer, healed(newer, give_up="yes"))
    assert set(before) <= {one["id"] for one in json.loads(newer.restic("snapshots", "--json"))}


def test_a_second_place_that_came_later_is_asked_before_a_loss_is_given_up(newer: Room) -> None:
    shutil.copytree(newer.repository, newer.tmp / "xua")
    room = holed(newer)
    second = room.tmp / "kho-hai"
    source = ("--from-repo", str(room.tmp / "xua"), "--from-password-file", str(room.tmp / "mat-khau"))
    room.restic("-r", str(second), "init", *source, "--copy-chunker-params")
    room.restic("-r", str(second), "copy", *source)
    room.more["second"] = {"hai": {"repository": str(second), "password": "file:mat-khau", "schedule": "0 5 * * *"}}
    room.site.settings["backup"] = room.settings()
    assert_whole(room, healed(room))


@pytest.mark.parametrize("program", [NEWER, "restic"], ids=["newer", "old"])
def test_a_copy_with_holes_is_never_proved_and_damage_is_not_copied_over(newer: Room, second_template: Path, program: str) -> None:
    """restic copy ends with 0 where its source lacks the data of a file: only a look at the second place tells."""
    room = holed(newer)
    room.program = program
    with_second(room, placed(second_template, room.tmp / "kho2"))
    body = act(room, copy, [offsite], place="xa")
    restic(room, str(room.tmp / "kho2"), "check", code=1)
    assert body["outcome"] == "unproved" and body["proofs"][0][1] == "broken", body["proofs"]
    assert "0.bin" in body["proofs"][0][2]
    assert room.look(offsite)["xa"].verdict == "broken" and room.look(offsite)["3-2-1"].facts["places"] == ["first"]
    room.now += timedelta(days=1)
    assert room.look(offsite)["xa"].verdict == "broken"  # until it is mended
    stand(room)
    with pytest.raises(PlanRefused) as refused:
        act(room, copy, [offsite], place="xa")
    assert "kho gốc đang hỏng" in refused.value.what.vi and "backup.heal" in refused.value.mend.vi
    if program == "restic":
        return
    room.ledger.known = []
    healed(room, give_up="yes")
    told = room.look(offsite)["xa"].detail.vi
    command = told[told.index("restic -r ") :].partition(");")[0].partition("; không")[0]
    assert f"restic -r {room.tmp / 'kho2'} forget --prune " in command
    restic(room, str(room.tmp / "kho2"), *command.split()[3:])
    assert act(room, copy, [offsite], place="xa", give_up="yes")["outcome"] == "proved"
    restic(room, str(room.tmp / "kho2"), "check", "--read-data")
    assert room.look(offsite)["xa"].verdict == "met"


def test_a_copy_from_a_damaged_repository_blames_that_one(each: Room, second_template: Path) -> None:
    each.night()
    with_second(each, placed(second_template, each.tmp / "kho2"))
    spoil(max((path for path in (each.repository / "data").rglob("*") if path.is_file()), key=lambda one: one.stat().st_size), 40)
    assert copy.explain is blamed
    carrier = Carrier(lambda host: Here(), lambda reference: resolve(reference, each.tmp), explain=blamed)
    result = carrier.carry_out(copy.function(each.site, each.ctx(), place="xa").steps[0])
    trouble = result.trouble.vi
    assert not result.done and str(each.repository) in trouble and "kho2" not in trouble, trouble
    assert "hỏng dữ liệu" in trouble and "gaccong plan backup.heal read=all --site demo" in trouble and "github.com" not in trouble
