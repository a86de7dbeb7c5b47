"""Is each kind of information published, and each question answered, within its working days?

A new kind of deadline is a `Rule` in `monitoring/deadlines.py`, its words in `monitoring/register.py`, and a duty here.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.deadlines import findings
from ops import Context, Finding, Site, check, hours


@check("deadline.immediate", every=hours(6), clauses=["TN-3.5", "P1-10.1", "P1-10.2", "P1-10.4"], timeout=300)
def immediate(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is what must be published at once published at once?

    The clause gives no number: the target in force is told beside the days that went by.
    """
    yield from findings("immediate", site, ctx)


@check("deadline.legal_document", every=hours(6), clauses=["TN-6.3", "KP-9.2", "LL-8.b"], timeout=300)
def legal_document(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are the commune's own documents published in time after they were issued?"""
    yield from findings("legal_document", site, ctx)


@check("deadline.policy", every=hours(6), clauses=["TN-6.2"], timeout=300)
def policy(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are legal guidance and policies published in time after the document was issued?"""
    yield from findings("policy", site, ctx)


@check("deadline.news", every=hours(6), clauses=["KP-9.1", "LL-8.a"], timeout=300)
def news(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are news and events published in time after they happened?"""
    yield from findings("news", site, ctx)


@check("deadline.other", every=hours(6), clauses=["TN-6.4"], timeout=300)
def other(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is other information published in time after it was issued?"""
    yield from findings("other", site, ctx)


@check("deadline.conference", every=hours(6), clauses=["KP-9.3", "LL-8.c"], timeout=300)
def conference(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are conferences and important events published in time after they ended?"""
    yield from findings("conference", site, ctx)


@check("deadline.statistics", every=hours(6), clauses=["KP-9.4", "LL-8.d"], timeout=300)
def statistics(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are statistics published right after the report was sent?"""
    yield from findings("statistics", site, ctx)


@check("deadline.effective_date", every=hours(6), clauses=["BQ-9.2"], timeout=300)
def effective_date(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is legal guidance published by the day on which the document takes effect?"""
    yield from findings("effective_date", site, ctx)


@check("deadline.qa_answer", every=hours(6), clauses=["TN-6.5.b", "KP-9.5", "LL-8.đ", "BQ-7.5bis"])
def qa_answer(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are questions answered in time, or is the asker told in time on which day the answer will come?"""
    yield from findings("qa_answer", site, ctx)


@check("deadline.qa_routing", every=hours(6), clauses=["TN-6.5.a", "LL-6A.4"])
def qa_routing(site: Site, ctx: Context) -> Iterator[Finding]:
    """Are questions passed on, or their askers told that they are out of scope, at once?"""
    yield from findings("qa_routing", site, ctx)
