"""backup.drill: a real restore, every byte compared, the database opened and counted; nothing left behind."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from backup.checks.drill import drill, rpo
from backup.manifest import entries, line_of, read_name
from backup.sample import choose
from ops.model import State, Verdict, say
from tests.backup.room import Room


def test_a_good_drill_leaves_nothing_behind(room: Room) -> None:
    with open(bytes(room.www) + b"/hong \xff\nx", "wb") as stream:
        stream.write(b"odd")
    os.symlink("index.html", room.www / "lien-ket")
    room.night()
    room.night("system")
    found = room.look(drill)
    assert {name: finding.verdict.value for name, finding in found.items()} == {"user": "met", "system": "met"}
    assert found["user"].measures["files"] == 6
    assert found["user"].measures["moving_files"] == 0
    assert list((room.tmp / "scratch").iterdir()) == []


def test_no_proved_copy(room: Room) -> None:
    assert room.look(drill)["user"].verdict == "unseen"
    room.night(prove=())
    assert room.look(drill)["user"].verdict == "unseen"


def test_a_database_that_counts_otherwise_fails_the_drill(room: Room) -> None:
    """The staged copy is exchanged between staging and manifest: every hash is right, yet rows are missing."""
    plan = room.plan()
    for step in plan.steps[:-3]:
        room.carry((step,))
    staged = room.tmp / "home/stage/user/tin.sqlite"
    with closing(sqlite3.connect(staged)) as database:
        database.execute("DELETE FROM bai WHERE id > 400")
        database.commit()
    results = room.carry(plan.steps[-3:])
    room.ledger.note(room.now, {"args": {"set": "user"}, "outcome": "proved", "steps": [one.json() for one in results]})
    finding = room.look(drill)["user"]
    assert finding.verdict == "broken"
    assert "500" in finding.detail.vi and "400" in finding.detail.vi


def test_a_flipped_bit_fails_the_drill(room: Room) -> None:
    (room.www / "to.bin").write_bytes(os.urandom(300_000))
    room.night()
    pack = max((path for path in (room.repository / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[1000] ^= 4
    pack.chmod(0o600)
    pack.write_bytes(data)
    assert room.look(drill)["user"].verdict == "broken"
    assert list((room.tmp / "scratch").iterdir()) == []


def test_another_manifest_than_the_noted_one_fails_the_drill(room: Room) -> None:
    body = room.night()
    next(step for step in body["steps"] if "manifest" in (step["answer"] or {}))["answer"]["manifest"] = "0" * 64
    finding = room.look(drill)["user"]
    assert finding.verdict == "broken" and "sổ bằng chứng" in finding.detail.vi


def test_a_file_that_moved_during_the_copy_is_not_corrupt(room: Room) -> None:
    plan = room.plan()
    results = room.carry(plan.steps[:-2])
    (room.www / "index.html").write_text("<h1>Tin mới hơn</h1>\n")
    (room.www / "anh" / "b.jpg").unlink()
    results += room.carry(plan.steps[-2:])
    room.ledger.note(room.now, {"args": {"set": "user"}, "outcome": "proved", "steps": [one.json() for one in results]})
    finding = room.look(drill)["user"]
    assert finding.verdict == "met", finding.detail.vi
    assert finding.measures["moving_files"] + finding.measures["gone_files"] == 2
    assert "không so được" in finding.detail.vi and finding.measures["unlike_files"] == 2


def test_fewer_drills_by_settings_repeat_the_last_result_with_its_date(room: Room) -> None:
    room.night()
    room.more = {"drill_every_days": 30}
    room.site.settings["backup"] = room.settings()
    first = room.look(drill)["user"]
    room.ledger.known = [State("demo", "backup.drill", "user", Verdict.MET, room.now, room.now, say("a", "a"),
                               first.measures, "", 1, 604800.0)]
    room.now += timedelta(days=7)
    again = room.look(drill)["user"]
    assert again.verdict == "met" and "lần diễn tập gần nhất" in again.detail.vi
    assert again.measures["drilled_timestamp_seconds"] == first.measures["drilled_timestamp_seconds"]
    assert "từng byte" in room.look(drill, "user")["user"].detail.vi  # asked for by name: a real one
    room.now += timedelta(days=23)
    assert "từng byte" in room.look(drill)["user"].detail.vi


def test_manifest_reuses_hashes_and_sees_every_change(room: Room) -> None:
    """An unchanged file keeps its hash without being read; a file rewritten with its old size and mtime is read."""
    manifest = room.tmp / "home/stage/user/manifest.jsonl"
    for path in room.www.rglob("*"):
        os.utime(path, ns=(1, 1))
    room.carry(room.plan().steps[:-2])
    lines = manifest.read_text().splitlines()
    head = json.loads(lines[0])
    head["made"] = "2099-01-01T00:00:00.000000Z"  # as if the files had rested for long
    old = [json.loads(line) for line in lines[1:]]
    for entry in old:
        if entry.get("kind") == "file":
            entry["sha256"] = "f" * 64
    manifest.write_bytes(b"".join(line_of(entry) for entry in [head, *old]))
    changed = room.www / "anh" / "a.jpg"
    size = changed.stat().st_size
    changed.write_bytes(b"x" * size)
    os.utime(changed, ns=(1, 1))
    room.carry(room.plan().steps[-3:-2])
    now = {Path(os.fsdecode(read_name(entry))).name: entry.get("sha256") for entry in entries(manifest) if "path" in entry}
    assert now["index.html"] == "f" * 64
    assert now["a.jpg"] != "f" * 64


def sampling(room: Room, mode: str = "sample") -> None:
    """Drills by sample from now on."""
    room.more = {"drill": mode}
    room.site.settings["backup"] = room.settings()


def test_a_sample_holds_the_newest_the_oldest_the_vital_and_others_each_time(each: Room) -> None:
    for number in range(700):
        path = each.www / f"tin-{number:03}.html"
        path.write_text(f"tin {number}\n")
        os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number))
    odd = bytes(each.www) + b"/[l\xff*]? \n"
    with open(odd, "wb") as stream:
        stream.write(b"odd")
    os.utime(odd, (1_700_000_000, 1_700_000_000))
    each.night()
    sampling(each)
    finding = each.look(drill, "user")["user"]
    assert finding.verdict == "met", finding.detail.vi
    assert "khôi phục thử" in finding.detail.vi and "cơ sở dữ liệu tin (500 dòng)" in finding.detail.vi
    seen = finding.measures
    assert seen["all_files"] == 706 and 350 < seen["files"] < 460 and 0 < seen["restored_bytes"] < seen["bytes"]
    assert seen["rows"] == 500 and seen["rto_seconds"] >= seen["seconds"] and "whole_restore_timestamp_seconds" not in seen
    manifest, stage = each.tmp / "home/stage/user/manifest.jsonl", str(each.tmp / "home/stage/user")
    one, two, same = (choose(manifest, stage, seed, [each.www]) for seed in ("a", "b", "a"))
    assert one.files == same.files and one.files != two.files and not one.bare and one.total == 704
    for found in (one, two):
        names = {Path(os.fsdecode(path)).name for path in found.files}
        assert {"index.html", "tin-000.html", "tin-019.html", "tin-699.html", "[l\udcff*]? \n"} <= names


def test_a_sample_finds_what_it_restores_damaged(room: Room) -> None:
    (room.www / "index.html").write_bytes(os.urandom(300_000))
    room.night()
    pack = max((path for path in (room.repository / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[1000] ^= 4
    pack.chmod(0o600)
    pack.write_bytes(data)
    sampling(room)
    assert room.look(drill, "user")["user"].verdict == "broken"


def test_a_place_without_files_is_not_missed_by_a_sample(room: Room) -> None:
    (room.etc / "nginx.conf").unlink()
    (room.etc / "sites").mkdir()
    (room.etc / "sites" / "a").symlink_to("../b")
    room.night("system")
    room.ledger.lines[-1].body["outcome"] = "proved"
    sampling(room)
    finding = room.look(drill, "system")["system"]
    assert "không có" not in finding.detail.vi, finding.detail.vi


def test_measures_tell_recovery_time_and_what_could_be_lost(room: Room) -> None:
    room.night()
    room.now += timedelta(days=2)
    room.night()
    seen = room.look(drill, "user")["user"].measures
    assert seen["rpo_seconds"] == timedelta(days=3).total_seconds() and seen["whole_restore_timestamp_seconds"] > 0
    start = room.now - timedelta(days=30)
    assert rpo([start], room.now) == timedelta(days=30).total_seconds()
    assert rpo([room.now - timedelta(days=8), room.now - timedelta(days=2)], room.now) == timedelta(days=6).total_seconds()
