"""Doors into the database for reading: the same SQL text (`:name` parameters) by sqlite3 or by SQLAlchemy.

A SQLite reader must answer within a few milliseconds of a fresh process, so it uses the standard library alone;
importing SQLAlchemy costs more than a whole `gaccong status` may take.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from ops.store.trouble import told

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Row = Sequence[Any]
WAIT_SECONDS = 30.0
SET_UP = ("PRAGMA foreign_keys=ON", "PRAGMA synchronous=FULL")


class Door(Protocol):
    """Reads from a database."""

    place: str

    def rows(self, sql: str, **values: object) -> list[Row]:
        """All rows of a query."""

    def snapshot(self) -> Any:
        """A context manager that gives a door onto one unmoving state of the database."""

    def close(self) -> None:
        """Lets go of kept connections."""


def connect_sqlite(path: Path) -> sqlite3.Connection:
    """A connection as gaccong wants it: WAL, synchronous=FULL, foreign keys, a wait for locks, explicit BEGIN."""
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")
        for line in SET_UP:
            connection.execute(line)
    except BaseException:
        connection.close()
        raise
    return connection


def make_private_file(path: Path) -> None:
    """An empty database file that only its owner may read, in a folder that only its owner may enter."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


class SqliteDoor:
    """Keeps idle connections; any thread may ask."""

    def __init__(self, path: Path, place: str) -> None:
        self.path = path
        self.place = place
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = connect_sqlite(self.path)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)

    def rows(self, sql: str, **values: object) -> list[Row]:
        """All rows of a query."""
        with told(self.place), self._borrowed() as connection:
            return connection.execute(sql, values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Door]:
        """One unmoving state of the database (a WAL read transaction)."""
        with self._borrowed() as connection:
            with told(self.place):
                connection.execute("BEGIN")
            try:
                yield _Fixed(connection, self.place)
            finally:
                connection.rollback()

    def close(self) -> None:
        """Closes the idle connections."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()


class _Fixed:
    """A door on one sqlite3 connection inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        self._connection = connection
        self.place = place

    def rows(self, sql: str, **values: object) -> list[Row]:
        with told(self.place):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Door]:
        yield self

    def close(self) -> None:
        """The owner closes the connection."""


class EngineDoor:
    """Reads by SQLAlchemy (PostgreSQL)."""

    def __init__(self, engine: Engine, place: str) -> None:
        self.engine = engine
        self.place = place

    def rows(self, sql: str, **values: object) -> list[Row]:
        """All rows of a query."""
        with told(self.place), self.engine.connect() as connection:
            return _fetch(connection, sql, values)

    @contextmanager
    def snapshot(self) -> Iterator[Door]:
        """One unmoving state of the database (REPEATABLE READ)."""
        with told(self.place):
            connection = self.engine.connect()
        with connection:
            yield _FixedEngine(connection.execution_options(isolation_level="REPEATABLE READ"), self.place)

    def close(self) -> None:
        """Closes the pool."""
        self.engine.dispose()


class _FixedEngine:
    """A door on one SQLAlchemy connection inside its transaction."""

    def __init__(self, connection: Connection, place: str) -> None:
        self._connection = connection
        self.place = place

    def rows(self, sql: str, **values: object) -> list[Row]:
        with told(self.place):
            return _fetch(self._connection, sql, values)

    @contextmanager
    def snapshot(self) -> Iterator[Door]:
        yield self

    def close(self) -> None:
        """The owner closes the connection."""


def _fetch(connection: Connection, sql: str, values: dict[str, object]) -> list[Row]:
    from sqlalchemy import text

    return [tuple(row) for row in connection.execute(text(sql), values)]
