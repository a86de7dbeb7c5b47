"""All name servers of the zone: two real knots that agree, disagree, lag, die; and one that knows nothing of the zone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import pytest

from monitoring.checks.servers import servers
from monitoring.questions import Asker
from monitoring.zone import servers_of_zone
from ops import Finding, Verdict
from tests.monitoring.dns_lab import HOST, RECORDS, ZONE, Knot, knot, look, unbound
from tests.monitoring.lab import NameServer, Zone, free_port

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback half a second of silence is as good as two."""
    monkeypatch.setattr("monitoring.questions.ATTEMPT_SECONDS", 0.5)
    monkeypatch.setattr("monitoring.names.ATTEMPT_SECONDS", 0.5)
    monkeypatch.setattr("monitoring.zone.SERVER_SECONDS", 0.5)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    with knot(tmp_path_factory.mktemp("first")) as made:
        yield made


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory, first: Knot) -> Iterator[str]:
    with unbound(tmp_path_factory.mktemp("resolver"), first) as place:
        yield place


def seen(tmp: Path, place: str, *authoritative: str, **names) -> dict[str, Finding]:
    return look(servers, tmp, place, dns={"authoritative": authoritative, **names})


def test_two_that_agree_over_both_families(tmp_path: Path, first: Knot, resolver: str) -> None:
    with knot(tmp_path / "second") as second:
        found = seen(tmp_path, resolver, first.place, second.place, first.six, second.six)
    assert {subject: one.verdict for subject, one in found.items()} == {"ipv4": MET, "ipv6": MET}
    assert found["ipv6"].measures == {"servers": 2.0, "answering": 2.0, "serials": 1.0}
    assert found["ipv4"].facts["servers"][first.place]["a"] == ["127.0.0.1"]


def test_one_serial_and_two_addresses_is_broken(tmp_path: Path, first: Knot, resolver: str) -> None:
    moved = RECORDS.replace("xamau 60 A 127.0.0.1", "xamau 60 A 127.0.0.66")
    with knot(tmp_path / "second", moved) as second:
        found = seen(tmp_path, resolver, first.place, second.place)["ipv4"]
        assert found.verdict is BROKEN
        assert found.next == f"dig +nssearch {ZONE}"
        assert seen(tmp_path, resolver, first.place, second.place, answers_vary=True)["ipv4"].verdict is MET


def test_an_address_over_ipv6_that_one_server_lacks(tmp_path: Path, first: Knot, resolver: str) -> None:
    lacking = RECORDS.replace("xamau 60 AAAA ::1\n", "")
    with knot(tmp_path / "second", lacking) as second:
        found = seen(tmp_path, resolver, first.place, second.six)
    assert {subject: one.verdict for subject, one in found.items()} == {"ipv4": BROKEN, "ipv6": BROKEN}


def test_a_server_that_lags_is_at_risk_until_it_follows(tmp_path: Path, first: Knot, resolver: str) -> None:
    with knot(tmp_path / "second", RECORDS.replace(" 7 3600", " 6 3600")) as second:
        found = seen(tmp_path, resolver, first.place, second.place)["ipv4"]
        assert (found.verdict, found.measures["serials"]) == (RISK, 2.0)
        assert "serial 6" in found.detail.vi
        second.edit(("set", "@", "60", "SOA", "ns1 chu 7 3600 600 86400 60"))
        assert seen(tmp_path, resolver, first.place, second.place)["ipv4"].verdict is MET


def test_a_dead_one_and_a_lame_one_are_at_risk(tmp_path: Path, first: Knot, resolver: str, zone: Zone, nameserver: str) -> None:
    dead = f"127.0.0.1:{free_port()}"
    found = seen(tmp_path, resolver, first.place, dead)["ipv4"]
    assert (found.verdict, found.measures["answering"]) == (RISK, 1.0)
    zone.records[HOST, "A"] = ["127.0.0.1"]
    with knot(tmp_path / "other", zone="khac.gov.vn", records=RECORDS) as stranger:
        for lame in (stranger.place, nameserver):
            assert seen(tmp_path, resolver, first.place, lame)["ipv4"].verdict is RISK


class Hearsay(NameServer):
    """Knows the zone, but not with authority: a resolver to which the zone was delegated by mistake."""

    def _answer(self, data: bytes) -> bytes | None:
        reply = dns.message.from_wire(super()._answer(data) or b"")
        reply.flags &= ~dns.flags.AA
        return reply.to_wire()


def test_an_answer_without_authority_does_not_count(tmp_path: Path, first: Knot, resolver: str, zone: Zone) -> None:
    zone.host(HOST)
    zone.records[ZONE, "SOA"] = ["ns1.x.test. chu.x.test. 7 1 1 1 1"]
    server = Hearsay(zone)
    try:
        found = seen(tmp_path, resolver, first.place, server.text)["ipv4"]
    finally:
        server.close()
    assert (found.verdict, found.facts["servers"][server.text]["state"]) == (RISK, "lame")


def test_none_over_ipv6_but_all_over_ipv4(tmp_path: Path, first: Knot, resolver: str) -> None:
    dead = f"[::1]:{free_port()}"
    found = seen(tmp_path, resolver, first.place, first.place, dead)
    assert found["ipv6"].verdict is RISK


def test_nobody_at_all_is_broken(tmp_path: Path, resolver: str) -> None:
    found = seen(tmp_path, resolver, f"127.0.0.1:{free_port()}")["ipv4"]
    assert (found.verdict, found.measures["answering"]) == (BROKEN, 0.0)


def test_a_single_server_is_at_risk(tmp_path: Path, first: Knot, resolver: str) -> None:
    found = seen(tmp_path, resolver, first.place)["ipv4"]
    assert (found.verdict, "một máy chủ" in found.detail.vi) == (RISK, True)


def test_the_servers_are_found_by_their_records(first: Knot, resolver: str) -> None:
    asker = Asker.of([resolver], 5)
    zone = asker.zone_of(dns.name.from_text(HOST))
    assert zone == dns.name.from_text(ZONE)
    found = servers_of_zone(asker, zone, [resolver], public=False)
    assert {(one.name, one.address) for one in found} == {
        (f"{name}.{ZONE}", address) for name in ("ns1", "ns2") for address in ("127.0.0.1", "::1")}
    # a public site's servers must not lead us into our own network
    assert servers_of_zone(asker, zone, [resolver], public=True) == []


def test_a_hundred_servers_with_two_hundred_addresses_are_bounded(tmp_path: Path) -> None:
    many = "".join(f"@ 60 NS n{n}\n" for n in range(100))
    many += "".join(f"n{n} 60 A 127.0.0.{host}\n" for n in range(100) for host in range(1, 201))
    with knot(tmp_path / "k", RECORDS + many) as big, unbound(tmp_path / "u", big) as place:
        asker = Asker.of([place], 10)
        assert len(servers_of_zone(asker, dns.name.from_text(ZONE), [place], public=False)) <= 26


def test_an_alias_is_compared_as_an_alias(tmp_path: Path, first: Knot, resolver: str) -> None:
    with knot(tmp_path / "second") as second:
        found = look(servers, tmp_path, resolver, url=f"https://www.{ZONE}/",
                     dns={"authoritative": (first.place, second.place)})["ipv4"]
    assert found.verdict is MET
    assert found.facts["servers"][first.place]["a"] == [f"alias:{HOST}"]


def test_a_dead_resolver_accuses_nobody(tmp_path: Path) -> None:
    found = look(servers, tmp_path, f"127.0.0.1:{free_port()}", timeout_seconds=1)
    assert {one.verdict for one in found.values()} == {UNSEEN}
