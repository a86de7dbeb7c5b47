"""Does the site's search find what is there, typed with and without diacritics?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode, urlsplit, urlunsplit

from monitoring.pages import Pace, Page, absolute, bare, fold, front, get, internal, is_public_site, read, short, whole
from monitoring.samples import Article, articles
from ops import CannotSee, Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say

NOBODY = "zqxkvwj"
"""A word that no page holds: what its results show is shown to everybody, so it proves no search."""
MOST_QUERY = 100
_FIELDS = frozenset({
    "q", "s", "query", "search", "keyword", "keywords", "key", "tukhoa", "tu_khoa", "tu-khoa", "kw", "timkiem",
    "txtsearch",
})


@dataclass(frozen=True, slots=True)
class _Try:
    """One title asked for. error: the probe's reason when the search page itself failed."""

    title: str
    found: bool
    error: str = ""
    ours: bool = False


@check("web.search", every=hours(6), clauses=["TN-7.3.search"], patience=Patience(times=2, span=minutes(1)),
       timeout=300)
def search(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the site's search find what is there, typed with and without diacritics?

    Subjects "exact" and "plain" (without diacritics; at risk at worst: no clause demands it, people type so). Titles
    from the settings, else from the feed or the front page. A title counts as found when the results link to it more
    often than the results of a word that exists nowhere: what stands in every page's margin proves nothing. Unseen when
    there is no search form that can be asked by address.
    """
    page = front(site, ctx)
    template = whole(site, ctx.settings.web.search.replace("{q}", "QQQQ")).replace("QQQQ", "{q}") or form_of(site, page)
    if "{q}" not in template:
        raise CannotSee(
            say("không thấy ô tìm kiếm hỏi được bằng địa chỉ trên trang chủ",
                "the front page has no search form that can be asked by address"),
            say('ghi địa chỉ vào monitoring.web.search, như "/tim-kiem?q={hole}"',
                'write its address into monitoring.web.search, like "/search?q={hole}"', hole="{q}"), site=site.id,
        )
    chosen = ctx.settings.web
    wanted = [Article("", title) for title in chosen.search_titles[: chosen.sample]]
    wanted = wanted or [one for one in articles(site, ctx, page, chosen.sample) if one.title]
    if not wanted:
        raise CannotSee(
            say("không biết tiêu đề nào để tìm thử", "no title is known to search for"),
            say("ghi vài tiêu đề vào monitoring.web.search_titles", "write some into monitoring.web.search_titles"),
            site=site.id,
        )
    yield from _looked(_Search(site, ctx, template, is_public_site(page)), wanted, ctx)


def _looked(engine: _Search, wanted: list[Article], ctx: Context) -> Iterator[Finding]:
    margin = engine.ask(NOBODY)
    for subject, turn in (("exact", fold), ("plain", bare)):
        if not ctx.subjects or subject in ctx.subjects:
            yield _judged(subject, [engine.tried(one, turn(one.title), margin) for one in wanted], engine.template)


class _Search:
    """Asks the site's search, at the pace of the settings."""

    def __init__(self, site: Site, ctx: Context, template: str, guarded: bool) -> None:
        self.site, self.ctx, self.template, self._guarded = site, ctx, template, guarded
        self._pace = Pace(ctx.settings.web.per_second)
        self.error, self.ours = "", False

    def ask(self, words: str) -> Page | None:
        """The result page, or None with `error` set."""
        self._pace.wait()
        url = self.template.replace("{q}", quote_plus(words))
        sight = get(self.site, self.ctx, url, guarded=self._guarded)
        self.error, self.ours = (sight.reason.value if sight.reason else ""), sight.ours
        return None if sight.reason is not None else read(sight)

    def tried(self, wanted: Article, words: str, margin: Page | None) -> _Try:
        """Whether the results for these words lead to the article."""
        page = self.ask(_cut(words))
        if page is None:
            return _Try(wanted.title, False, self.error, self.ours)
        before = _hits(margin, wanted) if margin is not None else 0
        return _Try(wanted.title, _hits(page, wanted) > before)


def _cut(words: str) -> str:
    """Up to the bound, whole words."""
    return words if len(words) <= MOST_QUERY else words[:MOST_QUERY].rpartition(" ")[0]


def _hits(page: Page, wanted: Article) -> int:
    """How many links of a page lead to the article or carry its title; every link counts, also a repeated one."""
    title, count = fold(wanted.title), 0
    for node in page.tree.css("a[href]")[:2000]:
        url = absolute(page.base, node.attributes.get("href") or "")
        words = fold(node.text(separator=" ") or "")
        count += (bool(wanted.url) and url == wanted.url) or (bool(words) and title in words and url != page.url)
    return count


def _judged(subject: str, tries: list[_Try], template: str) -> Finding:
    found = sum(one.found for one in tries)
    figures = {"titles": float(len(tries)), "found": float(found), "found_ratio": round(found / len(tries), 3)}
    kept = {"place": short(template), "not_found": [one.title[:120] for one in tries if not one.found],
            "errors": sorted({one.error for one in tries if one.error})}
    missed = next((one for one in tries if not one.found), tries[0]).title
    query = quote_plus(_cut(fold(missed) if subject == "exact" else bare(missed)))
    command = shlex.join(["curl", "-sSL", template.replace("{q}", query)])
    if all(one.ours for one in tries):
        return Finding(subject, Verdict.UNSEEN, say("máy kiểm tra đang mất mạng", "this machine is cut off"), figures,
                       kept,
                       command)
    if found == len(tries):
        words = say("tìm thấy cả {n} tiêu đề {h}", "all {n} titles are found {e}", n=found, h=_how(subject).vi,
                    e=_how(subject).en)
        return Finding(subject, Verdict.MET, words, figures, kept)
    verdict = Verdict.BROKEN if subject == "exact" and not found else Verdict.AT_RISK
    words = say("chỉ tìm thấy {f}/{n} tiêu đề {h}; dựng lại chỉ mục tìm kiếm",
                "only {f} of {n} titles are found {e}; rebuild the search index", f=found, n=len(tries),
                h=_how(subject).vi, e=_how(subject).en)
    return Finding(subject, verdict, words, figures, kept, command)


def _how(subject: str) -> Text:
    return say("khi gõ có dấu", "typed with diacritics") if subject == "exact" else say(
        "khi gõ không dấu", "typed without diacritics")


def form_of(site: Site, page: Page) -> str:
    """The search form of a page as an address with `{q}`; "" when there is none that is sent by GET within the site."""
    for form in page.tree.css("form")[:20]:
        given = form.attributes
        if (given.get("method") or "get").strip().lower() != "get":
            continue
        name, kept = "", []
        for field in form.css("input[name]")[:50]:
            kind, label = (field.attributes.get("type") or "text").lower(), field.attributes.get("name") or ""
            if kind == "search" or (kind == "text" and label.lower() in _FIELDS):
                name = name or label
            elif kind == "hidden":
                kept.append((label, field.attributes.get("value") or ""))
        target = absolute(page.base, given.get("action") or page.url)
        if name and target and internal(site, target):
            split = urlsplit(target)
            # A form that is sent by GET drops the query of its own address (HTML, form submission).
            query = urlencode(kept) + ("&" if kept else "") + f"{quote_plus(name)}={{q}}"
            return urlunsplit((split.scheme, split.netloc, split.path, query, "")).replace("%7Bq%7D", "{q}")
    return ""


