"""Has everybody who left lost every account, in time?"""

from __future__ import annotations

from collections.abc import Iterator

from accounts.ground import Ground, leavers, read_ground, revoke_command, wanted
from accounts.model import Person
from accounts.people import suggestions
from ops import Context, Finding, Site, Verdict, check, hours, say, worst

THRESHOLD = "accounts.revocation_hours"


@check("accounts.leavers", every=hours(1), clauses=["TN-10.1.đ.rev"], private=True)
def left(site: Site, ctx: Context) -> Iterator[Finding]:
    """Has everybody who left lost every account, in time?

    One finding per leaver and one for "all". at_risk: something is still open, within the hours allowed since the end
    of the last day of work; broken: past them; unseen: a system in which the person has a login could not be read.
    """
    ground = read_ground(ctx)
    limit = ctx.threshold(THRESHOLD, 24.0)
    findings = [_judged(site, person, ground, ctx, limit) for person in leavers(ground, ctx)]
    yield from findings
    if not wanted(ctx, "all") or ctx.subjects:
        return
    opened = [finding for finding in findings if finding.measures.get("open_accounts")]
    verdict = worst([finding.verdict for finding in findings]) if findings else Verdict.MET
    text = say("{n} người đã nghỉ; {k} người còn tài khoản mở", "{n} people have left; {k} still have open accounts",
               n=len(findings), k=len(opened))
    yield Finding("all", verdict, text, {"leavers": float(len(findings)), "with_open_accounts": float(len(opened))})


def _judged(site: Site, person: Person, ground: Ground, ctx: Context, limit: float) -> Finding:
    accounts = ground.of(person)
    opened = [account for account in accounts if account.enabled]
    strays = ground.strays(person)
    unread = ground.unread(person)
    since = (ctx.now - person.left_at()).total_seconds() / 3600
    alike = [account.words for found in ground.accounts.values() for account in found
             if account.enabled and account.key not in ground.owners() and person.name in suggestions(account, [person])]
    measures = {"accounts": float(len(accounts)), "open_accounts": float(len(opened) + len(strays)),
                "hours_since_leaving": round(since, 2)}
    unsure = [account.words for account in ground.unproved(person)]
    facts = {"open": [account.words for account in opened], "shut": [one.words for one in accounts if not one.enabled],
             "key_in_other_accounts": [account.words for account in strays], "unread": sorted(unread),
             "perhaps_also": alike, "keys_not_understood_in": unsure, "limit_hours": limit}
    if opened or strays:
        what = ", ".join([account.words for account in opened] + [f"khóa SSH trong {one.words}" for one in strays])
        what_en = ", ".join([account.words for account in opened] + [f"SSH key in {one.words}" for one in strays])
        text = say("nghỉ đã {h} giờ (cho phép {l}), còn mở: {w_vi}", "left {h} hours ago (allowed {l}), still open: {w_en}",
                   h=f"{since:.0f}", l=f"{limit:g}", w_vi=what, w_en=what_en)
        verdict = Verdict.BROKEN if since > limit else Verdict.AT_RISK
        return Finding(person.name, verdict, text, measures, facts, revoke_command(site, person))
    if unread:
        text = say("không đọc được: {s}", "cannot be read: {s}", s=", ".join(
            f"{name} ({why.vi})" for name, why in sorted(unread.items())))
        return Finding(person.name, Verdict.UNSEEN, text, measures, facts)
    text = say("đã nghỉ; {n} tài khoản, đều đã khóa", "has left; {n} accounts, all shut", n=len(accounts))
    if alike:
        text = say("{vi}. Có thể còn: {a}", "{en}. Perhaps also: {a}", vi=text.vi, en=text.en, a=", ".join(alike))
    if unsure:
        text = say("{vi}. Chưa chứng minh được vì không đọc hết khóa SSH của: {a}",
                   "{en}. Not proved for SSH keys that cannot be told, of: {a}", vi=text.vi, en=text.en,
                   a=", ".join(unsure))
    return Finding(person.name, Verdict.MET, text, measures, facts)
