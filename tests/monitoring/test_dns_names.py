"""Is the name the right one, under .vn, and does nobody have one that looks like it?"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitoring.checks.domain_pattern import decree_shape, domain_pattern, fits
from monitoring.checks.lookalike import MOST, lookalike, made_from
from monitoring.checks.tld_vn import tld_vn
from monitoring.questions import Asker, Silence, name_of
from monitoring.reasons import Reason
from monitoring.settings import Settings
from ops import Verdict
from tests.monitoring.dns_lab import HOST, RECORDS, ZONE, knot, look, unbound
from tests.monitoring.lab import NameServer, Zone, free_port

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback half a second of silence is as good as two."""
    monkeypatch.setattr("monitoring.questions.ATTEMPT_SECONDS", 0.5)
    monkeypatch.setattr("monitoring.names.ATTEMPT_SECONDS", 0.5)


def test_under_vn_with_a_zone(tmp_path: Path) -> None:
    with knot(tmp_path / "k") as source, unbound(tmp_path / "u", source) as place:
        found = look(tld_vn, tmp_path, place)["domain"]
        assert (found.verdict, found.facts["zone"]) == (MET, ZONE)
        assert look(tld_vn, tmp_path, place, url=f"https://www.{ZONE}/")["domain"].verdict is MET
        # refused by the resolver: nothing is known of that zone
        assert look(tld_vn, tmp_path, place, url="https://xamau.khac.vn/")["domain"].verdict is UNSEEN


@pytest.mark.parametrize(("url", "verdict"), [
    ("https://xamau.com/", BROKEN), ("https://xamau.vn.com/", BROKEN), ("https://[::1]/", BROKEN),
    ("https://xamau.demo.test/", UNSEEN), ("https://xamauvn/", BROKEN),
])
def test_names_outside_vn_need_no_network(tmp_path: Path, url: str, verdict: Verdict) -> None:
    assert look(tld_vn, tmp_path, f"127.0.0.1:{free_port()}", url=url)["domain"].verdict is verdict


def test_a_name_that_no_zone_holds(tmp_path: Path, nameserver: str, zone: Zone) -> None:
    found = look(tld_vn, tmp_path, nameserver)["domain"]  # NXDOMAIN up to the root, no SOA anywhere
    assert (found.verdict, found.facts["reason"]) == (BROKEN, "nxdomain")
    zone.mute = True
    assert look(tld_vn, tmp_path, nameserver, timeout_seconds=1)["domain"].verdict is UNSEEN


def test_a_server_that_claims_the_root_is_not_believed(tmp_path: Path, nameserver: str, zone: Zone) -> None:
    zone.records[HOST, "SOA"] = ["ns.x.test. chu.x.test. 1 1 1 1 1"]
    asker = Asker.of([nameserver], 3)
    assert asker.zone_of(name_of(HOST)).to_text() == f"{HOST}."
    zone.failing.add("hong.vn")
    with pytest.raises(Silence):
        asker.zone_of(name_of("hong.vn"))


@pytest.mark.parametrize(("pattern", "host", "verdict"), [
    (("*.tinhmau.gov.vn",), HOST, MET), ((HOST,), HOST, MET), (("*.gov.vn",), HOST, BROKEN),
    (("xakhac.tinhmau.gov.vn", "XaMau.TinhMau.gov.vn."), HOST, MET), (("*.tinhmau.gov.vn",), f"{HOST}.evil.vn", BROKEN),
    ((), HOST, UNSEEN), ((), "xamau.com", BROKEN), ((), "xamau.demo.test", UNSEEN), ((), "192.0.2.1", BROKEN),
    ((), "gov.vn", BROKEN), ((), "xamaugov.vn", BROKEN),
])
def test_patterns(tmp_path: Path, pattern: tuple[str, ...], host: str, verdict: Verdict) -> None:
    found = look(domain_pattern, tmp_path, url=f"https://{host}/", dns={"pattern": pattern})["domain"]
    assert found.verdict is verdict
    if verdict is UNSEEN:
        assert f'pattern = ["{host}"]' in found.detail.vi


