"""Opens a site's SQLite file as the file's owner, never as root.

Opening is not harmless: a journal that lies beside the database may name any path, and SQLite deletes that path while it
recovers. So whoever works here as root becomes the owner first. `become` does it for a process that only reads; `Row`
works in a child process over a pipe (lines of JSON), so that secrets and the former state stay with the parent.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import socket
import sqlite3
import stat
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

SECONDS = 20
"""Most that one opening of the database may take; a view or trigger in it can be written to loop for ever."""
_STEPS = 20_000
_MOST_ROWS = 100_000
_LONGEST = 10_000
_LARGEST_LINE = 16 << 20
_NOBODY = 65534


class Trouble(Exception):
    """The database is not as the settings say, or cannot be used; says why in English."""


Owner = tuple[int, int] | None
"""(uid, gid) to become before a file may be opened; None: stay who we are."""


def place_of(path: Path) -> tuple[Path, Owner]:
    """The true path of the file, and whose it is. Raises Trouble for what is no regular file.

    A file of root's counts as the folder's owner's, where somebody else owns a folder above it: he can swap it. Where
    others may write beside it or swap it all the same, nobody can say whose it is.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise Trouble(f"{path}: not a regular file (a link is not followed)")
        folder = path.parent.resolve(strict=True)
        true = folder / path.name
        if os.geteuid() != 0:
            return true, None
        above = [one.stat() for one in (folder, *folder.parents)]
        found = next((one for one in (true.lstat(), *above) if one.st_uid), None)
    except OSError as error:
        raise Trouble(f"{path}: {error.strerror}") from None
    if found is not None:
        return true, (found.st_uid, found.st_gid or _NOBODY)
    if above[0].st_mode & 0o022 or any(one.st_mode & 0o022 and not one.st_mode & stat.S_ISVTX for one in above):
        raise Trouble(f"{path}: root owns it, but others may write in a folder above it")
    return true, None


def become(owner: Owner) -> None:
    """Gives up root for good. Every module that is needed must have been loaded before."""
    if owner is not None:
        uid, gid = owner
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def quoted(name: str) -> str:
    """An identifier for SQL; only for names that were found in the database."""
    return '"' + name.replace('"', '""') + '"'


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """The database, which must exist, for SECONDS. Only after `become`. Raises Trouble."""
    database = None
    until = time.monotonic() + SECONDS
    try:
        database = sqlite3.connect(f"file:{quote(str(path))}?mode={'rw' if write else 'ro'}", uri=True, timeout=10,
                                   isolation_level=None)
        database.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        database.execute("PRAGMA trusted_schema=OFF")
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        if database is not None:
            database.close()
        raise Trouble(f"{path}: {error}") from None
    return database


