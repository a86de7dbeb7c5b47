"""Figures out of the record: availability of any stretch of time, outages one by one, days for a calendar.

A reader waits for nobody and holds nobody up. All times are counted from transitions, second by second:

- availability = up / (up + down). Unknown time is in neither, and is told beside it; above one per cent unknown the
  figure is not enough for a report (`enough` is False).
- Planned maintenance is told beside availability and never hidden in it: `ratio` counts its down time as down;
  `ratio_unplanned` is the second figure, and only for windows that were announced before they began.
- The same by looks (`successful` of `valid`), so that an auditor can compare; whole days only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from monitoring import windows
from monitoring.uptime.counting import Tally, date_of, day_number, day_start, number_of, percentile
from monitoring.uptime.judging import State
from monitoring.uptime.store import FILE, VERSION
from ops import CannotSee, say

MOST_UNKNOWN = 0.01


@dataclass(frozen=True, slots=True)
class Span:
    """A target was in this state from `start` up to, not including, `end`."""

    start: int
    end: int
    state: State
    reason: str = ""

    @property
    def seconds(self) -> int:
        """How long."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Outage:
    """From the first failed look to the first good one. seconds: of it, known down. open: had not ended yet.

    planned: seconds of it that lie within announced maintenance.
    """

    start: int
    end: int
    seconds: int
    reason: str
    open: bool
    planned: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Planned maintenance, and when it was announced (0: not known, taken as in time)."""

    start: int
    end: int
    announced: int = 0

    @property
    def late(self) -> bool:
        """Announced only when it had begun: shown, but excuses nothing."""
        return self.announced > self.start


def planned_of(entries: Iterable[windows.Window]) -> list[Window]:
    """The site's maintenance entries as figures use them; one that was called off counts up to that moment."""
    made = []
    for one in entries:
        end = one.end if one.cancelled_at is None else min(one.end, one.cancelled_at)
        if one.start < end:
            made.append(Window(*(int(moment.timestamp()) for moment in (one.start, end, one.recorded_at))))
    return made


@dataclass(frozen=True, slots=True)
class Availability:
    """The figures of one target (or several together) over [start, end). Seconds throughout.

    planned: down within maintenance that was announced in time. successful, valid, blips: looks of the whole days
    within. outages: how many; longest: the known down seconds of the longest.
    """

    start: int
    end: int
    up: int
    down: int
    absent: int
    unknown: int
    planned: int
    outages: int
    longest: int
    successful: int = 0
    valid: int = 0
    blips: int = 0

    @property
    def ratio(self) -> float | None:
        """Up of known time; None when nothing is known."""
        known = self.up + self.down
        return self.up / known if known else None

    @property
    def ratio_unplanned(self) -> float | None:
        """The same without the down time that was announced in time."""
        known = self.up + self.down - self.planned
        return self.up / known if known else None

    @property
    def coverage(self) -> float:
        """Known share of the time asked for."""
        total = self.end - self.start
        return 1 - self.unknown / total if total else 0.0

    @property
    def enough(self) -> bool:
        """Whether so little is unknown that a report may use the figure."""
        return self.end > self.start and self.unknown <= MOST_UNKNOWN * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Day:
    """One Vietnamese day. mean, p95: seconds that good looks took (0 without any); partly filled on the day itself."""

    day: date
    availability: Availability
    mean: float
    p95: float


