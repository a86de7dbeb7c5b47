"""Many probes at once give what one probe gives; the prober is bounded, honest about itself, and survives what comes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitoring import driving
from monitoring.driving import Driver
from monitoring.endpoints import Family
from monitoring.fleet import BadFleet, Fleet, Target, fleet_of, read_fleet, write_fleet
from monitoring.latest import Block, Latest, read_latest
from monitoring.loop import Loop
from monitoring.probe import Aim, Sight, probe
from monitoring.prober import Prober
from monitoring.reasons import Reason
from monitoring.transfers import Transfers
from monitoring.uptime.judging import State
from monitoring.uptime.reading import Reader
from ops import CannotSee, Site
from tests.monitoring.conftest import Web
from tests.monitoring.lab import Authority, Zone, free_port, raw_server

FOUR, SIX = Family.IPV4, Family.IPV6
ROOT = Path(__file__).resolve().parents[2]


def together(aims: list[Aim], each: bool = False, limit: float = 30.0, **bounds) -> list[Sight]:
    """All aims at once, in one loop."""
    loop = Loop()
    driver = Driver(loop, Transfers(loop, **bounds))
    found: dict[int, Sight] = {}
    for number, aim in enumerate(aims):
        (driver.probe_each if each else driver.probe)(aim, lambda sight, number=number: found.update({number: sight}))
    deadline = time.monotonic() + limit
    while len(found) < len(aims) and time.monotonic() < deadline:
        loop.turn()
    driver.close()
    loop.close()
    assert len(found) == len(aims), "a probe never ended"
    return [found[number] for number in range(len(aims))]


@pytest.fixture
def aim(zone: Zone, nameserver: str, authority: Authority) -> Callable[..., Aim]:
    """Aims by the test's name server and authority."""
    zone.host("xamau.test")
    return lambda url, family=FOUR, timeout=5.0, **more: Aim(
        url, family, (nameserver,), authority=authority.path, timeout=timeout, **more)


def test_an_http_address_that_redirects_to_https_which_is_dead_over_ipv6_is_broken_over_ipv6(aim, web: Web) -> None:
    """blackbox_exporter 0.28 calls this a success: it keeps the family on the first hop only."""
    url = f"http://xamau.test:{web.to_dead_six}/"
    four, six = together([aim(url, FOUR), aim(url, SIX)])
    assert four.reason is None
    assert six.reason is Reason.REFUSED
    assert [(hop.scheme, hop.address, hop.status) for hop in six.hops] == [("http", "::1", 301), ("https", "::1", 0)]


def test_many_at_once_see_what_one_sees(aim, web: Web, zone: Zone) -> None:
    """Every kind of page of the lab, over both families, at once and one after the other: the same reasons and ways."""
    zone.host("bon.test", six="")
    zone.failing.add("hong.test")
    zone.records["vong.test", "CNAME"] = ["vong.test"]
    urls = [f"https://xamau.test:{port}/" for port in web.tls.values()]
    urls += [f"http://xamau.test:{web.http}/{path}" for path in (
        "", "loop", "deep", "file", "gopher", "login", "broken", "relative", "agent")]
    urls += [f"http://{host}.test:{web.http}/" for host in ("bon", "hong", "vong", "khongco")]
    urls += [f"https://xamau.test:{web.http}/", f"http://xamau.test:{free_port()}/", "http://[::1/", "gopher://x/",
             f"http://127.0.0.1:{web.http}/", f"http://[::1]:{web.http}/", f"http://localhost:{web.http}/",
             f"http://xamau.test:{web.to_dead_six}/"]
    aims = [aim(url, family, certificates=certificates) for url in urls for family in Family
            for certificates in (True, False)]
    reasons = set()
    for one, sight in zip(aims, together(aims), strict=True):
        alone = probe(one)
        assert (sight.reason, sight.status, sight.hops, sight.faults) == (
            alone.reason, alone.status, alone.hops, alone.faults), one
        assert sight.body == alone.body or one.url.endswith("deep")
        assert (sight.chain == alone.chain) and bool(sight.chain) >= bool(sight.faults)
        reasons.add(sight.reason)
    assert len(reasons) >= 12


def test_phases_and_the_kernels_time(aim, web: Web) -> None:
    [sight] = together([aim(f"https://xamau.test:{web.tls['good']}/", SIX)])
    phases = sight.phases
    assert min(phases.dns, phases.connect, phases.tls, phases.first_byte) > 0
    assert phases.dns + phases.connect + phases.tls + phases.first_byte + phases.transfer <= phases.total
    assert 0 < sight.rtt < 0.1
    assert probe(aim(f"http://xamau.test:{web.http}/")).rtt > 0
    assert probe(aim(f"http://xamau.test:{free_port()}/")).rtt == 0


