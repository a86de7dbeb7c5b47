"""Vietnamese working days: Monday to Friday less the holidays, plus the Saturdays that the government swaps in.

Holidays (Labour Code 2019, art. 112; 24 November since 2026) and past swaps come from the library `holidays` (lunar days
included). Its Tết is the usual one; the Prime Minister sets Tết, National Day and the swaps anew each year, so a site
adds what is announced (`days_off`, `working_days`). Counting is that of the Civil Code 2015, art. 147 and 148: the day of
the event is not counted; a term that would end on a day off ends on the next working day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from ops import UsageError, say

if TYPE_CHECKING:
    from holidays.countries.vietnam import Vietnam

FIRST_YEAR, LAST_YEAR = 2000, 2090
_SATURDAY = 5
_SWAPPED_OFF = frozenset({date(2026, 1, 2)})
_SWAPPED_IN = frozenset({date(2026, 1, 10)})
"""Announced on 25 December 2025 for state bodies; the library lacks this pair."""


@dataclass(frozen=True)
class Calendar:
    """The working days of one site. `off` and `on`: days that the site's configuration adds; they win over the table."""

    off: frozenset[date] = frozenset()
    on: frozenset[date] = frozenset()

    def works(self, day: date) -> bool:
        """True when state bodies work on `day`. Raises UsageError outside 2000 to 2090."""
        if day in self.on or day in self.off:
            return day in self.on
        if day in _SWAPPED_IN or day in _SWAPPED_OFF:
            return day in _SWAPPED_IN
        table = _table(day.year)
        return day in table.weekend_workdays or (day.weekday() < _SATURDAY and day not in table)

    def why_off(self, day: date) -> str:
        """The Vietnamese name of the day off ("Tết Nguyên đán", "nghỉ cuối tuần"), or "" for a working day."""
        if self.works(day):
            return ""
        if day in self.off or day in _SWAPPED_OFF:
            return "nghỉ theo thông báo"
        return str(_table(day.year).get(day) or "nghỉ cuối tuần")

    def due(self, trigger: date, count: int) -> date:
        """The last day of a term of `count` working days from `trigger`; with 0 the same day, or the next working one."""
        day, left = trigger, count
        while left > 0:
            day += timedelta(days=1)
            left -= self.works(day)
        return day if count > 0 else self.at_or_after(day)

    def at_or_after(self, day: date) -> date:
        """`day` itself when it is a working day, else the next one."""
        while not self.works(day):
            day += timedelta(days=1)
        return day

    def before(self, day: date, count: int = 1) -> date:
        """The `count`-th working day before `day`."""
        left = count
        while left > 0:
            day -= timedelta(days=1)
            left -= self.works(day)
        return day

    def between(self, start: date, end: date) -> int:
        """Working days after `start` up to and with `end`; negative when `end` lies before `start`."""
        if end < start:
            return -self.between(end, start)
        span = (end - start).days
        return sum(self.works(start + timedelta(days=step)) for step in range(1, span + 1))


def calendar(off: Iterable[date] = (), on: Iterable[date] = ()) -> Calendar:
    """The calendar with these additions. Raises UsageError when a day stands in both."""
    one = Calendar(frozenset(off), frozenset(on))
    both = sorted(one.off & one.on)
    if both:
        raise UsageError(
            say("{d} vừa là ngày nghỉ vừa là ngày làm việc", "{d} is both a day off and a working day",
                d=both[0].strftime("%d/%m/%Y")),
            say("bỏ khỏi days_off hoặc working_days", "drop it from days_off or from working_days"),
        )
    return one


@lru_cache(maxsize=128)
def _table(year: int) -> Vietnam:
    """The holidays of one year, read from the library once."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise UsageError(
            say("năm {y} nằm ngoài bảng ngày lễ {a}–{b}", "the year {y} is outside the holiday table {a} to {b}", y=year,
                a=FIRST_YEAR, b=LAST_YEAR),
            say("kiểm tra lại ngày tháng", "check the date"),
        )
    from holidays.countries.vietnam import Vietnam

    return Vietnam(years=year, expand=False, language="vi")  # type: ignore[no-untyped-call]
