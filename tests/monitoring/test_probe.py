"""The probe against real servers: family kept, reasons told apart, everything bounded."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitoring.endpoints import Family
from monitoring.probe import MOST_BYTES, Aim, Sight, probe
from monitoring.reasons import Reason
from ops import __version__
from tests.monitoring.conftest import Web
from tests.monitoring.lab import Authority, Zone, free_port, raw_server

FOUR, SIX = Family.IPV4, Family.IPV6
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def look(zone: Zone, nameserver: str, authority: Authority, web: Web):
    """Probes a URL in a family by the test's name server and authority."""
    zone.host("xamau.test")

    def look(url: str, family: Family = FOUR, timeout: float = 5.0, **more) -> Sight:
        return probe(Aim(url, family, (nameserver,), authority=authority.path, timeout=timeout, **more))

    return look


@pytest.mark.parametrize("family", list(Family))
def test_a_good_page(look, web: Web, family: Family) -> None:
    sight = look(f"https://xamau.test:{web.tls['good']}/", family)
    assert (sight.reason, sight.status) == (None, 200)
    assert "Suối Trong" in sight.body.decode()
    assert sight.last is not None
    assert sight.last.address == ("127.0.0.1" if family is FOUR else "::1")
    phases = sight.phases
    assert min(phases.dns, phases.connect, phases.tls, phases.first_byte) > 0
    assert phases.dns + phases.connect + phases.tls + phases.first_byte + phases.transfer <= phases.total
    assert sight.chain[0].names[:2] == ("xamau.test", "www.xamau.test")
    assert sight.chain[0].issuer == "goc-tin-cay"


def test_the_family_is_kept_through_a_redirect(look, web: Web) -> None:
    """http answers over IPv6 and redirects to https, which listens on IPv4 only: broken over IPv6, good over IPv4."""
    url = f"http://xamau.test:{web.to_dead_six}/"
    assert look(url, FOUR).reason is None
    six = look(url, SIX)
    assert six.reason is Reason.REFUSED
    assert [(hop.scheme, hop.address, hop.status) for hop in six.hops] == [("http", "::1", 301), ("https", "::1", 0)]


def test_a_redirect_to_a_name_without_the_family_is_broken(look, zone: Zone, web: Web) -> None:
    zone.host("bon.test", six="")
    with raw_server(_always(b"HTTP/1.1 302 x\r\nLocation: http://bon.test/\r\nContent-Length: 0\r\n\r\n"),
                    socket.AF_INET6) as port:
        sight = look(f"http://xamau.test:{port}/", SIX)
    assert sight.reason is Reason.NO_RECORD
    assert sight.words == "bon.test"


@pytest.mark.parametrize(("kind", "reason"), [
    ("expired", Reason.TLS_EXPIRED), ("foreign", Reason.TLS_CHAIN), ("misnamed", Reason.TLS_NAME),
    ("early", Reason.TLS_NOT_YET_VALID), ("foreign_expired", Reason.TLS_CHAIN),
])
def test_bad_certificates_are_told_apart_and_still_read(look, web: Web, kind: str, reason: Reason) -> None:
    sight = look(f"https://xamau.test:{web.tls[kind]}/")
    assert sight.reason is reason
    assert sight.chain, "the presented certificate is read although it did not verify"
    assert sight.body == b""
    if kind == "foreign_expired":
        assert sight.faults == (Reason.TLS_CHAIN, Reason.TLS_EXPIRED)


def test_an_unverified_authority_is_not_trusted_by_default(web: Web, zone: Zone, nameserver: str) -> None:
    zone.host("xamau.test")
    sight = probe(Aim(f"https://xamau.test:{web.tls['good']}/", FOUR, (nameserver,)))
    assert sight.reason is Reason.TLS_CHAIN


def test_https_at_a_port_that_speaks_http(look, web: Web) -> None:
    assert look(f"https://xamau.test:{web.http}/").reason is Reason.TLS_PROTOCOL


@pytest.mark.parametrize(("path", "reason"), [
    ("loop", Reason.REDIRECT_LOOP), ("deep", Reason.REDIRECT_LOOP), ("file", Reason.REDIRECT_REFUSED),
    ("gopher", Reason.REDIRECT_REFUSED), ("login", Reason.REDIRECT_REFUSED), ("broken", Reason.HTTP_STATUS),
    ("relative", None),
])
def test_redirects_and_statuses(look, web: Web, path: str, reason: Reason | None) -> None:
    sight = look(f"http://xamau.test:{web.http}/{path}")
    assert sight.reason is reason
    assert len(sight.hops) <= 6


def test_it_says_who_asks(look, web: Web) -> None:
    assert look(f"http://xamau.test:{web.http}/agent").body.decode() == f"gaccong/{__version__}"


def test_proxies_of_the_surroundings_are_not_used(look, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert look(f"http://xamau.test:{web.http}/").reason is None


def test_a_port_where_nobody_listens(look) -> None:
    assert look(f"http://xamau.test:{free_port()}/").reason is Reason.REFUSED


def _always(answer: bytes):
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return talk


def test_a_site_that_never_answers_costs_no_more_than_the_limit(look) -> None:
    with raw_server(lambda connection: time.sleep(6)) as port:
        started = time.monotonic()
        assert look(f"http://xamau.test:{port}/", timeout=0.7).reason is Reason.TIMEOUT
        assert look(f"https://xamau.test:{port}/", timeout=0.7).reason is Reason.TIMEOUT
        assert time.monotonic() - started < 3


def test_a_site_that_drips_costs_no_more_than_the_limit(look) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.1)

    with raw_server(drip) as port:
        started = time.monotonic()
        assert look(f"http://xamau.test:{port}/", timeout=0.7).reason is Reason.TIMEOUT
        assert time.monotonic() - started < 2


