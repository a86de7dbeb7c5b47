"""A real Prometheus that scrapes a real page: a bad night at two sites, the prober's file, the record, maintenance."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from monitoring import windows
from monitoring.latest import Block, Latest
from monitoring.page import make_app
from monitoring.page.serving import running
from monitoring.uptime.judging import Rule, Sample, State
from monitoring.uptime.recorder import Recorder
from monitoring.watched import _PROBER, Sources
from ops import Secret, SiteStatus
from ops import State as Standing
from tests.monitoring.catalogue import owner
from tests.monitoring.desk import BROKEN, MET, RISK, UNSEEN, night, state
from tests.monitoring.lab import free_port

PRIVATE = frozenset({"accounts.leavers", "accounts.refused", "content.member_quota"})
TARGETS = ("xamau/ipv4", "xamau/ipv6", "khac/ipv4", "khac/ipv6")
TOKEN = Secret(b"ma-truy-cap-dung-trong-kiem-thu")


def find(program: str) -> str | None:
    """A program of the system or of `./setup test` (unpacked into the environment)."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{Path(sys.executable).parent}")


def statuses(names: Sequence[str]) -> list[SiteStatus]:
    """Two sites at which every measure among `names` (metrics) is told by the duty that tells it in earnest."""
    now = datetime.now(UTC)
    made = []
    for site in ("xamau", "khac"):
        found = night(now, site)
        extra: dict[tuple[str, str], dict[str, float]] = {}
        for name in names:
            duty, measure = owner(name)
            for subject in ("user", "system") if duty.startswith("backup.") else ("ipv6",):
                stamp = now.timestamp() - 3600 if "timestamp" in name else 0.75
                extra.setdefault((duty, subject), {})[measure] = stamp
        states = list(found.states)
        known = {(one.duty, one.subject) for one in states}
        states = [replace(one, measures=extra.get((one.duty, one.subject), {})) for one in states]
        states += [state(duty, subject, MET, "x", "x", measures=values, now=now, site=site)
                   for (duty, subject), values in extra.items() if (duty, subject) not in known]
        states += [_person("accounts.leavers", UNSEEN, now, site), _person("accounts.refused", MET, now, site),
                   state("accounts.census", "wordpress", RISK, "x", "x", now=now, site=site),
                   state("content.freshness", "site", BROKEN, "x", "x", now=now, site=site)]
        made.append(replace(found, states=tuple(states), at=now))
    return made


def _person(duty: str, verdict: Any, now: datetime, site: str) -> Standing:
    return state(duty, "Phạm Thị Ví Dụ", verdict, "x", "x", now=now, site=site)


def look(name: str, number: int) -> Latest:
    """What the prober says of a target after so many rounds; IPv6 of one site is down."""
    down = name == "xamau/ipv6"
    seen = State.DOWN if down else State.UP
    return Latest(time.time(), seen, seen, down, False, 0 if down else 200, "refused" if down else "", 0, 0.001, 0.002, 0.004,
                  0.03, 0.002, 0.039, 0.0007, 20_000, int(time.time()) + 40 * 86400, number, number if down else 0, 0, 7)


class Folder:
    """The state folder of a service, kept alive by a thread as the prober would."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._number = folder, 0
        self._stop = threading.Event()
        (folder / "uptime").mkdir(parents=True)
        self._record()
        now = datetime.now(UTC)
        windows.add(folder / "sites" / "khac", windows.Window(
            now - timedelta(minutes=5), now + timedelta(hours=1), now - timedelta(days=20), "thay ổ đĩa", "tổ trực", now - timedelta(days=20)))
        self.tell()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def _record(self) -> None:
        wall = time.time() - 3600
        recorder = Recorder(self.folder / "uptime", lambda _: Rule(2, 3, 150), wall, 1000.0)
        for minute in range(60):
            for name in TARGETS:
                bad = name == "xamau/ipv6" and minute > 40
                recorder.record(Sample(name, int(wall), State.DOWN if bad else State.UP, "refused" if bad else ""), recorder.run)
            wall += 60
            recorder.beat(wall, 1000.0 + 60 * minute + 60)
        assert recorder.close(wall, 1000.0 + 3600)

    def tell(self) -> None:
        self._number += 1
        block = Block(TARGETS)
        for name in TARGETS:
            block.put(name, look(name, self._number))
        health = {key: 1.0 + self._number for key, *_ in _PROBER} | {"moment": time.time(), "store_failing": 0}
        block.write(self.folder / "uptime" / "latest", health)

    def _go_on(self) -> None:
        while not self._stop.wait(0.5):
            self.tell()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def page(folder: Path, names: Sequence[str], token: Secret | None = TOKEN) -> Iterator[int]:
    """The page with `/metrics` and `/probe` in a thread of its own; yields its port."""
    there = Folder(folder)
    shown = statuses(names)
    app = make_app(lambda: shown, PRIVATE, "1.2.3", token, sources=Sources(lambda: {one.site.id: one.site for one in shown}, folder))
    ready, stop, port = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with running(app, "127.0.0.1", 0) as bound:
            port.append(bound)
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield port[0]
    finally:
        stop.set()
        thread.join(20)
        there.close()


class Prometheus:
    """A running Prometheus, asked over its API."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found


@contextmanager
def prometheus(folder: Path, config: str, rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """Prometheus with this configuration; rules are copied beside it and evaluated every second."""
    program, port = find("prometheus"), free_port()
    assert program
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    for path in rules:
        text = re.sub(r"interval: 1m", "interval: 1s", path.read_text(encoding="utf-8"))
        (folder / "rules" / path.name).write_text(re.sub(r"^        (keep_firing_)?for: .*\n", "", text, flags=re.M), encoding="utf-8")
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    log = (folder / "prometheus.log").open("wb")
    process = subprocess.Popen(
        [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        made, deadline = Prometheus(port), time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "prometheus.log").read_text()[-3000:]
                time.sleep(0.05)
        yield made
    finally:
        process.terminate()
        process.wait(20)
        log.close()
