"""Clears an alarm: a person looked into it, answers for it, and says why. It stands in the signed ledger for ever."""

from __future__ import annotations

from backup.cleared import clearings
from backup.places import FIRST
from backup.suspects import ahead, planted, stands, suspects
from backup.trouble import ResticTrouble
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
    known, place = _open(site, ctx, set, run)
    if run not in known:
        raise PlanRefused(say("bộ {n} không có báo động {e} đang mở", "set {n} has no open alarm {e}", n=set, e=run),
                          say("đang mở: {k}", "open: {k}", k=", ".join(known) or "–"), site=site.id)
    why = say("ghi vào sổ: đã xem xét báo động {e} của {n}; lý do: {r}", "note: alarm {e} of {n} was looked into; reason: {r}",
              e=run, n=set, r=reason)
    step = Step(why, python("backup.cleared", "--set", set, "--run", run, "--reason", reason), keep=True, timeout=60.0)
    title = say("xác nhận báo động {e} của {n} đã được xem xét", "confirm that alarm {e} of {n} was looked into", e=run, n=set)
    return Plan(title, (step,), (Proof("backup.anomaly", (set,)) if place == FIRST else Proof("backup.offsite", (place,)),))


def _open(site: Site, ctx: Context, name: str, run: str) -> tuple[list[str], str]:
    """(what can be cleared for a subject, the place where `run` is met). The first place is asked first."""
    answered = clearings(site, ctx)
    if name != REPOSITORY:
        found = suspects(site, ctx, answered).get(name)
        return list(dict.fromkeys(alarm.evidence for alarm in found.open)) if found else [], FIRST
    known: list[str] = []
    for place in ctx.settings.places():
        try:
            strange = planted(stands(site, ctx, place), answered)
        except ResticTrouble as trouble:
            if place != FIRST:  # one that is down hinders no clearing elsewhere
                ctx.log.warning("place %s could not be asked: %s", place, trouble)
                continue
            raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
        # one from the future is in the way of every rule: it has to go, not to be explained
        future = {found.id for found in ahead(strange, ctx)}
        known += [found.id for found in strange if found.id not in future]
        if run in known:
            return known, place
    return known, FIRST
