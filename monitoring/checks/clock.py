"""Is this machine's clock right? Evidence bears its time, and deadlines are counted by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitoring.clock import Kernel, kernel, offset
from ops import Context, Finding, Site, Verdict, check, hours, say

SUBJECT = "clock"
_BROKEN = 10.0
"""So many times `clock_seconds` is no drift any more."""
_NEXT = "timedatectl set-ntp true"


@check("host.clock", every=hours(1), clauses=["TN-10.1.a", "LL-6A.2.vh1"])
def clock(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the clock kept right, and by how much is it off?

    Subject "clock". Time servers (`ntp` of the settings) measure the offset; without them the kernel's word is taken.
    Unseen when servers are named and none answers, or when there is no word at all.
    """
    servers = ctx.settings.host.ntp
    yield judge(kernel(), offset(servers) if servers else None, bool(servers), ctx.settings.host.clock_seconds)


def judge(word: Kernel | None, off: float | None, asked: bool, worry: float) -> Finding:
    """The finding. off: this clock minus the servers', seconds; asked: whether servers were named."""
    figures = {"offset_seconds": round(off, 3)} if off is not None else {}
    facts = {"kept": word.kept if word else None, "asked": asked}
    if off is not None:
        return _measured(off, worry, figures, facts)
    if asked:
        return Finding(SUBJECT, Verdict.UNSEEN, say("không máy chủ giờ nào trả lời", "no time server answered"), figures, facts,
                       "timedatectl timesync-status")
    if word is None:
        return Finding(SUBJECT, Verdict.UNSEEN, say("không biết đồng hồ có được đồng bộ không; ghi `ntp` trong [site.….monitoring.host]",
                                                    "unknown whether anything keeps the clock; write `ntp` in [site.….monitoring.host]"),
                       figures, facts, "timedatectl")
    if word.kept:
        words = say("đồng hồ được đồng bộ, sai số tối đa {s} giây", "the clock is kept, off by {s} s at most", s=f"{word.most_error:.2f}")
        return Finding(SUBJECT, Verdict.MET, words, {"most_error_seconds": round(word.most_error, 3)}, facts)
    words = say("không có gì giữ đồng hồ đúng giờ (chưa bật NTP)", "nothing keeps the clock right (no NTP)")
    return Finding(SUBJECT, Verdict.AT_RISK, words, figures, facts, _NEXT)


def _measured(off: float, worry: float, figures: Mapping[str, float], facts: Mapping[str, object]) -> Finding:
    words = say("đồng hồ nhanh {s} giây", "the clock is {s} s fast", s=f"{off:.2f}") if off >= 0 else \
        say("đồng hồ chậm {s} giây", "the clock is {s} s slow", s=f"{-off:.2f}")
    verdict = Verdict.MET if abs(off) < worry else Verdict.AT_RISK if abs(off) < worry * _BROKEN else Verdict.BROKEN
    return Finding(SUBJECT, verdict, words, figures, facts, "" if verdict is Verdict.MET else _NEXT)
