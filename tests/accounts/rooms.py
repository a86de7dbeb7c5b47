"""What the tests of this room stand on: a Linux tree, a site with real logins over SQLite, a step runner, a roster."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import logging
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from accounts.settings import Settings
from ops.duty import Context
from ops.model import Finding, Plan, Site, Step
from ops.run import Here
from ops.secrets import resolve
from ops.steps import Carrier, StepResult, undo_order
from tests.kit import make_context, make_site

HEADER = "person,unit,role,from,until,logins\n"
HASH = "$y$j9T$giaGiaGia$khongPhaiMatKhauThat0000000000000000000000000"


def blob(word: str) -> str:
    """A well-formed Ed25519 public key line made of a word (nobody owns the private half)."""
    raw = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + hashlib.sha256(word.encode()).digest()
    return f"ssh-ed25519 {base64.b64encode(raw).decode()}"


class Tree:
    """A folder laid out like a Linux machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "etc/sudoers.d").mkdir(parents=True)
        self.passwd = ["root:x:0:0:root:/root:/bin/bash", "www-data:x:33:33:www:/var/www:/usr/sbin/nologin",
                       "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"]
        self.shadow = ["root:*:19000:0:99999:7:::", "www-data:*:19000:0:99999:7:::", "nobody:*:19000:0:99999:7:::"]
        self.groups = ["root:x:0:", "sudo:x:27:", "web:x:1500:"]
        self.write()

    def add(self, login: str, uid: int, *, name: str = "", password: str = HASH, keys: Iterable[str] = (),
            shell: str = "/bin/bash", expire: str = "", home: str = "", groups: Iterable[str] = ()) -> None:
        """An account."""
        home = home or f"/home/u{uid}"
        self.passwd.append(f"{login}:x:{uid}:{uid}:{name},,,:{home}:{shell}")
        self.shadow.append(f"{login}:{password}:19000:0:99999:7::{expire}:")
        self.groups = [line + ("" if line.endswith(":") else ",") + login if line.split(":")[0] in groups else line
                       for line in self.groups]
        if keys:
            folder = self.root / home.lstrip("/") / ".ssh"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "authorized_keys").write_text("".join(f"{key}\n" for key in keys))
            (folder / "authorized_keys").chmod(0o640)
        self.write()

    def write(self) -> None:
        """Puts the files in place."""
        (self.root / "etc/passwd").write_text("\n".join(self.passwd) + "\n")
        (self.root / "etc/shadow").write_text("\n".join(self.shadow) + "\n")
        (self.root / "etc/shadow").chmod(0o640)
        (self.root / "etc/group").write_text("\n".join(self.groups) + "\n")

    def state(self) -> dict[str, tuple[bytes, int, int, int]]:
        """Bytes, mode and owner of every file but the backups that usermod leaves."""
        return {
            str(path.relative_to(self.root)): (path.read_bytes(), path.stat().st_mode, path.stat().st_uid,
                                               path.stat().st_gid)
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not path.name.endswith(("-", ".lock")) and not path.is_symlink()
        }


def django(password: str, iterations: int = 2_000) -> str:
    """A password hash as Django writes it."""
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"muoi", iterations)
    return f"pbkdf2_sha256${iterations}$muoi${base64.b64encode(digest).decode()}"


