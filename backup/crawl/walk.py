"""Walks a site: from its first pages and sitemaps along every link, nearest first, one request at a time.

What a hostile or broken site can do is bounded: pages, bytes, seconds, the size of one answer, pages that look alike, and
how often in a row it may fail to answer. A page that could not be had tonight is taken over from the archive before;
one that is gone (404, 410), or that nothing refers to any more after a whole walk, is not.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, sleep
from urllib.parse import urlsplit

from backup.crawl import links, robots, sitemaps
from backup.crawl.addresses import Scope, normal, shape
from backup.crawl.archive import Archive, Before, Entry, digest_of, lands
from backup.crawl.wire import Reply, Wire

DEAD_AFTER = 5
"""Requests in a row without an answer after which the server counts as gone."""
MOST_SITEMAPS = 500
MOST_WAIT = 120.0
SPARE_BYTES = 256 << 20
_GONE = (404, 410)
_BUSY = (429, 503)
_NAMED = 20


@dataclass(frozen=True)
class Bounds:
    """pages: requests for pages; bytes: of all bodies; seconds: of the walk; alike: pages of one shape that no sitemap
    names; rate: requests a second."""

    pages: int
    bytes: int
    seconds: float
    alike: int
    rate: float


@dataclass
class Tally:
    """What a walk amounts to. fresh, reused: pages seen tonight; kept: taken over unseen. bound: which bound ended it."""

    requests: int = 0
    bytes: int = 0
    fresh: int = 0
    reused: int = 0
    kept: int = 0
    gone: int = 0
    failed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)
    bound: str = ""
    dead: bool = False
    front: int = 0

    def leave(self, why: str) -> None:
        """Counts a page that was left out."""
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def error(self, address: str, said: str) -> None:
        """Notes a page that could not be had."""
        self.failed += 1
        if len(self.errors) < _NAMED:
            self.errors.append(f"{address}: {said}"[:500])


class Walk:
    """One walk over a site. `clock` and `rest` are monotonic seconds and a pause."""

    def __init__(self, seeds: Iterable[str], scope: Scope, wire: Wire, bounds: Bounds, archive: Archive, before: Before, *,
                 heed_robots: bool = True, room: int = -1, clock: Callable[[], float] = monotonic,
                 rest: Callable[[float], None] = sleep) -> None:
        self.seeds, self.scope, self.wire, self.bounds = list(seeds), scope, wire, bounds
        self.archive, self.before, self.tally = archive, before, Tally()
        self.pages: dict[str, Entry] = {}
        self.kept: set[str] = set()
        self._heed, self._room, self._clock, self._rest = heed_robots, room, clock, rest
        self._rules: dict[str, robots.Robots] = {}
        self._queue: deque[str] = deque()
        self._known: set[str] = set()
        self._alike: Counter[str] = Counter()
        self._named: set[str] = set()
        self._absent: set[str] = set()
        self._silent, self._next, self._started = 0, 0.0, clock()

    def go(self, more_sitemaps: Iterable[str] = ()) -> None:
        """The whole walk; `pages` and `tally` tell what came of it."""
        for seed in self.seeds:
            self._meet(seed)
            self._rules_of(seed)
        self._sitemaps(more_sitemaps)
        while self._queue and not self._over():
            self._page(self._queue.popleft())
        self.tally.front = sum(lands(self.pages, seed) for seed in self.seeds)
        if self._queue or self.tally.bound or self.tally.failed or self.tally.dead:
            self._take_over_unseen()

    def _over(self) -> bool:
        tally, bounds = self.tally, self.bounds
        full = self._room >= 0 and _free(self._room) < SPARE_BYTES
        for over, name in ((tally.requests >= bounds.pages, "pages"), (tally.bytes >= bounds.bytes, "bytes"),
                           (self._clock() - self._started >= bounds.seconds, "seconds"), (full, "disk")):
            if over:
                tally.bound = name
        tally.dead = self._silent >= DEAD_AFTER
        return bool(tally.bound) or tally.dead

    def _ask(self, address: str, headers: Iterable[str] = ()) -> Reply:
        """One polite request; waits for its turn, and once more where the server says that it is busy."""
        delay = max(1 / self.bounds.rate, self._rules.get(_origin(address), robots.Robots()).delay if self._heed else 0.0)
        for attempt in (1, 2):
            self._rest(max(0.0, self._next - self._clock()))
            reply = self.wire.get(address, headers)
            self._next = self._clock() + delay
            self._silent = self._silent + 1 if reply.status == 0 and not reply.refused else 0
            self.tally.bytes += len(reply.body)
            if reply.status not in _BUSY or attempt == 2:
                break
            asked = reply.header("retry-after")
            self._next = self._clock() + min(MOST_WAIT, float(asked) if asked.isdigit() and len(asked) < 6 else delay * 10)
        return reply

    def _rules_of(self, address: str) -> robots.Robots:
        """robots.txt of the page's origin: asked once. Without an answer nothing is allowed (RFC 9309, 2.3.1.4)."""
        origin = _origin(address)
        if origin not in self._rules:
            place = f"{origin}/robots.txt"
            reply = self._ask(place)
            if reply.status == 200:
                self._rules[origin] = robots.read(links.plain(reply.body, reply.header("content-encoding")), "gaccong")
                self._keep(place, reply)
            elif reply.status and reply.status < 500:
                self._rules[origin] = robots.Robots()
            else:
                self._rules[origin] = robots.read(b"User-agent: *\nDisallow: /", "gaccong")
                self.tally.error(place, reply.error or f"HTTP {reply.status}")
        return self._rules[origin]

    def _sitemaps(self, more: Iterable[str]) -> None:
        waiting = deque(more)
        for seed in self.seeds:
            rules = self._rules_of(seed)
            waiting.extend(rules.sitemaps or [f"{_origin(seed)}/sitemap.xml"])
        done: set[str] = set()
        while waiting and len(done) < MOST_SITEMAPS and not self._over():
            address = normal(waiting.popleft(), self.seeds[0])
            if not address or address in done or not self.scope.holds(address):
                continue
            done.add(address)
            reply = self._ask(address)
            if reply.status != 200:
                continue
            self._keep(address, reply)
            try:
                named, further = sitemaps.read(links.plain(reply.body, reply.header("content-encoding"), sitemaps.MOST_BYTES))
            except sitemaps.NoSitemap as error:
                self.tally.leave("sitemap")
                self.tally.errors = [*self.tally.errors, f"{address}: {error}"[:500]][:_NAMED]
                continue
            self.tally.sitemaps = [*self.tally.sitemaps, address][:_NAMED]
            waiting.extend(further)
            for page in filter(None, map(normal, named)):
                self._named.add(page)
                self._meet(page)

    def _meet(self, address: str, *, first: bool = False) -> None:
        """Puts a page into the queue, once, unless it is not the site's or one too many of its shape."""
        if address in self._known or not self.scope.holds(address):
            return
        self._known.add(address)
        if address not in self._named and address not in self.seeds:
            alike = shape(address)
            self._alike[alike] += 1
            if self._alike[alike] > self.bounds.alike:
                self.tally.leave("alike")
                return
        if len(self._queue) > self.bounds.pages * 4:
            self.tally.leave("queue")
            return
        (self._queue.appendleft if first else self._queue.append)(address)

    def _page(self, address: str) -> None:
        if address in self.pages:  # robots.txt or a sitemap that a page links to
            return
        if self._heed and not self._rules_of(address).allow(address):
            self.tally.leave("robots")
            return
        self.tally.requests += 1
        was = self.before.entries.get(address)
        held = self.before.members(was) if was is not None and (was.etag or was.modified) and was.status == 200 else None
        headers = []
        if was is not None and held is not None:
            headers = [f"If-None-Match: {_one_line(was.etag)}"] * bool(was.etag) \
                + [f"If-Modified-Since: {_one_line(was.modified)}"] * bool(was.modified)
        reply = self._ask(address, headers)
        if reply.status == 304 and was is not None and held is not None:
            self.pages[address] = self.archive.take_over(was, held[0], datetime.now(UTC))
            self.tally.reused += 1
            self._follow(address, was.mime, "", held[1])
        elif 200 <= reply.status < 400 and reply.status != 304:
            self._keep(address, reply)
            self._follow(address, reply.header("content-type"), reply.header("content-encoding"), reply.body)
            if target := normal(reply.header("location"), address) if reply.header("location") else "":
                self._meet(target, first=True)
        else:
            self._not_had(address, reply)

    def _not_had(self, address: str, reply: Reply) -> None:
        """Counts a page that did not come: gone, closed to the public (a login), refused by us, or failed."""
        if reply.status in _GONE:
            self.tally.gone += 1
        elif 400 <= reply.status < 500 and reply.status not in _BUSY:
            self.tally.leave("closed")
        elif reply.refused:
            self.tally.leave("refused")
            self.tally.errors = [*self.tally.errors, f"{address}: {reply.error}"[:500]][:_NAMED]
        else:
            self.tally.error(address, reply.error or f"HTTP {reply.status}")
            return
        self._absent.add(address)

    def _keep(self, address: str, reply: Reply) -> None:
        """Archives an answer: the old record where the body is the old one."""
        was = self.before.entries.get(address)
        if was is not None and (was.status, was.digest, was.mime, was.redirect) == (
                reply.status, digest_of(reply.body), reply.header("content-type")[:200], reply.header("location")[:2000]):
            held = self.before.members(was)
            if held is not None:
                self.pages[address] = self.archive.take_over(was, held[0], datetime.now(UTC))
                self.tally.reused += 1
                return
        self.pages[address] = self.archive.add(address, reply, datetime.now(UTC))
        self.tally.fresh += 1

    def _follow(self, address: str, mime: str, encoding: str, body: bytes) -> None:
        told = links.of_page(body, mime, encoding)
        if told is None:
            self.tally.leave("unreadable")
            return
        base = (normal(told[0], address) if told[0] else "") or address
        for target in filter(None, (normal(value, base) for value in told[1])):
            self._meet(target)

    def _take_over_unseen(self) -> None:
        """After a walk that was not whole: pages of the archive before that nobody said are gone."""
        for address, entry in self.before.entries.items():
            if address not in self.pages and address not in self._absent and self.scope.holds(address):
                held = self.before.members(entry)
                if held is not None:
                    self.pages[address] = self.archive.take_over(entry, held[0], None)
                    self.kept.add(address)
                    self.tally.kept += 1


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _one_line(value: str) -> str:
    return "".join(sign for sign in value if sign.isprintable())


