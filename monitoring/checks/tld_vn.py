"""Does the site stand under Vietnam's national domain .vn?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from monitoring.endpoints import Family, is_literal
from monitoring.looking import host_of
from monitoring.questions import Asker, Silence, name_of
from monitoring.reasons import DOUBTFUL, OURS, Reason
from monitoring.vantage import blind
from ops import Context, Finding, Patience, Site, Verdict, check, hours, minutes, say

TRIAL = frozenset({"test", "example", "invalid", "localhost"})
"""Top-level names that never exist (RFC 6761): a site under them is a trial, not a portal to be judged."""
SUBJECT = "domain"


@check("dns.tld_vn", every=hours(6), clauses=["TN-3.1.vn"], patience=Patience(times=2, span=minutes(1)))
def tld_vn(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the site's address under .vn, in a zone that exists there?

    Subject "domain". A name elsewhere, or an address without a name, is broken; so is a name whose zone is not there.
    """
    host = host_of(site)
    facts = {"host": host}
    if is_literal(host):
        words = say("địa chỉ trang là {h}, chưa có tên miền", "the site's address is {h}, not a name", h=host)
        yield Finding(SUBJECT, Verdict.BROKEN, words, facts=facts)
        return
    top = host.rpartition(".")[2]
    if top in TRIAL:
        words = say("{h} là tên để thử, chưa xét được", "{h} is a name for trials; nothing to judge", h=host)
        yield Finding(SUBJECT, Verdict.UNSEEN, words, facts=facts, next=f"gaccong look dns.tld_vn --site {site.id}")
        return
    if top != "vn":
        words = say("{h} không thuộc tên miền quốc gia .vn", "{h} is not under the national domain .vn", h=host)
        yield Finding(SUBJECT, Verdict.BROKEN, words, facts=facts)
        return
    yield _zone(host, ctx)


def _zone(host: str, ctx: Context) -> Finding:
    """Whether some zone below .vn answers for the name."""
    asked, command = name_of(host), shlex.join(["dig", "+short", "SOA", host])
    zone, reason = "", Reason.NXDOMAIN
    if asked is not None:
        try:
            zone = Asker.of(ctx.settings.nameservers, ctx.settings.timeout_seconds).zone_of(asked).to_text(True).lower()
        except Silence as silence:
            reason = silence.reason
    if zone.endswith(".vn"):
        words = say("{h} thuộc .vn (vùng {z})", "{h} is under .vn (zone {z})", h=host, z=zone)
        return Finding(SUBJECT, Verdict.MET, words, facts={"host": host, "zone": zone})
    if reason in DOUBTFUL:
        reason = blind(Family.IPV4, "", ctx.settings.reference, ctx.settings.nameservers) or reason
    if reason in OURS or reason in DOUBTFUL:
        words = say("{h} viết đúng .vn, nhưng chưa hỏi được vùng: {w}", "{h} is written under .vn, but its zone could not "
                    "be asked for: {e}", h=host, w=reason.words.vi, e=reason.words.en)
        return Finding(SUBJECT, Verdict.UNSEEN, words, facts={"host": host, "reason": reason.value}, next=command)
    words = say("{h} viết đúng .vn nhưng chưa có vùng nào dưới .vn giữ tên này",
                "{h} is written under .vn, but no zone below .vn holds it", h=host)
    return Finding(SUBJECT, Verdict.BROKEN, words, facts={"host": host, "zone": zone, "reason": reason.value}, next=command)
