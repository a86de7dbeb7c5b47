"""Does what a run changed still compress? Asked of the copy itself, where restic (before 0.16) does not tell.

Some dozens of the changed files are restored into scratch and squeezed with zlib. Files, not names, are the witness: an
encrypted page has no more structure than a photo.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import stat
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from backup.restic import Repository, Snapshot, escaped
from backup.trouble import ResticTrouble
from ops import Context, write_file

_FILES = 48
_LARGEST = 16 << 20
_READ = 256 << 10
_SECONDS = 600.0


def density(ctx: Context, repository: Repository, key: str, newer: Snapshot, older: Snapshot | None) -> float | None:
    """Compressed over plain bytes of a sample of what `newer` holds and `older` did not; None when it cannot be told.

    key: names the run in the site's home, where the answer is kept: a copy does not change. Files of a byte more or less
    after compression count as incompressible (1.0 and a little above).
    """
    kept = ctx.home / "squeezed" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads(kept.read_text("ascii"))["density"])
    try:
        names = _changed(ctx, repository, newer, older)
        told = _squeezed(ctx, repository, newer, names) if names else None
    except ResticTrouble:
        return None
    if told is not None:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(kept, json.dumps({"density": told, "files": len(names)}).encode(), 0o600)
    return told


def _changed(ctx: Context, repository: Repository, newer: Snapshot, older: Snapshot | None) -> list[str]:
    """Some of the files that are not what they were, spread evenly by the hash of their names."""
    was: dict[str, tuple[Any, Any]] = {}
    stages = tuple(path for path in newer.paths if "/stage/" in path)

    def before(entry: dict[str, Any]) -> None:
        was[entry["path"]] = (entry.get("size"), entry.get("mtime"))

    best: list[tuple[bytes, str]] = []

    def now(entry: dict[str, Any]) -> None:
        path = entry["path"]
        if (entry["type"] != "file" or not 0 < entry.get("size", 0) <= _LARGEST or "\ufffd" in path
                or path.startswith(stages) or was.get(path) == (entry.get("size"), entry.get("mtime"))):
            return
        best.append((hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest(), path))
        if len(best) > 64 * _FILES:
            best[:] = heapq.nsmallest(_FILES, best)

    if older is not None:
        repository.listing(ctx, older.id, before)
    repository.listing(ctx, newer.id, now)
    return [path for _, path in heapq.nsmallest(_FILES, best)]


def _squeezed(ctx: Context, repository: Repository, newer: Snapshot, names: list[str]) -> float | None:
    plain = packed = 0
    with tempfile.TemporaryDirectory(dir=ctx.scratch()) as scratch:
        wanted = [part for name in names for part in ("--include", escaped(name))]
        repository.run(ctx, "restore", newer.id, "--target", scratch, *wanted, "--no-lock", timeout=_SECONDS)
        for name in names:
            place = Path(scratch + name)
            with suppress(OSError):
                if stat.S_ISREG(place.lstat().st_mode):
                    with place.open("rb") as stream:
                        data = stream.read(_READ)
                    plain += len(data)
                    packed += len(zlib.compress(data, 1))
    return packed / plain if plain else None
