"""Pages that mean harm: they cost a bounded time, lead nobody into our own network, and nothing of theirs is believed."""

from __future__ import annotations

import gzip
import json
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import sharing
from monitoring.checks.api_sharing import api_sharing
from monitoring.checks.broken_links import broken_links
from monitoring.checks.emc_connected import emc_connected
from monitoring.checks.layout_tt22 import layout_tt22
from monitoring.checks.print_save import print_save
from monitoring.checks.required_links import required_links
from monitoring.checks.search import search
from monitoring.endpoints import Family
from monitoring.pages import Page, absolute, bare, read, wild
from monitoring.probe import Aim, Sight, probe
from ops import CannotSee, Verdict
from tests.monitoring.lab import free_port, raw_server
from tests.monitoring.test_web_checks import CODE, FILES, HOST, Desk, desk, page, spare

__all__ = ["desk", "spare"]
EVIL = "<script>alert('x')</script>\"'&{{7*7}}"


def paged(html: str, url: str = "https://xamau.test/tin/?a=1") -> Page:
    return Page(Sight(url, Family.IPV4, None, final=url), html)


def answer(body: bytes, headers: bytes = b"Content-Type: text/html\r\n"):
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers + b"Connection: close\r\n\r\n" + body)

    return talk


def test_a_script_in_titles_stays_text(desk: Desk, spare) -> None:
    title = "Họp dân " + EVIL.replace("<", "&lt;")
    feed = f'<?xml version="1.0"?><rss><channel><item><title><![CDATA[Họp dân {EVIL}]]></title><link>/tin/0.html</link></item></channel></rss>'
    url = spare(FILES | {"rss.xml": feed, "none.html": page(title, title)})
    found = desk.run(search, url, search="/none.html?q={q}")["exact"]
    assert found.verdict is Verdict.BROKEN and json.dumps(dict(found.facts))
    assert found.facts["not_found"] == [f"Họp dân {EVIL}"]
    import shlex

    assert len(shlex.split(found.next)) == 3 and "<" not in found.next  # the title is escaped within the address


def test_links_as_written() -> None:
    base = "https://xamau.test/tin/?a=1"
    assert absolute(base, " /a b\n?q=Mẫu#x ") == "https://xamau.test/a%20b?q=M%E1%BA%ABu"
    assert absolute(base, "//XÃ.test:443/") == "https://xn--x-yfa.test/"  # IDNA of "xã", the default port left out
    for bad in ("javascript:alert(1)", "mailto:a@b.test", "data:text/html,x", "http://a:b@x.test/", "http://[::1", "file:///etc/x",
                "http://x.test:99999/", "http://" + "a" * 300, "x" * 3000):
        assert absolute(base, bad) == ""
    tricky = paged('<base href="https://khac.test/goc/"><a href="x">mot<script>y</script></a><a href="x">hai</a><a>ba</a>')
    assert [(one.url, one.words) for one in tricky.links] == [("https://khac.test/goc/x", "mot y")]
    assert bare("Đăng  KÝ họp Dân") == "dang ky hop dan"


@pytest.mark.parametrize("html", [
    "<div>" * 300_000, "<a " + " ".join(f"b{at}=1" for at in range(100_000)) + ">", "<b><i><u>" * 100_000,
    "<" * 1_000_000, "<a " * 500_000, "<a href=/x>" * 150_000, "x" * 2_000_000, "<style>@media" + "@media" * 300_000,
    "<table><tr><td>" * 90_000, "<!--" * 400_000, "\x00\ud7ff" * 500_000,
], ids=lambda text: text[:14])
def test_pages_made_to_hang_a_parser(html: str) -> None:
    started = time.monotonic()
    body = html.encode("utf-8", "replace")[: 2 << 20]
    seen = read(Sight("http://x.test/", Family.IPV4, None, body=body, content_type="text/html", final="http://x.test/"))
    assert len(seen.links) <= 2000 and len(seen.text) <= 400_000
    assert time.monotonic() - started < 8  # one of them unread is a quarter of an hour


def test_an_ordinary_long_page_is_not_wild() -> None:
    rows = "<ul>" + "<li><p>Văn bản <br><a href=x>số" * 20_000 + "</ul>"
    assert not wild(rows.replace("số", "số</a>"))
    assert not wild("<div><span>x</span></div>" * 50_000) and not wild("<img src='data:;base64," + "A" * 900_000 + "'>")
    assert wild("<div>" * 900)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400) | st.text(alphabet="<>/ab c=\"'!-&;", max_size=300).map(str.encode))
def test_any_bytes_are_a_page(body: bytes) -> None:
    seen = read(Sight("http://x.test/", Family.IPV4, None, body=body, content_type="text/html; charset=koi-x", final="http://x.test/"))
    assert all(one.url.startswith("http") for one in seen.links) and isinstance(seen.text, str)


def test_an_endless_page_ends(desk: Desk) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            connection.sendall(b"<p>mai mai</p>" * 5000)

    with raw_server(talk) as port:
        started = time.monotonic()
        with pytest.raises(CannotSee, match="large|lớn"):
            desk.run(required_links, f"http://{HOST}:{port}/")
        assert time.monotonic() - started < 5


