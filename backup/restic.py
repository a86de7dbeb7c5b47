"""Speaks to restic: builds argv (pure), and asks what a check or a plan needs to know. Version features live here only.

A `Repository` knows where copies live and the reference of its password. Steps of a plan come from `step`; readings
from `ask`, `snapshots`, `listing` and `dump`. Passwords travel by descriptor (RESTIC_PASSWORD_FILE), never in argv.
Readings take no lock, so that a lock left behind by a dead process blinds nobody.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backup import cache
from backup.found import mark_of
from backup.places import FIRST
from backup.ssh import chain, command, secrets_of
from backup.trouble import ResticTrouble, kind_of, lost, trouble_of
from ops import Command, Context, Here, Host, MissingTool, Result, Step, Text, aws_login, say, url_login

Version = tuple[int, int, int]

OLDEST: Version = (0, 14, 0)
TRUSTED: Version = (0, 17, 1)
"""From here on exit codes tell what happened, and a dump that fails leaves no snapshot."""
FEATURES: Mapping[str, Version] = {
    "packed_size": (0, 16, 0),
    "restore_progress": (0, 16, 0),
    "retry_lock": (0, 16, 0),
    "stdin_from_command": (0, 17, 0),
    "snapshot_summary": (0, 17, 0),
    "repair": (0, 16, 0),
    "exit_codes": (0, 17, 1),
    "check_json": (0, 18, 0),
    "missing_source_exit_3": (0, 19, 0),
}
"""What a version can do, by the version that brought it."""

DONE = (0, 3)
"""Exit codes of `backup` after which a snapshot exists; 3: something could not be read, which the proof must find."""
READ_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One copy as the repository lists it. `id` is the full 64-digit name; times are UTC.

    tree: the hash of all that it holds. original: the snapshot of another place that it was brought from, or "".
    """

    id: str
    time: datetime
    host: str
    tags: tuple[str, ...]
    paths: tuple[str, ...]
    tree: str = ""
    original: str = ""

    def tag(self, name: str) -> str:
        """The value of the tag `name=value`, or ""."""
        return next((tag.partition("=")[2] for tag in self.tags if tag.startswith(f"{name}=")), "")

    @property
    def stream(self) -> str:
        """The name of the dump that this snapshot holds alone; "" for a set's main snapshot."""
        return self.tag("stream")

    def stage(self, set_name: str) -> str:
        """The stage folder of the set as it was called where the copy was made; "" when it is not in the copy."""
        return next((path for path in self.paths if path.endswith(f"/stage/{set_name}")), "")


@dataclass(frozen=True, slots=True)
class Repository:
    """Where copies live (`at`: a path or a restic URL), by which password reference, with which restic program.

    login, ca: as in `backup.places.Where`. hosts: for SFTP, the machine and its gateways.
    """

    at: str
    password: str
    program: str
    home: Path
    login: str = ""
    ca: str = ""
    hosts: tuple[Host, ...] = ()

    @property
    def local(self) -> Path | None:
        """The folder, when the repository is one on this machine."""
        return Path(self.at) if self.at.startswith("/") else None

    @property
    def env(self) -> dict[str, str]:
        """Variables of every run: cache and temporary files stay below the site's home, progress stays rare."""
        return {"RESTIC_CACHE_DIR": str(self.home / "cache"), "TMPDIR": str(self.home / "tmp"),
                "RESTIC_PROGRESS_FPS": "0.2"}

    @property
    def secrets(self) -> dict[str, str]:
        """Variables of every run that hold the path of a secret: name -> reference."""
        found = {"RESTIC_PASSWORD_FILE": self.password, **secrets_of(self.hosts)}
        if self.login and self.at.startswith("rest:"):
            found["RESTIC_REPOSITORY_FILE"] = url_login(self.login, self.at)
        elif self.login:
            found["AWS_SHARED_CREDENTIALS_FILE"] = aws_login(self.login)
        return found

    def argv(self, *args: str) -> tuple[str, ...]:
        """`argv("snapshots", "--json")` -> ("restic", "-r", "/srv/kho", "snapshots", "--json").

        An address with a login comes by descriptor (RESTIC_REPOSITORY_FILE) and does not stand here.
        """
        inside = self.login and self.at.startswith("rest:")
        at = () if inside else ("-r", self.at)
        ca = ("--cacert", self.ca) if self.ca else ()
        ssh = ("-o", _option(f"sftp.command={shlex.join(command(self.hosts, '-s', 'sftp'))}")) if self.hosts else ()
        return (self.program, *at, *ca, *ssh, *args)

    def step(self, why: Text, *args: str, expect: tuple[int, ...] = (0,), keep: bool = False, timeout: float = 21600.0,
             undo: Step | None = None) -> Step:
        """A step of a plan that runs restic."""
        return Step(why, self.argv(*args), env=self.env, secrets=self.secrets, expect=expect, keep=keep,
                    timeout=timeout, undo=undo)

    def run(self, ctx: Context, *args: str, timeout: float = READ_SECONDS,
            on_line: Callable[[str], None] | None = None, sink: Callable[[bytes], None] | None = None) -> Result:
        """Runs restic now and returns whatever it said. Raises MissingTool; the exit code is the caller's to judge.

        sink: takes standard output as it comes, byte for byte (`dump`).
        """
        version(ctx, self.program)
        args = (*args, *cache.options(self.home))
        secrets = {name: ctx.secret(reference) for name, reference in self.secrets.items()}
        asked = Command(self.argv(*args), env=self.env, secrets=secrets, timeout=timeout, sink=sink)
        return ctx.ask("here").run(asked, on_line)

    def ask(self, ctx: Context, *args: str, timeout: float = READ_SECONDS,
            on_line: Callable[[str], None] | None = None) -> Result:
        """Reads without a lock. Raises ResticTrouble for any exit code but 0, MissingTool without a fit restic."""
        result = self.run(ctx, *args, "--no-lock", timeout=timeout, on_line=on_line)
        if result.code != 0:
            trouble = trouble_of(result, self.at)
            gone = trouble.kind == "no_repository" and mark_of(self.home, self.at).exists()
            raise lost(self.at) if gone else trouble
        return result

    def exists(self, ctx: Context) -> bool:
        """True when the repository is there: its config, or for a remote one that the password opens it.

        Raises ResticTrouble for anything in between. To open costs half a second of key derivation: where a glance at
        the file tells, a wrong password is left for the step that needs it.
        """
        if self.local is not None:
            return (self.local / "config").is_file()
        try:
            self.ask(ctx, "cat", "config", timeout=120.0)
        except ResticTrouble as trouble:
            if trouble.kind == "no_repository":
                return False
            raise
        return True

    def snapshots(self, ctx: Context, *tags: str, timeout: float = READ_SECONDS) -> list[Snapshot]:
        """The copies that carry all of `tags`, oldest first. restic leaves damaged ones out without a word."""
        wanted = ("--tag", ",".join(tags)) if tags else ()
        result = self.ask(ctx, "snapshots", "--json", *wanted, timeout=timeout)
        return sorted(map(_snapshot, json.loads(result.stdout or b"[]") or []), key=lambda found: found.time)

    def listing(self, ctx: Context, snapshot: str, each: Callable[[dict[str, Any]], None]) -> None:
        """Hands on every entry of a snapshot: path, type, size, mtime. Names that are no UTF-8 come with U+FFFD."""

        def line(text: str) -> None:
            if text.startswith("{"):
                entry = json.loads(text)
                if "path" in entry and "type" in entry:
                    each(entry)

        self.ask(ctx, "ls", "--json", snapshot, on_line=line)

    def dump(self, ctx: Context, snapshot: str, path: str, each: Callable[[str], None]) -> None:
        """Hands on every line of a text file of a snapshot, without its newline."""
        self.ask(ctx, "dump", snapshot, path, on_line=each)


