"""A tiny sign-in application over the demo's SQLite database: `python -m ops.cli.demo.app --db F --port N`.

GET  /dang-nhap   the form
POST /dang-nhap   login, password: 303 to /quan-tri/ with a cookie, or 403
GET  /quan-tri/   the editor's page with that cookie, otherwise 303 to the form
"""

from __future__ import annotations

import argparse
import secrets
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from html import escape
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from ops.cli.demo import passwords
from ops.model import nfc
from ops.moment import stamp

COOKIE = "phien"
SESSION_SECONDS = 3600.0
BODY_LIMIT = 8192
HASHING = threading.BoundedSemaphore(2)
"""At most so many passwords are hashed at once: a flood of sign-ins must not starve the machine."""


class Application(ThreadingHTTPServer):
    """Listens on loopback only; sessions live as long as the process."""

    daemon_threads = True

    def __init__(self, database: Path, port: int) -> None:
        self.database = database
        self.sessions: dict[str, tuple[str, float]] = {}
        super().__init__(("127.0.0.1", port), Sign)

    def enter(self, login: str, password: str) -> str | None:
        """A session's token when the password fits and the account is enabled, otherwise None."""
        with closing(self._open()) as rows:
            found = rows.execute("SELECT password, enabled FROM editors WHERE login = ?", (login,)).fetchone()
            with HASHING:
                fits = passwords.fits(password, found[0] if found else passwords.UNKNOWN)
            if not (found and fits and found[1] == 1):
                return None
            rows.execute("UPDATE editors SET last_login = ? WHERE login = ?", (stamp(datetime.now(UTC)), login))
            rows.commit()
        token = secrets.token_urlsafe(32)
        now = time.monotonic()
        self.sessions = {key: kept for key, kept in self.sessions.items() if kept[1] > now}
        self.sessions[token] = (login, now + SESSION_SECONDS)
        return token

    def who(self, token: str) -> tuple[str, str] | None:
        """Name and role of a session's editor; None when the session is over or the account is no longer enabled."""
        login, until = self.sessions.get(token, ("", 0.0))
        if until <= time.monotonic():
            return None
        with closing(self._open()) as rows:
            found = rows.execute("SELECT name, role FROM editors WHERE login = ? AND enabled = 1", (login,)).fetchone()
        return (str(found[0]), str(found[1])) if found else None

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.database}?mode=rw", uri=True, timeout=5)


class Sign(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Application
    timeout = 15
    server_version = "demo"
    sys_version = ""

    def do_GET(self) -> None:
        """The form, or the editor's page."""
        if self.path == "/dang-nhap":
            self._answer(200, "Đăng nhập", _FORM)
        elif self.path.startswith("/quan-tri/"):
            self._desk()
        else:
            self._answer(404, "Không tìm thấy trang", "<p>Trang này không có.</p>")

    def do_POST(self) -> None:
        """A sign-in."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/dang-nhap":
            self._answer(404, "Không tìm thấy trang", "<p>Trang này không có.</p>")
        elif not length.isdigit() or int(length) > BODY_LIMIT:
            self._answer(413, "Yêu cầu không hợp lệ", "<p>Biểu mẫu quá dài hoặc không ghi độ dài.</p>")
        else:
            fields = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"), max_num_fields=10)
            token = self.server.enter(nfc(fields.get("login", [""])[0]), fields.get("password", [""])[0])
            if token:
                self._move("/quan-tri/", f"{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict")
            else:
                self._answer(403, "Không đăng nhập được", _REFUSED)

    def _desk(self) -> None:
        try:
            kept = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            kept = None
        found = self.server.who(kept.value) if kept else None
        if found is None:
            self._move("/dang-nhap")
            return
        self._answer(200, "Quản trị", f"<p>Xin chào {escape(found[0])} ({escape(found[1])}).</p>")

    def _move(self, where: str, cookie: str = "") -> None:
        self.send_response(303)
        self.send_header("Location", where)
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: int, title: str, body: str) -> None:
        page = nfc(_PAGE.format(title=title, body=body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Method and status only: a path may hold what a person typed into the wrong place."""
        self.log_message("%s %s", self.command, code)


_PAGE = """<!DOCTYPE html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - Trang thông tin điện tử xã Hoa Mai</title><link rel="stylesheet" href="/css/site.css"></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""
_FORM = """<form method="post" action="/dang-nhap">
<label>Tên đăng nhập <input name="login" autocomplete="username" required></label>
<label>Mật khẩu <input name="password" type="password" autocomplete="current-password" required></label>
<button>Đăng nhập</button></form>"""
_REFUSED = "<p>Sai tên đăng nhập hoặc mật khẩu, hoặc tài khoản đã bị thu hồi.</p>"


def main() -> None:
    """Serves until it is ended."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--db", type=Path, required=True)
    read.add_argument("--port", type=int, required=True)
    given = read.parse_args()
    Application(given.db, given.port).serve_forever()


if __name__ == "__main__":
    main()
