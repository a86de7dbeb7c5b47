"""Was something published on every working day?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from monitoring.moments import end_of
from monitoring.published import Published, gather, on_day
from monitoring.workdays import Calendar, calendar
from ops import Context, Finding, Site, Verdict, check, hours, local, local_day, say

LOOK_BACK = 5
AFTERNOON = 15
"""From three o'clock on an empty working day is at risk."""


@check("content.daily_update", every=hours(1), clauses=["P1-10.3", "LL-8"], timeout=300)
def daily_update(site: Site, ctx: Context) -> Iterator[Finding]:
    """Was something published on each of the last working days, and is there something today?

    Subject "days". "Daily" is read as every working day. Broken: the last whole working day had too little. A day that the
    feeds do not reach, or on which pages may have been made that were changed since, is not held against the site.
    """
    found = gather(site, ctx)
    days = calendar(ctx.settings.content.days_off, ctx.settings.content.working_days)
    yield judged(found, days, ctx, site)


def judged(found: Published, days: Calendar, ctx: Context, site: Site) -> Finding:
    """The finding for the last whole working day; today, and the days before, go into words and figures."""
    least = int(max(1, ctx.threshold("content.items_per_working_day", 1)))
    today = local_day(ctx.now)
    past = [days.before(today, back) for back in range(1, LOOK_BACK + 1)]
    counts = {day: on_day(found.items, day) for day in (today, *past)}
    last = past[0]
    sure, maybe = counts[last]
    short_days = [day for day in past if sum(counts[day]) < least and found.reaches(_eve(day))]
    figures = {"last_workday_items": float(sure), "today_items": float(counts[today][0]),
               "short_workdays": float(len(short_days)), "least_items": float(least)}
    kept = {"days": {day.isoformat(): list(count) for day, count in counts.items()}, "sources": found.facts()}
    command = shlex.join(["gaccong", "look", "content.daily_update", "--site", site.id])
    if sure < least and (maybe or not found.reaches(_eve(last))):
        words = say("chưa biết ngày {d} có tin mới không: nguồn tin không đi xa đến đó hoặc chỉ ghi ngày sửa",
                    "not known whether anything was published on {d}: the sources do not reach it, or tell changes only",
                    d=_day(last))
        return Finding("days", Verdict.UNSEEN, words, figures, kept, command)
    if sure < least:
        words = say("ngày làm việc {d} chỉ có {n} tin, cần ít nhất {m}", "the working day {d} had {n} items, {m} are needed",
                    d=_day(last), n=sure, m=least)
        return Finding("days", Verdict.BROKEN, words, figures, kept, command)
    waits = days.works(today) and local(ctx.now).hour >= AFTERNOON and counts[today][0] < least
    if waits:
        words = say("hôm nay mới có {n} tin, cần ít nhất {m}; đăng trước khi hết ngày",
                    "{n} items today, {m} are needed; publish before the day ends", n=counts[today][0], m=least)
        return Finding("days", Verdict.AT_RISK, words, figures, kept, command)
    words = say("ngày làm việc gần nhất {d} có {n} tin; {k}/{a} ngày làm việc vừa qua đủ tin",
                "the last working day {d} had {n} items; {k} of the last {a} working days had enough", d=_day(last), n=sure,
                k=LOOK_BACK - len(short_days), a=LOOK_BACK)
    return Finding("days", Verdict.MET, words, figures, kept)


def _eve(day: date) -> datetime:
    """The last second before a day: sources that reach it show all of the day."""
    return end_of(day - timedelta(days=1))


def _day(day: date) -> str:
    return day.strftime("%d/%m/%Y")
