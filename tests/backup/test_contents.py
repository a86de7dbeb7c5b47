"""backup.contents: one listing, streamed; names that are no UTF-8; dumps; what the ledger knows; memory with many files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.checks.contents import contents
from backup.compare import lossy
from backup.listing import Entries, Listing
from backup.source import BaseSource
from tests.backup.room import Room
from tests.kit import NOW


@given(st.lists(st.tuples(st.text(max_size=6), st.integers(0, 2**64 - 1)), max_size=300), st.text(max_size=6))
def test_the_table_is_a_set_of_pairs(pairs: list[tuple[str, int]], other: str) -> None:
    table = Entries()
    for path, figure in pairs:
        table.add(path, figure)
    assert len(table) == len(pairs)
    for path, figure in pairs:
        assert table.find(path) == "" and table.find(path, figure) == ""
        wrong = next(one for one in range(2**64) if (path, one) not in pairs)
        assert table.find(path, wrong) == "other"
    assert table.find(other) == ("" if other in {path for path, _ in pairs} else "absent")


def test_the_table_grows() -> None:
    table = Entries()
    for number in range(20_000):
        table.add(f"/srv/www/{number}", number)
    assert all(table.find(f"/srv/www/{number}", number) == "" for number in range(20_000))
    assert table.find("/srv/www/20000") == "absent"


@pytest.mark.parametrize("name", [b"/a", "/nhôm".encode(), b"/x\xff\xfey", b"/\xed\xa0\x80", b"/\xe1\xbb", "/\ufffd".encode()])
def test_lossy_is_what_restic_prints(name: bytes) -> None:
    text = lossy(name)
    assert "\ufffd" in text or text.encode() == name
    assert not any("\ud800" <= sign <= "\udfff" for sign in text)


def test_two_names_that_look_alike_in_the_listing_stand_for_themselves(room: Room) -> None:
    """x\\xff and x\\xfe are both "x\\ufffd" there; each has its own size. One that is not there is still missed."""
    for sign, size in ((b"\xff", 10), (b"\xfe", 20)):
        with open(bytes(room.www) + b"/x" + sign, "wb") as stream:
            stream.write(b"q" * size)
    assert room.night()["outcome"] == "proved"
    assert room.look(contents)["user"].measures["moving_files"] == 0


def test_a_mad_entry_is_right_only_as_itself() -> None:
    listing = Listing()
    listing.entries.add("/a", 1)
    assert listing.holds("/a") and not listing.holds("/b")
    entry = {"kind": "file", "size": 3, "mtime_ns": 5000, "inode": 1, "ctime_ns": 1}
    assert listing.judge(b"/a", entry) == "moving"
    assert listing.judge(b"/a", {**entry, "kind": "other"}) == ""
    assert listing.judge(b"/khong/co", entry) == "gone"


def test_the_daily_look_at_a_copy_whose_stage_is_gone_takes_the_manifest_from_the_copy(room: Room) -> None:
    room.night()
    (room.tmp / "home/stage/user/manifest.jsonl").unlink()
    assert room.look(contents)["user"].verdict == "met"


def test_a_home_that_has_moved(room: Room) -> None:
    """The copy's stage lies where the home was then; it is found by its tags."""
    room.night()
    (room.tmp / "home").rename(room.tmp / "home-cu")
    finding = room.look(contents)["user"]
    assert finding.verdict == "met", finding.detail.vi


def test_the_newest_copy_that_the_ledger_knows_must_be_there(room: Room) -> None:
    room.night()
    room.night()
    newest = json.loads(room.restic("snapshots", "--json"))[-1]["id"]
    room.restic("forget", newest)
    finding = room.look(contents)["user"]
    assert finding.verdict == "broken" and newest[:8] in finding.detail.vi and "demo#2" in finding.detail.vi


def test_a_manifest_that_is_garbage(room: Room) -> None:
    """Bytes that are no JSON in the stage's manifest after the copy: the copy's own is read instead."""
    room.night()
    path = room.tmp / "home/stage/user/manifest.jsonl"
    path.write_bytes(b"\xff\xfe garbage\n{}\n")
    assert room.look(contents)["user"].verdict == "met"
    plan = room.plan()
    room.carry(plan.steps[:-2])
    path.write_bytes(b'{"v": 1, "asked": []}\n{}\n\xff\n[3]\n{"end": true, "files": 0}\n')
    room.carry(plan.steps[-2:])
    finding = room.look(contents, "user")["user"]
    assert finding.verdict == "broken" and "không đầy đủ" in finding.detail.vi


class Dumped(BaseSource):
    """A source whose dump goes into a snapshot of its own; only its name matters here."""

    kind: str = "dumped"

    def streams(self) -> tuple[str, ...]:
        return ("bai",)


