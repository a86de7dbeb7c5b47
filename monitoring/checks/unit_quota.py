"""Does each unit send items every week?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from monitoring import register
from monitoring.pages import fold
from ops import CannotSee, Context, Finding, Site, Verdict, check, hours, local_day, say


@check("content.unit_quota", every=hours(12), clauses=["BQ-7.3"])
def unit_quota(site: Site, ctx: Context) -> Iterator[Finding]:
    """Did each unit of the settings send enough items in the last whole week, Monday to Sunday?

    One subject for each unit; counted are the register's lines of that unit, by the day on which they came in.
    """
    units = ctx.settings.content.units
    if not units:
        raise CannotSee(
            say("chưa có danh sách đơn vị phải gửi tin", "there is no list of the units that must send items"),
            say("ghi tên các đơn vị vào content.units", "write the units' names into content.units"), site=site.id)
    ledger = register.read(ctx.settings.content.deadlines, ctx.now)
    least = int(ctx.threshold("content.unit_items_per_week", 1))
    today = local_day(ctx.now)
    monday = today - timedelta(days=today.weekday())
    last = monday - timedelta(days=7)
    quiet = ledger.newest is None or (today - ledger.newest).days > ctx.settings.content.quiet_days
    for unit in units:
        if ctx.subjects and unit not in ctx.subjects:
            continue
        days = [entry.trigger for entry in ledger.entries if fold(entry.unit) == fold(unit)]
        before, now = sum(last <= day < monday for day in days), sum(day >= monday for day in days)
        figures = {"last_week_items": float(before), "this_week_items": float(now), "least_items": float(least)}
        week = f"{last:%d/%m}–{monday - timedelta(days=1):%d/%m/%Y}"
        words = say("{u}: tuần {w} gửi {n} tin, bài; cần ít nhất {l}", "{u}: sent {n} items in the week {w}; {l} needed",
                    u=unit, w=week, n=before, l=least)
        if quiet or ledger.faults:
            words = say("{v}; nhưng sổ lâu không ghi hoặc có dòng hỏng", "{e}; but the register is idle or has bad lines",
                        v=words.vi, e=words.en)
        verdict = Verdict.MET if before >= least else Verdict.UNSEEN if quiet or ledger.faults else Verdict.BROKEN
        yield Finding(unit, verdict, words, figures)
