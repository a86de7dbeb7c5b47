"""Are both ways of asking there: the unit's address, and the section for questions?"""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.functions import CONTACT, QUESTIONS, judged, offer
from monitoring.pages import front
from ops import Context, Finding, Patience, Site, check, hours, minutes, say


@check("web.qa_function", every=hours(12), clauses=["TN-6.5.d"], patience=Patience(times=2, span=minutes(1)))
def qa_function(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are both ways of asking there: the unit's address, and the section for questions?

    Subjects "address" (a page with an e-mail address or a form) and "section" (a page with a form). Broken when a page
    does not open; at risk when none is found.
    """
    page = front(site, ctx)
    chosen = ctx.settings.web
    yield judged("address", offer(site, ctx, page, CONTACT, chosen.feedback),
                 say("địa chỉ nhận câu hỏi", "an address for questions"), "feedback", site, needs_form=False)
    yield judged("section", offer(site, ctx, page, QUESTIONS, chosen.questions),
                 say("mục hỏi đáp", "the section for questions"), "questions", site, needs_form=True)
