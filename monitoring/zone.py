"""Asks every name server of a zone the same three questions, over both families: serial, A and AAAA of the site's host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring.endpoints import Family, family_of, is_public, nameserver
from monitoring.names import lookup
from monitoring.questions import MOST, Asker, exchange, name_of, values

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name

MOST_SERVERS = 26
"""Thirteen names with an address of each family."""
SERVER_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Server:
    """One address of one name server."""

    name: str
    address: str
    port: int = 53

    @property
    def family(self) -> Family:
        """The family of its address."""
        return family_of(self.address)

    @property
    def label(self) -> str:
        """`name (address)`, or the address and port as the configuration has them."""
        return self.name if self.address in self.name else f"{self.name} ({self.address})"


@dataclass(frozen=True, slots=True)
class Told:
    """What one server said. `state`: ok, silent (no answer), refused (an error), lame (answers, but is no authority).

    A and AAAA hold addresses, or the alias that stands in their place ("alias:NAME"); empty: there is no such record.
    """

    server: Server
    state: str
    serial: int = 0
    four: tuple[str, ...] = ()
    six: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What visitors are sent to."""
        return self.four, self.six


def servers_of_zone(asker: Asker, zone: Name, nameservers: Sequence[str], public: bool, port: int = 53) -> list[Server]:
    """The zone's servers with all their addresses, at most `MOST_SERVERS`, each server's first address before any second.

    public: the site is; then a server at a private address is not asked (it would lead into our own network).
    Raises Silence when the NS records cannot be had.
    """
    names = asker.records(zone, "NS")[:MOST]
    rows: list[list[Server]] = []
    for one in names:
        for family in Family:
            left = max(0.1, asker.until - time.monotonic())
            found = lookup(one, family, nameservers, min(SERVER_SECONDS, left))
            rows.append([Server(one, address, port) for address in found.addresses if is_public(address) or not public])
    ranked = [row[at] for at in range(4) for row in rows if at < len(row)]
    return ranked[:MOST_SERVERS]


def written(authoritative: Sequence[str]) -> list[Server]:
    """The servers that the configuration names."""
    return [Server(text, *nameserver(text)) for text in authoritative[:MOST_SERVERS]]


def ask_all(servers: Sequence[Server], zone: Name, host: str) -> list[Told]:
    """What each server says, all asked at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    asked = name_of(host) or zone
    with ThreadPoolExecutor(max(1, min(8, len(servers)))) as pool:
        return list(pool.map(lambda server: _ask(server, zone, asked), servers))


def _ask(server: Server, zone: Name, host: Name) -> Told:
    """Two tries for the serial: one lost datagram must not make a server silent."""
    place = (server.address, server.port)
    soa = None
    for _ in range(2):
        soa = soa or exchange(zone, "SOA", place, SERVER_SECONDS, recursive=False)
    if soa is None:
        return Told(server, "silent")
    if soa.rcode() not in (0, 3):
        return Told(server, "refused")
    serial = _serial(soa, zone)
    if serial is None:
        return Told(server, "lame")
    found = []
    for kind in ("A", "AAAA"):
        answer = exchange(host, kind, place, SERVER_SECONDS, recursive=False)
        if answer is None:
            return Told(server, "silent")
        if answer.rcode() not in (0, 3):
            return Told(server, "refused")
        found.append(_sent_to(answer, host, kind))
    return Told(server, "ok", serial, found[0], found[1])


def _serial(answer: Message, zone: Name) -> int | None:
    """The zone's serial when the server speaks with authority."""
    import dns.flags
    import dns.rdatatype

    for rrset in answer.answer:
        if rrset.name == zone and rrset.rdtype == dns.rdatatype.SOA and answer.flags & dns.flags.AA:
            return int(rrset[0].serial)
    return None


def _sent_to(answer: Message, host: Name, kind: str) -> tuple[str, ...]:
    """Addresses, else where the alias of the host points: what stands behind it is another zone's concern."""
    from monitoring.questions import rrset_of

    alias = rrset_of(answer, host, "CNAME")
    if alias is not None:
        return (f"alias:{alias[0].target.to_text(omit_final_dot=True).lower()}",)
    return values(answer, kind)
