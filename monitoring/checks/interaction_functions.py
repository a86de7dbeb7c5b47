"""Are the functions of interaction there: questions, and opinions?"""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.functions import OPINIONS, QUESTIONS, judged, offer
from monitoring.pages import front
from ops import Context, Finding, Patience, Site, check, hours, minutes, say


@check("web.interaction_functions", every=hours(12), clauses=["TN-3.3"], patience=Patience(times=2, span=minutes(1)))
def interaction_functions(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are the functions of interaction there: questions, and opinions?

    Subjects "questions" and "opinions": a link on the front page, to a page that opens and has somewhere to write.
    """
    page = front(site, ctx)
    chosen = ctx.settings.web
    yield judged("questions", offer(site, ctx, page, QUESTIONS, chosen.questions),
                 say("mục hỏi đáp", "the section for questions"), "questions", site, needs_form=True)
    yield judged("opinions", offer(site, ctx, page, OPINIONS, chosen.feedback),
                 say("mục góp ý, phản ánh", "the section for opinions"), "feedback", site, needs_form=False)
