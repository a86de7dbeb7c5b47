"""The record of availability: one SQLite file, one writer, any number of readers that wait for nobody (WAL).

    run         from when to when somebody watched. What lies in no run is unknown for every target: so a prober that
                was killed, or a clock that jumped, leaves its gap by itself. Where two runs overlap (the clock went
                back), the later run is right.
    transition  within a run, from this moment on a target is in this state. Never changed after the fact.
    day         looks counted by Vietnamese days, for latency and for an auditor who wants to compare; all times in
                reports come from `transition`, so that there is one truth.

A batch of transitions and the mark up to which its run was watched are one transaction: a reader never sees a run that
claims more than it has recorded.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from monitoring.uptime.counting import Tally
from monitoring.uptime.judging import State
from ops import GaccongError, say

APPLICATION = 0x67614375
VERSION = 1
FILE = "uptime.db"
_SCHEMA = """
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE target (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE run (id INTEGER PRIMARY KEY, began INTEGER NOT NULL, seen INTEGER NOT NULL);
CREATE TABLE transition (
  target INTEGER NOT NULL, run INTEGER NOT NULL, moment INTEGER NOT NULL, state INTEGER NOT NULL,
  reason INTEGER NOT NULL, PRIMARY KEY (target, run, moment)) WITHOUT ROWID;
CREATE TABLE day (
  day INTEGER NOT NULL, target INTEGER NOT NULL, ok INTEGER NOT NULL, bad INTEGER NOT NULL, blip INTEGER NOT NULL,
  unknown INTEGER NOT NULL, absent INTEGER NOT NULL, sum_us INTEGER NOT NULL, hist BLOB NOT NULL,
  PRIMARY KEY (day, target)) WITHOUT ROWID;
"""


class UptimeLocked(GaccongError):
    """Another prober writes this store."""


@dataclass
class Batch:
    """What is to be written together.

    runs: number -> (began, seen). turns: (target, run, moment, state, reason). days: (day, target) -> tally.
    today: when the clock went back, the day that it is now: days after it were never lived.
    """

    runs: dict[int, tuple[int, int]] = field(default_factory=dict)
    turns: list[tuple[str, int, int, int, str]] = field(default_factory=list)
    days: dict[tuple[int, str], Tally] = field(default_factory=dict)
    today: int | None = None

    def absorb(self, later: Batch) -> None:
        """This batch could not be written yet: takes up what has come since."""
        self.runs.update(later.runs)
        self.turns += later.turns
        if later.today is not None:
            self.days = {key: tally for key, tally in self.days.items() if key[0] <= later.today}
            self.today = later.today
        self.days.update(later.days)


class Store:
    """The writer. Belongs to one thread at a time; every method may raise sqlite3.Error, and then wrote nothing."""

    def __init__(self, folder: Path, busy_seconds: float = 5.0) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(folder / "uptime.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UptimeLocked(
                say("một tiến trình khác đang theo dõi và ghi vào {f}", "another process watches and writes {f}", f=folder),
                say("chỉ chạy một tiến trình theo dõi cho mỗi thư mục", "run one watching process for each folder"),
            ) from None
        self.path = folder / FILE
        old = os.umask(0o077)
        try:
            self._base = sqlite3.connect(self.path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        finally:
            os.umask(old)
        self._prepare()
        self._words: dict[str, int] = dict(self._base.execute("SELECT text, id FROM word"))
        self._targets: dict[str, int] = dict(self._base.execute("SELECT name, id FROM target"))

    def _prepare(self) -> None:
        base = self._base
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=NORMAL")
        version = base.execute("PRAGMA user_version").fetchone()[0]
        application = base.execute("PRAGMA application_id").fetchone()[0]
        if version == 0 and not base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            base.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA application_id={APPLICATION}; PRAGMA user_version={VERSION}; COMMIT;"
            )
        elif (version, application) != (VERSION, APPLICATION):
            raise GaccongError(
                say("{f} không phải sổ theo dõi của phiên bản này", "{f} is not a record that this version knows", f=self.path),
                say("cập nhật gaccong, hoặc dời tệp ấy đi nơi khác", "update gaccong, or move that file elsewhere"),
            )

    def last_run(self) -> int:
        """The number of the newest run, 0 when nobody has ever watched."""
        return int(self._base.execute("SELECT coalesce(max(id), 0) FROM run").fetchone()[0])

    def believed(self) -> dict[str, State]:
        """The last known state of every target: a restart continues it."""
        rows = self._base.execute(
            "SELECT name, (SELECT state FROM transition WHERE target = target.id AND state <> ?"
            " ORDER BY run DESC, moment DESC LIMIT 1) FROM target", (int(State.UNKNOWN),)
        )
        return {name: State(state) for name, state in rows if state is not None}

    def tallies(self, day: int) -> dict[str, Tally]:
        """The counts of one day."""
        rows = self._base.execute(
            "SELECT name, ok, bad, blip, unknown, absent, sum_us, hist FROM day JOIN target ON target.id = day.target"
            " WHERE day = ?", (day,)
        )
        return {row[0]: Tally.of(row[1:]) for row in rows}

    def write(self, batch: Batch) -> None:
        """All of it or nothing."""
        base = self._base
        base.execute("BEGIN IMMEDIATE")
        try:
            targets = {turn[0] for turn in batch.turns} | {target for _, target in batch.days}
            new_targets = self._number("target", "name", sorted(targets - self._targets.keys()))
            new_words = self._number("word", "text", sorted({turn[4] for turn in batch.turns} - self._words.keys()))
            targets_of, words = {**self._targets, **new_targets}, {**self._words, **new_words}
            base.executemany(
                "INSERT INTO run (id, began, seen) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
                [(number, began, seen) for number, (began, seen) in batch.runs.items()],
            )
            base.executemany(
                "INSERT OR REPLACE INTO transition (target, run, moment, state, reason) VALUES (?, ?, ?, ?, ?)",
                [(targets_of[name], run, moment, state, words[why]) for name, run, moment, state, why in batch.turns],
            )
            if batch.today is not None:
                base.execute("DELETE FROM day WHERE day > ?", (batch.today,))
            base.executemany(
                "INSERT OR REPLACE INTO day (day, target, ok, bad, blip, unknown, absent, sum_us, hist)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(day, targets_of[name], *tally.row()) for (day, name), tally in sorted(batch.days.items())],
            )
            base.execute("COMMIT")
        except BaseException:
            if base.in_transaction:
                base.execute("ROLLBACK")
            raise
        self._targets, self._words = targets_of, words

    def _number(self, table: str, column: str, texts: Sequence[str]) -> dict[str, int]:
        made = {}
        for text in texts:
            cursor = self._base.execute(f"INSERT INTO {table} ({column}) VALUES (?)", (text,))  # noqa: S608 (our words)
            made[text] = int(cursor.lastrowid or 0)
        return made

    def close(self) -> None:
        """Lets the file and the lock go."""
        self._base.close()
        os.close(self._lock)


def back_up(folder: Path, copy: Path) -> None:
    """A consistent copy while the prober writes on (SQLite's online backup)."""
    with closing(sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)) as base, closing(sqlite3.connect(copy)) as to:
        base.backup(to)
