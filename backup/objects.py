"""The objects of a restic repository, without its key: names, sizes, bytes. Reads; writes nothing.

Every object but `config` is a file named by the SHA-256 of its bytes, so that whoever can read the files can tell
whether each is what it was. Reachable so: a folder of this machine, and a rest-server (its protocol is plain HTTP:
https://restic.readthedocs.io/en/stable/REST_backend.html). Not so: sftp, S3 and the rest; `objects_of` gives None there.

An object is called KIND/NAME ("data/12ab…", "keys/…"), the configuration "config". Temporary files (`NAME-tmp-…`),
locks and empty folders are no objects. Steps of every night begin here: what only some need is loaded when needed.
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import time
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from backup.restic import Repository
    from backup.trouble import ResticTrouble
    from ops import Context

KINDS = ("data", "index", "snapshots", "keys")
CONFIG = "config"
BLOCK = 1 << 20
NAME = re.compile(r"[0-9a-f]{64}")

Names = dict[str, int]
"""Object -> size in bytes; -1 where the place does not tell."""


class Late(OSError):
    """The time for reading is over; the object may be right."""


class Stream(Protocol):
    """Bytes of one object, as they come."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Fills the buffer; 0 at the end."""


class Objects(Protocol):
    """What lies in one repository. Methods raise OSError; `trouble` makes words of it."""

    @property
    def at(self) -> str:
        """The repository's address, without a login."""

    def names(self, *kinds: str) -> Names:
        """Every object of these kinds (of all, when none is named)."""

    def open(self, name: str) -> AbstractContextManager[Stream]:
        """An object's bytes, from the medium. Raises FileNotFoundError when it is not there."""


class Folder:
    """A repository in a folder of this machine."""

    def __init__(self, at: str) -> None:
        self.at = at
        self._root = Path(at)

    def names(self, *kinds: str) -> Names:
        """Walks the folders of these kinds; a folder that is not there holds nothing. No file is opened."""
        if not (self._root / CONFIG).is_file() and not (self._root / "data").is_dir():
            raise FileNotFoundError(2, "no repository", self.at)
        found: Names = {}
        for kind in kinds or KINDS:
            for folder in self._folders(kind):
                with os.scandir(folder) as entries:
                    for entry in entries:
                        right = kind != "data" or entry.name[:2] == folder.name  # elsewhere restic does not see it
                        if right and NAME.fullmatch(entry.name) and entry.is_file():
                            found[f"{kind}/{entry.name}"] = entry.stat().st_size
        return found

    def _folders(self, kind: str) -> list[Path]:
        top = self._root / kind
        if not top.is_dir():
            return []
        return [one for one in top.iterdir() if len(one.name) == 2 and one.is_dir()] if kind == "data" else [top]

    def path(self, name: str) -> Path:
        """Where an object lies."""
        kind, _, rest = name.partition("/")
        return self._root / kind / rest[:2] / rest if kind == "data" else self._root / name

    def open(self, name: str) -> AbstractContextManager[Stream]:
        """The file, unbuffered; what the kernel keeps of it in memory is dropped first, so that the disk is read."""
        descriptor = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        stream = os.fdopen(descriptor, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            stream.close()
            raise OSError(22, "not a regular file", str(self.path(name)))
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return stream


def reachable(at: str) -> bool:
    """Whether the objects of a repository at this address can be read without its key."""
    return at.startswith(("/", "rest:http://", "rest:https://"))


def objects_at(at: str, address: str = "", ca: str = "") -> Objects | None:
    """The objects at an address; `address`: the same with its login, where one is needed."""
    if not reachable(at):
        return None
    if at.startswith("/"):
        return Folder(at)
    from backup.objects_rest import Rest

    return Rest(at, address or at, ca)


def objects_of(ctx: Context, repository: Repository) -> Objects | None:
    """The objects of a repository; None where they cannot be reached without restic."""
    reference = repository.secrets.get("RESTIC_REPOSITORY_FILE", "")
    address = ctx.secret(reference).reveal().decode("utf-8") if reference else ""
    return objects_at(repository.at, address, repository.ca)


def digest(objects: Objects, name: str, buffer: bytearray | None = None, *, size: int = -1,
           deadline: float = math.inf) -> tuple[str, int]:
    """SHA-256 of an object's bytes, and how many there were; "" for one that does not end (a block past its size).

    size: bytes by the listing, -1 when it does not tell. deadline: by time.monotonic(). Raises OSError, Late.
    """
    most = (size if size >= 0 else math.inf) + BLOCK if name != CONFIG else BLOCK
    made, count = sha256(), 0
    block = bytearray(BLOCK) if buffer is None else buffer
    view = memoryview(block)
    with objects.open(name) as stream:
        while taken := stream.readinto(block):
            made.update(view[:taken])
            count += taken
            if count > most:
                return "", count
            if time.monotonic() > deadline:
                raise Late(errno.ETIME, "not read to its end in time", name)
    return made.hexdigest(), count


def trouble(error: OSError, at: str) -> ResticTrouble:
    """What kept us from reading the objects, in the words that restic's own trouble gets."""
    from backup.trouble import trouble_of
    from ops import Result

    said = f"{error.strerror or error} {error.filename or ''}".strip().encode("utf-8", "backslashreplace")
    if isinstance(error, FileNotFoundError):
        return trouble_of(Result(10, b"", said, 0.0), at)
    if isinstance(error, PermissionError):
        return trouble_of(Result(1, b"", b"permission denied: " + said, 0.0), at)
    if isinstance(error, ConnectionError | TimeoutError) or at.startswith("rest:"):
        return trouble_of(Result(1, b"", b"network is unreachable: " + said, 0.0), at)
    return trouble_of(Result(1, b"", said, 0.0), at)
