"""One HTTP request to one pinned address by libcurl: bounded in time, in bytes (after decompression), verified."""

from __future__ import annotations

import errno
import os
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Times in seconds; `first_byte` is the wait after connection and handshake.

    presented: libcurl's CERTINFO, one list of (name, value) for each certificate. location: the header as text.
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


class _Take:
    """Keeps body and headers up to the cap."""

    def __init__(self, most: int) -> None:
        self.body = bytearray()
        self.headers: list[bytes] = []
        self.over = False
        self._most = most

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
            if colon and key.strip().lower() == name:
                return value.strip().decode("utf-8", "replace")
        return ""


def fetch(
    url: str, host: str, port: int, address: str, authority: Path | None, timeout: float, most_bytes: int,
    *, handshake: bool = False,
) -> Answer:
    """Gets `url` from `address` alone. Raises CannotSee when there is nothing to verify certificates with."""
    import pycurl

    take = _Take(most_bytes)
    handle = pycurl.Curl()
    try:
        _prepare(handle, url, f"{bracketed(host)}:{port}:{bracketed(address)}:{port}", authority, timeout, take)
        if handshake:
            handle.setopt(pycurl.CONNECT_ONLY, 1)
        code, words = 0, ""
        try:
            handle.perform()
        except pycurl.error as error:
            code, words = int(error.args[0]), str(error.args[1])
        return _answer(handle, code, words, take)
    finally:
        handle.close()


def _prepare(
    handle: pycurl.Curl, url: str, pin: str, authority: Path | None, timeout: float, take: _Take
) -> None:
    import pycurl

    from ops import __version__

    protocols = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    options: list[tuple[int, object]] = [
        (pycurl.URL, url), (pycurl.CONNECT_TO, [pin]), (pycurl.PROTOCOLS, protocols),
        (pycurl.REDIR_PROTOCOLS, protocols), (pycurl.FOLLOWLOCATION, 0), (pycurl.PROXY, ""), (pycurl.NOPROXY, "*"),
        (pycurl.NOSIGNAL, 1), (pycurl.FRESH_CONNECT, 1), (pycurl.FORBID_REUSE, 1), (pycurl.SSL_SESSIONID_CACHE, 0),
        (pycurl.TIMEOUT_MS, max(1, int(timeout * 1000))), (pycurl.CONNECTTIMEOUT_MS, max(1, int(timeout * 1000))),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2), (pycurl.SSL_VERIFYPEER, 1), (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.OPT_CERTINFO, 1), (pycurl.HTTP09_ALLOWED, 0), (pycurl.ACCEPT_ENCODING, ""),
        (pycurl.USERAGENT, f"gaccong/{__version__}"), (pycurl.WRITEFUNCTION, take.write),
        (pycurl.HEADERFUNCTION, take.header), (pycurl.HTTPHEADER, ["Accept: text/html,*/*;q=0.5"]),
    ]
    for option, value in options:
        handle.setopt(option, value)
    # The wheel's compiled-in bundle is a path of another system: always say which one.
    bundle = bundle_path()
    if authority is None:
        handle.setopt(pycurl.CAINFO, bundle)
    else:
        handle.setopt(pycurl.CAINFO_BLOB, _bundle_with(bundle, str(authority), *_stamps(bundle, authority)))


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


def _stamps(bundle: str, authority: Path) -> tuple[int, int]:
    try:
        return Path(bundle).stat().st_mtime_ns, authority.stat().st_mtime_ns
    except OSError as error:
        raise CannotSee(
            say("không đọc được tệp chứng thư gốc {path}: {why}", "cannot read the authority file {path}: {why}",
                path=authority, why=os.strerror(error.errno or 0)),
            say("kiểm tra mục monitoring.authority", "check monitoring.authority"),
        ) from None


@lru_cache(maxsize=16)
def _bundle_with(bundle: str, authority: str, bundle_stamp: int, authority_stamp: int) -> bytes:
    """Both files as one, kept until either changes."""
    return Path(bundle).read_bytes() + b"\n" + Path(authority).read_bytes()


def _answer(handle: pycurl.Curl, code: int, words: str, take: _Take) -> Answer:
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
    )


def _reason(handle: pycurl.Curl, code: int, connected: float, take: _Take) -> Reason | None:
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
