"""Finds what a page refers to: links, images, styles, scripts, frames; in HTML by selectolax (lexbor), in CSS by pattern.

A page can be made so that any parser works at it for hours (a hundred thousand nested elements). So a large one is
read in a process of its own with a few seconds of CPU; what comes back is only text.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import resource
import select
import signal
import zlib
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

CPU_SECONDS = 4
SMALL = 16 << 10
"""A page of fewer bytes cannot keep a parser long: at worst half a second (nested elements cost their square)."""
_WAIT_SECONDS = 60.0
_MOST_SAID = 32 << 20
MOST_TEXT = 8 << 20
"""Bytes of a page that are searched."""
MOST_LINKS = 10_000
_ATTRIBUTES = ("href", "src", "data", "poster", "background", "data-src", "srcset", "data-srcset", "style", "content")
_CSS = re.compile(r"""url\(\s*["']?([^"')\s]{1,2000})|@import\s+["']([^"']{1,2000})""", re.I)
_REFRESH = re.compile(r"url\s*=\s*[\"']?([^\"'\s]{1,2000})", re.I)
_CHARSET = re.compile(rb"""charset\s*=\s*["']?([\w-]{1,40})""", re.I)
_NO_CHARSETS = ("punycode", "idna")
"""For host names; decoding a page by them costs the square of its length."""
_SELECTOR = ",".join(f"[{name}]" for name in _ATTRIBUTES)


def of_page(body: bytes, mime: str, encoding: str = "") -> tuple[str, list[str]] | None:
    """(base or "", what the page refers to as written); None for a page that could not be read in its time."""
    kind = mime.partition(";")[0].strip().lower()
    if kind not in ("text/html", "application/xhtml+xml", "text/css") or not body:
        return "", []
    if len(body) < SMALL and encoding.strip().lower() in ("", "identity"):
        return _searched(kind, body, mime, encoding)
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS + _spent(), CPU_SECONDS + _spent()))
            told = _searched(kind, body, mime, encoding)
            with os.fdopen(here, "w", encoding="ascii") as stream:
                json.dump(told, stream)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(here)
    try:
        said = _read(there)
    finally:
        os.close(there)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        base, found = json.loads(said)
        return str(base), [str(value) for value in found]
    except ValueError:
        return None


def _searched(kind: str, body: bytes, mime: str, encoding: str) -> tuple[str, list[str]]:
    text = text_of(plain(body, encoding), mime)
    return ("", in_css(text)) if kind == "text/css" else in_html(text)


def _spent() -> int:
    """CPU seconds that this process has used; a limit counts them too."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime) + 1


def _read(pipe: int) -> bytes:
    said, end = bytearray(), monotonic() + _WAIT_SECONDS
    while len(said) < _MOST_SAID and (left := end - monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                break
            said += chunk
    return bytes(said)


def plain(body: bytes, encoding: str, most: int = MOST_TEXT) -> bytes:
    """A body without its content encoding (gzip, deflate), at most `most` bytes; b"" for one that cannot be unpacked."""
    body_kind = encoding.strip().lower()
    if body_kind in ("", "identity"):
        return body[:most]
    if body_kind not in ("gzip", "x-gzip", "deflate"):
        return b""
    try:
        # what calls itself deflate comes with zlib's head or bare
        bare = body_kind == "deflate" and body[:1] != b"\x78"
        return zlib.decompressobj(-15 if bare else 47).decompress(body, most)
    except zlib.error:
        return b""


def text_of(body: bytes, mime: str) -> str:
    """A page's text by the charset of its header or head; what does not fit becomes U+FFFD."""
    named = _CHARSET.search(mime.encode("ascii", "replace")) or _CHARSET.search(body[:2048])
    try:
        name = codecs.lookup(named.group(1).decode("ascii")).name if named else "utf-8"
        return body.decode("utf-8" if name in _NO_CHARSETS else name, "replace")
    except (LookupError, UnicodeError):
        return body.decode("utf-8", "replace")


def in_html(text: str) -> tuple[str, list[str]]:
    """(the page's <base href> or "", what it refers to as written)."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    base = ""
    found: dict[str, None] = {}
    for node in tree.css(f"{_SELECTOR},style"):
        if node.tag == "style":
            found.update(dict.fromkeys(in_css(node.text() or "")))
            continue
        if node.tag == "base":
            base = base or (node.attributes.get("href") or "")
            continue
        for value in _of_node(node.tag or "", node.attributes):
            if not value.lstrip().lower().startswith(("data:", "javascript:", "mailto:", "tel:", "#", "blob:", "about:")):
                found[value] = None
        if len(found) > MOST_LINKS:
            break
    return base, list(found)[:MOST_LINKS]


def _of_node(tag: str, given: dict[str, str | None]) -> Iterator[str]:
    for name in _ATTRIBUTES:
        value = given.get(name)
        if not value:
            continue
        if name in ("srcset", "data-srcset"):
            yield from (part.split()[0] for part in re.split(r",\s+", value) if part.split())
        elif name == "style":
            yield from in_css(value)
        elif name == "content":
            refresh = _REFRESH.search(value) if (given.get("http-equiv") or "").lower() == "refresh" else None
            if refresh:
                yield refresh.group(1)
            elif (given.get("property") or "") in ("og:image", "og:video"):
                yield value
        elif name != "data" or tag == "object":
            yield value


def in_css(text: str) -> list[str]:
    """What a style sheet refers to as written."""
    found = (one or other for one, other in _CSS.findall(text[:MOST_TEXT]))
    return [value for value in dict.fromkeys(found) if not value.lower().startswith("data:")][:MOST_LINKS]
