"""`[site.NAME.monitoring.dns]`: names and certificates."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

from ops import Strict, Word, fault

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_PATTERN = re.compile(rf"(\*|{_LABEL})(\.{_LABEL})+")
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _ascii(value: str) -> str:
    """Lower case, without the final dot, Vietnamese labels in their xn-- form; "" when it cannot be a name."""
    try:
        return value.lower().rstrip(".").encode("idna").decode("ascii") if value else ""
    except UnicodeError:
        return ""


def _pattern(value: str) -> str:
    star, name = value.startswith("*."), value.removeprefix("*.")
    found = ("*." if star else "") + _ascii(name)
    if not _PATTERN.fullmatch(found):
        raise fault(
            "{value}: không phải mẫu tên miền; viết như xamau.tinhmau.gov.vn hay *.tinhmau.gov.vn",
            "{value}: not a pattern of a name; write it like xamau.tinhmau.gov.vn or *.tinhmau.gov.vn", value=value,
        )
    return found


def _host(value: str) -> str:
    found = _ascii(value)
    if not _HOST.fullmatch(found):
        raise fault("{value}: không phải tên máy", "{value}: not a host name", value=value)
    return found


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise fault(
            "{value}: không phải địa chỉ hay dải địa chỉ; viết như 192.0.2.7 hay 2001:db8::/48",
            "{value}: neither an address nor a network; write it like 192.0.2.7 or 2001:db8::/48", value=value,
        ) from None


def _server(value: str) -> str:
    from monitoring.endpoints import is_literal, nameserver

    try:
        literal = is_literal(nameserver(value)[0])
    except ValueError:
        literal = False
    if not literal:
        raise fault(
            "{value}: ghi bằng địa chỉ IP, như 192.0.2.1 hay [2001:db8::1]:53",
            "{value}: write an IP address, like 192.0.2.1 or [2001:db8::1]:53", value=value,
        )
    return value


Pattern = Annotated[Word, AfterValidator(_pattern)]
HostName = Annotated[Word, AfterValidator(_host)]
Network = Annotated[Word, AfterValidator(_network)]
Server = Annotated[Word, AfterValidator(_server)]


class Names(Strict):
    """What the site's names must be and resolve to.

    pattern:        names that the regulation allows; `*` stands for one label ("*.tinhmau.gov.vn").
    dnssec:         True where the zone must be signed; otherwise an unsigned zone is told, not blamed.
    authoritative:  addresses of the zone's own servers, asked instead of those that its NS records name.
    answers_vary:   True where the servers give different addresses on purpose (a content network).
    addresses:      addresses or networks that the names may resolve to; anything else is a hijack.
    name_servers:   the zone's name servers; anything else is a hijack.
    mail:           the zone's mail servers (MX).
    lookalikes_known: look-alike names that a person has judged (our own, or harmless).
    """

    pattern: tuple[Pattern, ...] = ()
    dnssec: bool = False
    authoritative: tuple[Server, ...] = ()
    answers_vary: bool = False
    addresses: tuple[Network, ...] = ()
    name_servers: tuple[HostName, ...] = ()
    mail: tuple[HostName, ...] = ()
    lookalikes_known: tuple[HostName, ...] = ()
