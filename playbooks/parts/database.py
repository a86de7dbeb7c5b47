"""Puts a database back: loaded beside the live one, checked, exchanged; the live one is kept. One verb a deed.

    python -m playbooks.parts.database load --home HOME --source TOLD --digits 1a2b3c4d --note NOTE -- restic ... dump ...
    python -m playbooks.parts.database swap|back|drop|finish|tidy --home HOME --source TOLD --digits 1a2b3c4d

load:   the dump goes into a new database `NAME__gaccong_DIGITS`; its hash, its tables and its counts must be those that
        were noted when it was made. The live database is not touched.
swap:   exchanges it with the live one, which is kept as `NAME__truoc_khoi_phuc_DIGITS`; a database that is gone is made.
back:   takes the exchange back.  drop: removes what `load` made, nothing else.  tidy: the same after the exchange.
finish: does what a crash left to do of an exchange; without one, drops what was only loaded.

Every verb can be run again: what is still to do is read off the server itself, and the note in HOME tells which
databases are ours. The password is a descriptor named in a variable. TOLD: the source's settings (`Dumping.told`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol

from backup.found import handed_on
from backup.servers.database import Database
from backup.servers.dumping import compared, lacking, value_of
from backup.servers.intake import PASSWORD
from backup.source import read_note
from backup.stream import Origin, runner_of, source_of
from ops import Command, Secret

_SECONDS = 21000.0
_BLOCK = 1 << 20
_TOLD = 5.0
_DIGITS = re.compile(r"[0-9a-f]{8}")
Note = dict[str, Any]


class Refused(Exception):
    """It cannot be done so, and nothing was changed. The words are for the person, Vietnamese with English in brackets."""


class Engine(Protocol):
    """What differs between kinds of database server."""

    def unfit(self) -> str:
        """Why the account must not load a dump, with the mend; "" when it may."""

    def exists(self, name: str) -> bool:
        """Whether the server has a database of this name."""

    def create(self, name: str, note: Mapping[str, Any]) -> None:
        """Makes an empty one, with the character set that was noted."""

    def drop(self, name: str) -> None:
        """Removes one, if it is there."""

    def client(self, name: str) -> Command:
        """The program that loads a dump from its standard input."""

    def shield(self) -> tuple[str, ...]:
        """argv that stands before the loading program, or ()."""

    def tables(self, name: str) -> list[str]:
        """Its tables and views, as the dump's note names them."""

    def obstacle(self, name: str) -> str:
        """What in it cannot be exchanged, in words; "" when nothing."""

    def ask(self, name: str, sql: str) -> list[str]:
        """The rows of one counting query."""

    def forward(self, deal: Deal, note: Note) -> None:
        """Makes the new one live; whatever of it is done already is left so."""

    def backward(self, deal: Deal, note: Note) -> None:
        """Makes the old one live again; the same."""


@dataclass(frozen=True)
class Deal:
    """One database to be put back."""

    home: Path
    source: Database
    digits: str
    password: bytes

    @property
    def live(self) -> str:
        """The database's own name."""
        return self.source.database

    @property
    def beside(self) -> str:
        """What is loaded into; with `kept` no longer than a server's names may be (63 letters)."""
        return f"{self.live[:40]}__gaccong_{self.digits}"

    @property
    def kept(self) -> str:
        """What the old one is called afterwards."""
        return f"{self.live[:36]}__truoc_khoi_phuc_{self.digits}"

    @property
    def path(self) -> Path:
        """The note."""
        return path_of(self.home, self.digits)

    def engine(self) -> Engine:
        """The server's kind. Raises Refused for one that has no way of being put back."""
        kind = "postgresql" if self.source.kind == "postgresql" else "mariadb"  # a WordPress lives on MariaDB
        runner, login = runner_of("")
        with runner as here:
            origin = Origin(here, login, self.source, self.password)
        made: Engine = import_module(f"playbooks.parts.{kind}").Server(origin)
        return made


def path_of(home: Path, digits: str) -> Path:
    """The note of one restored database. Raises ValueError."""
    if not _DIGITS.fullmatch(digits):
        raise ValueError(f"not the digits of a restore: {digits}")
    return home / "restores" / f"db-{digits}.json"


