"""Contracts that end: days from the settings, from a registry that answers, that lies, that drips."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitoring.checks.domain import domain, registered
from monitoring.checks.hosting import hosting
from monitoring.settings import Settings
from ops import Finding, Verdict
from tests.monitoring.dns_lab import look
from tests.monitoring.lab import Authority, free_port, nginx, raw_server

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
NOON = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)


def seen(tmp: Path, place: str = "", *, now: datetime = NOON, **renewal) -> Finding:
    return look(domain, tmp, place, now=now, renewal=renewal, timeout_seconds=2)["domain"]


@pytest.mark.parametrize(("until", "verdict", "left"), [
    (date(2027, 3, 31), MET, 129.0), (date(2026, 12, 22), MET, 30.0), (date(2026, 12, 21), RISK, 29.0),
    (date(2026, 11, 22), RISK, 0.0), (date(2026, 11, 21), BROKEN, -1.0),
])
def test_days_as_written(tmp_path: Path, until: date, verdict: Verdict, left: float) -> None:
    for found in (seen(tmp_path, domain_until=until),
                  look(hosting, tmp_path, now=NOON, renewal={"hosting_until": until})["hosting"]):
        assert (found.verdict, found.measures["days_left"]) == (verdict, left)
        assert until.strftime("%d/%m/%Y") in found.detail.vi


def test_the_last_day_ends_at_midnight_in_vietnam(tmp_path: Path) -> None:
    until = date(2026, 11, 22)
    assert seen(tmp_path, now=datetime(2026, 11, 22, 16, 59, tzinfo=UTC), domain_until=until).verdict is RISK
    assert seen(tmp_path, now=datetime(2026, 11, 22, 17, 1, tzinfo=UTC), domain_until=until).verdict is BROKEN


def test_the_policys_number_counts(tmp_path: Path) -> None:
    found = look(hosting, tmp_path, now=NOON, thresholds={"renewal.days_left": 200}, renewal={"hosting_until": date(2027, 3, 31)})
    assert found["hosting"].verdict is RISK


def test_nobody_knows_is_unseen_with_the_line_to_write(tmp_path: Path) -> None:
    for found in (seen(tmp_path), look(hosting, tmp_path, now=NOON)["hosting"]):
        assert found.verdict is UNSEEN
        assert "_until = 2027-12-31" in found.detail.vi
    assert "tinhmau.gov.vn" in seen(tmp_path).detail.vi


def test_a_clock_far_off_proves_nothing(tmp_path: Path) -> None:
    found = seen(tmp_path, now=datetime(1970, 1, 2, tzinfo=UTC), domain_until=date(2027, 3, 31))
    assert (found.verdict, found.next) == (UNSEEN, "timedatectl")


def whois(text: bytes, tmp: Path, place: str, **more) -> Finding:
    def talk(link: socket.socket) -> None:
        assert link.recv(100) == b"tinhmau.gov.vn\r\n"
        link.sendall(text)

    with raw_server(talk) as port:
        return seen(tmp, place, whois=f"127.0.0.1:{port}", **more)


@pytest.mark.parametrize("line", [
    "Registry Expiry Date: 2027-03-31T00:00:00Z", "   Expiration Date: 31-03-2027", "Expires: 2027.03.31",
    "paid-till:     2027-03-31T10:00:00+07:00", "Expiry date: 31-Mar-2027", "Ngày hết hạn: 31/03/2027",
])
def test_whois_in_its_many_forms(tmp_path: Path, nameserver: str, line: str) -> None:
    found = whois(f"Domain: x\r\n{line}\r\nStatus: ok\r\n".encode(), tmp_path, nameserver)
    assert (found.verdict, found.facts["until"]) == (MET, "2027-03-31")


@pytest.mark.parametrize("text", [
    b"", b"No match\r\n", b"Expires: never\r\n", b"Expires: 2027-99-99\r\n", b"\xff\xfe\x00" * 40000,
    b"Expires: " + b"9" * 100000,
])
def test_whois_that_says_nothing_of_use(tmp_path: Path, nameserver: str, text: bytes) -> None:
    assert whois(text, tmp_path, nameserver).verdict is UNSEEN
    assert whois(text, tmp_path, nameserver, domain_until=date(2027, 3, 31)).verdict is MET


def test_whois_that_never_ends(tmp_path: Path, nameserver: str) -> None:
    def talk(link: socket.socket) -> None:
        link.recv(100)
        while True:
            link.sendall(b"Status: ok\r\n" * 100)

    started = time.monotonic()
    with raw_server(talk) as port:
        assert seen(tmp_path, nameserver, whois=f"127.0.0.1:{port}").verdict is UNSEEN
    assert time.monotonic() - started < 6


def test_the_earlier_day_counts(tmp_path: Path, nameserver: str) -> None:
    found = whois(b"Expires: 2026-12-01\r\n", tmp_path, nameserver, domain_until=date(2027, 3, 31))
    assert (found.verdict, found.facts["registry"], found.facts["written"]) == (RISK, "2026-12-01", "2027-03-31")


def test_a_dead_registry_leaves_what_is_written(tmp_path: Path, nameserver: str) -> None:
    found = seen(tmp_path, nameserver, whois=f"127.0.0.1:{free_port()}", rdap="https://127.0.0.1:9/", domain_until=date(2027, 3, 31))
    assert (found.verdict, found.facts["registry"]) == (MET, "")


def test_rdap(tmp_path: Path, nameserver: str, authority: Authority) -> None:
    root, port = tmp_path / "www" / "domain", free_port()
    root.mkdir(parents=True)
    events = [{"eventAction": "registration", "eventDate": "2001-01-01T00:00:00Z"},
              {"eventAction": "expiration", "eventDate": "2027-03-30T20:00:00Z"}]
    (root / "tinhmau.gov.vn").write_text(json.dumps({"objectClassName": "domain", "events": events}))
    (root / "hong.vn").write_text("[" * 200000)
    (root / "la.vn").write_text(json.dumps({"events": {"a": 1}}))
    certificate, key = authority.issue("rdap", ["127.0.0.1"])
    site = (f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
            f" root {tmp_path}/www; }}")
    with nginx(tmp_path / "n", site):
        def ask(name: str | None) -> Finding:
            return look(domain, tmp_path, nameserver, now=NOON, authority=authority.path,
                        renewal={"rdap": f"https://127.0.0.1:{port}/", "domain": name})["domain"]

        # 20:00 UTC is the next day in Vietnam
        assert (ask(None).verdict, ask(None).facts["until"]) == (MET, "2027-03-31")
        assert [ask(name).verdict for name in ("hong.vn", "la.vn", "khongco.vn")] == [UNSEEN] * 3


@pytest.mark.parametrize(("host", "name"), [
    ("xamau.tinhmau.gov.vn", "tinhmau.gov.vn"), ("xamau.vn", "xamau.vn"), ("www.xamau.com.vn", "xamau.com.vn"),
    ("xamau.com", "xamau.com"), ("gov.vn", ""), ("192.0.2.1", ""), ("xamau.demo.test", ""), ("xamau", ""),
])
def test_the_name_that_somebody_pays_for(host: str, name: str) -> None:
    assert registered(host) == name


@pytest.mark.parametrize("bad", [
    {"domain_until": date(1999, 1, 1)}, {"rdap": "http://x/"}, {"rdap": "https://a:b@x/"}, {"whois": "a b"}, {"domain": "a b"},
    {"hosting_until": "mai"},
])
def test_settings_refuse(bad: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(renewal=bad)
