"""Hands that put a damaged repository right (`python -m backup.mend fetch|aside|repair ...`). Steps of `backup.heal`.

    fetch --from R [--ca FILE] [--config SHA256] --to DIR NAME…   objects of the same name from a mirror, verified
    aside --at DIR --folder F NAME…                               moves objects that are no longer readable out of the way
    repair --folder F -- restic …                                 runs restic in a private folder: it leaves files there

Nothing is thrown away: what is taken out of a repository lies in the folder F (0700) of the site's home. Exit 1: not
done; what was done before stays, and a second run goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from backup.found import handed_on
from backup.objects import BLOCK, CONFIG, Folder, Objects, objects_at

_SECONDS = 21000.0


def fetch(source: Objects, target: Folder, names: list[str], config: str = "") -> int:
    """Puts objects of the same name back, each verified by its name before it gets it. Raises OSError, ValueError."""
    for name in names:
        place = target.path(name)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = place.with_name(f"{place.name}-tmp-heal")
        temporary.unlink(missing_ok=True)
        made, block = sha256(), bytearray(BLOCK)
        with source.open(name) as stream, temporary.open("xb") as out:
            while count := stream.readinto(block):
                made.update(memoryview(block)[:count])
                out.write(memoryview(block)[:count])
            out.flush()
            _as_its_folder(out.fileno(), place.parent)
            os.fsync(out.fileno())
        if made.hexdigest() != (config if name == CONFIG else place.name):
            temporary.unlink()
            raise ValueError(f"{name} of {source.at} is not what its name says")
        temporary.replace(place)
        _settle(place.parent)
    return len(names)


def _as_its_folder(descriptor: int, folder: Path) -> None:
    """Owner and readers as restic gives them: those of the folder; nobody writes."""
    status = folder.stat()
    os.fchmod(descriptor, 0o400 | status.st_mode & 0o040)
    if os.geteuid() == 0:
        os.fchown(descriptor, status.st_uid, status.st_gid)


def _settle(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def aside(target: Folder, folder: Path, names: list[str]) -> int:
    """Moves objects into the folder; those that are gone already are passed over. Raises OSError."""
    moved = 0
    for name in names:
        place = target.path(name)
        if os.path.lexists(place):
            shutil.move(place, folder / name.replace("/", "-"))
            moved += 1
    return moved


def main(arguments: list[str] | None = None) -> int:
    """The step."""
    parser = argparse.ArgumentParser(prog="backup.mend")
    deeds = parser.add_subparsers(dest="deed", required=True)
    one = deeds.add_parser("fetch")
    for name in ("--from", "--to"):
        one.add_argument(name, required=True)
    for name in ("--ca", "--config"):
        one.add_argument(name, default="")
    two = deeds.add_parser("aside")
    for name in ("--at", "--folder"):
        two.add_argument(name, required=True)
    three = deeds.add_parser("repair")
    three.add_argument("--folder", required=True)
    for deed in (one, two, three):
        deed.add_argument("rest", nargs="+")
    given = parser.parse_args(arguments)
    if "folder" in given:
        Path(given.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _do(given)
    except (OSError, ValueError) as error:
        print(f"{given.deed}: {error}", file=sys.stderr)
        return 1


def _do(given: argparse.Namespace) -> int:
    if given.deed == "repair":
        return subprocess.run(given.rest, cwd=given.folder, stdin=subprocess.DEVNULL, pass_fds=handed_on(),
                              timeout=_SECONDS, check=False).returncode
    if given.deed == "aside":
        print(f"moved {aside(Folder(given.at), Path(given.folder), given.rest)}")
        return 0
    named = os.environ.get("RESTIC_REPOSITORY_FILE", "")
    source = objects_at(vars(given)["from"], Path(named).read_text("utf-8").strip() if named else "", given.ca)
    if source is None:
        raise ValueError(f"{vars(given)['from']} cannot be read without restic")
    print(f"fetched {fetch(source, Folder(given.to), given.rest, given.config)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
