"""Where everything of the demo site lies, and its ports: one folder, nothing outside it.

The ports are taken from the kernel when the folder is made, and remembered in `demo.json`, so that the configuration
stays the same from one start to the next.
"""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ops.cli.demo.frame import Outside
from ops.errors import UsageError
from ops.model import say

ZONE = "tinhmau.gov.vn"
"""An invented province's zone. Only the demo's own name server holds it, and nothing of the demo asks another one."""
NAME = f"xahoamai.{ZONE}"
ALIAS = f"www.{NAME}"
NAMES = (NAME, ALIAS)
PORTAL = ZONE
SERVICES = f"dichvucong.{ZONE}"
NEIGHBOURS = (PORTAL, SERVICES)
"""The province's portal and its public services: the commune's page must link to both, so that both must answer."""
MARK = "demo.json"


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each listener, all on loopback. https, http and dns on both families, dns over UDP and TCP."""

    https: int
    http: int
    app: int
    dns: int
    page: int
    phone: int


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo site: its folder, its ports, and every path that others need."""

    root: Path
    ports: Ports

    @property
    def url(self) -> str:
        """The front page as the public would name it."""
        return f"https://{NAME}:{self.ports.https}/"

    @property
    def plain(self) -> str:
        """The same front page over plain http: leads to https."""
        return f"http://{NAME}:{self.ports.http}/"

    @property
    def outside(self) -> Outside:
        """The addresses that the pages name."""
        return Outside(self.url, f"https://{PORTAL}:{self.ports.https}/", f"https://{SERVICES}:{self.ports.https}/")

    @property
    def near(self) -> str:
        """The same front page by address, for a browser without the demo's name server."""
        return f"https://127.0.0.1:{self.ports.https}/"

    @property
    def login_url(self) -> str:
        """The sign-in form; by address, because the system's resolver does not know the demo's names."""
        return f"{self.near}dang-nhap"

    @property
    def config(self) -> Path:
        """gaccong's main configuration file."""
        return self.root / "gaccong.toml"

    @property
    def www(self) -> Path:
        """The static pages."""
        return self.root / "www"

    @property
    def database(self) -> Path:
        """The application's SQLite database."""
        return self.root / "data" / "site.db"

    @property
    def nginx(self) -> Path:
        """The folder of the web server's configuration."""
        return self.root / "nginx"

    @property
    def tls(self) -> Path:
        """Server certificate and key, and the authority's certificate."""
        return self.root / "tls"

    @property
    def authority(self) -> Path:
        """The certificate of the demo's own authority."""
        return self.tls / "ca.pem"

    @property
    def secrets(self) -> Path:
        """Secret files, mode 0700."""
        return self.root / "secrets"

    @property
    def keys(self) -> Path:
        """SSH keys of the invented people; kept when the site is made anew."""
        return self.root / "keys"

    @property
    def system(self) -> Path:
        """The root of the small Linux server: etc/, home/, var/."""
        return self.root / "root"

    @property
    def roster(self) -> Path:
        """Who works here, from when, until when."""
        return self.root / "roster.csv"

    @property
    def register(self) -> Path:
        """The register of what is due (monitoring/register.py)."""
        return self.root / "so-theo-doi.csv"

    @property
    def letters(self) -> Path:
        """What the phone of whoever is on call has received, one file for each letter."""
        return self.root / "dien-thoai"

    @property
    def state(self) -> Path:
        """gaccong's own state: ledger, database, key."""
        return self.root / "state"

    @property
    def repository(self) -> Path:
        """The backup repository."""
        return self.root / "repo"

    @property
    def logs(self) -> Path:
        """What the services say."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Process files of the services, and nginx' temporary folders."""
        return self.root / "run"


def load(root: Path) -> Demo | None:
    """The demo site in `root`, or None when there is none. A port that an older version did not know is 0."""
    mark = root.absolute() / MARK
    try:
        kept = json.loads(mark.read_text())["ports"]
        return Demo(root.absolute(), Ports(**{field.name: int(kept.get(field.name, 0)) for field in fields(Ports)}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(demo: Demo) -> None:
    """Remembers the ports."""
    (demo.root / MARK).write_text(json.dumps({"ports": asdict(demo.ports)}, indent=1) + "\n")


def free_ports() -> Ports:
    """Ports that the kernel says are free on both loopback addresses. Raises UsageError without IPv6 on loopback."""
    with ExitStack() as held:
        return Ports(*(_one_free(held) for _ in fields(Ports)))


def is_free(port: int) -> bool:
    """Whether `port` could be listened on now, on both families, TCP and UDP."""
    with ExitStack() as held:
        return _bind(held, port) is not None


def _one_free(held: ExitStack) -> int:
    for _ in range(50):
        port = _bind(held, 0)
        if port is not None:
            return port
    raise UsageError(say("không tìm được cổng trống trên máy này", "no free port was found on this machine"))


def _bind(held: ExitStack, port: int) -> int | None:
    """Holds `port` (0: any) on 127.0.0.1 and ::1, TCP and UDP; None when one of the four is taken."""
    for family, kind, address in (
        (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
        (socket.AF_INET6, socket.SOCK_STREAM, "::1"),
        (socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
        (socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
    ):
        try:
            door = held.enter_context(socket.socket(family, kind))
            if kind is socket.SOCK_STREAM:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((address, port))
        except OSError as error:
            if family is socket.AF_INET6 and not _has_ipv6():
                raise _no_ipv6() from error
            return None
        port = int(door.getsockname()[1])
    return port


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as door:
            door.bind(("::1", 0))
    except OSError:
        return False
    return True


def _no_ipv6() -> UsageError:
    return UsageError(
        say("máy này tắt IPv6 (không có ::1), trang mẫu cần cả hai", "IPv6 is off here (no ::1); the demo needs both"),
        say("chạy trong mạng riêng: ./hermetic make demo", "run it in a network of its own: ./hermetic make demo"),
    )
