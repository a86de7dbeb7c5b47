"""Programs that start without `site`: they run, with the standard library alone; the copy's own program is as restic is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from backup.compare import Comparison, compare, restored
from backup.copying import note_of
from backup.lean import lean
from backup.manifest import write
from tests.backup.room import Room

PROGRAMS = ("stage", "found", "manifest", "inventory", "copying", "sqlite_copy", "sqlite_hand")
ID = "ab" * 32


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_every_night_needs_the_standard_library_alone(name: str) -> None:
    code = (f"import sys; sys.path.append({str(Path(__file__).parents[2])!r}); import backup.{name}\n"
            "print(sorted({one.partition('.')[0] for one in sys.modules} & {'ops', 'pydantic', 'sqlalchemy', 'site'}))")
    python, *flags = lean(f"backup.{name}")[:3]
    done = subprocess.run([python, *flags, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
    said = subprocess.run(lean(f"backup.{name}", "--no-such-word"), capture_output=True, text=True, timeout=30)
    assert said.returncode == 2 and said.stderr and "Traceback" not in said.stderr


def test_every_step_of_a_night_starts_so(room: Room) -> None:
    steps = room.plan().steps
    assert {f"backup.{name}" for name in PROGRAMS[:-1]} == {step.argv[4] for step in steps}
    assert all(step.argv[: 4] == lean("")[:4] for step in steps)


def fake(folder: Path, body: str) -> str:
    path = folder / "restic"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def copying(tmp_path: Path, program: str, *more: str) -> tuple[str, ...]:
    at = tmp_path / "kho"
    (at / "snapshots").mkdir(parents=True, exist_ok=True)
    note = note_of(tmp_path, "user", str(at))
    return lean("backup.copying", *more, "--note", str(note), "--at", str(at), "--", program, "backup", "--", "/x")


def test_what_restic_says_comes_through_and_its_word_on_the_snapshot_is_kept(tmp_path: Path) -> None:
    summary = json.dumps({"message_type": "summary", "snapshot_id": ID})
    program = fake(tmp_path, f"echo '{{\"message_type\":\"status\"}}'; echo reason >&2; echo \"$@\"; echo '{summary}'; printf end; exit 3")
    argv = copying(tmp_path, program)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 3 and done.stderr == "reason\n"
    assert done.stdout.splitlines()[:2] == ['{"message_type":"status"}', "backup --force -- /x"]
    assert done.stdout.endswith("end" + summary + "\n")
    (tmp_path / "kho/snapshots" / ID).write_text("")
    assert f"backup --parent {ID} -- /x" in subprocess.run(argv, capture_output=True, text=True, timeout=30).stdout
    assert "backup --force -- /x" in subprocess.run(copying(tmp_path, program, "--force"), capture_output=True, text=True,
                                                    timeout=30).stdout


def test_much_on_both_outputs_stops_nothing(tmp_path: Path) -> None:
    program = fake(tmp_path, "i=0; while [ $i -lt 3000 ]; do echo $i-$(printf %0200d 0); echo $i >&2; i=$((i+1)); done")
    done = subprocess.run(copying(tmp_path, program), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(done.stderr.splitlines()) == 3000


def test_no_restic_and_a_restic_that_is_killed(tmp_path: Path) -> None:
    gone = subprocess.run(copying(tmp_path, str(tmp_path / "khong-co")), capture_output=True, text=True, timeout=30)
    assert gone.returncode == 127 and "No such file" in gone.stderr
    killed = subprocess.run(copying(tmp_path, fake(tmp_path, "kill -9 $$")), capture_output=True, text=True, timeout=30)
    assert killed.returncode not in (0, 3)


def test_restic_may_end_well_when_the_group_is_told_to_stop(tmp_path: Path) -> None:
    program = fake(tmp_path, f"trap 'echo unlocked >&2; exit 130' INT; touch {tmp_path}/begun; while :; do sleep 0.05; done")
    running = subprocess.Popen(copying(tmp_path, program), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=30)
    assert running.returncode == 130


def test_two_threads_find_what_one_finds_in_the_manifests_order(tmp_path: Path) -> None:
    live, stage = tmp_path / "www", tmp_path / "stage"
    live.mkdir()
    stage.mkdir()
    for number in range(1000):
        (live / f"{number:04}.txt").write_bytes(b"%d" % number * (number % 7 * 1000))
    (live / "lien-ket").symlink_to("0001.txt")
    os.mkfifo(live / "ong")
    os.link(live / "0002.txt", live / "hai")
    write(stage, [live], [], [])
    for number in (3, 500, 999):
        path = live / f"{number:04}.txt"
        was = path.stat().st_mtime_ns
        path.write_bytes(b"?" * path.stat().st_size)
        os.utime(path, ns=(was, was))
    (live / "0700.txt").unlink()
    (live / "0800.txt").unlink()
    (live / "0800.txt").symlink_to("/etc/passwd")
    one, two, judge = Comparison(str(stage)), Comparison(str(stage)), restored(Path("/"))
    for line in (stage / "manifest.jsonl").read_text().splitlines():
        one.line(line, judge)
    compare(two, stage / "manifest.jsonl", judge)
    assert two.whole and two.manifest == one.manifest and two.counts == one.counts == {"wrong": 3, "gone": 1, "moving": 1}
    assert two.names == one.names and [name[-8:] for name in two.names["wrong"]] == ["0003.txt", "0500.txt", "0999.txt"]
    assert (two.files, two.right, two.bytes, two.compared_bytes) == (one.files, one.right, one.bytes, one.compared_bytes)


def test_a_manifest_that_is_none_is_an_error_and_leaves_no_thread_behind(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b'{"v":1,"asked":[]}\n' + b"?\n" * 500)
    with pytest.raises(ValueError):
        compare(Comparison(), tmp_path / "m", lambda path, entry: "")
    assert not [one for one in threading.enumerate() if one.name.startswith("compare")]
