"""Compares a restored tree with the manifest in it (`python -m backup.judge`). Exit 0: what was copied is there again.

The manifest's own SHA-256 must be the one that the ledger noted when the copy was made ("" where the ledger knows
nothing of the copy). Prints one JSON line. With `--part PATH ROOT` only what lies at and below PATH is compared, and
ROOT stands for "/" there; what no part names is left aside.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from backup.compare import ELSEWHERE, Comparison, restored
from backup.manifest import Entry
from backup.stage import MANIFEST

Part = tuple[bytes, Callable[[bytes, Entry], str]]


def judge(root: Path, stage: str, manifest: str, parts: list[tuple[str, Path]] | None = None) \
        -> tuple[bool, dict[str, object]]:
    """Whether the trees are what was copied, and the counts. `root` stands for "/" where the manifest is."""
    seen = Comparison(stage)
    looks: list[Part] = [(os.fsencode(at), restored(where)) for at, where in parts or [("/", root)]]

    def look(path: bytes, entry: Entry) -> str:
        for at, one in looks:
            if path == at or path.startswith(at.rstrip(b"/") + b"/"):
                return one(path, entry)
        return ELSEWHERE

    path = root / stage.lstrip("/") / MANIFEST
    if not path.is_file():
        return False, {"error": "manifest missing", "path": str(path)}
    with path.open(encoding="ascii", newline="\n") as stream:
        for line in stream:
            seen.line(line.removesuffix("\n"), look)
    noted = not manifest or seen.manifest == manifest
    sound = not seen.count("wrong") + seen.count("lost") and seen.hollow is None
    told = {"files": seen.right, "not_compared": seen.files - seen.elsewhere - seen.right, "bytes": seen.bytes,
            "counts": seen.counts, "manifest_as_noted": noted}
    return seen.whole and seen.files > 0 and noted and sound, told


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--root", "--stage", "--manifest"):
        parser.add_argument(name, required=True)
    parser.add_argument("--part", nargs=2, action="append", default=[], metavar=("PATH", "ROOT"))
    given = parser.parse_args()
    right, told = judge(Path(given.root), given.stage, given.manifest, [(at, Path(root)) for at, root in given.part])
    print(json.dumps(told))
    if not right:
        print("restored files differ from the manifest", file=sys.stderr)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
