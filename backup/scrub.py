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

from backup.objects import BLOCK, CONFIG, Late, Names, Objects, digest

THREADS = 2
_GRACE = 2.0
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


def scrub(objects: Objects, names: Iterable[str], config: str = "", *, sizes: Names | None = None,
          seconds: float = 21600.0) -> Scrubbed:
    """Hashes these objects, and `config` when its pinned hash is given. Raises OSError when the place does not answer.

    Ends after `seconds` with what was read so far. sizes: as listed; an object that goes on past its own is bad.
    """
    if sizes is None:
        sizes = names if isinstance(names, dict) else {}
    began = time.monotonic()
    waiting = deque(([CONFIG] if config else []) + sorted(names))
    done, lock, failed, late = Scrubbed(), threading.Lock(), list[OSError](), list[str]()

    def work() -> None:
        buffer = bytearray(BLOCK)
        while not failed and time.monotonic() - began < seconds:
            try:
                name = waiting.popleft()
            except IndexError:
                return
            try:
                found, count = digest(objects, name, buffer, size=sizes.get(name, -1), deadline=began + seconds)
                wanted = config if name == CONFIG else name.rpartition("/")[2]
                kind = "right" if found == wanted else "bad"
            except FileNotFoundError:
                kind, count = "gone", 0
            except OSError as error:
                if isinstance(error, Late) or time.monotonic() - began >= seconds:
                    late.append(name)
                    return
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
        thread.join(max(0.0, began + seconds - time.monotonic()) + _GRACE)
    if any(thread.is_alive() for thread in threads):
        late += _cut(objects, threads)
    if failed:
        raise failed[0]
    done.bad.sort()
    done.gone.sort()
    done.left, done.seconds = len(waiting) + len(late), time.monotonic() - began
    return done


def _cut(objects: Objects, threads: list[threading.Thread]) -> list[str]:
    """Ends threads that wait on a server which trickles an answer for ever; one object each is left unread."""
    cut = getattr(objects, "cut", None)
    if cut is not None:
        cut()
    for thread in threads:
        thread.join(_GRACE)
    stuck = [thread.name for thread in threads if thread.is_alive()]
    if cut is not None and not stuck:
        cut(False)
    return stuck


def _note(done: Scrubbed, kind: str, name: str, count: int) -> None:
    done.bytes += count
    if kind == "right":
        done.right.add(name)
    elif kind == "bad":
        done.bad.append(name)
    else:
        done.gone.append(name)
