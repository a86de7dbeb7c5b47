"""One running demo site for the whole session, and a plain HTTPS client that chooses address and family itself."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cli.demo import processes
from ops.cli.demo.layout import NAME, Demo
from ops.cli.demo.site import make_demo


class Browser:
    """Asks the site over one address, under one of its names, with full verification of the demo's certificate."""

    def __init__(self, demo: Demo, address: str, name: str = NAME) -> None:
        self.demo, self.address, self.name = demo, address, name
        self.trusted = ssl.create_default_context(cafile=str(demo.authority))

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case), body."""
        connection = http.client.HTTPSConnection(self.name, self.demo.ports.https, timeout=10)
        plain = socket.create_connection((self.address, self.demo.ports.https), timeout=10)
        connection.sock = self.trusted.wrap_socket(plain, server_hostname=self.name)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A running demo site."""
    made = make_demo(tmp_path_factory.mktemp("demo") / "site")
    processes.start(made)
    yield made
    processes.stop(made)


@pytest.fixture(params=["127.0.0.1", "::1"])
def browser(demo: Demo, request: pytest.FixtureRequest) -> Browser:
    """A client over IPv4, then over IPv6."""
    return Browser(demo, request.param)


@pytest.fixture
def checkout() -> Path:
    """The root of this source tree."""
    return Path(__file__).parents[2]
