"""Old versions and weak ciphers, against a real nginx that still has them; and servers that are no TLS at all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.checks.protocol import protocol
from monitoring.greeting import SOUND, WEAK, Heard, Version, greet, hello
from ops import Finding, Verdict
from tests.monitoring.dns_lab import look
from tests.monitoring.lab import Authority, Zone, free_port, nginx, raw_server

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
KINDS = {
    "good": "ssl_protocols TLSv1.2 TLSv1.3;",
    "new": "ssl_protocols TLSv1.3;",
    "ten": "ssl_protocols TLSv1 TLSv1.2; ssl_ciphers DEFAULT:@SECLEVEL=0;",
    "eleven": "ssl_protocols TLSv1.1 TLSv1.2 TLSv1.3; ssl_ciphers DEFAULT:@SECLEVEL=0;",
    "only_old": "ssl_protocols TLSv1; ssl_ciphers DEFAULT:@SECLEVEL=0;",
    "null": "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-NULL-SHA:ECDHE+AESGCM:@SECLEVEL=0;",
    "anonymous": "ssl_protocols TLSv1.2; ssl_ciphers AECDH-AES128-SHA:ECDHE+AESGCM:@SECLEVEL=0;",
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[dict[str, int]]:
    """Ports of one nginx, by kind; "split" speaks TLS 1.0 over IPv6 alone."""
    folder = tmp_path_factory.mktemp("tls")
    ports = {kind: free_port() for kind in [*KINDS, "split", "plain"]}
    certificate, key = authority.issue("tls-protocol", ["xamau.test"])
    pair = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
    blocks = [f"server {{ listen 127.0.0.1:{ports[kind]} ssl; listen [::1]:{ports[kind]} ssl ipv6only=on; {lines} {pair} }}"
              for kind, lines in KINDS.items()]
    blocks += [f"server {{ listen 127.0.0.1:{ports['split']} ssl; {KINDS['good']} {pair} }}",
               f"server {{ listen [::1]:{ports['split']} ssl ipv6only=on; {KINDS['ten']} {pair} }}",
               f"server {{ listen 127.0.0.1:{ports['plain']}; listen [::1]:{ports['plain']} ipv6only=on; }}"]
    with nginx(folder / "n", "\n".join(blocks)):
        yield ports


@pytest.fixture
def seen(tmp_path: Path, nameserver: str, zone: Zone, tls: dict[str, int]):
    zone.host("xamau.test")

    def run(kind: str | int, seconds: float = 2) -> dict[str, Finding]:
        port = tls[kind] if isinstance(kind, str) else kind
        return look(protocol, tmp_path, nameserver, url=f"https://xamau.test:{port}/", timeout_seconds=seconds)

    return run


@pytest.mark.parametrize("kind", ["good", "new"])
def test_a_server_in_order(seen, kind: str) -> None:
    found = seen(kind)
    assert {subject: one.verdict for subject, one in found.items()} == {"ipv4": MET, "ipv6": MET}
    assert found["ipv6"].facts["version"] == "TLSv1.3"
    assert set(found["ipv6"].facts["answers"].values()) == {"refused"}


@pytest.mark.parametrize(("kind", "words"), [("ten", "TLS 1.0"), ("eleven", "TLS 1.1"), ("only_old", "TLS 1.0")])
def test_old_versions_are_broken(seen, kind: str, words: str) -> None:
    found = seen(kind)["ipv4"]
    assert (found.verdict, found.measures["old_versions"]) == (BROKEN, 1.0)
    assert words in found.detail.vi
    assert found.next == "grep -rn ssl_protocols /etc/nginx"


@pytest.mark.parametrize(("kind", "suite"), [("null", "c006"), ("anonymous", "c018")])
def test_weak_ciphers_are_broken_though_a_good_one_is_preferred(seen, kind: str, suite: str) -> None:
    found = seen(kind)["ipv4"]
    assert (found.verdict, found.facts["weak_suite"]) == (BROKEN, suite)
    assert found.facts["version"] == "TLSv1.2"


def test_each_family_by_itself(seen) -> None:
    found = seen("split")
    assert (found["ipv4"].verdict, found["ipv6"].verdict) == (MET, BROKEN)


def test_a_plain_server_speaks_no_tls(seen) -> None:
    assert {one.verdict for one in seen("plain").values()} == {BROKEN}


def test_a_closed_port_is_an_outage_and_nothing_is_known_of_versions(seen) -> None:
    found = seen(free_port())
    assert {one.verdict for one in found.values()} == {UNSEEN}
    assert "web.http" in found["ipv4"].detail.vi


def test_a_name_without_addresses_has_no_subject(tmp_path: Path, nameserver: str, zone: Zone, tls: dict[str, int]) -> None:
    zone.host("bon.test", six="")
    assert set(look(protocol, tmp_path, nameserver, url=f"https://bon.test:{tls['good']}/")) == {"ipv4"}


def test_ssl3_is_heard(tls: dict[str, int]) -> None:
    """No library here speaks SSL 3.0 any more: the server's side is the bytes of RFC 6101."""
    body = b"\x03\x00" + bytes(32) + b"\x00" + (0x0035).to_bytes(2, "big") + b"\x00"
    shake = b"\x02" + len(body).to_bytes(3, "big") + body
    asked: list[bytes] = []

    def talk(link: socket.socket) -> None:
        asked.append(link.recv(4096))
        link.sendall(b"\x16\x03\x00" + len(shake).to_bytes(2, "big") + shake)

    with raw_server(talk) as port:
        assert greet("127.0.0.1", port, "xamau.test", Version.SSL30).heard is Heard.ACCEPTED
        assert greet("127.0.0.1", port, "xamau.test", Version.TLS12).heard is Heard.REFUSED
    assert asked[0][9:11] == b"\x03\x00"
    assert greet("127.0.0.1", tls["good"], "xamau.test", Version.SSL30).heard is Heard.REFUSED


