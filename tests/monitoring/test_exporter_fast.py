"""The fast exposition: what prometheus-client reads out of it is what prometheus-client would have written itself."""

from __future__ import annotations

import gzip
import http.client
import math
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from monitoring.exporter import Collector, Exposition, exposition_text, families, registry
from monitoring.exposition import COUNTER, OPENMETRICS, TEXT, Family, Renderer, takes_gzip, wants_openmetrics
from monitoring.keeping import Kept
from monitoring.latest import Block, Latest
from monitoring.scraping import GOOD_SECONDS, MOST_PROBES, Scrapes
from monitoring.settings import Settings
from monitoring.uptime.judging import State
from monitoring.watched import Sources, Watched
from ops import Site
from tests.monitoring.conftest import Web
from tests.monitoring.desk import MET, clause, duty, night, policy, read, state
from tests.monitoring.lab import Authority, Zone
from tests.monitoring.observatory import PRIVATE, TOKEN, find, look, page

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str, reader: Callable[[str], Iterator] = parse) -> Samples:
    found = [one for family in reader(text) for one in family.samples]
    made = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in found}
    assert len(made) == len(found)
    return made


def block(folder: Path, looks: dict[str, Latest], **health: float) -> Sources:
    (folder / "uptime").mkdir(parents=True, exist_ok=True)
    made = Block(tuple(looks))
    for name, one in looks.items():
        made.put(name, one)
    made.write(folder / "uptime" / "latest", {"moment": time.time(), **health})
    return Sources(dict, folder)


def fleet(folder: Path, sites: int = 40) -> Exposition:
    chance = random.Random(7)
    looks = {f"xa{number}/{family}": Latest(time.time(), State.UP, State.UP, status=200, dns=chance.random(), total=chance.random() * 9,
                                            rtt=chance.random() / 50, size=number, not_after=1_800_000_000, attempts=number)
             for number in range(sites) for family in ("ipv4", "ipv6")}
    looks["hỏng/ipv6"] = look("xamau/ipv6", 12)
    return Exposition([night(site=f"xa{number}") for number in range(3)], PRIVATE, "1.2.3", block(folder, looks, cpu_seconds=7.5).read())


# ---------------------------------------------------------------------- the text itself


def test_it_is_what_prometheus_client_would_say(tmp_path: Path) -> None:
    shown = fleet(tmp_path)
    theirs = registry(lambda: shown)
    assert samples(exposition_text(lambda: shown).decode()) == samples(generate_latest(theirs).decode())
    ours = Renderer().render(families(shown), openmetrics=True).decode()
    assert samples(ours, parse_openmetrics) == samples(generate_openmetrics(theirs).decode(), parse_openmetrics)
    assert {one.name: (one.type, one.documentation) for one in parse_openmetrics(ours)} == {
        one.name: (one.type, one.documentation) for one in parse_openmetrics(generate_openmetrics(theirs).decode())}


TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e"), max_size=12)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2**60, 2**60), st.floats(allow_nan=False))


@given(st.lists(st.tuples(TEXTS, TEXTS), unique=True, max_size=8), st.data())
def test_any_label_and_any_number_come_back(keys: list[tuple[str, str]], data: st.DataObject) -> None:
    """Twice over one renderer: what it keeps from the first scrape must not show in the second."""
    renderer = Renderer()
    for _ in range(2):
        values = data.draw(st.lists(VALUES, min_size=len(keys), max_size=len(keys)))
        family = Family("thu", data.draw(TEXTS), ("a", "b"), keys, values, data.draw(st.sampled_from(("gauge", COUNTER))))
        text = renderer.render([family]).decode()
        wanted = {(family.sample, (("a", one), ("b", other))): value for (one, other), value in zip(keys, values, strict=True) if value is not None}
        found = samples(text)
        assert found.keys() == wanted.keys()
        assert all(float(found[key]) == float(value) for key, value in wanted.items())
        keys = data.draw(st.permutations(keys)) if data.draw(st.booleans()) else keys


def test_series_that_are_gone_are_let_go() -> None:
    renderer = Renderer()
    for round_ in range(5):
        renderer.render([Family("thu", "x", ("a",), [(f"{round_}-{number}",) for number in range(50)], [1.0] * 50)])
    assert sum(len(one) for one in renderer._known.values()) == 50


