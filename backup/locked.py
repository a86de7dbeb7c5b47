"""How old is the oldest lock of a repository on this machine? restic renews a lock it holds every five minutes, so that
one much older than that was left behind by a process that is no more. Needs no key and opens nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path


def lock_age(repository: Path | None, now: datetime) -> dict[str, float]:
    """`{"lock_age_seconds": …}`: 0 without a lock; nothing for a repository elsewhere, or one that cannot be read."""
    if repository is None:
        return {}
    oldest = now.timestamp()
    try:
        with os.scandir(repository / "locks") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # let go of just now
                    oldest = min(oldest, entry.stat(follow_symlinks=False).st_mtime)
    except OSError:
        return {}
    return {"lock_age_seconds": now.timestamp() - oldest}
