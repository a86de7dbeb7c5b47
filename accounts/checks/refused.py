"""Is everybody who left really refused at the door, while somebody else is let in?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from accounts.ground import Ground, attempt, joined, leavers, read_ground, revoke_command, wanted
from accounts.model import Account, Person, Trial
from ops import CannotSee, Context, Finding, Site, Verdict, check, hours, say, worst

WITHIN = 150
"""Seconds after which no further trial is begun: one takes up to 120, and the check has 300."""


@check("accounts.refused", every=hours(24), clauses=["TN-10.1.đ.rev"], private=True, timeout=300)
def refused(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is everybody who left really refused at the door, while somebody else is let in?

    One finding per leaver and one for "all". Each account is tried where its system has a door that can be tried
    (login form, sshd) and read back where it has none. unseen: something could not be tried; broken: something let in.
    """
    until = time.monotonic() + WITHIN
    ground = read_ground(ctx)
    findings = [_tried(site, person, ground, until) for person in leavers(ground, ctx)]
    yield from findings
    if not wanted(ctx, "all") or ctx.subjects:
        return
    refused_ones = sum(finding.verdict is Verdict.MET for finding in findings)
    verdict = worst([finding.verdict for finding in findings]) if findings else Verdict.MET
    text = say("{n} người đã nghỉ; {k} người chắc chắn bị từ chối", "{n} people have left; {k} are surely refused",
               n=len(findings), k=refused_ones)
    yield Finding("all", verdict, text, {"leavers": float(len(findings)), "refused": float(refused_ones)})


def _tried(site: Site, person: Person, ground: Ground, until: float) -> Finding:
    def look(account: Account) -> Trial:
        if time.monotonic() > until:
            raise CannotSee(say("hết giờ của lần kiểm tra này, chưa thử", "no time was left in this round to try it"))
        return ground.systems[account.system].refused(account)

    accounts = ground.of(person)
    trials = [(account, attempt(partial(look, account), account)) for account in accounts]
    unread = ground.unread(person)
    verdicts = [trial.verdict for _, trial in trials] + [Verdict.UNSEEN for _ in unread]
    facts = {"trials": [{"account": account.words, "verdict": trial.verdict.value, **trial.facts}
                        for account, trial in trials], "unread": sorted(unread)}
    measures = {"tried": float(sum(trial.how in ("login", "key_query") for _, trial in trials)),
                "read_back": float(sum(trial.how == "readback" for _, trial in trials))}
    if not verdicts:
        text = say("không có tài khoản nào để thử", "there is no account to try")
        return Finding(person.name, Verdict.MET, text, measures, {**facts, "how": "no account"})
    text = joined([*(trial.detail for _, trial in trials),
                   *(say("{s}: {vi}", "{s}: {en}", s=name, vi=why.vi, en=why.en) for name, why in unread.items())])
    verdict = worst(verdicts)
    command = revoke_command(site, person) if verdict is not Verdict.MET else ""
    return Finding(person.name, verdict, text, measures, facts, command)
