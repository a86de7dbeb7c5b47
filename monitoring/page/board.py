"""The fleet's lines, kept from one request to the next: a page of thousands of sites must not read thousands of ledgers.

A line is read anew when its site's ledger has grown, when one of its states may have gone stale since (nobody looked),
and at the latest after ten minutes (an attestation may have run out). A request reads what is due for a tenth of a
second; what is left a thread reads on, and the page tells how many lines are not of now.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring.page.desk import Desk
from monitoring.page.rows import sheet
from ops import SiteStatus, Text, Verdict, local, say

BUDGET_SECONDS = 0.1
OLDEST_SECONDS = 600.0
RHYTHMS, GRACE_SECONDS = 3.0, 60.0
"""A state that was not renewed for so many rhythms reads unseen (as `ops.status` says); its line is read then."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetLine:
    """One site in the list. at: when it was read, None while it never was."""

    id: str
    name: str
    verdict: Verdict
    headline: Text
    at: datetime | None
    name_folded: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """All lines, the worst first. waiting: how many are not of now."""

    lines: Sequence[FleetLine]
    waiting: int
    at: datetime | None


@dataclass(slots=True)
class _Kept:
    line: FleetLine
    head: int
    read: float
    stale: float


class Board:
    """Lines of every site of the desk. Threads may share it."""

    def __init__(self, desk: Desk, private: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._desk, self._private, self._clock = desk, private, clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def fleet(self) -> Fleet:
        """The lines, after what is due was read for as long as a request may wait."""
        sites = self._desk.sites()
        due = self._due(sites)
        limit = self._clock() + BUDGET_SECONDS
        while due and self._clock() < limit:
            self._read(due.popleft())
        if due:
            self._read_on(due)
        lines = [kept.line if (kept := self._kept.get(site.id)) else _unread(site.id, site.name) for site in sites.values()]
        lines.sort(key=lambda one: (-one.verdict.weight, one.name, one.id))
        return Fleet(lines, len(due), min((one.at for one in lines if one.at), default=None))

    def _due(self, sites: Mapping[str, object]) -> deque[tuple[str, int]]:
        """(site, head) of what must be read, never read ones first, then the oldest."""
        heads = self._desk.heads() if self._desk.heads is not None else {}
        now = self._clock()
        found = []
        for site in sites:
            kept, head = self._kept.get(site), heads.get(site, 0)
            if kept is None:
                found.append((-1.0, site, head))
            elif self._desk.heads is None or kept.head != head or now > kept.stale or now > kept.read + OLDEST_SECONDS:
                found.append((kept.read, site, head))
        return deque((site, head) for _, site, head in sorted(found))

    def _read(self, wanted: tuple[str, int]) -> None:
        """One line anew. What cannot be read says so, and hides no other."""
        site, head = wanted
        now = self._clock()
        try:
            status = self._desk.read(site)
            line, stale = _line(status, self._private), now + _fresh_for(status)
        except Exception as error:
            # a store that is gone is the trouble of every site: a line each, not a traceback each
            _log.error("site %s: %s", site, error, exc_info=not hasattr(error, "explain"))
            known = self._desk.sites().get(site)
            line, stale = _unread(site, known.name if known else site), now + GRACE_SECONDS
        with self._lock:
            self._kept[site] = _Kept(line, head, now, stale)

    def _read_on(self, due: deque[tuple[str, int]]) -> None:
        with self._lock:
            if self._reader is not None and self._reader.is_alive():
                return
            self._reader = threading.Thread(target=self._read_all, args=(deque(due), self._clock()), name="gaccong-board", daemon=True)
            self._reader.start()

    def _read_all(self, due: deque[tuple[str, int]], since: float) -> None:
        for wanted in reversed(due):  # requests read from the front: they meet once, not at every line
            kept = self._kept.get(wanted[0])
            if kept is not None and kept.head == wanted[1] and kept.read >= since:
                continue  # a request was faster
            self._read(wanted)
            time.sleep(0.002)  # requests come first


def _line(status: SiteStatus, private: frozenset[str]) -> FleetLine:
    made = sheet(status, private)
    return FleetLine(status.site.id, status.site.name, made.verdict, made.headline, status.at, status.site.name.casefold())


def _unread(site: str, name: str) -> FleetLine:
    return FleetLine(site, name, Verdict.UNSEEN, say("chưa đọc được", "not read yet"), None, name.casefold())


def _fresh_for(status: SiteStatus) -> float:
    """Seconds until the first of its states that are fresh now may turn stale."""
    left = [RHYTHMS * one.every_seconds + GRACE_SECONDS - (status.at - one.seen_at).total_seconds() for one in status.states]
    return min((one for one in left if one > 0), default=OLDEST_SECONDS)


def at_words(line: FleetLine) -> str:
    """`06:53`, Vietnamese clock; "" when it was never read."""
    return local(line.at).strftime("%H:%M") if line.at else ""
