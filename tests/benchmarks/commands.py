"""What a person waits for: the start of a command, and a nightly copy beside restic alone, in one run.

    .venv/bin/python -m tests.benchmarks.commands

Prints medians in seconds, and the ratio of gaccong's whole unchanged backup (plan, stage, manifest, restic, both proofs,
ledger) to restic's own `backup` of the same paths into a repository of the same kind.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.backup.room import PASSWORD, make_template
from tests.journeys.place import Place

ROUNDS = 7
FILES = 2000


def median(work: Callable[[], object]) -> float:
    """Seconds of the median of ROUNDS runs, after one that warms up."""
    work()
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken), 3)


def fill(folder: Path) -> None:
    """FILES files of 1 to 50 KB, the same each time."""
    dice = random.Random(7)
    for number in range(FILES):
        (folder / f"{number}.bin").write_bytes(dice.randbytes(dice.randint(1000, 50000)))


def main() -> None:
    """Measures and prints JSON."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "t").mkdir()
        template = make_template(root / "t")
        place = Place(root / "m", template)
        fill(place.root / "www")
        for one in ("user", "system"):
            place.allow(one)
        digest = place.digest("backup.run", "set=user")
        raw = [
            "restic",
            "-r",
            str(place.root / "kho"),
            "backup",
            "--json",
            "--quiet",
            "--tag",
            "raw",
            str(place.root / "www"),
            str(place.root / "tin.db"),
        ]
        secret = root / "pw"
        secret.write_bytes(PASSWORD)
        env = {**os.environ, "RESTIC_PASSWORD_FILE": str(secret), "RESTIC_CACHE_DIR": str(root / "cache")}
        figures = {
            "help": median(lambda: place.gaccong("--help")),
            "status": median(lambda: place.gaccong("status")),
            "status_json": median(lambda: place.gaccong("status", "--json")),
            "restic_backup": median(lambda: subprocess.run(raw, env=env, capture_output=True, timeout=300, check=True)),
            "gaccong_backup_and_proof": median(lambda: place.gaccong("apply", digest, "--by", "bench")),
        }
        figures["ratio"] = round(figures["gaccong_backup_and_proof"] / figures["restic_backup"], 2)
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
