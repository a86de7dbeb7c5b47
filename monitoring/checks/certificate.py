"""Is the certificate valid, trusted, for the right names, and for how long?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

from monitoring.certificates import Certificate, covers, day, days_left, old_signature
from monitoring.endpoints import Family, bracketed
from monitoring.looking import aim, facts, finding, grain, names_of
from monitoring.probe import Aim, Sight, both
from monitoring.reasons import NO_ADDRESS, Reason
from monitoring.staple import stapled
from ops import Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say

_NEVER_SHOWN = frozenset({
    Reason.DNS_TIMEOUT, Reason.DNS_FAILED, Reason.DNS_LOOP, Reason.UNREACHABLE, Reason.CONNECT_TIMEOUT, Reason.TIMEOUT,
})
"""No certificate was met on the way: web.http tells that outage, nothing is known of the certificate."""


@check("tls.certificate", every=hours(1), clauses=["TN-7.2"], patience=Patience(times=2, span=minutes(1)))
def certificate(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the certificate valid, from a trusted issuer, for every name of the site, and for how many days yet?

    Subjects "ipv4" and "ipv6": two machines may stand behind one name. Each name of the site is asked for its own
    certificate; the worst speaks, and the one that ends first is counted. A family without an address is left out.
    The leaf's end and that of the links above it are measures of their own. Broken too: a certificate that demands a
    stapled OCSP answer (RFC 7633) from a server that sends none. At risk too: SHA-1, an issuer that ends before the leaf.
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
    figures = {**_figures(sight.chain, ctx), "handshake_seconds": grain(sight.phases.total)}
    kept = {**facts(sight), "host": host}
    if sight.reason is not None:
        words = say("{h}: {vi}", "{h}: {en}", h=host, vi=base.detail.vi, en=base.detail.en)
        return replace(base, measures=figures, facts=kept, detail=words)
    if leaf.must_staple and not _stapled(sight, ctx):
        bad = finding(replace(sight, reason=Reason.TLS_STAPLE), sight.family.value)
        words = say("{h}: {vi}", "{h}: {en}", h=host, vi=bad.detail.vi, en=bad.detail.en)
        return replace(bad, measures=figures, facts={**kept, "reason": Reason.TLS_STAPLE.value}, detail=words)
    verdict, words, command = _standing(sight, host, floor, ctx)
    return Finding(sight.family.value, verdict, words, figures, kept, command)


def _figures(chain: Sequence[Certificate], ctx: Context) -> dict[str, float]:
    """The leaf's days and those of the links above it, apart: a cross-signed root that ended hurts nobody by itself."""
    leaf = chain[0]
    figures = {
        "days_left": round(days_left(leaf, ctx.now), 2),
        "not_after_timestamp_seconds": float(int(leaf.not_after.timestamp())),
        "presented_certificates": float(len(chain)), "names": float(len(leaf.names)),
    }
    above = [link for link in chain[1:] if not link.self_signed]
    if above:
        first = min(above, key=lambda link: link.not_after)
        figures["chain_days_left"] = round(days_left(first, ctx.now), 2)
        figures["chain_not_after_timestamp_seconds"] = float(int(first.not_after.timestamp()))
    return figures


def _stapled(sight: Sight, ctx: Context) -> bool:
    """Whether the same address staples a good answer; asked only of a certificate that demands it."""
    last = sight.last
    if last is None:
        return True
    return stapled(last.host, last.port, last.address, ctx.settings.authority, ctx.settings.timeout_seconds)


def _standing(sight: Sight, host: str, floor: float, ctx: Context) -> tuple[Verdict, Text, str]:
    """Verdict, words and command for a certificate that verified."""
    leaf, issuers = sight.chain[0], sight.chain[1:2]
    words = say(
        "{h}: chứng thư còn {n} ngày (đến {d}), nơi cấp {i}", "{h}: certificate good for {n} days (to {d}) by {i}",
        h=host, n=int(days_left(leaf, ctx.now)), d=day(leaf.not_after), i=leaf.issuer,
    )
    if days_left(leaf, ctx.now) < floor:
        return Verdict.AT_RISK, words, "certbot renew"
    # libcurl has matched the name already; a leaf that only an odd matcher accepts will fail elsewhere.
    if not covers(leaf.names, host):
        return Verdict.AT_RISK, words, "certbot renew"
    old = old_signature(sight.chain)
    if old is not None:
        return Verdict.AT_RISK, say("{h}: chữ ký {s} đã lỗi thời trên chứng thư {c}; xin cấp lại",
                                    "{h}: an outdated signature ({s}) on the certificate {c}; have it reissued", h=host,
                                    s=old.signed_with.upper(), c=old.subject), "certbot renew --force-renewal"
    if issuers and issuers[0].not_after < min(leaf.not_after, ctx.now + timedelta(days=floor)):
        return Verdict.AT_RISK, say(
            "{h}: chứng thư trung gian {c} hết hạn trước (đến {d})", "{h}: the intermediate {c} ends before it (to {d})",
            h=host, c=issuers[0].subject, d=day(issuers[0].not_after),
        ), "certbot renew --force-renewal"
    return Verdict.MET, words, ""
