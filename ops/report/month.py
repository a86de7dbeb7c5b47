"""The shorter periods of minutes: a month `2026-11`, a quarter `2026-Q4`, an ISO week `2026-W47`. Days are Vietnamese."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from ops.errors import UsageError
from ops.model import say
from ops.moment import LOCAL, local

_FORM = re.compile(r"(20[0-9]{2})-(?:(0[1-9]|1[0-2])|Q([1-4])|W(0[1-9]|[1-4][0-9]|5[0-3]))", re.ASCII)


def month(text: str, now: datetime) -> tuple[datetime, datetime, str, str]:
    """(start, end, short name, name in words) of a period; "" is the month of `now`. `end` is the first moment after.

    A period that is not over is allowed. Raises UsageError for one that has not begun, and for anything else.
    """
    mend = say(
        'viết tháng "2026-11", quý "2026-Q4" hoặc tuần "2026-W47"',
        'write a month "2026-11", a quarter "2026-Q4" or a week "2026-W47"',
    )
    chosen = text.strip() or f"{local(now):%Y-%m}"
    match = _FORM.fullmatch(chosen)
    if match is None:
        raise UsageError(say("kỳ báo cáo không hiểu được: {t}", "no such period: {t}", t=chosen), mend)
    try:
        first, after, words = _bounds(int(match[1]), match[2], match[3], match[4])
    except ValueError:
        raise UsageError(say("kỳ báo cáo không có thật: {t}", "no such period: {t}", t=chosen), mend) from None
    start, end = (datetime.combine(day, time(), LOCAL).astimezone(UTC) for day in (first, after))
    if start >= now:
        raise UsageError(say("kỳ báo cáo {t} chưa bắt đầu", "period {t} has not begun", t=chosen), mend)
    return start, end, chosen, words


def _bounds(year: int, month_: str | None, quarter: str | None, week: str | None) -> tuple[date, date, str]:
    """First day, the day after the last, and the name; raises ValueError for a 53rd week that the year has not."""
    if week:
        monday = date.fromisocalendar(year, int(week), 1)
        return monday, monday + timedelta(days=7), f"tuần {int(week)} năm {year}"
    first = int(month_) if month_ else int(quarter or 1) * 3 - 2
    after = first + (1 if month_ else 3)
    name = f"tháng {first:02d}" if month_ and first < 3 else f"tháng {first}" if month_ else f"quý {quarter}"
    return date(year, first, 1), date(year + (after > 12), (after - 1) % 12 + 1, 1), f"{name} năm {year}"
