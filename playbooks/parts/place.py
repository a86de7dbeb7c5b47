"""Puts a restored database copy where it belongs in a restored tree, with the mode and owner its note tells.

    python -m playbooks.parts.place --copy STAGE/tin.sqlite --note STAGE/tin.note.json --to NEW/srv/www/tin.db

The tree's own file of that name (caught while it was in use) and its -wal and -shm are replaced: a journal of another
moment beside a database destroys it. Safe to run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path


def place(copy: Path, note: Path, to: Path) -> None:
    """Copies `copy` to `to` whole, as the note says. Raises OSError or ValueError."""
    told = json.loads(note.read_text("utf-8"))
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = to.with_name(f".{to.name}.moi")
    shutil.copyfile(copy, temporary)
    temporary.chmod(int(told.get("mode", 0o600)))
    with suppress(PermissionError):  # without root the file stays ours, as every restored file does
        os.chown(temporary, int(told.get("uid", -1)), int(told.get("gid", -1)))
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    for journal in ("-wal", "-shm", "-journal"):
        to.with_name(to.name + journal).unlink(missing_ok=True)
    temporary.replace(to)


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 done, 1 not possible."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.place")
    for name in ("--copy", "--note", "--to"):
        parser.add_argument(name, required=True, type=Path)
    given = parser.parse_args(arguments)
    try:
        place(given.copy, given.note, given.to)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
