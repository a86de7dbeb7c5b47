"""Makes a set's stage folder ready (`python -m backup.stage --stage DIR --keep NAME ...`).

The stage holds what is not copied where it lies: database copies, notes, the manifest. What no source puts there any
more is removed, so that no copy carries last month's leftovers as if they were tonight's.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from backup import cache

MANIFEST = "manifest.jsonl"


def stage_of(home: Path, set_name: str) -> Path:
    """The stage folder of a set below a site's home; its last two parts are how a copy is recognised."""
    return home / "stage" / set_name


def ready(stage: Path, keep: set[str]) -> list[str]:
    """Makes the folder (0700), takes away what is not kept, and gives the names that were removed."""
    stage.mkdir(mode=0o700, parents=True, exist_ok=True)
    removed = []
    for entry in sorted(stage.iterdir()):
        if entry.name in keep or entry.name == MANIFEST:
            continue
        removed.append(entry.name)
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return removed


def main(arguments: list[str] | None = None) -> int:
    """The step. Refuses a folder that is not called .../stage/NAME: it removes things there."""
    parser = argparse.ArgumentParser(prog="backup.stage")
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("--keep", action="append", default=[])
    given = parser.parse_args(arguments)
    if given.stage.parent.name != "stage" or not given.stage.is_absolute() or given.stage.is_symlink():
        print(f"not a stage folder: {given.stage}", file=sys.stderr)
        return 2
    home = given.stage.parent.parent
    for name in ready(given.stage, set(given.keep)):
        print(f"removed {name}")
    free = min(cache.ready(home), shutil.disk_usage(given.stage).free)
    if free < cache.LEAST:  # restic would retry for a quarter of an hour, or spoil its cache
        print(f"no space left: {free >> 10} KiB free at {home}, {cache.LEAST >> 10} needed; free some room there",
              file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
