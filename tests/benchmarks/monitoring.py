"""Measures the monitoring room on this machine: a probe's cost, one scrape and one page for a province of 3,321 sites.

    .venv/bin/python -m tests.benchmarks.monitoring [--sites 3321] [--probes 200]

Prints JSON: CPU milliseconds for each HTTPS probe (fresh connection, chain and name verified, over both families,
against nginx on loopback), seconds and bytes of one exposition, seconds of one site's page and of the fleet's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from monitoring.endpoints import Family
from monitoring.exporter import Exposition, exposition_text
from monitoring.page.rows import sheet
from monitoring.probe import Aim, probe
from tests.monitoring.conftest import Web
from tests.monitoring.desk import night
from tests.monitoring.lab import Authority, NameServer, Zone, nginx

PRIVATE = frozenset({"accounts.leavers"})


def probes(number: int) -> dict[str, float]:
    """CPU and wall milliseconds for each probe, name resolution included."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        authority = Authority(place, "goc")
        zone = Zone()
        zone.host("xamau.test")
        server = NameServer(zone)
        web = Web(place / "web", authority, authority)
        with nginx(place / "web" / "n", web.config):
            aims = [
                Aim(f"https://xamau.test:{web.tls['good']}/", family, (server.text,), authority=authority.path)
                for family in Family
            ]
            assert all(probe(aim).ok for aim in aims)
            walls, began = [], time.process_time()
            for turn in range(number):
                started = time.perf_counter()
                assert probe(aims[turn % 2]).ok
                walls.append(time.perf_counter() - started)
            used = time.process_time() - began
        server.close()
    return {"cpu_ms_each": round(used / number * 1000, 3), "wall_ms_median": round(statistics.median(walls) * 1000, 3)}


def readers(sites: int) -> dict[str, float]:
    """Exposition and pages of a whole province (same night everywhere)."""
    fleet = [night(site=f"xa{number}") for number in range(sites)]
    started = time.perf_counter()
    text = exposition_text(lambda: Exposition(fleet, PRIVATE, "bench"))
    exposed = time.perf_counter() - started
    started = time.perf_counter()
    for status in fleet:
        sheet(status, PRIVATE)
    sheets = time.perf_counter() - started
    return {
        "sites": sites,
        "exposition_seconds": round(exposed, 3),
        "exposition_bytes": len(text),
        "series": sum(1 for line in text.splitlines() if not line.startswith(b"#")),
        "fleet_sheets_seconds": round(sheets, 3),
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sites", type=int, default=3321)
    parser.add_argument("--probes", type=int, default=200)
    chosen = parser.parse_args()
    print(json.dumps({"probe": probes(chosen.probes), "readers": readers(chosen.sites)}, indent=2))


if __name__ == "__main__":
    main()
