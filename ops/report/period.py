"""Reporting periods, in Vietnamese days: `2026` is 15 Dec 2025 to 14 Dec 2026 (NĐ 331/2026, art. 35), or calendar."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from ops.errors import UsageError
from ops.model import Text, say
from ops.moment import LOCAL

_FORM = re.compile(r"([0-9]{4})(-calendar)?")


def period(text: str, now: datetime) -> tuple[datetime, datetime, str]:
    """(start, end, label) of `2026` or `2026-calendar`; `end` is the first moment after the period, both in UTC.

    label is the period's short name, fit for a file name; `told` says it in words. A period that is not over yet is
    allowed. Raises UsageError for anything else.
    """
    mend = say(
        'viết "2026" (15/12 năm trước đến 14/12) hoặc "2026-calendar" (năm dương lịch)',
        'write "2026" (15 Dec of the year before to 14 Dec) or "2026-calendar" (calendar year)',
    )
    match = _FORM.fullmatch(text.strip())
    if match is None or not 2000 <= int(match[1]) <= 2100:
        raise UsageError(say("kỳ báo cáo không hiểu được: {t}", "no such period: {t}", t=text), mend)
    year = int(match[1])
    first, after = (
        (date(year, 1, 1), date(year + 1, 1, 1)) if match[2] else (date(year - 1, 12, 15), date(year, 12, 15))
    )
    start, end = (datetime.combine(day, time(), LOCAL).astimezone(UTC) for day in (first, after))
    if start >= now:
        raise UsageError(say("kỳ báo cáo {t} chưa bắt đầu", "period {t} has not begun", t=text), mend)
    return start, end, match[0]


def told(start: datetime, end: datetime, now: datetime) -> Text:
    """`từ ngày 15/12/2025 đến ngày 14/12/2026`, and that it is not over where it is not."""
    first, last = start.astimezone(LOCAL).date(), (end - timedelta(seconds=1)).astimezone(LOCAL).date()
    open_vi, open_en = (
        (", tính đến thời điểm lập báo cáo", ", up to the making of this report") if now < end else ("", "")
    )
    return say(
        "từ ngày {a} đến ngày {b}{v}",
        "from {c} to {d}{e}",
        a=f"{first:%d/%m/%Y}",
        b=f"{last:%d/%m/%Y}",
        c=first.isoformat(),
        d=last.isoformat(),
        v=open_vi,
        e=open_en,
    )


def year_of(end: datetime) -> int:
    """The year by which the period is called."""
    return (end - timedelta(seconds=1)).astimezone(LOCAL).year


def paper_date(moment: datetime) -> str:
    """`ngày 05 tháng 01 năm 2027`: days below 10 and the months 1 and 2 are padded (NĐ 30/2020, Phụ lục I)."""
    day = moment.astimezone(LOCAL)
    month = f"{day.month:02d}" if day.month < 3 else str(day.month)
    return f"ngày {day.day:02d} tháng {month} năm {day.year}"
