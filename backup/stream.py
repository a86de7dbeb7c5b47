"""Streams one dump into restic as a snapshot of its own, without touching the disk (`python -m backup.stream`).

A dump counts only when its program exited 0, its last line is the one that a whole dump ends with, and it is not
empty; `servers.intake` sees to it that nothing else can become a snapshot, whoever is killed on the way. restic is
started with the first bytes: a source that does not answer never touches the repository.

Writes STAGE/NAME.note.json and prints one JSON line. Exit 0: done; 3: the source could not be had or counted, the note
says why; anything else: restic failed, in its own words on standard error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pwd
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from backup.notes import PART_DONE, write_note
from backup.servers.database import Database
from backup.servers.dumping import COUNT_SECONDS, STREAM_SECONDS, Dumping, SourceTrouble, value_of
from backup.servers.intake import PASSWORD, Intake, IntakeBroken, open_intake, version_of
from backup.ssh import key_variable
from ops import TIMED_OUT, Command, GaccongError, Here, Host, Remote, Result, Runner, Secret

_TAIL = 8192
_LAST_LINES = 6
SILENT_SECONDS = 1800.0
"""A database's dump that gives no byte for so long is ended. (A command may compute before its first.)"""


@dataclass(frozen=True)
class Origin:
    """Where the dump is made: a runner, the user that we are there, and the database's password."""

    runner: Runner
    login: str
    source: Dumping
    password: bytes

    def run(self, command: Command) -> Result:
        """Runs a command of the kind's there, as the system user that the settings name."""
        user = self.source.user_here
        if user and user != self.login:
            command = replace(command, argv=("runuser", "-u", user, "--", *command.argv))
        return self.runner.run(replace(command, cwd=Path("/")))

    def ask(self, sql: str, *, ours: bool = False) -> list[str]:
        """The answer to one statement of a database. Raises SourceTrouble."""
        assert isinstance(self.source, Database), self.source.kind
        result = self.run(replace(self.source.ask(sql, self.password, ours=ours), timeout=COUNT_SECONDS))
        if not result.ok:
            raise SourceTrouble(failure(self.source, result))
        return result.text.splitlines()

    def look(self, sql: str) -> list[str]:
        """The answer to a statement of this program's own, which nothing in the database may bend. Raises SourceTrouble."""
        return self.ask(sql, ours=True)

    def facts(self) -> dict[str, Any]:
        """What the note tells of a database. Raises SourceTrouble."""
        return self.source.look(self.look) if isinstance(self.source, Database) else {}

    def tool(self) -> str:
        """The dump program's version, in its own words."""
        if not self.source.tool:
            return ""
        found = self.run(Command(self.source.tool, timeout=COUNT_SECONDS))
        if not found.ok:
            raise SourceTrouble(failure(self.source, found))
        return found.text.strip()[:200]

    def counts(self) -> tuple[dict[str, Any], list[str]]:
        """(query -> value, what went wrong): a query that is wrong costs its number, not the backup.

        Nothing is counted by an account whose powers the site's owner could borrow; the dump is made all the same.
        """
        found: dict[str, Any] = {}
        wrong: list[str] = []
        if not isinstance(self.source, Database) or not self.source.counted:
            return found, wrong
        try:
            strong = self.source.too_strong(self.look)
        except SourceTrouble as trouble:
            strong = str(trouble)
        if strong:
            return found, [strong]
        for name, sql in sorted(self.source.counted.items()):
            try:
                found[name] = value_of(self.ask(sql))
            except SourceTrouble as trouble:
                wrong.append(f"{name}: {trouble}")
        return found, wrong


def _stood_still(*_: object) -> None:
    raise SourceTrouble(f"không có dữ liệu trong {SILENT_SECONDS / 60:g} phút, đã dừng kết xuất → xem bảng có bị khóa, hoặc có "
                        f"EVENT chứa `;;` không (no data in {SILENT_SECONDS / 60:g} minutes, the dump was ended: is a table "
                        f"locked, or does an event hold `;;`?)")


