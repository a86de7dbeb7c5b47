"""Brings snapshots back from a second place (`python -m backup.renew --site S --folder F [--twin LOST:THERE…] … -- restic -r R`).

A step of `backup.heal`, after the index was made anew. What comes back: snapshots that are lost here; and, where the
repository still lacks data, every snapshot that the other place holds too. Their files are moved into the folder first,
for restic passes over a snapshot that stands; with them come the blobs that are missing. They get new names; the pairs
are printed, so that the signed ledger goes on to vouch for them. For a lost snapshot only the one is taken that the
plan names, by what the ledger notes of `backup.copy`: whoever holds the other place can write "original" into any
snapshot. For one that stands, a twin is what has the very same tree, time, tags and paths.

The second place's secrets come in RESTIC_FROM_ variables. Exit 1: not done; what was moved is back in its place.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backup import mend
from backup.hold import Refused
from backup.objects import Folder
from backup.watched import Said, patiently, run, swapped

_COPYING = 6 * 3600.0
_LISTING = 900.0

Entry = dict[str, Any]


class Failed(Exception):
    """restic could not; the text is its own."""


def main(arguments: list[str] | None = None) -> int:
    """The step."""
    parser = argparse.ArgumentParser(prog="backup.renew")
    for name in ("--site", "--folder", "--at"):
        parser.add_argument(name, required=True)
    parser.add_argument("--from", dest="source", default="", help="the other repository's address, unless it is a secret")
    parser.add_argument("--twin", action="append", default=[], help="LOST:THERE, as the ledger notes the pair")
    parser.add_argument("restic", nargs="+", help="restic's argv up to its command")
    given = parser.parse_args(arguments)
    try:
        print(json.dumps({"repository": given.at, "renamed": _renew(given)}, sort_keys=True))
    except (Failed, OSError, ValueError, Refused) as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def _renew(given: argparse.Namespace) -> dict[str, str]:
    """Old id -> new id of what came back."""
    words, tags = list(given.restic), f"gaccong,site={given.site}"
    target, folder = Folder(given.at), Path(given.folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mend.back(target, folder)  # what a run left that was killed
    other = ["-r", given.source] if given.source else []
    there = {one["id"]: one for one in _snapshots([words[0], *other], tags, swapped())}
    here = {one["id"]: one for one in _snapshots(words, tags, None)}
    wanted = {lost: there[twin] for lost, _, twin in (pair.partition(":") for pair in given.twin)
              if twin in there and lost not in here}
    if not _whole(words):
        wanted |= _twins(here, there.values())
    if not wanted:
        return {}
    moved = [f"snapshots/{one}" for one in wanted if one in here]
    try:
        mend.aside(target, folder, moved, mark=mend.MOVING)
        source = ["--from-repo", given.source] if given.source else []
        _ok(patiently(words, "copy", *source, *sorted({one["id"] for one in wanted.values()}), seconds=_COPYING))
        pairs = _came(wanted, [one for one in _snapshots(words, tags, None) if one["id"] not in here])
        absent = [old[:8] for old in wanted if old not in pairs]
        if absent:
            raise Failed(f"restic copy ended well, but these did not come back: {', '.join(absent)}")
    except BaseException:
        mend.back(target, folder)
        raise
    for name in moved:
        mend.settle(folder, name)
    return pairs


def _came(wanted: dict[str, Entry], new: list[Entry]) -> dict[str, str]:
    """Old id -> id of the new snapshot that is its twin's copy, the very same tree."""
    return {old: one["id"] for old, twin in wanted.items() for one in new
            if one.get("original") == _first(twin) and _sight(one) == _sight(twin)}


def _twins(here: dict[str, Entry], there: Iterable[Entry]) -> dict[str, Entry]:
    """Snapshot that stands here -> the same at the other place."""
    # the one that stands here may itself have come back before: it is known there by its first name
    known = {(_first(one), _sight(one)): one for one in there}
    found = {name: known.get((_first(one), _sight(one))) for name, one in here.items()}
    return {name: twin for name, twin in found.items() if twin is not None}


def _first(one: Entry) -> str:
    return str(one.get("original") or one["id"])


def _sight(one: Entry) -> str:
    """All by which a copy is judged: its tree, which is a hash of everything in it, and what it says of itself."""
    return json.dumps([one.get("tree"), *(one.get(name) for name in ("time", "hostname", "tags", "paths"))])


def _whole(words: list[str]) -> bool:
    """Whether restic's own check is content with the structure, and so with every blob that a snapshot names."""
    return run([*words, "check", "--no-lock"], seconds=_COPYING).code == 0


def _snapshots(words: list[str], tags: str, env: dict[str, str] | None) -> list[Entry]:
    said = _ok(run([*words, "snapshots", "--json", "--no-lock", "--tag", tags], env=env, seconds=_LISTING))
    found = json.loads(said.out or "[]") or []
    return [one for one in found if isinstance(one, dict)]


def _ok(said: Said) -> Said:
    if said.code != 0:
        raise Failed(said.trouble)
    return said


if __name__ == "__main__":
    sys.exit(main())