def column(database: sqlite3.Connection, table: str, name: str) -> str:
    """The quoted name of a column that really is there, letter by letter. Raises Trouble."""
    try:
        columns = [row[0] for row in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    except sqlite3.Error as error:
        raise Trouble(str(error)) from None
    if table not in tables:
        raise Trouble(f"there is no table {table!r}; tables: {', '.join(sorted(tables))}")
    if name not in columns:
        raise Trouble(f"table {table!r} has no column {name!r}; columns: {', '.join(columns)}")
    return quoted(name)


def rows(path: Path, table: str, columns: list[str]) -> list[list[Any]]:
    """Every row of these columns ("" gives NULL), packed. This process becomes the owner, for good. Raises Trouble."""
    path, owner = place_of(path)
    become(owner)
    with closing(connect(path, write=False)) as database:
        names = [column(database, table, name) if name else "NULL" for name in columns]
        database.text_factory = lambda data: data[:_LONGEST].decode("utf-8", "surrogateescape")
        wanted = f"SELECT {', '.join(names)} FROM {quoted(table)} ORDER BY 1"  # noqa: S608
        try:
            found = database.execute(wanted).fetchmany(_MOST_ROWS + 1)
        except sqlite3.Error as error:
            raise Trouble(f"{path}: {error}") from None
    if len(found) > _MOST_ROWS:
        raise Trouble(f"table {table!r} has more than {_MOST_ROWS} rows")
    return [[packed(value[:_LONGEST] if isinstance(value, bytes) else value) for value in row] for row in found]


class Row:
    """The one row of a login, in a child process that is the file's owner, inside a transaction that ends with the
    `with` block. Raises Trouble: also when the child does not answer in time."""

    def __init__(self, database: Path, table: str, login: tuple[str, str], target: str) -> None:
        self._what = (database, table, login, target)

    def __enter__(self) -> Row:
        path, owner = place_of(self._what[0])
        self._line, theirs = socket.socketpair()
        self._until = time.monotonic() + SECONDS
        self._rest = b""
        sys.stdout.flush()
        self._child = os.fork()
        if self._child == 0:
            self._line.close()
            _serve(theirs, owner, path, *self._what[1:])
        theirs.close()
        try:
            self._ask({"do": "begin"})
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self._ask({"do": "commit" if kind is None else "rollback"})
        except Trouble:
            if kind is None:
                raise
        finally:
            self._end()

    @property
    def value(self) -> Any:
        """The target column's value. Raises Trouble unless the login names exactly one row."""
        return unpacked(self._ask({"do": "value"}))

    def set(self, value: Any) -> None:
        """Writes the target column and reads it back."""
        self._ask({"do": "set", "to": packed(value)})

    def _ask(self, question: dict[str, Any]) -> Any:
        try:
            self._line.sendall(json.dumps(question).encode() + b"\n")
            answer = json.loads(self._hear())
            trouble, value = answer.get("trouble"), answer.get("value")
        except (OSError, ValueError, AttributeError) as error:
            raise Trouble(f"{self._what[0]}: no answer from the database ({error or type(error).__name__})") from None
        if trouble is not None:
            raise Trouble(str(trouble))
        return value

    def _hear(self) -> bytes:
        while b"\n" not in self._rest:
            left = self._until - time.monotonic()
            if left <= 0 or not select.select([self._line], [], [], left)[0]:
                raise TimeoutError(f"{SECONDS} s are over")
            chunk = self._line.recv(1 << 16)
            if not chunk or len(self._rest) > _LARGEST_LINE:
                raise ValueError("it ended")
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def _end(self) -> None:
        self._line.close()
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)


def _serve(line: socket.socket, owner: Owner, path: Path, table: str, login: tuple[str, str], target: str) -> None:
    """The child: becomes the owner, opens, answers, and never returns."""
    try:
        become(owner)
        with line.makefile("rwb") as stream:
            database = None
            for question in stream:
                try:
                    order = json.loads(question)
                    if database is None:
                        database = connect(path, write=True)
                        aim = _Aim(database, table, column(database, table, login[0]), login[1],
                                   column(database, table, target))
                    answer: dict[str, Any] = {"value": aim.do(order)}
                except (Trouble, sqlite3.Error) as error:
                    answer = {"trouble": str(error) if isinstance(error, Trouble) else f"database: {error}"}
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()
    finally:
        os._exit(0)


class _Aim:
    """One row's target column, in an open database."""

    def __init__(self, database: sqlite3.Connection, table: str, key: str, login: str, target: str) -> None:
        self.database, self.login = database, login
        self.read = f"SELECT {target} FROM {quoted(table)} WHERE {key} = ?"  # noqa: S608
        self.write = f"UPDATE {quoted(table)} SET {target} = ? WHERE {key} = ?"  # noqa: S608

    def do(self, order: dict[str, Any]) -> Any:
        """One order of the parent's; gives the packed value for "value"."""
        if order["do"] == "value":
            return packed(self._value())
        if order["do"] == "set":
            value = unpacked(order["to"])
            self.database.execute(self.write, (value, self.login))
            if self._value() != value:
                raise Trouble("the database did not keep what was written (a trigger?)")
        else:
            self.database.execute({"begin": "BEGIN IMMEDIATE", "commit": "COMMIT", "rollback": "ROLLBACK"}[order["do"]])
        return None

    def _value(self) -> Any:
        found = self.database.execute(self.read, (self.login,)).fetchmany(2)
        if len(found) != 1:
            raise Trouble(f"{len(found) if len(found) < 2 else 'several'} rows have this login instead of one")
        return found[0][0]


def packed(value: Any) -> dict[str, Any]:
    """A value of SQLite's as JSON can hold it."""
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"value": value}


def unpacked(value: dict[str, Any]) -> Any:
    """The value again."""
    return base64.b64decode(value["bytes"]) if "bytes" in value else value["value"]
