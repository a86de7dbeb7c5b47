"""The demo's search and its forms: what is found, and what a stranger may send."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from urllib.parse import quote_plus, urlencode

import pytest

from ops.cli.demo import app, content, search
from ops.cli.demo.layout import Demo
from tests.demo.conftest import Browser


def _found(browser: Browser, words: str) -> list[str]:
    status, headers, body = browser.ask(f"/tim-kiem?q={quote_plus(words)}")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    main = body.decode().partition("<main>")[2].partition("</main>")[0]
    return re.findall(r'<li><a href="([^"]*)">', main)


def test_every_title_is_found_with_and_without_diacritics(demo: Demo) -> None:
    browser = Browser(demo, "127.0.0.1")
    for slug, title, _, _ in content.NEWS:
        for words in (title, search.bare(title), title.upper()):
            assert f"/tin-tuc/{slug}/" in _found(browser, words)


@pytest.mark.parametrize("words", ["", "   ", "zqxkvwj", "%", "'", '"', "a' OR 1=1 --", "\u0300", "đ" * 300 + " x"])
def test_what_stands_nowhere_is_not_found(browser: Browser, words: str) -> None:
    assert _found(browser, words) == []


def test_a_common_word_gives_a_bounded_list_and_markup_stays_text(browser: Browser) -> None:
    assert len(_found(browser, "xã")) == search.MOST_FOUND
    page = browser.ask("/tim-kiem?q=" + quote_plus("<script>alert(1)</script>"))[2].decode()
    assert "<script>alert" not in page and "&lt;script&gt;" in page


def _send(browser: Browser, **fields: str) -> int:
    return browser.ask("/gui", "POST", urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})[0]


def _letters(demo: Demo) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(demo.database)) as rows:
        return rows.execute("SELECT kind, text FROM letters ORDER BY id").fetchall()


def test_questions_and_opinions_are_kept(browser: Browser) -> None:
    before = _letters(browser.demo)
    for path, kind in (("/hoi-dap/", "hỏi đáp"), ("/gop-y/", "góp ý")):
        page = browser.ask(path)[2].decode()
        assert f'name="kind" value="{kind}"' in page and 'action="/gui"' in page
        assert _send(browser, kind=kind, name="Nguyễn Thị Ví Dụ", mail="vidu@example.test", text="Trang chậm?") == 200
    assert _letters(browser.demo) == [*before, ("hỏi đáp", "Trang chậm?"), ("góp ý", "Trang chậm?")]


@pytest.mark.parametrize("wrong", [{"kind": "khác"}, {"text": " "}, {"mail": "không có"}])
def test_what_cannot_be_answered_is_not_kept(browser: Browser, wrong: dict[str, str]) -> None:
    before = _letters(browser.demo)
    fields = {"kind": "góp ý", "name": "x", "mail": "x@example.test", "text": "x", **wrong}
    assert _send(browser, **fields) == 400
    assert _send(browser, text="x" * (app.LIMITS["/gui"] + 1)) == 413
    assert _letters(browser.demo) == before


def test_a_flood_does_not_fill_the_disk(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MOST_LETTERS", len(_letters(demo)) + 1)
    with app.Application(demo.database, 0, demo.outside) as server:
        kept = [server.keep("góp ý", "x", "x@example.test", "x") for _ in range(3)]
    assert kept == [True, False, False]
