"""What a snapshot holds, as `restic ls --json` tells it, in 16 bytes an entry: a million entries take 32 MiB.

Two numbers for each entry in a table of open addressing: the hash of its path, and of what a manifest is compared by.
Python's hash of a text is keyed anew in every process, so nobody can choose names that collide. A name that is no UTF-8
comes lossy from restic; two of one folder may then look alike, and each stands for itself in the table.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backup.compare import absent, lossy, microseconds
from backup.manifest import Entry
from backup.restic import Repository
from backup.trouble import trouble_of
from ops import Context

_MASK = (1 << 64) - 1
_FIRST_SIZE = 1 << 12
_SECONDS = 1800.0
_NO_MATCH = "no snapshot found"


def _figure(kind: str, size: int, mtime: int) -> int:
    return hash((kind, size, mtime) if kind == "file" else kind) & _MASK


class Entries:
    """A set of (path, figure) that only grows."""

    def __init__(self) -> None:
        self._paths = array("Q", bytes(8 * _FIRST_SIZE))
        self._figures = array("Q", bytes(8 * _FIRST_SIZE))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, path: str, figure: int) -> None:
        """Takes one more entry; 0 in the table means free, so a hash of 0 counts as 1."""
        if self._count * 5 >= len(self._paths) * 4:
            self._grow()
        self._put(self._paths, self._figures, (hash(path) & _MASK) or 1, figure)
        self._count += 1

    @staticmethod
    def _put(paths: array[int], figures: array[int], key: int, figure: int) -> None:
        mask = len(paths) - 1
        at = key & mask
        while paths[at]:
            at = (at + 1) & mask
        paths[at], figures[at] = key, figure

    def _grow(self) -> None:
        paths, figures = array("Q", bytes(16 * len(self._paths))), array("Q", bytes(16 * len(self._paths)))
        for key, figure in zip(self._paths, self._figures, strict=True):
            if key:
                self._put(paths, figures, key, figure)
        self._paths, self._figures = paths, figures

    def find(self, path: str, *figures: int) -> str:
        """ "" when the path stands there with one of these figures (or none is given), "other" when only with others, and
        "absent" when it does not.
        """
        key = (hash(path) & _MASK) or 1
        mask = len(self._paths) - 1
        at, found = key & mask, "absent"
        while self._paths[at]:
            if self._paths[at] == key:
                if not figures or self._figures[at] in figures:
                    return ""
                found = "other"
            at = (at + 1) & mask
        return found


@dataclass
class Listing:
    """One snapshot: its head as restic tells it, and its entries. kept: entries asked for by name, whole."""

    head: dict[str, Any] = field(default_factory=dict)
    entries: Entries = field(default_factory=Entries)
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The snapshot's id; "" when there is no such snapshot."""
        return str(self.head.get("id", ""))

    def holds(self, path: str) -> bool:
        """Whether something stands under this path."""
        return self.entries.find(lossy(path.encode("utf-8", "surrogateescape"))) == ""

    def judge(self, path: bytes, entry: Entry) -> str:
        """Compares one manifest line: kind, size and time; "" when right."""
        kind = entry["kind"]
        figures = () if kind == "other" else (_figure(kind, entry["size"], entry["mtime_ns"] // 1000),)
        found = self.entries.find(lossy(path), *figures)
        if found == "other":
            # one that lies untouched at its source did not change meanwhile: the copy holds something else for it
            return "lost" if kind == "file" and absent(path, entry) == "lost" else "moving"
        return absent(path, entry) if found else ""


def read(ctx: Context, repository: Repository, snapshot: str, *filters: str, keep: Callable[[str], bool]) -> Listing:
    """Lists a snapshot with one opening of the repository. `keep(path)`: whether an entry is wanted whole.

    snapshot: an id, or "latest" with filters (`--tag`, `--path`). Raises ResticTrouble.
    """
    listing, rest = Listing(), b""

    def take(chunk: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                _entry(listing, json.loads(line.decode("utf-8", "replace")), keep)

    result = repository.run(ctx, "ls", "--json", snapshot, *filters, "--no-lock", timeout=_SECONDS, sink=take)
    if result.code != 0 and not (snapshot == "latest" and _NO_MATCH in result.trouble):
        raise trouble_of(result, repository.at)
    return listing


def _entry(listing: Listing, body: dict[str, Any], keep: Callable[[str], bool]) -> None:
    if "path" not in body:
        if "id" in body and "time" in body:
            listing.head = body
        return
    path, kind = body["path"], body.get("type", "")
    listing.entries.add(path, _figure(kind, body.get("size", 0), microseconds(body["mtime"]) if kind == "file" else 0))
    if keep(path):
        listing.kept[path] = body
