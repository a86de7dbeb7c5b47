"""The invented people of the demo: roster, accounts of a small Linux server, and editors of the application.

Five people and one control account. One of them, a collaborator, left six weeks ago and still has everything: a Linux
account with a key and sudo, and an enabled editor's login.
"""

from __future__ import annotations

import csv
import secrets
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from ops.cli.demo import content, pages, passwords
from ops.cli.demo.layout import Demo
from ops.cli.demo.tls import private
from ops.errors import GaccongError
from ops.model import nfc, say

LINUX = "may-chu"
EDITORS = "bien-tap"
CONTROL = "doi-chung"
GONE_DAYS = 42


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person. login: the name on both systems; linux, editor: whether they have that account."""

    name: str
    unit: str
    role: str
    login: str
    linux: bool
    editor: str
    sudo: bool = False
    gone: bool = False


PEOPLE = (
    Person("Trần Minh Họa", "Ban Biên tập", "Trưởng Ban Biên tập", "hoa", False, "quản trị"),
    Person("Phạm Thử Nghiệm", "Tổ chuyên trách", "Kỹ thuật viên", "nghiem", True, "quản trị", sudo=True),
    Person("Nguyễn Thị Ví Dụ", "Tổ chuyên trách", "Biên tập viên", "vidu", False, "biên tập"),
    Person("Lê Văn Mẫu", "Tổ chuyên trách", "Biên tập viên", "mau", True, "biên tập"),
    Person("Đỗ Giả Định", "Cộng tác viên", "Cộng tác viên", "dinh", True, "biên tập", sudo=True, gone=True),
    Person("Tài khoản đối chứng", "Tổ chuyên trách", "Máy kiểm tra (gaccong)", CONTROL, False, "đối chứng"),
)
LEAVER = next(person for person in PEOPLE if person.gone)
STAYING = next(person for person in PEOPLE if person.linux and not person.gone)


def write(demo: Demo, today: date) -> None:
    """Writes roster, Linux files, keys and database. Everything but the keys is new each time."""
    private(demo.secrets / "control", secrets.token_urlsafe(18).encode() + b"\n")
    _roster(demo.roster, today)
    _linux(demo, today)
    _database(demo, today)


def _roster(path: Path, today: date) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("person", "unit", "role", "from", "until", "logins"))
        for person in PEOPLE:
            logins = [f"{LINUX}:{person.login}"] * person.linux + [f"{EDITORS}:{person.login}"] * bool(person.editor)
            until = (today - timedelta(days=GONE_DAYS)).isoformat() if person.gone else ""
            start = (today - timedelta(days=700)).isoformat()
            cells = (person.name, person.unit, person.role, start, until, " ".join(logins))
            rows.writerow([nfc(cell) for cell in cells])


def _linux(demo: Demo, today: date) -> None:
    """`root/etc/{passwd,shadow,group,sudoers,sudoers.d,ssh}`, `root/home`, one crontab: shaped like a Debian server."""
    etc = demo.system / "etc"
    for folder in (etc / "sudoers.d", etc / "ssh", demo.system / "home", demo.system / "var/spool/cron/crontabs"):
        folder.mkdir(parents=True)
    owners = [person for person in PEOPLE if person.linux]
    numbered = list(enumerate(owners, 1001))
    passwd = [f"{p.login}:x:{uid}:{uid}:{nfc(p.name)},,,:/home/{p.login}:/bin/bash" for uid, p in numbered]
    changed = (today - timedelta(days=300) - date(1970, 1, 1)).days
    shadow = [f"{p.login}:{_crypt(secrets.token_urlsafe(18))}:{changed}:0:99999:7:::" for _, p in numbered]
    admins = ",".join(person.login for person in owners if person.sudo)
    group = [f"sudo:x:27:{admins}", *(f"{p.login}:x:{uid}:" for uid, p in numbered)]
    _lines(etc / "passwd", [*_SYSTEM_PASSWD, *passwd])
    locked = [f"{line.partition(':')[0]}:*:{changed}:0:99999:7:::" for line in _SYSTEM_PASSWD]
    private(etc / "shadow", ("\n".join([*locked, *shadow]) + "\n").encode())
    _lines(etc / "group", [*_SYSTEM_GROUPS, *group])
    _lines(etc / "sudoers", ["root ALL=(ALL:ALL) ALL", "%sudo ALL=(ALL:ALL) ALL", "@includedir /etc/sudoers.d"])
    _lines(etc / "ssh" / "sshd_config", ["PermitRootLogin no", "PasswordAuthentication no"])
    _lines(etc / "shells", ["/bin/sh", "/bin/bash"])
    (etc / "sudoers.d" / LEAVER.login).write_text(f"{LEAVER.login} ALL=(root) NOPASSWD: /usr/sbin/nginx -s reload\n")
    (etc / "sudoers.d" / LEAVER.login).chmod(0o440)
    for person in owners:
        _home(demo, person.login)
    crontab = demo.system / "var/spool/cron/crontabs" / STAYING.login
    _lines(crontab, ["30 1 * * * gaccong run", "15 3 * * 0 gaccong report annual-risk --format pdf --out /srv/bao-cao"])
    crontab.chmod(0o600)


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _home(demo: Demo, login: str) -> None:
    home = demo.system / "home" / login
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (home / ".profile").write_text("umask 022\n")
    key = demo.keys / login
    if not key.exists() or not key.with_suffix(".pub").exists():
        for old in (key, key.with_suffix(".pub")):
            old.unlink(missing_ok=True)
        _told("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{login}@may-tinh-rieng", "-f", str(key))
    target = home / ".ssh" / "authorized_keys"
    target.write_text(key.with_suffix(".pub").read_text())
    target.chmod(0o600)


def _crypt(password: str) -> str:
    """A SHA-512 crypt(3) entry, as /etc/shadow holds it."""
    return _told("openssl", "passwd", "-6", "-stdin", feed=password.encode()).decode().strip()


def _told(*argv: str, feed: bytes = b"") -> bytes:
    done = subprocess.run(argv, input=feed, capture_output=True, timeout=30, check=False)
    if done.returncode:
        raise GaccongError(
            say("{t} không chạy được: {e}", "{t} failed: {e}", t=argv[0], e=done.stderr.decode("utf-8", "replace")),
            say("chạy ./setup core", "run ./setup core"),
        )
    return done.stdout


def _database(demo: Demo, today: date) -> None:
    demo.database.parent.mkdir()
    control = (demo.secrets / "control").read_text().strip()
    editors = [person for person in PEOPLE if person.editor]
    chosen = [control if person.login == CONTROL else secrets.token_urlsafe(18) for person in editors]
    with ThreadPoolExecutor(2) as pool:
        stored = list(pool.map(passwords.encode, chosen))
    seen = f"{(today - timedelta(days=GONE_DAYS + 1)).isoformat()}T08:00:00.000000Z"
    with closing(sqlite3.connect(demo.database)) as rows, rows:
        rows.executescript(_SCHEMA)
        rows.executemany(
            "INSERT INTO editors (login, name, role, enabled, password, last_login) VALUES (?, ?, ?, 1, ?, ?)",
            [(p.login, nfc(p.name), nfc(p.editor), kept, seen) for p, kept in zip(editors, stored, strict=True)],
        )
        rows.executemany(
            "INSERT INTO articles (slug, title, lead, published, author) VALUES (?, ?, ?, ?, ?)",
            [
                (slug, nfc(title), nfc(lead), pages.news_day(today, number).isoformat(), editors[number % 3].login)
                for number, (slug, title, lead, _) in enumerate(content.NEWS)
            ],
        )
    demo.database.chmod(0o600)


_SCHEMA = """
CREATE TABLE editors (
    login TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    password TEXT NOT NULL, last_login TEXT
);
CREATE TABLE articles (
    slug TEXT PRIMARY KEY, title TEXT NOT NULL, lead TEXT NOT NULL, published TEXT NOT NULL,
    author TEXT NOT NULL REFERENCES editors (login)
);
CREATE TABLE letters (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, mail TEXT NOT NULL, text TEXT NOT NULL,
    received TEXT NOT NULL
);
"""
_SYSTEM_PASSWD = (
    "root:x:0:0:root:/root:/bin/bash",
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin",
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin",
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
)
_SYSTEM_GROUPS = ("root:x:0:", "daemon:x:1:", "www-data:x:33:", "nogroup:x:65534:")
