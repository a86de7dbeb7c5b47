"""Puts a restored tree in the place of the live one in one moment, and keeps what was there; `--back` takes it back.

    python -m playbooks.parts.swap --new /srv/.khoi-phuc-1a2b3c4d/srv/www --live /srv/www --kept /srv/.www.truoc-khoi-phuc-1a2b3c4d

All three must lie on one filesystem. Where both exist the kernel exchanges them (renameat2, RENAME_EXCHANGE): at no
moment is the live path absent or half. A note beside the kept tree (`KEPT.json`) tells how far the swap came, by the
inode of the new tree, so that running the step again after a crash goes on instead of swapping back. `--aside PATH`
(a database's -wal and -shm) is moved away with the old tree and comes back with it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

_EXCHANGE = 2
_AT_FDCWD = -100


class SwapError(Exception):
    """The trees are not as the step left or expects them; nothing was moved."""


def note_of(kept: Path) -> Path:
    """The note beside the kept tree."""
    return kept.with_name(f"{kept.name}.json")


def swap(new: Path, live: Path, kept: Path, aside: list[Path]) -> str:
    """Makes `new` live and the old tree `kept`. Gives what was done. Raises SwapError or OSError; safe to run again."""
    note = _read(note_of(kept))
    if note and _inode(live) == note["new"]:
        if note["was"] == "there" and os.path.lexists(new) and not os.path.lexists(kept):
            new.rename(kept)  # the crash came between exchange and rename: `new` is the old tree by now
        _sync(live.parent)
        return "already swapped"
    if not os.path.lexists(new):
        raise SwapError(f"{new} is not there: was the restore step run?")
    if os.path.lexists(kept):
        raise SwapError(f"{kept} is in the way")
    live.parent.mkdir(parents=True, exist_ok=True)
    there = os.path.lexists(live)
    _write(note_of(kept), {"live": str(live), "was": "there" if there else "absent", "new": _inode(new)})
    for path in aside:
        if os.path.lexists(path):
            path.rename(_aside(kept, path))
    if there:
        exchange(new, live)
        new.rename(kept)
    else:
        new.rename(live)
    _sync(live.parent)
    return "swapped" if there else "put in place"


def back(new: Path, live: Path, kept: Path, aside: list[Path]) -> str:
    """Takes a swap back: the old tree is live again, the restored one is `new` again. Safe to run again."""
    note = _read(note_of(kept))
    if not note:
        return "nothing to take back"
    old = kept if os.path.lexists(kept) else new
    if _inode(live) == note["new"]:
        new.parent.mkdir(parents=True, exist_ok=True)
        if note["was"] == "there":
            if not os.path.lexists(old):
                raise SwapError(f"{kept} is gone: the old tree cannot be brought back")
            exchange(old, live)
            if old != new:
                old.rename(new)
        else:
            live.rename(new)
    elif _inode(kept) == note["new"]:
        kept.rename(new)  # an earlier taking back came as far as the exchange
    for path in aside:
        if os.path.lexists(_aside(kept, path)) and not os.path.lexists(path):
            _aside(kept, path).rename(path)
    note_of(kept).unlink()
    _sync(live.parent)
    return "taken back"


def exchange(one: Path, other: Path) -> None:
    """Exchanges two paths at one moment. Raises OSError; there is no fallback that could leave half."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _aside(kept: Path, path: Path) -> Path:
    return kept.with_name(f"{kept.name}{path.suffix}")


def _inode(path: Path) -> list[int]:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return []
    return [status.st_dev, status.st_ino]


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _write(path: Path, body: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(body, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 done (or done before), 1 not possible."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.swap")
    for name in ("--new", "--live", "--kept"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--aside", action="append", default=[], type=Path)
    parser.add_argument("--back", action="store_true")
    given = parser.parse_args(arguments)
    try:
        print((back if given.back else swap)(given.new, given.live, given.kept, given.aside))
    except (SwapError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
