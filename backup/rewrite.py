"""Takes files whose data is lost out of old copies (`python -m backup.rewrite --site S --at R -- restic -r R`).

A step of `backup.heal` with `give_up=yes`, after all that can be had back was had back. `restic repair snapshots` gives
what it rewrites a new name. The pairs are printed, so that the signed ledger knows the new ones as work of ours: they are
no strangers, and no whole copies either. Exit codes are restic's own, 1 for anything else.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from backup.restic import Repository, can, version
from backup.trouble import ResticTrouble
from backup.watched import Said, patiently, run
from ops import Context, Site

_SECONDS = 6 * 3600.0
_LISTING = 900.0
_SNAPSHOT = re.compile(r"^snapshot ([0-9a-f]{8,64}) of ")
_LOST = re.compile(r'^ +\w+ "(.+)": ')
_HOLE = re.compile(r'file "([^"]+)" blob \S+ (?:not found|size could not be found)')


class Failed(Exception):
    """restic could not list; its own words, and the exit code to leave with."""

    def __init__(self, said: Said) -> None:
        self.code = said.code or 1
        super().__init__(said.trouble)


def holes(site: Site, ctx: Context, repository: Repository, said: str) -> dict[str, list[str]]:
    """First digits of a copy -> paths in it whose data is not in the repository. Changes nothing.

    said: what `restic check` said. A restic without `repair snapshots`, or one that cannot go through with it, tells file
    names alone: they stand under the name "".
    """
    try:
        if not can("repair", version(ctx, repository.program)):
            return {"": sorted(set(_HOLE.findall(said)))}
        told = repository.ask(ctx, "repair", "snapshots", "--dry-run", "--tag", f"gaccong,site={site.id}", timeout=_SECONDS)
    except ResticTrouble as trouble:
        ctx.log.warning("the holes of %s could not be told: %s", repository.at, trouble)
        return {"": sorted(set(_HOLE.findall(said)))}
    found: dict[str, list[str]] = {}
    current = ""
    for line in told.text.splitlines():
        if named := _SNAPSHOT.match(line):
            current = named.group(1)[:8]
        elif lost := _LOST.match(line):
            found.setdefault(current, []).append(lost.group(1))
        elif line.startswith("would") and "snapshots" not in line:
            found.setdefault(current, [])
    return {name: sorted(found[name]) for name in sorted(found)}


def main(arguments: list[str] | None = None) -> int:
    """The step. Prints {"repository", "rewritten": {OLD: NEW}, "dropped": [OLD]} as one JSON line."""
    parser = argparse.ArgumentParser(prog="backup.rewrite")
    for name in ("--site", "--at"):
        parser.add_argument(name, required=True)
    parser.add_argument("restic", nargs="+", help="restic's argv up to its command")
    given = parser.parse_args(arguments)
    try:
        return _rewrite(given.restic, given.at, f"gaccong,site={given.site}")
    except Failed as failed:
        print(failed, file=sys.stderr)
        return failed.code


def _rewrite(words: list[str], at: str, tags: str) -> int:
    before = _listed(words, tags)
    said = patiently(words, "repair", "snapshots", "--forget", "--tag", tags, seconds=_SECONDS)
    after = _listed(words, tags)
    new = {str(one.get("original")): name for name, one in after.items() if name not in before}
    gone = sorted(before.keys() - after.keys())
    # what was rewritten before a failure is noted all the same
    print(json.dumps({"repository": at, "rewritten": {old: new[old] for old in gone if old in new},
                      "dropped": [old for old in gone if old not in new]}, sort_keys=True))
    if said.code != 0:
        print(said.trouble, file=sys.stderr)
    return said.code


def _listed(words: list[str], tags: str) -> dict[str, dict[str, Any]]:
    said = run([*words, "snapshots", "--json", "--no-lock", "--tag", tags], seconds=_LISTING)
    if said.code != 0:
        raise Failed(said)
    return {str(one["id"]): one for one in json.loads(said.out or "[]") or []}


if __name__ == "__main__":
    sys.exit(main())