class Portal:
    """A small site with a login form over its own table of editors; checks a CSRF token, cookie and password."""

    def __init__(self, folder: Path, rows: Iterable[tuple[str, str, str, str, int]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "trang ?#%.db"
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute('CREATE TABLE "biên tập viên" (id INTEGER PRIMARY KEY, login TEXT, "họ tên" TEXT,'
                             ' vai TEXT, "mở" INTEGER, mat_khau TEXT, lan_cuoi TEXT)')
            database.executemany('INSERT INTO "biên tập viên" VALUES (NULL, ?, ?, ?, ?, ?, NULL)',
                                 [(login, name, role, on, django(password)) for login, name, role, password, on in rows])
        self.broken = False
        self.deaf = False
        self.page = b""
        self.goes_to = "/quan-tri"
        self.tries: list[tuple[str, bool]] = []
        portal = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = (b'<form action="/tim"><input type="hidden" name="sai" value="1"></form><form method="post">'
                        b'<input type="hidden" name="the" value="abc&amp;1"><input name="ten">'
                        b'<input type="password" name="mk"></form>')
                self.answer(HTTPStatus.OK, portal.page or page, {"Set-Cookie": "the=abc; Path=/"})

            def do_POST(self) -> None:
                body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if portal.broken:
                    return self.answer(HTTPStatus.BAD_GATEWAY, b"", {})
                if body.get("the") != ["abc&1"] or "the=abc" not in self.headers.get("Cookie", "") or "sai" in body:
                    return self.answer(HTTPStatus.BAD_REQUEST, b"CSRF", {})
                good = not portal.deaf and portal.check(body["ten"][0], body["mk"][0])
                portal.tries.append((body["ten"][0], good))
                if good:
                    return self.answer(HTTPStatus.FOUND, b"", {"Location": portal.goes_to})
                return self.answer(HTTPStatus.FORBIDDEN, b"sai", {})

            def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/dang-nhap"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def check(self, login: str, password: str) -> bool:
        """What a site does at login: the account must be on and the hash must fit."""
        row = next((row for row in self.rows() if row[1] == login and row[4]), None)
        if row is None:
            return False
        _, rounds, salt, digest = row[5].split("$")
        made = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), int(rounds))
        return hmac.compare_digest(base64.b64encode(made).decode(), digest)

    def rows(self) -> list[tuple[Any, ...]]:
        """The whole table."""
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute('SELECT * FROM "biên tập viên" ORDER BY id').fetchall()

    def settings(self, **more: Any) -> dict[str, Any]:
        """As a configuration would have it."""
        return {"kind": "sql_table", "database": str(self.database), "table": "biên tập viên", "login": "login",
                "name": "họ tên", "role": "vai", "enabled": "mở", "password": "mat_khau", "last_use": "lan_cuoi",
                "try_url": self.url, "login_field": "ten", "password_field": "mk", **more}

    def stop(self) -> None:
        """Ends the server."""
        self.server.shutdown()
        self.server.server_close()


def ground(tmp: Path, roster: str, systems: dict[str, Any], **more: Any) -> tuple[Site, Context]:
    """A site and a context with this roster and these systems, at this very moment unless `now` is given."""
    (tmp / "roster.csv").write_text(HEADER + roster, encoding="utf-8-sig")
    settings = Settings.model_validate({"roster": str(tmp / "roster.csv"), "system": systems}, context={"base": tmp})
    more.setdefault("now", datetime.now(UTC))
    return make_site(accounts=settings), make_context(tmp, settings, **more)


def look(check: Any, site: Site, ctx: Context) -> dict[str, Finding]:
    """Findings by subject."""
    return {finding.subject: finding for finding in check.function(site, ctx)}


def carry_out(plan: Plan, tmp: Path) -> list[StepResult]:
    """Runs every step for real; each must be done."""
    carrier = Carrier(lambda host: Here(), lambda reference: resolve(reference, tmp))
    results = [carrier.carry_out(step) for step in plan.steps]
    for result in results:
        assert result.done, (result.step.why.vi, result.trouble.vi)
    return results


def take_back(results: list[StepResult], tmp: Path) -> list[Step]:
    """Undoes them, last first; each must be done."""
    carrier = Carrier(lambda host: Here(), lambda reference: resolve(reference, tmp))
    steps = undo_order(results)
    for step in steps:
        result = carrier.carry_out(step)
        assert result.done, (step.why.vi, result.trouble.vi)
    return steps


logging.getLogger("paramiko").setLevel(logging.CRITICAL)
