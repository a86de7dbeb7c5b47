"""The staging step of a SQLite database (`backup.sqlite_copy`): a whole copy, its integrity, its counts, a note.

The database is its owner's: only `backup.sqlite_hand` opens it, in a process that is no longer root.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backup.lean import lean
from backup.notes import PART_DONE, write_note

_HAND_SECONDS = 5000.0
COUNT_SECONDS = 60.0
"""How long one counting query may take: a view of the site owner's could go on for ever."""


def answers(path: Path, queries: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """(integrity_check's first line, query name -> its first value) of a database file that nobody writes to.

    Raises OSError: missing, damaged beyond opening, or a query that does not end.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing")
    asked = [part for name, sql in queries.items() for part in ("--query", f"{name}={sql}")]
    told = _hand("look", "--copy", str(path), "--seconds", str(COUNT_SECONDS), *asked)
    return str(told["integrity"]), dict(told["counts"])


def copy(live: Path, target: Path) -> None:
    """Copies a live database; `target` appears whole or not at all. Raises OSError."""
    temporary = target.with_name(f".{target.name}.new")
    for stale in (temporary, target):
        stale.unlink(missing_ok=True)
    try:
        _hand("copy", "--live", str(live), "--target", str(temporary))
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _hand(*words: str) -> dict[str, Any]:
    """What the hand says: a process of its own, which as root becomes the database's owner. Raises OSError."""
    try:
        done = subprocess.run(lean("backup.sqlite_hand", *words), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=_HAND_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"no end within {_HAND_SECONDS:g} seconds") from None
    if done.returncode != 0:
        raise OSError(done.stderr.strip()[-500:] or f"the process ended with {done.returncode}")
    told = json.loads(done.stdout)
    return told if isinstance(told, dict) else {}


def main(arguments: list[str] | None = None) -> int:
    """The staging step. Exit 0: copied and sound; 3: not, and the note says why. Prints the note as one JSON line."""
    parser = argparse.ArgumentParser(prog="backup.sqlite_copy")
    parser.add_argument("--name", required=True)
    parser.add_argument("--path", required=True, type=Path)
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("--query", action="append", default=[])
    given = parser.parse_args(arguments)
    queries = dict(item.split("=", 1) for item in given.query)
    target = given.stage / f"{given.name}.sqlite"
    note: dict[str, Any] = {"kind": "sqlite", "name": given.name, "path": str(given.path), "trouble": ""}
    try:
        live = given.path.lstat()
        if not stat.S_ISREG(live.st_mode):
            raise OSError(f"{given.path}: a link or no regular file; name the database itself")
        note |= {"mode": live.st_mode & 0o7777, "uid": live.st_uid, "gid": live.st_gid}
        copy(given.path, target)
        note["integrity"], note["counts"] = answers(target, queries)
        note["bytes"] = target.stat().st_size
        if note["integrity"] != "ok":
            note["trouble"] = f"integrity_check: {note['integrity']}"
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        note["trouble"] = f"{type(error).__name__}: {error}"
    write_note(given.stage / f"{given.name}.note.json", note)
    print(json.dumps(note, ensure_ascii=False, sort_keys=True))
    return PART_DONE if note["trouble"] else 0


if __name__ == "__main__":
    sys.exit(main())
