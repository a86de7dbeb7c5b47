"""One HTTP request to one pinned address by libcurl: bounded in time, in bytes (after decompression), verified."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from monitoring.endpoints import bracketed
from monitoring.reasons import Reason
from ops import CannotSee, say

if TYPE_CHECKING:
    import pycurl

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_CODES = {
    1: Reason.NOT_HTTP, 3: Reason.REDIRECT_REFUSED, 8: Reason.NOT_HTTP, 16: Reason.NOT_HTTP, 18: Reason.CUT,
    27: Reason.OTHER, 28: Reason.TIMEOUT, 35: Reason.TLS_PROTOCOL, 52: Reason.CLOSED, 55: Reason.CLOSED,
    56: Reason.CLOSED, 60: Reason.TLS_CHAIN, 61: Reason.BAD_ENCODING, 63: Reason.TOO_LARGE, 92: Reason.NOT_HTTP,
    100: Reason.TOO_LARGE,
}
"""libcurl's result codes (curl/curl.h); 7 and 23 need a second look, all others are `other`."""
_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET}
_TCP_RTT = 68
"""Where `tcpi_rtt`, 32 bits of microseconds, stands in struct tcp_info (linux/tcp.h)."""


@dataclass(frozen=True, slots=True)
class Get:
    """One request to make: `url` from `address` alone, bounded in seconds and (decoded) bytes.

    authority: extra PEM file to trust, or None. handshake: stop after the TLS handshake. certificates: read them.
    """

    url: str
    host: str
    port: int
    address: str
    authority: Path | None
    seconds: float
    most_bytes: int
    handshake: bool = False
    certificates: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Times in seconds; `first_byte` is the wait after connection and handshake.

    presented: libcurl's CERTINFO, one list of (name, value) for each certificate. location: the header as text.
    headers: (lower-case name, value) in their order, at most 100, each value at most 4,000 letters.
    rtt: the kernel's round-trip time, which a busy machine cannot lengthen; 0 without a connection.
    queued: how long the request waited for its own turn before it was made.
    """

    reason: Reason | None
    words: str = ""
    status: int = 0
    location: str = ""
    content_type: str = ""
    body: bytes = field(default=b"", repr=False)
    connect: float = 0.0
    tls: float = 0.0
    first_byte: float = 0.0
    transfer: float = 0.0
    verify_result: int = 0
    presented: Sequence[Sequence[tuple[str, str]]] = ()
    headers: tuple[tuple[str, str], ...] = ()
    rtt: float = 0.0
    queued: float = 0.0


class Take:
    """Keeps body and headers up to the cap, and the socket for the kernel's own times."""

    def __init__(self, most: int) -> None:
        self.body = bytearray()
        self.headers: list[bytes] = []
        self.over = False
        self._most = most
        self._socket: socket.socket | None = None

    def open(self, _purpose: int, address: tuple[int, int, int, object]) -> socket.socket:
        """Makes the socket for libcurl, which keeps a duplicate: ours stays open until the times are read."""
        if self._socket is not None:
            self._socket.close()
        self._socket = socket.socket(address[0], address[1], address[2])
        return self._socket

    def rtt(self) -> float:
        """The kernel's smoothed round-trip time in seconds, 0 when there was no connection."""
        if self._socket is None:
            return 0.0
        try:
            told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_RTT + 4)
        except OSError:
            return 0.0
        return int.from_bytes(told[_TCP_RTT:], sys.byteorder) / 1e6

    def close(self) -> None:
        """Lets the socket go, and what was taken."""
        self.body = bytearray()
        self.headers = []
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def write(self, chunk: bytes) -> int:
        """libcurl hands on decoded bytes; a short count ends the transfer."""
        room = self._most - len(self.body)
        self.body += chunk[:room]
        if len(chunk) > room:
            self.over = True
            return 0
        return len(chunk)

    def header(self, line: bytes) -> None:
        """Header lines of the last answer (an interim 1xx answer is forgotten)."""
        if line.startswith(b"HTTP/"):
            self.headers.clear()
        self.headers.append(line)

    def value(self, name: bytes) -> str:
        """The last header of that name."""
        for line in reversed(self.headers):
            key, colon, value = line.partition(b":")
            if colon and len(key) >= len(name) and key.strip().lower() == name:
                return value.strip().decode("utf-8", "replace")
        return ""

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The headers by name, bounded: an answer may carry very many."""
        split = (line.partition(b":") for line in self.headers[:100])
        return tuple(
            (key.strip().lower().decode("latin-1")[:100], value.strip().decode("utf-8", "replace")[:4000])
            for key, colon, value in split if colon
        )


def fetch(get: Get) -> Answer:
    """Makes one request and waits for it. Raises CannotSee when there is nothing to verify certificates with."""
    import pycurl

    take = Take(get.most_bytes)
    handle = pycurl.Curl()
    try:
        settle(handle)
        # The wheel's compiled-in bundle is a path of another system: always say which one.
        bundle = bundle_path()
        if get.authority is None:
            handle.setopt(pycurl.CAINFO, bundle)
        else:
            handle.setopt(pycurl.CAINFO_BLOB, bundle_with(bundle, get.authority))
        address_to(handle, get, take)
        code, words = 0, ""
        try:
            handle.perform()
        except pycurl.error as error:
            code, words = int(error.args[0]), str(error.args[1])
        return answer_of(handle, code, words, take)
    finally:
        handle.close()
        take.close()


def settle(handle: pycurl.Curl) -> None:
    """What is the same for every request; a handle of the prober's pool keeps it."""
    import pycurl

    from ops import __version__

    protocols = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    options: list[tuple[int, object]] = [
        (pycurl.PROTOCOLS, protocols), (pycurl.REDIR_PROTOCOLS, protocols), (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROXY, ""), (pycurl.NOPROXY, "*"), (pycurl.NOSIGNAL, 1), (pycurl.FRESH_CONNECT, 1),
        (pycurl.FORBID_REUSE, 1), (pycurl.SSL_SESSIONID_CACHE, 0), (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1), (pycurl.SSL_VERIFYHOST, 2), (pycurl.HTTP09_ALLOWED, 0),
        (pycurl.ACCEPT_ENCODING, ""), (pycurl.USERAGENT, f"gaccong/{__version__}"),
        (pycurl.HTTPHEADER, ["Accept: text/html,*/*;q=0.5"]),
    ]
    for option, value in options:
        handle.setopt(option, value)


