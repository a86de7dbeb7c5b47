"""What the prober has seen last, who is under maintenance, and how available everybody was: as metric families.

The prober is a process of its own and hands its last looks over in one file (`latest`): a scrape never makes a probe late.
A target that was not looked at for three of the prober's intervals has no series here but the moment of its last look:
the last value that somebody saw an hour ago must not pass for now.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitoring import windows
from monitoring.exposition import COUNTER, Family, Key
from monitoring.latest import read_columns
from monitoring.looking import GRAIN
from monitoring.uptime import periods
from monitoring.uptime.judging import State
from monitoring.uptime.reading import Availability, Reader, Window, planned_of
from ops import LOCAL, CannotSee, Site

INTERVAL, MISSED, SPARE_SECONDS = 60.0, 3.0, 15.0
BUDGET_SECONDS = 0.02
"""Spent on availability at each scrape: the oldest figures are counted anew, the others stand for a while longer."""
REFRESH_SECONDS = 300.0
MANY_SITES = 100
"""Above this many sites only the year is counted: month and quarter of each are in its report."""
STANDING = {State.UP: 0, State.UNKNOWN: 1, State.ABSENT: 2, State.DOWN: 3}
_PHASES = ("dns", "connect", "tls", "first_byte", "transfer")
_TARGET = ("site", "ip_family")
_PROBER = (
    ("cpu_seconds", "cpu_seconds", "CPU time of the prober since it started.", COUNTER),
    ("looks", "looks", "Looks begun since the prober started.", COUNTER),
    ("missed", "missed_slots", "Slots in which no look could begin, since the prober started.", COUNTER),
    ("tainted", "tainted_looks", "Looks whose times are not counted, because the prober was late.", COUNTER),
    ("starved", "starved_looks", "Looks that accuse nobody, because the prober stood still.", COUNTER),
    ("stalled_seconds", "stalled_seconds", "Time that somebody waited for the prober itself.", COUNTER),
    ("clock_jumps", "clock_jumps", "Jumps of this machine's clock since the prober started.", COUNTER),
    ("worst_lag_seconds", "worst_lag_seconds", "Longest single delay of the prober since it started.", "gauge"),
    ("targets", "targets", "Targets that the prober watches: a site over one family.", "gauge"),
    ("in_flight", "looks_in_flight", "Looks under way.", "gauge"),
    ("store_failing", "store_failing", "1 while the record of availability cannot be written.", "gauge"),
    ("moment", "last_write_timestamp_seconds", "When the prober last handed over what it saw.", "gauge"),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """Availability of one target over one period, as counted at some moment."""

    key: Key
    figures: Availability


@dataclass(frozen=True, slots=True)
class Watched:
    """One moment's material. `keys` stays the same object as long as the fleet does; `looks` is by field of `Latest`."""

    now: float
    health: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[Key] = ()
    looks: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    maintenance: Mapping[str, bool] = field(default_factory=dict)
    availability: Sequence[Counted] = ()


