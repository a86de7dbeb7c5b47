"""Measures the page on this machine, beside a whole province of 3,321 sites: python -m tests.benchmarks.monitoring_page [SITES]

Everything is real: one SQLite store with every site's ledger and states, one record of availability with ninety days of
every site over both families, the page fetched over a socket. Prints JSON, milliseconds; nothing is asserted.

site:        one site's page with its whole history. wanted: under 50.
fleet:       the fleet's page when nothing turned since; turned: when fifty ledgers have grown. wanted: under 300.
fleet_cold:  the first fleet page after a start (most lines are still to be read, and it says so); reading: seconds until
             the last is read.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from monitoring.page.desk import Desk
from ops import Site, SiteStatus
from ops import status as status_module
from ops.policy import load
from ops.store import Store
from tests.kit import NOW
from tests.monitoring.desk import duty, night
from tests.monitoring.seeded import PRIVATE, record, seeded
from tests.monitoring.test_page import Served, served

TURNS, GROWN = 15, 50


def timed(work: Callable[[], object], turns: int = TURNS) -> float:
    """The median of some turns, in milliseconds."""
    took = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 1)


def fill(store: Store, status: SiteStatus, name: str) -> Site:
    """A site's states in the store, each with the ledger line that it cites, in one transaction."""
    site = replace(status.site, id=name, name=f"Xã Số {name[2:]}")
    with store.transaction(name, NOW) as writer:
        for one in status.states:
            line = writer.append("flip", one.duty, one.subject, {
                "verdict": one.verdict.value, "was": None, "detail": one.detail.json(), "measures": {}, "facts": {}, "next": ""})
            writer.put_state(replace(one, site=name, evidence=line.seq, seen_at=NOW))
    return site


def grow(store: Store, names: list[str]) -> None:
    """One more line in each of these ledgers."""
    for name in names:
        with store.transaction(name, NOW) as writer:
            writer.append("daily", "web.http", "", {"subjects": {}})


def fleet_waits(site: Served) -> float:
    """Seconds until no line is waiting."""
    began = time.perf_counter()
    while "đang được đọc lại" in site.get("/")[2]:
        time.sleep(0.2)
    return round(time.perf_counter() - began, 1)


def main(count: int = 3321) -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk, store = seeded(folder)
        (folder / "uptime" / "uptime.db").unlink()
        status = night()
        sites = {"xamau": desk.sites()["xamau"]}
        for number in range(count - 1):
            sites[f"xa{number}"] = fill(store, status, f"xa{number}")
        record(folder, list(sites))
        policy, duties = load("thong-nhat"), {one.duty: duty(one.duty, private=one.duty in PRIVATE) for one in status.states}

        def read(wanted: str) -> SiteStatus:
            return status_module.read(sites[wanted], policy, store, duties, NOW + timedelta(minutes=1))

        whole = Desk(lambda: sites, read, store, store.heads, folder)
        with store, served(lambda: [], desk=whole) as site:
            cold = timed(lambda: site.get("/"), 1)
            reading = fleet_waits(site)
            figures = {
                "sites": count, "site": timed(lambda: site.get("/site/xamau")), "fleet": timed(lambda: site.get("/")),
                "fleet_find": timed(lambda: site.get("/?q=so+12")), "fleet_cold": cold, "reading_seconds": reading,
            }
            grow(store, list(sites)[1:GROWN + 1])
            figures["turned"] = timed(lambda: site.get("/"), 1)
            fleet_waits(site)
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:]))
