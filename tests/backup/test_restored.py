"""backup.restored: what a restore leaves of its own comparison, and that the proof speaks of this restore and no other."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from backup.changes.restore import restore
from backup.checks.restored import restored
from backup.judge import note_of
from ops.model import Evidence, Finding, Plan
from ops.planning import plan_json
from playbooks.restore_site import restore_site
from tests.backup.room import NEWER, Room
from tests.backup.second import note
from tests.journeys.place import Place

BY = ("--by", "Trần Thị Mẫu")


def begun(room: Room, plan: Plan, duty: str = "backup.restore") -> Evidence:
    """The intent that the engine writes before the first step."""
    return note(room, "intent", duty, {"args": {}, "by": "Trần Thị Mẫu", "plan": plan_json(plan)})


def ended(room: Room, intent: Evidence, outcome: str = "proved") -> None:
    note(room, "outcome", intent.duty, {"intent": intent.seq, "outcome": outcome, "steps": []})


def proof(room: Room) -> Finding:
    """As the engine asks: for the subject of the plan's proof."""
    return room.look(restored, "user")["user"]


def told(room: Room) -> Finding:
    """As the daily look asks."""
    return room.look(restored)["user"]


def plan(room: Room, to: str) -> Plan:
    made = restore.function(room.site, room.ctx(), to=str(room.tmp / to))
    assert [(one.check, one.subjects) for one in made.proofs] == [("backup.restored", ("user",))]
    return made


def test_a_right_restore_is_proved_by_its_own_comparison(each: Room) -> None:
    each.night()
    assert {one.verdict for one in each.look(restored).values()} == {"met"}  # nothing was ever restored: quiet
    made = plan(each, "ra")
    intent = begun(each, made)
    assert all(result.done for result in each.carry(made.steps))
    found = proof(each)
    assert found.verdict == "met" and found.measures["files"] >= 3 and found.measures["wrong_files"] == 0
    assert found.facts["to"] == [str(each.tmp / "ra")] and found.facts["by"] == "Trần Thị Mẫu"
    assert found.facts["snapshot"].startswith(each.ledger.lines[0].body["steps"][-2]["answer"]["snapshot_id"])
    assert told(each).verdict == "unseen"  # at work
    ended(each, intent)
    assert told(each).verdict == "met" and str(each.tmp / "ra") in told(each).detail.vi
    kept = note_of(each.ctx().home, "user")
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700


def test_an_old_note_proves_nothing(room: Room) -> None:
    """The note of yesterday's good restore is there; today's plan did not compare, or compared something else."""
    room.night()
    first = plan(room, "ra")
    ended(room, begun(room, first)) if all(one.done for one in room.carry(first.steps)) else pytest.fail("not restored")
    assert told(room).verdict == "met"
    second = plan(room, "ra-hai")
    intent = begun(room, second)
    assert proof(room).verdict == "broken" and "không để lại" in proof(room).detail.vi
    room.carry(second.steps[:2])  # begun and brought; killed before it was compared
    assert proof(room).verdict == "broken"
    ended(room, intent, "interrupted")
    found = told(room)
    assert found.verdict == "broken" and "chưa so xong" in found.detail.vi and "backup restore" in found.next


def test_wrong_bytes_and_missing_files_are_told(room: Room) -> None:
    room.night()
    made = plan(room, "ra")
    intent = begun(room, made)
    room.carry(made.steps[:2])
    root = room.tmp / "ra" / str(room.www).lstrip("/")
    spoilt = root / "anh" / "a.jpg"
    data, times = spoilt.read_bytes(), spoilt.stat()
    spoilt.write_bytes(b"\xff" + data[1:])
    os.utime(spoilt, ns=(times.st_atime_ns, times.st_mtime_ns))
    (root / "index.html").unlink()
    assert not room.carry((made.steps[2],))[0].done
    ended(room, intent, "undone")
    found = told(room)
    assert found.verdict == "broken" and found.measures["wrong_files"] == 1 and found.measures["missing_files"] == 1
    assert "a.jpg" in found.detail.vi


def test_in_place_the_trees_must_stand_where_they_were_put(each: Room) -> None:
    each.night()
    (each.www / "index.html").write_text("hacked")
    made = restore_site.function(each.site, each.ctx())
    assert [one.check for one in made.proofs] == ["backup.restored"]  # no [monitoring] here; proved all the same
    intent = begun(each, made, "restore_site")
    assert all(result.done for result in each.carry(made.steps))
    assert proof(each).verdict == "met" and "tại chỗ" in proof(each).detail.vi
    moved = each.www.with_name("www-khac")
    each.www.rename(moved)
    shutil.copytree(moved, each.www)
    assert proof(each).verdict == "broken" and str(each.www) in proof(each).detail.vi
    ended(each, intent, "undone")
    assert told(each).verdict == "broken" and "không làm xong" in told(each).detail.vi


def test_a_watched_site_must_also_answer(room: Room) -> None:
    room.night()
    room.site.settings["monitoring"] = object()  # only that the section is there counts for the plan
    assert [one.check for one in restore_site.function(room.site, room.ctx()).proofs] == ["backup.restored", "web.http"]


def test_a_copy_that_the_ledger_lost_is_at_risk_not_met(room: Room) -> None:
    room.night()
    snapshot = room.ledger.lines.pop().body["steps"][-2]["answer"]["snapshot_id"]
    made = restore_site.function(room.site, room.ctx(), at=snapshot[:8])
    begun(room, made, "restore_site")
    assert all(result.done for result in room.carry(made.steps))
    assert proof(room).verdict == "at_risk" and "sổ bằng chứng không ghi" in proof(room).detail.vi


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"state": "right"}', b'{"asked": 1, "began": 5}'])
def test_a_note_that_cannot_be_understood_is_no_proof(room: Room, body: bytes) -> None:
    path = note_of(room.ctx().home, "user")
    path.parent.mkdir(mode=0o700)
    path.write_bytes(body)
    assert told(room).verdict != "met"


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_the_command_proves_both_ways(tmp_path: Path, template: Path, program: str) -> None:
    """The real engine, without a [monitoring] section: intent, steps, proof, outcome."""
    place = Place(tmp_path / "m", template)
    text = place.site_file.read_text("utf-8")
    place.site_file.write_text(text.replace("[site.a.backup]\n", f'[site.a.backup]\nrestic = "{program}"\n'), "utf-8")
    place.allow("user")
    (place.root / "www" / "index.html").write_text("hacked")

    def done(*words: str) -> Any:
        said = json.loads(place.gaccong("backup", "restore", *words, *BY, "--json").stdout)
        assert said["outcome"] == "proved", said
        return said["proofs"]

    (elsewhere,) = done("--to", str(place.root / "ra"))
    (there,) = done("--in-place")
    for one in (elsewhere, there):
        assert (one["check"], one["subject"], one["verdict"]) == ("backup.restored", "user", "met")
    assert [elsewhere["facts"]["in_place"], there["facts"]["in_place"]] == [False, True]
    assert (place.root / "www" / "index.html").read_text("utf-8") == "<h1>Xã Hoa Mai</h1>\n"
