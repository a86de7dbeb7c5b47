"""Addresses of pages: one spelling each, which of them are the site's, and how alike they are. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import quote, urljoin, urlsplit

LONGEST = 2000
DEEPEST = 24
_PORTS = {"http": 80, "https": 443}
_SAFE = "!$&'()*+,;=:@/-._~%"
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_STRIPPED = "".join(map(chr, range(33)))
_OWN = ipaddress.ip_network("64:ff9b::/96")
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
"""Whatever the Internet at large has of IPv6; all else is local, translated, or somebody's trick."""


def normal(value: str, base: str = "") -> str:
    """An absolute http(s) address without fragment, in one spelling; "" for what is no address of a page.

    Letters beyond ASCII become the escapes of their UTF-8 bytes exactly as they are written, composed or not: a server
    that holds a file under a decomposed name is asked for that name, as a browser asks for it.
    """
    try:
        value = re.sub(r"[\t\r\n]", "", value.strip(_STRIPPED))
        parts = urlsplit(urljoin(base, value) if base else value)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not host or parts.username is not None or len(value) > LONGEST:
        return ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    if not re.fullmatch(r"[a-z0-9._:-]+", host):
        return ""
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port not in (None, _PORTS[parts.scheme]) else "")
    path = _escaped(_straight(parts.path or "/"), _SAFE)
    query = f"?{_escaped(parts.query, _SAFE + '?')}" if parts.query else ""
    made = f"{parts.scheme}://{place}{path}{query}"
    return made if len(made) <= LONGEST * 3 else ""


def _escaped(text: str, safe: str) -> str:
    made = quote(text, safe=safe, errors="replace")
    return _ESCAPE.sub(_one_escape, made)


def _one_escape(found: re.Match[str]) -> str:
    byte = int(found.group(1), 16)
    return chr(byte) if byte in _UNRESERVED else found.group(0).upper()


def _straight(path: str) -> str:
    """Without `.` and `..` (RFC 3986, 5.2.4)."""
    made: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if len(made) > 1:
                made.pop()
        elif part != ".":
            made.append(part)
    if parts[-1] in (".", ".."):
        made.append("")
    joined = "/".join(made)
    return joined if joined.startswith("/") else f"/{joined}"


def place_of(address: str) -> str:
    """host, or host:port where the port is not the scheme's own."""
    parts = urlsplit(address)
    return (parts.hostname or "") + (f":{parts.port}" if parts.port else "")


@dataclass(frozen=True)
class Scope:
    """Which addresses are the site's. places: host or host:port; left_out: patterns of path with query (`/lich/*`)."""

    places: frozenset[str]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, seeds: Iterable[str], hosts: Iterable[str], left_out: Iterable[str]) -> Scope:
        """The places of the seeds and of further host names."""
        return cls(frozenset([*map(place_of, seeds), *hosts]), tuple(left_out))

    def holds(self, address: str) -> bool:
        """True for a page of the site that is not left out, nor plainly a trap."""
        if place_of(address) not in self.places:
            return False
        parts = urlsplit(address)
        steps = [step for step in parts.path.split("/") if step]
        # /a/b/a/b/a/b…: a relative link that answers at every depth
        if len(steps) > DEEPEST or any(steps.count(step) > 3 for step in set(steps)):
            return False
        asked = parts.path + (f"?{parts.query}" if parts.query else "")
        return not any(fnmatchcase(asked, pattern) for pattern in self.left_out)


def shape(address: str) -> str:
    """What endless pages have in common: digits are all one, of a query only its keys count."""
    parts = urlsplit(address)
    keys = sorted({item.partition("=")[0] for item in parts.query.split("&")})
    return re.sub(r"\d+", "#", f"{parts.netloc.split(':')[0]}{parts.path}?{'&'.join(keys)}")


def sort_key(address: str) -> str:
    """The address turned round for sorting (SURT): `vn,xamau)/tin?id=1`."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    turned = host if re.search(r":|^[\d.]+$", host) else ",".join(reversed(host.split(".")))
    port = f":{parts.port}" if parts.port else ""
    return (f"{turned}{port}){parts.path}" + (f"?{parts.query}" if parts.query else "")).lower()


def public(address: str) -> bool:
    """True for an IP address of the Internet at large; an IPv4 address inside an IPv6 one is looked at itself."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _OWN:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            found = inner
        elif found not in _GIVEN_OUT:
            return False
    return found.is_global and not found.is_multicast
