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


def private_folder(path: Path) -> None:
    """Makes a folder that only we may enter, and each missing one above it (mkdir's own `parents` forgets the mode)."""
    if not path.exists():
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def held(
    path: Path, purpose: str, wait: float, tell: Callable[[Text], None] | None = None, endless: str = ""
) -> Iterator[int]:
    """Holds the lock at `path`; waits up to `wait` seconds, telling once who has it, then raises Busy.

    Yields the lock's descriptor. A process that inherits it keeps the lock: so what a killed gaccong left at work is
    not taken for finished.
    """
    private_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, wait, tell, endless)
        who = json.dumps({"pid": os.getpid(), "since": stamp(utcnow()), "purpose": purpose}).encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, who, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, wait: float, tell: Callable[[Text], None] | None, endless: str) -> None:
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who, purpose = _holder(descriptor)
            if endless and purpose == endless:
                raise Busy(
                    who,
                    say(
                        "tiến trình ấy tự làm mọi việc đến hạn; xem: gaccong status; làm ngay một điều: gaccong look …",
                        "it does everything that is due by itself; see: gaccong status; one thing now: gaccong look …",
                    ),
                ) from None
            if time.monotonic() >= deadline:
                raise Busy(
                    who, say("chờ tiến trình ấy xong rồi chạy lại", "wait until that process is done, then run again")
                ) from None
            if tell and not told:
                tell(
                    say(
                        "{vi}; chờ tối đa {s} giây",
                        "{en}; waiting at most {s} seconds",
                        vi=who.vi,
                        en=who.en,
                        s=int(wait),
                    )
                )
                told = True
            time.sleep(0.2)
        else:
            return


def _holder(descriptor: int) -> tuple[Text, str]:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        text = say(
            "gaccong khác đang chạy ({purpose}, tiến trình {pid}, từ {since})",
            "another gaccong is running ({purpose}, process {pid}, since {since})",
            purpose=who["purpose"],
            pid=who["pid"],
            since=human(unstamp(who["since"])),
        )
        return text, str(who["purpose"])
    except (ValueError, KeyError, OSError):
        return say("gaccong khác đang chạy", "another gaccong is running"), ""
