"""Removes folders that a restore made for itself; anything not called `.khoi-phuc-` and eight hex digits is refused."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

OURS = re.compile(r"\.khoi-phuc-[0-9a-f]{8}")


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0: gone; 1: refused; 3: something of it is still there."""
    parser = argparse.ArgumentParser(prog="playbooks.parts.tidy")
    parser.add_argument("folder", nargs="+", type=Path)
    folders: list[Path] = parser.parse_args(arguments).folder
    for folder in folders:
        if not OURS.fullmatch(folder.name) or not folder.is_absolute() or folder.is_symlink():
            print(f"not a restore folder: {folder}", file=sys.stderr)
            return 1
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return 3 if any(folder.exists() for folder in folders) else 0


if __name__ == "__main__":
    sys.exit(main())
