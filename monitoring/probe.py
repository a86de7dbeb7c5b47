"""One probe of one URL over one family, from the first DNS question to the last byte, with the reason when it fails.

The family is kept on every hop: each host is resolved in that family by us, the address is pinned, and redirects are
followed here, not by libcurl. No proxy, no cookie, no reuse: every probe is a first visit.

`walk` is the one way from hop to hop. It does nothing itself: it yields what it wants to know (`Ask`, `Get`, `Doubt`)
and is sent the answer. `probe` answers one walk by blocking; the prober (`monitoring.prober`) answers thousands at once.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from monitoring.certificates import Certificate, faults, read_chain
from monitoring.endpoints import Family, is_public
from monitoring.fetch import Answer, Get, fetch
from monitoring.names import Lookup, lookup
from monitoring.reasons import CERTIFICATE, DOUBTFUL, OURS, Reason
from monitoring.vantage import blind

MOST_HOPS = 5
MOST_BYTES = 2 << 20
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Aim:
    """What to probe, and by which means.

    nameservers, references: as in the settings. authority: extra PEM file to trust, or None.
    timeout: seconds for everything together. handshake: stop after the TLS handshake (no request is sent).
    guarded: the address came from a public page, so that none of our own network is followed, on the first hop either.
    address: probe this one of the name's addresses on the first hop; "" for the first that the name server gives.
    certificates: read what the server presented, always; without, only when it did not verify (a tenth less work).
    """

    url: str
    family: Family
    nameservers: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    authority: Path | None = None
    timeout: float = 10.0
    most_bytes: int = MOST_BYTES
    handshake: bool = False
    guarded: bool = False
    address: str = ""
    certificates: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """A walk wants the addresses of `host` in its family, within `seconds`; it is sent a Lookup."""

    host: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """A walk is about to accuse: are we blind ourselves? It is sent a Reason of ours, or None."""

    address: str


Way = Generator[Ask | Get | Doubt, Any, "Sight"]
"""A walk under way: yields wishes, is sent answers, returns what it saw."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds spent, summed over all hops: name, TCP, TLS, waiting for the first byte, reading, and all of it."""

    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    first_byte: float = 0.0
    transfer: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Hop:
    """One request on the way: scheme and host (never the whole URL), the address, the status (0: none came)."""

    scheme: str
    host: str
    port: int
    address: str
    status: int


@dataclass(frozen=True, slots=True)
class Sight:
    """What one probe saw. `reason` None means: a final answer with a 2xx status came whole.

    faults: everything wrong with the certificate when that is the reason. ours: the reason lies with this machine.
    chain: certificates of the last TLS server met, leaf first. found: the first host's lookup.
    final: the URL of the last request. headers: those of its answer, as `fetch.Answer.headers`.
    rtt: the kernel's own round-trip time to the last address, seconds; 0 when there was no connection.
    """

    url: str
    family: Family
    reason: Reason | None
    status: int = 0
    hops: tuple[Hop, ...] = ()
    phases: Phases = Phases()
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""
    chain: tuple[Certificate, ...] = ()
    faults: tuple[Reason, ...] = ()
    found: Lookup | None = None
    words: str = ""
    final: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    rtt: float = 0.0

    @property
    def ok(self) -> bool:
        """True when the page came."""
        return self.reason is None

    @property
    def ours(self) -> bool:
        """True when the trouble is with this machine, so that nothing is known of the site."""
        return self.reason in OURS

    @property
    def last(self) -> Hop | None:
        """The hop that gave the final answer, or on which it ended."""
        return self.hops[-1] if self.hops else None


class _Stop(Exception):
    """The way ends here, for this reason."""

    def __init__(self, reason: Reason, words: str = "") -> None:
        self.reason, self.words = reason, words
        super().__init__(reason.value)


def probe(aim: Aim) -> Sight:
    """Probes once. Never raises for what a server or a network does; CannotSee when this machine lacks a part."""
    way = walk(aim)
    answer: Lookup | Answer | Reason | None = None
    while True:
        try:
            wish = way.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        match wish:
            case Ask(host, seconds):
                answer = lookup(host, aim.family, aim.nameservers, seconds)
            case Get():
                answer = fetch(wish)
            case Doubt(address):
                answer = blind(aim.family, address, aim.references, aim.nameservers)


def walk(aim: Aim) -> Way:
    """One probe, from the first question to what was seen, whoever fulfils its wishes."""
    state = _Walk(aim)
    reason: Reason | None = None
    words = ""
    try:
        yield from state.go()
    except _Stop as stop:
        reason, words = stop.reason, stop.words
    if reason in DOUBTFUL:
        reason = (yield Doubt(state.address)) or reason
    return state.sight(reason, words)


