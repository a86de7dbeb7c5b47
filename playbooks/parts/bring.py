"""Runs restic's restore into a fresh folder of ours, held open meanwhile, so that nobody can put another in its place.

    python -m playbooks.parts.bring --home HOME --root /srv/.khoi-phuc-1a2b3c4d [--live /srv/www --kept ...] -- restic ...

`--target` is added here: the folder by its descriptor. Secrets are descriptors named in variables; they are handed on.
Safe to run again until the exchange: what an earlier run restored is removed first.
"""

# ruff: noqa: PTH208
from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from backup import hold
from backup.found import handed_on
from playbooks.parts import notes

_SECONDS = 21500.0
_INNER = ".gaccong-restic"


def bring(home: Path, root: Path, live: str, kept: str, argv: list[str]) -> int:
    """Makes the folder and gives restic's exit code. Raises Refused, OSError or ValueError."""
    was = notes.read(home, root)
    if was.get("state", "restored") != "restored":
        raise hold.Refused(f"{root} belongs to a restore that was exchanged already")
    with hold.folder(root.parent, make=True) as parent:
        if hold.identity(parent, root.name):
            if not was.get("folder"):
                raise hold.Refused(f"{root} is in the way")
            with hold.private(parent, root.name, was["folder"]):
                pass
            if not hold.remove(parent, root.name):
                raise hold.Refused(f"{root}: what an earlier run left cannot be removed")
        note = {"root": str(root), "live": live, "kept": kept, "state": "restored", "folder": []}
        notes.write(home, root, note)
        made = hold.make_private(parent, root.name)
        notes.write(home, root, note | {"folder": made})
        with hold.private(parent, root.name, made) as held:
            # restic from 0.17 on takes a target that is itself a link out of the way: a folder in it is none
            os.mkdir(_INNER, 0o700, dir_fd=held)
            code = _restic([*argv, "--target", f"/proc/self/fd/{held}/{_INNER}"], held)
            _lift(held)
            return code


def _lift(held: int) -> None:
    """Brings what was restored up into the folder itself."""
    inner = os.open(_INNER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
    try:
        for name in os.listdir(inner):
            os.rename(name, name, src_dir_fd=inner, dst_dir_fd=held)
    finally:
        os.close(inner)
    os.rmdir(_INNER, dir_fd=held)


def _restic(argv: list[str], held: int) -> int:
    return subprocess.run(argv, pass_fds=[held, *handed_on()], stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False).returncode


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 restored, restic's own code when it failed, 1 not possible."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.bring")
    for name in ("--home", "--root"):
        parser.add_argument(name, required=True, type=Path)
    for name in ("--live", "--kept"):
        parser.add_argument(name, default="")
    parser.add_argument("argv", nargs="+")
    given = parser.parse_args(arguments)
    try:
        return bring(given.home, given.root, given.live, given.kept, given.argv)
    except (OSError, ValueError, hold.Refused, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
