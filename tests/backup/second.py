"""What the tests of further places share: a room with a second place, acts with intents, and copies of long ago."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.model import Evidence, Finding
from ops.moment import stamp
from tests.backup.fastkey import rewrap
from tests.backup.room import PASSWORD, Room

GOOD = ("met", "at_risk")
SECOND = b"kho-thu-hai"


def note(room: Room, kind: str, duty: str, body: dict[str, Any], time: datetime | None = None) -> Evidence:
    """One line more in the room's ledger."""
    line = Evidence("demo", len(room.ledger.lines) + 1, time or room.now, kind, duty, "", body)
    room.ledger.lines.append(line)
    return line


def act(room: Room, change: Any, checks: Sequence[Any] = (), *, by: str = "người trực", **args: str) -> dict[str, Any]:
    """Plans a change, writes the intent, runs the steps, looks with `checks`, writes the outcome: as the engine does."""
    plan = change.function(room.site, room.ctx(), **args)
    intent = note(room, "intent", change.name, {"args": args, "by": by})
    results = room.carry(plan.steps)
    done = len(results) == len(plan.steps) and all(result.done for result in results)
    proofs: list[Finding] = []
    if done:
        for proof in plan.proofs:
            for check in checks:
                if check.name == proof.check:
                    found = check.function(room.site, room.ctx(*proof.subjects))
                    proofs += [one for one in found if one.subject in proof.subjects]
    held = bool(proofs) and all(finding.verdict.value in GOOD for finding in proofs)
    body = {"intent": intent.seq, "args": args, "outcome": ("proved" if held else "unproved") if done else "undone",
            "steps": [result.json() for result in results], "started": stamp(room.now),
            "proofs": [(one.subject, one.verdict.value, one.detail.vi) for one in proofs]}
    note(room, "outcome", change.name, body)
    return body


def make_second(place: Path, template: Path) -> Path:
    """An empty second repository with the template's chunker parameters, another password, and a cheap key."""
    for name, value in (("one", PASSWORD), ("two", SECOND)):
        (place / name).write_bytes(value)
    subprocess.run(["restic", "-r", str(place / "repo"), "init", "--quiet", "--password-file", str(place / "two"),
                    "--from-repo", str(template), "--from-password-file", str(place / "one"), "--copy-chunker-params"],
                   check=True, timeout=120, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(place)})
    rewrap(place / "repo", SECOND)
    return place / "repo"


def placed(template: Path, folder: Path) -> str:
    """A copy of the second repository in this folder; gives its path."""
    shutil.copytree(template, folder)
    return str(folder)


def with_second(room: Room, repository: str, **more: Any) -> None:
    """Gives the room a second place `xa`, with a password of its own; `room.now` becomes the real time."""
    for name, value in (("mat-khau-2", SECOND + b"\n"), ("dang-nhap", b"xamau:bi-mat-thu\n")):
        (room.tmp / name).write_bytes(value)
        (room.tmp / name).chmod(0o600)
    room.more["second"] = {"xa": {"repository": repository, "password": "file:mat-khau-2", "schedule": "0 3 * * *", **more}}
    room.site.settings["backup"] = room.settings()
    room.now = datetime.now(UTC)


def restic(room: Room, repository: str, *args: str, password: bytes = SECOND, code: int = 0) -> str:
    """Runs restic by hand on any repository."""
    secret = room.tmp / f"hand-{len(password)}"
    secret.write_bytes(password + b"\n")
    done = subprocess.run([room.program, "-r", repository, "--password-file", str(secret), "--no-cache", *args],
                          capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
                          env={"PATH": os.environ["PATH"], "HOME": str(room.tmp)})
    assert done.returncode == code, done.stderr
    return done.stdout


def past(room: Room, days_ago: Sequence[float], *, name: str = "user", outcome: str = "proved",
         streams: Sequence[str] = ()) -> list[str]:
    """Copies of days ago as the ledger would have noted them; gives the ids of the main snapshots."""
    small = room.tmp / "nho"
    small.mkdir(exist_ok=True)
    found = []
    for ago in days_ago:
        at = room.now - timedelta(days=ago)
        (small / "tep").write_text(f"{name} {ago}")
        steps = []
        for stream in (*streams, ""):
            tags = ["gaccong", "level=user", f"set={name}", "site=demo", *([f"stream={stream}"] if stream else [])]
            told = room.restic("backup", "--json", "--host", "demo", "--time", f"{at.astimezone():%Y-%m-%d %H:%M:%S}",
                               *(part for tag in tags for part in ("--tag", tag)), str(small))
            answer = json.loads(told.splitlines()[-1])
            steps.append({"answer": {**answer, **({"stream": stream} if stream else {})}})
        found.append(str(steps[-1]["answer"]["snapshot_id"]))
        steps.append({"answer": {"manifest": "0" * 64, "files": 1, "bytes": 10, "repository": str(room.repository)}})
        note(room, "outcome", "backup.run", {"args": {"set": name}, "outcome": outcome, "steps": steps,
                                             "started": stamp(at)}, at + timedelta(minutes=5))
    return found


def ids(room: Room, repository: str | Path | None = None, password: bytes = PASSWORD) -> list[str]:
    """Full ids of what a repository lists, oldest first."""
    said = restic(room, str(repository or room.repository), "snapshots", "--json", "--no-lock", password=password)
    return [one["id"] for one in sorted(json.loads(said), key=lambda one: one["time"])]
