"""Small file systems of a test's own, to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A tmpfs at `place`; options: as for mount, `size=3m`. Needs root; where CI=true a missing root fails, not skips."""
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "gaccong-test", str(place)], capture_output=True,
                          text=True, timeout=30, check=False)
    if done.returncode != 0:
        reason = f"cannot mount a small tmpfs: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=30)
