"""Measures the prober beside blackbox_exporter on the same nginx, and at the rate of a province.

    .venv/bin/python -m tests.benchmarks.monitoring_prober [--probes 3000] [--seconds 60] [--blackbox PATH] [--targets 13260]

Prints JSON. CPU is user + system time of the prober alone, which other work on the machine does not change much:
- https, http: milliseconds for each probe, 32 in flight, fresh connection, chain and name verified, 20 KB read and
  hashed, system bundle plus one authority; `https_detail` reads the certificates as well (the prober does so hourly).
- blackbox: the same pages by blackbox_exporter (Debian: prometheus-blackbox-exporter), its page of results included.
- fleet: the whole process with its record, open loop, `targets` in 60 s of which 2,000 are dead; missed must be 0.
- store: bytes and milliseconds of a year of one target, one look a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from monitoring.driving import Driver
from monitoring.endpoints import Family
from monitoring.fetch import Get, bundle_path
from monitoring.fleet import Fleet, Target, write_fleet
from monitoring.latest import read_latest
from monitoring.loop import Loop
from monitoring.probe import Aim, Sight
from monitoring.prober import _digest
from monitoring.transfers import Transfers
from monitoring.uptime.counting import day_number, day_start
from monitoring.uptime.judging import Rule, Sample, State
from monitoring.uptime.reading import Reader
from monitoring.uptime.recorder import Recorder
from tests.monitoring.lab import Authority, free_port

AT_ONCE = 32
DEAD = 2000
ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def site(folder: Path) -> Iterator[tuple[str, str, Authority]]:
    """(https address, http address, authority) of an nginx with a 20 KB page, on 127.0.0.1 and ::1."""
    authority = Authority(folder, "goc")
    certificate, key = authority.issue("trang", ["127.0.0.1", "::1"])
    secure, plain = free_port(), free_port()
    root = folder / "www"
    root.mkdir()
    (root / "index.html").write_text("<p>Xã Suối Trong kính chào bà con.</p>\n" * 450, encoding="utf-8")
    temps = "".join(f"{kind}_temp_path {folder}/t_{kind};" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "n.conf").write_text(
        f"user root; daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/err.log;\n"
        f"events {{ worker_connections 4000; }} http {{ access_log off; {temps} ssl_session_cache off;\n"
        f"ssl_session_tickets off; root {root};\n"
        f"server {{ listen 127.0.0.1:{secure} ssl; listen [::1]:{secure} ssl ipv6only=on;\n"
        f"ssl_certificate {certificate}; ssl_certificate_key {key}; }}\n"
        f"server {{ listen 127.0.0.1:{plain}; listen [::1]:{plain} ipv6only=on; }} }}\n", encoding="utf-8")
    with ended(subprocess.Popen(["nginx", "-p", str(folder), "-e", f"{folder}/err.log", "-c", f"{folder}/n.conf"])):
        wait_for(secure)
        yield f"https://127.0.0.1:{secure}/", f"http://127.0.0.1:{plain}/", authority


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """The process, until the context ends."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


def wait_for(port: int) -> None:
    """Until somebody listens."""
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(port)


