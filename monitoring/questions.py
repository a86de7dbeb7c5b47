"""Questions to name servers beyond plain addresses: zone cuts, name servers, DNSSEC records; bounded like `names`.

Answers are a stranger's: at most 64 kB over TCP (the protocol's own bound), and no more records than `MOST` are read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring.names import ATTEMPT_SECONDS, servers_of
from monitoring.reasons import Reason

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rrset import RRset

MOST = 16
"""Records of one answer that are read; more is either an attack or nobody's concern."""
MOST_LABELS = 12


class Silence(Exception):
    """No name server gave a usable answer. `reason`: why, from the closed list."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the same servers within one time limit (`until`, on the monotonic clock)."""

    servers: tuple[tuple[str, int], ...]
    until: float

    @classmethod
    def of(cls, nameservers: Sequence[str], seconds: float) -> Asker:
        """An asker of these servers (empty: the system's) with so many seconds for all questions together."""
        return cls(servers_of(nameservers), time.monotonic() + seconds)

    def ask(self, name: Name, kind: str, *, dnssec: bool = False, unchecked: bool = False) -> Message:
        """The first answer of any server. Raises Silence when none comes.

        dnssec: ask for signatures (DO). unchecked: let a validating resolver hand on what it would refuse (CD).
        A server's SERVFAIL is an answer here: what it means is the caller's question.
        """
        refused = False
        for _ in range(2):
            for server in self.servers:
                left = self.until - time.monotonic()
                if left <= 0:
                    raise Silence(Reason.DNS_FAILED if refused else self._whose())
                answer = exchange(name, kind, server, min(left, ATTEMPT_SECONDS), dnssec=dnssec, unchecked=unchecked)
                if answer is not None and answer.rcode() in (0, 2, 3):  # NOERROR, SERVFAIL, NXDOMAIN
                    return answer
                refused = refused or answer is not None
        raise Silence(Reason.DNS_FAILED if refused else self._whose())

    def _whose(self) -> Reason:
        """A resolver that does not even answer about the root is our trouble."""
        import dns.name

        for server in self.servers[:2]:
            if exchange(dns.name.root, "NS", server, ATTEMPT_SECONDS / 2) is not None:
                return Reason.DNS_TIMEOUT
        return Reason.RESOLVER_SILENT

    def records(self, name: Name, kind: str) -> tuple[str, ...]:
        """The values of one type at a name, sorted, aliases followed by the resolver; () when there are none.

        Raises Silence, also when the resolver says that it cannot tell (SERVFAIL): that is not "none".
        """
        answer = self.ask(name, kind)
        if answer.rcode() == 2:
            raise Silence(Reason.DNS_FAILED)
        return values(answer, kind)

    def zone_of(self, name: Name, *, unchecked: bool = False) -> Name:
        """The zone that `name` lies in: the owner of the SOA that answers for it. Raises Silence."""
        import dns.name
        import dns.rcode
        import dns.rdatatype

        for _ in range(MOST_LABELS):
            answer = self.ask(name, "SOA", unchecked=unchecked)
            if answer.rcode() == dns.rcode.SERVFAIL:
                raise Silence(Reason.DNS_FAILED)
            for rrset in [*answer.answer, *answer.authority]:
                if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
                    return rrset.name
            if name == dns.name.root:
                break
            name = name.parent()
        raise Silence(Reason.NXDOMAIN)


def exchange(
    name: Name, kind: str, server: tuple[str, int], seconds: float, *, dnssec: bool = False, unchecked: bool = False,
    recursive: bool = True,
) -> Message | None:
    """One question to one server over UDP, over TCP when the answer was too long. None: no answer."""
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query

    flags = (dns.flags.RD if recursive else 0) | (dns.flags.CD if unchecked else 0) | (dns.flags.AD if dnssec else 0)
    question = dns.message.make_query(name, kind, use_edns=0, payload=1232, want_dnssec=dnssec, flags=flags)
    try:
        answer, _ = dns.query.udp_with_fallback(
            question, server[0], timeout=seconds, port=server[1], ignore_unexpected=True, ignore_errors=True
        )
    except (dns.exception.DNSException, OSError, EOFError, ValueError):
        return None
    return answer


def name_of(text: str) -> Name | None:
    """The name as DNS has it, or None when it cannot be one."""
    import dns.exception
    import dns.name

    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError):
        return None


def rrset_of(answer: Message, name: Name, kind: str, covers: str = "NONE") -> RRset | None:
    """The records of one name and type in the answer section; `covers`: which type an RRSIG signs."""
    import dns.rdataclass
    import dns.rdatatype

    return answer.get_rrset(
        answer.answer, name, dns.rdataclass.IN, dns.rdatatype.from_text(kind), dns.rdatatype.from_text(covers)
    )


def values(answer: Message, kind: str) -> tuple[str, ...]:
    """All values of one type in the answer section, whoever owns them; sorted, lower case, at most `MOST`."""
    import dns.rdatatype

    wanted = dns.rdatatype.from_text(kind)
    found = {_plain(rdata.to_text()) for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset}
    return tuple(sorted(found)[:MOST])


def _plain(text: str) -> str:
    """As people write it: lower case, no final dot, an address in its shortest form."""
    return text.lower().rstrip(".")[:255]