def test_help_and_type_stand_before_every_series(tmp_path: Path) -> None:
    helped: set[str] = set()
    for line in exposition_text(lambda: fleet(tmp_path)).decode().splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
            assert len(line.split()) > 4, line
        elif not line.startswith("#"):
            assert line.partition("{")[0].partition(" ")[0] in helped, line


def test_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    program = find("promtool")
    if not program:
        pytest.skip("promtool is not installed (./setup test)")
    text = exposition_text(lambda: fleet(tmp_path))
    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_registry_of_prometheus_client_takes_the_collector(tmp_path: Path) -> None:
    shown, kept = fleet(tmp_path), CollectorRegistry()
    kept.register(Collector(lambda: shown))
    assert kept.get_sample_value("gaccong_build_info", {"version": "1.2.3"}) == 1


# ---------------------------------------------------------------------- what is shown, and what no more


def test_looks_that_are_old_are_dropped(tmp_path: Path) -> None:
    now = time.time()
    looks = {"a/ipv4": Latest(now, State.UP, State.UP, status=200, total=1.0), "a/ipv6": Latest(now - 300, State.UP, State.UP, status=200),
             "b/ipv4": Latest(now, State.UNKNOWN, State.UNKNOWN, reason="no_route"), "b/ipv6": Latest(),
             "c/ipv4": Latest(now, State.UP, State.UP, tainted=True, status=200, total=7.0), "c/ipv6": Latest(now, State.ABSENT, State.ABSENT)}
    found = samples(exposition_text(lambda: Exposition((), PRIVATE, "1", block(tmp_path, looks).read())).decode())

    def value(name: str, site: str, family: str) -> float | None:
        return found.get((f"gaccong_probe_{name}", (("ip_family", family), ("site", site))))

    assert value("success", "a", "ipv4") == 1 and value("state", "a", "ipv4") == 0
    assert value("success", "a", "ipv6") is None and value("state", "a", "ipv6") is None
    assert value("last_run_timestamp_seconds", "a", "ipv6") == int(now - 300)
    assert value("success", "b", "ipv4") is None and value("state", "b", "ipv4") == 1
    assert value("last_run_timestamp_seconds", "b", "ipv6") is None  # never yet
    assert value("success", "c", "ipv4") == 1 and value("duration_seconds", "c", "ipv4") is None  # times not to be trusted
    assert value("success", "c", "ipv6") is None and value("state", "c", "ipv6") == 2
    assert ("gaccong_probe_reason_info", (("ip_family", "ipv4"), ("reason", "no_route"), ("site", "b"))) in found


def test_a_longer_interval_is_heeded(tmp_path: Path) -> None:
    sources = block(tmp_path, {"a/ipv4": Latest(time.time() - 400, State.UP, State.UP)}, interval_seconds=300)
    assert "gaccong_probe_success{" in exposition_text(lambda: Exposition((), PRIVATE, "1", sources.read())).decode()


def test_times_are_steps_of_the_grain(tmp_path: Path) -> None:
    found = samples(exposition_text(lambda: fleet(tmp_path)).decode())
    times = [value for (name, _), value in found.items() if name in ("gaccong_probe_duration_seconds", "gaccong_probe_tcp_rtt_seconds")]
    assert len(times) > 100 and all((value * 4096).is_integer() for value in times)


def test_measures_end_when_nobody_looks_but_dates_go_on() -> None:
    old = state("web.http", "ipv4", MET, "a", "a", measures={"duration_seconds": 0.3, "not_after_timestamp_seconds": 9e8})
    status = read([old], policy(clause("TN-1", "x", "web.http")), [duty("web.http")])
    for age, there in ((timedelta(minutes=10), True), (timedelta(hours=1), False)):
        shown = Exposition([read([old], status.policy, [duty("web.http")], now=old.seen_at + age)], PRIVATE, "1")
        found = {name for name, _ in samples(exposition_text(lambda shown=shown: shown).decode())}
        assert ("gaccong_web_http_duration_seconds" in found) is there
        assert "gaccong_web_http_not_after_timestamp_seconds" in found


def test_nothing_from_the_prober_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "uptime").mkdir()
    for content in (None, b"", b"gaccong latest 1\n9 9\n{}", b"\x00" * 4000):
        if content is not None:
            (tmp_path / "uptime" / "latest").write_bytes(content)
        text = exposition_text(lambda: Exposition((), PRIVATE, "1", Sources(dict, tmp_path).read())).decode()
        assert "gaccong_build_info" in text and "gaccong_probe_success" not in text


