"""What of the repository was read through, and when. restic names a pack by its SHA-256; 256 time stamps, one for each
first byte of that name, tell for certain when every byte was last read, whatever share was read in between.

`restic check` takes group n of t: the classes whose byte modulo t is n-1 (t a power of two, so that groups are even). The
keyless scrub takes the classes unread for longest, as many as fit its budget. A pack that came after its class was read
is read when it comes, and stands in a list beside (`known`) once it was; until then it counts as unread.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ops import write_file

CLASSES = 256
_SKEW_SECONDS = 3600.0
BAD_KEPT = 64
"""So many objects that were found bad are remembered and read again in every look; the others when their class is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """When each of the 256 classes was last read (seconds since 1970); `first` stands in for those never read.

    bad: objects that were found bad and must be read again until they are right or gone. size: bytes of the data when it
    was last asked for, and when that was.
    """

    first: float
    read: tuple[float | None, ...] = (None,) * CLASSES
    bad: tuple[str, ...] = ()
    size: tuple[int, float] = (0, 0.0)

    def group(self, t: int) -> int:
        """The group (1..t) that holds the class unread for longest; never-read ones come first, in order."""
        oldest = min(range(CLASSES), key=lambda byte: (self.read[byte] or 0.0, byte))
        return oldest % t + 1

    def after(self, n: int, t: int, now: datetime) -> Reading:
        """The reading after group n of t was read through without fault."""
        return self.having({byte for byte in range(CLASSES) if byte % t == n - 1}, now)

    def having(self, classes: Collection[int], now: datetime) -> Reading:
        """The reading after every pack of these classes was read."""
        stamp = now.timestamp()
        return replace(self, read=tuple(stamp if byte in classes else was for byte, was in enumerate(self.read)))

    def due(self, sizes: Mapping[int, int], budget: float) -> set[int]:
        """The classes unread for longest whose packs (bytes by class) fit the budget together; at least one."""
        chosen: set[int] = set()
        left = budget
        for byte in sorted(range(CLASSES), key=lambda byte: (self.read[byte] or 0.0, byte)):
            size = sizes.get(byte, 0)
            if size and size > left and any(sizes.get(one) for one in chosen):
                break
            chosen.add(byte)
            left -= size
        return chosen

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
        # a stamp from the future was made by a wrong clock and says nothing
        latest = now.timestamp() + _SKEW_SECONDS
        stamps = tuple(None if stamp is None or stamp > latest else float(stamp) for stamp in body["read"])
        if len(stamps) == CLASSES:
            size, asked = body.get("size", (0, 0.0))
            return Reading(min(float(body["first"]), now.timestamp()), stamps, tuple(map(str, body.get("bad", ()))),
                           (int(size), float(asked)))
    except (OSError, ValueError, TypeError, KeyError):
        return Reading(now.timestamp())
    return Reading(now.timestamp())


def keep(path: Path, reading: Reading) -> None:
    """Writes the reading whole."""
    body = {"first": reading.first, "read": reading.read, "bad": reading.bad[:BAD_KEPT],
            "size": reading.size}
    write_file(path, json.dumps(body).encode(), 0o600)


def known_of(path: Path) -> Path:
    """The file beside a reading that lists the packs which were read at least once."""
    return path.with_suffix(".known")


def load_known(path: Path) -> set[str]:
    """Objects that were read and right at least once; none when the file is not there."""
    try:
        return set(path.read_text("ascii").split())
    except (OSError, ValueError):
        return set()


def keep_known(path: Path, names: Iterable[str]) -> None:
    """Writes the list whole, one object a line."""
    write_file(path, "".join(f"{name}\n" for name in sorted(names)).encode("ascii"), 0o600)


def local_bytes(folder: Path) -> int:
    """Bytes of the data packs of a repository on this machine."""
    return sum(pack.stat().st_size for pack in (folder / "data").rglob("*") if pack.is_file())


