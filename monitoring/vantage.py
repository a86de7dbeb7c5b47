"""Asks ourselves before accusing a site: has this machine a network of that family at all, and does anything answer?"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from monitoring.endpoints import Family, endpoint, family_of, is_literal, is_loopback, is_public
from monitoring.names import lookup
from monitoring.reasons import Reason

REFERENCE_SECONDS = 3.0
_SOMEWHERE = {Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8::1"}
"""Documentation addresses: the kernel is asked for its route to them, no packet is ever sent."""


def blind(
    family: Family, address: str = "", references: Sequence[str] = (), nameservers: Sequence[str] = ()
) -> Reason | None:
    """Why this machine may not accuse anybody in `family`, or None when it may.

    address: the address that was tried ("" when the name did not resolve). References that are literals of the other
    family do not count; when none is left, only the route speaks.
    """
    trouble, places = standpoint(family, address, references)
    if trouble is not None or not places:
        return trouble
    return None if answered(family, places, nameservers) else Reason.REFERENCE_SILENT


def standpoint(
    family: Family, address: str = "", references: Sequence[str] = ()
) -> tuple[Reason | None, tuple[tuple[str, int], ...]]:
    """What the kernel alone knows, at once: (our trouble or None, the places that should be asked before accusing)."""
    target = address or _SOMEWHERE[family]
    source = source_for(target)
    if source is None:
        return Reason.NO_ROUTE, ()
    if is_loopback(target):
        return None, ()
    places = [endpoint(text) for text in references]
    places = [(host, port) for host, port in places if not is_literal(host) or family_of(host) is family]
    if places:
        return None, tuple(places)
    lonely = family is Family.IPV6 and is_public(target) and not is_public(source)
    return (Reason.NO_ROUTE if lonely else None), ()


def answered(family: Family, places: Sequence[tuple[str, int]], nameservers: Sequence[str] = ()) -> bool:
    """Whether any of these places of our own network takes a connection (3 seconds at most for each)."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, len(places))) as pool:
        return any(list(pool.map(lambda place: _reachable(place[0], place[1], family, nameservers), places)))


def source_for(address: str) -> str | None:
    """Our own address from which the kernel would send to `address`; None when it has no way there."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            source = str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return None
    found = ipaddress.ip_address(source)
    useless = found.is_unspecified or (found.is_link_local and not ipaddress.ip_address(address).is_link_local)
    return None if useless else source


def _reachable(host: str, port: int, family: Family, nameservers: Sequence[str]) -> bool:
    found = lookup(host, family, nameservers, REFERENCE_SECONDS)
    for address in found.addresses[:2]:
        kind = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.settimeout(REFERENCE_SECONDS)
            try:
                probe.connect((address, port))
            except OSError:
                continue
            return True
    return False
