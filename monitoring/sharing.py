"""Reads what a site shares with machines: RSS, Atom, sitemaps, JSON. A hostile one costs little."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from xml.parsers import expat

from ops import nfc

MOST_ITEMS = 5000
MOST_BYTES = 4 << 20
MOST_DEPTH = 40
_ROOTS = {"rss": "rss", "RDF": "rss", "feed": "atom", "urlset": "sitemap", "sitemapindex": "sitemap_index"}
_ITEMS = {"rss": {"item"}, "atom": {"entry"}, "sitemap": {"url"}, "sitemap_index": {"sitemap"}}


class Unread(Exception):
    """It is nothing that a machine could take over. The value is one word of a closed list: evidence keeps it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What was shared. kind: rss, atom, sitemap, sitemap_index, json. items: (title or "", address as written)."""

    kind: str
    items: tuple[tuple[str, str], ...]


def read(body: bytes) -> Shared:
    """The items of a feed, a sitemap or a JSON answer. Raises Unread: empty, too_large, not_gzip, entities, not_xml,
    not_json, not_a_feed, too_deep."""
    data = _unpacked(body)
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        raise Unread("empty")
    return _json(data) if start in b"[{" else _xml(data)


def _unpacked(body: bytes) -> bytes:
    """The text of what may be gzipped (sitemap.xml.gz); never more than the bound."""
    if body[:2] != b"\x1f\x8b":
        return body
    stream = zlib.decompressobj(31)
    try:
        data = stream.decompress(body, MOST_BYTES)
    except zlib.error:
        raise Unread("not_gzip") from None
    if stream.unconsumed_tail:
        raise Unread("too_large")
    return data


def _json(data: bytes) -> Shared:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Unread("not_json") from None
    rows = found if isinstance(found, list) else _longest(found)
    items = []
    for row in rows[:MOST_ITEMS]:
        given = row if isinstance(row, dict) else {}
        title, url = given.get("title", ""), given.get("url", given.get("link", ""))
        items.append((_words(_rendered(title)), url.strip()[:2000] if isinstance(url, str) else ""))
    return Shared("json", tuple(items))


def _rendered(value: object) -> str:
    """A title as text, or as WordPress gives it: {"rendered": text}."""
    inner = value.get("rendered") if isinstance(value, dict) else value
    return inner if isinstance(inner, str) else ""


def _longest(found: object) -> list[object]:
    """The longest list directly inside an object; else the object itself, if it holds anything."""
    if not isinstance(found, dict):
        return []
    lists = [value for value in found.values() if isinstance(value, list)]
    return max(lists, key=len) if lists else [found] if found else []


def _xml(data: bytes) -> Shared:
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse  # entities that unfold without end begin here
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise Unread("not_xml") from None
    return Shared(reader.kind, tuple(reader.items))


def _refuse(*_: object) -> None:
    raise Unread("entities")


def _words(text: str) -> str:
    return nfc(" ".join(text.split()))[:300]


class _Reader:
    """Collects the title and the address of each item, whatever prefix the names carry."""

    def __init__(self) -> None:
        self.kind = ""
        self.items: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._parts: dict[str, list[str]] | None = None

    def start(self, tag: str, given: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not self._open:
            self.kind = _ROOTS.get(name, "")
            if not self.kind:
                raise Unread("not_a_feed")
        if len(self._open) > MOST_DEPTH:
            raise Unread("too_deep")
        self._open.append(name)
        if name in _ITEMS[self.kind]:
            self._parts = {"title": [], "link": [], "loc": []}
        elif self._parts is not None and name == "link" and given.get("rel", "alternate") == "alternate":
            self._parts["link"].append(given.get("href", "")[:2000])

    def text(self, data: str) -> None:
        kept = self._parts.get(self._open[-1]) if self._parts is not None and self._open else None
        if kept is not None and len(kept) < 50:
            kept.append(data[:2000])

    def end(self, tag: str) -> None:
        name = self._open.pop()
        if name in _ITEMS[self.kind] and self._parts is not None:
            if len(self.items) < MOST_ITEMS:
                url = "".join(self._parts["loc"] or self._parts["link"]).strip()[:2000]
                self.items.append((_words("".join(self._parts["title"])), url))
            self._parts = None
