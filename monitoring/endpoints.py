"""Addresses as people write them: `host:port`, `[v6]:port`, families, and which addresses belong to the public."""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from functools import lru_cache

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


class Family(StrEnum):
    """The two internets. A probe belongs to one of them from its first question to its last byte."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def record(self) -> str:
        """The DNS record that holds its addresses."""
        return "A" if self is Family.IPV4 else "AAAA"

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if self is Family.IPV4 else 6

    @property
    def label(self) -> str:
        """As people write it."""
        return "IPv4" if self is Family.IPV4 else "IPv6"


@lru_cache(maxsize=16_384)
def is_literal(host: str) -> bool:
    """True when `host` is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def endpoint(text: str, default_port: int = 0) -> tuple[str, int]:
    """(host, port) of `host:port`, `[v6]:port`, or of a bare host when `default_port` is given. Raises ValueError."""
    host, port = _split(text.strip())
    if not is_literal(host) and not _NAME.fullmatch(host):
        raise ValueError(text)
    number = default_port if port is None else int(port)
    if not 0 < number < 65536:
        raise ValueError(text)
    return host, number


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")) or ":" not in host:
            raise ValueError(text)
        return host, rest[1:] if rest else None
    if is_literal(text):
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def nameserver(text: str) -> tuple[str, int]:
    """(address, port) of a name server; port 53 when it is left out."""
    return endpoint(text, 53)


def bracketed(host: str) -> str:
    """The host as it stands in a URL: an IPv6 address wears brackets."""
    return f"[{host}]" if ":" in host else host


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


@lru_cache(maxsize=16_384)
def is_public(address: str) -> bool:
    """True for an address that the whole internet may reach (not private, loopback, link-local, reserved).

    An IPv6 address that carries an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) is as public as that one.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64_LOCAL:
            return False
        carried = _carried(found)
        if carried:
            return all(one.is_global and not one.is_multicast for one in carried)
    return found.is_global and not found.is_multicast


def _carried(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses within (RFC 4291, 6052, 3056, 4380)."""
    if address in _COMPATIBLE or address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    for one in (address.ipv4_mapped, address.sixtofour):
        if one is not None:
            return [one]
    return list(address.teredo or ())


def is_loopback(address: str) -> bool:
    """True for 127.0.0.0/8 and ::1."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


@lru_cache(maxsize=16_384)
def family_of(address: str) -> Family:
    """The family of an address literal."""
    return Family.IPV6 if ipaddress.ip_address(address.partition("%")[0]).version == 6 else Family.IPV4
