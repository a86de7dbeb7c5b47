"""Clears an alarm: a person looked into it, answers for it, and says why. It stands in the signed ledger for ever."""

from __future__ import annotations

from backup.cleared import clearings
from backup.restic import repository_of
from backup.suspects import ahead, planted, suspects
from backup.trouble import ResticTrouble
from backup.vouched import holding
from ops import Context, Plan, PlanRefused, Proof, Site, Step, change, python, say

_SHORTEST = 10
REPOSITORY = "repository"
"""The subject of `backup.anomaly` for what lies in the repository and belongs to no run."""


@change("backup.clear", clauses=["TN-10.1.d.proc"])
def clear(site: Site, ctx: Context, *, set: str, run: str, reason: str) -> Plan:
    """Clears an alarm of `backup.anomaly`, so that old copies may be removed again and the run counts as normal.

    set: the set, or `repository`. run: the evidence that the alarm names, or the full id of an unknown snapshot. reason:
    what was found. Raises PlanRefused when there is no such open alarm, or the reason says nothing.
    """
    reason = " ".join(reason.split())
    if len(reason) < _SHORTEST:
        raise PlanRefused(say("cần ghi rõ lý do (ít nhất {n} ký tự)", "a real reason is needed (at least {n} letters)",
                              n=_SHORTEST),
                          say("ví dụ reason='thay giao diện ngày 20/11, đã đối chiếu với người làm'",
                              "for example reason='new template on 20 Nov, checked with who did it'"), site=site.id)
    known = _open(site, ctx, set)
    if run not in known:
        raise PlanRefused(say("bộ {n} không có báo động {e} đang mở", "set {n} has no open alarm {e}", n=set, e=run),
                          say("đang mở: {k}", "open: {k}", k=", ".join(known) or "–"), site=site.id)
    why = say("ghi vào sổ: đã xem xét báo động {e} của {n}; lý do: {r}", "note: alarm {e} of {n} was looked into; reason: {r}",
              e=run, n=set, r=reason)
    step = Step(why, python("backup.cleared", "--set", set, "--run", run, "--reason", reason), keep=True, timeout=60.0)
    title = say("xác nhận báo động {e} của {n} đã được xem xét", "confirm that alarm {e} of {n} was looked into", e=run, n=set)
    return Plan(title, (step,), (Proof("backup.anomaly", (set,)),))


def _open(site: Site, ctx: Context, name: str) -> list[str]:
    """What can be cleared for a subject."""
    answered = clearings(site, ctx)
    if name != REPOSITORY:
        found = suspects(site, ctx, answered).get(name)
        return list(dict.fromkeys(alarm.evidence for alarm in found.open)) if found else []
    try:
        listed = repository_of(ctx).snapshots(ctx, "gaccong", f"site={site.id}")
    except ResticTrouble as trouble:
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
    future = {found.id for found in ahead(listed, ctx)}
    # one from the future is in the way of every rule: it has to go, not to be explained
    return [found.id for found in planted(holding(site, ctx, listed), answered) if found.id not in future]