def stream(room: Room) -> str:
    """A dump in a snapshot of its own, as a stream step leaves it."""
    words = ("--stdin", "--stdin-filename", "/bai.sql", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo,stream=bai")
    subprocess.run([room.program, "-r", str(room.repository), "--password-file", str(room.tmp / "mat-khau"), "--no-cache", "backup",
                    "--quiet", *words], input=b"CREATE TABLE bai;", check=True, timeout=60, capture_output=True,
                   env={"PATH": os.environ["PATH"], "HOME": str(room.tmp)})
    return str(json.loads(room.restic("snapshots", "--json", "--tag", "stream=bai"))[-1]["id"])


def test_a_dump_in_a_snapshot_of_its_own(each: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right after the run its note tells the snapshot; later the ledger does. The listing of the set is not taken from it."""
    settings: Any = each.site.settings["backup"]
    chosen = settings.set["user"]
    monkeypatch.setattr(type(chosen), "streams", lambda self: ["bai"] if self.level == "user" else [])
    plan = each.plan()
    results = each.carry(plan.steps)
    assert results[-1].done
    found = each.look(contents, "user")["user"]
    assert found.verdict == "broken" and "bai" in found.detail.vi
    snapshot = stream(each)
    note = each.tmp / "home/stage/user/bai.note.json"
    note.write_text(json.dumps({"name": "bai", "snapshot_id": snapshot}))
    assert each.look(contents, "user")["user"].verdict == "met"
    steps = [result.json() for result in results]
    steps.append({"answer": {"stream": "bai", "snapshot_id": snapshot}})
    each.ledger.note(each.now, {"args": {"set": "user"}, "outcome": "proved", "steps": steps})
    note.unlink()
    assert each.look(contents)["user"].verdict == "met"
    each.restic("forget", snapshot)
    found = each.look(contents)["user"]
    assert found.verdict == "broken" and snapshot[:8] in found.detail.vi
    assert Dumped(kind="dumped").streams() == ("bai",)


MANY = 200_000
LISTS = """
import sys
if sys.argv[1] == "version":
    print("restic 0.19.1 compiled with go1.24")
elif "ls" in sys.argv:
    stage, count, size, mtime = {stage!r}, {count}, {size}, {mtime!r}
    print('{{"id": "' + "ab" * 32 + '", "time": "2026-11-20T03:00:00Z", "paths": ["/srv", "' + stage + '"]}}')
    out = sys.stdout.write
    for n in range(count):
        out('{{"name":"%d.html","type":"file","path":"/srv/www/%d/%d.html","uid":33,"gid":33,"size":%d,"mode":420,'
            '"permissions":"-rw-r--r--","mtime":"2026-11-01T07:00:00.123456789+07:00","atime":"2026-11-01T07:00:00.1+07:00",'
            '"ctime":"2026-11-01T07:00:00.1+07:00","struct_type":"node"}}\\n' % (n, n // 1000, n, n))
    out('{{"name":"manifest.jsonl","type":"file","path":"%s/manifest.jsonl","size":%d,"mtime":"%s"}}\\n' % (stage, size, mtime))
    out('{{"name":"srv","type":"dir","path":"/srv","mtime":"2026-11-01T07:00:00Z"}}\\n')
else:
    sys.exit(9)
"""
WATCHED = """
import resource, sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, {root!r})
from backup.checks.contents import contents
from tests.kit import make_context, make_site
tmp = Path({tmp!r})
live = SimpleNamespace(live=lambda: [Path("/srv")], staged=lambda: [], streams=lambda: [])
at = SimpleNamespace(repository="/srv/kho", kind="local", password="env:P", login=None, ca=None)
settings = SimpleNamespace(set={{"user": live}}, restic=str(tmp / "restic"), places=lambda: {{"first": at}})
[found] = contents.function(make_site(), make_context(tmp, settings, subjects=("user",)))
assert found.verdict == "met", found.detail.en
assert found.measures["files"] == {count} == found.measures["right_files"], found.measures
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def manifest(path: Path, count: int) -> None:
    """A manifest as backup.manifest writes it, of many files."""
    with path.open("w", encoding="ascii") as stream:
        stream.write(json.dumps({"v": 1, "asked": ["/srv"], "missing": [], "empty": [], "symlinks": [], "troubles": []}) + "\n")
        digest = hashlib.sha256(b"x").hexdigest()
        for number in range(count):
            stream.write(f'{{"path":"/srv/www/{number // 1000}/{number}.html","kind":"file","size":{number},"mode":420,"uid":33,'
                         f'"gid":33,"mtime_ns":1793491200123456789,"ctime_ns":1,"inode":{number},"sha256":"{digest}"}}\n')
        stream.write(json.dumps({"end": True, "files": count, "bytes": 0, "unreadable": 0}) + "\n")


def watched(tmp: Path, count: int) -> int:
    """KiB of memory at most of a process that proves a copy of so many files."""
    stage = tmp / "home/stage/user"
    stage.mkdir(parents=True)
    path = stage / "manifest.jsonl"
    manifest(path, count)
    moment = int(NOW.timestamp()) - 60
    os.utime(path, (moment, moment))
    (tmp / "restic").write_text(f"#!{sys.executable}" + LISTS.format(stage=str(stage), count=count, size=path.stat().st_size,
                                                                     mtime="2026-11-20T02:59:00Z"))
    (tmp / "restic").chmod(0o755)
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", WATCHED.format(root=root, tmp=str(tmp), count=count)], capture_output=True,
                          text=True, timeout=600, env={"PATH": os.environ["PATH"], "P": "x"}, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1])


def test_memory_stays_small_with_many_files(tmp_path: Path) -> None:
    """16 bytes an entry, in a table at most 80 % full: 8 to 12 MiB here, 48 while a million are taken in."""
    few, many = watched(tmp_path / "few", 1000), watched(tmp_path / "many", MANY)
    assert many - few < 30 << 10, (few, many)
