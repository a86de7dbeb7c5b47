"""The demo's pages as the public gets them."""

from __future__ import annotations

import html
import http.client
import re
import unicodedata
import xml.etree.ElementTree as ET

from ops.cli.demo import content
from ops.cli.demo.layout import ALIAS, NAME, NEIGHBOURS, Demo
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
        assert f"Chịu trách nhiệm: {content.RESPONSIBLE}<" in text
        assert 'rel="canonical" href="' + browser.demo.url in text
        assert content.EXPECT in text


def test_no_link_leads_nowhere(browser: Browser) -> None:
    known: set[str] = set()
    for path in _paths(browser):
        known |= set(re.findall(r'href="(/[^"]*)"', browser.ask(path)[2].decode()))
    assert len(known) > 40
    assert [one for one in sorted(known) if browser.ask(one)[0] != 200] == []


def test_what_people_keep_can_be_printed_and_saved_without_a_script(demo: Demo) -> None:
    browser = Browser(demo, "127.0.0.1")
    kept = [path for path in _paths(browser) if path.count("/") == 3 and not path.startswith("/gioi-thieu/")]
    assert len(kept) == len(content.NEWS) + len(content.DOCUMENTS) + len(content.PROCEDURES)
    for path in kept:
        page = browser.ask(path)[2].decode()
        assert f'href="{path}in.html"' in page and f'href="{path}bai.txt" download' in page
        title = html.unescape((re.search("<h1>(.*)</h1>", page) or [""])[1])
        status, _, sheet = browser.ask(f"{path}in.html")
        assert status == 200 and "<header" not in sheet.decode() and "<script" not in sheet.decode()
        status, headers, text = browser.ask(f"{path}bai.txt")
        assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert text.decode().startswith(f"{title}\n") and "<" not in text.decode()
    assert "@media print" in browser.ask("/css/site.css")[2].decode()


def test_no_person_answers_for_the_site(demo: Demo) -> None:
    browser = Browser(demo, "127.0.0.1")
    from ops.cli.demo.people import PEOPLE

    for path in _paths(browser):
        text = browser.ask(path)[2].decode()
        assert not [person.name for person in PEOPLE if person.name in text], path


def test_nothing_is_loaded_from_elsewhere(demo: Demo) -> None:
    browser = Browser(demo, "127.0.0.1")
    for path in _paths(browser):
        text = browser.ask(path)[2].decode()
        assert re.findall(r'src="(?!/)', text) == []
        hosts = set(re.findall(r'href="https?://([^/":]+)', text))
        assert hosts <= {NAME, *NEIGHBOURS}


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


def test_plain_http_and_the_other_name_lead_to_the_one_address(demo: Demo) -> None:
    for address in ("127.0.0.1", "::1"):
        for name in (NAME, ALIAS):
            connection = http.client.HTTPConnection(address, demo.ports.http, timeout=10)
            connection.request("GET", "/tin-tuc/", headers={"Host": name})
            answer = connection.getresponse()
            assert answer.status == 301
            assert answer.getheader("Location") == f"{demo.url}tin-tuc/"
            connection.close()
        status, headers, _ = Browser(demo, address, ALIAS).ask("/tin-tuc/?x=1")
        assert (status, headers["location"]) == (301, f"{demo.url}tin-tuc/?x=1")


def test_the_provinces_places_answer(demo: Demo) -> None:
    for name in NEIGHBOURS:
        status, headers, body = Browser(demo, "::1", name).ask("/")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "không có thật" in body.decode()


def test_localhost_is_not_pinned_to_https(browser: Browser) -> None:
    assert "strict-transport-security" not in browser.ask("/", headers={"Host": "localhost"})[1]
