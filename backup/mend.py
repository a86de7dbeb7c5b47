"""Hands that put a damaged repository right (`python -m backup.mend fetch|aside|back|repair ...`). Steps of `backup.heal`.

    fetch --from R [--ca FILE] [--config SHA256] --to DIR NAME…   objects of the same name from a mirror, verified
    aside --at DIR --folder F NAME…                               moves objects that are no longer readable out of the way
    back --at DIR --folder F                                      puts back snapshots that a killed run had moved
    repair --folder F -- restic …                                 runs restic in a private folder: it leaves files there

Nothing is thrown away: what is taken out of a repository lies in the folder F (0700) of the site's home. Exit 1: not
done; what was done before stays, and a second run goes on.
"""

from __future__ import annotations

import argparse
import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import BinaryIO

from backup import hold
from backup.found import handed_on
from backup.hold import Refused
from backup.objects import BLOCK, CONFIG, Folder, Objects, Stream, objects_at

MOVING = "moving-"
"""Begins the name of what `backup.renew` took out of a repository, until it has ended well."""
MOST_BYTES = 1 << 30
"""Of one object: restic's packs have 128 MiB at most."""
SPARE_BYTES = 256 << 20
_SECONDS = 21000.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def below(root: int, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """(open folder of an object, its file name). root: the repository's folder, which may be another user's: no link in
    it is followed. make: makes the folders, with the repository's owner. Raises OSError, hold.Refused."""
    parts = Path(Folder("/").path(name)).parts[1:]
    held = os.dup(root)
    try:
        for part in parts[:-1]:
            if make:
                _make(root, held, part)
            try:
                deeper = os.open(part, _FOLDER, dir_fd=held)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise Refused(f"{name}: {part} in the repository is a link or no folder") from None
                raise
            os.close(held)
            held = deeper
        yield held, parts[-1]
    finally:
        os.close(held)


def _make(root: int, folder: int, part: str) -> None:
    """One folder of a repository; nothing where it stands."""
    with suppress(FileExistsError):
        os.mkdir(part, 0o700, dir_fd=folder)
        made = os.open(part, _FOLDER, dir_fd=folder)
        try:
            like(root, made)
        finally:
            os.close(made)


def like(root: int, descriptor: int) -> None:
    """Gives what was just made the owner of the repository's folder, and never another's."""
    status = os.fstat(root)
    if os.geteuid() == 0:
        os.fchown(descriptor, status.st_uid, status.st_gid)


def fetch(source: Objects, target: Folder, names: list[str], config: str = "") -> int:
    """Puts objects of the same name back, each verified by its name before it gets it. Raises OSError, ValueError."""
    with hold.folder(Path(target.at)) as root:
        for name in names:
            with source.open(name) as stream:
                put(root, name, stream, config if name == CONFIG else name.rpartition("/")[2], source.at)
    return len(names)


def put(root: int, name: str, stream: Stream, wanted: str, at: str) -> None:
    """Writes an object into a repository (`root`: its folder, open). wanted: its SHA-256. Raises OSError, ValueError."""
    with below(root, name, make=True) as (folder, last):
        temporary = f"{last}-tmp-heal"
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        try:
            with os.fdopen(os.open(temporary, _NEW, 0o600, dir_fd=folder), "wb") as out:
                if _poured(stream, out) != wanted:
                    raise ValueError(f"{name} of {at} is not what its name says")
                like(root, out.fileno())
                os.fchmod(out.fileno(), 0o400 | os.fstat(folder).st_mode & 0o040)
                os.fsync(out.fileno())
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _poured(stream: Stream, out: BinaryIO) -> str:
    """Copies everything; its SHA-256. What never ends, or would fill the disk, is stopped: who sends it may be hostile.

    Raises ValueError, OSError. A little is always written: a snapshot must come back on a full disk too.
    """
    made, block, count, looked = sha256(), bytearray(BLOCK), 0, 0
    while taken := stream.readinto(block):
        made.update(memoryview(block)[:taken])
        out.write(memoryview(block)[:taken])
        count += taken
        if count > MOST_BYTES:
            raise ValueError(f"an object does not end: more than {MOST_BYTES} bytes")
        if count - looked >= BLOCK:
            looked, free = count, os.fstatvfs(out.fileno())
            if free.f_bavail * free.f_frsize < SPARE_BYTES:
                raise OSError(errno.ENOSPC, "the disk is nearly full; stopped")
    out.flush()
    return made.hexdigest()


def aside(target: Folder, folder: Path, names: list[str], *, mark: str = "") -> int:
    """Moves objects into the folder; those that are gone already are passed over. Raises OSError, hold.Refused."""
    moved = 0
    with hold.folder(Path(target.at)) as root:
        for name in names:
            with suppress(FileNotFoundError), below(root, name) as (held, last):
                _move(held, last, folder / f"{mark}{name.replace('/', '-')}")
                moved += 1
    return moved


def _move(folder: int, name: str, to: Path) -> None:
    """Moves one file to another folder, over file systems too."""
    try:
        os.rename(name, to, src_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with os.fdopen(_regular(name, folder), "rb", buffering=0) as stream, to.open("wb") as out:
            _poured(stream, out)
            os.fsync(out.fileno())
        os.unlink(name, dir_fd=folder)


def _regular(name: str, folder: int | None = None) -> int:
    """Opens a file that is no link, pipe or device. Raises OSError, hold.Refused."""
    held = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(held).st_mode):
        os.close(held)
        raise Refused(f"{name}: not a regular file")
    return held


def moving(folder: Path) -> dict[str, Path]:
    """Objects that a run took out of a repository and could not put back: it was killed. Object -> where it lies; only
    those that are what their names say."""
    found = {}
    for path in sorted(folder.glob(f"{MOVING}snapshots-*")):
        name = path.name.removeprefix(f"{MOVING}snapshots-")
        with suppress(OSError, Refused), os.fdopen(_regular(str(path)), "rb") as stream:
            if file_digest(stream, "sha256").hexdigest() == name:
                found[f"snapshots/{name}"] = path
    return found


def back(target: Folder, folder: Path) -> list[str]:
    """Puts those back that are not in the repository; gives their names. Raises OSError, ValueError, hold.Refused."""
    returned = []
    with hold.folder(Path(target.at)) as root:
        for name, path in moving(folder).items():
            with below(root, name, make=True) as (held, last):
                stands = hold.identity(held, last)
            if not stands:
                with os.fdopen(_regular(str(path)), "rb", buffering=0) as stream:
                    put(root, name, stream, name.rpartition("/")[2], str(folder))
                returned.append(name)
            settle(folder, name)
    return returned


def settle(folder: Path, name: str) -> None:
    """An object in the folder is no longer on its way."""
    plain = name.replace("/", "-")
    os.replace(folder / f"{MOVING}{plain}", folder / plain)


def main(arguments: list[str] | None = None) -> int:
    """The step."""
    parser = argparse.ArgumentParser(prog="backup.mend")
    deeds = parser.add_subparsers(dest="deed", required=True)
    one = deeds.add_parser("fetch")
    for name in ("--from", "--to"):
        one.add_argument(name, required=True)
    for name in ("--ca", "--config"):
        one.add_argument(name, default="")
    two, four = deeds.add_parser("aside"), deeds.add_parser("back")
    for name in ("--at", "--folder"):
        two.add_argument(name, required=True)
        four.add_argument(name, required=True)
    three = deeds.add_parser("repair")
    three.add_argument("--folder", required=True)
    for deed in (one, two, three):
        deed.add_argument("rest", nargs="+")
    given = parser.parse_args(arguments)
    if "folder" in given:
        Path(given.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _do(given)
    except (OSError, ValueError, Refused) as error:
        print(f"{given.deed}: {error}", file=sys.stderr)
        return 1


def _do(given: argparse.Namespace) -> int:
    if given.deed == "repair":
        return subprocess.run(given.rest, cwd=given.folder, stdin=subprocess.DEVNULL, pass_fds=handed_on(),
                              timeout=_SECONDS, check=False).returncode
    if given.deed == "aside":
        print(f"moved {aside(Folder(given.at), Path(given.folder), given.rest)}")
        return 0
    if given.deed == "back":
        print(f"put back {len(back(Folder(given.at), Path(given.folder)))}")
        return 0
    named = os.environ.get("RESTIC_REPOSITORY_FILE", "")
    source = objects_at(vars(given)["from"], Path(named).read_text("utf-8").strip() if named else "", given.ca)
    if source is None:
        raise ValueError(f"{vars(given)['from']} cannot be read without restic")
    print(f"fetched {fetch(source, Folder(given.to), given.rest, given.config)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
