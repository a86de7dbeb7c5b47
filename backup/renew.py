"""Brings snapshots back from a second place (`python -m backup.renew --site S --folder F [--lost ID…] … -- restic -r R`).

A step of `backup.heal`, after the index was made anew. What comes back: snapshots that are lost here; and, where the
repository still lacks data, every snapshot that the other place holds too. Their files are moved into the folder first,
for restic passes over a snapshot that stands; with them come the blobs that are missing. They get new names; the pairs
are printed, so that the signed ledger goes on to vouch for them. A twin holds the very same tree, by its hash.

The second place's secrets come in RESTIC_FROM_ variables. Exit 1: not done; what was moved is back in its place.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

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
    parser.add_argument("--lost", action="append", default=[])
    parser.add_argument("restic", nargs="+", help="restic's argv up to its command")
    given = parser.parse_args(arguments)
    try:
        print(json.dumps({"repository": given.at, "renamed": _renew(given)}, sort_keys=True))
    except (Failed, OSError) as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def _renew(given: argparse.Namespace) -> dict[str, str]:
    """Old id -> new id of what came back."""
    words, tags = list(given.restic), f"gaccong,site={given.site}"
    other = ["-r", given.source] if given.source else []
    there = _snapshots([words[0], *other], tags, swapped())
    here = {one["id"]: one for one in _snapshots(words, tags, None)}
    twins = {one.get("original") or one["id"]: one for one in there}
    # the one that stands here may itself have come back before: it is known there by its first name
    known = {one: here[one].get("original") or one for one in here}
    standing = [one for one, first in known.items() if first in twins and twins[first].get("tree") == here[one].get("tree")]
    wanted = {one: twins[one] for one in given.lost if one in twins}
    if not _whole(words):
        wanted |= {one: twins[known[one]] for one in standing}
    if not wanted:
        return {}
    moved = _aside(Path(given.at), Path(given.folder), [one for one in wanted if one in here])
    try:
        source = ["--from-repo", given.source] if given.source else []
        _ok(patiently(words, "copy", *source, *sorted(one["id"] for one in wanted.values()), seconds=_COPYING))
        now = [one for one in _snapshots(words, tags, None) if one["id"] not in here]
        pairs = {old: one["id"] for old, twin in wanted.items() for one in now
                 if one.get("original") == (twin.get("original") or twin["id"]) and one.get("tree") == twin.get("tree")}
        absent = [old[:8] for old in wanted if old not in pairs]
        if absent:
            raise Failed(f"restic copy ended well, but these did not come back: {', '.join(absent)}")
    except BaseException:
        for place, kept in moved:
            shutil.move(kept, place)
        raise
    return pairs


def _whole(words: list[str]) -> bool:
    """Whether restic's own check is content with the structure, and so with every blob that a snapshot names."""
    return run([*words, "check", "--no-lock"], seconds=_COPYING).code == 0


def _aside(at: Path, folder: Path, names: list[str]) -> list[tuple[Path, Path]]:
    """Moves snapshot files of a repository on this machine out of the way; (where from, where to)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moved = []
    for name in names:
        place, kept = at / "snapshots" / name, folder / f"snapshots-{name}"
        shutil.move(place, kept)
        moved.append((place, kept))
    return moved


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
