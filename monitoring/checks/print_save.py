"""Can every article be printed and saved?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from monitoring.looking import decoded
from monitoring.pages import Pace, Page, absolute, bare, each, front, get, is_public_site, read, short, words_of
from monitoring.samples import articles
from ops import CannotSee, Context, Finding, Patience, Site, Verdict, check, hours, minutes, say

MOST_SHEETS = 4
_PRINT_STYLE = re.compile(r"@media[^{;]{0,200}\bprint\b|@import[^;]{0,300}\bprint\b", re.I)
_PRINT_WORDS = re.compile(r"^(in|in an|in bai( viet)?|in trang( nay)?|in tin|ban in|in bai nay|print)$")
_PRINT_MARK = re.compile(r"window\.print|\bprint\(|(^|[^a-z])print([^a-z]|$)|banin|inbai|in-bai", re.I)
_SAVE_WORDS = re.compile(r"^(luu|luu( tru)?( bai( viet)?| tin| trang)?|tai ve|tai xuong|tai bai viet|xuat (pdf|word)|"
                         r"save|download|pdf|word)$")
_SAVE_MARK = re.compile(r"(^|[^a-z])(save|download|pdf|luu-?tru|luu-?bai)([^a-z]|$)|\.(pdf|docx?|odt|epub)($|\?)", re.I)


@check("web.print_save", every=hours(12), clauses=["TN-7.3.print"], patience=Patience(times=2, span=minutes(1)),
       timeout=300)
def print_save(site: Site, ctx: Context) -> Iterator[Finding]:
    """Can every article be printed and saved?

    Subjects "print" (a button, or a style sheet for print) and "save" (a button, or a link to the article as a file; at
    risk at worst, since any browser can save a page). Some articles are looked at; all must have it. Buttons that a
    script draws afterwards are not seen: articles that load scripts are at risk at worst.
    """
    page = front(site, ctx)
    sample = articles(site, ctx, page, ctx.settings.web.sample)
    pace = Pace(ctx.settings.web.per_second)
    came = [read(one) for one in each(site, ctx, [one.url for one in sample], page, pace) if one.ok]
    came = [one for one in came if not one.hollow]
    if not came:
        raise CannotSee(
            say("không tìm được bài nào để xem", "no article was found to look at"),
            say("ghi vài địa chỉ bài vào monitoring.web.articles", "write some addresses into monitoring.web.articles"),
            site=site.id,
        )
    styles = _Styles(site, ctx)
    yield _judged("print", [(one, _control(one, _PRINT_WORDS, _PRINT_MARK) or styles.for_print(one)) for one in came])
    yield _judged("save", [(one, _control(one, _SAVE_WORDS, _SAVE_MARK)) for one in came])


def _control(page: Page, words: re.Pattern[str], mark: re.Pattern[str]) -> str:
    """ "control" when a link or a button is for it, by its words, its address, its script or its class."""
    for node in page.tree.css("a,button,input[type=button],[onclick],[role=button]")[:3000]:
        given = node.attributes
        labels = (words_of(node, 80), given.get("title"), given.get("aria-label"), given.get("value"))
        if any(words.match(bare(label)) for label in labels if label):
            return "control"
        if any(mark.search(given.get(name) or "") for name in ("onclick", "class", "id", "href", "rel")):
            return "control"
    return ""


class _Styles:
    """Style sheets of the pages, each fetched once."""

    def __init__(self, site: Site, ctx: Context) -> None:
        self._site, self._ctx, self._seen = site, ctx, dict[str, bool]()

    def for_print(self, page: Page) -> str:
        """ "style" when a sheet of the page, within it or linked, is for print."""
        if any(_PRINT_STYLE.search(node.text()[:500_000]) for node in page.tree.css("style")[:20]):
            return "style"
        sheets = []
        for node in page.tree.css("link[href][rel~=stylesheet],style[media]")[:50]:
            if "print" in (node.attributes.get("media") or "").lower():
                return "style"
            sheets.append(absolute(page.base, node.attributes.get("href") or ""))
        return "style" if any(self._prints(url, page) for url in [one for one in sheets if one][:MOST_SHEETS]) else ""

    def _prints(self, url: str, page: Page) -> bool:
        if url not in self._seen and len(self._seen) < MOST_SHEETS * 3:
            sight = get(self._site, self._ctx, url, guarded=is_public_site(page))
            self._seen[url] = sight.ok and bool(_PRINT_STYLE.search(decoded(sight)))
        return self._seen.get(url, False)


def _judged(subject: str, looked: list[tuple[Page, str]]) -> Finding:
    without = [page for page, how in looked if not how]
    figures = {"articles": float(len(looked)), "articles_without": float(len(without)),
               "offered_ratio": round(1 - len(without) / len(looked), 3)}
    kept: dict[str, Any] = {"without": [short(page.url) for page in without], "by": sorted({how for _,
                                                                                            how in looked if how})}
    vi, en = ("in", "printing") if subject == "print" else ("lưu (tải về)", "saving (download)")
    if not without:
        words = say("{n} bài đã xem đều có chức năng {v}", "all {n} articles looked at offer {e}", n=len(looked), v=vi,
                    e=en)
        return Finding(subject, Verdict.MET, words, figures, kept)
    words = say("{w}/{n} bài không có chức năng {v}; thêm vào mẫu bài viết",
                "{w} of {n} articles offer no {e}; add it to the article template", w=len(without), n=len(looked), v=vi,
                e=en)
    # A script of the page may draw the button afterwards: then we have not seen that there is none.
    drawn = any(page.tree.css_first("script[src]") is not None for page in without)
    kept["scripts"] = drawn
    certain = subject == "print" and len(without) == len(looked) and not drawn
    verdict = Verdict.BROKEN if certain else Verdict.AT_RISK
    return Finding(subject, verdict, words, figures, kept, shlex.join(["curl", "-sSL", without[0].url]))
