"""What the site has published, gathered from its feeds: one list of items, and what each source gave.

Sources are those of the settings; else those that the front page (`link rel=alternate`) and robots.txt name, and
/sitemap.xml. Found ones are followed on the site's own names only, and never from a public site into a private network.
The list is kept in the site's home for a quarter of an hour, so that a dozen duties do not ask a small site a dozen times.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from monitoring import notes
from monitoring.endpoints import is_public
from monitoring.feeds import MOST_BYTES, Feed, Item, key_of, parse
from monitoring.moments import moment
from monitoring.pages import absolute, get, internal, parsed, short, whole, wild
from monitoring.probe import Sight
from monitoring.reasons import Reason
from ops import CannotSee, Context, Site, Text, local_day, say

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

MOST_SOURCES = 12
KEPT = timedelta(minutes=15)
NOTE = "published.json"
MOST_NOTED = 16 << 20
_ROBOTS = re.compile(r"^\s*sitemap\s*:\s*(\S{1,2000})", re.I | re.M)
_FEED_TYPES = ("application/rss+xml", "application/atom+xml", "application/rdf+xml")
_META = ("article:published_time", "datepublished", "dc.date.issued", "dc.date", "dcterms.issued", "dcterms.created",
         "date", "pubdate", "publishdate", "publish_date", "og:article:published_time")


@dataclass(frozen=True, slots=True)
class Source:
    """One address that was asked. `fault`: why it gave nothing, or None. ours: the trouble was with this machine.

    oldest: the earliest publication in it, or None.
    """

    url: str
    kind: str
    items: int
    partial: bool
    fault: Text | None = None
    ours: bool = False
    oldest: datetime | None = None


@dataclass(frozen=True)
class Published:
    """What was found. `items`: each page once, undated ones too. `sources`: in the order in which they were asked."""

    items: tuple[Item, ...]
    sources: tuple[Source, ...]

    @property
    def good(self) -> tuple[Source, ...]:
        """The sources that could be read."""
        return tuple(one for one in self.sources if one.fault is None)

    @property
    def whole(self) -> bool:
        """True when a sitemap was read to its end: then what is not here is not on the site, as far as it says."""
        maps = [one for one in self.sources if one.kind in ("sitemap", "index", "child")]
        return bool(maps) and len(self.good) == len(self.sources) and not any(one.partial for one in maps)

    def reaches(self, when: datetime) -> bool:
        """True when an item of that time would be seen: every source was read, and every feed goes back so far."""
        if self.whole:
            return True
        feeds = [one for one in self.sources if one.kind in ("rss", "atom") and one.items]
        return bool(feeds) and len(self.good) == len(self.sources) and all(
            one.oldest is not None and one.oldest <= when for one in feeds)

    def facts(self) -> list[dict[str, Any]]:
        """The sources for evidence: host and path, kind, count, and what was wrong."""
        return [{"source": short(one.url), "kind": one.kind, "items": one.items, "partial": one.partial,
                 "fault": one.fault.vi if one.fault else ""} for one in self.sources]


def gather(site: Site, ctx: Context) -> Published:
    """Everything that the site's sources tell. Raises CannotSee when none could be read: that is no proof of silence."""
    note = ctx.home / NOTE
    wanted = hashlib.sha256(repr((site.url, ctx.settings.content.feeds)).encode()).hexdigest()[:16]
    kept = None if ctx.subjects else _kept(_noted(note), wanted, ctx.now)
    if kept is not None:
        return kept
    places = [whole(site, place) for place in ctx.settings.content.feeds]
    found = ask(site, ctx, places or discover(site, ctx))
    if not places and found.good:  # a place that was only guessed may be empty
        sources = tuple(one for one in found.sources if one.fault is None or one.url != _guess(site))
        found = replace(found, sources=sources)
    if not found.good:
        raise CannotSee(_nothing(found), say(
            "ghi địa chỉ RSS hoặc sitemap của trang vào content.feeds", "write the site's RSS or sitemap address into "
            "content.feeds"), site=site.id)
    notes.write(note, {"wanted": wanted, "at": ctx.now.isoformat(), **_json(found)})
    return found


