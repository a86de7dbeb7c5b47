"""What went wrong with other backup tools, each as a test that ours does not have it. Named after the failure.

Measured or read in runrestic 0.5.31, npbackup 3.0.4 and 3.1.0-rc3, autorestic 1.8.3, resticprofile 0.33.0, and plain
restic in scripts. Everything runs for real; where a failure needs the whole command, the command is run.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backup import alarm
from backup.changes.run import run
from backup.checks.anomaly import anomaly
from backup.checks.contents import contents
from backup.checks.drill import drill
from backup.checks.fresh import fresh
from backup.checks.integrity import integrity
from backup.copies import proved
from backup.restic import repository_of
from ops.store import open_store
from tests.backup.room import NEWER, PASSWORD, Room
from tests.journeys.place import Place

BY = ("--by", "Trần Thị Mẫu")


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Place:
    """A machine driven by the real command."""
    return Place(tmp_path / "m", template)


def count(room: Room) -> int:
    """How many snapshots the repository holds."""
    return len(repository_of(room.ctx()).snapshots(room.ctx()))


def tree(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every path below `root` with mode, size and time."""
    return {str(path): (path.lstat().st_mode, path.lstat().st_size if not path.is_dir() else 0, path.lstat().st_mtime_ns)
            for path in [root, *root.rglob("*")]}


# ------------------------------------------------------------------ a dry run that saves (runrestic)


def test_a_dry_run_that_saves(place: Place) -> None:
    """`gaccong plan`, and a restore without --by, change nothing: not the repository, not the site, not the target."""
    place.allow("user")
    for path in (place.root / "kho", place.root / "www", place.root / "etc"):
        assert path.exists()
    before = [tree(place.root / name) for name in ("kho", "www", "etc")]
    stage = tree(place.root / "state/sites/a/stage")
    for _ in range(2):
        place.digest("backup.run", "set=user")
        place.digest("backup.run", "set=system")
        target = place.root / "ra"
        assert place.gaccong("backup", "restore", "--set", "user", "--to", str(target)).returncode == 0
        assert not target.exists()
    assert [tree(place.root / name) for name in ("kho", "www", "etc")] == before
    assert tree(place.root / "state/sites/a/stage") == stage
    assert not (place.root / "state/sites/a/stage/system").exists()


# ------------------------------------------------------------------ a hook that fails and ends green (runrestic)


@pytest.mark.parametrize("code", [1, 5, 137])
def test_a_failing_hook_that_exits_0(room: Room, code: int) -> None:
    """A staging step (our hook) with an exit code that is not in its contract stops the run: no snapshot, not proved."""
    steps = room.plan().steps
    hook = next(step for step in steps if "backup.sqlite_copy" in step.argv)
    fails = replace(hook, argv=(sys.executable, "-c", f"raise SystemExit({code})"))
    results = room.carry(tuple(fails if step is hook else step for step in steps))
    assert not results[-1].done and results[-1].step is fails and results[-1].code == code
    assert count(room) == 0


def test_a_hook_that_could_not_get_its_part_leaves_the_run_unproved(each: Room) -> None:
    with closing(sqlite3.connect(each.db)) as database:
        database.execute("DROP TABLE bai")
        database.commit()
    body = each.night()  # the counting query fails: exit 3, the rest is copied
    assert body["outcome"] == "unproved" and "bai" in body["proofs"][0][1]
    assert count(each) == 1 and "index.html" in each.restic("ls", "latest")


# ------------------------------------------------------------------ retries that save partial snapshots (runrestic)


def test_retries_that_save_partial_snapshots(each: Room) -> None:
    """One of two sources is missing (restic exits 0 or 3): one run, one snapshot, unproved, and it counts nowhere."""
    shutil.rmtree(each.www)
    body = each.night()
    assert body["outcome"] == "unproved" and count(each) == 1
    assert "thiếu" in body["proofs"][0][1]
    assert proved(each.site, each.ctx()) == []
    assert each.look(fresh)["user"].verdict == "broken"
    assert each.look(drill)["user"].verdict in ("unseen", "broken")  # it is never drilled as if it were a copy


