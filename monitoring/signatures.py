"""Checks one zone's DNSSEC by hand: the parent's DS, the zone's keys, the signatures over what visitors ask for.

Works through any resolver that hands DNSSEC records on, validating or not, and compares with what a validating one says.
RFC 4035 (validation), 8624 and 9905 (algorithms that no longer count), 8914 (extended errors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from monitoring.questions import MOST, Asker, Silence, rrset_of
from ops import Text

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rrset import RRset

OLD_ALGORITHMS = frozenset({1, 3, 5, 6, 7, 12})
"""RSAMD5, DSA, RSASHA1, DSA-NSEC3-SHA1, RSASHA1-NSEC3-SHA1, GOST: must not be used for signing."""
OLD_DIGESTS = frozenset({1, 3})
KNOWN_DIGESTS = frozenset({1, 2, 4})
ASKED = ("SOA", "A", "AAAA")


class Trouble(StrEnum):
    """What can be wrong with a signed zone; a closed list, evidence keeps the word."""

    EXPIRED = "signature_expired"
    EARLY = "signature_not_yet_valid"
    MISSING = "signature_missing"
    WRONG = "signature_wrong"
    NO_KEY = "no_key_for_ds"
    REFUSED = "refused_by_resolver"

    @property
    def words(self) -> Text:
        """The trouble for a person."""
        return _WORDS[self]


_WORDS = {
    Trouble.EXPIRED: Text("chữ ký DNSSEC đã hết hạn", "DNSSEC signatures have expired"),
    Trouble.EARLY: Text("chữ ký DNSSEC chưa tới ngày có hiệu lực", "DNSSEC signatures are not valid yet"),
    Trouble.MISSING: Text("vùng có DS ở cấp trên nhưng thiếu chữ ký", "the parent has a DS, but signatures are missing"),
    Trouble.WRONG: Text("chữ ký DNSSEC sai", "DNSSEC signatures are wrong"),
    Trouble.NO_KEY: Text("khóa của vùng không khớp DS ở cấp trên", "no key of the zone matches the parent's DS"),
    Trouble.REFUSED: Text("máy phân giải kiểm tra DNSSEC không chấp nhận vùng này",
                          "a resolver that validates refuses this zone"),
}


@dataclass(frozen=True, slots=True)
class Signed:
    """What was found. `aware`: the way to the zone hands DNSSEC records on; else nothing else here says anything.

    ends: when the first of the signatures that were read runs out; share: left of that one's life, 0 to 1.
    authentic: the resolver itself vouches (AD); refused: it answers SERVFAIL unless told not to check.
    missed: seconds by which a signature lies outside its days, 0 when none does.
    """

    zone: str
    aware: bool
    delegated: bool = False
    keys: int = 0
    trouble: Trouble | None = None
    ends: datetime | None = None
    share: float = 1.0
    old: tuple[str, ...] = ()
    authentic: bool = False
    refused: bool = False
    said: tuple[int, ...] = ()
    missed: float = 0.0


@dataclass
class _Read:
    """What is gathered on the way."""

    now: float
    keys: dict[Any, Any] = field(default_factory=dict)
    ends: list[tuple[float, float]] = field(default_factory=list)
    old: set[str] = field(default_factory=set)
    missed: float = 0.0


def look(asker: Asker, host: Name, now: datetime) -> Signed:
    """Reads and judges the zone that holds `host`, at the moment `now`. Raises Silence."""
    import dns.flags

    zone = asker.zone_of(host, unchecked=True)
    checked = asker.ask(host, "A", dnssec=True)
    delegation = asker.ask(zone, "DS", dnssec=True, unchecked=True)
    keys = asker.ask(zone, "DNSKEY", dnssec=True, unchecked=True)
    authentic = bool(checked.flags & dns.flags.AD)
    refused = checked.rcode() == 2
    ds = rrset_of(delegation, zone, "DS")
    text = zone.to_text(omit_final_dot=True).lower() or "."
    aware = authentic or _signs(delegation) or _hands_on(asker)
    dnskey = rrset_of(keys, zone, "DNSKEY")
    if ds is None or not aware:
        # unsigned by what we see, refused by who validates: the break is above this zone
        above = Trouble.REFUSED if aware and refused and not _fails_anyhow(asker, host) else None
        return Signed(text, aware, ds is not None, len(dnskey or ()), above, authentic=authentic, refused=refused)
    read = _Read(now.timestamp())
    trouble = _chain(read, zone, ds, keys) or _answers(read, asker, zone, host)
    if trouble is None and refused and not _fails_anyhow(asker, host):
        trouble = Trouble.REFUSED
    ends, share = _soonest(read)
    return Signed(text, True, True, len(dnskey or ()), trouble, ends, share, tuple(sorted(read.old)), authentic, refused,
                  _extended(checked), read.missed)


def _hands_on(asker: Asker) -> bool:
    """Whether the resolver shows the root's signatures: the one zone that is surely signed."""
    import dns.name

    try:
        return _signs(asker.ask(dns.name.root, "SOA", dnssec=True, unchecked=True))
    except Silence:
        return False


