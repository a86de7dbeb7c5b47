"""Reaches folders by descriptor, so that nobody can change under our hands what a path means.

A site's owner may write in his own folders, while gaccong runs as root. Where he could have put a link, none is
followed; what was checked stays held open, and everything below is done relative to that descriptor.
"""
# It works on open folders (dir_fd), which pathlib cannot.
# ruff: noqa: PTH208

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40
_ACL = ("system.posix_acl_default", "system.posix_acl_access")
_REMOVAL_SECONDS = 3500.0
NOBODY = 65534


class Refused(Exception):
    """Something about the place makes it unsafe to touch."""


def trusted(uid: int) -> bool:
    """True for root and for us: whoever else owns something may change it while we look."""
    return uid in (0, os.geteuid())


def firm(folder: os.stat_result) -> bool:
    """Nobody but root and us can exchange what root or we put into this folder (a sticky folder is firm too)."""
    return trusted(folder.st_uid) and (not folder.st_mode & 0o022 or bool(folder.st_mode & stat.S_ISVTX))


@dataclass
class Reached:
    """An open folder and what was met on the way: the stat of every folder and link, from "/" on."""

    descriptor: int
    met: list[os.stat_result] = field(default_factory=list)


def reach(path: Path, *, make: bool = False, start: int | None = None) -> Reached:
    """Opens a folder component by component; the caller closes it.

    From "/" on, links that only root or we can have put there are followed: an administrator's. Any other link is
    Refused. With `start` (an open folder) the path is taken from there and no link is followed at all. `make` makes what
    is missing. Raises Refused or OSError.
    """
    here = os.open("/", _FOLDER) if start is None else os.open(".", _FOLDER, dir_fd=start)
    reached = Reached(here, [os.fstat(here)])
    pending = [part for part in path.parts if part not in ("/", ".")]
    links = 0
    try:
        while pending:
            name = pending.pop(0)
            seen = _look(reached.descriptor, name, make)
            if stat.S_ISLNK(seen.st_mode):
                links += 1
                if start is not None or links > _LINKS or not (
                        trusted(seen.st_uid) and firm(os.fstat(reached.descriptor))):
                    raise Refused(f"{path}: {name} is a link that somebody else may have put there")
                target = Path(os.readlink(name, dir_fd=reached.descriptor))
                pending[:0] = [part for part in target.parts if part not in ("/", ".")]
                reached.met.append(seen)
                _step(reached, "/" if target.is_absolute() else ".")
                continue
            if name == ".." and start is not None:
                raise Refused(f"{path}: leads out")
            _step(reached, name)
    except BaseException:
        os.close(reached.descriptor)
        raise
    return reached


def _look(folder: int, name: str, make: bool) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(name, 0o755, dir_fd=folder)
        return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _step(reached: Reached, name: str) -> None:
    below = os.open(name, _FOLDER, dir_fd=reached.descriptor)
    os.close(reached.descriptor)
    reached.descriptor = below
    reached.met.append(os.fstat(below))


@contextmanager
def folder(path: Path, *, make: bool = False, start: int | None = None) -> Iterator[int]:
    """The descriptor of a folder, as `reach` opens it, closed afterwards."""
    reached = reach(path, make=make, start=start)
    try:
        yield reached.descriptor
    finally:
        os.close(reached.descriptor)


def identity(parent: int, name: str) -> list[int]:
    """[device, inode] of what stands under a name, a link for itself; [] when nothing does."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return []
    return [status.st_dev, status.st_ino]


def make_private(parent: int, name: str) -> list[int]:
    """Makes a folder of ours, 0700 and empty, and gives its identity. Raises FileExistsError, Refused."""
    os.mkdir(name, 0o700, dir_fd=parent)
    made = os.open(name, _FOLDER, dir_fd=parent)
    try:
        if not trusted(os.fstat(made).st_uid) or os.listdir(made):
            raise Refused(f"{name}: somebody else's folder stands where ours was just made")
        for attribute in _ACL:  # a folder of somebody else's hands its default ACL down
            with suppress(OSError):
                os.removexattr(made, attribute)
        os.fchmod(made, 0o700)
        return _sound(made, name)
    finally:
        os.close(made)


@contextmanager
def private(parent: int, name: str, made: list[int]) -> Iterator[int]:
    """Opens the folder that `make_private` made. Raises Refused when it is not the very same, ours and 0700."""
    try:
        held = os.open(name, _FOLDER, dir_fd=parent)
    except NotADirectoryError:
        raise Refused(f"{name}: no folder of ours") from None
    try:
        if _sound(held, name) != made:
            raise Refused(f"{name}: not the folder that was made")
        yield held
    finally:
        os.close(held)


def _sound(held: int, name: str) -> list[int]:
    status = os.fstat(held)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise Refused(f"{name}: not a private folder of ours")
    return [status.st_dev, status.st_ino]


def remove(parent: int, name: str) -> bool:
    """Removes a tree of any depth without following a link. True when nothing is left of it."""
    subprocess.run(["rm", "-rf", "--one-file-system", "--", f"/proc/self/fd/{parent}/{name}"], pass_fds=[parent],
                   stdin=subprocess.DEVNULL, capture_output=True, timeout=_REMOVAL_SECONDS, check=False)
    return not identity(parent, name)


def lowest(met: Iterable[os.stat_result], file: os.stat_result) -> tuple[int, int] | None:
    """(uid, gid) of the weakest who can change a file that was reached over `met`; None: only root and we can.

    The file's owner if it is not root; else the nearest folder's owner; nobody where a folder is open to many.
    """
    if not trusted(file.st_uid):
        return file.st_uid, file.st_gid or NOBODY
    ways = list(met)[::-1]
    for number, way in enumerate(ways):
        if not trusted(way.st_uid):
            return way.st_uid, way.st_gid or NOBODY
        if stat.S_ISDIR(way.st_mode) and (not firm(way) or (number == 0 and way.st_mode & 0o022)):
            return NOBODY, way.st_gid or NOBODY
    return None


def can_drop() -> bool:
    """True when we are root over other users; the root of a user namespace has nobody to become."""
    if os.geteuid() != 0:
        return False
    rows = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text("ascii").splitlines()]
    return any(first <= NOBODY < first + count for first, _, count in rows)


def drop(uid: int, gid: int) -> None:
    """Becomes this user for good. Raises OSError, or Refused when it did not take hold."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3 or os.getgroups():
        raise Refused(f"still not uid {uid}")
