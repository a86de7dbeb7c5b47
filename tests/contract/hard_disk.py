"""Runs inside a private mount namespace, on a tmpfs of 600 kB: python -m tests.contract.hard_disk FOLDER

Fills the disk under a store, makes it read-only, and gives it room again; the ledger must verify all the way.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from ops.errors import GaccongError
from ops.ledger import verify_book
from ops.signing import Signer
from ops.store import Store, open_store


def fill(store: Store) -> GaccongError:
    for number in range(10_000):
        try:
            with store.transaction("demo", datetime.now(UTC)) as writer:
                writer.append("flip", "web.http", "ipv4", {"number": number, "filler": "x" * 3000})
                writer.append("flip", "web.http", "ipv6", {"number": number})
        except GaccongError as error:
            return error
    raise AssertionError("the disk never filled")


def remount(folder: Path, *options: str) -> None:
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(folder)], check=True, timeout=20)


def holds(store: Store, vkey: str) -> int:
    found = verify_book(store.raw_lines("demo"), store.checkpoints("demo"), vkey)
    assert found.ok and found.lines % 2 == 0, found
    assert store.head("demo") == (found.lines, found.root)
    return found.lines


def main(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)], check=True, timeout=20)
    signer = Signer.create(folder / "key", "gaccong/test")
    url = f"sqlite:///{folder}/store.db"
    with open_store(url, signer) as store:
        error = fill(store)
        assert "disk" in error.what.en and "đầy" in error.what.vi and error.mend.vi, error.explain("en")
        before = holds(store, signer.public)
        assert before > 10, before
    with open_store(url, signer) as store:
        assert holds(store, signer.public) == before
        remount(folder, "size=4m")
        with store.transaction("demo", datetime.now(UTC)) as writer:
            writer.append("flip", "web.http", "ipv4", {"room": True})
            writer.append("flip", "web.http", "ipv6", {"room": True})
        assert holds(store, signer.public) == before + 2
    remount(folder, "ro")
    try:
        with open_store(url, signer) as store, store.transaction("demo", datetime.now(UTC)) as writer:
            writer.append("flip", "web.http", "ipv4", {"lost": True})
    except GaccongError as refused:
        assert refused.mend.vi and "read-only" in refused.what.en, refused.explain("en")
    else:
        raise AssertionError("wrote to a read-only disk")
    remount(folder, "rw")
    with open_store(url, signer) as store:
        assert holds(store, signer.public) == before + 2
    print("held", before + 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