# ---------------------------------------------------------------------- over HTTP


@pytest.mark.parametrize(("accept", "wanted"), [
    ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
    ("text/plain;version=0.0.4;q=1,*/*;q=0.1", False), ("", False), ("*/*", False), ("application/openmetrics-text", True),
    ("application/openmetrics-text;version=2.0.0", False), ("application/openmetrics-text;q=0,*/*", False),
    ("application/openmetrics-text;q=0.2,text/plain;q=0.9", False), (";;q=,=,text/plain;q=x", False), ("a" * 9000, False)])
def test_accept(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


@pytest.mark.parametrize(("coding", "wanted"), [("gzip", True), ("gzip, deflate, br", True), ("", False), ("br", False), ("gzip;q=0", False), ("*", True)])
def test_accept_encoding(coding: str, wanted: bool) -> None:
    assert takes_gzip(coding) is wanted


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    told = {"Authorization": f"Bearer {TOKEN.reveal().decode()}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers={name: value for name, value in told.items() if value})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_the_route(tmp_path: Path) -> None:
    with page(tmp_path, []) as port:
        status, headers, plain = get(port, "/metrics")
        assert status == 200 and headers["content-type"] == TEXT and "Accept" in headers["vary"] and b'gaccong_probe_success{site="khac"' in plain
        status, headers, small = get(port, "/metrics", Accept_Encoding="gzip", Accept="application/openmetrics-text;version=1.0.0")
        assert headers["content-encoding"] == "gzip" and headers["content-type"] == OPENMETRICS
        assert gzip.decompress(small).endswith(b"# EOF\n") and len(small) < len(plain) / 5
        assert get(port, "/metrics", Authorization="")[0] == 401
        assert get(port, "/probe?site=xamau", Authorization="")[0] == 401
        assert get(port, "/probe")[0] == 400
        for name in ("la", "http://192.0.2.1/", "../xamau", "%00", "xamau%0a"):
            assert get(port, f"/probe?site={name}")[0] == 404


@contextmanager
def counting(answers: list[Exposition], seconds: float = 0.0) -> Iterator[tuple[Callable[[], Exposition], list[float]]]:
    asked: list[float] = []

    def read_slowly() -> Exposition:
        asked.append(time.monotonic())
        time.sleep(seconds)
        return answers[0]

    yield read_slowly, asked


def test_scrapes_that_come_together_share_one(tmp_path: Path) -> None:
    with counting([Exposition((), PRIVATE, "1", Watched(time.time()))], 0.3) as (slow, asked):
        scrapes = Scrapes(slow, dict)
        bodies: list[bytes] = []
        threads = [threading.Thread(target=lambda: bodies.append(scrapes.metrics({}).body)) for _ in range(12)]
        for thread in threads:
            thread.start()
            time.sleep(0.01)
        for thread in threads:
            thread.join(10)
    assert len(bodies) == 12 and len(set(bodies)) == 1
    assert len(asked) == 2  # the first by itself; all who came meanwhile together


def test_a_store_that_fails_answers_503_and_the_next_one_is_well() -> None:
    answers = [ZeroDivisionError(), None]

    def broken() -> Exposition:
        trouble = answers.pop(0)
        if trouble:
            raise trouble
        return Exposition((), PRIVATE, "1")

    scrapes = Scrapes(broken, dict)
    assert scrapes.metrics({}).status == 503
    assert scrapes.metrics({}).status == 200


def test_statuses_that_take_long_are_read_behind_the_scrapes() -> None:
    """A province: nobody waits for the second reading, it comes all the same, and a store that breaks is not hidden."""
    asked, trouble = [], []

    def slowly() -> int:
        asked.append(time.monotonic())
        time.sleep(0.25)
        if trouble:
            raise trouble[0]
        return len(asked)

    kept = Kept(slowly)
    assert kept.get() == 1
    began = time.monotonic()
    while kept.get() == 1:
        assert time.monotonic() - began < 10
        time.sleep(0.01)
    waits = []
    for _ in range(20):
        started = time.monotonic()
        kept.get()
        waits.append(time.monotonic() - started)
    assert max(waits) < 0.2 and asked[1] - asked[0] > 4 * 0.25
    trouble.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        while time.monotonic() - began < 20:
            kept.get()
            time.sleep(0.01)
    trouble.clear()
    while True:
        try:
            assert kept.get() > 2
            break
        except ZeroDivisionError:
            assert time.monotonic() - began < 30
            time.sleep(0.01)


def test_statuses_that_come_at_once_are_always_of_now() -> None:
    numbers = iter(range(9))
    kept = Kept(lambda: next(numbers))
    assert [kept.get() for _ in range(5)] == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------------- /probe


def place(url: str, authority: Authority, nameserver: str, **more: object) -> dict[str, Site]:
    chosen = Settings(nameservers=(nameserver,), authority=authority.path, timeout_seconds=3, **more)
    return {"xamau": Site("xamau", "Xã Mẫu", "thong-nhat", url, (), settings={"monitoring": chosen})}


def probed(sites: dict[str, Site], **headers: str) -> dict[tuple[str, str], float]:
    answer = Scrapes(lambda: Exposition((), PRIVATE, "1"), lambda: sites).probe("xamau", headers)
    assert answer.status == 200, answer
    return {(name.removeprefix("gaccong_probe_"), dict(labels)["ip_family"]): value for (name, labels), value in samples(answer.body.decode()).items()}


def test_probe_looks_over_both_families(web: Web, zone: Zone, nameserver: str, authority: Authority) -> None:
    zone.host("xamau.test")
    found = probed(place(f"https://xamau.test:{web.tls['good']}/", authority, nameserver, expect="phiên chợ"))
    for family in ("ipv4", "ipv6"):
        assert found["success", family] == 1 and found["state", family] == 0 and found["http_status_code", family] == 200
        assert found["certificate_not_after_timestamp_seconds", family] > time.time() + 80 * 86400
        assert 0 < found["duration_seconds", family] < 3 and math.isclose(found["duration_seconds", family] * 4096 % 1, 0)


def test_probe_keeps_the_family_and_says_why(web: Web, zone: Zone, nameserver: str, authority: Authority) -> None:
    """http answers over IPv6 and leads to https, which does not: blackbox_exporter says success."""
    zone.host("xamau.test")
    answer = Scrapes(lambda: Exposition((), PRIVATE, "1"),
                     lambda: place(f"http://xamau.test:{web.to_dead_six}/", authority, nameserver)).probe("xamau", {}).body.decode()
    assert 'gaccong_probe_success{ip_family="ipv4"} 1\n' in answer and 'gaccong_probe_success{ip_family="ipv6"} 0\n' in answer
    assert 'gaccong_probe_reason_info{ip_family="ipv6",reason="refused"} 1\n' in answer


def test_probe_without_an_aaaa_and_with_our_own_trouble(web: Web, zone: Zone, nameserver: str, authority: Authority) -> None:
    zone.host("xamau.test", six="")
    url = f"https://xamau.test:{web.tls['good']}/"
    found = probed(place(url, authority, nameserver))
    assert found["state", "ipv6"] == 2 and ("success", "ipv6") not in found
    zone.mute = True
    found = probed(place(url, authority, nameserver), **{"x-prometheus-scrape-timeout-seconds": "1.5"})
    assert found["state", "ipv4"] == 1 and ("success", "ipv4") not in found


def test_probe_knocks_once_in_ten_seconds_and_at_few_doors_at_once(web: Web, zone: Zone, nameserver: str, authority: Authority) -> None:
    zone.host("xamau.test")
    [site] = place(f"https://xamau.test:{web.tls['good']}/", authority, nameserver).values()
    scrapes = Scrapes(lambda: Exposition((), PRIVATE, "1"), lambda: {"xamau": site})
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(scrapes.probe("xamau", {}).body)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(bodies)) == 1 and len(bodies) == 12
    asked = len([one for one in zone.asked if one[1] == "A"])
    assert scrapes.probe("xamau", {}).body == bodies[0] and len([one for one in zone.asked if one[1] == "A"]) == asked
    assert asked <= 2 and GOOD_SECONDS >= 10
    zone.silent.add("cham.test")
    slow = {f"x{number}": Site(f"x{number}", "x", "thong-nhat", "http://cham.test/", (), settings=site.settings) for number in range(MOST_PROBES + 3)}
    scrapes = Scrapes(lambda: Exposition((), PRIVATE, "1"), lambda: slow)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda name=name: answers.append(scrapes.probe(name, {}).status)) for name in slow]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers.count(503) == 3 and answers.count(200) == MOST_PROBES
