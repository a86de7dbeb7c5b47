"""Where a site shares itself with machines, and some of its articles: others each day, the same all day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from monitoring.pages import Page, absolute, get, internal, is_public_site, whole
from monitoring.probe import Sight
from monitoring.sharing import Shared, Unread, read
from ops import Context, Site, local_day

USUAL = ("/sitemap.xml", "/rss.xml", "/rss", "/feed/")
_FEEDS = {"application/rss+xml", "application/atom+xml", "application/feed+json"}
LONG_TITLE = 25
"""Letters from which the words of a link on the front page are taken for a title."""


@dataclass(frozen=True, slots=True)
class Article:
    """A page of the site and its title ("" when only its address is known)."""

    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Source:
    """One place that may share: where it was named (set, advertised, usual), and what came of it.

    fault: a probe's reason or a word of sharing.Unread, "" when it could be read.
    """

    url: str
    named: str
    sight: Sight
    shared: Shared | None
    fault: str


def sources(site: Site, ctx: Context, page: Page) -> Iterator[Source]:
    """Every place that shares: those of the settings alone; else the advertised ones, then the usual ones."""
    chosen = [whole(site, place) for place in ctx.settings.web.sharing]
    named = [(url, "set") for url in chosen if url]
    if not named:
        found = dict.fromkeys(advertised(site, page))
        named = [(url, "advertised") for url in found]
        named += [(url, "usual") for url in (whole(site, place) for place in USUAL) if url not in found]
    for url, how in named[:20]:
        sight = get(site, ctx, url, guarded=is_public_site(page) and not internal(site, url))
        yield _source(url, how, sight)


def _source(url: str, how: str, sight: Sight) -> Source:
    if sight.reason is not None:
        return Source(url, how, sight, None, sight.reason.value)
    try:
        return Source(url, how, sight, read(sight.body), "")
    except Unread as fault:
        return Source(url, how, sight, None, str(fault))


def advertised(site: Site, page: Page) -> Iterator[str]:
    """Feeds that the page names in its head (`link rel=alternate`), of this site, at most five."""
    nodes = page.tree.css("link[rel][href]")
    count = 0
    for node in nodes:
        given = node.attributes
        kind = (given.get("type") or "").split(";")[0].strip().lower()
        if "alternate" in (given.get("rel") or "").lower().split() and kind in _FEEDS:
            url = absolute(page.base, given.get("href") or "")
            if url and internal(site, url) and count < 5:
                count += 1
                yield url


def articles(site: Site, ctx: Context, page: Page, count: int) -> list[Article]:
    """Some articles: those of the settings; else of a feed; else of the front page (links with long words)."""
    chosen = [whole(site, place) for place in ctx.settings.web.articles]
    if any(chosen):
        return [Article(url, "") for url in chosen if url][:count]
    for source in sources(site, ctx, page):
        if source.shared is not None and source.shared.kind in ("rss", "atom", "json"):
            rows = ((absolute(source.url, url), title) for title, url in source.shared.items if title and url)
            found = [Article(url, title) for url, title in rows if url and internal(site, url)]
            if found:
                return _picked(found, ctx, count)
    linked = [Article(one.url, one.words) for one in page.links
              if not one.menu and len(one.words) >= LONG_TITLE and internal(site, one.url)]
    return _picked(linked, ctx, count)


def _picked(found: list[Article], ctx: Context, count: int) -> list[Article]:
    """`count` of them in an order that the day turns over."""
    day = local_day(ctx.now).isoformat()
    return sorted(dict.fromkeys(found), key=lambda one: hashlib.sha256(f"{day} {one.url}".encode()).digest())[:count]
