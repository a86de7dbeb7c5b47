"""Is the certificate valid, trusted, for the right names, and for how long?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from monitoring.certificates import covers, day, days_left
from monitoring.endpoints import Family, bracketed
from monitoring.looking import aim, facts, finding, grain, names_of
from monitoring.probe import Aim, Sight, both
from monitoring.reasons import NO_ADDRESS, Reason
from ops import Context, Finding, Patience, Site, Verdict, check, hours, minutes, say

_NEVER_SHOWN = frozenset({
    Reason.DNS_TIMEOUT, Reason.DNS_FAILED, Reason.DNS_LOOP, Reason.UNREACHABLE, Reason.CONNECT_TIMEOUT, Reason.TIMEOUT,
})
"""No certificate was met on the way: web.http tells that outage, nothing is known of the certificate."""


@check("tls.certificate", every=hours(1), clauses=["TN-7.2"], patience=Patience(times=2, span=minutes(1)))
def certificate(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the certificate valid, from a trusted issuer, for every name of the site, and for how many days yet?

    Subjects "ipv4" and "ipv6": two machines may stand behind one name. Each name of the site is asked for its own
    certificate; the worst speaks, and the one that ends first is counted. A family without an address is left out.
    """
    floor = ctx.threshold("tls.days_left", ctx.settings.certificate_days)
    for family in Family:
        if ctx.subjects and family.value not in ctx.subjects:
            continue
        sights = [one for one in both(_aims(site, ctx, family)) if one.reason not in NO_ADDRESS]
        if sights:
            judged = [_judged(sight, floor, ctx) for sight in sights]
            yield max(judged, key=lambda one: (one.verdict.weight, -one.measures.get("days_left", 1e9)))


def _aims(site: Site, ctx: Context, family: Family) -> list[Aim]:
    split = urlsplit(site.url)
    port = split.port if split.scheme == "https" and split.port else 443
    return [
        aim(site, ctx, family, url=f"https://{bracketed(name)}:{port}/", handshake=True) for name in names_of(site)
    ]


def _judged(sight: Sight, floor: float, ctx: Context) -> Finding:
    host = urlsplit(sight.url).hostname or ""
    base = finding(sight, sight.family.value)
    if not sight.chain:
        verdict = Verdict.UNSEEN if sight.reason in _NEVER_SHOWN else base.verdict
        return replace(base, verdict=verdict, measures={"handshake_seconds": grain(sight.phases.total)})
    leaf = sight.chain[0]
    left = days_left(leaf, ctx.now)
    figures = {
        "days_left": round(left, 2), "not_after_timestamp_seconds": float(int(leaf.not_after.timestamp())),
        "presented_certificates": float(len(sight.chain)), "handshake_seconds": grain(sight.phases.total),
    }
    kept = {**facts(sight), "host": host}
    if sight.reason is not None:
        words = say("{h}: {vi}", "{h}: {en}", h=host, vi=base.detail.vi, en=base.detail.en)
        return replace(base, measures=figures, facts=kept, detail=words)
    words = say(
        "{h}: chứng thư còn {n} ngày (đến {d}), nơi cấp {i}", "{h}: certificate good for {n} days (to {d}) by {i}",
        h=host, n=int(left), d=day(leaf.not_after), i=leaf.issuer,
    )
    verdict = Verdict.AT_RISK if left < floor else Verdict.MET
    # libcurl has matched the name already; a leaf that only an odd matcher accepts will fail elsewhere.
    if not covers(leaf.names, host):
        verdict = Verdict.AT_RISK
    command = "certbot renew" if verdict is Verdict.AT_RISK else ""
    return Finding(sight.family.value, verdict, words, figures, kept, command)