class _Walk:
    """The state of one probe while it goes from hop to hop."""

    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self.started = time.monotonic()
        self.hops: list[Hop] = []
        self.phases = Phases()
        self.answer: Answer | None = None
        self.chain: tuple[Certificate, ...] = ()
        self.faults: tuple[Reason, ...] = ()
        self.found: Lookup | None = None
        self.address = ""
        self.came_from_public = aim.guarded
        self.final = ""

    def left(self) -> float:
        """Seconds left; raises _Stop when there are none."""
        left = self.aim.timeout - (time.monotonic() - self.started)
        if left <= 0:
            raise _Stop(Reason.TIMEOUT)
        return left

    def go(self) -> Generator[Ask | Get, Any, None]:
        """Hop after hop, to the final answer. Raises _Stop."""
        url = self.aim.url
        seen = {url}
        for _ in range(MOST_HOPS + 1):
            location = yield from self.hop(url)
            if location is None:
                return
            url = _target(url, location)
            if url in seen:
                raise _Stop(Reason.REDIRECT_LOOP)
            seen.add(url)
        raise _Stop(Reason.REDIRECT_LOOP)

    def hop(self, url: str) -> Generator[Ask | Get, Any, str | None]:
        """One request. The place it redirects to, or None when this was the final, good answer."""
        scheme, host, port = _parts(url)
        self.address = ""
        found: Lookup = yield Ask(host, min(self.left(), self.aim.timeout / 2))
        first = self.found is None
        self.found = self.found or found
        was = self.phases
        self.phases = Phases(was.dns + found.seconds, was.connect, was.tls, was.first_byte, was.transfer)
        if found.reason is not None:
            raise _Stop(found.reason, host)
        chosen = first and self.aim.address
        self.address = self.aim.address if chosen else found.addresses[0]
        self._guard(host)
        answer = yield from self._get(url, scheme, host, port)
        if answer.reason in CERTIFICATE:
            self.faults = faults(self.chain, host, answer.verify_result, datetime.now(UTC))
            raise _Stop(self.faults[0], host)
        if answer.reason is not None:
            raise _Stop(answer.reason, answer.words)
        if self.aim.handshake:
            return None
        if answer.status in _REDIRECTS and answer.location:
            return answer.location
        if not 200 <= answer.status < 300:
            raise _Stop(Reason.HTTP_STATUS, str(answer.status))
        return None

    def _get(self, url: str, scheme: str, host: str, port: int) -> Generator[Get, Any, Answer]:
        """The answer of the pinned address; asked once more for its certificates when they are what is wrong."""
        aim = self.aim
        wish = Get(url, host, port, self.address, aim.authority, self.left(), aim.most_bytes, aim.handshake,
                   aim.certificates)
        answer: Answer = yield wish
        if answer.reason in CERTIFICATE and not aim.certificates:
            self._add(answer)
            again: Answer = yield replace(wish, seconds=self.left(), certificates=True)
            answer = again if again.reason in CERTIFICATE else answer
        self.answer, self.final = answer, url
        self._add(answer)
        self.hops.append(Hop(scheme, host, port, self.address, answer.status))
        if scheme == "https":
            self.chain = read_chain(answer.presented)
        return answer

    def _guard(self, host: str) -> None:
        """A public site must not send us into our own network."""
        public = is_public(self.address)
        if self.came_from_public and not public:
            raise _Stop(Reason.REDIRECT_REFUSED, host)
        self.came_from_public = self.came_from_public or public

    def _add(self, answer: Answer) -> None:
        self.started += answer.queued  # waiting for our own turn is not the site's time
        was = self.phases
        self.phases = Phases(was.dns, was.connect + answer.connect, was.tls + answer.tls,
                             was.first_byte + answer.first_byte, was.transfer + answer.transfer)

    def sight(self, reason: Reason | None, words: str) -> Sight:
        """What was seen, now that the way has ended."""
        answer = self.answer
        return Sight(
            self.aim.url, self.aim.family, reason, answer.status if answer else 0, tuple(self.hops),
            replace(self.phases, total=time.monotonic() - self.started), answer.body if answer else b"",
            answer.content_type if answer else "", self.chain, self.faults, self.found, words,
            self.final, answer.headers if answer else (), answer.rtt if answer else 0.0,
        )


def _parts(url: str) -> tuple[str, str, int]:
    """(scheme, ASCII host, port). Raises _Stop for anything that is not plain http or https."""
    try:
        split = urlsplit(url)
        port = split.port
        host = (split.hostname or "").encode("idna").decode("ascii") if split.hostname else ""
    except (ValueError, UnicodeError):
        raise _Stop(Reason.REDIRECT_REFUSED, "URL") from None
    if split.scheme not in _PORTS or not host or split.username is not None or port == 0:
        raise _Stop(Reason.REDIRECT_REFUSED, split.scheme)
    return split.scheme, host, port or _PORTS[split.scheme]


def first_host(url: str) -> str | None:
    """The ASCII host of an address that can be probed, else None."""
    try:
        return _parts(url)[1]
    except _Stop:
        return None


def _target(url: str, location: str) -> str:
    """The absolute URL of a Location header, with stray letters escaped; the fragment is dropped."""
    escaped = quote(location.strip(), safe="%/:=&?~#+!$,;'@()*[]")
    try:
        return urljoin(url, escaped).partition("#")[0]
    except ValueError:
        raise _Stop(Reason.REDIRECT_REFUSED, "URL") from None


def both(aims: Sequence[Aim]) -> list[Sight]:
    """Probes several aims at the same time, in order."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(1, min(8, len(aims)))) as pool:
        return list(pool.map(probe, aims))