def _free(folder: int) -> int:
    found = os.fstatvfs(folder)
    return found.f_bavail * found.f_frsize


def verdict(tally: Tally, seen: int, last: int) -> str:
    """Why the walk is no good copy of the site, in both languages; "" when it is one.

    seen: pages with status 200 of tonight; last: those of the last good walk.
    """
    troubles = []
    if tally.dead:
        troubles.append("máy chủ ngừng trả lời giữa chừng (the server stopped answering)")
    if not tally.front:
        first = f": {tally.errors[0]}" if tally.errors else ""
        troubles.append(f"không lấy được trang đầu (the front page was not got){first}")
    if tally.bound:
        troubles.append(f"dừng vì chạm giới hạn `{tally.bound}`, còn trang chưa lấy → nâng giới hạn hoặc thêm `exclude` "
                        f"(ended at the bound `{tally.bound}` with pages left)")
    if last and seen * 2 < last:
        troubles.append(f"chỉ còn {seen} trang, lần trước {last}; nếu đúng là trang đã bớt: xóa tệp ghi chú rồi chạy lại "
                        f"({seen} pages, {last} the last time; if that is right, remove the note file and run again)")
    if tally.failed > max(10, seen // 20):
        first = f"; {tally.errors[0]}" if tally.errors else ""
        troubles.append(f"{tally.failed} trang lỗi (pages failed){first}")
    return "; ".join(troubles)


__all__ = ["Bounds", "Tally", "Walk", "verdict"]