def read(home: Path, digits: str) -> Note:
    """The note, {} without one. Raises OSError or ValueError."""
    try:
        body = json.loads(path_of(home, digits).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(body, dict):
        raise ValueError(f"{path_of(home, digits)} is not a note")
    return body


def write(deal: Deal, note: Note) -> None:
    """Keeps the note: private, whole, on the disk before anything that it tells of is done."""
    deal.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=deal.path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(note, stream)
        stream.flush()
        os.fsync(stream.fileno())
    Path(temporary).replace(deal.path)


def load(deal: Deal, note_path: Path, restic: list[str]) -> Note:
    """Loads the dump beside the live database. Raises Refused, OSError, ValueError."""
    engine, noted, was = deal.engine(), read_note(note_path), read(deal.home, deal.digits)
    if was.get("state") in ("swapping", "swapped"):
        raise Refused("lần khôi phục này đã đổi xong (this restore was exchanged already)")
    if unfit := engine.unfit():
        raise Refused(unfit)
    for name in (deal.beside, deal.kept):
        if not was and engine.exists(name):
            raise Refused(f"đã có cơ sở dữ liệu {name} (database {name} is in the way)")
    there = engine.exists(deal.live)
    if there and (obstacle := engine.obstacle(deal.live)):
        raise Refused(obstacle)
    _same(hashed(restic), noted)  # all of it, before a server reads the first word
    write(deal, {"source": deal.source.name, "digits": deal.digits, "state": "loading",
                 "was": "there" if there else "absent", "note": {key: noted.get(key) for key in ("charset", "collation")}})
    engine.drop(deal.beside)
    engine.create(deal.beside, noted)
    try:
        counts = _checked(deal, engine, noted, restic)
    except BaseException:
        engine.drop(deal.beside)
        raise
    write(deal, {**read(deal.home, deal.digits), "state": "loaded"})
    return {"database": deal.live, "tables": len(engine.tables(deal.beside)), "counts": counts}


def _checked(deal: Deal, engine: Engine, noted: Mapping[str, Any], restic: list[str]) -> dict[str, Any]:
    command, user = engine.client(deal.beside), deal.source.user_here
    lower = ("runuser", "-u", user, "--") if user else ()
    command = replace(command, argv=(*engine.shield(), *lower, *command.argv))
    _same(pump(restic, command, int(noted.get("bytes", 0)), deal.source.hint), noted)
    if obstacle := engine.obstacle(deal.beside):  # before counting: a view's function would run with the account's powers
        raise Refused(obstacle)
    faults = [*lacking(deal.source.name, noted.get("tables", ()), engine.tables(deal.beside))]
    counts = {name: value_of(engine.ask(deal.beside, sql)) for name, sql in sorted(deal.source.counted.items())}
    faults += compared(deal.source.name, noted.get("counts", {}), counts)
    if faults:
        raise Refused("; ".join(f"{one.vi} ({one.en})" for one in faults))
    return counts


def _same(digest: str, noted: Mapping[str, Any]) -> None:
    if digest != noted.get("sha256"):
        raise Refused(f"bản kết xuất không đúng mã băm đã ghi (SHA-256 {digest}, noted was {noted.get('sha256')})")


def _feeding(restic: list[str]) -> subprocess.Popen[bytes]:
    ours = os.environ.get(PASSWORD, "").removeprefix("/dev/fd/")
    passed = [number for number in handed_on() if str(number) != ours]
    return subprocess.Popen(restic, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=passed,
                            env={name: value for name, value in os.environ.items() if name != PASSWORD})


def hashed(restic: list[str]) -> str:
    """The SHA-256 of the dump as the repository hands it out; nothing is loaded. Raises Refused."""
    digest, deadline = hashlib.sha256(), time.monotonic() + _SECONDS / 2
    feeding = _feeding(restic)
    assert feeding.stdout is not None
    try:
        while block := feeding.stdout.read(_BLOCK):
            digest.update(block)
            if time.monotonic() > deadline:
                raise Refused("quá thời hạn (past its time limit)")
    finally:
        feeding.stdout.close()
        if sys.exc_info()[0] is not None:
            feeding.kill()
        feeding.wait()
    if feeding.returncode != 0:
        raise Refused(f"restic: mã thoát (exit code) {feeding.returncode}")
    return digest.hexdigest()


def pump(restic: list[str], command: Command, whole: int, hint: Callable[[int, str], str]) -> str:
    """Feeds a dump to the loading program; gives the SHA-256 of what went through. Raises Refused."""
    feeding = _feeding(restic)
    assert feeding.stdout is not None
    try:
        with tempfile.TemporaryFile() as said:
            loading = _start(command, said)
            try:
                digest = _carry(feeding, loading, whole)
            finally:
                if loading.poll() is None:
                    loading.kill()
                    loading.wait()
            said.seek(0)
            if loading.returncode != 0:
                words = said.read().decode("utf-8", "replace").strip()[-600:]
                raise Refused(": ".join(filter(None, ("không nạp được (does not load)",
                                                      hint(loading.returncode, words), words))))
    finally:
        feeding.stdout.close()
        if feeding.poll() is None and sys.exc_info()[0] is not None:
            feeding.kill()
        feeding.wait()
    if feeding.returncode != 0:
        raise Refused(f"restic: mã thoát (exit code) {feeding.returncode}")
    return digest


def _start(command: Command, said: IO[bytes]) -> subprocess.Popen[bytes]:
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/", "LC_ALL": "C.UTF-8", "TZ": "UTC", **command.env}
    held = []
    for name, secret in command.secrets.items():
        held.append(_memory(secret))
        env[name] = f"/dev/fd/{held[-1]}"
    try:
        return subprocess.Popen(command.argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, env=env,
                                pass_fds=held, cwd="/")
    finally:
        for number in held:
            os.close(number)


def _memory(secret: Secret) -> int:
    number = os.memfd_create("secret", os.MFD_CLOEXEC)
    os.fchmod(number, 0o600)
    os.write(number, secret.reveal())
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _carry(feeding: subprocess.Popen[bytes], loading: subprocess.Popen[bytes], whole: int) -> str:
    assert feeding.stdout is not None and loading.stdin is not None
    digest, size, told, deadline = hashlib.sha256(), 0, time.monotonic(), time.monotonic() + _SECONDS
    try:
        while block := feeding.stdout.read(_BLOCK):
            digest.update(block)
            loading.stdin.write(block)
            size += len(block)
            if time.monotonic() > deadline:
                raise Refused("quá thời hạn (past its time limit)")
            if time.monotonic() - told > _TOLD:
                told = time.monotonic()
                print(json.dumps({"percent_done": size / max(whole, size), "bytes_restored": size}), flush=True)
        loading.stdin.close()
    except BrokenPipeError:
        pass  # the loading program has ended, and its own words tell why
    loading.wait(max(1.0, deadline - time.monotonic()))
    return digest.hexdigest()


def swap(deal: Deal) -> Note:
    """Makes the loaded database live. Raises Refused or what the server says."""
    note = read(deal.home, deal.digits)
    if note.get("state") == "swapped":
        return {"database": deal.live, "done": "already"}
    if note.get("state") not in ("loaded", "swapping"):
        raise Refused("chưa nạp (was the loading step run?)")
    write(deal, note | {"state": "swapping"})
    deal.engine().forward(deal, note)
    write(deal, note | {"state": "swapped"})
    return {"database": deal.live, "done": "swapped", "kept": deal.kept if deal.engine().exists(deal.kept) else ""}


def back(deal: Deal) -> Note:
    """Takes an exchange back."""
    note = read(deal.home, deal.digits)
    if note.get("state") not in ("swapping", "swapped"):
        return {"database": deal.live, "done": "nothing to take back"}
    deal.engine().backward(deal, note)
    write(deal, note | {"state": "loaded"})
    return {"database": deal.live, "done": "taken back"}


def drop(deal: Deal) -> Note:
    """Removes what was loaded and never became live."""
    note = read(deal.home, deal.digits)
    if note.get("state") in ("swapping", "swapped"):
        raise Refused(f"{deal.beside} đã được đổi: trả về trước (is exchanged: take it back first)")
    if note:
        deal.engine().drop(deal.beside)
        deal.path.unlink(missing_ok=True)
    return {"database": deal.live, "done": "dropped"}


def tidy(deal: Deal) -> Note:
    """Removes the emptied database that was loaded into."""
    engine = deal.engine()
    if read(deal.home, deal.digits).get("state") == "swapped" and engine.exists(deal.beside):
        if engine.tables(deal.beside):
            raise Refused(f"{deal.beside} còn bảng (still holds tables)")
        engine.drop(deal.beside)
    return {"database": deal.live, "done": "tidy"}


def finish(deal: Deal) -> Note:
    """Does what a crash left to do."""
    if read(deal.home, deal.digits).get("state") == "swapping":
        return swap(deal)
    return drop(deal) if read(deal.home, deal.digits).get("state") in ("loading", "loaded") else {"done": "nothing"}


_VERBS: dict[str, Callable[[Deal], Note]] = {"swap": swap, "back": back, "drop": drop, "tidy": tidy, "finish": finish}


def unfinished(home: Path) -> Iterable[Note]:
    """The notes of databases that an interrupted restore left loaded or half exchanged."""
    for path in sorted((home / "restores").glob("db-*.json")):
        try:
            note = read(home, path.stem.removeprefix("db-"))
        except (OSError, ValueError):
            continue
        if note.get("state") in ("loading", "loaded", "swapping"):
            yield note


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 done, one JSON line; 1 not possible, the reason on stderr."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.database")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("load", *_VERBS):
        one = verbs.add_parser(verb)
        one.add_argument("--home", required=True, type=Path)
        one.add_argument("--source", required=True)
        one.add_argument("--digits", required=True)
        if verb == "load":
            one.add_argument("--note", required=True, type=Path)
            one.add_argument("restic", nargs="+", help="the command that brings the dump out")
    given = parser.parse_args(arguments)
    password = Path(os.environ[PASSWORD]).read_bytes() if PASSWORD in os.environ else b""
    try:
        source = source_of(given.source)
        if not isinstance(source, Database):
            raise ValueError(f"kind {source.kind} is no database")
        deal = Deal(given.home, source, given.digits, password)
        told = load(deal, given.note, given.restic) if given.verb == "load" else _VERBS[given.verb](deal)
    except (OSError, ValueError, Refused, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(told, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
