"""Puts a restored database copy where it belongs in a restored tree, with the mode and owner its note tells.

    python -m playbooks.parts.place --home HOME --root /srv/.khoi-phuc-1a2b3c4d --to /srv/www/tin.db
        --copy STAGE/tin.sqlite --note STAGE/tin.note.json

`--to` is the live path; the copy goes to that path below the restore folder. The tree's content is the site owner's, links
included: no link in it is followed. The tree's own file of that name (caught while it was in use) and its journals are
replaced: a journal of another moment beside a database destroys it. Safe to run again.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from backup import hold
from playbooks.parts import notes


def place(home: Path, root: Path, to: Path, copy: Path, note: Path) -> None:
    """Copies `copy` whole to `to` below `root`, as the note says. Raises OSError, ValueError or Refused."""
    told = json.loads(note.read_text("utf-8"))
    made = notes.read(home, root)
    with hold.folder(root.parent, make=True) as parent:
        if not made.get("folder"):
            made = {"root": str(root), "live": str(to), "kept": "", "state": "restored", **made}
            notes.write(home, root, made)
            made["folder"] = hold.make_private(parent, root.name)
            notes.write(home, root, made)
        with (hold.private(parent, root.name, made["folder"]) as held,
              hold.folder(to.parent.relative_to("/"), make=True, start=held) as inside):
            _put(inside, to.name, copy, told)


def _put(folder: int, name: str, copy: Path, told: dict[str, int]) -> None:
    temporary = f".{name}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600,
                         dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as target, _regular(copy) as source:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            with suppress(PermissionError):  # without root the file stays ours, as every restored file does
                os.fchown(descriptor, int(told.get("uid", -1)), int(told.get("gid", -1)))
            os.fchmod(descriptor, int(told.get("mode", 0o600)) & 0o777)
            os.fsync(descriptor)
        for journal in ("-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(name + journal, dir_fd=folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def _regular(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise hold.Refused(f"{path}: not a regular file")
    return stream


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 done, 1 not possible."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.place")
    for name in ("--home", "--root", "--to", "--copy", "--note"):
        parser.add_argument(name, required=True, type=Path)
    given = parser.parse_args(arguments)
    try:
        place(given.home, given.root, given.to, given.copy, given.note)
    except (OSError, ValueError, hold.Refused) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