def test_a_failed_run_is_not_tried_again_and_again(place: Place) -> None:
    """`gaccong run`, called every few minutes by a timer: the failed slot makes one partial copy, not one a call."""
    place.allow("user")
    shutil.rmtree(place.root / "www")
    before = len(place.json("backup", "list")["snapshots"])
    with closing(sqlite3.connect(place.root / "state/gaccong.db", timeout=30)) as database:
        database.execute("DELETE FROM runs WHERE duty = 'backup.run'")
        database.commit()
    for _ in range(3):
        place.gaccong("run", "--only", "backup.run")
    assert len(place.json("backup", "list")["snapshots"]) - before <= 1


# ------------------------------------------------------------------ last_run refreshed by a failed run (runrestic, autorestic)


def outcomes(place: Place) -> list[dict[str, Any]]:
    with open_store(f"sqlite:///{place.root}/state/gaccong.db", None, create=False) as store:
        return [dict(line.body) for line in store.evidence("a", kind="outcome", duty="backup.run")]


@pytest.mark.parametrize("fault", ["password", "partial"])
def test_last_run_refreshed_by_a_failed_run(place: Place, fault: str) -> None:
    """The time of the last good copy stays where it was; the attempt is told all the same."""
    place.allow("user")
    digest = place.digest("backup.run", "set=user")

    def newest() -> float:
        rows = place.json("look", "backup.fresh")["rows"]
        measures = next(row for row in rows if row["subject"] == "user")
        with open_store(f"sqlite:///{place.root}/state/gaccong.db", None, create=False) as store:
            state = next(one for one in store.states("a", "backup.fresh") if one.subject == "user")
        assert measures["verdict"] == state.verdict.value
        return float(state.measures["newest_timestamp_seconds"])

    good, tries = newest(), len(outcomes(place))
    if fault == "password":
        (place.root / "mat-khau").write_bytes(b"sai\n")
    else:
        shutil.rmtree(place.root / "www")
    done = place.gaccong("apply", digest, *BY)
    assert done.returncode == 5, (done.returncode, done.stdout)
    if fault == "password":
        (place.root / "mat-khau").write_bytes(PASSWORD + b"\n")
    assert newest() == good
    made = outcomes(place)[tries:]
    assert [body["outcome"] for body in made] == ["undone" if fault == "password" else "unproved"]


def test_a_slot_is_not_served_by_a_run_that_failed(place: Place) -> None:
    """autorestic stamps before it runs, so that a failed daily copy is "not due" until tomorrow."""
    place.allow("user")
    with closing(sqlite3.connect(place.root / "state/gaccong.db", timeout=30)) as database:
        database.execute("DELETE FROM runs WHERE duty = 'backup.run'")
        database.commit()
    (place.root / "mat-khau").write_bytes(b"sai\n")
    assert place.gaccong("run", "--only", "backup.run").returncode == 1
    (place.root / "mat-khau").write_bytes(PASSWORD + b"\n")
    assert outcomes(place)[-1]["outcome"] == "undone"
    with closing(sqlite3.connect(place.root / "state/gaccong.db", timeout=30)) as database:
        keys = [key for key, in database.execute("SELECT key FROM runs WHERE duty = 'backup.run'")]
        assert "set=user" not in keys, keys
        database.execute("DELETE FROM runs WHERE duty = 'backup.run'")  # the hour until the next try is over
        database.commit()
    place.gaccong("run", "--only", "backup.run")
    assert outcomes(place)[-1]["outcome"] == "proved"


# ------------------------------------------------------------------ an alarm that cannot fire (npbackup 3.1-rc3)


