"""Removes folders that a restore made for itself, by its notes; `--home HOME FOLDER...`.

Refused: anything not called `.khoi-phuc-` and eight hex digits, a folder that is not the one that was made, and a folder
in which the old live tree still lies because an exchange or its taking back was not finished.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from backup import hold
from playbooks.parts import notes


def tidy(home: Path, root: Path) -> bool:
    """Removes one restore folder; True when nothing is left of it. Raises Refused, OSError or ValueError."""
    note = notes.read(home, root)
    try:
        with hold.folder(root.parent) as parent:
            if hold.identity(parent, root.name):
                if not note.get("folder"):
                    os.rmdir(root.name, dir_fd=parent)  # killed before it was noted: nothing can be in it
                else:
                    with hold.private(parent, root.name, note["folder"]) as held:
                        _refuse_old(root, note, held)
                    if not hold.remove(parent, root.name):
                        return False
    except FileNotFoundError:
        pass  # gone with its parent
    if note.get("state", "restored") == "restored":
        notes.forget(home, root)
    return True


def _refuse_old(root: Path, note: notes.Note, held: int) -> None:
    if note.get("state", "restored") == "restored":
        return
    live = Path(note["live"])
    try:
        with hold.folder(live.parent.relative_to("/"), start=held) as inside:
            found = hold.identity(inside, live.name)
    except FileNotFoundError:
        return
    if found and found != note["new"]:
        raise hold.Refused(f"{root} holds the old {live}: finish the exchange first")


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0: gone; 1: refused; 3: something of it is still there."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.tidy")
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("folder", nargs="+", type=Path)
    given = parser.parse_args(arguments)
    code = 0
    for folder in given.folder:
        try:
            code = max(code, 0 if tidy(given.home, folder) else 3)
        except (OSError, ValueError, hold.Refused, subprocess.TimeoutExpired) as error:
            print(error, file=sys.stderr)
            return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
