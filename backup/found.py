"""Makes sure that the repository is there (`python -m backup.found --at R --mark FILE -- restic -r R`).

It is made only when this site never had one at that place: the mark, written when it was first seen or made, forbids to
make a second, empty one where the first is merely unmounted or unplugged. So the plan of a backup is the same on the
first night as on every later one, and one standing approval serves for all.

Secrets are descriptors named in variables, and are handed on to restic. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_SECONDS = 120
_ABSENT = re.compile(r"does not exist|no such file|NoSuchBucket|NoSuchKey", re.I)


def mark_of(home: Path, repository: str) -> Path:
    """Where it is noted that the site had a repository at this place."""
    return home / "repositories" / hashlib.sha256(repository.encode()).hexdigest()[:16]


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 1: the repository is gone, does not open, or cannot be made; restic's own words on stderr."""
    parser = argparse.ArgumentParser(prog="backup.found")
    for name in ("--at", "--mark"):
        parser.add_argument(name, required=True)
    parser.add_argument("restic", nargs="+", help="restic's argv up to its command")
    given = parser.parse_args(arguments)
    mark = Path(given.mark)
    try:
        there = _there(given.restic, given.at)
    except OSError as closed:
        print(closed, file=sys.stderr)
        return 1
    if there:
        told = "there"
    elif mark.exists():
        print(f"repository {given.at} is gone; it was there before ({mark})", file=sys.stderr)
        return 1
    else:
        made = restic(given.restic, "init")
        if made.returncode != 0:
            sys.stderr.write(made.stderr)
            return 1
        told = "made"
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch(mode=0o600)
    print(json.dumps({"repository": told, **program_of(given.restic[0])}))
    return 0


def _there(words: list[str], at: str) -> bool:
    """A local repository is there when its config is: no key has to be derived to know that.

    Raises OSError for a remote one that does not open: nothing says then that it is gone, and none may be made.
    """
    if at.startswith("/"):
        return (Path(at) / "config").is_file()
    seen = restic(words, "cat", "config", "--no-lock")
    if seen.returncode == 0:
        return True
    if seen.returncode == 10 or _ABSENT.search(seen.stderr):
        return False
    raise OSError(seen.stderr.strip() or f"restic ended with {seen.returncode}")


def restic(words: list[str], *more: str) -> subprocess.CompletedProcess[str]:
    """Runs restic with the descriptors of its secrets handed on."""
    with subprocess.Popen([*words, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", pass_fds=handed_on()) as running:
        try:
            out, err = running.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            out, err = running.communicate()
            err += f"\nno end within {_SECONDS} seconds"
    return subprocess.CompletedProcess(running.args, running.returncode, out, err)


def program_of(name: str) -> dict[str, str]:
    """Which restic this is, for the evidence: what it says of itself, and the SHA-256 of its file."""
    path = shutil.which(name)
    if path is None:
        return {}
    said = subprocess.run([path, "version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    with open(path, "rb") as stream:  # noqa: PTH123 - file_digest wants the raw file
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"restic": " ".join(said.stdout.split()[:2]), "restic_sha256": digest}


def handed_on() -> list[int]:
    """The descriptors that variables of this process name as /dev/fd/N: secrets that a child must inherit."""
    found = (value.removeprefix("/dev/fd/") for value in os.environ.values() if value.startswith("/dev/fd/"))
    return sorted({int(number) for number in found if number.isdigit()})


if __name__ == "__main__":
    sys.exit(main())
