"""Which part of the repository was last read through, and which is next. restic names a pack by its SHA-256 and puts it
into group n of t by the first byte of that name modulo t; so 256 time stamps, one for each first byte, tell for certain
when every byte of the repository was last read, whatever t was in between. `t` is a power of two, so that groups are even.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

CLASSES = 256


@dataclass(frozen=True, slots=True)
class Reading:
    """When each of the 256 classes was last read (seconds since 1970); `first` stands in for those never read."""

    first: float
    read: tuple[float | None, ...] = (None,) * CLASSES

    def group(self, t: int) -> int:
        """The group (1..t) that holds the class unread for longest; never-read ones come first, in order."""
        oldest = min(range(CLASSES), key=lambda byte: (self.read[byte] or 0.0, byte))
        return oldest % t + 1

    def after(self, n: int, t: int, now: datetime) -> Reading:
        """The reading after group n of t was read through without fault."""
        stamp = now.timestamp()
        return Reading(self.first, tuple(stamp if byte % t == n - 1 else was for byte, was in enumerate(self.read)))

    def oldest(self, now: datetime) -> float:
        """Age in seconds of the class that was not read for longest."""
        return now.timestamp() - min(self.first if stamp is None else stamp for stamp in self.read)

    @property
    def never(self) -> int:
        """How many classes were never read."""
        return sum(stamp is None for stamp in self.read)


def groups(size: int, budget: float) -> int:
    """t, the least power of two up to 256 with which one group is no more than `budget` bytes."""
    if size <= budget:
        return 1
    return int(min(CLASSES, 2 ** math.ceil(math.log2(size / budget))))


def path_of(home: Path, repository: str) -> Path:
    """The file that keeps the reading of this repository; another repository starts its own."""
    return home / f"reading-{hashlib.sha256(repository.encode()).hexdigest()[:12]}.json"


def load(path: Path, now: datetime) -> Reading:
    """The kept reading; a new one, never read, when there is none or it cannot be understood."""
    try:
        body = json.loads(path.read_text("utf-8"))
        stamps = tuple(None if stamp is None else float(stamp) for stamp in body["read"])
        if len(stamps) == CLASSES:
            return Reading(float(body["first"]), stamps)
    except (OSError, ValueError, TypeError, KeyError):
        return Reading(now.timestamp())
    return Reading(now.timestamp())


def keep(path: Path, reading: Reading) -> None:
    """Writes the reading whole: temporary sibling, fsync, rename."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600, exist_ok=False)
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump({"first": reading.first, "read": reading.read}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def local_bytes(folder: Path) -> int:
    """Bytes of the data packs of a repository on this machine."""
    return sum(pack.stat().st_size for pack in (folder / "data").rglob("*") if pack.is_file())


