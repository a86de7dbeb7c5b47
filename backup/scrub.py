"""Reads objects of a repository and tells which are no longer what their names say. Needs no key; two threads.

hashlib lets go of Python's lock while it hashes, so two threads use two cores. Every object's SHA-256 must be its name;
`config` has no such name and is compared with the pinned hash. What is bad: other bytes (flipped, cut short, emptied), or
bytes that the medium does not give back (EIO).
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from backup.objects import BLOCK, CONFIG, Objects, digest

THREADS = 2
_MEDIUM = (errno.EIO, errno.EINVAL, errno.EISDIR, errno.ELOOP)


@dataclass
class Scrubbed:
    """What was read. right, bad: objects by name; gone: went away meanwhile; left: not reached within the time."""

    right: set[str] = field(default_factory=set)
    bad: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    left: int = 0
    bytes: int = 0
    seconds: float = 0.0


def scrub(objects: Objects, names: Iterable[str], config: str = "", *, seconds: float = 21600.0) -> Scrubbed:
    """Hashes these objects, and `config` when its pinned hash is given. Raises OSError when the place does not answer.

    Ends after `seconds` with what was read so far.
    """
    began = time.monotonic()
    waiting = deque(([CONFIG] if config else []) + sorted(names))
    done, lock, failed = Scrubbed(), threading.Lock(), list[OSError]()

    def work() -> None:
        buffer = bytearray(BLOCK)
        while not failed and time.monotonic() - began < seconds:
            try:
                name = waiting.popleft()
            except IndexError:
                return
            try:
                found, count = digest(objects, name, buffer)
                wanted = config if name == CONFIG else name.rpartition("/")[2]
                kind = "right" if found == wanted else "bad"
            except FileNotFoundError:
                kind, count = "gone", 0
            except OSError as error:
                if error.errno not in _MEDIUM or objects.at.startswith("rest:"):
                    failed.append(error)
                    return
                kind, count = "bad", 0
            with lock:
                _note(done, kind, name, count)

    threads = [threading.Thread(target=work, name=f"scrub-{number}", daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    done.bad.sort()
    done.gone.sort()
    done.left, done.seconds = len(waiting), time.monotonic() - began
    return done


def _note(done: Scrubbed, kind: str, name: str, count: int) -> None:
    done.bytes += count
    if kind == "right":
        done.right.add(name)
    elif kind == "bad":
        done.bad.append(name)
    else:
        done.gone.append(name)
