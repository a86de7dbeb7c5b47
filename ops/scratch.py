"""Scratch folders that leave nothing behind, also when their maker was killed: the next one taken clears up.

Each folder is held by a kernel lock on itself for as long as its maker lives; one that nobody holds is a dead
process's. What such a process left running in it (a server, a restic) names the folder in its argv, and is ended first.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.locks import private_folder

_REMOVAL_SECONDS = 1800.0
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Scratch:
    """A private, empty folder; `give_back` removes it with all that is in it."""

    path: Path
    held: int

    def give_back(self) -> None:
        """Removes the folder. What cannot be removed now is tried again by whoever takes a folder next."""
        _remove(self.path)
        os.close(self.held)


def take(root: Path, name: str) -> Scratch:
    """A new folder `NAME-xxxxxxxx` below `root`, after the folders of the dead were cleared away. Raises OSError."""
    private_folder(root)
    gate = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # one at a time: between making a folder and locking it, it would look like a dead process's
        fcntl.flock(gate, fcntl.LOCK_EX)
        for place in sorted(root.iterdir()):
            _clear_if_dead(place)
        path = Path(tempfile.mkdtemp(dir=root, prefix=f"{name}-"))
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
        return Scratch(path, held)
    finally:
        os.close(gate)


def _clear_if_dead(place: Path) -> None:
    try:
        held = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # no folder of ours
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its maker lives
    else:
        _end_within(place)
        _remove(place)
    finally:
        os.close(held)


def _end_within(place: Path) -> None:
    """Ends what a dead maker left running: processes whose argv names the folder."""
    deadline = time.monotonic() + _END_SECONDS
    while (left := list(_within(place))) and time.monotonic() < deadline:
        for process in left:
            with suppress(ProcessLookupError, PermissionError):
                # the descriptor is the process that was looked at, even if its number is given to another meanwhile
                descriptor = os.pidfd_open(process)
                try:
                    if process in _within(place):
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                finally:
                    os.close(descriptor)
        time.sleep(0.05)


def _within(place: Path) -> Iterator[int]:
    needle = os.fsencode(place)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if any(needle + end in words for end in (b"/", b"\0")):
                    yield int(entry.name)


def _remove(place: Path) -> None:
    """Removes a tree of any depth: shutil would stop at a thousand nested folders."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(place)], stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=_REMOVAL_SECONDS, check=False)
