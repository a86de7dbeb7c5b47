"""Does every open account have an owner in the roster?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accounts.ground import Ground, read_ground, wanted, why
from accounts.model import Account, plain
from accounts.people import RosterError, suggestions
from ops import Context, Finding, Site, Verdict, check, hours, say


@check("accounts.census", every=hours(24), clauses=["TN-10.1.đ.acc", "P1-8.1", "BQ-8.2.a"])
def census(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does every open account have an owner in the roster?

    One finding per system. broken: an administrator's account without owner; at_risk: another account without owner,
    for there the roster may only lag behind; unseen: the system or the roster could not be read, or holds nobody.
    """
    try:
        ground = read_ground(ctx)
    except RosterError as error:
        for name in ctx.settings.system:
            if wanted(ctx, name):
                yield Finding(name, Verdict.UNSEEN, why(error), next=f"nano {ctx.settings.roster}")
        return
    for name in ground.systems:
        if not wanted(ctx, name):
            continue
        if name in ground.blind:
            yield Finding(name, Verdict.UNSEEN, ground.blind[name])
        else:
            yield _judged(site, name, ground, ctx)


def _judged(site: Site, name: str, ground: Ground, ctx: Context) -> Finding:
    owners = ground.owners()
    accounts = ground.accounts[name]
    opened = [account for account in accounts if account.enabled]
    orphans = [account for account in opened if account.key not in owners]
    admins = [account for account in opened if account.admin]
    unknown = [account for account in opened if account.last_use is None]
    present = {account.key for account in accounts}
    facts = {
        "accounts": [_line(account, ground) for account in accounts],
        "missing": sorted(plain(login) for system, login in owners if system == name and (system, login) not in present),
    }
    doubtful = [account for account in opened if account.unproved]
    measures = {"accounts": float(len(accounts)), "enabled": float(len(opened)), "orphans": float(len(orphans)),
                "admins": float(len(admins)), "unknown_last_use": float(len(unknown))}
    if not accounts:
        text = say("{s}: không thấy tài khoản nào; kiểm tra cấu hình", "{s}: no account was seen; check the settings", s=name)
        return Finding(name, Verdict.UNSEEN, text, measures, facts)
    counts = say("{s}: {n} tài khoản đang mở, {a} quản trị, {u} không rõ lần dùng cuối",
                 "{s}: {n} open accounts, {a} administrators, {u} with unknown last use",
                 s=name, n=len(opened), a=len(admins), u=len(unknown))
    if doubtful:
        names = ", ".join(plain(account.login) for account in doubtful[:10]) + (", …" if len(doubtful) > 10 else "")
        counts = say("{vi}; không đọc hết được khóa SSH của {w}", "{en}; SSH keys that cannot be told: {w}",
                     vi=counts.vi, en=counts.en, w=names)
    if not orphans:
        text = say("{vi}; đều có chủ trong danh sách", "{en}; all have an owner in the roster", vi=counts.vi, en=counts.en)
        return Finding(name, Verdict.MET, text, measures, facts)
    who = ", ".join(plain(account.login) + (" (quản trị)" if account.admin else "") for account in orphans[:10])
    text = say("{vi}; {k} không có chủ: {w}", "{en}; {k} without owner: {w}", vi=counts.vi, en=counts.en,
               k=len(orphans), w=who + (", …" if len(orphans) > 10 else ""))
    verdict = Verdict.BROKEN if any(account.admin for account in orphans) else Verdict.AT_RISK
    return Finding(name, verdict, text, measures, facts, f"nano {ctx.settings.roster}")


def _line(account: Account, ground: Ground) -> dict[str, Any]:
    owned = [person.name for person in ground.owners().get(account.key, [])]
    line: dict[str, Any] = {
        "login": plain(account.login), "name": plain(account.name), "enabled": account.enabled, "admin": account.admin,
        "rights": [plain(right) for right in account.rights], "owners": owned, "source": account.source,
        "last_use": account.last_use.isoformat() if account.last_use else None,
    }
    if account.unproved:
        line["keys_not_understood"] = list(account.unproved)
    if not owned and account.enabled:
        line["suggested"] = suggestions(account, ground.people)
    return line
