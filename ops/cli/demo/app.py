"""A tiny sign-in application over the demo's SQLite database: `python -m ops.cli.demo.app --db F --port N`.

GET  /dang-nhap   the form
POST /dang-nhap   login, password: 303 to /quan-tri/ with a cookie, or 403
GET  /quan-tri/   the editor's page with that cookie, otherwise 303 to the form
GET  /tim-kiem?q= pages that hold these words, typed with or without diacritics
POST /gui         a question or an opinion (kind, name, mail, text), which is kept
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
from urllib.parse import parse_qs, urlsplit

from ops.cli.demo import content, frame, passwords, search
from ops.model import nfc
from ops.moment import stamp

COOKIE = "phien"
SESSION_SECONDS = 3600.0
LIMITS = {"/dang-nhap": 8192, "/gui": 49_152}
"""Bytes that a form may have: 4,000 Vietnamese letters are some 36,000 in a form."""
MOST_LETTERS = 1000
"""Questions and opinions that are kept: a trial must not fill somebody's disk."""
KINDS = ("hỏi đáp", "góp ý")
HASHING = threading.BoundedSemaphore(2)
"""At most so many passwords are hashed at once: a flood of sign-ins must not starve the machine."""


class Application(ThreadingHTTPServer):
    """Listens on loopback only; sessions live as long as the process."""

    daemon_threads = True

    def __init__(self, database: Path, port: int, outside: frame.Outside) -> None:
        self.database, self.outside = database, outside
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

    def keep(self, kind: str, name: str, mail: str, text: str) -> bool:
        """Keeps a question or an opinion; False for one that is empty or of no known kind, and when there are too many."""
        if kind not in KINDS or not text.strip() or "@" not in mail:
            return False
        with closing(self._open()) as rows, rows:
            if rows.execute("SELECT count(*) FROM letters").fetchone()[0] >= MOST_LETTERS:
                return False
            values = (kind, nfc(name)[:100], nfc(mail)[:200], nfc(text)[:4000], stamp(datetime.now(UTC)))
            rows.execute("INSERT INTO letters (kind, name, mail, text, received) VALUES (?, ?, ?, ?, ?)", values)
        return True

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
        elif urlsplit(self.path).path == "/tim-kiem":
            self._search(parse_qs(urlsplit(self.path).query, max_num_fields=10).get("q", [""])[0][:200])
        else:
            self._answer(404, "Không tìm thấy trang", "<p>Trang này không có.</p>")

    def do_POST(self) -> None:
        """A sign-in, a question or an opinion."""
        length = self.headers.get("Content-Length", "")
        if self.path not in LIMITS:
            self._answer(404, "Không tìm thấy trang", "<p>Trang này không có.</p>")
        elif not length.isdigit() or int(length) > LIMITS[self.path]:
            self._answer(413, "Yêu cầu không hợp lệ", "<p>Biểu mẫu quá dài hoặc không ghi độ dài.</p>")
        else:
            fields = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"), max_num_fields=10)
            if self.path == "/gui":
                self._take({name: values[0] for name, values in fields.items()})
                return
            token = self.server.enter(nfc(fields.get("login", [""])[0]), fields.get("password", [""])[0])
            if token:
                self._move("/quan-tri/", f"{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict")
            else:
                self._answer(403, "Không đăng nhập được", _REFUSED)

    def _take(self, fields: dict[str, str]) -> None:
        given = [fields.get(name, "") for name in ("kind", "name", "mail", "text")]
        if self.server.keep(*given):
            self._answer(200, "Đã nhận", "<p>Cảm ơn ông, bà. Ban Biên tập sẽ trả lời qua thư điện tử.</p>")
        else:
            self._answer(400, "Chưa gửi được", "<p>Cần đủ thư điện tử và nội dung.</p>")

    def _search(self, words: str) -> None:
        found = search.find(self.server.database, words)
        rows = "".join(f'<li><a href="/{one.path}">{escape(one.title)}</a></li>\n' for one in found)
        body = f"<p>{len(found)} kết quả cho “{escape(words)}”.</p>\n<ul>\n{rows}</ul>\n"
        page = frame.Page("tim-kiem", "Tìm kiếm", body, datetime.now(UTC).date())
        self._send(200, frame.document(page, self.server.outside))

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
        self._send(status, _PAGE.format(title=title, site=content.TITLE, body=body))

    def _send(self, status: int, text: str) -> None:
        page = nfc(text).encode()
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
<title>{title} - {site}</title><link rel="stylesheet" href="/css/site.css"></head>
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
    read.add_argument("--addresses", nargs=3, required=True, help="of the site, of the portal, of the public services")
    given = read.parse_args()
    Application(given.db, given.port, frame.Outside(*given.addresses)).serve_forever()


if __name__ == "__main__":
    main()
