"""Measures `/metrics` of a province: 3,321 sites over two families, 106,272 series of the prober, all looked at anew each time.

    .venv/bin/python -m tests.benchmarks.exporter [--sites 3321] [--rounds 8] [--seconds 15]

Prints JSON: CPU and wall seconds of one exposition by our renderer (reading the prober's file, making the families, writing
them out), by prometheus-client over the same families, gzip at level 1, bytes; and what a real Prometheus says of scraping
the served page once a second. The first round writes every label and is told by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from monitoring.exporter import Exposition, exposition_text, families, registry
from monitoring.exposition import Renderer, packed
from monitoring.latest import Block, Latest
from monitoring.uptime.judging import State
from monitoring.watched import Sources
from tests.monitoring.desk import night
from tests.monitoring.observatory import PRIVATE, find, prometheus

CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1m}
scrape_configs: [{job_name: gaccong, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
"""


class Fleet:
    """The prober's file of a province; `turn` looks at everybody anew."""

    def __init__(self, folder: Path, sites: int) -> None:
        (folder / "uptime").mkdir(parents=True, exist_ok=True)
        self._path = folder / "uptime" / "latest"
        self._names = [f"xa{number}/{family}" for number in range(sites) for family in ("ipv4", "ipv6")]
        self._chance, self._round = random.Random(5), 0

    def turn(self) -> None:
        self._round += 1
        block, chance, now = Block(self._names), self._chance.random, time.time()
        for name in self._names:
            block.put(name, Latest(
                now - chance() * 60, State.UP, State.UP, False, False, 200, "", 0, chance() / 50, chance() / 50, chance() / 20, chance() / 5,
                chance() / 10, chance() / 2, chance() / 50, 20_000 + int(chance() * 99), 1_800_000_000, self._round, 0, 0, 7))
        block.write(self._path, {"moment": now, "cpu_seconds": 1.0 * self._round})


def timed(work: Callable[[], Any], kept: list[tuple[float, float]]) -> Any:
    """Does it, and keeps (CPU, wall)."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    kept.append((time.process_time() - cpu, time.perf_counter() - wall))
    return found


def told(kept: list[tuple[float, float]]) -> dict[str, float]:
    """Median and best: other work on the machine only ever adds."""
    cpu = [one for one, _ in kept]
    return {"cpu_median": round(statistics.median(cpu), 3), "cpu_best": round(min(cpu), 3), "wall_median": round(statistics.median(
        [one for _, one in kept]), 3)}


def rendering(folder: Path, sites: int, rounds: int) -> dict[str, Any]:
    """The exposition alone, in this process."""
    fleet, sources, renderer = Fleet(folder, sites), Sources(dict, folder), Renderer()
    steps: dict[str, list[tuple[float, float]]] = {name: [] for name in ("read", "families", "render", "all", "gzip", "prometheus_client")}
    body = small = b""
    for number in range(rounds):
        fleet.turn()
        kept: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        watched = timed(sources.read, kept["read"])
        shown = Exposition((), PRIVATE, "bench", watched)
        made = timed(lambda shown=shown: list(families(shown)), kept["families"])
        body = timed(lambda made=made: renderer.render(made), kept["render"])
        small = timed(lambda body=body: packed(body), kept["gzip"])
        kept["all"].append(tuple(map(sum, zip(*(kept[name][0] for name in ("read", "families", "render")), strict=True))))  # type: ignore[arg-type]
        if number == 0:
            first = kept["all"][0][0]
            continue
        for name in ("read", "families", "render", "all", "gzip"):
            steps[name] += kept[name]
    for _ in range(2):
        timed(lambda: generate_latest(registry(lambda: shown)), steps["prometheus_client"])
    series = sum(1 for line in body.splitlines() if line.startswith(b"gaccong_probe_"))
    return {"series": series, "bytes": len(body), "gzip_bytes": len(small), "first_cpu": round(first, 3),
            "seconds": {name: told(kept) for name, kept in steps.items()}}


def statuses(sites: int) -> dict[str, Any]:
    """The verdicts of as many sites as a room that runs all duties may have; they are read anew each time."""
    shown = [night(site=f"xa{number}") for number in range(sites)]
    kept: list[tuple[float, float]] = []
    renderer = Renderer()
    for _ in range(4):
        body = timed(lambda: renderer.render(families(Exposition(shown, PRIVATE, "bench"))), kept)
    return {"sites": sites, "series": sum(1 for line in body.splitlines() if not line.startswith(b"#")), "seconds": told(kept[1:]),
            "first_bytes": len(exposition_text(lambda: Exposition(shown, PRIVATE, "bench")))}


def serve(folder: str) -> None:
    """The page in a process of its own, as `gaccong serve --page-only` has it; prints its port."""
    from monitoring.page import make_app
    from monitoring.page.serving import running

    async def main() -> None:
        app = make_app(list, PRIVATE, "bench", sources=Sources(dict, Path(folder)))
        async with running(app, "127.0.0.1", 0) as port:
            print(port, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())


def scraping(folder: Path, sites: int, seconds: float) -> dict[str, Any]:
    """What a real Prometheus says when it scrapes once a second, while the prober's file changes once a second."""
    fleet, stop = Fleet(folder / "state", sites), threading.Event()
    fleet.turn()
    page = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.exporter", "--serve", str(folder / "state")], stdout=subprocess.PIPE, text=True)
    assert page.stdout is not None
    port = int(page.stdout.readline())

    def turning() -> None:
        while not stop.wait(1.0):
            fleet.turn()

    thread = threading.Thread(target=turning, daemon=True)
    thread.start()
    try:
        with prometheus(folder / "p", CONFIG % port) as made:
            time.sleep(seconds)
            asked = {name: made.query(query) for name, query in (
                ("scrape_seconds_mean", "avg_over_time(scrape_duration_seconds[1h])"),
                ("scrape_seconds_worst", "max_over_time(scrape_duration_seconds[1h])"),
                ("samples", "max_over_time(scrape_samples_scraped[1h])"), ("scrapes", "count_over_time(up[1h])"),
                ("share_that_came", "avg_over_time(up[1h])"))}
    finally:
        stop.set()
        thread.join()
        page.terminate()
        page.wait(20)
    return {name: round(float(found[0]["value"][1]), 3) if found else None for name, found in asked.items()}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sites", type=int, default=3321)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--serve", default="")
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"fleet": rendering(Path(folder) / "a", chosen.sites, max(2, chosen.rounds)), "verdicts": statuses(200)}
        if find("prometheus"):
            found["prometheus"] = scraping(Path(folder) / "b", chosen.sites, chosen.seconds)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