class Reader:
    """Reads one folder's record. Raises CannotSee when there is none."""

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        try:
            self._base = sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True, timeout=5, isolation_level=None)
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error:
            version = 0
        if version != VERSION:
            with suppress(AttributeError):
                self._base.close()
            raise CannotSee(
                say("chưa có sổ theo dõi {f}", "there is no record of availability {f}", f=path),
                say("cho chạy gaccong serve", "let gaccong serve run"),
            )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets the file go."""
        self._base.close()

    def targets(self) -> list[str]:
        """Every target that was ever recorded."""
        return [row[0] for row in self._base.execute("SELECT name FROM target ORDER BY name")]

    def watched(self) -> int:
        """Up to which moment somebody has watched; 0 when nobody ever did."""
        return int(self._base.execute("SELECT coalesce(max(seen), 0) FROM run WHERE id = (SELECT max(id) FROM run)")
                   .fetchone()[0])

    def _runs(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """(run, from, to) in the order of time, clipped to [start, end): where runs overlap the later one is right."""
        found: list[tuple[int, int, int]] = []
        limit = end
        for number, began, seen in self._base.execute("SELECT id, began, seen FROM run ORDER BY id DESC"):
            first, last = max(began, start), min(seen, limit)
            if first < last:
                found.append((number, first, last))
            limit = min(limit, began)
        return found[::-1]

    def spans(self, target: str, start: int, end: int) -> list[Span]:
        """The states of [start, end), without holes: what nobody saw is unknown."""
        made: list[Span] = []
        runs = self._runs(start, end)
        turns = self._turns(target, runs, end)
        at = start
        for number, first, last in runs:
            _add(made, at, first, State.UNKNOWN, "")
            at = first
            state, reason = State.UNKNOWN, ""
            for moment, next_state, why in turns.get(number, ()):
                if moment >= last:
                    break
                if moment > at:
                    _add(made, at, moment, state, reason)
                    at = moment
                state, reason = next_state, why
            _add(made, at, last, state, reason)
            at = last
        _add(made, at, end, State.UNKNOWN, "")
        return made

    def _turns(
        self, target: str, runs: Sequence[tuple[int, int, int]], end: int
    ) -> dict[int, list[tuple[int, State, str]]]:
        if not runs:
            return {}
        rows = self._base.execute(
            "SELECT run, moment, state, word.text FROM transition JOIN word ON word.id = reason"
            " WHERE target = (SELECT id FROM target WHERE name = ?) AND run BETWEEN ? AND ? AND moment < ?"
            " ORDER BY run, moment", (target, runs[0][0], runs[-1][0], end)
        )
        found: dict[int, list[tuple[int, State, str]]] = {}
        for run, moment, state, why in rows:
            found.setdefault(run, []).append((moment, State(state), why))
        return found

    def availability(self, target: str, start: int, end: int, planned: Sequence[Window] = ()) -> Availability:
        """The figures of one target over [start, end)."""
        tallies = self._tallies(target, start, end)
        return _figures(self.spans(target, start, end), start, end, planned, tallies.values())

    def together(
        self, targets: Sequence[str], start: int, end: int, planned: Sequence[Window] = ()
    ) -> Availability:
        """The figures of a site that is up when any of its targets (families) is; absent ones do not count."""
        return _figures(any_of([self.spans(one, start, end) for one in targets], start, end), start, end, planned, ())

    def outages(self, target: str, start: int, end: int, planned: Sequence[Window] = ()) -> list[Outage]:
        """Every outage that touches [start, end), oldest first, cut to it."""
        return list(_outages(self.spans(target, start, end), planned))

    def days(self, target: str, first: date, last: date, planned: Sequence[Window] = ()) -> list[Day]:
        """One row for each Vietnamese day, both ends included."""
        low, high = number_of(first), number_of(last)
        spans = self.spans(target, day_start(low), day_start(high + 1))
        tallies = self._tallies(target, day_start(low), day_start(high + 1))
        made, place = [], 0
        for number in range(low, high + 1):
            begin, end = day_start(number), day_start(number + 1)
            while place < len(spans) and spans[place].end <= begin:
                place += 1
            inside = []
            for span in spans[place:]:
                if span.start >= end:
                    break
                inside.append(Span(max(span.start, begin), min(span.end, end), span.state, span.reason))
            tally = tallies.get(number, Tally())
            looks = sum(tally.buckets.values())
            made.append(Day(date_of(number), _figures(inside, begin, end, planned, [tally]),
                            tally.sum_us / looks / 1e6 if looks else 0.0, percentile(tally.buckets, 0.95)))
        return made

    def _tallies(self, target: str, start: int, end: int) -> dict[int, Tally]:
        """The counts of the whole days within [start, end). Asked day by day: the table lies in the order of days."""
        first = day_number(start) if start == day_start(day_number(start)) else day_number(start) + 1
        wanted = [(number,) for number in range(first, day_number(end))]
        found = self._base.execute("SELECT id FROM target WHERE name = ?", (target,)).fetchone()
        if found is None or not wanted:
            return {}
        rows = self._base.execute(
            "WITH RECURSIVE wanted (day) AS (SELECT ? UNION ALL SELECT day + 1 FROM wanted WHERE day < ?)"
            " SELECT day.day, ok, bad, blip, unknown, absent, sum_us, hist FROM wanted"
            " CROSS JOIN day ON day.day = wanted.day AND day.target = ?", (wanted[0][0], wanted[-1][0], found[0])
        )
        return {row[0]: Tally.of(row[1:]) for row in rows}


def _add(spans: list[Span], start: int, end: int, state: State, reason: str) -> None:
    """Appends, joined to the last when the state goes on (its first reason stays)."""
    if start >= end:
        return
    if spans and spans[-1].state is state:
        spans[-1] = Span(spans[-1].start, end, state, spans[-1].reason or reason)
    else:
        spans.append(Span(start, end, state, reason))


def any_of(lists: Sequence[Sequence[Span]], start: int, end: int) -> list[Span]:
    """The states of several targets as one: up when any is, else unknown when any is, else down, else absent."""
    edges = sorted({start, end, *(span.start for spans in lists for span in spans)})
    places = [0] * len(lists)
    made: list[Span] = []
    for low, high in zip(edges, edges[1:], strict=False):
        now = []
        for which, spans in enumerate(lists):
            while places[which] < len(spans) - 1 and spans[places[which]].end <= low:
                places[which] += 1
            now.append(spans[places[which]])
        for state in (State.UP, State.UNKNOWN, State.DOWN, State.ABSENT):
            fitting = [span for span in now if span.state is state]
            if fitting:
                _add(made, low, high, state, fitting[0].reason)
                break
    return made


def _overlap(start: int, end: int, planned: Sequence[Window]) -> int:
    """Seconds of [start, end) within windows that were announced in time; windows may overlap each other."""
    total, at = 0, start
    for window in sorted((one for one in planned if not one.late), key=lambda one: one.start):
        low, high = max(at, window.start), min(end, window.end)
        if low < high:
            total += high - low
            at = high
    return total


def _outages(spans: Sequence[Span], planned: Sequence[Window]) -> Iterator[Outage]:
    """Down spans; those with nothing but unknown between them are one outage: nobody saw the site up in between."""
    held: list[Span] = []
    for span in [*spans, None]:
        if span is not None and span.state is State.DOWN:
            held.append(span)
        elif held and (span is None or span.state is not State.UNKNOWN):
            yield Outage(held[0].start, held[-1].end, sum(one.seconds for one in held), held[0].reason, span is None,
                         sum(_overlap(one.start, one.end, planned) for one in held))
            held = []


def _figures(
    spans: Sequence[Span], start: int, end: int, planned: Sequence[Window], tallies: Iterable[Tally]
) -> Availability:
    seconds = dict.fromkeys(State, 0)
    for span in spans:
        seconds[span.state] += span.seconds
    outages = list(_outages(spans, planned))
    counted = list(tallies)
    return Availability(
        start, end, seconds[State.UP], seconds[State.DOWN], seconds[State.ABSENT], seconds[State.UNKNOWN],
        sum(one.planned for one in outages), len(outages), max((one.seconds for one in outages), default=0),
        sum(one.ok for one in counted), sum(one.ok + one.bad + one.blip for one in counted),
        sum(one.blip for one in counted),
    )
