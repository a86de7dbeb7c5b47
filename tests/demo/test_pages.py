"""The demo's pages as the public gets them."""

from __future__ import annotations

import http.client
import re
import unicodedata
import xml.etree.ElementTree as ET

from ops.cli.demo import content
from ops.cli.demo.layout import NAME, Demo
from tests.demo.conftest import Browser


def _paths(browser: Browser) -> list[str]:
    status, _, body = browser.ask("/sitemap.xml")
    assert status == 200
    base = browser.demo.url
    found = [element.text or "" for element in ET.fromstring(body).iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert all(one.startswith(base) for one in found)
    return ["/" + one.removeprefix(base) for one in found]


def test_every_page_of_the_sitemap_answers_on_both_families_in_composed_utf8(browser: Browser) -> None:
    paths = _paths(browser)
    assert len(paths) >= 40
    for path in paths:
        status, headers, body = browser.ask(path)
        text = body.decode("utf-8")
        assert status == 200, path
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert unicodedata.is_normalized("NFC", text)
        assert "Chịu trách nhiệm:" in text
        assert content.EXPECT in text


def test_no_link_leads_nowhere(browser: Browser) -> None:
    known: set[str] = set()
    for path in _paths(browser):
        known |= set(re.findall(r'href="(/[^"]*)"', browser.ask(path)[2].decode()))
    assert len(known) > 40
    assert [one for one in sorted(known) if browser.ask(one)[0] != 200] == []


def test_feed_and_robots(browser: Browser) -> None:
    status, headers, body = browser.ask("/rss.xml")
    assert (status, headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert len(list(ET.fromstring(body).iter("item"))) == len(content.NEWS)
    assert b"Sitemap: " + browser.demo.url.encode() in browser.ask("/robots.txt")[2]


def test_security_headers_also_on_a_missing_page(browser: Browser) -> None:
    for path, expected in (("/", 200), ("/khong-co/", 404)):
        status, headers, body = browser.ask(path)
        assert status == expected
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["server"] == "nginx"
    assert "Không tìm thấy trang" in body.decode()


def test_plain_http_leads_to_https(demo: Demo) -> None:
    for address in ("127.0.0.1", "::1"):
        connection = http.client.HTTPConnection(address, demo.ports.http, timeout=10)
        connection.request("GET", "/tin-tuc/", headers={"Host": NAME})
        answer = connection.getresponse()
        assert answer.status == 301
        assert answer.getheader("Location") == f"{demo.url}tin-tuc/"
        connection.close()


def test_localhost_is_not_pinned_to_https(browser: Browser) -> None:
    assert "strict-transport-security" not in browser.ask("/", headers={"Host": "localhost"})[1]
