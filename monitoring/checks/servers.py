"""Do all name servers of the zone answer, and say the same?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from monitoring.endpoints import Family, is_literal, is_public
from monitoring.looking import host_of
from monitoring.names import lookup
from monitoring.questions import Asker, Silence, name_of
from monitoring.reasons import OURS, Reason
from monitoring.vantage import blind
from monitoring.zone import Told, ask_all, servers_of_zone, written
from ops import Context, Finding, Patience, Site, Text, Verdict, check, minutes, say

FEW = 2
"""RFC 2182, 5: a zone has at least two servers."""


@check("dns.servers", every=minutes(30), clauses=["TN-10.1.a", "TN-11.6", "BQ-8.1.e", "LL-6A.2.vh1"],
       patience=Patience(times=2, span=minutes(20)))
def servers(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do all servers of the site's zone answer with authority, with one serial and the same addresses for the site?

    Subjects "ipv4" and "ipv6" (where the servers have such addresses). Broken: none answers, or two of one serial send
    visitors to different places. At risk: one is dead or lame, serials differ, there is only one server.
    """
    host = host_of(site)
    asked = None if is_literal(host) else name_of(host)
    chosen, names = ctx.settings, ctx.settings.dns
    if asked is None:
        yield _unseen("ipv4", say("{h} không phải tên miền", "{h} is not a domain name", h=host), "")
        return
    asker = Asker.of(chosen.nameservers, min(30.0, 2 * chosen.timeout_seconds))
    command = shlex.join(["dig", "+nssearch", host])
    try:
        zone = asker.zone_of(asked)
        command = shlex.join(["dig", "+nssearch", zone.to_text(omit_final_dot=True)])
        found = written(names.authoritative) or servers_of_zone(asker, zone, chosen.nameservers, _public(site, ctx, host))
    except Silence as silence:
        yield _unseen("ipv4", silence.reason.words, command)
        return
    told = ask_all(found, zone, host)
    if not told:
        yield _unseen("ipv4", say("các máy chủ tên miền của vùng không có địa chỉ", "the zone's servers have no address"), command)
        return
    for family in Family:
        mine = [one for one in told if one.server.family is family]
        if mine and (not ctx.subjects or family.value in ctx.subjects):
            yield judge(family, mine, told, ctx, command)


def _public(site: Site, ctx: Context, host: str) -> bool:
    """Whether the site itself is a public one."""
    found = [lookup(host, family, ctx.settings.nameservers, 3.0) for family in Family]
    return any(is_public(address) for one in found for address in one.addresses)


def _unseen(subject: str, why: Text, command: str) -> Finding:
    words = say("chưa hỏi được máy chủ tên miền của vùng: {w}", "the zone's name servers could not be asked: {e}", w=why.vi,
                e=why.en)
    return Finding(subject, Verdict.UNSEEN, words, next=command)


def judge(family: Family, mine: Sequence[Told], told: Sequence[Told], ctx: Context, command: str) -> Finding:
    """The finding of one family; `told` are the servers of both, for what only all of them show."""
    good = [one for one in mine if one.state == "ok"]
    everywhere = [one for one in told if one.state == "ok"]
    serials = sorted({one.serial for one in everywhere})
    figures = {"servers": float(len(mine)), "answering": float(len(good)), "serials": float(len(serials))}
    kept: dict[str, Any] = {
        one.server.label: {"state": one.state, "serial": one.serial, "a": list(one.four), "aaaa": list(one.six)} for one in mine
    }
    verdict, words = Verdict.MET, say(
        "{f}: {n} máy chủ tên miền trả lời giống nhau (serial {s})", "{f}: {n} name servers say the same (serial {s})",
        f=family.label, n=len(good), s=serials[0] if serials else "–",
    )
    dead = [one for one in mine if one.state != "ok"]
    if not good:
        reason = blind(family, mine[0].server.address, ctx.settings.reference, ctx.settings.nameservers)
        verdict, words = _none(family, everywhere, reason)
    elif trouble := split(everywhere, ctx.settings.dns.answers_vary):
        verdict, words = trouble
    elif dead:
        verdict, words = Verdict.AT_RISK, say(
            "{f}: {s} không trả lời đúng ({w})", "{f}: {s} does not answer as it should ({w})", f=family.label,
            s=", ".join(one.server.label for one in dead[:3]), w=", ".join(sorted({one.state for one in dead})),
        )
    elif len({one.server.name for one in told}) < FEW:
        verdict, words = Verdict.AT_RISK, say(
            "vùng chỉ có một máy chủ tên miền", "the zone has a single name server")
    return Finding(family.value, verdict, words, figures, {"servers": kept}, "" if verdict is Verdict.MET else command)


def _none(family: Family, others: Sequence[Told], ours: Reason | None) -> tuple[Verdict, Text]:
    """Nobody answers over this family: ours, half of the zone's, or all of it."""
    if ours in OURS:
        return Verdict.UNSEEN, say("{f}: {w}", "{f}: {e}", f=family.label, w=ours.words.vi, e=ours.words.en)
    words = say("{f}: không máy chủ tên miền nào của vùng trả lời", "{f}: none of the zone's name servers answers",
                f=family.label)
    return (Verdict.AT_RISK if others else Verdict.BROKEN), words


def split(good: Sequence[Told], vary: bool) -> tuple[Verdict, Text] | None:
    """Whether servers contradict each other: different places under one serial is broken, different serials a lag."""
    first = good[0]
    for other in good[1:]:
        if other.serial == first.serial and other.answers != first.answers and not vary:
            return Verdict.BROKEN, say(
                "{a} và {b} cùng serial mà trả lời khác nhau: người dùng bị đưa tới hai nơi",
                "{a} and {b} have one serial but different answers: visitors are sent to two places",
                a=first.server.label, b=other.server.label,
            )
    newest, oldest = max(good, key=lambda one: one.serial), min(good, key=lambda one: one.serial)
    if newest.serial == oldest.serial:
        return None
    return Verdict.AT_RISK, say(
        "{b} còn bản cũ của vùng (serial {o}, {a} có {n})", "{b} still has an old zone (serial {o}; {a} has {n})",
        a=newest.server.label, b=oldest.server.label, o=oldest.serial, n=newest.serial,
    )
