"""For how long is the server paid?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from monitoring.contracts import judged, unknown
from ops import Context, Finding, Site, check, days, say


@check("renewal.hosting", every=days(1), clauses=["BQ-10.2.1"])
def hosting(site: Site, ctx: Context) -> Iterator[Finding]:
    """For how many days is the server (or the place on it) still paid, by the day that the settings hold?

    Subject "hosting". No network tells it: `monitoring.renewal.hosting_until` does, else a person's attestation.
    """
    until = ctx.settings.renewal.hosting_until
    what = say("thuê máy chủ", "server hire")
    if until is None:
        yield unknown("hosting", what, "hosting_until", site.id)
        return
    yield judged("hosting", what, until, ctx, {}, shlex.join(["gaccong", "look", "renewal.hosting", "--site", site.id]))
