"""Signing in: who may, who may not, and what a session is worth."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import urlencode

import pytest

from ops.cli.demo import passwords
from ops.cli.demo.layout import Demo
from ops.cli.demo.people import CONTROL, LEAVER
from tests.demo.conftest import Browser


def _sign_in(browser: Browser, login: str, password: str) -> tuple[int, dict[str, str], bytes]:
    return browser.ask(
        "/dang-nhap", "POST", urlencode({"login": login, "password": password}),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )


def _control(demo: Demo) -> str:
    return (demo.secrets / "control").read_text().strip()


def _change(demo: Demo, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(demo.database)) as rows, rows:
        assert rows.execute(sql, values).rowcount == 1


def test_the_form(browser: Browser) -> None:
    status, headers, body = browser.ask("/dang-nhap")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'name="password"' in body.decode()


def test_the_control_account_gets_in_and_its_visit_is_noted(browser: Browser) -> None:
    _change(browser.demo, "UPDATE editors SET last_login = '' WHERE login = ?", CONTROL)
    status, headers, _ = _sign_in(browser, CONTROL, _control(browser.demo))
    assert (status, headers["location"]) == (303, "/quan-tri/")
    cookie = headers["set-cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}
    status, _, body = browser.ask("/quan-tri/", headers={"Cookie": cookie.partition(";")[0]})
    assert status == 200
    assert "Tài khoản đối chứng" in body.decode()
    with closing(sqlite3.connect(browser.demo.database)) as rows:
        assert rows.execute("SELECT last_login FROM editors WHERE login = ?", (CONTROL,)).fetchone()[0].endswith("Z")


@pytest.mark.parametrize(("login", "password"), [(CONTROL, "sai"), ("khong-co", "sai"), (CONTROL, ""), ("", "")])
def test_a_wrong_pair_is_refused_without_a_cookie(browser: Browser, login: str, password: str) -> None:
    status, headers, body = _sign_in(browser, login, password)
    assert status == 403
    assert "set-cookie" not in headers
    assert "Sai tên đăng nhập hoặc mật khẩu" in body.decode()


def test_a_disabled_account_is_refused_and_its_session_ends(demo: Demo) -> None:
    browser = Browser(demo, "127.0.0.1")
    _change(demo, "UPDATE editors SET password = ? WHERE login = ?", passwords.encode("biết rồi"), LEAVER.login)
    status, headers, _ = _sign_in(browser, LEAVER.login, "biết rồi")
    assert status == 303
    cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
    assert browser.ask("/quan-tri/", headers=cookie)[0] == 200
    _change(demo, "UPDATE editors SET enabled = 0 WHERE login = ?", LEAVER.login)
    try:
        assert _sign_in(browser, LEAVER.login, "biết rồi")[0] == 403
        assert browser.ask("/quan-tri/", headers=cookie)[0] == 303
    finally:
        _change(demo, "UPDATE editors SET enabled = 1 WHERE login = ?", LEAVER.login)


@pytest.mark.parametrize("cookie", ["", "phien=", "phien=la", "phien=\x7f;;=", "khac=1"])
def test_without_a_session_the_desk_leads_to_the_form(demo: Demo, cookie: str) -> None:
    status, headers, _ = Browser(demo, "::1").ask("/quan-tri/", headers={"Cookie": cookie})
    assert (status, headers["location"]) == (303, "/dang-nhap")


def test_an_oversized_form_is_refused(demo: Demo) -> None:
    assert _sign_in(Browser(demo, "::1"), CONTROL, "x" * 10_000)[0] == 413


@pytest.mark.parametrize("stored", ["", "!", "md5$x$y", "pbkdf2_sha256$0$s$x", "pbkdf2_sha256$x$s$x", "pbkdf2_sha256$1$s$"])
def test_odd_stored_values_fit_nothing(stored: str) -> None:
    assert not passwords.fits("", stored)


def test_a_stored_password_is_readable_by_djangos_rule() -> None:
    import base64
    import hashlib

    method, count, salt, digest = passwords.encode("Mật khẩu").split("$")
    expected = hashlib.pbkdf2_hmac("sha256", "Mật khẩu".encode(), salt.encode(), int(count))
    assert (method, base64.b64decode(digest)) == ("pbkdf2_sha256", expected)