def test_the_decrees_form_is_told_not_blamed(tmp_path: Path) -> None:
    host = "xamau.huyenmau.tinhmau.gov.vn"
    found = look(domain_pattern, tmp_path, url=f"https://{host}/", dns={"pattern": (host,)})["domain"]
    assert (found.verdict, found.facts["decree_shape"]) == (MET, False)
    assert "224/2026" in found.detail.vi
    assert decree_shape(HOST)
    assert not decree_shape("xn--xmu-hoa.tinhmau.gov.vn")
    assert not fits(".gov.vn", "*.gov.vn")


@pytest.mark.parametrize("bad", [
    {"pattern": ("*",)}, {"pattern": ("a.*.vn",)}, {"pattern": ("https://x.vn/",)}, {"addresses": ("xamau.vn",)},
    {"addresses": ("192.0.2.7/24",)}, {"authoritative": ("ns1.x.vn",)}, {"name_servers": ("a b",)}, {"unknown": 1},
])
def test_settings_refuse(bad: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(dns=bad)


def test_settings_know_vietnamese_names() -> None:
    assert Settings(dns={"name_servers": ("Máy.Xãmẫu.vn.",)}).dns.name_servers[0].startswith("xn--")


def test_lookalikes_are_bounded_likely_and_the_same_every_time() -> None:
    made = made_from(HOST)
    assert len(made) == len(set(made)) <= MOST
    assert {"xamautinhmau.vn", "xamau-tinhmau-gov.vn", "xamau.com", "xamau-tinhmau-gov-vn.com"} <= set(made)
    assert HOST not in made
    assert made == made_from(HOST)
    assert len(made_from("x" * 63 + "." + "y" * 63 + ".gov.vn")) <= MOST


def test_a_lookalike_is_told_until_it_is_judged(tmp_path: Path, nameserver: str, zone: Zone) -> None:
    zone.host(HOST, "192.0.2.7")
    zone.host("xamau.net", "192.0.2.7")  # ours: it leads to our own address
    assert look(lookalike, tmp_path, nameserver)["lookalikes"].verdict is MET
    zone.host("xamau-tinhmau.com", "203.0.113.9")
    found = look(lookalike, tmp_path, nameserver)["lookalikes"]
    assert (found.verdict, found.facts["taken"]) == (RISK, {"xamau-tinhmau.com": ["203.0.113.9"]})
    assert found.next == "dig +short xamau-tinhmau.com"
    judged = look(lookalike, tmp_path, nameserver, dns={"lookalikes_known": ("xamau-tinhmau.com",)})
    assert judged["lookalikes"].verdict is MET


def test_a_resolver_that_has_an_answer_for_everything_accuses_nobody(tmp_path: Path, zone: Zone) -> None:
    class Everything(dict):
        def __contains__(self, key: object) -> bool:
            return isinstance(key, tuple) and key[1] == "A"

        def __getitem__(self, key: tuple[str, str]) -> list[str]:
            return ["203.0.113.1"]

    server = NameServer(Zone(records=Everything()))
    try:
        found = look(lookalike, tmp_path, server.text)["lookalikes"]
    finally:
        server.close()
    assert (found.verdict, found.facts["reason"]) == (UNSEEN, "liar")
    assert look(lookalike, tmp_path, f"127.0.0.1:{free_port()}", timeout_seconds=1)["lookalikes"].verdict is UNSEEN


def test_cname_loops_and_crowds_end(tmp_path: Path) -> None:
    many = "".join(f"dong 60 A 192.0.2.{n}\n" for n in range(1, 201)) + "a 60 CNAME b\nb 60 CNAME a\n"
    with knot(tmp_path / "k", RECORDS + many) as source, unbound(tmp_path / "u", source) as place:
        asker = Asker.of([place], 5)
        assert len(asker.records(name_of(f"dong.{ZONE}"), "A")) == 16
        assert asker.records(name_of(f"www.{ZONE}"), "A") == ("127.0.0.1",)
        started = time.monotonic()
        with pytest.raises(Silence) as told:  # unbound gives up on a circle with SERVFAIL: not the same as "no record"
            asker.records(name_of(f"a.{ZONE}"), "A")
        assert told.value.reason is Reason.DNS_FAILED
        assert time.monotonic() - started < 3