def test_an_endless_body_is_cut(look) -> None:
    def flood(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with raw_server(flood) as port:
        sight = look(f"http://xamau.test:{port}/")
    assert sight.reason is Reason.TOO_LARGE
    assert len(sight.body) == MOST_BYTES


def test_a_gzip_bomb_is_cut_after_unpacking(look) -> None:
    bomb = gzip.compress(b"\0" * (80 << 20), 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with raw_server(_always(head + bomb)) as port:
        sight = look(f"http://xamau.test:{port}/")
    assert sight.reason is Reason.TOO_LARGE
    assert len(sight.body) == MOST_BYTES


def test_endless_headers_are_cut(look) -> None:
    def flood(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-Filler: " + b"y" * 4000 + b"\r\n")

    with raw_server(flood) as port:
        assert look(f"http://xamau.test:{port}/").reason in (Reason.TOO_LARGE, Reason.CLOSED)


@pytest.mark.parametrize(("answer", "reason"), [
    (b"", Reason.CLOSED), (b"SSH-2.0-x\r\n", Reason.NOT_HTTP),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Reason.CUT),
    (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip", Reason.BAD_ENCODING),
    (b"HTTP/1.1 302 x\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n", Reason.REDIRECT_REFUSED),
    (b"HTTP/1.1 302 x\r\nLocation: http://x:99999/\r\nContent-Length: 0\r\n\r\n", Reason.REDIRECT_REFUSED),
    (b"HTTP/1.1 302 x\r\nLocation: \xff\xfe \x01\r\nContent-Length: 0\r\n\r\n", Reason.REDIRECT_LOOP),
])
def test_odd_answers(look, answer: bytes, reason: Reason) -> None:
    with raw_server(_always(answer)) as port:
        assert look(f"http://xamau.test:{port}/").reason is reason


def test_what_the_name_servers_said_needs_no_reference(look) -> None:
    dead = f"127.0.0.1:{free_port()}"
    assert look("http://khongco.test/", references=(dead,)).reason is Reason.NXDOMAIN


def test_a_dead_resolver_is_our_trouble() -> None:
    sight = probe(Aim("http://im.test/", FOUR, (f"127.0.0.1:{free_port()}",), timeout=1))
    assert (sight.reason, sight.ours) == (Reason.RESOLVER_SILENT, True)


def closed_net(code: str) -> str:
    """Runs Python code in a network of its own that has nothing but loopback; what it printed."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("wants root for a network of its own")
    whole = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + code
    done = subprocess.run(["unshare", "--net", sys.executable, "-c", whole], capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.needs_root
def test_without_a_network_of_that_family_nothing_is_said_of_the_site() -> None:
    told = closed_net(
        "import subprocess\nfrom monitoring.probe import Aim, probe\nfrom monitoring.endpoints import Family\n"
        "subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
        "for url, family in (('http://[2620:fe::fe]/', Family.IPV6), ('http://9.9.9.9/', Family.IPV4),\n"
        "                    ('http://[::1]:9/', Family.IPV6)):\n"
        "    sight = probe(Aim(url, family, timeout=2))\n    print(sight.reason, sight.ours)\n"
    )
    assert told.splitlines() == ["no_route True", "no_route True", "refused False"]


@pytest.mark.needs_root
def test_references_speak_for_each_family_by_itself() -> None:
    """A public address that drops everything: broken while a reference answers, unseen when none does."""
    told = closed_net(
        "import socket, subprocess\nfrom monitoring.probe import Aim, probe\nfrom monitoring.endpoints import Family\n"
        "for words in ('link set lo up', 'addr add 9.9.9.77/32 dev lo', 'route add 9.9.9.0/24 dev lo'):\n"
        "    subprocess.run(['ip', *words.split()], check=True)\n"
        "server = socket.create_server(('9.9.9.77', 53))\n"
        "for places in ((), ('9.9.9.77:53',), ('9.9.9.77:54',), ('[2620:fe::fe]:53',)):\n"
        "    sight = probe(Aim('http://9.9.9.77:1/', Family.IPV4, references=places, timeout=2))\n"
        "    print(sight.reason)\n"
    )
    assert told.splitlines() == ["refused", "refused", "reference_silent", "refused"]


@pytest.mark.needs_root
def test_a_public_site_cannot_send_us_into_our_own_network() -> None:
    told = closed_net(
        "import subprocess, threading\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\n"
        "from monitoring.probe import Aim, probe\nfrom monitoring.endpoints import Family\n"
        "for words in ('link set lo up', 'addr add 9.9.9.77/32 dev lo'):\n"
        "    subprocess.run(['ip', *words.split()], check=True)\n"
        "class Handler(BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(302 if 'to' in self.path else 200)\n"
        "        self.send_header('Location', 'http://127.0.0.1:8099/secret'); self.end_headers()\n"
        "    def log_message(self, *a): pass\n"
        "server = HTTPServer(('0.0.0.0', 8099), Handler)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "for url in ('http://9.9.9.77:8099/to', 'http://127.0.0.1:8099/to', 'http://9.9.9.77:8099/'):\n"
        "    sight = probe(Aim(url, Family.IPV4, timeout=3))\n    print(sight.reason, len(sight.hops))\n"
    )
    # From loopback to loopback is allowed: such a site is our own to begin with.
    assert told.splitlines() == ["redirect_refused 1", "None 2", "None 1"]