def test_a_bomb_of_gzip_is_not_unpacked(desk: Desk) -> None:
    bomb = gzip.compress(b"<p>x</p>" * 4_000_000)
    with raw_server(answer(bomb, b"Content-Type: text/html\r\nContent-Encoding: gzip\r\n")) as port, pytest.raises(CannotSee):
        desk.run(required_links, f"http://{HOST}:{port}/")
    with pytest.raises(sharing.Unread, match="too_large"):
        sharing.read(gzip.compress(b" " * (8 << 20)))


LAUGHS = "".join(f'<!ENTITY l{at} "{f"&l{at - 1};" * 10}">' for at in range(1, 9))


@pytest.mark.parametrize(("body", "fault"), [
    (b"", "empty"), (b" \n", "empty"), (b"xin chao", "not_xml"), (b"<rss><channel>", "not_xml"), (b"<html/>", "not_a_feed"),
    (f'<!DOCTYPE r [<!ENTITY l0 "ha">{LAUGHS}]><rss>&l8;</rss>'.encode(), "entities"),
    (b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel><item>&x;</item></channel></rss>', "entities"),
    (b"<rss>" + b"<a>" * 200, "too_deep"), (b"[" * 100_000, "not_json"), (b"{", "not_json"), (b"\x1f\x8bxx", "not_gzip"),
])
def test_what_no_machine_should_take_over(body: bytes, fault: str) -> None:
    with pytest.raises(sharing.Unread) as caught:
        sharing.read(body)
    assert str(caught.value) == fault


def test_what_machines_take_over() -> None:
    atom = b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>A</title><link rel="self" href="/s"/><link href="/a"/></entry></feed>'
    assert sharing.read(atom) == sharing.Shared("atom", (("A", "/a"),))
    maps = b'<s:urlset xmlns:s="http://www.sitemaps.org/schemas/sitemap/0.9"><s:url><s:loc>/x</s:loc></s:url></s:urlset>'
    assert sharing.read(gzip.compress(maps)) == sharing.Shared("sitemap", (("", "/x"),))
    posts = b'[{"title":{"rendered":"B\xc3\xa0i"},"link":"/b"},7]'
    assert sharing.read(posts) == sharing.Shared("json", (("Bài", "/b"), ("", "")))
    assert len(sharing.read(b"<rss><channel>" + b"<item><title>x</title></item>" * 6000 + b"</channel></rss>").items) == 5000


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet="<>/rsitem[]{}\":, &;x", max_size=200).map(str.encode))
def test_any_bytes_are_shared_or_not(body: bytes) -> None:
    try:
        assert isinstance(sharing.read(body).items, tuple)
    except sharing.Unread as fault:
        assert str(fault) in {"empty", "too_large", "not_gzip", "entities", "not_xml", "not_json", "not_a_feed", "too_deep"}


def test_a_public_page_leads_nobody_into_a_private_network() -> None:
    asked = []

    def talk(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    with raw_server(talk) as port:
        url = f"http://127.0.0.1:{port}/quan-tri"
        refused = probe(Aim(url, Family.IPV4, timeout=3, guarded=True))
        assert refused.reason == "redirect_refused" and not asked
        assert probe(Aim(url, Family.IPV4, timeout=3)).ok and len(asked) == 1


def test_headers_and_final_address_are_bounded_and_told() -> None:
    many = b"".join(b"X-%d: y\r\n" % at for at in range(300)) + b"X-Long: " + b"z" * 9000 + b"\r\n"
    with raw_server(answer(b"x", many)) as port:
        seen = probe(Aim(f"http://127.0.0.1:{port}/a", Family.IPV4, timeout=3))
    assert seen.final.endswith("/a") and len(seen.headers) < 100 and seen.headers[1] == ("x-1", "y")


def test_links_that_hang_do_not_accuse(desk: Desk, spare) -> None:
    def mute(connection: socket.socket) -> None:
        connection.recv(4096)
        time.sleep(3)

    with raw_server(mute) as port:
        body = f'<a href="http://{HOST}:{port}/">treo</a><a href="http://127.0.0.1:{port}/">ngoài</a>'
        found = desk.run(broken_links, spare({"index.html": body, **{f"{n}/index.html": "x" for n in ("tin", "hoi-dap")}}),
                         timeout=0.5, section_pages=0)
    assert found["internal"].verdict is not Verdict.BROKEN and found["external"].verdict is Verdict.UNSEEN
    assert found["external"].measures["unjudged_links"] == 1


def test_many_links_are_bounded_and_paced(desk: Desk, spare) -> None:
    body = "".join(f'<a href="/x{at}">{at}</a>' for at in range(500))
    started = time.monotonic()
    found = desk.run(broken_links, spare({"index.html": body}), links=20, section_pages=0, per_second=20.0)
    assert found["internal"].measures["links"] == 10 and 0.4 < time.monotonic() - started < 5
    assert len(found["internal"].facts["dead"]) == 10 and found["internal"].verdict is Verdict.BROKEN


def test_every_finding_is_fit_for_evidence(desk: Desk, spare, tmp_path: Path) -> None:
    from ops.looking import checked

    url = spare({"index.html": page(EVIL, f"<a href='/{EVIL}'>{EVIL}</a>" * 3 + "<a href='/tin/dai.html'>" + "dài " * 90 + "</a>")})
    for check in (broken_links, emc_connected, layout_tt22, api_sharing, print_save):
        try:
            found = desk.run(check, url)
        except CannotSee:
            continue
        for one in found.values():
            assert checked(one).subject and len(json.dumps(dict(one.facts))) < 4000 and CODE not in str(one.facts)
    assert free_port()
