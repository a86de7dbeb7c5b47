"""`make bench`: every benchmark in turn, or the named ones. Figures only; nothing here fails on a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(names: list[str]) -> int:
    """Runs each module of this folder in a process of its own."""
    folder = Path(__file__).parent
    found = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    for name in names or found:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=True, timeout=1800)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
