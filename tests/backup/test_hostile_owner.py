"""The site's owner (nobody) plants files for root's backup to fall over; and copies that hold too little."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backup import hold, reading, sqlite_copy
from backup.checks.contents import contents
from backup.checks.drill import drill
from backup.compare import absent
from backup.lean import lean
from backup.notes import read_note
from tests.backup.room import Room
from tests.kit import NOW

root_only = pytest.mark.skipif(not hold.can_drop(), reason="becoming the site's owner needs root over other users")


def give(*paths: Path) -> None:
    for path in paths:
        os.chown(path, 65534, 65534, follow_symlinks=False)


def test_a_database_that_is_a_link_is_refused(room: Room) -> None:
    secret = room.tmp / "cua-root.db"
    room.db.rename(secret)
    room.db.symlink_to(secret)
    body = room.night()
    assert body["outcome"] == "unproved" and "link" in body["proofs"][0][1]
    assert "tin.sqlite" not in room.restic("ls", "latest")


@pytest.mark.needs_root
@root_only
def test_a_link_on_the_way_that_the_owner_planted_is_refused(room: Room) -> None:
    secret = room.tmp / "cua-root"
    secret.mkdir(mode=0o700)
    room.db.rename(secret / "tin.db")
    room.db.parent.rmdir()
    room.db.parent.symlink_to(secret)
    give(room.db.parent, room.db.parent.parent)
    assert room.night()["outcome"] == "unproved"
    assert "tin.sqlite" not in room.restic("ls", "latest")


@pytest.mark.needs_root
@root_only
@pytest.mark.parametrize("owner", ["file", "folder"])
def test_root_does_not_read_an_owners_database(room: Room, tmp_path: Path, owner: str) -> None:
    """strace tells: every page of it is read after root was given up, and shut into its folder."""
    give(room.db.parent, *([room.db] if owner == "file" else []))
    stage, trace = tmp_path / "stage", tmp_path / "trace"
    stage.mkdir(mode=0o700)
    argv = lean("backup.sqlite_hand", "copy", "--live", str(room.db), "--target", str(stage / "x"))
    done = subprocess.run(["strace", "-f", "-o", str(trace), "-e", "trace=openat,open,setresuid,chroot", *argv],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = trace.read_text().splitlines()
    dropped = next(at for at, line in enumerate(lines) if "setresuid(65534, 65534, 65534)" in line and line.endswith("= 0"))
    opened = [at for at, line in enumerate(lines) if '/tin.db"' in line]
    assert opened and min(opened) > dropped and any("chroot" in line for line in lines[:dropped])
    with closing(sqlite3.connect(stage / "x")) as copied:
        assert copied.execute("SELECT count(*) FROM bai").fetchone() == (500,)


@pytest.mark.needs_root
@root_only
def test_a_planted_journal_removes_nothing_of_roots(room: Room) -> None:
    victim = room.tmp / "cua-root"
    victim.write_text("x" * 100)
    name, pages = str(victim).encode(), room.db.stat().st_size // 4096
    magic = bytes.fromhex("d9d505f920a163d7")
    head = (magic + struct.pack(">IIIII", 0, 0, pages, 512, 4096)).ljust(512, b"\0")
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    journal = room.db.with_name("tin.db-journal")
    journal.write_bytes(head + tail)
    give(room.db, room.db.parent, journal)
    room.night()
    assert victim.exists()


def test_a_view_that_counts_for_ever_is_stopped(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(room.db)) as database:
        database.execute("DROP TABLE bai")
        database.execute("CREATE VIEW bai AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT n FROM r")
        database.commit()
    monkeypatch.setattr(sqlite_copy, "COUNT_SECONDS", 1.0)
    stage, begun = room.tmp / "s", time.monotonic()
    stage.mkdir()
    assert sqlite_copy.main(["--name", "tin", "--path", str(room.db), "--stage", str(stage), "--query",
                        "so_bai=SELECT count(*) FROM bai"]) == 3
    assert "so_bai: no answer within 1 seconds" in read_note(stage / "tin.note.json")["trouble"]
    assert time.monotonic() - begun < 30


def copied_after(room: Room, spoil: Any) -> None:
    """A run in which the site changes between manifest and copy, and which the ledger takes for proved."""
    plan = room.plan()
    results = room.carry(plan.steps[:-2])
    spoil()
    results += room.carry(plan.steps[-2:])
    room.ledger.note(room.now, {"args": {"set": "user"}, "outcome": "proved", "steps": [one.json() for one in results]})


@pytest.mark.parametrize("files", [1, 40])
def test_a_copy_without_the_sites_files_is_no_copy(room: Room, files: int) -> None:
    """All of a small site gone, or more than a few of a large one, which keeps the rest."""
    for number in range(files):
        (room.www / f"{number}.html").write_text(f"bài {number}")

    def spoil() -> None:
        gone = room.www.rglob("*") if files == 1 else sorted(room.www.glob("*.html"))[:20]
        for path in gone:
            if path.is_file():
                path.unlink()
        (room.www / "bao-tri.html").write_text("bảo trì")

    copied_after(room, spoil)
    for look in (contents, drill):
        finding = room.look(look, "user")["user"]
        assert finding.verdict == "broken", finding.detail.vi
        assert finding.measures["gone_files"] >= (4 if files == 1 else 20)


def test_a_copy_of_other_content_than_the_manifests_is_no_copy(room: Room) -> None:
    for number in range(40):
        (room.www / f"{number}.html").write_text(f"bài {number}")
    copied_after(room, lambda: [path.write_text("đã bị thay") for path in room.www.glob("*.html")])
    assert room.look(contents, "user")["user"].verdict == "broken"
    assert room.look(drill)["user"].verdict == "broken"


def test_a_drill_counts_only_what_it_compared(room: Room) -> None:
    copied_after(room, (room.www / "anh" / "a.jpg").unlink)
    found = room.look(drill)["user"]
    assert found.verdict == "met" and (found.measures["files"], found.measures["unlike_files"]) == (4, 1)
    assert "4 of 5" in found.detail.en


def test_a_path_that_cannot_be_asked_for_leaves_the_run_unproved(room: Room) -> None:
    """restic passes over what lies deeper than a path may be long (exit 3); the manifest must tell of it."""
    descriptor = os.open(room.www, os.O_RDONLY)
    try:
        for _ in range(17):
            os.mkdir("n" * 250, dir_fd=descriptor)
            below = os.open("n" * 250, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        body = room.night()
    finally:
        os.close(descriptor)
        subprocess.run(["rm", "-rf", str(room.www)], check=True, timeout=60)
    assert body["outcome"] == "unproved" and "không đọc được" in body["proofs"][0][1]


def test_what_can_no_longer_be_asked_for_is_lost_and_not_gone(tmp_path: Path) -> None:
    """The manifest has it, the copy lacks it, and the source does not say: nobody may say that it went."""
    entry = {"inode": 1, "ctime_ns": 1}
    assert absent(os.fsencode(tmp_path) + b"/n" * 3000, entry) == "lost"
    assert absent(os.fsencode(tmp_path / "khong-co"), entry) == "gone"


def test_a_tree_deeper_than_python_calls(room: Room) -> None:
    descriptor = os.open(room.www, os.O_RDONLY)
    try:
        for _ in range(1200):
            os.mkdir("a", dir_fd=descriptor)
            below = os.open("a", os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        os.close(os.open("tep", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        body = room.night()
        found = room.look(drill)["user"]
        left = list((room.tmp / "scratch").iterdir())
    finally:
        os.close(descriptor)
        subprocess.run(["rm", "-rf", str(room.www), str(room.tmp / "scratch")], check=True, timeout=60)
    assert body["outcome"] == "proved", body["proofs"]
    assert found.verdict == "met" and left == [], found.detail.vi


def test_the_reading_is_private(tmp_path: Path) -> None:
    path = tmp_path / "reading-1.json"
    reading.keep(path, reading.load(path, NOW))
    reading.keep(path, reading.load(path, NOW))
    assert path.stat().st_mode & 0o777 == 0o600
