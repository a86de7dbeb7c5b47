"""Dates as feeds, pages and people write them: RFC 822, ISO 8601, and the Vietnamese `20/11/2026 14:30`.

A time without zone is Vietnamese. A day without time counts as its last second: nobody is called late by a few hours.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime

from ops import LOCAL

_SLASHED = re.compile(
    r"(?:thứ\s+\S+|chủ\s+nhật)?[\s,]*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})"
    r"(?:[\sT,|-]+(\d{1,2})[:h](\d{2})(?::(\d{2}))?(?:\.\d+)?\s*(SA|CH|AM|PM)?)?", re.I)
_YEARS = range(1990, 2100)


def moment(text: str, *, month_first: bool = False) -> datetime | None:
    """The moment in UTC that a text names, or None when it names none."""
    cleaned = " ".join(text.split())[:80]
    for reader in (_iso, _rfc822):
        found = reader(cleaned)
        if found is not None:
            return _sane(found)
    return _sane(_slashed(cleaned, month_first))


def month_first(texts: list[str]) -> bool:
    """Whether slashed dates of one source are American: one second number above 12, no first number above 12."""
    pairs = [(int(found[1]), int(found[2])) for text in texts if (found := _SLASHED.match(" ".join(text.split())[:80]))]
    return any(second > 12 for _, second in pairs) and all(first <= 12 for first, _ in pairs)


def end_of(day: date) -> datetime:
    """The last second of a Vietnamese day, UTC."""
    return datetime.combine(day, time(23, 59, 59), LOCAL).astimezone(UTC)


def _sane(found: datetime | None) -> datetime | None:
    if found is None or found.year not in _YEARS:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=LOCAL)).astimezone(UTC)


def _iso(text: str) -> datetime | None:
    try:
        if len(text) == 10:
            return end_of(date.fromisoformat(text))
        return datetime.fromisoformat(text) if re.match(r"\d{4}-\d\d-\d\d[T ]", text) else None
    except ValueError:
        return None


def _rfc822(text: str) -> datetime | None:
    if not re.search("[A-Za-z]{3}", text) or "/" in text:
        return None
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _slashed(text: str, american: bool) -> datetime | None:
    found = _SLASHED.fullmatch(text)
    if found is None:
        return None
    first, second, year = int(found[1]), int(found[2]), int(found[3])
    day, month = (second, first) if american else (first, second)
    try:
        if found[4] is None:
            return end_of(date(year, month, day))
        hour, half = int(found[4]), (found[7] or "").upper()
        if half:
            hour = hour % 12 + (12 if half in ("CH", "PM") else 0)
        return datetime(year, month, day, hour, int(found[5]), int(found[6] or 0), tzinfo=LOCAL)
    except ValueError:
        return None