class Sources:
    """Reads for the exporter what other processes leave in the state folder. `sites`: those of the configuration."""

    def __init__(self, sites: Callable[[], Mapping[str, Site]], state: Path, clock: Callable[[], float] = time.time) -> None:
        self.sites = sites
        self._state, self._clock = state, clock
        self._names: list[str] = []
        self._keys: tuple[Key, ...] = ()
        self._counted: OrderedDict[str, tuple[float, list[Counted]]] = OrderedDict()

    def read(self) -> Watched:
        """Everything, now. What is not there is left out: a site may be watched by the timer alone."""
        now = self._clock()
        health: dict[str, Any] = {}
        looks: Mapping[str, Sequence[Any]] = {}
        names: list[str] = []
        with suppress(CannotSee):
            health, names, looks = read_columns(self._state / "uptime" / "latest")
        if names != self._names:
            self._names = names
            self._keys = tuple((site, family) for site, _, family in (name.rpartition("/") for name in names))
        return Watched(now, health, self._keys, looks, self._maintenance(now), self._availability(now))

    def _maintenance(self, now: float) -> dict[str, bool]:
        """Sites under planned work; a register that cannot be read excuses nobody."""
        moment, found = datetime.fromtimestamp(now, UTC), {}
        for site in self.sites():
            found[site] = False
            home = f"{self._state}/sites/{site}"
            if os.path.exists(f"{home}/{windows.FILE}"):  # noqa: PTH110 - a tenth of Path's time, for each site
                with suppress(CannotSee):
                    window = windows.in_force(windows.read(Path(home)).windows, moment)
                    found[site] = window is not None and not window.late
        return found

    def _availability(self, now: float) -> list[Counted]:
        for name in [name for name in self._counted if name not in set(self._names)]:
            del self._counted[name]
        due = [name for name in self._names if name not in self._counted]
        due += [name for name, (at, _) in self._counted.items() if now - at > REFRESH_SECONDS]
        if due:
            began = time.monotonic()
            with suppress(CannotSee), Reader(self._state / "uptime") as reader:
                for name in due:
                    self._counted[name] = (now, list(self._count(reader, name, now)))
                    self._counted.move_to_end(name)
                    if time.monotonic() - began > BUDGET_SECONDS:
                        break
        return [one for _, counted in self._counted.values() for one in counted]

    def _count(self, reader: Reader, name: str, now: float) -> Iterator[Counted]:
        site, _, family = name.rpartition("/")
        home = self._state / "sites" / site
        planned: list[Window] = []
        with suppress(CannotSee):
            planned = planned_of(windows.read(home).windows)
        today = datetime.fromtimestamp(now, LOCAL).date()
        begun = {"year": periods.year(today.year)[0]}
        if len(self._names) <= 2 * MANY_SITES:
            begun["quarter"] = periods.quarter(today.year, (today.month + 2) // 3)[0]
            begun["month"] = periods.month(today.year, today.month)[0]
        for period, start in begun.items():
            yield Counted((site, family, period), reader.availability(name, start, int(now), planned))


def watched_families(shown: Watched) -> Iterator[Family]:
    """The prober's targets, the prober itself, maintenance, availability."""
    if shown.looks:
        yield from _targets(shown)
    for key, name, words, kind in _PROBER:
        value = shown.health.get(key)
        if isinstance(value, int | float):
            yield Family(f"prober_{name}", words, (), ((),), (value,), kind)
    sites = tuple((site,) for site in shown.maintenance)
    yield Family("maintenance_active", "1 while planned maintenance that was entered beforehand is in force at a site.",
                 ("site",), sites, [int(one) for one in shown.maintenance.values()])
    yield from _available(shown.availability)


def _targets(shown: Watched) -> Iterator[Family]:
    """Sixteen series for each target that was looked at lately. Times of a look that the prober was late for are left out."""
    looks = shown.looks
    interval = shown.health.get("interval_seconds", INTERVAL)
    limit = shown.now - MISSED * interval - SPARE_SECONDS
    fresh = [moment >= limit for moment in looks["moment"]]
    everybody = all(fresh)

    def family(name: str, words: str, values: Sequence[float | None], kind: str = "gauge") -> Family:
        return Family(name, words, _TARGET, shown.keys, values, kind)

    def kept(values: Sequence[float | None]) -> list[float | None]:
        return list(values) if everybody else [value if one else None for value, one in zip(values, fresh, strict=True)]

    up = State.UP.value
    timed = [seen == up and is_fresh and not late
             for seen, is_fresh, late in zip(looks["seen"], fresh, looks["tainted"], strict=True)]

    def took(name: str) -> list[float | None]:
        return [round(value * GRAIN) / GRAIN if good else None for value, good in zip(looks[name], timed, strict=True)]

    success = {State.UP.value: 1, State.DOWN.value: 0}
    standing = {state.value: weight for state, weight in STANDING.items()}
    yield family("probe_success", "Whether the last look brought the page; absent when nothing can be said of the site.",
                 kept(list(map(success.get, looks["seen"]))))
    yield family("probe_state", "What is believed of a site over a family: 0 up, 1 unknown, 2 no address, 3 down.",
                 kept([standing.get(state, 1) for state in looks["state"]]))
    yield family("probe_flapping", "1 while a site over a family changes all the time.",
                 kept([int(one) for one in looks["flapping"]]))
    yield family("probe_attempts", "Looks since the prober started.", kept(looks["attempts"]), COUNTER)
    yield family("probe_failures", "Looks that failed since the prober started.", kept(looks["failures"]), COUNTER)
    yield family("probe_http_status_code", "Status of the last answer.", kept([one or None for one in looks["status"]]))
    yield family("probe_body_size_bytes", "Size of the page.", kept(looks["size"]))
    yield family("probe_certificate_not_after_timestamp_seconds", "When the certificate that was presented ends.",
                 kept([one or None for one in looks["not_after"]]))
    yield family("probe_duration_seconds", "From the first question to the last byte, over all redirects.", took("total"))
    yield family("probe_tcp_rtt_seconds", "Round-trip time as the kernel measured it, untouched by our own load.",
                 took("rtt"))
    yield _phases(shown, took)
    yield family("probe_last_run_timestamp_seconds", "When a target was last looked at.",
                 [float(int(one)) if one else None for one in looks["moment"]])
    yield _reasons(shown, fresh)


_PHASE_KEYS: dict[int, tuple[Sequence[Key], tuple[Key, ...]]] = {}


def _phases(shown: Watched, took: Callable[[str], list[float | None]]) -> Family:
    """All phases in one family; its keys are kept as long as the targets' are."""
    last = _PHASE_KEYS.get(0)
    if last is None or last[0] is not shown.keys:
        last = shown.keys, tuple((*key, phase) for phase in _PHASES for key in shown.keys)
        _PHASE_KEYS[0] = last
    values = [value for phase in _PHASES for value in took(phase)]
    return Family("probe_phase_duration_seconds", "Time spent in one phase of the last look, over all redirects.",
                  (*_TARGET, "phase"), last[1], values)


def _reasons(shown: Watched, fresh: Sequence[bool]) -> Family:
    """Only of looks that did not bring the page, so that a quiet fleet has none."""
    keys = [(*key, reason) for key, reason, is_fresh in zip(shown.keys, shown.looks["reason"], fresh, strict=True)
            if reason and is_fresh]
    return Family("probe_reason_info", "Why the last look did not bring the page; always 1.", (*_TARGET, "reason"), keys,
                  [1] * len(keys))


def _available(counted: Sequence[Counted]) -> Iterator[Family]:
    keys, labels = [one.key for one in counted], (*_TARGET, "period")

    def family(name: str, words: str, value: Callable[[Availability], float | None]) -> Family:
        return Family(name, words, labels, keys, [value(one.figures) for one in counted])

    yield family("availability_ratio", "Up, of the time of which it is known, since the calendar period began (Vietnam).",
                 lambda one: one.ratio)
    yield family("availability_known_ratio", "Share of the period of which it is known whether the site was up.",
                 lambda one: one.coverage)
    yield family("availability_outages", "Outages since the period began.", lambda one: one.outages)
    yield family("availability_longest_outage_seconds", "Longest outage since the period began.",
                 lambda one: one.longest)
