"""What a restore notes of itself, in the site's private home and never beside the site, whose owner could write it.

One note for each restore folder (`.khoi-phuc-DIGITS`), as JSON:

    folder: [device, inode] of the restore folder that was made      root, live, kept: the paths
    state:  restored | swapping | swapped                            aside: what is moved away with the old tree
    was:    there | absent (the live path before the exchange)       new: [device, inode] of the restored tree
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

OURS = re.compile(r"\.khoi-phuc-([0-9a-f]{8})")
Note = dict[str, Any]


def path_of(home: Path, root: Path) -> Path:
    """The note of a restore folder. Raises ValueError for a folder that has not such a name."""
    found = OURS.fullmatch(root.name)
    if found is None or not root.is_absolute():
        raise ValueError(f"not a restore folder: {root}")
    return home / "restores" / f"{found.group(1)}.json"


def read(home: Path, root: Path) -> Note:
    """The note of a restore folder, {} without one. Raises ValueError when it cannot be understood."""
    try:
        body = json.loads(path_of(home, root).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(body, dict) or body.get("root") != str(root):
        raise ValueError(f"{path_of(home, root)} is not the note of {root}")
    return body


def write(home: Path, root: Path, note: Note) -> None:
    """Keeps a note: private, whole, on the disk before anything that it tells of is done."""
    path = path_of(home, root)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(note, stream)
        stream.flush()
        os.fsync(stream.fileno())
    Path(temporary).replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def forget(home: Path, root: Path) -> None:
    """Removes a note, if there is one."""
    path_of(home, root).unlink(missing_ok=True)


def every(home: Path) -> list[Note]:
    """All notes, by name; one that cannot be understood is left out (`read` of its folder tells)."""
    found = []
    for path in sorted((home / "restores").glob("*.json")):
        try:
            body = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(body, dict) and body.get("root"):
            found.append(body)
    return found
