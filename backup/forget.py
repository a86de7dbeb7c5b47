"""Takes snapshots away by their full ids, and reads back what is there (`python -m backup.forget ... -- restic -r R`).

Before anything goes, all that must stay has to be there: where a copy has vanished, `restic recover` may still find it,
and a prune would end that. Exit codes are no proof here: restic's `forget` ends with 0 for ids that do not exist (all versions), and 0.18 does so on a
server that refuses to delete. `forget --prune` opens the repository once; reading before and after opens it two times more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from backup.inventory import note_going
from backup.watched import Said, patiently, run

_SECONDS = 6 * 3600.0


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 only when all of `--gone` are gone and all of `--stay` are there. Prints one JSON line."""
    parser = argparse.ArgumentParser(prog="backup.forget")
    parser.add_argument("--gone", action="append", default=[], required=True)
    parser.add_argument("--stay", action="append", default=[])
    parser.add_argument("--note", type=Path, help="where the ids are written down before they go")
    parser.add_argument("--stall", type=float, default=1800.0)
    parser.add_argument("restic", nargs="+", help="restic's argv up to its command")
    given = parser.parse_args(arguments)
    before = run([*given.restic, "snapshots", "--json", "--no-lock"], seconds=900.0)
    if before.code != 0:
        print(f"what is there could not be read, nothing was removed: {before.trouble}", file=sys.stderr)
        return before.code
    if lost := sorted(set(given.stay) - _ids(before)):
        print(json.dumps({"gone": [], "left": given.gone, "lost": lost, "standing": len(_ids(before))}))
        print(f"nothing was removed: should have stayed, and are gone already: {_short(lost)}", file=sys.stderr)
        return 1
    if given.note:
        note_going(given.note, given.gone)
    said = patiently(given.restic, "forget", "--prune", *given.gone, seconds=_SECONDS, stall=given.stall)
    after = run([*given.restic, "snapshots", "--json", "--no-lock"], seconds=900.0)
    return _told(given.gone, given.stay, said, after)


def _told(gone: list[str], stay: list[str], said: Said, after: Said) -> int:
    """Says what really happened; 0 only when it is what was wanted."""
    if after.code != 0:
        print(f"{said.trouble}\nwhat is left could not be read back: {after.trouble}", file=sys.stderr)
        return after.code
    there = _ids(after)
    left, lost = sorted(set(gone) & there), sorted(set(stay) - there)
    print(json.dumps({"gone": sorted(set(gone) - there), "left": left, "lost": lost, "standing": len(there)}))
    if said.code == 0 and not left and not lost:
        return 0
    if left or lost:
        print(f"read back: {len(left)} of {len(gone)} are still there ({_short(left)})"
              + (f"; should have stayed, and are gone: {_short(lost)}" if lost else ""), file=sys.stderr)
    print(said.trouble, file=sys.stderr)
    return said.code or 1


def _ids(said: Said) -> set[str]:
    return {str(one["id"]) for one in json.loads(said.out or "[]") or []}


def _short(ids: Iterable[str]) -> str:
    return ", ".join(one[:8] for one in ids)


if __name__ == "__main__":
    sys.exit(main())
