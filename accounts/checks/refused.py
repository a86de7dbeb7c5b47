"""Is everybody who left really refused at the door, while somebody else is let in?"""

from __future__ import annotations

from collections.abc import Iterator

from accounts.ground import Ground, attempt, joined, leavers, read_ground, revoke_command, wanted
from accounts.model import Person
from ops import Context, Finding, Site, Verdict, check, hours, say, worst


@check("accounts.refused", every=hours(24), clauses=["TN-10.1.đ.rev"], private=True, timeout=300)
def refused(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is everybody who left really refused at the door, while somebody else is let in?

    One finding per leaver and one for "all". Each account is tried where its system has a door that can be tried
    (login form, sshd) and read back where it has none. unseen: something could not be tried; broken: something let in.
    """
    ground = read_ground(ctx)
    findings = [_tried(site, person, ground) for person in leavers(ground, ctx)]
    yield from findings
    if not wanted(ctx, "all") or ctx.subjects:
        return
    refused_ones = sum(finding.verdict is Verdict.MET for finding in findings)
    verdict = worst([finding.verdict for finding in findings]) if findings else Verdict.MET
    text = say("{n} người đã nghỉ; {k} người chắc chắn bị từ chối", "{n} people have left; {k} are surely refused",
               n=len(findings), k=refused_ones)
    yield Finding("all", verdict, text, {"leavers": float(len(findings)), "refused": float(refused_ones)})


def _tried(site: Site, person: Person, ground: Ground) -> Finding:
    accounts = ground.of(person)
    trials = [(account, attempt(lambda one=account: ground.systems[one.system].refused(one), account))
              for account in accounts]
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
