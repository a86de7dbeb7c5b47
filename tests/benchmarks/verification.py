"""Full verification (keyless scrub and `restic check`) beside `restic check --read-data`, on one repository.

    .venv/bin/python -m tests.benchmarks.verification [MIB] [FOLDER]

MIB: size of the repository, about (default 250; the issue's figure is for 645). FOLDER: where it is made; /dev/shm by
default, so that the disk's noise does not hide the work. The key is restic's own: opening costs what it costs everywhere.
Prints medians in seconds and the ratio, which is to be 0.65 or less; then a nightly proof, which opens nothing.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from backup.checks.integrity import integrity
from tests.backup.room import NEWER, PASSWORD, Room

ROUNDS = 5


def fill(folder: Path, mib: int) -> None:
    """Files of 1 to 50 KB and some of 8 MiB, none of which can be packed smaller; the same each time."""
    dice = random.Random(7)
    left = mib << 20
    for number in range(4):
        (folder / f"phim-{number}.mp4").write_bytes(dice.randbytes(min(8 << 20, left // 4)))
    left -= min(32 << 20, left)
    number = 0
    while left > 0:
        size = dice.randint(1000, 50_000)
        place = folder / f"{number // 500}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.jpg").write_bytes(dice.randbytes(size))
        left, number = left - size, number + 1


def median(*works: Callable[[], object]) -> list[float]:
    """Medians of ROUNDS runs of each, taken in turn, after one that warms up."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(ROUNDS + 1):
        for times, work in zip(taken, works, strict=True):
            began = time.perf_counter()
            work()
            if turn:
                times.append(time.perf_counter() - began)
    return [round(statistics.median(times), 3) for times in taken]


def main(mib: int = 250, where: str = "/dev/shm") -> None:
    """Measures and prints JSON."""
    with tempfile.TemporaryDirectory(dir=where) as name:
        root = Path(name)
        env = {"PATH": os.environ["PATH"], "HOME": name, "RESTIC_PASSWORD": PASSWORD.decode()}
        template = root / "mau"
        subprocess.run([NEWER, "-r", str(template), "init", "--quiet"], env=env, timeout=120, check=True)
        room = Room(root / "phong", template, program=NEWER)
        room.more = {"read_gib_per_look": 1e9}
        room.site.settings["backup"] = room.settings()  # type: ignore[index]
        fill(room.www, mib)
        assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
        raw = [NEWER, "-r", str(room.repository), "--no-cache", "check"]

        def ours(*subjects: str) -> None:
            finding = room.look(integrity, *subjects)["user"]
            assert finding.verdict == "met", finding.detail.en
            room.now += timedelta(minutes=1)

        def theirs(*more: str) -> None:
            subprocess.run([*raw, *more], env=env, timeout=900, check=True, capture_output=True)

        whole, read_data, plain, proof, opening = median(
            ours, lambda: theirs("--read-data"), theirs, lambda: ours("user"),
            lambda: subprocess.run([*raw[:-1], "cat", "config"], env=env, timeout=60, check=True, capture_output=True))
        scrubbed = room.look(integrity)["user"].measures
        size = sum(path.stat().st_size for path in room.repository.rglob("*") if path.is_file())
        print(json.dumps({"repository_mib": round(size / (1 << 20)), "gaccong_full_verification": whole,
                          "restic_check_read_data": read_data, "ratio": round(whole / read_data, 2), "restic_check": plain,
                          "opening": opening, "gaccong_proof_of_a_night": proof,
                          "read_mib": round(scrubbed["read_bytes"] / (1 << 20))}, indent=2))


if __name__ == "__main__":
    main(*(int(one) if one.isdigit() else one for one in sys.argv[1:]))  # type: ignore[arg-type]
