"""Which units supply in time, which are late, and which are silent?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from monitoring.deadlines import RULES, Case, Desk, Stand, cases, register_finding
from monitoring.pages import fold
from ops import Context, Finding, Site, Verdict, check, hours, say

SILENT_DAYS = 30
"""A unit of the settings without one line in so many days is told as silent."""
MOST_UNITS = 60


@check(
    "deadline.summary_by_unit", every=hours(12), timeout=300,
    clauses=["TN-10.2.b", "TN-11.3", "BQ-9.1", "BQ-9.3bis", "P1-9.1", "P1-15", "LL-6A.3", "LL-6A.4"],
)
def summary_by_unit(site: Site, ctx: Context) -> Iterator[Finding]:
    """Which units supply in time, which are late, and which are silent?

    One subject for each unit: those of the settings and those of the register. Only rules for which the policy of the
    site sets a number count.
    """
    desk = Desk(site, ctx)
    by_unit: dict[str, list[Case]] = {}
    names = {fold(unit): unit for unit in ctx.settings.content.units}
    for rule in RULES.values():
        limit = ctx.threshold(f"deadline.{rule.threshold}", -1)
        for case in cases(rule, limit, desk) if limit >= 0 else ():
            key = fold(case.entry.unit)
            names.setdefault(key, case.entry.unit)
            by_unit.setdefault(key, []).append(case)
    last = {fold(entry.unit): entry.trigger for entry in sorted(desk.ledger.entries, key=lambda one: one.trigger)}
    for key in [key for key in names if key][:MOST_UNITS]:
        listed = any(fold(unit) == key for unit in ctx.settings.content.units)
        silent = listed and (key not in last or desk.today - last[key] > timedelta(days=SILENT_DAYS))
        yield _unit(names[key], by_unit.get(key, []), desk, silent=silent)
    if desk.ledger.faults:
        yield register_finding(desk.ledger.faults, ctx)
    if not any(names):
        words = say("sổ chưa có cột don_vi nên không thống kê được theo đơn vị",
                    "the register has no column don_vi, so units cannot be told apart")
        yield Finding("units", Verdict.UNSEEN, words, next=f"gaccong look deadline.summary_by_unit --site {site.id}")


def _unit(name: str, found: list[Case], desk: Desk, *, silent: bool) -> Finding:
    oldest = desk.today - timedelta(days=desk.ctx.settings.content.remember_days)
    count = {stand: sum(one.stand is stand for one in found) for stand in Stand}
    late = [one for one in found if one.stand is Stand.LATE and one.done is not None and one.done >= oldest]
    figures = {f"{stand.value}": float(number) for stand, number in count.items()}
    kept = {"unit": name, "overdue": [one.entry.label for one in found if one.stand is Stand.OVERDUE][:20],
            "late": [one.entry.label for one in late][:20]}
    words = say("{u}: {k} đúng hạn, {l} muộn, {o} quá hạn, {n} sắp đến hạn",
                "{u}: {k} in time, {l} late, {o} overdue, {n} due soon", u=name, k=count[Stand.KEPT], l=len(late),
                o=count[Stand.OVERDUE], n=count[Stand.NEAR])
    if count[Stand.OVERDUE] or late:
        verdict = Verdict.BROKEN
    elif silent:
        verdict = Verdict.AT_RISK
        words = say("{u}: {d} ngày qua không gửi gì", "{u}: has sent nothing for {d} days", u=name, d=SILENT_DAYS)
    elif count[Stand.NEAR]:
        verdict = Verdict.AT_RISK
    elif count[Stand.UNKNOWN]:
        verdict = Verdict.UNSEEN
        words = say("{u}: {n} mục đã qua hạn mà chưa biết đăng ngày nào", "{u}: of {n} past due nobody knows when published",
                    u=name, n=count[Stand.UNKNOWN])
    else:
        verdict = Verdict.MET
    return Finding(name, verdict, words, figures, kept)
