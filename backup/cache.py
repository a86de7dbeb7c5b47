"""restic's cache and temporary folder below a site's home: made, mended, and left aside where the disk is full.

Measured: on a full disk restic 0.14 goes on without a cache if it never began one, but retries each file for 15 minutes
if it has; 0.19 fails at once and leaves an empty `version` file, after which every command on that cache fails, also
when there is room again. A cache holds nothing that the repository does not hold.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

LEAST = 8 << 20
"""Bytes that must be free for restic to be let near its cache."""
_BEGUN_SECONDS = 2.0


def ready(home: Path) -> int:
    """Makes both folders (0700), takes away a cache that was cut off when it was begun, and gives the free bytes.

    Raises OSError when they cannot be made.
    """
    for name in ("cache", "tmp"):
        (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for version in (home / "cache").glob("*/version"):
        _mend(version)
    places = [os.statvfs(home / name) for name in ("cache", "tmp")]
    return min(place.f_bavail * place.f_frsize for place in places)


def options(home: Path) -> tuple[str, ...]:
    """What restic must be told so that a full disk blinds nobody: ("--no-cache",) where there is no room for one."""
    try:
        return () if ready(home) >= LEAST else ("--no-cache",)
    except OSError:
        return ("--no-cache",)


def _mend(version: Path) -> None:
    try:
        # one that restic is writing at this moment is let alone; a clock that was set back makes none of them young
        if version.read_bytes().isdigit() or abs(time.time() - version.stat().st_mtime) < _BEGUN_SECONDS:
            return
    except OSError:
        return
    shutil.rmtree(version.parent, ignore_errors=True)
