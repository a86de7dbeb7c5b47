"""Compares a manifest with what a copy holds. Shared by the contents check (names and sizes) and the drill (bytes).

A file that differs in size or time from its manifest line changed while the copy was being made: it is `moving`, which
is life. A file that is absent from the copy is `moving` too if it has since changed or gone at its source; if it still
lies there untouched, restic passed it over, and that is a loss.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from backup.manifest import Entry, read_name, shown

_NAMED = 20


@dataclass
class Comparison:
    """Counts, and the first few names behind each: moving, lost, wrong, unreadable."""

    files: int = 0
    bytes: int = 0
    header: Entry = field(default_factory=dict)
    footer: Entry = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256)

    def note(self, kind: str, path: bytes) -> None:
        """Counts one entry as `kind`."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.names.setdefault(kind, [])
        if len(self.names[kind]) < _NAMED:
            self.names[kind].append(shown(path))

    def count(self, kind: str) -> int:
        """How many entries are of this kind."""
        return self.counts.get(kind, 0)

    @property
    def manifest(self) -> str:
        """SHA-256 of the manifest's bytes, as far as they were read."""
        return str(self.digest.hexdigest())

    @property
    def whole(self) -> bool:
        """The manifest had a head and an end, and its own count agrees."""
        return bool(self.header) and self.footer.get("files") == self.files

    def line(self, text: str, judge: Callable[[bytes, Entry], str]) -> None:
        """Takes one manifest line; `judge(path, entry)` gives "" (right) or the kind of difference."""
        self.digest.update(text.encode("utf-8") + b"\n")
        entry = json.loads(text)
        if "end" in entry:
            self.footer = entry
        elif "asked" in entry:
            self.header = entry
        else:
            path = read_name(entry)
            if entry["kind"] == "file":
                self.files += 1
                self.bytes += entry["size"]
            kind = "unreadable" if "unreadable" in entry else judge(path, entry)
            if kind:
                self.note(kind, path)


def lossy(path: bytes) -> str:
    """A path as restic's JSON gives it: every byte that is no UTF-8 becomes U+FFFD."""
    text = path.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text)


def listed(found: dict[str, tuple[str, int, int]]) -> Callable[[bytes, Entry], str]:
    """Judge by a listing: lossy path -> (type, size, mtime in microseconds)."""

    def judge(path: bytes, entry: Entry) -> str:
        there = found.get(lossy(path))
        if there is None:
            return absent(path, entry)
        kind, size, mtime = there
        if entry["kind"] in ("file", "dir", "symlink") and kind != entry["kind"]:
            return "moving"
        if entry["kind"] == "file" and (size != entry["size"] or mtime != entry["mtime_ns"] // 1000):
            return "moving"
        return ""

    return judge


def restored(root: Path) -> Callable[[bytes, Entry], str]:
    """Judge by the files of a restored tree below `root`: kind, size, time, then every byte."""
    base = os.fsencode(root)

    def judge(path: bytes, entry: Entry) -> str:
        place = base + path
        try:
            status = os.lstat(place)
        except OSError:
            return absent(path, entry)
        tests = {"file": stat.S_ISREG, "dir": stat.S_ISDIR, "symlink": stat.S_ISLNK}
        test = tests.get(entry["kind"])
        if test is None:
            return ""
        if not test(status.st_mode):
            return "moving"
        if entry["kind"] == "symlink":
            return "" if os.readlink(place) == read_name(entry, "target") else "moving"  # noqa: PTH115 - bytes
        if entry["kind"] != "file":
            return ""
        if entry.get("moving") or (status.st_size, status.st_mtime_ns) != (entry["size"], entry["mtime_ns"]):
            return "moving"
        with open(place, "rb") as stream:  # noqa: PTH123 - a path of bytes
            same = hashlib.file_digest(stream, "sha256").hexdigest() == entry["sha256"]
        return "" if same else "wrong"

    return judge


def absent(path: bytes, entry: Entry) -> str:
    """Judges an entry that the copy does not hold: `lost` if it still lies untouched at its source, else `moving`."""
    try:
        now = os.lstat(path)
    except OSError:
        return "moving"
    same = (now.st_ino, now.st_ctime_ns) == (entry["inode"], entry["ctime_ns"])
    return "lost" if same else "moving"


def microseconds(time: str) -> int:
    """restic's RFC 3339 time (up to nanoseconds, with an offset) as whole microseconds since 1970, cut, not rounded."""
    head, _, rest = time.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if rest else ""
    if not rest:
        return int(datetime.fromisoformat(time).timestamp()) * 1_000_000
    return int(datetime.fromisoformat(head + zone).timestamp()) * 1_000_000 + int((digits + "000000")[:6])
