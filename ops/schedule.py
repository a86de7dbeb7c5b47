"""When something is due. Pure: the last start, the rhythm or cron line, and now. Missed slots are caught up once.

Cron lines are read by cronsim, in Asia/Ho_Chi_Minh time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ops.moment import LOCAL


def check_due(every: timedelta, last: datetime | None, now: datetime) -> bool:
    """True when a check with this rhythm should look: never looked, or a rhythm (less 2 %, for timers) has passed."""
    return last is None or now - last >= every * 0.98 or now < last


def last_slot(cron: str, now: datetime) -> datetime:
    """The latest moment at or before `now` at which `cron` fires. Raises ValueError for a line that never does."""
    from cronsim import CronSim, CronSimError

    try:
        return next(CronSim(cron, now.astimezone(LOCAL) + timedelta(minutes=1), reverse=True)).astimezone(UTC)
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"cron line {cron!r}: {error}") from None


def next_slot(cron: str, now: datetime) -> datetime:
    """The next moment after `now` at which `cron` fires."""
    from cronsim import CronSim, CronSimError

    try:
        return next(CronSim(cron, now.astimezone(LOCAL))).astimezone(UTC)
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"cron line {cron!r}: {error}") from None


def occasion_due(cron: str, last: datetime | None, now: datetime) -> bool:
    """True when the latest slot has not been served: catches up after downtime, once, however many were missed.

    A last run in the future is no run: the clock was wrong, and must not stop the work for years.
    """
    return last is None or last > now or last < last_slot(cron, now)


def soonest(moments: Iterable[datetime], default: datetime) -> datetime:
    """The earliest of some moments, or the default."""
    return min(moments, default=default)
