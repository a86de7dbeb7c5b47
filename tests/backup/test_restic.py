"""What restic says, in all its versions, becomes words with a mend; a missing or old restic is told as such."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backup.checks.contents import contents
from backup.checks.integrity import integrity
from backup.restic import can, escaped, repository_of, version
from backup.trouble import ResticTrouble, kind_of, lock_of, trouble_of
from ops.errors import MissingTool, PlanRefused
from ops.model import say
from ops.run import Result
from tests.backup.room import PASSWORD, Room

RECORDED = [
    (1, "Fatal: wrong password or no key found", "password"),
    (12, '{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}', "password"),
    (1, "Fatal: unable to open config file: stat /kho/config: no such file or directory\n"
        "Is there a repository at the following location?\n/kho", "no_repository"),
    (10, "Fatal: repository does not exist: unable to open config file", "no_repository"),
    (1, "Fatal: unable to open config file: stat /kho/config: permission denied\n"
        "Is there a repository at the following location?\n/kho", "permission"),
    (1, "unable to create lock in backend: write /kho/locks/x: no space left on device", "disk_full"),
    (1, "unable to create lock in backend: repository is already locked by PID 7 on xa (UID 0, GID 0)\n"
        "lock was created at 2026-11-20 01:00:00 (26h1m2s ago)", "locked"),
    (11, "anything", "locked"),
    (1, "Fatal: unable to open config file: Head ...: dial tcp 192.0.2.1:443: connect: connection refused", "unreachable"),
    (1, "Fatal: repository contains errors", "damaged"),
    (77, "something new", "unknown"),
    (0, "", "unknown"),
    (-1001, "", "timeout"),
]


@pytest.mark.parametrize(("code", "said", "kind"), RECORDED)
def test_words_for_what_restic_says(code: int, said: str, kind: str) -> None:
    assert kind_of(code, said) == kind
    trouble = trouble_of(Result(code, b"", said.encode(), 1.0), "/kho")
    assert trouble.kind == kind
    assert trouble.mend.vi and trouble.what.vi and trouble.what.en
    assert "/kho" in trouble.what.vi


def test_lock_is_read_and_judged() -> None:
    said = "repository is already locked exclusively by PID {} on {} by root (UID 0, GID 0)\nlock was created at x (5s ago)"
    mine = lock_of(said.format(os.getpid(), socket.gethostname()))
    assert mine is not None and not mine.dead and mine.age == "5s ago"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    dead = lock_of(said.format(ended.pid, socket.gethostname()))
    assert dead is not None and dead.dead
    stranger = lock_of(said.format(ended.pid, "may-khac"))
    assert stranger is not None and not stranger.dead  # what runs elsewhere cannot be judged from here
    assert lock_of("no lock here") is None


def stand_in(place: Path, text: str) -> Path:
    """An executable that must be asked for its version and nothing else."""
    place.write_text(f"#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ['version'], sys.argv\nprint({text!r})\n")
    place.chmod(0o755)
    return place


@pytest.mark.parametrize(("text", "sign"), [
    ("restic 0.9.6 compiled with go1.13", "0.9.6"), ("restic 0.12.1 compiled with go1", "quá cũ"), ("borg 1.2.4", "không phải"),
])
def test_an_old_or_strange_program_is_named(room: Room, text: str, sign: str) -> None:
    room.site.settings["backup"] = room.settings(restic=str(stand_in(room.tmp / "restic", text)))
    with pytest.raises(MissingTool) as missing:
        room.plan()
    assert sign in missing.value.what.vi
    assert "apt-get install restic" in missing.value.mend.vi


def test_an_absent_program(room: Room) -> None:
    room.site.settings["backup"] = room.settings(restic="/khong/co/restic")
    with pytest.raises(MissingTool) as missing:
        room.plan()
    assert "/khong/co/restic" in missing.value.what.vi


def test_versions_and_features(room: Room) -> None:
    newer = stand_in(room.tmp / "restic", "restic 0.18.0 compiled with go1.24.4 on linux/amd64")
    assert version(room.ctx(), str(newer)) == (0, 18, 0)
    assert not can("exit_codes", (0, 17, 0)) and can("exit_codes", (0, 18, 0))
    assert version(room.ctx(), "restic") >= (0, 14, 0)


def test_wrong_password_leaves_checks_blind_and_says_why(room: Room) -> None:
    room.night()
    (room.tmp / "mat-khau").write_bytes(b"sai")
    finding = room.look(contents)["user"]
    assert finding.verdict == "unseen"
    assert "mật khẩu" in finding.detail.vi
    assert room.look(integrity)["user"].verdict == "unseen"


def test_password_is_seen_by_nobody(room: Room) -> None:
    """Neither argv nor environment of the running restic holds the password."""
    seen = room.tmp / "seen"
    spy = room.tmp / "spy"
    spy.write_text(f"#!{sys.executable}\nimport os, sys\nopen({str(seen)!r}, 'ab').write(open('/proc/self/cmdline', 'rb').read()"
                   "+ open('/proc/self/environ', 'rb').read())\nos.execvp('restic', ['restic', *sys.argv[1:]])\n")
    spy.chmod(0o755)
    room.site.settings["backup"] = room.settings(restic=str(spy))
    assert room.night()["outcome"] == "proved"
    assert b"RESTIC_PASSWORD_FILE=/dev/fd/" in seen.read_bytes()
    assert PASSWORD not in seen.read_bytes()


@pytest.mark.parametrize("path", ["/a[b]", "/a*", "/a?", "/a\\b"])
def test_escaped(path: str) -> None:
    assert escaped(path).replace("\\\\", "\\").replace("\\*", "*").replace("\\?", "?").replace("\\[", "[") == path
    assert escaped(path) != path


def killed_mid_backup(room: Room) -> int:
    """A real restic, killed in the middle of a backup: its lock stays behind. Gives its PID."""
    fifo = room.tmp / "fifo"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    with subprocess.Popen(
        ["restic", "-r", str(room.repository), "--password-file", str(room.tmp / "mat-khau"), "--no-cache", "backup",
         "--stdin", "--quiet"],
        stdin=keeper, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    ) as process:
        deadline = time.monotonic() + 60
        # the whole file, not the temporary one that restic renames to it
        while not any(len(path.name) == 64 for path in (room.repository / "locks").iterdir()):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    os.close(keeper)
    return process.pid


def test_lock_of_a_dead_process(room: Room) -> None:
    """The next backup goes on and is proved; the integrity check looks past the lock and offers to take it away."""
    pid = killed_mid_backup(room)
    body = room.night(prove=("backup.contents", "backup.integrity"))
    assert body["outcome"] == "proved", body["proofs"]
    finding = room.look(integrity)["user"]
    assert finding.verdict == "met"
    assert finding.next == f"restic -r {room.repository} unlock"
    assert str(pid) in finding.detail.vi and "đã chết" in finding.detail.vi
    room.restic("unlock")
    assert room.look(integrity)["user"].next == ""


def test_lock_of_a_living_process_leaves_the_integrity_check_blind(room: Room) -> None:
    fifo = room.tmp / "fifo"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    with subprocess.Popen(
        ["restic", "-r", str(room.repository), "--password-file", str(room.tmp / "mat-khau"), "--no-cache", "backup",
         "--stdin", "--quiet"],
        stdin=keeper, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    ) as process:
        deadline = time.monotonic() + 60
        # the whole file, not the temporary one that restic renames to it
        while not any(len(path.name) == 64 for path in (room.repository / "locks").iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        finding = room.look(integrity)["user"]
        process.kill()
    os.close(keeper)
    assert finding.verdict == "unseen"
    assert str(process.pid) in finding.detail.vi and "chờ" in finding.detail.vi


def test_full_disk(room: Room, full_disk: Path) -> None:
    """The run fails with a full disk, says so, counts as nothing, and leaves earlier copies whole."""
    shutil.move(room.repository, full_disk / "kho")
    room.repository = full_disk / "kho"
    room.site.settings["backup"] = room.settings()
    assert room.night()["outcome"] == "proved"
    (room.www / "phim.mp4").write_bytes(os.urandom(6 << 20))
    results = room.carry(room.plan().steps)
    failed = results[-1]
    assert not failed.done and "backup" in failed.step.argv
    assert "no space left where repository" in failed.trouble.en
    (room.www / "phim.mp4").unlink()
    for partial in (full_disk / "kho" / "data").rglob("*-tmp-*"):
        partial.unlink()
    assert len(repository_of(room.ctx()).snapshots(room.ctx(), "gaccong")) == 1
    assert room.look(contents)["user"].verdict == "met"


def test_trouble_texts_are_made_of_both_languages() -> None:
    trouble = ResticTrouble("unknown", say("lỗi", "error"), say("sửa", "mend"))
    assert "→ sửa" in trouble.explain("vi") and "→ mend" in trouble.explain("en")
    assert not isinstance(trouble, PlanRefused)
    assert trouble.exit_code == 3