class Flow:
    """The dump on its way: hashed, counted, its end remembered. `start` opens the intake at the first byte."""

    def __init__(self, start: Callable[[], Intake]) -> None:
        self._start = start
        self._digest = hashlib.sha256()
        self.intake: Intake | None = None
        self.bytes = 0
        self.tail = b""
        self.settled = False
        self._watched = False

    def take(self, chunk: bytes) -> None:
        """Takes what the dump program wrote. Raises IntakeBroken."""
        self._watch(0)  # a repository that takes its time is not the dump's silence
        if self.intake is None:
            self.intake = self._start()
        self._digest.update(chunk)
        self.bytes += len(chunk)
        self.tail = (self.tail + chunk[-_TAIL:])[-_TAIL:]
        self.intake.give(chunk)
        self._watch(SILENT_SECONDS)

    def _watch(self, seconds: float) -> None:
        if self._watched:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    @contextmanager
    def watched(self, wanted: bool) -> Iterator[None]:
        """Within it, bytes that stay away too long end the dump: the site's owner may have seen to it that it never ends.
        Raises SourceTrouble."""
        self._watched = wanted
        signal.signal(signal.SIGALRM, _stood_still)
        self._watch(SILENT_SECONDS)
        try:
            yield
        finally:
            self._watch(0)
            self._watched = False

    def restic_ended(self, *_: object) -> None:
        """For SIGUSR1: restic has ended. Raises IntakeBroken unless all is settled."""
        if not self.settled:
            raise IntakeBroken("restic has ended")

    @property
    def sha256(self) -> str:
        """The hash of what went through."""
        return self._digest.hexdigest()

    def refuse(self) -> None:
        """Whatever was begun is not saved."""
        self.settled = True
        if self.intake is not None:
            self.intake.refuse()


def failure(source: Dumping, result: Result) -> str:
    """One line for the note about a program that failed."""
    code = "quá thời hạn (timed out)" if result.code == TIMED_OUT else f"mã thoát (exit code) {result.code}"
    said = " ".join(result.stderr.decode("utf-8", "backslashreplace").split())[-600:]
    hint = source.hint(result.code, said)
    return f"{hint}: {code}: {said}" if hint else f"{code}: {said}"


def ends(tail: bytes, marker: str) -> bool:
    """Whether one of the last lines begins with the marker (pg_dump writes a few short lines after it)."""
    lines = [line for line in tail.splitlines() if line.strip()]
    return any(line.startswith(marker.encode()) for line in lines[-_LAST_LINES:])


def fault(source: Dumping, result: Result, flow: Flow) -> str:
    """Why a dump that has ended does not count, or ""."""
    if result.code != 0 or result.cut:
        return failure(source, result)
    if flow.bytes < source.least:
        return f"bản kết xuất chỉ có {flow.bytes} byte (the dump has only {flow.bytes} bytes)"
    if source.marker and not ends(flow.tail, source.marker):
        return f"bản kết xuất thiếu dòng kết thúc (the dump lacks its last line) “{source.marker}”"
    return ""


def carry(origin: Origin, flow: Flow, note: dict[str, Any]) -> str:
    """Looks, counts, and pumps the dump; gives why it does not count, or "". Raises IntakeBroken."""
    source = origin.source
    try:
        note["program"] = origin.tool()
        note |= origin.facts()
        note["_before"], note["_wrong"] = origin.counts()
        command = replace(source.dump(origin.password), sink=flow.take, timeout=STREAM_SECONDS)
        with flow.watched(isinstance(source, Database)):
            result = origin.run(command)
        return fault(source, result, flow)
    except SourceTrouble as trouble:
        return str(trouble)
    except GaccongError as error:  # the machine is not reached, or was lost midway
        return f"{error.what.vi} ({error.what.en})"


def after(origin: Origin, note: dict[str, Any]) -> None:
    """Counts again, and notes both numbers of each query; tables that went meanwhile are not asked for."""
    before, wrong = note.pop("_before"), note.pop("_wrong")
    try:
        found, more = origin.counts()
        later = origin.facts()
    except (SourceTrouble, GaccongError) as error:
        found, more, later = {}, [str(error)], {}
    note["counts"] = {name: [before[name], found[name]] for name in before if name in found}
    if "tables" in later:
        note["tables"] = sorted(set(note["tables"]) & set(later["tables"]))
    note["trouble"] = "; ".join(dict.fromkeys([*wrong, *more]))


