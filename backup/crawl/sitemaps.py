"""Reads sitemaps (sitemaps.org): urlset and index, gzip, plain lists of addresses. A hostile one costs little."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from xml.parsers import expat

MOST_BYTES = 50 << 20
"""Of one sitemap, unpacked: the protocol's own limit."""
MOST_ADDRESSES = 50_000


class NoSitemap(Exception):
    """It is not a sitemap, or one that was made to do harm."""


def unpacked(body: bytes, most: int = MOST_BYTES) -> bytes:
    """The text of a sitemap that may be gzipped. Raises NoSitemap for one that unpacks beyond `most`."""
    if body[:2] != b"\x1f\x8b":
        if len(body) > most:
            raise NoSitemap(f"more than {most} bytes")
        return body
    stream = zlib.decompressobj(31)
    try:
        text = stream.decompress(body, most)
        if stream.unconsumed_tail:
            raise NoSitemap(f"unpacks to more than {most} bytes")
        return text
    except zlib.error as error:
        raise NoSitemap(f"gzip: {error}") from None


def read(body: bytes) -> tuple[list[str], list[str]]:
    """(pages, further sitemaps) of a sitemap. Raises NoSitemap."""
    text = unpacked(body)
    if not text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return list(_lines(text)), []
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse  # entities that unfold without end begin here
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        if not reader.pages and not reader.sitemaps:
            raise NoSitemap(str(error)) from None  # cut off midway is still worth what came
    return reader.pages, reader.sitemaps


def _refuse(*_: object) -> None:
    raise NoSitemap("a sitemap has no document type")


def _lines(text: bytes) -> Iterator[str]:
    found = 0
    for line in text.splitlines():
        value = line.strip().decode("utf-8", "replace")
        if value.startswith(("http://", "https://")):
            found += 1
            if found > MOST_ADDRESSES:
                return
            yield value


class _Reader:
    """Collects <loc> below <url> and <sitemap>, whatever prefix they carry."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.sitemaps: list[str] = []
        self._open: list[str] = []
        self._said: list[str] = []

    def start(self, name: str, _: object) -> None:
        if len(self._open) > 20:
            raise NoSitemap("nested too deep")
        self._open.append(name.rpartition(":")[2])
        self._said.clear()

    def text(self, data: str) -> None:
        if self._open and self._open[-1] == "loc" and len(self._said) < 100:
            self._said.append(data[:4000])

    def end(self, _: str) -> None:
        name = self._open.pop()
        kept = {"url": self.pages, "sitemap": self.sitemaps}.get(self._open[-1] if self._open else "")
        if name == "loc" and kept is not None and len(kept) < MOST_ADDRESSES:
            kept.append("".join(self._said).strip())