def cpu_of(process: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(aim: Aim, number: int) -> dict[str, float]:
    """CPU milliseconds for each probe, AT_ONCE in flight."""
    loop = Loop()
    driver = Driver(loop, Transfers(loop, most_to_one=AT_ONCE))
    left, landed = number, 0
    firsts: list[float] = []

    def start() -> None:
        nonlocal left
        if left:
            left -= 1
            driver.probe(aim, done)

    def done(sight: Sight) -> None:
        nonlocal landed
        assert sight.reason is None, (sight.reason, sight.words)
        _digest(sight.body)
        firsts.append(sight.phases.first_byte)
        landed += 1
        loop.after(0.0, start)

    began = time.process_time()
    for _ in range(AT_ONCE):
        start()
    while landed < number:
        loop.turn()
    used = time.process_time() - began
    driver.close()
    loop.close()
    return {"cpu_ms_each": round(used / number * 1000, 3), "first_byte_ms": round(statistics.median(firsts) * 1000, 2)}


@contextlib.contextmanager
def theirs(binary: str, folder: Path, authority: Authority) -> Iterator[Callable[[str, int], float]]:
    """blackbox_exporter; called with an address and a number it gives its CPU milliseconds for each probe."""
    bundle = folder / "bundle.pem"
    bundle.write_bytes(Path(bundle_path()).read_bytes() + b"\n" + authority.path.read_bytes())
    config = folder / "b.yml"
    config.write_text(
        "modules: {page: {prober: http, timeout: 10s, http: {preferred_ip_protocol: ip4, ip_protocol_fallback: false}}}")
    port = free_port()
    command = [binary, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]

    def measure(target: str, number: int) -> float:
        began = cpu_of(process.pid)
        ask(port, target, number)
        return (cpu_of(process.pid) - began) / number * 1000

    with ended(subprocess.Popen(command, env={**os.environ, "SSL_CERT_FILE": str(bundle)})) as process:
        wait_for(port)
        yield measure


def side_by_side(
    binary: str, folder: Path, https: str, http: str, authority: Authority, number: int, turns: int = 6
) -> dict[str, Any]:
    """Both by turns, so that what else the machine does falls on both; best and median of the turns."""
    kinds = {
        "https": (https, Aim(https, Family.IPV4, authority=authority.path, certificates=False)),
        "https_detail": (https, Aim(https, Family.IPV4, authority=authority.path)),
        "http": (http, Aim(http, Family.IPV4)),
    }
    made: dict[str, Any] = {}
    with theirs(binary, folder, authority) if binary else contextlib.nullcontext() as measure:
        for kind, (address, aim) in kinds.items():
            mine, other = [], []
            for turn in range(turns + 1):
                one = ours(aim, number // turns)["cpu_ms_each"]
                two = measure(address, number // turns) if measure else 0.0
                if turn:  # the first warms up
                    mine.append(one)
                    other.append(two)
            made[kind] = {"best": min(mine), "median": statistics.median(mine)}
            if measure:
                made[kind] |= {
                    "blackbox_best": round(min(other), 3), "blackbox_median": round(statistics.median(other), 3),
                    "ratio_best": round(min(mine) / min(other), 2),
                    "ratio_median": round(statistics.median(mine) / statistics.median(other), 2),
                }
    return made


def ask(port: int, target: str, number: int) -> None:
    """So many scrapes of /probe, AT_ONCE in flight."""
    loop = Loop()
    transfers = Transfers(loop, most_to_one=AT_ONCE)
    landed = 0

    def done(answer: Any) -> None:
        nonlocal landed
        assert b"\nprobe_success 1" in answer.body, answer
        landed += 1

    address = f"http://127.0.0.1:{port}/probe?module=page&target={target}"
    for _ in range(number):
        transfers.get(Get(address, "127.0.0.1", port, "127.0.0.1", None, 30.0, 1 << 20), done)
    while landed < number:
        loop.turn()
    transfers.close()
    loop.close()


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port on every loopback address that takes no connection and refuses none."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", listener.getsockname()[1]))
        time.sleep(0.1)
        yield listener.getsockname()[1]


def fleet(folder: Path, https: str, authority: Authority, number: int, seconds: float) -> dict[str, Any]:
    """The whole process at the province's rate."""
    with black_hole() as hole:
        targets = [Target(f"song{place}/ipv4", Aim(
            https if place % 2 else https.replace("127.0.0.1", "[::1]"), Family.IPV4 if place % 2 else Family.IPV6,
            authority=authority.path)) for place in range(number - DEAD)]
        targets += [Target(f"chet{place}/ipv4", Aim(
            f"https://127.{1 + place // 250}.1.{1 + place % 250}:{hole}/", Family.IPV4)) for place in range(DEAD)]
        write_fleet(Fleet(tuple(targets)), folder / "fleet.json")
        command = [sys.executable, "-m", "monitoring.prober", "--fleet", str(folder / "fleet.json"), "--folder",
                   str(folder / "uptime"), "--latest", str(folder / "latest")]
        with ended(subprocess.Popen(command, cwd=ROOT)) as process:
            time.sleep(75)  # a whole round: every target was read in detail once
            began, first, cpu = time.monotonic(), read_latest(folder / "latest")[0], cpu_of(process.pid)
            time.sleep(seconds)
            cpu = cpu_of(process.pid) - cpu
            took = time.monotonic() - began
            health, looks = read_latest(folder / "latest")
            status = Path(f"/proc/{process.pid}/status").read_text()
    live = [look for name, look in looks.items() if name.startswith("song")]
    return {
        "seconds": round(took), "targets": number, "core": round(cpu / took, 3),
        "looks_each_second": round((health["looks"] - first["looks"]) / (health["moment"] - first["moment"]), 1),
        "rss_mb": round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1),
        "peak_mb": round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1),
        "missed": health["missed"], "busy": health["busy"], "tainted": health["tainted"], "starved": health["starved"],
        "worst_lag_ms": round(health["worst_lag_seconds"] * 1000),
        "stalled_share": round((health["stalled_seconds"] - first["stalled_seconds"]) / took, 3), "in_flight": health["in_flight"],
        "live_not_up": sum(look.seen is not State.UP for look in live), "doubts": health["doubts"],
        "dead_not_down": sum(look.seen is not State.DOWN for name, look in looks.items() if name.startswith("chet")),
        "live_total_ms_median": round(statistics.median(look.total for look in live) * 1000, 2),
        "rtt_ms_median": round(statistics.median(look.rtt for look in live) * 1000, 3),
    }


