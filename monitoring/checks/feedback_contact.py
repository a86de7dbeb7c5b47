"""Can a visitor report on the quality of the page?"""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.functions import CONTACT, judged, offer
from monitoring.pages import front
from ops import Context, Finding, Patience, Site, check, hours, minutes, say


@check("web.feedback_contact", every=hours(12), clauses=["TN-12.3"], patience=Patience(times=2, span=minutes(1)))
def feedback_contact(site: Site, ctx: Context) -> Iterator[Finding]:
    """Can a visitor report on the quality of the page?

    Subject "contact": a page for opinions or contact that opens and has a form or an e-mail address. That somebody
    reads what is sent, no program can see.
    """
    found = offer(site, ctx, front(site, ctx), CONTACT, ctx.settings.web.feedback)
    yield judged("contact", found, say("mục góp ý, liên hệ", "a place for opinions or contact"), "feedback", site,
                 needs_form=False)
