"""For how long is the domain paid?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import date

from monitoring.checks.tld_vn import TRIAL
from monitoring.contracts import judged, unknown
from monitoring.endpoints import is_literal
from monitoring.looking import host_of
from monitoring.registry import from_rdap, from_whois
from ops import Context, Finding, Site, check, days, say

SECOND_LEVEL = frozenset({"gov", "com", "net", "org", "edu", "ac", "biz", "info", "int", "name", "pro", "health", "io", "id", "ai"})
"""Names below .vn under which others register (Decision of the registry); a name under one has three labels."""


@check("renewal.domain", every=days(1), clauses=["BQ-10.2.1"], timeout=60)
def domain(site: Site, ctx: Context) -> Iterator[Finding]:
    """For how many days is the site's domain still paid: by its registry, where one can be asked, else as written?

    Subject "domain". The earlier of the two days counts. A day that nobody knows is unseen: the clause also takes a
    person's attestation.
    """
    chosen, host = ctx.settings.renewal, host_of(site)
    name = chosen.domain or registered(host)
    told = _told(name, ctx) if name else None
    what = say("tên miền {n}", "domain {n}", n=name or host)
    found = [day for day in (told, chosen.domain_until) if day is not None]
    if not found:
        yield unknown("domain", what, "domain_until", site.id)
        return
    facts = {"domain": name, "registry": told.isoformat() if told else "",
             "written": chosen.domain_until.isoformat() if chosen.domain_until else ""}
    yield judged("domain", what, min(found), ctx, facts, shlex.join(["gaccong", "look", "renewal.domain", "--site", site.id]))


def _told(name: str, ctx: Context) -> date | None:
    """What a registry says, where the settings name one."""
    chosen = ctx.settings.renewal
    found = from_rdap(chosen.rdap, name, ctx) if chosen.rdap else None
    return found or (from_whois(chosen.whois, name, ctx) if chosen.whois else None)


def registered(host: str) -> str:
    """The name that somebody pays for: `langson.gov.vn` of `xamau.langson.gov.vn`; "" where that cannot be told.

    Only .vn is known here; for any other ending the name is guessed as its last two labels.
    """
    labels = host.split(".")
    if is_literal(host) or len(labels) < 2 or labels[-1] in TRIAL:
        return ""
    count = 3 if labels[-1] == "vn" and labels[-2] in SECOND_LEVEL else 2
    return ".".join(labels[-count:]) if len(labels) >= count else ""