@pytest.mark.parametrize(("answer", "heard"), [
    (b"", Heard.REFUSED), (b"\x15\x03\x01\x00\x02\x02\x46", Heard.REFUSED), (b"HTTP/1.1 400 Bad\r\n\r\n", Heard.ODD),
    (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x03", Heard.ODD), (b"\x16\x03\x01\xff\xff" + b"\x02" + b"\xff" * 20000, Heard.REFUSED),
    (b"\x16\x03", Heard.REFUSED),
])
def test_hostile_answers_end(answer: bytes, heard: Heard) -> None:
    def talk(link: socket.socket) -> None:
        link.recv(4096)
        link.sendall(answer)

    with raw_server(talk) as port:
        assert greet("127.0.0.1", port, "xamau.test", Version.TLS10, seconds=2).heard is heard


def test_a_server_that_drips_is_dropped_in_time() -> None:
    def talk(link: socket.socket) -> None:
        link.recv(4096)
        import time

        for byte in b"\x16\x03\x01\x40\x00" + bytes(60):
            link.sendall(bytes([byte]))
            time.sleep(0.1)

    with raw_server(talk) as port:
        assert greet("127.0.0.1", port, "xamau.test", Version.TLS10, seconds=0.5).heard is Heard.DROPPED


def test_a_server_that_hangs_is_an_outage(seen) -> None:
    def talk(link: socket.socket) -> None:
        while link.recv(4096):
            pass

    with raw_server(talk) as port:
        assert seen(port, 0.5)["ipv4"].verdict is UNSEEN


def test_no_cipher_is_both_sound_and_weak() -> None:
    assert not set(SOUND) & set(WEAK)
    assert hello("xamau.test", Version.TLS12, SOUND)[:3] == b"\x16\x03\x01"
    assert b"xamau.test" in hello("xamau.test", Version.TLS10, SOUND)
