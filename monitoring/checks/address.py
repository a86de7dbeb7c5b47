"""Do the site's names resolve, to IPv4 addresses and to IPv6 addresses?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from monitoring.endpoints import Family
from monitoring.looking import grain, names_of
from monitoring.names import Lookup, lookup
from monitoring.reasons import DOUBTFUL, OURS
from monitoring.vantage import blind
from ops import Context, Finding, Patience, Site, Verdict, check, minutes, say


@check("dns.address", every=minutes(15), clauses=["TN-3.1.ipv6"], patience=Patience(times=2, span=minutes(1)))
def address(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do all names of the site resolve to IPv4 (A) and to IPv6 (AAAA) addresses?

    Subjects "A" and "AAAA"; the worst name speaks. A missing record of either kind is broken.
    """
    from concurrent.futures import ThreadPoolExecutor

    names = names_of(site)
    seconds = min(5.0, ctx.settings.timeout_seconds)
    for family in Family:
        if ctx.subjects and family.record not in ctx.subjects:
            continue
        with ThreadPoolExecutor(min(8, len(names))) as pool:
            found = list(pool.map(lambda name, one=family: lookup(name, one, ctx.settings.nameservers, seconds), names))
        yield _judged(family, found, ctx)


def _judged(family: Family, found: list[Lookup], ctx: Context) -> Finding:
    bad = [one for one in found if one.reason is not None]
    first = bad[0] if bad else found[0]
    kept = {
        "names": {
            one.name: {"addresses": list(one.addresses), "aliases": list(one.aliases),
                       "reason": one.reason.value if one.reason else ""}
            for one in found
        }
    }
    figures = {
        "lookup_seconds": grain(max(one.seconds for one in found)),
        "addresses": float(sum(one.count for one in found)), "ttl_seconds": float(min(one.ttl for one in found)),
    }
    if first.reason is None:
        words = say("{n} tên có bản ghi {r}: {a}", "{n} names have {r} records: {a}", n=len(found), r=family.record,
                    a=", ".join(first.addresses[:3]))
        return Finding(family.record, Verdict.MET, words, figures, kept)
    reason = first.reason
    if reason in DOUBTFUL:
        reason = blind(family, "", ctx.settings.reference, ctx.settings.nameservers) or reason
    verdict = Verdict.UNSEEN if reason in OURS else Verdict.BROKEN
    words = say("{r} của {name}: {why}", "{r} of {name}: {en}", r=family.record, name=first.name, why=reason.words.vi,
                en=reason.words.en)
    return Finding(family.record, verdict, words, figures, {**kept, "reason": reason.value},
                   shlex.join(["dig", "+short", family.record, first.name]))
