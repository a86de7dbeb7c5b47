"""Compares a restored tree with the manifest in it (`python -m backup.judge`). Exit 0: every file is right.

The manifest's own SHA-256 must be the one that the ledger noted when the copy was made. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from backup.compare import Comparison, restored
from backup.stage import MANIFEST


def judge(root: Path, stage: str, manifest: str) -> tuple[bool, dict[str, object]]:
    """Whether the tree below `root` is what was copied, and the counts."""
    seen = Comparison()
    look = restored(root)
    path = root / stage.lstrip("/") / MANIFEST
    if not path.is_file():
        return False, {"error": "manifest missing", "path": str(path)}
    with path.open(encoding="ascii", newline="\n") as stream:
        for line in stream:
            seen.line(line.removesuffix("\n"), look)
    right = seen.whole and seen.files > 0 and seen.manifest == manifest and not seen.count("wrong") + seen.count("lost")
    told = {
        "files": seen.files,
        "bytes": seen.bytes,
        "counts": seen.counts,
        "manifest_as_noted": seen.manifest == manifest,
    }
    return right, told


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--root", "--stage", "--manifest"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    right, told = judge(Path(given.root), given.stage, given.manifest)
    print(json.dumps(told))
    if not right:
        print("restored files differ from the manifest", file=sys.stderr)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
