"""What was told to whom, on disk: one JSON file, replaced whole; and a log of every letter, one line each.

A letter is in the book before it is sent: after a kill -9 it is sent again rather than lost. Both files are 0600: they hold
what is wrong with the sites, never an address of a channel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitoring.notices.letters import Entry, Trouble
from ops import Text, Verdict

MOST_LOG = 8 << 20


@dataclass(frozen=True, slots=True)
class Intent:
    """A letter that must still go out. tries: so many failed. at: not to be sent again before. words: why it failed last.

    keys: of the troubles it tells of; none for a letter about a channel.
    """

    id: str
    channel: str
    title: str
    body: str
    made: datetime
    at: datetime
    tries: int = 0
    words: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """Entries by key, and the letters that wait."""

    entries: dict[str, Entry] = field(default_factory=dict)
    waiting: tuple[Intent, ...] = ()


class Shelf:
    """The folder that holds book and log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._book, self._log = folder / "notices.json", folder / "notices.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """One round, or one acknowledgement, at a time, over all processes. Raises BlockingIOError after a while."""
        import fcntl
        import time

        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder / "notices.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for left in range(100, -1, -1):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not left:
                        raise
                    time.sleep(0.1)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Book:
        """The book; an empty one where there is none. A spoilt one is set aside and begun anew: everything that stands
        badly is then told once more, which is better than never."""
        try:
            return _book(json.loads(self._book.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Book()
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            with suppress(OSError):
                self._book.replace(self._book.with_suffix(".spoilt"))
            return Book()

    def write(self, book: Book) -> None:
        """Replaces the book, synced. Raises OSError."""
        temporary = self._book.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(_json(book), stream, sort_keys=True)  # ASCII: half a letter (\ud800) cannot be written as UTF-8
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._book)

    def log(self, now: datetime, what: str, **more: Any) -> None:
        """Appends one line. The log is kept to 8 MiB twice; it is a convenience, so trouble with it stops no letter."""
        line = json.dumps({"time": now.isoformat(), "what": what, **more}, sort_keys=True) + "\n"
        with suppress(OSError):
            if self._log.exists() and self._log.stat().st_size > MOST_LOG:
                self._log.replace(self._log.with_suffix(".old.jsonl"))
            descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
                stream.write(line)

    def lines(self, newest: int) -> list[dict[str, Any]]:
        """The last lines of the log, oldest first."""
        try:
            with self._log.open("rb") as stream:
                stream.seek(max(0, self._log.stat().st_size - newest * 4096))
                found = stream.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return []
        kept = []
        for line in found[-newest:]:
            with suppress(ValueError):
                kept.append(json.loads(line))
        return kept


def acknowledge(book: Book, site: str, duty: str, who: str, now: datetime) -> tuple[Book, int]:
    """The book in which a person has taken the open troubles of a duty ("" for all of the site); how many there were."""
    words = f"{who} {now.astimezone(UTC).isoformat(timespec='seconds')}"
    count, entries = 0, dict(book.entries)
    for key, entry in book.entries.items():
        if entry.seen.site == site and duty in ("", entry.seen.duty) and entry.verdict is not Verdict.MET:
            entries[key] = replace(entry, acknowledged=words)
            count += 1
    return replace(book, entries=entries), count


def _json(book: Book) -> dict[str, Any]:
    return {
        "entries": [{
            "site": one.seen.site, "name": one.seen.name, "duty": one.seen.duty, "subject": one.seen.subject,
            "seen": one.seen.verdict.value, "since": one.seen.since.isoformat(), "detail": [one.seen.detail.vi, one.seen.detail.en],
            "next": one.seen.next, "cite": [one.seen.cite.vi, one.seen.cite.en], "verdict": one.verdict.value,
            "told": {name: told.value for name, told in one.told.items()}, "turns": [turn.isoformat() for turn in one.turns],
            "flapping": one.flapping.isoformat() if one.flapping else None, "acknowledged": one.acknowledged,
        } for one in book.entries.values()],
        "waiting": [{"id": one.id, "channel": one.channel, "title": one.title, "body": one.body, "made": one.made.isoformat(),
                     "at": one.at.isoformat(), "tries": one.tries, "words": one.words, "keys": list(one.keys)} for one in book.waiting],
    }


def _book(body: dict[str, Any]) -> Book:
    entries = {}
    for one in body["entries"]:
        trouble = Trouble(one["site"], one["name"], one["duty"], one["subject"], Verdict(one["seen"]), _time(one["since"]),
                          Text(*one["detail"]), one["next"], Text(*one["cite"]))
        entries[trouble.key] = Entry(
            trouble, Verdict(one["verdict"]), {name: Verdict(told) for name, told in one["told"].items()},
            tuple(map(_time, one["turns"])), _time(one["flapping"]) if one["flapping"] else None, one["acknowledged"])
    waiting = tuple(Intent(one["id"], one["channel"], one["title"], one["body"], _time(one["made"]), _time(one["at"]),
                           int(one["tries"]), one["words"], tuple(one.get("keys", ()))) for one in body["waiting"])
    return Book(entries, waiting)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
