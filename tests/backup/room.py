"""A small real backup room for tests: a site with files and a database, a real restic repository, a ledger in memory.

`Room.night()` plans `backup.run` and carries it out with the kernel's own step carrier, proves it with the real checks
and notes the outcome as the engine would. Nothing is mocked; only the ledger is a list.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backup.changes.run import run
from backup.checks.contents import contents
from backup.checks.integrity import integrity
from backup.settings import Settings
from backup.trouble import explain
from ops.duty import Context
from ops.model import Evidence, Finding, Plan, Site, State, Step
from ops.moment import stamp
from ops.run import Here
from ops.secrets import resolve
from ops.steps import Carrier, StepResult, undo_order
from tests.backup.fastkey import rewrap
from tests.kit import NOW, Bare, make_context, make_site

NEWER = str(Path(sys.executable).parent / "restic-newer")
"""The newer restic that `./setup test` unpacks; Debian 12's own is `restic` (0.14)."""
PASSWORD = b"thu-nghiem-khong-that"
CHECKS = {"backup.contents": contents, "backup.integrity": integrity}


class Ledger(Bare):
    """A view over lines in memory."""

    def __init__(self) -> None:
        self.lines: list[Evidence] = []
        self.known: list[State] = []

    def evidence(self, site: str, *, kind: str = "", duty: str = "", since: datetime | None = None, **_: Any) -> list[Any]:
        return [line for line in self.lines if kind in ("", line.kind) and duty in ("", line.duty)
                and (since is None or line.time >= since)]

    def states(self, site: str, duty: str = "") -> list[Any]:
        return [state for state in self.known if duty in ("", state.duty)]

    def note(self, time: datetime, body: dict[str, Any]) -> Evidence:
        line = Evidence("demo", len(self.lines) + 1, time, "outcome", "backup.run", "", body)
        self.lines.append(line)
        return line


def make_template(place: Path) -> Path:
    """An empty repository that opens fast; copy it for each test."""
    secret = place / "password"
    secret.write_bytes(PASSWORD)
    subprocess.run(["restic", "-r", str(place / "repo"), "init", "--quiet", "--password-file", str(secret)], check=True,
                   timeout=120, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(place)})
    rewrap(place / "repo", PASSWORD)
    return place / "repo"


@dataclass
class Room:
    """A site under `tmp`: www/ with three files, tin.db with two tables, etc/ for the system level."""

    tmp: Path
    template: Path
    now: datetime = NOW
    thresholds: dict[str, float] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    program: str = "restic"

    def __post_init__(self) -> None:
        self.ledger = Ledger()
        self.www, self.etc, self.db = self.tmp / "srv/www", self.tmp / "srv/etc", self.tmp / "srv/data/tin.db"
        self.repository = self.tmp / "kho"
        for folder in (self.www / "anh", self.etc, self.db.parent):
            folder.mkdir(parents=True, exist_ok=True)
        (self.www / "index.html").write_text("<h1>Xã mẫu</h1>\n")
        (self.www / "anh" / "a.jpg").write_bytes(bytes(range(256)) * 40)
        (self.www / "anh" / "b.jpg").write_bytes(b"\xff\xd8" + b"q" * 5000)
        (self.etc / "nginx.conf").write_text("server {}\n")
        with closing(sqlite3.connect(self.db)) as database:
            database.execute("CREATE TABLE bai (id INTEGER PRIMARY KEY, ten TEXT)")
            database.executemany("INSERT INTO bai (ten) VALUES (?)", [(f"bài {n}",) for n in range(500)])
            database.commit()
        (self.tmp / "mat-khau").write_bytes(PASSWORD + b"\n")
        (self.tmp / "mat-khau").chmod(0o600)
        if not self.repository.exists():
            shutil.copytree(self.template, self.repository)
        self.site: Site = make_site(backup=self.settings())

    def settings(self, **more: Any) -> Settings:
        user = {"level": "user", "schedule": "30 1 * * *", "source": [
            {"kind": "files", "paths": [str(self.www)], "exclude": ["*.tmp"]},
            {"kind": "sqlite", "name": "tin", "path": str(self.db), "queries": {"so_bai": "SELECT count(*) FROM bai"}},
        ]}
        system = {"level": "system", "schedule": "0 2 * * *", "source": [
            {"kind": "system", "paths": [str(self.etc)], "packages": True}]}
        body = {"repository": str(self.repository), "password": "file:mat-khau", "restic": self.program, "set": {"user": user, "system": system},
                **self.more, **more}
        return Settings.model_validate(body, context={"base": self.tmp})

    def ctx(self, *subjects: str) -> Context:
        return make_context(self.tmp, self.site.settings["backup"], view=self.ledger, now=self.now,
                            thresholds=self.thresholds, subjects=subjects)

    def plan(self, name: str = "user") -> Plan:
        return run.function(self.site, self.ctx(), set=name)

    def carry(self, steps: tuple[Step, ...]) -> list[StepResult]:
        """Runs steps to the first that fails, as the engine does."""
        carrier = Carrier(lambda host: Here(), lambda reference: resolve(reference, self.tmp), explain=explain)
        results: list[StepResult] = []
        for step in steps:
            results.append(carrier.carry_out(step))
            if not results[-1].done:
                break
        return results

    def undo(self, results: list[StepResult]) -> list[StepResult]:
        """Takes back what was begun, last first."""
        carrier = Carrier(lambda host: Here(), lambda reference: resolve(reference, self.tmp))
        return [carrier.carry_out(step) for step in undo_order(results)]

    def night(self, name: str = "user", *, prove: tuple[str, ...] = ("backup.contents",)) -> dict[str, Any]:
        """One run: plan, steps, proofs, outcome. Only the named proofs are looked at. Then a day passes."""
        plan = self.plan(name)
        results = self.carry(plan.steps)
        done = len(results) == len(plan.steps) and results[-1].done
        proofs = [finding for proof in plan.proofs if proof.check in prove and done
                  for finding in CHECKS[proof.check].function(self.site, self.ctx(*proof.subjects))]
        held = bool(proofs) and all(finding.verdict in ("met", "at_risk") for finding in proofs)
        body = {"args": {"set": name}, "outcome": ("proved" if held else "unproved") if done else "undone",
                "steps": [result.json() for result in results], "started": stamp(self.now),
                "proofs": [(finding.verdict.value, finding.detail.vi) for finding in proofs]}
        self.ledger.note(self.now + timedelta(minutes=5), body)
        self.now += timedelta(days=1)
        return body

    def look(self, check: Any, *subjects: str) -> dict[str, Finding]:
        """What a check finds, by subject."""
        return {finding.subject: finding for finding in check.function(self.site, self.ctx(*subjects))}

    def restic(self, *args: str, code: int = 0) -> str:
        """Runs restic by hand on the repository."""
        done = subprocess.run(
            [self.program, "-r", str(self.repository), "--password-file", str(self.tmp / "mat-khau"), "--no-cache", *args],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self.tmp)})
        assert done.returncode == code, done.stderr
        return done.stdout
