"""Months, quarters and years as reports mean them: whole Vietnamese days, from moment to moment."""

from __future__ import annotations

from datetime import date

from monitoring.uptime.counting import day_start, number_of

Period = tuple[int, int]
"""(first moment, moment after the last), seconds UTC."""


def days(first: date, last: date) -> Period:
    """From the first day's midnight to the last day's."""
    return day_start(number_of(first)), day_start(number_of(last) + 1)


def month(year: int, number: int) -> Period:
    """One month."""
    return _months(year, number, 1)


def quarter(year: int, number: int) -> Period:
    """One quarter, 1 to 4."""
    return _months(year, 3 * number - 2, 3)


def year(number: int) -> Period:
    """One year."""
    return _months(number, 1, 12)


def _months(year_: int, first: int, count: int) -> Period:
    behind = first + count
    end = date(year_ + 1, 1, 1) if behind > 12 else date(year_, behind, 1)
    return day_start(number_of(date(year_, first, 1))), day_start(number_of(end))
