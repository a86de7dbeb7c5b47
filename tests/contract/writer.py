"""A process of its own that writes to a store: python -m tests.contract.writer URL KEY SITE HOW"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ops.signing import Signer
from ops.store import open_store


def clock() -> datetime:
    return datetime.now(UTC)


def main(url: str, key: str, site: str, how: str) -> None:
    with open_store(url, Signer.load(Path(key))) as store:
        if how == "hang":
            with store.transaction(site, clock) as writer:
                writer.append("flip", "web.http", "ipv4", {"verdict": "broken"})
                writer.lay_down()
                print("inside", flush=True)
                time.sleep(60)
        for number in range(int(how)):
            with store.transaction(site, clock) as writer:
                for part in range(1 + number % 3):
                    writer.append("flip", "web.http", "ipv4", {"number": number, "part": part})
            print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
