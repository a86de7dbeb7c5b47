"""Do the names still lead where they led, or has somebody moved them?"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitoring.endpoints import is_literal
from monitoring.looking import names_of
from monitoring.questions import Asker, Silence, name_of
from monitoring.reasons import Reason
from ops import Context, Finding, Site, Text, Verdict, check, minutes, say

if TYPE_CHECKING:
    from dns.name import Name

SETTLED = timedelta(days=7)
"""For so long a change is told; who did not make it has had the time to see. Pins in the settings tell for ever."""
KINDS = ("A", "AAAA", "NS", "MX", "DS")
OF_ZONE = ("NS", "MX", "DS")
MOST_NAMES = 20
NAME = "dns.change"


@dataclass(frozen=True, slots=True)
class Memory:
    """What was last believed (`known`), and since when something else is seen (None: nothing else is)."""

    known: tuple[str, ...]
    seen: tuple[str, ...]
    since: datetime | None


@check(NAME, every=minutes(15), clauses=["TN-10.1.a", "TN-11.6", "BQ-8.1.e", "LL-6A.2.vh1"])
def change(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do addresses, name servers, mail servers and DS records stand as they stood, or as they are pinned?

    Subjects "A", "AAAA" (of all names) and "NS", "MX", "DS" (of the zone). Beside a pin (`monitoring.dns.addresses`,
    `name_servers`, `mail`) anything else is broken. Without one a change is at risk for seven days, unless it is taken
    back. What was believed stands in the ledger, not in a file that an intruder could rewrite. Addresses that vary on
    purpose (`answers_vary`) are watched only beside pins.
    """
    names = [name for name in names_of(site) if not is_literal(name)]
    asker = Asker.of(ctx.settings.nameservers, min(40.0, 3 * ctx.settings.timeout_seconds))
    past = memories(ctx, site.id)
    varying = ctx.settings.dns.answers_vary and not ctx.settings.dns.addresses
    zone: list[Name] = []
    silent: Reason | None = None
    for kind in KINDS:
        if not names or (ctx.subjects and kind not in ctx.subjects) or (varying and kind not in OF_ZONE):
            continue
        try:
            if silent is not None:
                raise Silence(silent)
            seen = _seen(asker, names, kind, zone)
        except Silence as silence:
            # a resolver that is dead for one question is dead for the next: the rest need not wait for it as well
            silent = silence.reason if silence.reason is Reason.RESOLVER_SILENT else None
            yield _unseen(kind, silence.reason.words, past.get(kind), names[0])
            continue
        yield _judged(kind, seen, past.get(kind), ctx, names[0])


def _seen(asker: Asker, names: Sequence[str], kind: str, zone: list[Name]) -> tuple[str, ...]:
    """All values of one type; those of the zone are asked at its cut (kept in `zone`). Raises Silence."""
    asked = [name for name in map(name_of, names[:MOST_NAMES]) if name is not None]
    if kind in OF_ZONE and asked:
        zone[:] = zone or [asker.zone_of(asked[0])]
        asked = zone
    return tuple(sorted({value for name in asked for value in asker.records(name, kind)}))


def memories(ctx: Context, site: str) -> dict[str, Memory]:
    """What earlier looks left in the ledger, by subject: the last flip or daily line of each, whichever is newer."""
    found: dict[str, Memory] = {}
    daily = ctx.view.evidence(site, kind="daily", duty=NAME, newest=1)
    for kind in KINDS:
        lines = [*ctx.view.evidence(site, kind="flip", duty=NAME, subject=kind, newest=3)]
        dated = [(line.seq, line.body.get("facts")) for line in lines]
        dated += [(line.seq, line.body.get("subjects", {}).get(kind, {}).get("facts")) for line in daily]
        for _, facts in sorted(dated, key=lambda one: one[0]):
            memory = _memory(facts)
            if memory is not None:
                found[kind] = memory
    return found


def _memory(facts: Any) -> Memory | None:
    if not isinstance(facts, Mapping) or "known" not in facts:
        return None
    since = str(facts.get("since") or "")
    return Memory(tuple(facts["known"]), tuple(facts.get("seen", ())), datetime.fromisoformat(since) if since else None)


def _unseen(kind: str, why: Text, past: Memory | None, name: str) -> Finding:
    """What was believed is handed on: one silent night must not make us forget."""
    words = say("{k}: {w}", "{k}: {e}", k=kind, w=why.vi, e=why.en)
    return Finding(kind, Verdict.UNSEEN, words, facts=_facts(past) if past else {}, next=shlex.join(["dig", kind, name]))


def _facts(memory: Memory) -> dict[str, Any]:
    return {"known": list(memory.known), "seen": list(memory.seen),
            "since": memory.since.isoformat() if memory.since else ""}


def _judged(kind: str, seen: tuple[str, ...], past: Memory | None, ctx: Context, name: str) -> Finding:
    figures, command = {"values": float(len(seen))}, shlex.join(["dig", kind, name])
    names = ctx.settings.dns
    pinned = {"A": names.addresses, "AAAA": names.addresses, "NS": names.name_servers, "MX": names.mail}.get(kind, ())
    if pinned and seen:
        strange = [value for value in seen if not _pinned(kind, value, pinned)]
        facts = _facts(Memory(seen, seen, None))
        if strange:
            words = say("{k} của {n} trỏ tới nơi không khai: {s}; có thể tên miền bị chiếm",
                        "{k} of {n} lead to places not named in the settings: {s}; the name may be hijacked", k=kind, n=name,
                        s=", ".join(strange[:3]))
            return Finding(kind, Verdict.BROKEN, words, figures, {**facts, "strange": strange}, command)
        words = say("{k}: đúng như đã khai", "{k}: as written in the settings", k=kind)
        return Finding(kind, Verdict.MET, words, figures, facts)
    memory = settle(past, seen, ctx.now)
    if memory.since is None:
        words = say("{k}: {v}, không đổi", "{k}: {v}, unchanged", k=kind, v=", ".join(seen[:3]) or "–")
        return Finding(kind, Verdict.MET, words, figures, _facts(memory))
    words = say(
        "{k} của {n} đã đổi từ {a} sang {b}; nếu không phải mình đổi, báo ngay nơi quản lý tên miền",
        "{k} of {n} changed from {a} to {b}; if it was not you, call the registrar now", k=kind, n=name,
        a=", ".join(memory.known[:3]) or "–", b=", ".join(seen[:3]) or "–",
    )
    return Finding(kind, Verdict.AT_RISK, words, figures, _facts(memory), command)


def settle(past: Memory | None, seen: tuple[str, ...], now: datetime) -> Memory:
    """The memory after this look: the first sight is believed, a change after seven days, one taken back at once."""
    if past is None or past.known == seen:
        return Memory(seen, seen, None)
    since = past.since if past.seen == seen and past.since is not None else now
    # a clock that was set back must not make the wait longer than it is
    since = min(since, now)
    return Memory(seen, seen, None) if now - since >= SETTLED else Memory(past.known, seen, since)


def _pinned(kind: str, value: str, pinned: Sequence[str]) -> bool:
    if kind in ("A", "AAAA"):
        address = ipaddress.ip_address(value)
        return any(address in ipaddress.ip_network(one) for one in pinned)
    host = value.rpartition(" ")[2].rstrip(".")  # "10 mail.xamau.test"
    return host in pinned
