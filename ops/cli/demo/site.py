"""Makes the demo site in one folder: pages, certificates, web server, people, database, gaccong's configuration."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from dataclasses import astuple
from datetime import UTC, date, datetime
from pathlib import Path

from ops.cli.demo import config, deadlines, layout, nginx, pages, people, processes, search, tls
from ops.cli.demo.layout import Demo, Ports
from ops.errors import UsageError
from ops.model import say
from ops.moment import local_day

FRESH = (
    "www",
    "nginx",
    "data",
    "root",
    "logs",
    "run",
    "state",
    "repo",
    "repo-2",
    "sites",
    "reports",
    "book",
    "home",
    "dien-thoai",
)
"""What is removed when the site is made anew (with what a restore set aside); certificates, keys and the backup
password stay."""


def make_demo(root: Path, today: date | None = None) -> Demo:
    """A new demo site in `root`. A demo that is there already is stopped and made anew, with its keys and its ports.

    Touches nothing outside `root`. Raises UsageError when `root` holds something else, or its path cannot be used.
    """
    root = root.absolute()
    _refuse_unfit(root)
    known = layout.load(root)
    if known:
        processes.stop(known)
        for path in (*(root / name for name in FRESH), *root.glob(".*khoi-phuc-*")):
            if path.is_dir():
                shutil.rmtree(path)
    demo = Demo(root, _ports(known))
    _folders(demo)
    layout.save(demo)
    today = today or local_day(datetime.now(UTC))
    tls.ensure(demo)
    written = pages.write(demo.www, demo.outside, today)
    _readable(demo.www)
    nginx.write(demo)
    for name in ("restic", "restic-2"):
        if not (demo.secrets / name).exists():
            tls.private(demo.secrets / name, secrets.token_urlsafe(32).encode() + b"\n")
    tls.private(demo.secrets / "truc-ban", f"json://127.0.0.1:{demo.ports.phone}/\n".encode())
    people.write(demo, today)
    search.write(demo.database, written)
    deadlines.write(demo, today)
    config.write(demo, today)
    return demo


def _refuse_unfit(root: Path) -> None:
    if any(sign in str(root) for sign in '"$\\\n\r'):
        raise UsageError(
            say("đường dẫn {p} có ký tự mà máy chủ web không nhận", "nginx cannot take the path {p}", p=root),
            say("chọn thư mục khác", "choose another folder"),
        )
    if root.is_dir() and any(root.iterdir()) and not (root / layout.MARK).exists():
        raise UsageError(
            say("{p} có tệp khác; trang mẫu cần một thư mục trống", "{p} is not empty and is no demo site", p=root),
            say("chọn thư mục khác", "choose another folder"),
        )


def _ports(known: Demo | None) -> Ports:
    """The remembered ports if all are still free, otherwise new ones."""
    if known:
        kept = astuple(known.ports)
        if all(port and layout.is_free(port) for port in kept):
            return known.ports
    return layout.free_ports()


def _folders(demo: Demo) -> None:
    demo.root.mkdir(parents=True, exist_ok=True)
    demo.root.chmod(0o755)
    for folder in (demo.secrets, demo.keys, demo.state):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    for folder in (demo.run, demo.logs, demo.www):
        folder.mkdir(exist_ok=True)


def _readable(folder: Path) -> None:
    """The public pages are for every account to read, whatever the umask was."""
    for path in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):
            path.chmod(0o755 if path.is_dir() else 0o644)