def repository_of(ctx: Context, place: str = FIRST) -> Repository:
    """The repository at one of the site's places. Raises PlanRefused for an SFTP host that is not configured whole."""
    where = ctx.settings.places()[place]
    at = where.repository
    hosts: tuple[Host, ...] = ()
    if where.kind == "sftp" and "@" not in at:
        name = at.split(":", 2)[1]
        hosts = tuple(chain(name, ctx.hosts))  # restic is told the name alone: our ssh knows the way
    return Repository(at, where.password, ctx.settings.restic, ctx.home, where.login or "",
                      str(where.ca or ""), hosts)


def _option(value: str) -> str:
    """A value of `-o` as restic reads it: as a line of CSV, in which commas and quotes need quoting."""
    return '"' + value.replace('"', '""') + '"'


def _snapshot(body: Mapping[str, Any]) -> Snapshot:
    # restic writes nanoseconds; fromisoformat takes six digits
    time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(body["time"])))
    return Snapshot(str(body["id"]), time, str(body.get("hostname", "")), tuple(body.get("tags") or ()),
                    tuple(body.get("paths") or ()), str(body.get("tree", "")), str(body.get("original", "")))


_VERSIONS: dict[tuple[str, int, int], Version] = {}


def version(ctx: Context, program: str) -> Version:
    """The version of the restic program. Raises MissingTool when it is absent, unreadable or older than 0.14.

    Asked once for each state of the program's file, for each asking costs as much as starting it.
    """
    path = shutil.which(program) if isinstance(ctx.ask("here"), Here) else None
    state = Path(path).stat() if path else None
    key = (path or "", state.st_mtime_ns if state else 0, state.st_ino if state else 0)
    if key not in _VERSIONS:
        found = _version(ctx, program)
        if not state:
            return found
        _VERSIONS[key] = found
    return _VERSIONS[key]


def _version(ctx: Context, program: str) -> Version:
    mend = say("apt-get install restic (hoặc chỉ đường dẫn trong khóa `restic` của [site.….backup])",
               "apt-get install restic (or name a path in key `restic` of [site.….backup])")
    try:
        result = ctx.ask("here").run(Command((program, "version"), timeout=30.0))
    except (MissingTool, OSError):
        raise MissingTool(say("không chạy được chương trình {p}", "program {p} cannot be run", p=program), mend) from None
    found = re.search(r"restic (\d+)\.(\d+)(?:\.(\d+))?", result.text)
    if found is None or result.code != 0:
        raise MissingTool(say("{p} không phải restic", "{p} is not restic", p=program), mend)
    number = (int(found.group(1)), int(found.group(2)), int(found.group(3) or 0))
    if number < OLDEST:
        said = ".".join(map(str, number))
        raise MissingTool(say("restic {v} quá cũ; cần từ 0.14", "restic {v} is too old; 0.14 is the oldest that works",
                              v=said), mend)
    return number


def can(feature: str, having: Version) -> bool:
    """Whether a restic of this version has a feature of the table."""
    return having >= FEATURES[feature]


def escaped(path: str) -> str:
    """A path as restic's patterns must have it: `*`, `?`, `[` and backslash lose their meaning."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def below(root: str, pattern: str) -> str:
    """The restic pattern for an exclusion of a source: a bare name means that name anywhere below the source's path."""
    return pattern if pattern.startswith("/") else f"{escaped(root)}/**/{pattern}"


__all__ = ["DONE", "Repository", "ResticTrouble", "Snapshot", "below", "can", "escaped", "kind_of", "repository_of",
           "trouble_of", "version"]
