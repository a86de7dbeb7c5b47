"""Is the site on IPv6: address, answer, and the same content as over IPv4?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from monitoring.endpoints import Family
from monitoring.looking import aim, facts, finding, measures, similarity, text_of_page, with_expected
from monitoring.probe import Sight, both
from monitoring.reasons import Reason
from ops import Context, Finding, Patience, Site, Verdict, check, minutes, say

CLOSE = 0.5
"""Share of three-word runs that both pages must have: news that turned over between two requests stays above it."""


@check("web.ipv6", every=minutes(5), clauses=["TN-3.1.ipv6"], patience=Patience(times=2, span=minutes(1)))
def ipv6(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the site there over IPv6: an AAAA record, an answer, and content like that over IPv4?

    Subject "ipv6". A missing AAAA record is broken. Unseen when this machine has no IPv6 itself.
    """
    four, six = (with_expected(sight, ctx.settings.expect) for sight in both([aim(site, ctx, one) for one in Family]))
    if six.reason is not None:
        yield finding(six, "ipv6")
        return
    if four.reason is not None:
        words = say(
            "IPv6 trả lời mã {s}; chưa so được với IPv4 ({why})", "IPv6 answers {s}; not compared with IPv4 ({en})",
            s=six.status, why=four.reason.words.vi, en=four.reason.words.en,
        )
        yield Finding("ipv6", Verdict.MET, words, measures(six), {**facts(six), "compared": False})
        return
    yield _compared(four, six)


def _compared(four: Sight, six: Sight) -> Finding:
    same = four.body == six.body
    ratio = 1.0 if same else similarity(text_of_page(four), text_of_page(six))
    kept = {**facts(six), "compared": True}
    figures = {**measures(six), "similarity_ratio": round(ratio, 3)}
    percent = round(ratio * 100)
    if ratio < CLOSE:
        bad = finding(replace(six, reason=Reason.DIFFERENT_CONTENT), "ipv6")
        words = say("IPv6: nội dung khác hẳn IPv4 (giống {p} %)", "IPv6: content unlike IPv4's ({p} % alike)",
                    p=percent)
        return replace(bad, detail=words, measures=figures)
    words = say(
        "IPv6 trả lời mã {s} sau {ms} ms, nội dung giống IPv4 {p} %",
        "IPv6 answers {s} in {ms} ms, content {p} % like IPv4's", s=six.status, ms=round(six.phases.total * 1000),
        p=percent,
    )
    return Finding("ipv6", Verdict.MET, words, figures, kept)