def address_to(handle: pycurl.Curl, get: Get, take: Take) -> None:
    """What belongs to one request: where to, how long, and who takes what comes."""
    import pycurl

    milliseconds = max(1, int(get.seconds * 1000))
    handle.setopt(pycurl.URL, get.url)
    handle.setopt(pycurl.CONNECT_TO, [f"{bracketed(get.host)}:{get.port}:{bracketed(get.address)}:{get.port}"])
    handle.setopt(pycurl.TIMEOUT_MS, milliseconds)
    handle.setopt(pycurl.CONNECTTIMEOUT_MS, milliseconds)
    handle.setopt(pycurl.CONNECT_ONLY, 1 if get.handshake else 0)
    handle.setopt(pycurl.OPT_CERTINFO, 1 if get.certificates else 0)
    handle.setopt(pycurl.WRITEFUNCTION, take.write)
    handle.setopt(pycurl.HEADERFUNCTION, take.header)
    handle.setopt(pycurl.OPENSOCKETFUNCTION, take.open)


def bundle_path() -> str:
    """The system's certificate bundle. Raises CannotSee when there is none: an unverified look proves nothing."""
    import ssl

    paths = ssl.get_default_verify_paths()
    for path in (*BUNDLES, paths.cafile, paths.openssl_cafile):
        if path and Path(path).is_file():
            return path
    raise CannotSee(
        say("máy này không có bộ chứng thư gốc nào", "this machine has no bundle of root certificates"),
        say("apt-get install ca-certificates", "apt-get install ca-certificates"),
    )


def stamps(bundle: str, authority: Path) -> tuple[int, int]:
    """When both files were last written. Raises CannotSee when either cannot be read."""
    try:
        return Path(bundle).stat().st_mtime_ns, authority.stat().st_mtime_ns
    except OSError as error:
        raise CannotSee(
            say("không đọc được tệp chứng thư gốc {path}: {why}", "cannot read the authority file {path}: {why}",
                path=authority, why=os.strerror(error.errno or 0)),
            say("kiểm tra mục monitoring.authority", "check monitoring.authority"),
        ) from None


def bundle_with(bundle: str, authority: Path) -> bytes:
    """The system's bundle and one's own authority as one PEM text. Raises CannotSee when either cannot be read."""
    return _bundle_with(bundle, str(authority), *stamps(bundle, authority))


@lru_cache(maxsize=16)
def _bundle_with(bundle: str, authority: str, bundle_stamp: int, authority_stamp: int) -> bytes:
    """Both files as one, kept until either changes."""
    return Path(bundle).read_bytes() + b"\n" + Path(authority).read_bytes()


def answer_of(handle: pycurl.Curl, code: int, words: str, take: Take, queued: float = 0.0) -> Answer:
    """What a finished request brought; `code` and `words` are libcurl's result."""
    import pycurl

    connected, secured = handle.getinfo(pycurl.CONNECT_TIME), handle.getinfo(pycurl.APPCONNECT_TIME)
    first, total = handle.getinfo(pycurl.STARTTRANSFER_TIME), handle.getinfo(pycurl.TOTAL_TIME)
    ready = secured or connected
    return Answer(
        reason=_reason(handle, code, connected, take),
        words=words[:200], status=int(handle.getinfo(pycurl.RESPONSE_CODE)), location=take.value(b"location"),
        content_type=take.value(b"content-type"), body=bytes(take.body), connect=connected,
        tls=max(0.0, secured - connected) if secured else 0.0,
        first_byte=max(0.0, first - ready) if first else 0.0, transfer=max(0.0, total - first) if first else 0.0,
        verify_result=int(handle.getinfo(pycurl.SSL_VERIFYRESULT)), presented=handle.getinfo(pycurl.INFO_CERTINFO),
        headers=take.pairs(), rtt=take.rtt() if connected else 0.0, queued=queued,
    )


def _reason(handle: pycurl.Curl, code: int, connected: float, take: Take) -> Reason | None:
    import pycurl

    if code == 0:
        return None
    if code == pycurl.E_COULDNT_CONNECT:
        number = int(handle.getinfo(pycurl.OS_ERRNO))
        if number == errno.ETIMEDOUT:
            return Reason.CONNECT_TIMEOUT
        return Reason.REFUSED if number in _REFUSED else Reason.UNREACHABLE
    if code == pycurl.E_OPERATION_TIMEDOUT and not connected:
        return Reason.CONNECT_TIMEOUT
    if code == pycurl.E_WRITE_ERROR:
        return Reason.TOO_LARGE if take.over else Reason.BAD_ENCODING
    return _CODES.get(code, Reason.OTHER)
