"""A year of one site's ledger, written and verified: python -m tests.benchmarks.ledger [LINES] [URL]

Prints seconds; nothing is asserted. By hand, on a quiet machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ops.ledger import verify_book, write_book
from ops.signing import Signer
from ops.store import open_store

START = datetime(2026, 1, 1, tzinfo=UTC)


def told(what: str, seconds: float, count: int) -> None:
    print(f"{what:58} {seconds:8.3f} s  {seconds / count * 1e6:8.1f} µs a line")


def main(lines: int = 10_000, url: str = "") -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        signer = Signer.create(folder / "key", "gaccong/benchmark")
        began = time.perf_counter()
        store = open_store(url or f"sqlite:///{folder}/store.db", signer)
        print(f"new store: {time.perf_counter() - began:.3f} s")
        detail = {"vi": "Trang trả lời đúng qua IPv4 trong 0,21 giây", "en": "The page answers over IPv4 in 0.21 s"}
        began = time.perf_counter()
        for number in range(0, lines, 2):
            now = START + timedelta(seconds=365 * 86400 * number / lines)
            with store.transaction("demo", now) as writer:
                for subject in ("ipv4", "ipv6"):
                    writer.append(
                        "flip",
                        "web.http",
                        subject,
                        {
                            "verdict": "met",
                            "was": "broken",
                            "detail": detail,
                            "measures": {"seconds": 0.21},
                            "facts": {"status": 200, "address": "192.0.2.7", "number": number},
                            "next": "",
                        },
                    )
        told("append, 2 lines a transaction (sign, fsync)", time.perf_counter() - began, lines)
        began = time.perf_counter()
        found = verify_book(store.raw_lines("demo"), store.checkpoints("demo"), signer.public)
        assert found.ok, found
        told(f"verify in process ({lines // 2} checkpoints)", time.perf_counter() - began, lines)
        began = time.perf_counter()
        assert len(store.evidence("demo")) == lines
        told("read as evidence", time.perf_counter() - began, lines)
        began = time.perf_counter()
        write_book(folder / "book", store)
        told("write the book", time.perf_counter() - began, lines)
        began = time.perf_counter()
        argv = [sys.executable, folder / "book" / "verifier.py", folder / "book", "--key", signer.public]
        subprocess.run(argv, check=True, timeout=600)
        told("stand-alone verifier, whole process", time.perf_counter() - began, lines)
        store.close()


if __name__ == "__main__":
    main(*(int(one) if one.isdigit() else one for one in sys.argv[1:]))  # type: ignore[arg-type]
