"""Does every kind of page carry the code of the system that measures digital government services (EMC)?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from monitoring.pages import Pace, Page, each, front, read, short
from monitoring.samples import articles
from ops import Context, Finding, Site, Verdict, check, hours, say

NATIONAL = "f-emc.ngsp.gov.vn"
"""Host of the national system's tracking code, as portals of ministries and provinces carry it."""
_NUMBER = re.compile(r"setSiteId['\"]\s*,\s*['\"]?(\d{1,9})")


@check("web.emc_connected", every=hours(6), clauses=["TN-7.5.emc"], timeout=300)
def emc_connected(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does every kind of page carry the code of the system that measures digital government services (EMC)?

    Subjects "front" and "articles" (some of them). Seen from outside is only that the code is there, with a number of
    the site's own, and not loaded over http into an https page; that data arrive is for the system to confirm. Without
    `monitoring.web.emc` the national code is looked for: a page without it is at risk, for another code may be in use.
    """
    chosen = ctx.settings.web.emc
    page = front(site, ctx)
    yield _judged("front", [page], chosen)
    sample = articles(site, ctx, page, ctx.settings.web.sample)
    pace = Pace(ctx.settings.web.per_second)
    came = [read(one) for one in each(site, ctx, [one.url for one in sample], page, pace) if one.ok]
    if came:
        yield _judged("articles", came, chosen)


def _judged(subject: str, pages: list[Page], chosen: str) -> Finding:
    mark = chosen or NATIONAL
    bare = [page for page in pages if mark not in page.html]
    plain = [page for page in pages if page.url.startswith("https://") and f"http://{mark}" in page.html]
    figures = {"pages": float(len(pages)), "pages_without_code": float(len(bare))}
    kept = {"without": [short(page.url) for page in bare[:10]], "national": not chosen}
    command = f"curl -sSL {shlex.quote((bare or pages)[0].url)} | grep -n -F {shlex.quote(mark)}"
    if bare:
        words = say("{n}/{a} trang không có mã kết nối EMC ({m}); chèn mã vào mẫu chung của mọi trang",
                    "{n} of {a} pages lack the EMC code ({m}); put it into the template of all pages", n=len(bare),
                    a=len(pages), m=mark[:80])
        return Finding(subject, Verdict.BROKEN if chosen else Verdict.AT_RISK, words, figures, kept, command)
    unnumbered = [] if chosen else [page for page in pages if not _NUMBER.search(page.html)]
    if plain or unnumbered:
        words = say("mã EMC có nhưng chưa chạy được: nạp qua http hoặc thiếu số của trang (setSiteId)",
                    "the EMC code is there but cannot work: loaded over http, or without the site's number (setSiteId)")
        return Finding(subject, Verdict.AT_RISK, words, figures, {**kept, "over_http": bool(plain)}, command)
    words = say("{a} trang đều có mã kết nối EMC", "all {a} pages carry the EMC code", a=len(pages))
    return Finding(subject, Verdict.MET, words, figures, kept)
