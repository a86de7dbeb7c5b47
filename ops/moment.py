"""Moments: UTC inside, Asia/Ho_Chi_Minh where people read. A week is an ISO week there."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")


def utcnow() -> datetime:
    """The clock, asked at the rim only (command line, serve loop); everything within is handed `now`."""
    return datetime.now(UTC)


def local(moment: datetime) -> datetime:
    """The same moment on a Vietnamese clock."""
    return moment.astimezone(LOCAL)


def local_day(moment: datetime) -> date:
    """The Vietnamese calendar day of a moment."""
    return local(moment).date()


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`, as evidence writes it: 2026-11-21T18:38:40.232129Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def unstamp(value: str) -> datetime:
    """The moment that `stamp` wrote."""
    return datetime.fromisoformat(value).astimezone(UTC)


def human(moment: datetime) -> str:
    """`21/11/2026 18:38`, Vietnamese clock."""
    return local(moment).strftime("%d/%m/%Y %H:%M")
