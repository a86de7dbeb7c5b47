"""Is planned maintenance announced early enough?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import timedelta

from monitoring.windows import Window, read
from monitoring.workdays import Calendar, calendar
from ops import Context, Finding, Site, Verdict, check, hours, local, local_day, say

RECENT = timedelta(days=30)
"""A window that was announced too late is told for so long after it ended."""


@check(
    "maintenance.notice", every=hours(6), clauses=["TN-10.1.a", "TN-11.6", "BQ-8.1.e", "P1-4.2", "KP-3.2", "LL-6A.2.vh1"],
)
def notice(site: Site, ctx: Context) -> Iterator[Finding]:
    """Was each planned suspension announced at least seven working days before it began?

    Decree 224/2026/NĐ-CP, art. 13(1)(a); force majeure is free of it. Subject "windows": coming ones and those of the last
    30 days. The day of the notice is not counted, nor the day on which the suspension begins.
    """
    chosen = ctx.settings.content
    days = calendar(chosen.days_off, chosen.working_days)
    least = int(ctx.threshold("maintenance.notice_working_days", 7))
    found = read(ctx.home)
    recent = [one for one in found.windows if one.end > ctx.now - RECENT and one.ends > one.start]
    bound = [one for one in recent if not one.forced]
    bad = [one for one in bound if _notice(one, days) < least]
    figures = {"windows": float(len(recent)), "announced_late": float(len(bad)),
               "recorded_late": float(sum(one.late for one in recent)), "forced": float(len(recent) - len(bound))}
    if bound:
        figures["least_notice_workdays"] = float(min(_notice(one, days) for one in bound))
    kept = {"windows": [{"id": one.id, "start": one.start.isoformat(), "announced_at": one.announced_at.isoformat(),
                         "late_entry": one.late, "forced": one.forced} for one in recent[:50]]}
    command = shlex.join(["gaccong", "maintenance", "list", "--site", site.id])
    if bad:
        first = bad[0]
        ahead = [one for one in bad if one.start > ctx.now]
        mend = say("; dời lại hoặc gọi hoãn", "; move it or call it off") if ahead else say("", "")
        words = say("bảo trì {s} chỉ báo trước {n} ngày làm việc, cần {l}{m}",
                    "the maintenance of {s} was announced {n} working days before, {l} are needed{e}", l=least,
                    s=local(first.start).strftime("%d/%m/%Y %H:%M"), n=max(0, _notice(first, days)), m=mend.vi, e=mend.en)
        yield Finding("windows", Verdict.BROKEN, words, figures, kept, command)
    elif found.faults:
        yield Finding("windows", Verdict.UNSEEN, found.faults[0][1], figures, kept, command)
    else:
        words = say("{n} đợt bảo trì, đều báo trước đủ {l} ngày làm việc", "{n} windows, all announced {l} working days before",
                    n=len(recent), l=least) if recent else say("không có đợt bảo trì nào", "no maintenance is planned")
        yield Finding("windows", Verdict.MET, words, figures, kept)


def _notice(window: Window, days: Calendar) -> int:
    """Whole working days between the day of the notice and the day of the start, both left out."""
    start = local_day(window.start)
    told = local_day(window.announced_at)
    return days.between(told, start - timedelta(days=1)) if told < start else -1