def test_each_address_of_a_name(aim, zone: Zone, web: Web) -> None:
    zone.host("doi.test", "127.0.0.1,127.0.0.2", "::1")
    one, two = together([aim(f"http://doi.test:{web.http}/"), aim(f"http://doi.test:{web.http}/", SIX)], each=True)
    assert (one.reason, one.hops[-1].address) == (Reason.REFUSED, "127.0.0.2")
    assert two.reason is None
    alone = together([aim(f"http://doi.test:{web.http}/")])[0]  # the first that the server gives, in whatever order
    assert (alone.reason is None) == (alone.hops[-1].address == "127.0.0.1")


def talk(answer: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        time.sleep(pause)
        connection.sendall(answer)

    return talk


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_at_most_so_many_go_to_one_address(aim) -> None:
    open_now, most = 0, 0

    def count(connection: socket.socket) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        connection.recv(4096)
        time.sleep(0.05)
        open_now -= 1
        connection.sendall(GOOD)

    with raw_server(count) as port:
        sights = together([aim(f"http://xamau.test:{port}/")] * 24, most_to_one=4)
    assert [sight.reason for sight in sights] == [None] * 24
    assert most <= 4
    # waiting for one's own turn is nobody's slowness
    assert max(sight.phases.total for sight in sights) < 0.2


def test_a_bound_over_everything_holds_back_and_loses_nobody(aim) -> None:
    with raw_server(talk(GOOD, 0.02)) as port:
        sights = together([aim(f"http://xamau.test:{port}/")] * 30, most_at_once=3)
    assert [sight.reason for sight in sights] == [None] * 30


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue of new connections is full: the kernel drops what comes, as a dead host would."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]


def test_hundreds_that_time_out_do_not_hold_up_the_others(aim, web: Web) -> None:
    with black_hole() as port:
        dead = [aim(f"http://127.0.0.1:{port}/", timeout=2.0)] * 300
        live = [aim(f"https://xamau.test:{web.tls['good']}/", SIX)] * 20
        started = time.monotonic()
        sights = together(dead + live, most_to_one=1000)
        took = time.monotonic() - started
    assert {sight.reason for sight in sights[:300]} == {Reason.CONNECT_TIMEOUT}
    assert [sight.reason for sight in sights[300:]] == [None] * 20
    assert max(sight.phases.total for sight in sights[300:]) < 1.5
    assert took < 4.5


def test_behind_a_dead_address_nobody_waits_for_ever(aim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.transfers.PATIENCE_SECONDS", 0.3)
    with black_hole() as port:
        started = time.monotonic()
        sights = together([aim(f"http://127.0.0.1:{port}/", timeout=1.0)] * 40, most_to_one=2)
    assert {sight.reason for sight in sights} == {Reason.CONNECT_TIMEOUT}
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("reference_is_there", [True, False])
def test_our_own_network_is_asked_once_for_all(reference_is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.vantage.is_loopback", lambda address: False)
    asked = 0

    def reference(connection: socket.socket) -> None:
        nonlocal asked
        asked += 1

    with raw_server(reference) as port:
        place = f"127.0.0.1:{port if reference_is_there else free_port()}"
        dead = Aim(f"http://127.0.0.1:{free_port()}/", FOUR, references=(place,), timeout=2.0)
        sights = together([dead] * 200)
    wanted = Reason.REFUSED if reference_is_there else Reason.REFERENCE_SILENT
    assert {sight.reason for sight in sights} == {wanted}
    assert asked == int(reference_is_there)
    assert driving.ROUND_SECONDS < 10


@pytest.mark.parametrize("answer", [
    b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
    b"HTTP/1.1 302 x\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: \xff\xfe \x01\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 10_000_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000,
], ids=["nothing", "ssh", "cut", "not-gzip", "bad-host", "binary", "huge-header", "endless"])
def test_hostile_answers_among_good_ones(aim, web: Web, answer: bytes) -> None:
    good = aim(f"https://xamau.test:{web.tls['good']}/")
    with raw_server(talk(answer)) as port:
        bad = aim(f"http://xamau.test:{port}/")
        sights = together([bad, good, bad, good])
        assert sights[0].reason is sights[2].reason is probe(bad).reason is not None
    assert sights[1].reason is sights[3].reason is None


def test_an_exception_within_a_walk_is_ours_and_stops_nobody(aim, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.probe.read_chain", lambda _: 1 // 0)
    sights = together([aim(f"https://xamau.test:{web.tls['good']}/"), aim(f"http://xamau.test:{web.http}/")])
    assert (sights[0].reason, sights[0].ours) == (Reason.OTHER, True)
    assert sights[1].reason is None


def fleet(*targets: Target, interval: float = 0.5) -> Fleet:
    return Fleet(targets, interval)


def turned(prober: Prober, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not enough():
        prober.loop.turn()


def look_of(prober: Prober, name: str) -> Latest:
    return prober._block.get(name)


def test_a_fleet_is_watched_and_recorded(aim, web: Web, zone: Zone, tmp_path: Path) -> None:
    zone.host("bon.test", six="")
    url = f"https://xamau.test:{web.tls['good']}/"
    targets = [
        Target("a/ipv4", aim(url), "Suối Trong kính chào"), Target("a/ipv6", aim(url, SIX)),
        Target("b/ipv4", aim(url), "chữ không có"), Target("c/ipv6", aim(f"http://bon.test:{web.http}/", SIX)),
        Target("d/ipv6", aim(f"http://xamau.test:{web.to_dead_six}/", SIX)),
    ]
    prober = Prober(tmp_path, fleet(*targets), again=(0.1, 0.1, 0.1))
    began = int(time.time())
    turned(prober, 6.0, lambda: min(look_of(prober, one.name).attempts for one in targets) > 6)
    looks = {one.name: look_of(prober, one.name) for one in targets}
    assert {name: (one.state, one.reason) for name, one in looks.items()} == {
        "a/ipv4": (State.UP, ""), "a/ipv6": (State.UP, ""), "b/ipv4": (State.DOWN, "wrong_text"),
        "c/ipv6": (State.ABSENT, "no_record"), "d/ipv6": (State.DOWN, "refused"),
    }
    assert prober.close()
    health, latest = read_latest(tmp_path / "latest")
    assert latest["a/ipv6"].state is State.UP and latest["a/ipv6"].not_after > time.time()
    assert (latest["a/ipv6"].status, latest["d/ipv6"].redirects) == (200, 1)
    assert health["looks"] >= 5 * 6
    with Reader(tmp_path) as reader:
        states = {name: reader.spans(name, began, began + 3)[-1].state for name in reader.targets()}
    assert states == {"a/ipv4": State.UP, "a/ipv6": State.UP, "b/ipv4": State.DOWN, "c/ipv6": State.ABSENT,
                      "d/ipv6": State.DOWN}


def test_a_starved_prober_accuses_nobody(aim, tmp_path: Path) -> None:
    """The site answers in time, the prober sleeps: what it saw as a time-out is unknown, and it is looked again."""
    with black_hole() as port:
        target = Target("x/ipv4", aim(f"http://127.0.0.1:{port}/", timeout=1.0))
        prober = Prober(tmp_path, fleet(target, interval=30.0), again=(0.1, 0.1))
        prober._start("x/ipv4", extra=False)
        prober.loop.after(0.2, lambda: time.sleep(1.2))
        turned(prober, 3.0, lambda: look_of(prober, "x/ipv4").moment > 0)
        first = look_of(prober, "x/ipv4")
        assert (first.seen, first.tainted, first.failures) == (State.UNKNOWN, True, 0)
        assert prober.health()["starved"] == 1
        turned(prober, 5.0, lambda: look_of(prober, "x/ipv4").attempts > 1)
        assert look_of(prober, "x/ipv4").seen is State.DOWN
        prober.close()


def test_the_loop_knows_how_late_it_is() -> None:
    loop = Loop()
    for _ in range(5):
        loop.turn()
    before = loop.stalled
    loop.after(0.0, lambda: time.sleep(0.2))
    for _ in range(5):
        loop.turn()
    assert 0.2 <= loop.stalled - before < 0.5
    loop.close()


def test_a_new_fleet_keeps_what_is_known(aim, web: Web, tmp_path: Path) -> None:
    old = Target("a/ipv4", aim(f"http://xamau.test:{web.http}/"))
    prober = Prober(tmp_path, fleet(old))
    turned(prober, 3.0, lambda: look_of(prober, "a/ipv4").attempts > 1)
    prober.watch(fleet(old, Target("b/ipv4", replace(old.aim, url=f"http://xamau.test:{web.http}/broken"))))
    assert look_of(prober, "a/ipv4").attempts > 1
    turned(prober, 3.0, lambda: look_of(prober, "b/ipv4").attempts > 0)
    assert look_of(prober, "b/ipv4").reason == "http_status"
    prober.watch(fleet(old))
    turned(prober, 0.8)
    prober.close()


def test_targets_come_from_sites(tmp_path: Path) -> None:
    made = fleet_of([Site("xamau", "Xã Mẫu", "thong-nhat", "https://xamau.test/", ("xamau.test",))])
    assert [target.name for target in made.targets] == ["xamau/ipv4", "xamau/ipv6"]
    write_fleet(made, tmp_path / "fleet.json")
    assert read_fleet(tmp_path / "fleet.json") == made


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"interval": 60, "targets": [{}]}', '{"interval": 0, "targets": []}',
                                  '{"interval": 60, "targets": 5}', '{"interval": NaN, "targets": []}'])
def test_a_bad_fleet_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "fleet.json").write_text(text)
    with pytest.raises(BadFleet):
        read_fleet(tmp_path / "fleet.json")


def test_the_file_of_last_looks(tmp_path: Path) -> None:
    names = ["xã/ipv4", "b/ipv6"]
    block = Block(names)
    look = Latest(1.5, State.DOWN, State.DOWN, True, False, 503, "http_status", 2, 0.5, 0.25, digest=2**64 - 1, size=9)
    block.put("xã/ipv4", look)
    block.put("gone", look)
    block.write(tmp_path / "latest", {"pid": 1})
    health, looks = read_latest(tmp_path / "latest")
    assert (health, looks) == ({"pid": 1}, {"xã/ipv4": look, "b/ipv6": Latest()})
    whole = (tmp_path / "latest").read_bytes()
    for cut in (b"", whole[:10], whole[:-1], whole + b"x", b"x" + whole):
        (tmp_path / "latest").write_bytes(cut)
        with pytest.raises(CannotSee):
            read_latest(tmp_path / "latest")


class Running:
    """The prober as its own process."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitoring.prober", "--fleet", str(folder / "fleet.json"), "--folder",
             str(folder / "uptime"), *more], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)})

    def until(self, good: Callable[[dict[str, Latest]], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(CannotSee):
                if good(read_latest(self.folder / "uptime" / "latest")[1]):
                    return
            assert self.process.poll() is None, self.process.stderr.read().decode()
            time.sleep(0.05)
        raise AssertionError("the prober never came so far")

    def end(self) -> tuple[int, str]:
        self.process.stdin.close()
        code = self.process.wait(20)
        told = self.process.stderr.read().decode()
        self.process.stderr.close()
        return code, told


def written(folder: Path) -> list[str]:
    with contextlib.suppress(CannotSee), Reader(folder / "uptime") as reader:
        return reader.targets()
    return []


def wait_until(good: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_it_leaves_a_gap_and_nothing_false(aim, web: Web, tmp_path: Path) -> None:
    target = Target("x/ipv4", aim(f"http://xamau.test:{web.http}/"))
    write_fleet(fleet(target), tmp_path / "fleet.json")
    first = Running(tmp_path)
    first.until(lambda looks: looks["x/ipv4"].attempts > 0)
    second = Running(tmp_path)
    assert second.end()[0] == 2, "one writer only"
    wait_until(lambda: "x/ipv4" in written(tmp_path))
    os.kill(first.process.pid, signal.SIGKILL)
    killed = int(time.time())
    first.process.wait()
    time.sleep(2.5)
    write_fleet(fleet(target), tmp_path / "fleet.json")
    third = Running(tmp_path, "--with-parent")
    began = time.time()
    third.until(lambda looks: looks["x/ipv4"].moment > began and looks["x/ipv4"].attempts > 3)
    (tmp_path / "fleet.json").write_text("not a fleet")
    time.sleep(2.2)
    code, told = third.end()
    assert code == 0 and "cannot be used" in told
    first.end()
    with Reader(tmp_path / "uptime") as reader:
        spans = reader.spans("x/ipv4", killed - 5, int(time.time()) - 1)
    assert [span.state for span in spans if span.state is not State.UNKNOWN][-1] is State.UP
    gap = [span for span in spans if span.state is State.UNKNOWN and span.start <= killed + 1 < span.end]
    assert gap and gap[0].seconds >= 2
    assert State.DOWN not in {span.state for span in spans}


def test_without_a_fleet_it_says_so(tmp_path: Path) -> None:
    running = Running(tmp_path)
    code, told = running.end()
    assert code == 2 and "cannot be used" in told and "không dùng được" in told
    assert json.dumps(told)
