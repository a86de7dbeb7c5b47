"""Fixtures of the monitoring tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitoring.lab import Authority, NameServer, Zone, free_port, nginx

PAGE = "<!doctype html><title>Trang mẫu</title><p>Xã Suối Trong kính chào bà con, hôm nay là phiên chợ.</p>"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that tests trust."""
    return Authority(tmp_path_factory.mktemp("ca"), "goc-tin-cay")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "goc-la")


@pytest.fixture
def zone() -> Zone:
    """The zone of `nameserver`; change it at will."""
    return Zone()


@pytest.fixture
def nameserver(zone: Zone) -> Iterator[str]:
    """`127.0.0.1:port` of a name server that answers from `zone`."""
    server = NameServer(zone)
    yield server.text
    server.close()


class Web:
    """One nginx for the session: ports by purpose."""

    def __init__(self, folder: Path, authority: Authority, stranger: Authority) -> None:
        self.folder = folder
        certificates = {
            "good": authority.issue("good", ["xamau.test", "www.xamau.test", "127.0.0.1", "::1"]),
            "soon": authority.issue("soon", ["xamau.test"], days=5),
            "expired": authority.issue("expired", ["xamau.test"], days=-2),
            "early": authority.issue("early", ["xamau.test"], begins=3),
            "foreign": stranger.issue("foreign", ["xamau.test"]),
            "foreign_expired": stranger.issue("foreign_expired", ["xamau.test"], days=-2),
            "misnamed": authority.issue("misnamed", ["khac.test"]),
        }
        self.tls = {kind: free_port() for kind in certificates}
        self.http, self.to_dead_six, self.four_only_tls = free_port(), free_port(), free_port()
        self.two_faced = free_port()
        root = folder / "www"
        root.mkdir(parents=True)
        (root / "index.html").write_text(PAGE, encoding="utf-8")
        blocks = [self._tls(port, *certificates[kind], root) for kind, port in self.tls.items()]
        good = "ssl_certificate {}; ssl_certificate_key {};".format(*certificates["good"])
        blocks += [
            f"server {{ listen 127.0.0.1:{self.http}; listen [::1]:{self.http} ipv6only=on; root {root};\n"
            "location = /loop { return 302 /loop2; } location = /loop2 { return 302 /loop; }\n"
            "location ~ ^/deep(.*)$ { return 302 /deep$1x; }\n"
            "location = /file { return 302 file:///etc/hostname; } location = /gopher { return 302 gopher://x/; }\n"
            "location = /login { return 302 http://a:b@127.0.0.1/; } location = /broken { return 503; }\n"
            "location = /relative { return 301 index.html; } location = /agent { return 200 $http_user_agent; } }",
            f"server {{ listen 127.0.0.1:{self.to_dead_six}; listen [::1]:{self.to_dead_six} ipv6only=on;\n"
            f"return 301 https://xamau.test:{self.four_only_tls}$request_uri; }}",
            f"server {{ listen 127.0.0.1:{self.four_only_tls} ssl; {good} root {root}; }}",
            f"server {{ listen 127.0.0.1:{self.two_faced}; root {root}; }}",
            f"server {{ listen [::1]:{self.two_faced} ipv6only=on; return 200 'Welcome to nginx! It works here.'; }}",
        ]
        self.config = "\n".join(blocks)

    @staticmethod
    def _tls(port: int, certificate: Path, key: Path, root: Path) -> str:
        return (f"server {{ listen 127.0.0.1:{port} ssl; listen [::1]:{port} ssl ipv6only=on; root {root};\n"
                f"ssl_certificate {certificate}; ssl_certificate_key {key}; }}")


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory, authority: Authority, stranger: Authority) -> Iterator[Web]:
    """nginx on 127.0.0.1 and ::1 with one port for each case."""
    made = Web(tmp_path_factory.mktemp("web"), authority, stranger)
    with nginx(made.folder / "n", made.config):
        yield made