def stream(origin: Origin, given: argparse.Namespace) -> int:
    """The whole step; see the module."""
    source, path = origin.source, given.stage / f"{origin.source.name}.note.json"
    path.unlink(missing_ok=True)  # last night's note must never be copied as tonight's
    options = ["--host", given.host_name, *(part for tag in (*given.tag, f"stream={source.name}") for part in ("--tag", tag)),
               "--stdin-filename", source.file]
    version = version_of(given.restic[0])
    flow = Flow(lambda: open_intake(given.restic, options, version))
    signal.signal(signal.SIGUSR1, flow.restic_ended)
    note: dict[str, Any] = {"kind": source.kind, "name": source.name, "file": source.file, "ends_with": source.marker}
    broken = False
    trouble = "?"
    try:
        trouble = carry(origin, flow, note)
    except IntakeBroken:
        broken = True
    finally:
        if trouble:
            flow.refuse()
    if broken:
        return _restic_failed(flow)
    if trouble or flow.intake is None:
        note = {name: value for name, value in note.items() if not name.startswith("_")}
        write_note(path, {**note, "trouble": trouble})
        print(json.dumps({"stream": source.name, "trouble": trouble}, ensure_ascii=False))
        return PART_DONE
    flow.settled = True
    flow.intake.accept(flow.bytes)
    after(origin, note)
    code, summary, _ = flow.intake.end()
    if code != 0 or not summary.get("snapshot_id") or summary.get("total_bytes_processed", flow.bytes) != flow.bytes:
        return _restic_failed(flow)
    note |= {"sha256": flow.sha256, "bytes": flow.bytes, "snapshot_id": summary["snapshot_id"]}
    write_note(path, note)
    sizes = {name: summary[name] for name in ("data_added", "data_added_packed") if name in summary}
    told = {name: note[name] for name in ("snapshot_id", "sha256", "bytes", "counts", "trouble")}
    print(json.dumps({"stream": source.name, **told, **sizes}, ensure_ascii=False, sort_keys=True))
    return PART_DONE if note["trouble"] else 0


def _restic_failed(flow: Flow) -> int:
    """restic's words, and an exit code that is neither 0 nor that of a missing source."""
    code, summary, said = flow.intake.end() if flow.intake is not None else (1, {}, "")
    sys.stderr.write(said or f"restic: exit code {code}, {json.dumps(summary)}\n")
    return code if code > 0 and code != PART_DONE else 1


def source_of(told: str) -> Dumping:
    """The source that `Dumping.told` wrote. Raises ValueError."""
    kind = str(json.loads(told).get("kind", ""))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise ValueError(f"no kind of source: {kind!r}")
    source = import_module(f"backup.sources.{kind}").Source.model_validate_json(told)
    if not isinstance(source, Dumping):
        raise ValueError(f"kind {kind} makes no dump")
    return source


def runner_of(chain: str) -> tuple[AbstractContextManager[Runner], str]:
    """(the runner of the machine where the dump is made, who we are there). chain: `ssh.described`, or ""."""
    if not chain:
        return nullcontext(Here()), pwd.getpwuid(os.geteuid()).pw_name
    bodies = json.loads(chain)
    hosts = [Host(body["name"], body["address"], body["port"], body["user"], key_variable(body["name"]),
                  Path(body["known_hosts"]), following["name"] if following else "")
             for body, following in zip(bodies, [*bodies[1:], None], strict=True)]
    return Remote(hosts[0], _secret, {host.name: host for host in hosts}), hosts[0].user


def _secret(variable: str) -> Secret:
    """The secret behind a variable that names a descriptor."""
    return Secret(Path(os.environ[variable]).read_bytes())


def main(arguments: list[str] | None = None) -> int:
    """The step."""
    parser = argparse.ArgumentParser(prog="backup.stream")
    parser.add_argument("--source", required=True, help="the source's settings as JSON")
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("--tag", action="append", default=[])
    parser.add_argument("--host-name", required=True)
    parser.add_argument("--from", dest="chain", default="", help="the machine and its gateways, as backup.ssh tells them")
    parser.add_argument("restic", nargs="+", help="restic's argv up to its command")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that restic is told to take its lock away
    password = _secret(PASSWORD).reveal() if PASSWORD in os.environ else b""
    runner, login = runner_of(given.chain)
    with runner as reached:
        return stream(Origin(reached, login, source_of(given.source), password), given)


if __name__ == "__main__":
    sys.exit(main())
