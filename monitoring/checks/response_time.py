"""Does the front page come as fast as the site has set itself?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from statistics import median

from monitoring.endpoints import Family
from monitoring.looking import aim, grain
from monitoring.probe import Sight, both, probe
from monitoring.reasons import NO_ADDRESS
from ops import Context, Finding, Patience, Site, Verdict, check, minutes, say

TRIES = 3


@check("web.response_time", every=minutes(15), clauses=["TN-10.1.a"], patience=Patience(times=3, span=minutes(30)))
def response_time(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the front page come as fast as the site has set itself?

    Subjects "ipv4", "ipv6". The median of three visits, names and redirects included, against
    `monitoring.web.response_seconds`. At risk at worst: no rule gives a number. A page that does not come is
    web.http's.
    """
    target = ctx.settings.web.response_seconds
    families = [one for one in Family if not ctx.subjects or one.value in ctx.subjects]
    firsts = both([aim(site, ctx, family) for family in families])
    for first in firsts:
        if first.reason in NO_ADDRESS and first.family is Family.IPV6 and not ctx.subjects:
            continue
        again = [probe(aim(site, ctx, first.family)) for _ in range(TRIES - 1)] if first.ok else []
        yield _judged(site, [first, *again], target)


def _judged(site: Site, sights: list[Sight], target: float) -> Finding:
    family = sights[0].family
    came = [one for one in sights if one.ok]
    if not came:
        reason = sights[0].reason
        words = say("{f}: chưa đo được, trang không mở được ({vi})", "{f}: not measured, the page did not open ({en})",
                    f=family.label, vi=reason.words.vi if reason else "", en=reason.words.en if reason else "")
        return Finding(family.value, Verdict.UNSEEN, words, facts={"reason": reason.value if reason else ""},
                       next=shlex.join(["gaccong", "look", "web.http", "--site", site.id]))
    seconds = grain(median(one.phases.total for one in came))
    first = grain(median(one.phases.first_byte for one in came))
    figures = {
        "page_seconds": seconds, "first_byte_seconds": first, "target_seconds": target, "visits": float(len(came)),
        "body_bytes": float(len(came[0].body)),
    }
    words = say("{f}: trang về sau {s} giây (mục tiêu {t})", "{f}: the page came in {s} s (target {t})", f=family.label,
                s=f"{seconds:.2f}", t=f"{target:g}")
    if seconds <= target:
        return Finding(family.value, Verdict.MET, words, figures)
    timing = "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}\\n"
    command = shlex.join(["curl", f"-{family.version}", "-sSL", "-o", "/dev/null", "-w", timing, site.url])
    return Finding(family.value, Verdict.AT_RISK, words, figures, {"slowest": _slowest(came)}, command)


def _slowest(came: list[Sight]) -> str:
    """The phase that took most of the median visit."""
    names = ("dns", "connect", "tls", "first_byte", "transfer")
    return max(names, key=lambda name: median(getattr(one.phases, name) for one in came))
