"""Resolves one name in one family: A or AAAA, each by itself, so that one family's failure never hides in the other's.

Bounded in time, in answers, and in CNAME steps. `/etc/hosts` is not read: visitors do not have ours.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from monitoring.endpoints import Family, family_of, is_literal, nameserver
from monitoring.reasons import Reason

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name

MOST_ADDRESSES = 16
MOST_ALIASES = 8
ATTEMPT_SECONDS = 2.0
_LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the name servers said. `reason` is None exactly when `addresses` is not empty.

    aliases: the CNAME chain, without the asked name; ttl: seconds, 0 for a literal; count: answers before the cap.
    """

    name: str
    family: Family
    addresses: tuple[str, ...]
    reason: Reason | None
    seconds: float
    aliases: tuple[str, ...] = ()
    ttl: int = 0
    count: int = 0


class _Silent(Exception):
    """No name server gave a usable answer. `failed`: at least one said that it cannot."""

    def __init__(self, failed: bool) -> None:
        self.failed = failed
        super().__init__()


def lookup(name: str, family: Family, nameservers: Sequence[str] = (), timeout: float = 5.0) -> Lookup:
    """The addresses of `name` in `family`, or the reason why there are none. Never raises for what a network does.

    nameservers: `address:port` texts; empty for the system's (resolv.conf).
    """
    started = time.monotonic()
    if is_literal(name):
        fits = family_of(name) is family
        return Lookup(name, family, (name,) if fits else (), None if fits else Reason.NO_RECORD, 0.0, count=int(fits))
    if name.rstrip(".").lower() == "localhost":  # RFC 6761, 6.3: never asked of a server
        return Lookup(name, family, (_LOOPBACK[family],), None, 0.0, count=1)
    servers = servers_of(nameservers)
    deadline = started + timeout
    try:
        addresses, aliases, ttl, reason = _follow(name, family, servers, deadline)
    except _Silent as silence:
        reason = _silence(servers, silence.failed)
        addresses, aliases, ttl = (), (), 0
    seconds = time.monotonic() - started
    return Lookup(name, family, addresses[:MOST_ADDRESSES], reason, seconds, aliases, ttl, len(addresses))


def servers_of(nameservers: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The configured name servers, else those of this system's resolv.conf."""
    return tuple(nameserver(text) for text in nameservers) if nameservers else _system_servers()


@lru_cache(maxsize=1)
def _system_servers_at(stamp: float) -> tuple[tuple[str, int], ...]:
    from dns.resolver import NoResolverConfiguration, Resolver

    try:
        return tuple((str(server), 53) for server in Resolver().nameservers)
    except NoResolverConfiguration:
        return ()


def _system_servers() -> tuple[tuple[str, int], ...]:
    from pathlib import Path

    try:
        stamp = Path("/etc/resolv.conf").stat().st_mtime
    except OSError:
        stamp = 0.0
    return _system_servers_at(stamp)


def _follow(
    name: str, family: Family, servers: Sequence[tuple[str, int]], deadline: float
) -> tuple[tuple[str, ...], tuple[str, ...], int, Reason | None]:
    """Asks, and asks again for a CNAME's target when the answer stopped there. Raises _Silent."""
    import dns.exception
    import dns.name
    import dns.rcode

    try:
        asked = dns.name.from_text(name)
    except (dns.exception.DNSException, UnicodeError):
        return (), (), 0, Reason.NXDOMAIN
    aliases: list[str] = []
    seen = {asked}
    for _ in range(MOST_ALIASES):
        answer = _ask(asked, family, servers, deadline)
        target, steps, addresses, ttl = _read(answer, asked, family)
        aliases += steps
        if addresses:
            return addresses, tuple(aliases), ttl, None
        if answer.rcode() == dns.rcode.NXDOMAIN:
            return (), tuple(aliases), 0, Reason.NXDOMAIN
        if not steps:
            return (), tuple(aliases), 0, Reason.NO_RECORD
        if target in seen:
            return (), tuple(aliases), 0, Reason.DNS_LOOP
        seen.add(target)
        asked = target
    return (), tuple(aliases), 0, Reason.DNS_LOOP


def _read(answer: Message, asked: Name, family: Family) -> tuple[Name, list[str], tuple[str, ...], int]:
    """(last name of the CNAME chain, the chain, addresses, lowest TTL) of one answer section."""
    import dns.rdataclass
    import dns.rdatatype

    kind = dns.rdatatype.from_text(family.record)
    steps: list[str] = []
    name, ttl = asked, 1 << 31
    for _ in range(MOST_ALIASES):
        found = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, kind)
        if found is not None:
            # In the server's order: a visitor's program, too, begins with the first.
            return name, steps, tuple(str(item.address) for item in found), min(ttl, found.ttl)
        alias = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if alias is None:
            break
        name, ttl = alias[0].target, min(ttl, alias.ttl)
        steps.append(name.to_text(omit_final_dot=True))
    return name, steps, (), 0


def _ask(asked: Name, family: Family, servers: Sequence[tuple[str, int]], deadline: float) -> Message:
    """The first usable answer of the servers, two rounds of them. Raises _Silent."""
    import dns.rcode

    failed = False
    for _ in range(2):
        for server in servers:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _Silent(failed)
            answer = _exchange(asked, family.record, server, min(left, ATTEMPT_SECONDS))
            if answer is None:
                continue
            if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return answer
            failed = True
        if failed:
            break
    raise _Silent(failed)


def _exchange(asked: Name, record: str, server: tuple[str, int], seconds: float) -> Message | None:
    """One question to one server over UDP, over TCP when the answer was too long. None: no answer."""
    import dns.exception
    import dns.message
    import dns.query

    question = dns.message.make_query(asked, record, use_edns=0, payload=1232)
    try:
        answer, _ = dns.query.udp_with_fallback(
            question, server[0], timeout=seconds, port=server[1], ignore_unexpected=True, ignore_errors=True
        )
    except (dns.exception.DNSException, OSError, EOFError, ValueError):
        return None
    return answer


def _silence(servers: Sequence[tuple[str, int]], failed: bool) -> Reason:
    """Whose silence it is: a resolver that answers nothing, not even about the root, is our trouble, not the site's."""
    if failed:
        return Reason.DNS_FAILED
    import dns.name

    if any(_exchange(dns.name.root, "NS", server, ATTEMPT_SECONDS / 2) is not None for server in servers[:2]):
        return Reason.DNS_TIMEOUT
    return Reason.RESOLVER_SILENT
