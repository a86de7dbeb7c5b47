"""Fulfils the wishes of many walks at once (`monitoring.probe.walk`): names, requests, and doubts about ourselves.

Before a site is accused our own network is asked, once for all who ask within a few seconds: two thousand sites that
fail together must not make two thousand questions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from monitoring.endpoints import Family
from monitoring.fetch import Get
from monitoring.loop import Loop
from monitoring.names import Lookup
from monitoring.probe import Aim, Ask, Doubt, Sight, Way, first_host, walk
from monitoring.reasons import OURS, Reason
from monitoring.resolving import Resolver
from monitoring.transfers import Transfers
from monitoring.vantage import answered, standpoint
from ops import CannotSee

ROUND_SECONDS = 5.0
_log = logging.getLogger("gaccong.prober")
Done = Callable[[Sight], None]
_Places = tuple[Family, tuple[tuple[str, int], ...], tuple[str, ...]]


class Driver:
    """Walks under way."""

    def __init__(self, loop: Loop, transfers: Transfers | None = None) -> None:
        self._loop = loop
        self.resolver = Resolver(loop)
        self.transfers = transfers or Transfers(loop)
        self._told: dict[_Places, tuple[float, bool]] = {}
        self._asking: dict[_Places, list[Callable[[Reason | None], None]]] = {}
        self.doubts = 0
        """How often our own network was asked."""

    def close(self) -> None:
        """Breaks off every walk; nobody is called any more."""
        self.transfers.close()

    def probe(self, aim: Aim, done: Done) -> None:
        """One walk; `done(sight)` is called once, whatever happens."""
        self._step(walk(aim), None, aim, done)

    def probe_each(self, aim: Aim, done: Done) -> None:
        """A walk to every address of the name; `done` gets the worst: a failure before a success, theirs before ours."""

        def found(lookup: Lookup) -> None:
            if lookup.reason is not None or len(lookup.addresses) < 2:
                self.probe(aim, done)
                return
            sights: list[Sight] = []

            def landed(sight: Sight) -> None:
                sights.append(sight)
                if len(sights) == len(lookup.addresses):
                    done(max(sights, key=_badness))

            for address in lookup.addresses:
                self.probe(replace(aim, address=address), landed)

        host = first_host(aim.url)
        if host is None:
            self.probe(aim, done)
        else:
            self.resolver.ask(host, aim.family, aim.nameservers, aim.timeout / 2, found)

    def _step(self, way: Way, answer: Any, aim: Aim, done: Done) -> None:
        """Sends the answer, and sees to the next wish. One broken walk never stops the others."""

        def go_on(told: Any) -> None:
            self._step(way, told, aim, done)

        try:
            wish = way.send(answer)
            match wish:
                case Ask(host, seconds):
                    self.resolver.ask(host, aim.family, aim.nameservers, seconds, go_on)
                case Get():
                    self.transfers.get(wish, go_on)
                case Doubt(address):
                    self._doubt(aim, address, go_on)
        except StopIteration as end:
            done(end.value)
        except CannotSee as error:
            done(Sight(aim.url, aim.family, Reason.OTHER, words=error.what.en))
        except Exception as error:
            _log.exception("a probe of %s broke down", aim.url)
            done(Sight(aim.url, aim.family, Reason.OTHER, words=type(error).__name__))

    def _doubt(self, aim: Aim, address: str, done: Callable[[Reason | None], None]) -> None:
        trouble, places = standpoint(aim.family, address, aim.references)
        if trouble is not None or not places:
            done(trouble)
            return
        key = (aim.family, places, aim.nameservers)
        told = self._told.get(key)
        if told is not None and self._loop.now - told[0] < ROUND_SECONDS:
            done(None if told[1] else Reason.REFERENCE_SILENT)
            return
        if key in self._asking:
            self._asking[key].append(done)
            return
        self._asking[key] = [done]
        self.doubts += 1
        asked = self._loop.now

        def heard(any_answered: Any, error: BaseException | None) -> None:
            here = bool(any_answered) and error is None
            if len(self._told) > 1000:
                self._told.clear()
            self._told[key] = (asked, here)
            for one in self._asking.pop(key):
                one(None if here else Reason.REFERENCE_SILENT)

        self._loop.in_thread(lambda: answered(aim.family, places, aim.nameservers), heard)


def _badness(sight: Sight) -> int:
    if sight.reason is None:
        return 0
    return 1 if sight.reason in OURS else 2
