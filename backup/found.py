"""Makes sure that the repository is there (`python -m backup.found --at R --program restic --mark FILE`).

It is made only when this site never had one at that place: the mark, written when it was first seen or made, forbids to
make a second, empty one where the first is merely unmounted or unplugged. So the plan of a backup is the same on the
first night as on every later one, and one standing approval serves for all.

RESTIC_PASSWORD_FILE names a descriptor, which is handed on to restic. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_SECONDS = 600


def mark_of(home: Path, repository: str) -> Path:
    """Where it is noted that the site had a repository at this place."""
    import hashlib

    return home / "repositories" / hashlib.sha256(repository.encode()).hexdigest()[:16]


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 1: the repository is gone, does not open, or cannot be made; restic's own words on stderr."""
    parser = argparse.ArgumentParser(prog="backup.found")
    for name in ("--at", "--program", "--mark"):
        parser.add_argument(name, required=True)
    given = parser.parse_args(arguments)
    mark = Path(given.mark)
    if _there(given.program, given.at):
        told = "there"
    elif mark.exists():
        print(f"repository {given.at} is gone; it was there before ({mark})", file=sys.stderr)
        return 1
    else:
        made = _restic(given.program, given.at, "init")
        if made.returncode != 0:
            sys.stderr.write(made.stderr)
            return 1
        told = "made"
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch(mode=0o600)
    print(json.dumps({"repository": told}))
    return 0


def _there(program: str, at: str) -> bool:
    """A local repository is there when its config is: no key has to be derived to know that."""
    if at.startswith("/"):
        return (Path(at) / "config").is_file()
    return _restic(program, at, "cat", "config", "--no-lock").returncode == 0


def _restic(program: str, at: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs restic with the descriptor of the password handed on."""
    descriptors = []
    with suppress(ValueError):
        descriptors.append(int(os.environ.get("RESTIC_PASSWORD_FILE", "").removeprefix("/dev/fd/")))
    return subprocess.run(
        [program, "-r", at, *words], pass_fds=descriptors, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=_SECONDS, check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
