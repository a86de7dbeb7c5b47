"""Brings snapshots of one site from one repository to another (`python -m backup.carry ... -- restic -r SECOND`).

What is missing at the second place is found when it runs, so that the plan is the same every night. The second
repository is made once, with the first one's chunker parameters, so that what both hold is cut alike; its mark forbids
to make it again where it is only unplugged. `restic copy` writes a snapshot last: a copy that is cut leaves none.

Secrets come by descriptor: RESTIC_PASSWORD_FILE and, for a rest-server with a login, RESTIC_REPOSITORY_FILE of the
second place; the same with RESTIC_FROM_ of the first. Prints one JSON line with the pairs of ids that stand now.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backup.rest import Server, there
from backup.trouble import kind_of
from backup.watched import Said, patiently, run, swapped
from ops import GaccongError

_LISTING = 900.0
_COPYING = 6 * 3600.0
NOTED = timedelta(days=31)
"""Pairs of copies younger than this are noted again each time: an outcome that was lost is made good."""
AHEAD = timedelta(hours=1)
"""A snapshot dated further ahead than this was planted, or made with a wrong clock: it is not brought along."""

Entry = dict[str, Any]


SOURCE = "the repository that is copied from:"
"""Begins what is told of a failure that is the first repository's, not the second's."""


class Failed(Exception):
    """restic could not; its own words, and the exit code to leave with. source: the first repository is to blame."""

    def __init__(self, said: Said, *, source: bool = False) -> None:
        self.said, self.source = said, source
        super().__init__(said.trouble)


def main(arguments: list[str] | None = None) -> int:
    """The step. Leaves with restic's exit code where restic failed, 1 for anything else; words on stderr."""
    parser = argparse.ArgumentParser(prog="backup.carry")
    for name in ("--site", "--at", "--mark", "--from"):
        parser.add_argument(name, default="")
    parser.add_argument("--ca", action="append", default=[], help="the second place's authority")
    parser.add_argument("--stall", type=float, default=600.0)
    parser.add_argument("restic", nargs="+", help="restic's argv up to its command")
    given = parser.parse_args(arguments)
    try:
        print(json.dumps(_carry(given), sort_keys=True))
    except Failed as failed:
        print(*([SOURCE] if failed.source else []), failed.said.trouble, sep="\n", file=sys.stderr)
        return failed.said.code or 1
    except GaccongError as error:
        print(error.explain("vi"), error.explain("en"), sep="\n", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    return 0


def _carry(given: argparse.Namespace) -> Entry:
    second: list[str] = given.restic
    source = ["--from-repo", vars(given)["from"]] if vars(given)["from"] else []
    first = [second[0], *(["-r", source[1]] if source else []), *_options(second)]
    tags = f"gaccong,site={given.site}"
    made = _found(given, second, source)
    have = [] if made else _snapshots(second, tags, None)
    offered = _snapshots(first, tags, swapped())
    ahead = datetime.now(UTC) + AHEAD
    held_back = [one["id"] for one in offered if _time(one) > ahead]
    missing = [one for one in offered if one["id"] not in held_back and not _twins(one, have)]
    if missing:
        said = patiently([*second], "copy", *source, *(one["id"] for one in missing), seconds=_COPYING, stall=given.stall)
        if said.code != 0:
            raise Failed(said, source=_of_source(said, second))
        have = _snapshots(second, tags, None)
    absent = [one["id"][:8] for one in missing if not _twins(one, have)]
    if absent:
        raise Failed(Said(1, "", f"restic copy ended well, but these did not arrive: {', '.join(absent)}"))
    since = datetime.now(UTC) - NOTED
    fresh = {one["id"] for one in missing}
    noted = [one for one in offered if one["id"] in fresh or _time(one) > since]
    pairs = [[one["id"], twin["id"]] for one in noted for twin in _twins(one, have)[:1]]
    return {"repository": "made" if made else "there", "copied": len(missing), "pairs": pairs, "held_back": held_back,
            "standing": len(have)}


def _of_source(said: Said, second: list[str]) -> bool:
    """Whose damage stopped a copy. It reads data from the first repository alone; of the second only its index."""
    return (kind_of(said.code, said.trouble) == "damaged"
            and run([*second, "list", "blobs", "--no-lock"], seconds=_LISTING).code == 0)


def _found(given: argparse.Namespace, second: list[str], source: list[str]) -> bool:
    """Makes sure of the second repository; True when it was made now."""
    mark = Path(given.mark)
    if not _is_there(given, second):
        if mark.exists():
            raise Failed(Said(1, "", f"repository {given.at} is gone; it was there before ({mark})"))
        said = run([*second, "init", *source, "--copy-chunker-params"])
        if said.code != 0:
            raise Failed(said)
        made = True
    else:
        made = False
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch(mode=0o600)
    return made


def _is_there(given: argparse.Namespace, second: list[str]) -> bool:
    if given.at.startswith("/"):
        return (Path(given.at) / "config").is_file()
    if given.at.startswith("rest:"):
        inside = os.environ.get("RESTIC_REPOSITORY_FILE", "")
        url = Path(inside).read_text("utf-8").strip() if inside else given.at
        return there(Server(url, ca=given.ca[0] if given.ca else ""))
    said = run([*second, "cat", "config", "--no-lock"], seconds=120.0)
    if said.code == 0:
        return True
    # only a plain "no repository" may lead to a new one
    if kind_of(said.code, said.trouble) == "no_repository":
        return False
    raise Failed(said)


def _options(words: list[str]) -> list[str]:
    """The options of restic's argv that are not the repository itself: authorities, the way over SSH."""
    found: list[str] = []
    for name, value in zip(words, words[1:], strict=False):
        if name in ("--cacert", "-o"):
            found += [name, value]
    return found


def _snapshots(words: list[str], tags: str, env: dict[str, str] | None) -> list[Entry]:
    said = run([*words, "snapshots", "--json", "--no-lock", "--tag", tags], env=env, seconds=_LISTING)
    if said.code != 0:
        raise Failed(said, source=env is not None)
    return json.loads(said.out or "[]") or []


def _twins(source: Entry, have: list[Entry]) -> list[Entry]:
    """The snapshots at the second place that say they are `source` and hold the very same tree."""
    key = source.get("original") or source["id"]
    return [one for one in have if one.get("original") == key and one.get("tree") == source.get("tree")]


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["time"][:19] + (entry["time"][-6:] if entry["time"][-1] != "Z" else "+00:00"))


if __name__ == "__main__":
    sys.exit(main())
