"""Ninety days of one site over each family: from the prober's record, else from the transitions of `web.http`."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from monitoring import windows
from monitoring.endpoints import Family
from monitoring.fleet import target_name
from monitoring.reasons import Reason
from monitoring.uptime.counting import day_number, day_start
from monitoring.uptime.judging import State as Up
from monitoring.uptime.reading import Availability, Day, Outage, Reader, Window
from ops import CannotSee, Flip, Text, Verdict, View, availability, local_day

DAYS = 90
MOST_OUTAGES = 6
_DUTY = "web.http"


@dataclass(frozen=True, slots=True)
class Cell:
    """One Vietnamese day. Seconds; `planned`: some of it lay within announced maintenance."""

    day: date
    up: int
    down: int
    absent: int
    planned: bool

    @property
    def ratio(self) -> float | None:
        """Up of known time; None when nobody knows."""
        known = self.up + self.down
        return self.up / known if known else None

    @property
    def kind(self) -> str:
        """`up` (never down), `part` (down for under 1 % of the day's known time), `down`, `absent` or `none`."""
        ratio = self.ratio
        if ratio is None:
            return "absent" if self.absent else "none"
        return "up" if ratio == 1.0 else "part" if ratio >= 0.99 else "down"


@dataclass(frozen=True, slots=True)
class Line:
    """A site over one family: days (oldest first), the sum over them, and outages, the newest first.

    now: what is believed now. pace: (day, p95 seconds) where looks were timed. source: "minute" (the prober's looks)
    or "flips" (the check of every five minutes).
    """

    family: Family
    cells: tuple[Cell, ...]
    total: Availability
    outages: tuple[Outage, ...]
    now: Up
    pace: tuple[tuple[date, float], ...]
    source: str


def planned_of(state: Path | None, site: str) -> windows.Register:
    """The site's maintenance windows. Raises CannotSee."""
    return windows.read(state / "sites" / site) if state is not None else windows.Register()


def lines_of(site: str, now: datetime, view: View | None, state: Path | None, register: windows.Register) -> list[Line]:
    """Both families, as far as anything is known of them."""
    planned = [Window(int(one.start.timestamp()), int(one.ends.timestamp()), int(one.recorded_at.timestamp()))
               for one in register.windows]
    found: list[Line] = []
    if state is not None:
        try:
            with Reader(state / "uptime") as reader:
                found = [line for family in Family if (line := _recorded(reader, site, family, now, planned))]
        except CannotSee:
            found = []
    missing = [family for family in Family if family not in {line.family for line in found}]
    if view is not None:
        found += [line for family in missing if (line := _from_flips(view, site, family, now, planned))]
    return sorted(found, key=lambda line: line.family.value)


def _recorded(reader: Reader, site: str, family: Family, now: datetime, planned: Sequence[Window]) -> Line | None:
    """From the record; None when this target was never seen in these days."""
    target, end = target_name(site, family), int(now.timestamp())
    today = local_day(now)
    first = today - timedelta(days=DAYS - 1)
    days = reader.days(target, first, today, planned)
    total = reader.availability(target, day_start(day_number(end) - DAYS + 1), end, planned)
    if total.unknown == total.end - total.start:
        return None
    outages = reader.outages(target, total.start, end, planned)
    spans = reader.spans(target, max(total.start, end - 3600), end)
    recent = next((one.state for one in reversed(spans) if one.state is not Up.UNKNOWN or end - one.start > 300),
                  Up.UNKNOWN)
    pace = tuple((one.day, one.p95) for one in days if one.p95)
    return Line(family, tuple(_cell(one, planned) for one in days), total, tuple(outages[:-MOST_OUTAGES - 1:-1]), recent,
                pace, "minute")


def _cell(day: Day, planned: Sequence[Window]) -> Cell:
    figures = day.availability
    return Cell(day.day, figures.up, figures.down, figures.absent, _touched(figures.start, figures.end, planned))


def _touched(start: int, end: int, planned: Sequence[Window]) -> bool:
    return any(one.start < end and start < one.end and one.start < one.end for one in planned)


def _from_flips(view: View, site: str, family: Family, now: datetime, planned: Sequence[Window]) -> Line | None:
    end = int(now.timestamp())
    start = day_start(day_number(end) - DAYS + 1)
    begin = datetime.fromtimestamp(start, UTC)
    flips = view.flips(site, _DUTY, family.value, begin, now)
    if not flips:
        return None
    times = [flip.time for flip in flips]
    cells = []
    for low in range(start, end, 86400):
        low_at, high_at = (datetime.fromtimestamp(one, UTC) for one in (low, min(low + 86400, end)))
        mine = flips[max(0, bisect_right(times, low_at) - 1):bisect_left(times, high_at)]
        sums = availability(mine, low_at, high_at)
        up = round(sums.good_seconds)
        cells.append(Cell(local_day(low_at), up, round(sums.valid_seconds) - up, 0, _touched(low, low + 86400, planned)))
    sums = availability(flips, begin, now)
    up, known = round(sums.good_seconds), round(sums.valid_seconds)
    total = Availability(start, end, up, known - up, 0, end - start - known, 0, sums.outages,
                         round(sums.longest_outage_seconds))
    return Line(family, tuple(cells), total, _outages(flips, begin, end), _STANDS[flips[-1].verdict], (), "flips")


_STANDS = {Verdict.MET: Up.UP, Verdict.AT_RISK: Up.UP, Verdict.BROKEN: Up.DOWN, Verdict.UNSEEN: Up.UNKNOWN}


def _outages(flips: Sequence[Flip], begin: datetime, end: int) -> tuple[Outage, ...]:
    found = []
    for number, flip in enumerate(flips):
        if flip.verdict is Verdict.BROKEN:
            start = int(max(flip.time, begin).timestamp())
            last = number + 1 == len(flips)
            until = end if last else int(flips[number + 1].time.timestamp())
            found.append(Outage(start, until, until - start, "", last))
    return tuple(found[:-MOST_OUTAGES - 1:-1])


def reason_words(value: str) -> Text:
    """A reason out of the record, in words; "" where none is kept."""
    try:
        return Reason(value).words if value else Text("", "")
    except ValueError:
        return Text(value, value)
