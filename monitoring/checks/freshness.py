"""How old is the newest thing on the site, and in each section?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime

from monitoring.feeds import Item
from monitoring.pages import short, whole
from monitoring.published import Published, ask, gather
from monitoring.workdays import Calendar, calendar
from ops import CannotSee, Context, Finding, Site, Text, Verdict, check, hours, local_day, say

RISK = 0.8
"""Share of the limit from which a person should write something."""


@check(
    "content.freshness", every=hours(1), timeout=300,
    clauses=["TN-3.5", "P1-4.3", "BQ-8.1.g", "KP-2.1-2.4", "KP-6.2", "KP-9.5bis", "LL-8.e"],
)
def freshness(site: Site, ctx: Context) -> Iterator[Finding]:
    """How many days old is the newest thing on the site, and in each section of the settings?

    Subject "site", and one for each section. Dates in the future do not count. Over a holiday the limit is not broken
    while fewer working days went by than the limit holds in an ordinary week.
    """
    days = calendar(ctx.settings.content.days_off, ctx.settings.content.working_days)
    if not ctx.subjects or "site" in ctx.subjects:
        found = gather(site, ctx)
        yield judged("site", found, ctx.threshold("content.freshness_days", 7), ctx.now, days, site)
    for name, place in ctx.settings.content.sections.items():
        if ctx.subjects and name not in ctx.subjects:
            continue
        found = ask(site, ctx, [whole(site, place)])
        if found.good:
            yield judged(name, found, ctx.settings.content.section_days, ctx.now, days, site)
        else:
            fault = found.sources[0].fault
            words = say("chuyên mục {s}: {v}", "section {s}: {e}", s=name, v=fault.vi if fault else "", e=fault.en if fault else "")
            yield Finding(name, Verdict.UNSEEN, words, facts={"sources": found.facts()},
                          next=shlex.join(["curl", "-sSIL", whole(site, place)]))


def judged(subject: str, found: Published, limit: float, now: datetime, days: Calendar, site: Site) -> Finding:
    """The finding for what a source tells. Raises CannotSee when nothing in it has a date."""
    dated = [(one.latest, one) for one in found.items if one.latest is not None]
    if not dated:
        raise CannotSee(
            say("các nguồn tin không ghi ngày nào đọc được", "the sources give no date that can be read"),
            say("bật pubDate trong RSS hoặc lastmod trong sitemap", "switch on pubDate in RSS, or lastmod in the sitemap"),
            site=site.id,
        )
    when, newest = max(dated, key=lambda pair: pair[0])
    when = min(when, now)
    age = (now - when).total_seconds() / 86400
    worked = days.between(local_day(when), local_day(now))
    ordinary = limit * 5 / 7
    figures = {"age_days": round(age, 2), "workdays": float(worked), "items": float(len(found.items))}
    kept = {"newest": newest.title[:160], "at": when.isoformat(), "page": short(newest.url) if newest.url else "",
            "sources": found.facts()}
    words = _words(subject, newest, when, age, limit)
    if age <= limit:
        verdict = Verdict.AT_RISK if age > RISK * limit else Verdict.MET
        return Finding(subject, verdict, words, figures, kept)
    if worked < int(ordinary):
        words = say("{w}; có {n} ngày làm việc, còn lại là ngày nghỉ", "{e}; {n} working days, the rest were days off",
                    w=words.vi, e=words.en, n=worked)
        return Finding(subject, Verdict.AT_RISK, words, figures, kept)
    if any(one.partial for one in found.good) and not any(one.kind in ("rss", "atom") for one in found.good):
        words = say("{w}; nhưng sitemap quá dài, chưa đọc hết", "{e}; but the sitemap is too long and was not read to its end",
                    w=words.vi, e=words.en)
        return Finding(subject, Verdict.UNSEEN, words, figures, kept)
    command = shlex.join(["gaccong", "look", "content.freshness", "--site", site.id])
    return Finding(subject, Verdict.BROKEN, words, figures, kept, command)


def _words(subject: str, newest: Item, when: datetime, age: float, limit: float) -> Text:
    place = say("trang", "the site") if subject == "site" else say("chuyên mục {s}", "section {s}", s=subject)
    return say(
        "{p}: tin mới nhất đã {n} ngày ({d}, “{t}”), mức cho phép {l} ngày",
        "{q}: the newest item is {n} days old ({d}, “{t}”), the limit is {l} days", p=place.vi, q=place.en,
        n=f"{age:.1f}", d=local_day(when).strftime("%d/%m/%Y"), t=newest.title[:80] or short(newest.url), l=f"{limit:g}",
    )
