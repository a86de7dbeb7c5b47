"""One GET at a time by libcurl over a kept connection: bounded in time and bytes, verified, and never into a private
network unless the settings name it.

The answer is taken as it was sent: no content encoding is undone, so that what is archived is what came. Only chunks
are joined, as WARC wants it; their header line is renamed.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup.crawl.addresses import public

CONNECT_SECONDS = 15
PAGE_SECONDS = 300
SLOWEST, SLOW_SECONDS = 512, 20
"""Bytes a second below which, over so many seconds, an answer is given up."""
MOST_HEADER = 128 << 10
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. status 0: nothing whole, and `error` says why; refused: it was we who did not want it.

    head: status line and headers, as sent.
    """

    status: int
    error: str = ""
    head: bytes = b""
    body: bytes = field(default=b"", repr=False)
    request: bytes = b""
    address: str = ""
    refused: bool = False

    def header(self, name: str) -> str:
        """The last header of that name, or ""."""
        found = ""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.encode():
                found = value.strip().decode("utf-8", "replace")
        return found


def authorities(own: str = "") -> bytes:
    """The root certificates of this machine, with the site's own authority from a PEM file. Raises OSError."""
    import ssl

    paths = ssl.get_default_verify_paths()
    found = next((Path(path) for path in (*_BUNDLES, paths.cafile or "") if path and Path(path).is_file()), None)
    return (found.read_bytes() if found else b"") + b"\n" + (Path(own).read_bytes() if own else b"")


class Wire:
    """agent: the User-Agent. most: bytes of one body. inside: private networks that may be asked. roots: certificates of
    the authorities that are believed, PEM."""

    def __init__(self, agent: str, most: int, inside: tuple[Network, ...] = (), roots: bytes = b"") -> None:
        import pycurl

        self._most, self._inside, self._refused = most, inside, ""
        self._opened: list[socket.socket] = []
        self._handle, protocols = pycurl.Curl(), pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
        options: list[tuple[int, object]] = [
            (pycurl.PROTOCOLS, protocols), (pycurl.FOLLOWLOCATION, 0), (pycurl.PROXY, ""), (pycurl.NOPROXY, "*"),
            (pycurl.NOSIGNAL, 1), (pycurl.CONNECTTIMEOUT, CONNECT_SECONDS), (pycurl.TIMEOUT, PAGE_SECONDS),
            (pycurl.LOW_SPEED_LIMIT, SLOWEST), (pycurl.LOW_SPEED_TIME, SLOW_SECONDS), (pycurl.VERBOSE, 1),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1), (pycurl.HTTP09_ALLOWED, 0), (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2), (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2), (pycurl.USERAGENT, agent),
            (pycurl.OPENSOCKETFUNCTION, self._open), (pycurl.PATH_AS_IS, 1), (pycurl.MAXFILESIZE_LARGE, most),
            # libcurl's own bundle is a path of the machine that it was built on: always say which roots
            (pycurl.CAINFO_BLOB, roots or b"\n"),
        ]
        for option, value in options:
            self._handle.setopt(option, value)

    def get(self, address: str, headers: Iterable[str] = ()) -> Reply:
        """The answer to one request; redirects are the caller's to follow."""
        import pycurl

        self._refused, take = "", _Take(self._most)
        for option, value in (
                (pycurl.URL, address), (pycurl.HTTPHEADER, ["Accept: */*", "Accept-Encoding: identity", *headers]),
                (pycurl.WRITEFUNCTION, take.write), (pycurl.HEADERFUNCTION, take.header),
                (pycurl.DEBUGFUNCTION, take.debug)):
            self._handle.setopt(option, value)
        try:
            self._handle.perform()
        except pycurl.error as error:
            refused = bool(self._refused) or take.over or error.args[0] == pycurl.E_FILESIZE_EXCEEDED
            return Reply(0, self._why(int(error.args[0]), str(error.args[1]), take), refused=refused)
        finally:
            while self._opened:
                self._opened.pop().close()  # libcurl works with a copy of its own
        return Reply(int(self._handle.getinfo(pycurl.RESPONSE_CODE)), "", take.head(), bytes(take.body),
                     bytes(take.request), str(self._handle.getinfo(pycurl.PRIMARY_IP)))

    def close(self) -> None:
        """Ends the connection."""
        self._handle.close()

    def _open(self, purpose: int, address: Any) -> Any:
        """The socket that libcurl is to connect with; none for an address that a public site must not lead to."""
        import pycurl

        there = str(address.addr[0])
        if not public(there) and not any(ipaddress.ip_address(there.partition("%")[0]) in net for net in self._inside):
            self._refused = there
            return pycurl.SOCKET_BAD
        self._opened.append(socket.socket(address.family, address.socktype, address.protocol))
        return self._opened[-1]

    def _why(self, code: int, said: str, take: _Take) -> str:
        if self._refused:
            return f"leads to the private address {self._refused}"
        if take.over or code == 63:
            return f"more than {self._most} bytes"
        if code == 18:
            return "cut off: fewer bytes than announced"
        return re.sub(r"[^\x20-\x7e]", "?", said)[:200] or f"libcurl {code}"


class _Take:
    """Keeps request, headers and body, each up to its cap."""

    def __init__(self, most: int) -> None:
        self.body, self.request = bytearray(), bytearray()
        self.lines: list[bytes] = []
        self.over = False
        self._most, self._size = most, 0

    def write(self, chunk: bytes) -> int:
        """A short count ends the transfer."""
        if len(self.body) + len(chunk) > self._most:
            self.over = True
            return 0
        self.body += chunk
        return len(chunk)

    def header(self, line: bytes) -> int:
        """Lines of the last answer (an interim 1xx one is forgotten; trailers come after the empty line)."""
        if line.startswith(b"HTTP/"):
            self.lines.clear()
        self._size += len(line)
        if self._size > MOST_HEADER:
            self.over = True
            return 0
        self.lines.append(line)
        return len(line)

    def debug(self, kind: int, data: bytes) -> None:
        """The bytes of the request's header as they went out."""
        import pycurl

        if kind == pycurl.INFOTYPE_HEADER_OUT and len(self.request) < MOST_HEADER:
            self.request += data

    def head(self) -> bytes:
        """Status line and headers with the line ends of the protocol; the body is no longer in chunks."""
        made = []
        for line in self.lines:
            bare = line.rstrip(b"\r\n")
            if not bare:
                break
            if bare.lower().startswith(b"transfer-encoding:"):
                bare = b"X-Archive-Orig-" + bare
            made.append(bare)
        return b"\r\n".join(made) + b"\r\n\r\n"
