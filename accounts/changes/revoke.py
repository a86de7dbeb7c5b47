"""Shuts every account of somebody who left."""

from __future__ import annotations

import difflib

from accounts.ground import Ground, joined, read_ground
from accounts.model import Account, Person
from ops import CannotSee, Context, Plan, PlanRefused, Proof, Site, Step, change, local_day, nfc, say


@change("accounts.revoke", clauses=["TN-10.1.đ.rev"])
def revoke(site: Site, ctx: Context, *, person: str) -> Plan:
    """Shuts every account of somebody who left.

    One plan over all systems; nothing is deleted. Refused: nobody of that name, not gone yet, an account shared with
    somebody present, the last administrator of a system, the account under which gaccong works. A system that cannot
    be read is named in the title and left out: the others must not wait for it, and the proof will say `unseen`.
    """
    ground = read_ground(ctx)
    gone = _person(ground, person, ctx)
    targets = ground.of(gone)
    unread = ground.unread(gone)
    if unread and not targets:
        raise CannotSee(joined(unread.values()))
    _refuse_shared(ground, gone, targets, ctx)
    steps: list[Step] = []
    for name, system in ground.systems.items():
        mine = [account for account in targets if account.system == name]
        if mine:
            _refuse_lockout(ground, name, mine)
            steps += system.revoke(mine)
    title = say("Thu hồi mọi tài khoản của {p} ({n})", "Revoke every account of {p} ({n})", p=gone.name,
                n=", ".join(account.words for account in targets) or "0")
    if unread:
        title = say("{vi}; CHƯA gồm {s} vì không đọc được", "{en}; NOT including {s}, which cannot be read",
                    vi=title.vi, en=title.en, s=", ".join(sorted(unread)))
    proofs = (Proof("accounts.leavers", (gone.name,)), Proof("accounts.refused", (gone.name,)))
    return Plan(title, tuple(steps), proofs)


def _person(ground: Ground, name: str, ctx: Context) -> Person:
    wanted = " ".join(nfc(name).split())
    by_name = {person.name: person for person in ground.people}
    if wanted not in by_name:
        near = difflib.get_close_matches(wanted, list(by_name), 3, 0.6)
        raise PlanRefused(
            say("danh sách nhân sự không có {p}", "the roster has no {p}", p=repr(wanted)),
            say("có phải: {n}?", "did you mean: {n}?", n=", ".join(near)) if near
            else say("xem tên trong {f}", "see the names in {f}", f=ctx.settings.roster),
        )
    person = by_name[wanted]
    if not person.gone(local_day(ctx.now)):
        raise PlanRefused(
            say("{p} chưa nghỉ theo danh sách nhân sự", "{p} has not left, says the roster", p=person.name),
            say("ghi ngày làm việc cuối cùng vào cột until trong {f}; khóa được từ hôm sau",
                "write the last day of work to the column until in {f}; from the day after it can be revoked",
                f=ctx.settings.roster),
        )
    return person


def _refuse_shared(ground: Ground, gone: Person, targets: list[Account], ctx: Context) -> None:
    owners = ground.owners()
    for account in targets:
        others = [one.name for one in owners[account.key] if one is not gone and not one.gone(local_day(ctx.now))]
        if others:
            raise PlanRefused(
                say("{a} cũng là tài khoản của {o}, người đang làm việc", "{a} is an account of {o} as well, who works here",
                    a=account.words, o=", ".join(others)),
                say("cấp tài khoản riêng cho người đó, bỏ tài khoản chung khỏi dòng của họ, rồi làm lại",
                    "give them an account of their own, take the shared one off their row, then try again"),
            )


def _refuse_lockout(ground: Ground, name: str, mine: list[Account]) -> None:
    system = ground.systems[name]
    for account in mine:
        if system.own(account):
            raise PlanRefused(
                say("{a} là tài khoản mà gaccong đang dùng", "{a} is the account that gaccong itself uses", a=account.words),
                say("cho gaccong một tài khoản khác trước", "give gaccong another account first"),
            )
    admins = [account for account in ground.accounts[name] if account.admin and account.enabled]
    if any(account in mine for account in admins) and all(account in mine for account in admins):
        raise PlanRefused(
            say("sau đó {s} không còn quản trị viên nào", "{s} would have no administrator left", s=name),
            say("giao quyền quản trị cho người khác trước", "make somebody else an administrator first"),
        )
