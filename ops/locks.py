"""One writer at a time: a kernel lock on a file, which a dead process cannot keep.

The file holds who has the lock (process number, since when, what for), so that the one who waits can say so.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import Busy
from ops.model import Text, say
from ops.moment import human, stamp, unstamp, utcnow


@contextmanager
def held(path: Path, purpose: str, wait: float, tell: Callable[[Text], None] | None = None) -> Iterator[None]:
    """Holds the lock at `path`; waits up to `wait` seconds, telling once who has it, then raises Busy."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, wait, tell)
        who = json.dumps({"pid": os.getpid(), "since": stamp(utcnow()), "purpose": purpose}).encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, who, 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, wait: float, tell: Callable[[Text], None] | None) -> None:
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(descriptor)
            if time.monotonic() >= deadline:
                raise Busy(
                    who, say("chờ tiến trình ấy xong rồi chạy lại", "wait until that process is done, then run again")
                ) from None
            if tell and not told:
                tell(who)
                told = True
            time.sleep(0.2)
        else:
            return


def _holder(descriptor: int) -> Text:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return say(
            "gaccong khác đang chạy ({purpose}, tiến trình {pid}, từ {since})",
            "another gaccong is running ({purpose}, process {pid}, since {since})",
            purpose=who["purpose"],
            pid=who["pid"],
            since=human(unstamp(who["since"])),
        )
    except (ValueError, KeyError, OSError):
        return say("gaccong khác đang chạy", "another gaccong is running")
