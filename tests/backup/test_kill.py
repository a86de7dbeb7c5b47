"""kill -9 in the middle of a backup, 20 points of gaccong and 20 of restic: no lie in the ledger, the next run mends itself.

The points lie evenly over the measured length of one undisturbed run. `tests/journeys/test_kill.py` kills whole rounds of
`gaccong run`; here each copy that the ledger calls proved is looked for in the repository afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ops.store import open_store
from tests.backup.room import PASSWORD
from tests.journeys.place import Place

POINTS = 20
BY = ("--by", "Trần Thị Mẫu")


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Place:
    """A machine whose set has 400 files, driven by the real command, with a restic that tells its process id."""
    made = Place(tmp_path / "m", template)
    for number in range(400):
        (made.root / "www" / f"bai-{number}.html").write_text(f"<p>Bài {number}</p>\n" * 40, encoding="utf-8")
    told = made.root / "restic"
    told.write_text(f"#!{sys.executable} -I\nimport os, sys\nif 'backup' in sys.argv:\n"
                    f"    open({str(made.root / 'pid')!r}, 'w').write(str(os.getpid()))\n"
                    "os.execvp('restic', ['restic', *sys.argv[1:]])\n")
    told.chmod(0o755)
    text = made.site_file.read_text(encoding="utf-8")
    made.site_file.write_text(text.replace("[site.a.backup]\n", f'[site.a.backup]\nrestic = "{told}"\n'), encoding="utf-8")
    return made


def disturb(place: Place, point: int) -> None:
    """Work for tonight: new content that does not compress."""
    (place.root / "www" / "phim.mp4").write_bytes(os.urandom(12 << 20))
    (place.root / "www" / "bai-0.html").write_text(f"bản {point}", encoding="utf-8")


def started(place: Place, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(place.argv(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True, cwd=place.root)


def snapshots(place: Place) -> dict[str, Any]:
    """What the repository holds, by id."""
    done = subprocess.run(["restic", "-r", str(place.root / "kho"), "--no-cache", "--no-lock", "snapshots", "--json"],
                          capture_output=True, timeout=60, check=True, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                                                                            "RESTIC_PASSWORD": PASSWORD.decode()})
    return {str(one["id"]): one for one in json.loads(done.stdout) or []}


def outcomes(place: Place) -> list[dict[str, Any]]:
    with open_store(f"sqlite:///{place.root}/state/gaccong.db", None, create=False) as store:
        return [dict(line.body) for line in store.evidence("a", kind="outcome", duty="backup.run")]


def no_lie(place: Place) -> None:
    """The ledger verifies, and every snapshot that it calls proved is in the repository."""
    verified = place.gaccong("ledger", "verify")
    assert verified.returncode == 0, verified.stdout
    there = snapshots(place)
    for body in outcomes(place):
        ids = [step["answer"]["snapshot_id"] for step in body["steps"]
               if isinstance(step.get("answer"), dict) and step["answer"].get("snapshot_id")]
        if body["outcome"] == "proved":
            assert ids and all(any(one.startswith(found) for one in there) for found in ids), body


def mended(place: Place) -> None:
    """The next run is proved, takes no harm from locks, restores right to the byte, and leaves nothing open."""
    (place.root / "www" / "bai-1.html").write_text("sau cùng", encoding="utf-8")
    body = place.json("apply", place.digest("backup.run", "set=user"), *BY, code=0)
    assert body["outcome"] == "proved", body
    no_lie(place)
    with open_store(f"sqlite:///{place.root}/state/gaccong.db", None, create=False) as store:
        assert store.open_intents("a") == []
    drilled = place.json("look", "backup.drill")
    assert [one["verdict"] for one in drilled["rows"] if one["subject"] == "user"] == ["met"], drilled
    left = [path.name for path in (place.root / "state/sites/a/stage/user").iterdir() if path.name.startswith(".")]
    assert left == []
    integrity = place.json("look", "backup.integrity")
    assert [one["verdict"] for one in integrity["rows"] if one["subject"] == "user"] == ["met"], integrity


def orphans_ended(place: Place) -> None:
    """Waits until what gaccong had started is gone: kill -9 of the parent leaves its child at work for a while."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not _at_work(place):
            return
        time.sleep(0.05)
    raise AssertionError("a child of a killed gaccong does not end")


def _at_work(place: Place) -> bool:
    mark = os.fsencode(place.root)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
                alive = b"\nState:\tZ" not in (entry / "status").read_bytes()
            except OSError:
                continue
            if mark in words and alive:
                return True
    return False


def test_gaccong_is_killed_at_twenty_points(place: Place) -> None:
    digest = place.digest("backup.run", "set=user")
    disturb(place, -1)
    begun = time.monotonic()
    place.json("apply", digest, *BY, code=0)
    whole = time.monotonic() - begun
    killed = 0
    for point in range(POINTS):
        disturb(place, point)
        begun = time.monotonic()
        running = started(place, "apply", digest, *BY)
        try:
            running.wait(0.1 + (whole - 0.1) * point / POINTS)
            whole = min(whole, time.monotonic() - begun)  # the machine is less busy now: the points move together
        except subprocess.TimeoutExpired:
            os.kill(running.pid, signal.SIGKILL)
            running.wait(30)
            killed += 1
        if point % 10 == 9:  # the ledger at every tenth point, so that kills also follow on kills
            orphans_ended(place)
            no_lie(place)
    orphans_ended(place)
    assert killed >= POINTS // 2
    mended(place)


def test_restic_is_killed_at_twenty_points(place: Place) -> None:
    digest = place.digest("backup.run", "set=user")
    disturb(place, -1)
    body = place.json("apply", digest, *BY, code=0)
    whole = next(step["seconds"] for step in body["steps"]
                 if isinstance(step.get("answer"), dict) and step["answer"].get("snapshot_id"))
    told, killed, tries = place.root / "pid", 0, 0
    while killed < POINTS and tries < 2 * POINTS:
        point, tries = killed, tries + 1
        disturb(place, tries)
        told.unlink(missing_ok=True)
        running = started(place, "apply", digest, *BY)
        deadline = time.monotonic() + 60
        while not told.exists() or not told.read_text():
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.005)
        time.sleep(whole * point / POINTS)
        pid = int(told.read_text())
        try:
            mine = str(place.root / "kho").encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
            if mine:
                os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            mine = False
        code = running.wait(120)
        if not mine:
            whole *= 0.8  # restic was done already: this machine is faster now than when it was timed
            continue
        killed += 1
        assert code in (0, 5), code
        if point % 10 == 9:
            no_lie(place)
    assert killed == POINTS
    said = [body["outcome"] for body in outcomes(place)]
    assert said.count("proved") <= 1 + tries - killed + 1, said  # one may have been whole when the signal came
    assert "undone" in said
    mended(place)