def ask(site: Site, ctx: Context, places: Iterable[str]) -> Published:
    """Reads these addresses, and the sitemaps that an index among them names."""
    waiting = [(place, False) for place in dict.fromkeys(places)]
    asked: set[str] = set()
    items: list[Item] = []
    sources: list[Source] = []
    while waiting and len(asked) < MOST_SOURCES:
        place, child = waiting.pop(0)
        if not place or place in asked:
            continue
        asked.add(place)
        sight, feed = _one(site, ctx, place, guarded=child)
        kind = "child" if child and feed.kind == "sitemap" else feed.kind
        skipped = [one for one in feed.children if not internal(site, one)] if feed.kind == "index" else []
        partial = feed.partial or bool(skipped)
        oldest = min((one.published for one in feed.items if one.published is not None), default=None)
        sources.append(Source(place, kind, len(feed.items), partial, feed.fault, sight.ours, oldest))
        items += feed.items
        waiting += [(one, True) for one in feed.children if internal(site, one)]
    if waiting:
        sources = [replace(one, partial=True) if one.kind == "index" else one for one in sources]
    return Published(tuple(_merged(_honest(items, ctx.now), ctx.now)), tuple(sources))


def _one(site: Site, ctx: Context, place: str, *, guarded: bool) -> tuple[Sight, Feed]:
    sight = get(site, ctx, place, guarded=guarded and _public(site, ctx), most_bytes=MOST_BYTES)
    if sight.reason is None or (sight.reason is Reason.TOO_LARGE and sight.body):
        return sight, parse(sight.body, sight.url, cut=sight.reason is not None)
    status = f" ({sight.status})" if sight.reason is Reason.HTTP_STATUS else ""
    why = sight.reason.words
    return sight, Feed("", fault=say("{vi}{s}", "{en}{s}", vi=why.vi, en=why.en, s=status))


def _public(site: Site, ctx: Context) -> bool:
    """Whether the site's own name leads to a public address."""
    from monitoring.endpoints import Family
    from monitoring.looking import host_of
    from monitoring.names import lookup

    return any(is_public(address) for family in Family
               for address in lookup(host_of(site), family, ctx.settings.nameservers).addresses[:1])


def discover(site: Site, ctx: Context) -> list[str]:
    """Feeds that the site itself names: on the front page, in robots.txt; and the usual place of a sitemap."""
    found: list[str] = []
    front = get(site, ctx, site.url)
    if front.reason is None:
        for node in tree_of(front).css("link[rel~=alternate][href]"):
            if (node.attributes.get("type") or "").strip().lower() in _FEED_TYPES:
                found.append(absolute(front.final or site.url, node.attributes.get("href") or ""))
    robots = get(site, ctx, urljoin(site.url, "/robots.txt"), most_bytes=1 << 18)
    if robots.reason is None:
        found += [absolute(site.url, one) for one in _ROBOTS.findall(robots.body.decode("utf-8", "replace"))[:20]]
    found = [one for one in found if one and internal(site, one)][:MOST_SOURCES - 1]
    return [*found, _guess(site)]


def _guess(site: Site) -> str:
    return urljoin(site.url, "/sitemap.xml")


def tree_of(sight: Sight) -> LexborHTMLParser:
    """The parsed page; an empty one for HTML that is made to hang a parser."""
    html = sight.body.decode("utf-8", "replace")
    return parsed("" if wild(html) else html)


def date_on_page(sight: Sight) -> datetime | None:
    """When a page says that it was published: meta elements, JSON-LD, a marked `time`. None when it says nothing."""
    tree = tree_of(sight)
    for node in tree.css("meta[content]")[:200]:
        given = node.attributes
        name = (given.get("property") or given.get("name") or given.get("itemprop") or "").strip().lower()
        found = moment(given.get("content") or "") if name in _META else None
        if found is not None:
            return found
    for node in tree.css("script[type='application/ld+json']")[:10]:
        for value in re.findall(r'"datePublished"\s*:\s*"([^"]{4,60})"', node.text()[:100_000]):
            if (found := moment(value)) is not None:
                return found
    for node in tree.css("time[itemprop=datePublished][datetime],time[pubdate][datetime],article time[datetime]")[:3]:
        if (found := moment(node.attributes.get("datetime") or "")) is not None:
            return found
    return None


