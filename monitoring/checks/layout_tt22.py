"""Do the pages share one frame, name their language, and fit a phone?"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from monitoring.checks.footer_identity import footer_of
from monitoring.looking import similarity
from monitoring.pages import Pace, Page, each, front, internal, read, short
from ops import Context, Finding, Patience, Site, Text, Verdict, check, days, minutes, say

ALIKE = 0.5
MOST_PAGES = 5


@check("web.layout_tt22", every=days(1), clauses=["TN-7.5"], patience=Patience(times=2, span=minutes(1)), timeout=300)
def layout_tt22(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do the pages share one frame, name their language, and fit a phone?

    Of Circular 22/2023/TT-BTTTT only what a program can see: subjects "frame" (the footer of the section pages is that
    of the front page), "language" (`html lang="vi"`), "mobile" (a viewport), "title" (each page has its own). At risk
    at worst; whether structure and layout are as prescribed, a person attests.
    """
    page = front(site, ctx)
    menu = [one.url for one in page.links if one.menu and internal(site, one.url) and one.url != page.url]
    pace = Pace(ctx.settings.web.per_second)
    came = [read(one) for one in each(site, ctx, menu[:MOST_PAGES], page, pace) if one.ok]
    pages = [page, *(one for one in came if not one.hollow)]
    footer = footer_of(page)
    titles = [_title(one) for one in pages]
    looks: list[tuple[str, Text, Callable[[Page], bool]]] = [
        ("frame", say("chân trang giống trang chủ", "the footer of the front page"),
         lambda one: bool(footer) and similarity(footer, footer_of(one)) >= ALIKE),
        ("language", say('thuộc tính lang="vi"', 'lang="vi"'), _vietnamese),
        ("mobile", say("thẻ viewport cho điện thoại", "a viewport for phones"),
         lambda one: one.tree.css_first("meta[name=viewport][content]") is not None),
        ("title", say("tiêu đề riêng", "a title of its own"),
         lambda one: titles.count(_title(one)) == 1 and bool(_title(one))),
    ]
    for subject, name, holds in looks:
        yield _judged(subject, name, [one for one in pages if not holds(one)], len(pages))


def _title(page: Page) -> str:
    node = page.tree.css_first("head title")
    return " ".join(node.text().split())[:300] if node is not None else ""


def _vietnamese(page: Page) -> bool:
    node = page.tree.css_first("html[lang]")
    return node is not None and (node.attributes.get("lang") or "").strip().lower().partition("-")[0] == "vi"


def _judged(subject: str, name: Text, without: list[Page], count: int) -> Finding:
    figures = {"pages": float(count), "pages_without": float(len(without))}
    kept = {"without": [short(one.url) for one in without[:10]]}
    if not without:
        words = say("{n} trang đã xem đều có {v}", "all {n} pages looked at have {e}", n=count, v=name.vi, e=name.en)
        return Finding(subject, Verdict.MET, words, figures, kept)
    words = say("{w}/{n} trang không có {v}; sửa mẫu chung", "{w} of {n} pages lack {e}; mend the template",
                w=len(without),
                n=count, v=name.vi, e=name.en)
    return Finding(subject, Verdict.AT_RISK, words, figures, kept, shlex.join(["curl", "-sSL", without[0].url]))
