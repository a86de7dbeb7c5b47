"""Does plain http lead to https, at the same site, over IPv4 and over IPv6?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from urllib.parse import urlsplit

from monitoring.endpoints import Family, bracketed
from monitoring.looking import aim, detail, facts, host_of, next_command, times
from monitoring.pages import whole
from monitoring.probe import Sight, both
from monitoring.reasons import NO_ADDRESS
from ops import Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say

_LASTING = frozenset({301, 308})
"""Permanent redirects (RFC 9110, 15.4): browsers and search engines take the new address over."""


@check("web.https_redirect", every=hours(1), clauses=["TN-3.1.url"], patience=Patience(times=2, span=minutes(1)))
def https_redirect(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does plain http lead to https, at the same site, over IPv4 and over IPv6?

    Subjects "ipv4", "ipv6" (where there is an address). Broken: http does not answer, or shows the page unprotected. At
    risk: a redirect that is not permanent, one by way of another host, or one that comes down to http in between.
    """
    split = urlsplit(site.url)
    asked = whole(site, ctx.settings.web.http)
    if not asked and split.scheme == "https" and split.port not in (None, 443):
        words = say("trang dùng cổng riêng {p}; ghi địa chỉ http vào monitoring.web.http để kiểm tra",
                    "the site has a port of its own ({p}); write its http address into monitoring.web.http",
                    p=split.port)
        for family in Family:
            yield Finding(family.value, Verdict.UNSEEN, words, next="gaccong config check")
        return
    if not asked:
        port = f":{split.port}" if split.scheme == "http" and split.port else ""
        asked = f"http://{bracketed(host_of(site))}{port}/"
    families = [one for one in Family if not ctx.subjects or one.value in ctx.subjects]
    for sight in both([aim(site, ctx, family, url=asked) for family in families]):
        if sight.reason in NO_ADDRESS and not sight.hops and sight.family is Family.IPV6 and not ctx.subjects:
            continue  # web.ipv6 and dns.address demand the address
        yield _judged(site, sight)


def _judged(site: Site, sight: Sight) -> Finding:
    kept, figures = facts(sight), {**times(sight), "redirects": float(max(0, len(sight.hops) - 1))}
    subject, family = sight.family.value, sight.family.label
    if sight.ours:
        return Finding(subject, Verdict.UNSEEN, detail(sight), figures, kept, next_command(sight))
    answered = [hop for hop in sight.hops if hop.status]
    curl = shlex.join(["curl", f"-{sight.family.version}", "-sSIL", sight.url])
    if not answered:
        words = say("{f}: http không mở được ({vi}); mở cổng 80 và chuyển hướng 301 sang https",
                    "{f}: http does not open ({en}); open port 80 and redirect to https with 301", f=family,
                    vi=_why(sight).vi, en=_why(sight).en)
        return Finding(subject, Verdict.BROKEN, words, figures, kept, curl)
    if not any(hop.scheme == "https" for hop in sight.hops):
        words = say("{f}: http không chuyển sang https; thêm chuyển hướng 301",
                    "{f}: http does not lead to https; add a 301",
                    f=family)
        return Finding(subject, Verdict.BROKEN, words, figures, kept, curl)
    last = sight.hops[-1]
    if sight.reason is not None or last.scheme != "https":
        words = say("{f}: http chuyển hướng nhưng không tới được trang https ({vi})",
                    "{f}: http redirects, but not to an https page that opens ({en})", f=family,
                    vi=_why(sight).vi, en=_why(sight).en)
        return Finding(subject, Verdict.BROKEN, words, figures, kept, curl)
    weak = _weak(site, sight)
    if weak is not None:
        return Finding(subject, Verdict.AT_RISK, say("{f}: {vi}", "{f}: {en}", f=family, vi=weak.vi, en=weak.en),
                       figures,
                       kept, curl)
    words = say("{f}: http chuyển sang https (mã {s})", "{f}: http leads to https (status {s})", f=family,
                s=sight.hops[0].status)
    return Finding(subject, Verdict.MET, words, figures, kept)


def _why(sight: Sight) -> Text:
    return sight.reason.words if sight.reason else say("kết thúc ở http", "it ends at http")


def _weak(site: Site, sight: Sight) -> Text | None:
    """What is not quite right with a redirect that does reach https."""
    hops = sight.hops
    names = {host_of(site), *(name.lower() for name in site.names)}
    up = next(at for at, hop in enumerate(hops) if hop.scheme == "https")
    if any(hop.scheme == "http" for hop in hops[up:]):
        return say("giữa đường lại xuống http; chuyển thẳng sang https",
                   "comes down to http on the way; redirect at once")
    if any(hop.host.removeprefix("www.") not in names and hop.host not in names for hop in hops):
        return say("chuyển qua máy khác ({h})", "goes by way of another host ({h})", h=hops[-1].host)
    if any(hop.status not in _LASTING for hop in hops[:up]):
        return say("chuyển hướng tạm thời (mã {s}); đổi thành 301 hoặc 308",
                   "a temporary redirect ({s}); make it 301 or 308",
                   s=hops[0].status)
    return None
