"""Reads RSS, RDF, Atom and sitemaps from bytes that nobody vouches for: what was published, where, when, by whom.

lxml in recovery mode, for the feeds of real portals are often not well-formed; the standard parser would show nothing of
them. Against hostile XML: the text is decoded by us (few charsets), a DOCTYPE with an inner part is refused before any
parser sees it, entities are never resolved, nothing is fetched, depth, bytes, entries and letters are bounded.
"""

from __future__ import annotations

import html
import re
import unicodedata
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from monitoring.moments import moment, month_first
from monitoring.pages import absolute
from ops import Text, nfc, say

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 8 << 20
MOST_ITEMS = 10_000
MOST_TAGS = 600_000
MOST_CHILDREN = 20
MOST_LETTERS = 300
_CHUNK = 1 << 16
_CHARSETS = {
    "utf-8": "utf-8-sig", "utf8": "utf-8-sig", "us-ascii": "utf-8-sig", "ascii": "utf-8-sig", "utf-16": "utf-16",
    "utf-16le": "utf-16", "utf-16be": "utf-16", "iso-8859-1": "cp1252", "windows-1252": "cp1252",
    "windows-1258": "cp1258",
}
_DECLARED = re.compile(r"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.-]{1,30})")
_PROLOG = re.compile(r"\s*(?:<\?.*?\?>|<!--.*?-->)", re.S)
_ENTRIES = ("item", "entry", "url", "sitemap")
_SEEN = tuple(f"{{*}}{name}" for name in (*_ENTRIES, "rss", "RDF", "feed", "urlset", "sitemapindex"))
_ROOTS = {"rss": "rss", "rdf": "rss", "feed": "atom", "urlset": "sitemap", "sitemapindex": "index"}
_PUBLISHED = ("pubdate", "published", "issued", "publication_date", "date")
_UPDATED = ("updated", "modified", "lastmod")
_TAG = re.compile("<[^<>]{0,2000}>")
_PROSE = re.compile(r"<(/?)(description|summary|content|content:encoded)(?=[\s/>])[^<>]{0,300}>")
_STRAY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)([A-Za-z][A-Za-z0-9]{1,30};)?")
"""An ampersand that XML does not know: alone, as in `?a=1&b=2`, or before a name of HTML, as in `&nbsp;`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on the site. `published`: the date that the site gives for it. `updated`: when it last changed.

    A sitemap's `lastmod` is `updated`: the item was published then or earlier. url: absolute, "" when there is none.
    """

    url: str
    title: str = ""
    published: datetime | None = None
    updated: datetime | None = None
    author: str = ""

    @property
    def latest(self) -> datetime | None:
        """The later of both dates."""
        return max((one for one in (self.published, self.updated) if one is not None), default=None)


@dataclass(frozen=True, slots=True)
class Feed:
    """What one document held. `kind`: rss, atom, sitemap, index, or "" when it is none of them (`fault` says why).

    children: sitemaps that an index names. partial: the document was longer than what was read. mended: not well-formed.
    """

    kind: str
    items: tuple[Item, ...] = ()
    children: tuple[str, ...] = ()
    partial: bool = False
    mended: bool = False
    fault: Text | None = None


def parse(body: bytes, url: str, *, cut: bool = False) -> Feed:
    """The feed in `body`, fetched from `url`. `cut`: the body ended at our bound, not at its own end. Never raises."""
    body, over = _unzipped(body)
    text = _decoded(body[:MOST_BYTES])
    if text is None:
        return _none(say("bảng mã lạ hoặc không giải mã được", "unknown charset, or bytes that do not decode"))
    if _inner_doctype(text):
        return _none(say("XML tự khai báo thực thể, bị từ chối đọc", "the XML declares entities of its own and is refused"))
    text = _without_prose(text)
    if text.count("<") + text.count("&") > MOST_TAGS:
        return _none(say("quá nhiều thẻ", "too many tags"))
    feed = _read(text, url)
    return replace(feed, partial=feed.partial or cut or over or len(body) > MOST_BYTES)


def _none(fault: Text) -> Feed:
    return Feed("", fault=fault)


def _unzipped(body: bytes) -> tuple[bytes, bool]:
    """(bytes, whether more would have come) of a `.gz` document; other bodies as they are."""
    if not body.startswith(b"\x1f\x8b"):
        return body, False
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        opened = stream.decompress(body, MOST_BYTES)
    except zlib.error:
        return b"", False
    return opened, bool(stream.unconsumed_tail)


def _decoded(body: bytes) -> str | None:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    if b"\0" in body[:400]:
        return None
    found = _DECLARED.search(body[:400].decode("latin-1"))
    charset = _CHARSETS.get(found.group(1).lower() if found else "utf-8")
    # "replace": one wrong byte in one title must not hide all dates
    return body.decode(charset, "replace") if charset and charset != "utf-16" else None


def _inner_doctype(text: str) -> bool:
    """True when a DOCTYPE carries declarations of its own: where entities come from."""
    at = 1 if text.startswith("\ufeff") else 0
    for _ in range(50):
        found = _PROLOG.match(text, at)
        if found is None or found.end() == at:
            break
        at = found.end()
    head = text[at:at + 4000].lstrip()
    return head[:9].upper() == "<!DOCTYPE" and "[" in head.partition(">")[0] or "<!ENTITY" in text[:at + 4000].upper()


def _without_prose(text: str) -> str:
    """The text less its descriptions: nothing here reads them, and the HTML within them breaks the XML around it."""
    kept, at, inside, begins = [], 0, "", 0
    for found in _PROSE.finditer(text):
        closing, name = bool(found[1]), found[2]
        if not inside and not closing and not found[0].endswith("/>"):
            inside, begins = name, found.start()
        elif inside == name and closing:
            kept.append(text[at:begins])
            inside, at = "", found.end()
    return "".join([*kept, text[at:]])


