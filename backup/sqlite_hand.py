"""The hand on a site's SQLite database (`python -m backup.sqlite_hand copy|look`): root never reads it as root.

A database is its owner's: a planted journal can name any path as its super-journal, which SQLite deletes while it
recovers; a planted view can count for ever. So as root this becomes the weakest user who could have written the file,
shut into its folder (chroot), before SQLite reads one page; what it writes goes into a file opened before that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import stat
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from backup.hold import NOBODY, Refused, can_drop, drop, lowest, reach

_CHECK_SECONDS = 1800.0
_BUSY_SECONDS = 60.0
_MEMORY = 4 << 30
_ROOM = 64 << 20
_STEPS = 10_000


def copy(live: Path, target: Path) -> None:
    """Copies a live database by the online backup API into `target`, which must not exist.

    Raises sqlite3.Error, OSError, or Refused: a link, no regular file, no room.
    """
    reached = reach(live.parent)
    try:
        found = os.stat(live.name, dir_fd=reached.descriptor, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{live}: not a regular file")
        room = os.statvfs(target.parent)
        if found.st_size > room.f_bavail * room.f_frsize:
            raise Refused(f"{live}: {found.st_size} bytes, more than the stage has room for")
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(target, isolation_level=None)) as made:
            # without a journal SQLite writes nowhere but into the file that it holds open already
            made.execute("PRAGMA journal_mode=OFF").fetchone()
            made.execute("PRAGMA synchronous=OFF")
            within = _lower(reached.descriptor, lowest(reached.met, found))
            _bound(2 * found.st_size + _ROOM)
            with closing(_open(Path("/") / live.name if within else live, "mode=ro")) as source:
                source.backup(made)
    finally:
        os.close(reached.descriptor)


def look(path: Path, queries: dict[str, str], seconds: float) -> dict[str, Any]:
    """{"integrity": first line, "counts": {name: first value}} of a copy in a folder of ours.

    Opened as ourselves without a look at any journal (immutable), read as nobody. Raises sqlite3.Error, Refused.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise Refused(f"{path.name}: not a regular file")
    with closing(_open(path, "mode=ro&immutable=1")) as database:
        if can_drop():
            drop(NOBODY, NOBODY)
        _bound(_ROOM)
        database.execute("PRAGMA trusted_schema=OFF")
        database.execute("PRAGMA temp_store=MEMORY")
        sound = str(_first(database, "PRAGMA integrity_check(1)", _CHECK_SECONDS, "integrity_check"))
        counts = {name: _first(database, sql, seconds, name) for name, sql in queries.items()}
    return {"integrity": sound, "counts": counts}


def _first(database: sqlite3.Connection, sql: str, seconds: float, name: str) -> Any:
    """The first value of a query, or None; interrupted after `seconds`."""
    end = time.monotonic() + seconds
    database.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
    try:
        row = database.execute(sql).fetchone()
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        raise sqlite3.OperationalError(f"{name}: no answer within {seconds:g} seconds") from None
    value = row[0] if row else None
    return value if value is None or isinstance(value, int | float) else str(value)[:500]


def _lower(folder: int, who: tuple[int, int] | None) -> bool:
    """Becomes `who`, shut into the folder; True when shut in. Who is None: only root and we can write there."""
    if who is None or not can_drop():
        return False
    os.fchdir(folder)
    os.chroot(".")
    drop(*who)
    return True


def _bound(size: int) -> None:
    """Bounds what a hostile file can make SQLite take: files of `size` bytes, memory, no core of the process."""
    for what, limit in ((resource.RLIMIT_FSIZE, size), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # a stricter limit stands already
            resource.setrlimit(what, (limit, limit))


def _open(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=_BUSY_SECONDS)


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: done, one JSON line; 1: not, its reason on stderr."""
    parser = argparse.ArgumentParser(prog="backup.sqlite_hand")
    verbs = parser.add_subparsers(dest="verb", required=True)
    copying = verbs.add_parser("copy")
    copying.add_argument("--live", required=True, type=Path)
    copying.add_argument("--target", required=True, type=Path)
    looking = verbs.add_parser("look")
    looking.add_argument("--copy", required=True, type=Path)
    looking.add_argument("--seconds", required=True, type=float)
    looking.add_argument("--query", action="append", default=[])
    given = parser.parse_args(arguments)
    try:
        if given.verb == "copy":
            copy(given.live, given.target)
            told: dict[str, Any] = {"copied": True}
        else:
            told = look(given.copy, dict(item.split("=", 1) for item in given.query), given.seconds)
    except (OSError, Refused, sqlite3.Error, MemoryError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