def _signs(answer: Message) -> bool:
    """Whether an answer carries any signature at all."""
    import dns.rdatatype

    return any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in [*answer.answer, *answer.authority])


def _fails_anyhow(asker: Asker, host: Name) -> bool:
    """Whether the resolver fails also when it need not check: then DNSSEC is not the cause."""
    return asker.ask(host, "A", dnssec=True, unchecked=True).rcode() == 2


def _extended(answer: Message) -> tuple[int, ...]:
    """The codes of extended errors (RFC 8914) that the resolver gave."""
    import dns.edns

    return tuple(sorted({int(one.code) for one in answer.options if isinstance(one, dns.edns.EDEOption)}))[:4]


def _chain(read: _Read, zone: Name, ds: RRset, answer: Message) -> Trouble | None:
    """The parent's DS must name a key, and that key must have signed the zone's keys."""
    import dns.dnssec
    import dns.rrset

    keys = rrset_of(answer, zone, "DNSKEY")
    if keys is None or len(keys) > MOST:
        return Trouble.NO_KEY
    trusted = dns.rrset.RRset(zone, keys.rdclass, keys.rdtype)
    read.old |= {f"DS digest {int(link.digest_type)}" for link in ds if int(link.digest_type) in OLD_DIGESTS}
    if not any(int(link.digest_type) in KNOWN_DIGESTS for link in ds):
        read.keys = {zone: keys}  # RFC 4035, 5.2: a digest that nobody here knows proves nothing, either way
        return None
    for link in list(ds)[:MOST]:
        for key in keys:
            if dns.dnssec.key_id(key) == link.key_tag and _names(zone, key, link):
                trusted.add(key)
    if not trusted:
        return Trouble.NO_KEY
    read.keys = {zone: trusted}
    trouble = _verified(read, answer, zone, "DNSKEY")
    read.keys = {zone: keys}
    return trouble


def _names(zone: Name, key: Any, link: Any) -> bool:
    """Whether a DS is the digest of a key."""
    import dns.dnssec
    import dns.exception

    try:
        # a digest that we would not make is still one that the parent may hold
        return bool(dns.dnssec.make_ds(zone, key, link.digest_type, policy=dns.dnssec.allow_all_policy) == link)
    except (dns.exception.DNSException, ValueError):
        return False


def _answers(read: _Read, asker: Asker, zone: Name, host: Name) -> Trouble | None:
    """Signatures over the zone's SOA and the host's addresses, those that are there."""
    for kind in ASKED:
        owner = zone if kind == "SOA" else host
        answer = asker.ask(owner, kind, dnssec=True, unchecked=True)
        shown = next((one for one in (kind, "CNAME") if rrset_of(answer, owner, one) is not None), "")
        if not shown:
            continue  # nothing there: its absence is proved by records that are not read here
        trouble = _verified(read, answer, owner, shown)
        if trouble is not None:
            return trouble
    return None


def _verified(read: _Read, answer: Message, owner: Name, kind: str) -> Trouble | None:
    """None when one signature over these records holds; else what is wrong with the best of them."""
    import dns.dnssec
    import dns.exception

    records = rrset_of(answer, owner, kind)
    signatures = rrset_of(answer, owner, "RRSIG", kind)
    if records is None or not signatures:
        return Trouble.MISSING
    found = list(signatures)[:4]  # each costs public-key work: a hostile zone must not buy much of it
    read.old |= {f"algorithm {int(one.algorithm)}" for one in found if int(one.algorithm) in OLD_ALGORITHMS}
    trouble: Trouble | None = Trouble.WRONG
    for one in found:
        if one.expiration < read.now:
            trouble, read.missed = Trouble.EXPIRED, read.now - one.expiration
        elif one.inception > read.now:
            trouble, read.missed = Trouble.EARLY, one.inception - read.now
        else:
            try:
                dns.dnssec.validate_rrsig(records, one, read.keys, None, read.now, dns.dnssec.allow_all_policy)
            except dns.exception.UnsupportedAlgorithm:
                read.old.add(f"algorithm {int(one.algorithm)}")
                trouble = None
                continue
            except (dns.exception.DNSException, ValueError):
                continue
            read.ends.append((float(one.expiration), float(max(1, one.expiration - one.inception))))
            return None
    return trouble


def _soonest(read: _Read) -> tuple[datetime | None, float]:
    if not read.ends:
        return None, 1.0
    end, life = min(read.ends)
    return datetime.fromtimestamp(end, UTC), max(0.0, min(1.0, (end - read.now) / life))


def facts(found: Signed) -> dict[str, Any]:
    """What evidence keeps."""
    said: Sequence[int] = found.said
    return {
        "zone": found.zone, "aware": found.aware, "delegated": found.delegated, "authentic": found.authentic,
        "refused": found.refused, "trouble": found.trouble.value if found.trouble else "", "old": list(found.old),
        "extended_errors": list(said), "ends": found.ends.isoformat() if found.ends else "",
    }
