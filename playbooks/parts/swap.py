"""Puts a restored tree in the place of the live one in one moment, and keeps what was there; `--back` takes it back.

    python -m playbooks.parts.swap --home HOME --root /srv/.khoi-phuc-1a2b3c4d --live /srv/www
        --kept /srv/.www.truoc-khoi-phuc-1a2b3c4d [--aside PATH]... [--back | --finish]

All must lie on one filesystem. Where both exist the kernel exchanges them (renameat2, RENAME_EXCHANGE): at no moment is
the live path absent or half. The folders are held open and everything is done relative to them, for the live path's
folder may be the site owner's. The note in HOME tells how far the swap came, by the inode of the new tree, so that
running the step again after a crash goes on instead of swapping back; `--finish` does only what a crash left to do.
`--aside PATH` (a database's -wal and -shm) is moved away with the old tree and comes back with it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backup import hold
from playbooks.parts import notes

_NOREPLACE, _EXCHANGE = 1, 2
End = tuple[int, str]
"""(open folder, name in it)."""


class SwapError(Exception):
    """The trees are not as the step left or expects them; nothing was moved."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One exchange: the site's home with the note, the restore folder, the live path and where the old one is kept."""

    home: Path
    root: Path
    live: Path
    kept: Path
    aside: tuple[Path, ...] = ()

    @contextmanager
    def ends(self, note: notes.Note, *, make: bool = False) -> Iterator[tuple[End, End, End]]:
        """(new, live, kept) in held folders. Without `make` a restore folder that is gone raises FileNotFoundError."""
        with hold.folder(self.live.parent, make=True) as side, hold.folder(self.root.parent) as parent:
            if make and not hold.identity(parent, self.root.name):
                note["folder"] = hold.make_private(parent, self.root.name)
                notes.write(self.home, self.root, note)
            with (hold.private(parent, self.root.name, note["folder"]) as held,
                  hold.folder(self.live.parent.relative_to("/"), make=make, start=held) as inside):
                yield (inside, self.live.name), (side, self.live.name), (side, self.kept.name)


def swap(deal: Swap) -> str:
    """Makes the restored tree live and the old one `kept`. Gives what was done; safe to run again.

    Raises SwapError, Refused or OSError.
    """
    note = notes.read(deal.home, deal.root)
    if not note:
        raise SwapError(f"{deal.root} is not noted: was the restore step run?")
    if note.get("new") and _live_is_new(deal, note):
        finish(deal)
        return "already swapped"
    with deal.ends(note) as (new, live, kept):
        found = hold.identity(*new)
        if not found:
            raise SwapError(f"{deal.live} is not in {deal.root}: was the restore step run?")
        if hold.identity(*kept):
            raise SwapError(f"{deal.kept} is in the way")
        was = "there" if hold.identity(*live) else "absent"
        note |= {"live": str(deal.live), "kept": str(deal.kept), "aside": [str(path) for path in deal.aside],
                 "state": "swapping", "was": was, "new": found}
        notes.write(deal.home, deal.root, note)
        for path in deal.aside:
            if hold.identity(live[0], path.name):
                move((live[0], path.name), (live[0], _aside(deal, path)))
        if was == "there":
            exchange(new, live)
            move(new, kept)
        else:
            move(new, live)
        _done(deal, note, new, live)
    return "swapped" if was == "there" else "put in place"


def finish(deal: Swap) -> str:
    """Does what a crash left to do of a swap or of its taking back; else nothing. Raises as `swap` does."""
    note = notes.read(deal.home, deal.root)
    if note.get("state") not in ("swapping", "swapped"):
        return "nothing to finish"
    if not _live_is_new(deal, note):
        with deal.ends(note, make=True) as (new, live, kept):
            if hold.identity(*kept) == note["new"] and not hold.identity(*new):
                move(kept, new)  # the crash came between exchanging back and clearing up
            if hold.identity(*new) != note["new"]:
                raise SwapError(f"{deal.live}, {deal.kept} and {deal.root} are not as the exchange left them")
            return _taken_back(deal, note, new, live)
    try:
        with deal.ends(note) as (new, live, kept):
            if note["was"] == "there" and hold.identity(*new) and not hold.identity(*kept):
                move(new, kept)  # the crash came between exchange and rename: the old tree lies at `new`
            _done(deal, note, new, live)
    except FileNotFoundError:  # tidied: so the old tree had left it
        notes.write(deal.home, deal.root, note | {"state": "swapped"})
    return "finished"


def back(deal: Swap) -> str:
    """Takes a swap back: the old tree is live again, the restored one in its folder again. Safe to run again."""
    note = notes.read(deal.home, deal.root)
    if note.get("state") not in ("swapping", "swapped"):
        return "nothing to take back"
    with deal.ends(note, make=True) as (new, live, kept):
        if hold.identity(*live) == note["new"]:
            if note["was"] == "absent":
                move(live, new)
            elif hold.identity(*new):
                exchange(new, live)
            elif hold.identity(*kept):
                exchange(kept, live)
                move(kept, new)
            else:
                raise SwapError(f"{deal.kept} is gone: the old tree cannot be brought back")
        elif hold.identity(*kept) == note["new"] and not hold.identity(*new):
            move(kept, new)  # an earlier taking back came as far as the exchange
        elif hold.identity(*new) != note["new"]:
            raise SwapError(f"{deal.live} is no longer what was restored: it is left as it is")
        return _taken_back(deal, note, new, live)


def _taken_back(deal: Swap, note: notes.Note, new: End, live: End) -> str:
    for path in map(Path, note.get("aside", ())):
        if hold.identity(live[0], _aside(deal, path)) and not hold.identity(live[0], path.name):
            move((live[0], _aside(deal, path)), (live[0], path.name))
    os.fsync(live[0])
    os.fsync(new[0])
    notes.write(deal.home, deal.root, note | {"state": "restored", "new": []})
    return "taken back"


def _done(deal: Swap, note: notes.Note, new: End, live: End) -> None:
    os.fsync(live[0])
    os.fsync(new[0])
    notes.write(deal.home, deal.root, note | {"state": "swapped"})


def _live_is_new(deal: Swap, note: notes.Note) -> bool:
    with hold.folder(deal.live.parent, make=True) as side:
        return bool(hold.identity(side, deal.live.name) == note["new"])


def exchange(one: End, other: End) -> None:
    """Exchanges two names at one moment. Raises OSError; there is no fallback that could leave half."""
    _rename(one, other, _EXCHANGE)


def move(one: End, to: End) -> None:
    """Renames; what already has that name is never replaced. Raises OSError."""
    _rename(one, to, _NOREPLACE)


def _rename(one: End, other: End, how: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(one[0], os.fsencode(one[1]), other[0], os.fsencode(other[1]), how) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), other[1])


def _aside(deal: Swap, path: Path) -> str:
    return f"{deal.kept.name}{path.suffix}"


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 done (or done before), 1 not possible."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.swap")
    for name in ("--home", "--root", "--live", "--kept"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--aside", action="append", default=[], type=Path)
    verbs = parser.add_mutually_exclusive_group()
    verbs.add_argument("--back", dest="deed", action="store_const", const=back, default=swap)
    verbs.add_argument("--finish", dest="deed", action="store_const", const=finish)
    given = parser.parse_args(arguments)
    deal = Swap(given.home, given.root, given.live, given.kept, tuple(given.aside))
    try:
        if deal.kept.parent != deal.live.parent or any(path.parent != deal.live.parent for path in deal.aside):
            raise SwapError("live, kept and aside must lie in one folder")
        print(given.deed(deal))
    except (SwapError, OSError, ValueError, KeyError, hold.Refused) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