def _honest(items: list[Item], now: datetime) -> list[Item]:
    """Without `lastmod` where it says nothing: some systems write today's date beside every page."""
    dated = [one for one in items if one.updated is not None and one.published is None]
    today = sum(now - timedelta(hours=26) < one.updated for one in dated if one.updated is not None)
    if len(dated) < 20 or today < 0.9 * len(dated):
        return items
    return [replace(one, updated=None) if one.published is None else one for one in items]


def _merged(items: list[Item], now: datetime) -> Iterator[Item]:
    """Each page once. Of several dates the first publication and the last change hold; the future is no date."""
    limit = now + timedelta(days=1)
    pages: dict[str, Item] = {}
    for one in items:
        if one.published is not None and one.published > limit:
            one = replace(one, published=None)
        if one.updated is not None and one.updated > limit:
            one = replace(one, updated=None)
        key = key_of(one.url) or one.title.casefold()
        known = pages.get(key)
        if known is None:
            pages[key] = one
            continue
        earliest = min((d for d in (known.published, one.published) if d is not None), default=None)
        latest = max((d for d in (known.updated, one.updated) if d is not None), default=None)
        pages[key] = Item(known.url or one.url, known.title or one.title, earliest, latest, known.author or one.author)
    yield from pages.values()


def on_day(items: Iterable[Item], day: Any) -> tuple[int, int]:
    """(items surely published on that Vietnamese day, items that may have been: changed on it or later, else unknown)."""
    sure = maybe = 0
    for one in items:
        if one.published is not None:
            sure += local_day(one.published) == day
        elif one.updated is not None:
            changed = local_day(one.updated)
            # a page that changed on the day was surely worked on that day
            sure += changed == day
            maybe += changed > day
    return sure, maybe


def _nothing(found: Published) -> Text:
    if any(one.ours for one in found.sources):
        return say("chính máy kiểm tra đang mất mạng", "it is this machine that is cut off")
    told = [one for one in found.sources if one.fault is not None][:3]
    lines = "; ".join(f"{short(one.url)}: {one.fault.vi if one.fault else ''}" for one in told)
    english = "; ".join(f"{short(one.url)}: {one.fault.en if one.fault else ''}" for one in told)
    return say("không đọc được RSS hay sitemap nào của trang ({l})", "no RSS and no sitemap of the site could be read ({e})",
               l=lines or "–", e=english or "–")


def _json(found: Published) -> dict[str, Any]:
    def written(when: datetime | None) -> str:
        return when.isoformat() if when else ""

    return {
        "items": [[i.url, i.title, written(i.published), written(i.updated), i.author] for i in found.items],
        "sources": [[s.url, s.kind, s.items, s.partial, s.fault.json() if s.fault else None, s.ours,
                     written(s.oldest)]
                    for s in found.sources],
    }


def _noted(path: Path) -> dict[str, Any]:
    """The note, which may be long, or {}."""
    with suppress(OSError, ValueError, RecursionError):
        if path.stat().st_size <= MOST_NOTED:
            body = json.loads(path.read_bytes())
            return body if isinstance(body, dict) else {}
    return {}


def _kept(body: dict[str, Any], wanted: str, now: datetime) -> Published | None:
    """What was noted a short while ago for the same settings, or None."""
    try:
        if body.get("wanted") != wanted or not timedelta(0) <= now - datetime.fromisoformat(body["at"]) < KEPT:
            return None
        items = tuple(Item(u, t, _time(p), _time(c), a) for u, t, p, c, a in body["items"])
        sources = tuple(Source(u, k, n, p, Text(f["vi"], f["en"]) if f else None, o, _time(t))
                        for u, k, n, p, f, o, t in body["sources"])
    except (KeyError, TypeError, ValueError):
        return None
    return Published(items, sources)


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


