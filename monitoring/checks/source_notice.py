"""Does the page say that whoever re-uses its information must name the source?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from monitoring.pages import bare, fold, front
from ops import Context, Finding, Patience, Site, Verdict, check, hours, minutes, say

_NOTICE = re.compile(
    r"(ghi|neu|dan|trich dan) (ro )?(nguon|ten nguon)[^.]{0,120}(phat hanh lai|su dung lai|trich dan|dang lai|"
    r"khai thac|su dung thong tin)|"
    r"(phat hanh lai|su dung lai|trich dan|dang lai|khai thac|su dung thong tin)[^.]{0,120}"
    r"(ghi|neu|dan) (ro )?nguon"
)


@check("web.source_notice", every=hours(12), clauses=["TN-12.1"], patience=Patience(times=2, span=minutes(1)))
def source_notice(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the page say that whoever re-uses its information must name the source?

    Subject "front". The sentence of `monitoring.web.source_notice` must stand on the front page; without it: broken.
    Where none is given a sentence of that kind is looked for, and its absence is at risk.
    """
    page = front(site, ctx)
    wanted = ctx.settings.web.source_notice
    there = fold(wanted) in fold(page.text) if wanted else _NOTICE.search(bare(page.text)) is not None
    kept = {"demanded": bool(wanted)}
    if there:
        yield Finding("front", Verdict.MET, say("trang chủ có câu yêu cầu ghi nguồn",
                                                "the front page asks to name the source"),
                      facts=kept)
        return
    words = say("trang chủ chưa có câu yêu cầu ghi nguồn; "
                'thêm vào chân trang, như "Ghi rõ nguồn khi sử dụng lại thông tin"',
                "the front page does not ask to name the source; add such a sentence to the footer")
    yield Finding("front", Verdict.BROKEN if wanted else Verdict.AT_RISK, words, facts=kept,
                  next=shlex.join(["curl", "-sSL", site.url]))