def store(folder: Path, together: int = 2) -> dict[str, float]:
    """A year of looks, one a minute, two outages a month and 0.03 % blips, by Vietnamese days."""
    import random

    dice = random.Random(4)
    began = day_start(day_number(1_767_250_000))
    recorder = Recorder(folder, lambda _: Rule(), began, 0.0)
    names = [f"xa{number}/ipv4" for number in range(together)]
    down_until = dict.fromkeys(names, 0)
    used = time.process_time()
    for minute in range(365 * 1440):
        now = began + 60 * minute
        for name in names:
            if dice.random() < 24 / (365 * 1440):
                down_until[name] = now + dice.randint(180, 7200)
            bad = now < down_until[name] or dice.random() < 0.0003
            took = 0 if bad else int(dice.lognormvariate(12, 0.4))
            state = State.DOWN if bad else State.UP
            recorder.record(Sample(name, now, state, "timeout" if bad else "", took), recorder.run)
        recorder._wall, recorder._steady = now, now - began
        if minute % 60 == 59:
            with recorder._condition:
                recorder._condition.wait_for(lambda: recorder._handed is None, 30)
            recorder.flush(now, now - began)
    used = time.process_time() - used
    recorder.close(began + 365 * 86400, 365 * 86400)
    size = sum(path.stat().st_size for path in folder.glob("uptime.db*"))
    with Reader(folder) as reader:
        times = []
        for _ in range(20):
            started = time.perf_counter()
            found = reader.availability(names[0], began, began + 365 * 86400)
            times.append(time.perf_counter() - started)
    return {"kb_each_target_year": round(size / together / 1024, 1), "year_query_ms": round(min(times) * 1000, 2),
            "record_us_each_look": round(used / (365 * 1440 * together) * 1e6, 2), "ratio": round(found.ratio or 0, 6),
            "outages": found.outages}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--probes", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--targets", type=int, default=13_260)
    parser.add_argument("--blackbox", default=shutil.which("prometheus-blackbox-exporter") or "")
    parser.add_argument("--only", default="probe,store,fleet")
    chosen = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    made: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with site(folder) as (https, http, authority):
            if "probe" in chosen.only:
                made["cpu_ms_each_probe"] = side_by_side(
                    chosen.blackbox, folder, https, http, authority, chosen.probes)
            if "store" in chosen.only:
                (folder / "year").mkdir()
                made["store"] = store(folder / "year")
            if "fleet" in chosen.only:
                made["fleet"] = fleet(folder, https, authority, chosen.targets, chosen.seconds)
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
