"""Chooses what a drill by sample restores: the newest changes, the critical files, the oldest, and a random share.

One pass over the manifest; nothing is held but what is chosen, so that a million files cost no more than a thousand.
k random files find damage of a share p of all files with 1-(1-p)^k: 300 find what touches one file in a hundred with
95 %. One flipped bit touches one file: only a drill of everything, or reading the repository through, finds that.
"""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from backup.manifest import Entry, entries, read_name
from backup.restic import escaped

NEWEST, CRITICAL, OLDEST, RANDOM = 100, 50, 20, 300
_WORDS = 1 << 19
"""Bytes of argv that the patterns may take; the kernel allows two million."""
_VITAL = frozenset(os.fsencode(name) for name in (
    ".htaccess", ".user.ini", "index.php", "index.html", "wp-config.php", "configuration.php", "settings.php", "web.config",
    "app.py", "package.json", "passwd", "shadow", "group", "fstab", "sudoers", "crontab", "nginx.conf", "php.ini", "my.cnf"))
_Ranked = tuple[int, bytes, int]


@dataclass
class Sample:
    """What was chosen. files: path -> size; bare: paths below which no file could be chosen; total: files in all."""

    files: dict[bytes, int] = field(default_factory=dict)
    bare: list[bytes] = field(default_factory=list)
    total: int = 0

    @property
    def size(self) -> int:
        """Size of all that was chosen."""
        return sum(self.files.values())

    def patterns(self) -> list[str]:
        """restic's words for them: `--include PATTERN`..."""
        return [word for path in (*self.bare, *self.files) for word in ("--include", escaped(os.fsdecode(path)))]


def choose(manifest: Path, stage: str, seed: str, roots: Iterable[Path] = ()) -> Sample:
    """Chooses from a manifest's files outside `stage`; another `seed` draws other random ones.

    roots: what was asked to be copied; of each at least one file is chosen.
    """
    draw = random.Random(seed)  # noqa: S311 - which files are tried is no secret
    newest: list[_Ranked] = []
    oldest: list[_Ranked] = []
    vital: list[_Ranked] = []
    drawn: list[tuple[bytes, int]] = []
    total = 0
    first: dict[bytes, tuple[bytes, int] | None] = {os.fsencode(root): None for root in roots}
    inside = os.fsencode(stage) + b"/"
    for entry in entries(manifest):
        if not _comparable(entry):
            continue
        path, size, time = read_name(entry), int(entry["size"]), int(entry["mtime_ns"])
        if path.startswith(inside):
            continue
        total += 1
        for root, there in first.items():
            if there is None and (path == root or path.startswith(root + b"/")):
                first[root] = (path, size)
        _keep(newest, (time, path, size), NEWEST)
        _keep(oldest, (-time, path, size), OLDEST)
        if path.rpartition(b"/")[2] in _VITAL:
            _keep(vital, (-path.count(b"/"), path, size), CRITICAL)  # the site's own index.php before its plugins'
        if len(drawn) < RANDOM:
            drawn.append((path, size))
        elif (at := draw.randrange(total)) < RANDOM:
            drawn[at] = (path, size)
    found = Sample({}, [root for root, there in first.items() if there is None], total)
    room = _WORDS
    ranked = [(path, size) for kind in (vital, newest, oldest) for _, path, size in sorted(kind, reverse=True)]
    for path, size in [*filter(None, first.values()), *ranked, *drawn]:
        cost = len(escaped(os.fsdecode(path)).encode("utf-8", "surrogateescape")) + len("--include") + 2 * 9
        if path not in found.files and cost <= room:
            room -= cost
            found.files[path] = size
    return found


def _comparable(entry: Entry) -> bool:
    return entry.get("kind") == "file" and "sha256" in entry


def _keep(heap: list[_Ranked], one: _Ranked, most: int) -> None:
    """Keeps the greatest `most`."""
    if len(heap) < most:
        heapq.heappush(heap, one)
    else:
        heapq.heappushpop(heap, one)