def _read(text: str, url: str) -> Feed:
    from lxml import etree

    # the declaration no longer tells the truth: what the parser gets is UTF-8
    bare = re.sub(r"^\ufeff?\s*<\?xml[^>]{0,300}\?>", "", text, count=1)
    strays = 0

    def known(found: re.Match[str]) -> str:
        nonlocal strays
        strays += 1
        sign = html.unescape(found.group(0))
        return "&amp;" + (found.group(1) or "") if sign == found.group(0) else html.escape(sign)

    data = _STRAY.sub(known, bare).encode("utf-8", "replace")
    parser = etree.XMLPullParser(
        events=("start", "end"), tag=_SEEN, recover=True, resolve_entities=False, no_network=True, load_dtd=False,
        huge_tree=False, remove_comments=True, remove_pis=True, encoding="utf-8",
    )
    reading = _Reading(url)
    try:
        for at in range(0, len(data), _CHUNK):
            parser.feed(data[at:at + _CHUNK])
            if not reading.take(parser.read_events()):
                return reading.feed(partial=True, mended=False)
        parser.close()
    except etree.XMLSyntaxError:
        reading.broken = True
    reading.take(parser.read_events())
    return reading.feed(partial=False, mended=bool(reading.broken or strays or len(parser.feed_error_log)))


class _Reading:
    """Gathers entries while the parser goes; each is forgotten once read, so that memory follows one entry."""

    def __init__(self, url: str) -> None:
        self.url, self.kind, self.broken = url, "", False
        self.rows: list[dict[str, str]] = []

    def take(self, events: Iterator[tuple[str, Any]]) -> bool:
        """Reads what the parser has; False when there is enough."""
        for event, node in events:
            name = _name(node)
            if event == "start":
                if not self.kind and node.getparent() is None:
                    self.kind = _ROOTS.get(name, "?")
            elif name in _ENTRIES and not (name == "url" and self.kind == "rss"):
                self.rows.append(_row(node))
                node.clear()
                previous = node.getprevious()
                if previous is not None:
                    node.getparent().remove(previous)
                if len(self.rows) >= MOST_ITEMS:
                    return False
        return True

    def feed(self, *, partial: bool, mended: bool) -> Feed:
        """What was gathered, as a feed."""
        if self.kind in ("", "?"):
            return _none(say("không phải RSS, Atom hay sitemap", "neither RSS nor Atom nor a sitemap"))
        if self.kind == "index":
            places = (absolute(self.url, row.get("loc", "")) for row in self.rows)
            return Feed("index", (), tuple(dict.fromkeys(one for one in places if one))[:MOST_CHILDREN], partial, mended)
        dates = [row[key] for row in self.rows for key in (*_PUBLISHED, *_UPDATED) if key in row]
        american = month_first(dates)
        items = (_item(row, self.url, american) for row in self.rows)
        kept = tuple(one for one in items if one.url or one.title)
        return Feed(self.kind, kept, (), partial, mended)


def _name(node: Any) -> str:
    """The local name of an element in small letters; "" for what is none (an entity that was left unresolved)."""
    tag = node.tag
    return tag.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(tag, str) else ""


def _row(entry: Any) -> dict[str, str]:
    """The first text of each name below an entry; an Atom link keeps its address."""
    row: dict[str, str] = {}
    for count, node in enumerate(entry.iter()):
        name = _name(node)
        if count > 200:
            break
        if name == "link" and node.get("href") and node.get("rel", "alternate") == "alternate":
            row.setdefault("link", node.get("href")[:2000])
        elif name == "guid" and node.get("isPermaLink", "true").lower() == "false":
            continue
        elif name and node is not entry and len(node) == 0 and node.text and node.text.strip():
            row.setdefault(name, node.text.strip()[:2000])
        elif name == "title" and len(node):
            row.setdefault(name, " ".join(text for text in node.itertext() if text.strip())[:2000])
    return row


def _item(row: dict[str, str], base: str, american: bool) -> Item:
    def first(names: tuple[str, ...]) -> datetime | None:
        moments = (moment(row[name], month_first=american) for name in names if name in row)
        return next((one for one in moments if one is not None), None)

    link = row.get("link") or row.get("loc") or row.get("guid") or ""
    return Item(
        absolute(base, html.unescape(link)) if link else "", plain(row.get("title", "")), first(_PUBLISHED), first(_UPDATED),
        plain(row.get("creator") or row.get("name") or row.get("author") or "")[:100],
    )


def plain(text: str) -> str:
    """Text for people from text that may hold markup or worse: no tags, no control or direction signs, NFC, bounded."""
    opened = _TAG.sub(" ", html.unescape(_TAG.sub(" ", html.unescape(text[:4000]))))
    shown = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in opened)
    return nfc(" ".join(shown.split()))[:MOST_LETTERS]


def key_of(url: str) -> str:
    """What two addresses of the same page share: host without www, path decoded without last slash, telling query."""
    try:
        split = urlsplit(url.strip())
        host = (split.hostname or "").lower().removeprefix("www.")
        port = f":{split.port}" if split.port not in (None, 80, 443) else ""
    except ValueError:
        return ""
    query = "&".join(sorted(part for part in split.query.split("&") if part and not part.lower().startswith("utm_")))
    return nfc(f"{host}{port}{unquote(split.path).rstrip('/')}" + (f"?{query}" if query else "")).casefold() if host else ""
