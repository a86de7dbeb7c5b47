"""Does the front page answer, over IPv4 and over IPv6, each by itself?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from monitoring.endpoints import Family
from monitoring.looking import aim, finding, with_expected
from monitoring.probe import Sight, both
from monitoring.reasons import NO_ADDRESS
from ops import Context, Finding, Patience, Site, Verdict, check, minutes, say


@check(
    "web.http", every=minutes(5), patience=Patience(times=2, span=minutes(1)),
    clauses=["TN-10.1.a", "TN-11.6", "BQ-8.1.e", "P1-4.2", "KP-3.2", "LL-6A.2.vh1"],
)
def http(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the front page answer over IPv4 and over IPv6, whole, in time, with its text?

    Subjects "ipv4" and "ipv6". A name without AAAA has no "ipv6" subject here: web.ipv6 and dns.address demand it. A
    name without any address is broken under "ipv4". At risk: an https address that ends at an http page.
    """
    families = [family for family in Family if not ctx.subjects or family.value in ctx.subjects]
    sights = [with_expected(sight, ctx.settings.expect) for sight in both([aim(site, ctx, one) for one in families])]
    for sight in sights:
        if sight.family is Family.IPV6 and sight.reason in NO_ADDRESS and not sight.hops and not ctx.subjects:
            continue
        yield _judged(site, sight)


def _judged(site: Site, sight: Sight) -> Finding:
    found = finding(sight, sight.family.value)
    last = sight.last
    lowered = last is not None and last.scheme == "http" and urlsplit(site.url).scheme == "https"
    if found.verdict is not Verdict.MET or not lowered:
        return found
    words = say(
        "{f}: trang trả lời nhưng bị chuyển từ https về http", "{f}: the page answers, but https leads down to http",
        f=sight.family.label,
    )
    return replace(found, verdict=Verdict.AT_RISK, detail=words)
