"""A letter's words: one line on top that can be read on a locked phone, then what, since when, which clause, what to type."""

from __future__ import annotations

from datetime import datetime

from monitoring.notices.letters import Letter, Part, alike
from monitoring.page.rows import age
from ops import Text, say

MOST_PARTS, MOST_NAMES, MOST_LETTERS = 20, 8, 600
_KINDS = {
    "broken": say("HỎNG", "BROKEN"), "escalated": say("VẪN HỎNG, chưa ai nhận", "STILL BROKEN, nobody has taken it"),
    "at_risk": say("SẮP HỎNG", "AT RISK"), "flapping": say("CHẬP CHỜN", "FLAPPING"), "resolved": say("ĐÃ HẾT", "RESOLVED"),
}
_ORDER = list(_KINDS)


def title(letter: Letter) -> Text:
    """`[gaccong] 2 việc hỏng, 1 đã hết: Xã Suối Trong`."""
    parts = letter.parts
    counts = {kind: sum(part.kind == kind for part in parts) for kind in _ORDER}
    bad, risk, over = counts["broken"] + counts["escalated"] + counts["flapping"], counts["at_risk"], counts["resolved"]
    vi = [f"{n} {words}" for n, words in ((bad, "việc hỏng"), (risk, "việc sắp hỏng"), (over, "đã hết")) if n]
    en = [f"{n} {words}" for n, words in ((bad, "broken"), (risk, "at risk"), (over, "resolved")) if n]
    names = list(dict.fromkeys(part.trouble.name for part in parts))
    where = names[0] if len(names) == 1 else ""
    return say("[gaccong] {w}: {s}", "[gaccong] {e}: {t}", w=", ".join(vi), e=", ".join(en), s=_plain(where) or f"{len(names)} trang",
               t=_plain(where) or f"{len(names)} sites")


def body(letter: Letter, now: datetime, lang: str) -> str:
    """Plain text, worst first; no more than twenty parts, the rest counted."""
    grouped = sorted(alike(letter.parts), key=lambda one: _ORDER.index(one[0].kind))
    blocks = [_block(part, names, now, lang) for part, names in grouped[:MOST_PARTS]]
    if len(grouped) > MOST_PARTS:
        blocks.append(say("… và {n} việc nữa: gaccong status", "… and {n} more: gaccong status", n=len(grouped) - MOST_PARTS).in_(lang))
    return "\n\n".join(blocks) + "\n"


def _block(part: Part, names: list[str], now: datetime, lang: str) -> str:
    one = part.trouble
    shown = ", ".join(names[:MOST_NAMES]) + (f" … (+{len(names) - MOST_NAMES})" if len(names) > MOST_NAMES else "")
    lines = [f"{_KINDS[part.kind].in_(lang)} — {shown}", f"{one.duty} {one.subject}".strip() + ": " + one.detail.in_(lang)[:MOST_LETTERS]]
    if part.kind == "resolved":
        lines[-1] = say("{d}: đã hết lúc {t}", "{d}: over", d=f"{one.duty} {one.subject}".strip(), t=now_text(now)).in_(lang)
    else:
        lines.append(age(one.since, now).in_(lang))
        if one.cite.vi:
            lines.append(one.cite.in_(lang))
        if one.next:
            lines.append(say("Lệnh tiếp: {c}", "Next: {c}", c=one.next).in_(lang))
        lines.append(say("Đã nhận việc: gaccong notify ack {s} {d}", "Take it: gaccong notify ack {s} {d}", s=one.site, d=one.duty).in_(lang))
    return "\n".join(_plain(line) for line in lines if line)


def late(made: datetime, lang: str) -> str:
    """Stands above a letter that a channel did not take at first: what came later may have reached its reader before."""
    return say("(Tin viết lúc {t}, gửi muộn vì kênh hỏng; xem lại: gaccong notify status)",
               "(Written at {t}, delayed by the channel; see: gaccong notify status)", t=now_text(made)).in_(lang) + "\n\n"


def now_text(now: datetime) -> str:
    """`02:14 22/11`, Vietnamese time."""
    from ops import local

    return local(now).strftime("%H:%M %d/%m")


def _plain(line: str) -> str:
    """One line: what a site's page or a server said must not make lines or colours of its own."""
    return "".join(sign if sign.isprintable() else " " for sign in line)
