"""Brings a database of a restored copy out as a file of its own (`python -m backup.out stream|file`).

    python -m backup.out stream --note NOTE --to /srv/ra/tin.sql -- restic -r R dump --no-lock SNAPSHOT /tin.sql
    python -m backup.out file --from /srv/ra/.../stage/user/tin.sqlite --to /srv/ra/tin.sqlite

A dump is streamed, its SHA-256 compared with the one in the note that was made at backup time; a file that is not right
to the last byte does not stay. Prints progress and at the end one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from backup.found import handed_on
from backup.notes import read_note

_BLOCK = 1 << 20
_TOLD = 5.0


class Unlike(Exception):
    """What came out is not what was noted."""


def stream(argv: list[str], note: Path, to: Path) -> dict[str, object]:
    """Writes a command's output to `to`, 0600, whole or not at all. Raises Unlike, OSError or ValueError."""
    noted = read_note(note)
    digest, size, told = hashlib.sha256(), 0, time.monotonic()
    partial = to.with_name(f".{to.name}.part")
    partial.unlink(missing_ok=True)
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=handed_on())
    try:
        assert child.stdout is not None
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            while block := child.stdout.read(_BLOCK):
                digest.update(block)
                target.write(block)
                size += len(block)
                if time.monotonic() - told > _TOLD:
                    told = time.monotonic()
                    whole = max(int(noted.get("bytes", 0)), size)
                    print(json.dumps({"percent_done": size / whole, "bytes_restored": size}), flush=True)
            target.flush()
            os.fsync(target.fileno())
        if child.wait() != 0:
            raise Unlike(f"the dump ended with exit code {child.returncode}")
        if not noted.get("sha256") or digest.hexdigest() != noted["sha256"]:
            raise Unlike(f"SHA-256 {digest.hexdigest()}, noted was {noted.get('sha256')}")
        partial.replace(to)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
        partial.unlink(missing_ok=True)
    return {"file": str(to), "bytes": size, "sha256": digest.hexdigest()}


def file(source: Path, to: Path) -> dict[str, object]:
    """Puts a staged copy where a person finds it: the same file under a second name, or a copy. Raises OSError."""
    if source.is_symlink() or not source.is_file():
        raise FileNotFoundError(f"{source} is not in the copy")
    to.unlink(missing_ok=True)
    try:
        os.link(source, to, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, to, follow_symlinks=False)
    return {"file": str(to), "bytes": to.stat().st_size}


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 done; 1 not, with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="backup.out")
    verbs = parser.add_subparsers(dest="verb", required=True)
    streaming, filing = verbs.add_parser("stream"), verbs.add_parser("file")
    streaming.add_argument("--note", required=True, type=Path)
    streaming.add_argument("argv", nargs="+")
    filing.add_argument("--from", dest="source", required=True, type=Path)
    for one in (streaming, filing):
        one.add_argument("--to", required=True, type=Path)
    given = parser.parse_args(arguments)
    try:
        told = stream(given.argv, given.note, given.to) if given.verb == "stream" else file(given.source, given.to)
    except (OSError, ValueError, Unlike) as error:
        print(f"{given.to.name}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