def test_an_alarm_that_cannot_fire(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs wants more than 30 entries of a history that is cut to 30. Ours is tried with made-up attacks at each look."""
    room.program = NEWER
    room.site.settings["backup"] = room.settings()
    for _ in range(2):
        assert room.night()["outcome"] == "proved"
    assert alarm.fires() == []
    monkeypatch.setattr(alarm, "CHANGED", 9.9)  # as deaf as theirs
    assert alarm.fires() != []
    found = room.look(anomaly)["user"]
    assert found.verdict == "broken" and "phép thử" in found.detail.vi


def test_an_attack_is_not_learned_as_the_new_normal(room: Room) -> None:
    """60 usual nights, then everything is encrypted, twice: both ring, long after the history is longer than any window."""
    day = alarm.Figures(new=1, changed=6, unmodified=2000, total=2007, bytes=100_000_000, added=600_000, packed=200_000)
    attack = replace(day, new=0, changed=1500, unmodified=507, added=90_000_000, packed=89_900_000)
    runs = [alarm.Run(f"a#{number}", "user", room.now + timedelta(days=number), attack if number in (60, 62) else day)
            for number in range(64)]
    rang = {one.evidence for one in alarm.alarms(runs) if one.kind == "encrypted"}
    assert rang == {"a#60", "a#62"}


# ------------------------------------------------------------------ an empty source that is green (all; restic exits 0)


@pytest.mark.parametrize("emptied", ["folder", "files of 0 bytes", "database"])
def test_an_empty_source_that_is_green(each: Room, emptied: str) -> None:
    assert each.night()["outcome"] == "proved"
    if emptied == "database":
        each.db.write_bytes(b"")
    else:
        shutil.rmtree(each.www)
        each.www.mkdir()
        if emptied != "folder":
            for name in ("index.html", "a.jpg", "b.jpg"):
                (each.www / name).touch()
    body = each.night()
    assert body["outcome"] == "unproved", body["proofs"]
    assert "rỗng" in body["proofs"][0][1] or "tin" in body["proofs"][0][1]
    # the good copy of the night before is what a drill restores
    found = each.look(drill)["user"]
    assert found.verdict == "met" and found.measures["files"] == 5, found.detail.en


def test_a_minimum_size_that_is_blind_to_nothing_at_all(each: Room) -> None:
    """npbackup skips its size test when the size is 0. A set whose every byte is gone is broken before and after restic."""
    for path in (each.www, each.db.parent):
        shutil.rmtree(path)
    each.www.mkdir()
    body = each.night()
    assert body["outcome"] == "unproved"
    assert each.look(contents)["user"].verdict == "broken"
    assert each.look(fresh)["user"].verdict == "broken"


def test_a_retention_that_keeps_the_empty_one(each: Room) -> None:
    """runrestic with keep-last 1 after an emptied source: one snapshot with 0 files was left. Here the proved one counts."""
    assert each.night()["outcome"] == "proved"
    shutil.rmtree(each.www)
    each.www.mkdir()
    each.night()
    copies = proved(each.site, each.ctx())
    assert len(copies) == 1 and copies[0].files == 5
    each.restic("snapshots", copies[0].snapshot)


# ------------------------------------------------------------------ wrong exit status, wrong program (npbackup, runrestic)


def test_a_status_that_forgets_the_last_failure(place: Place) -> None:
    """Exit code, JSON and ledger of one failed run say the same; a look afterwards does not make it good."""
    place.allow("user")
    shutil.rmtree(place.root / "www")
    done = place.gaccong("apply", place.digest("backup.run", "set=user"), *BY, "--json")
    assert done.returncode == 5 and json.loads(done.stdout)["outcome"] == "unproved"
    assert outcomes(place)[-1]["outcome"] == "unproved"
    place.gaccong("look", "backup.contents")
    assert place.gaccong("status").returncode == 1


def test_a_restic_that_is_not_the_one_in_the_settings(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """npbackup prefers /usr/bin/restic over what it was told. Ours runs the configured program, whatever PATH says."""
    told = room.tmp / "rieng"
    marks = room.tmp / "goi"
    told.write_text(f'#!/bin/sh\necho "$@" >> {marks}\nexec {NEWER} "$@"\n')
    told.chmod(0o755)
    room.program = str(told)
    room.site.settings["backup"] = room.settings()
    monkeypatch.setenv("PATH", f"{room.tmp}:{os.environ['PATH']}")
    assert room.night()["outcome"] == "proved"
    assert "backup" in marks.read_text()
    room.site.settings["backup"] = room.settings(restic="restic")
    for step in run.function(room.site, room.ctx(), set="user").steps:
        assert str(told) not in step.argv


def test_a_snapshot_time_or_hash_as_a_label(room: Room) -> None:
    """npbackup and restic-exporter: a new series with every run. Ours: subjects and measures are the same each night."""
    room.program = NEWER
    room.site.settings["backup"] = room.settings()

    def names() -> set[tuple[str, str, str]]:
        assert room.night()["outcome"] == "proved"
        return {(check.name, subject, measure) for check in (contents, fresh, integrity, drill, anomaly)
                for subject, finding in room.look(check).items() for measure in finding.measures}

    names()
    second = names()
    assert len(second) > 20 and names() == second
