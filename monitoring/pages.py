"""Fetches a page by the probe and reads it with selectolax (lexbor): text, links, forms. Bounded in bytes and links.

What a page says is never believed: links to places of our own network are not followed when the site is a public one.
"""

from __future__ import annotations

import shlex
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from monitoring.endpoints import Family, is_public
from monitoring.looking import aim, decoded, names_of, with_expected
from monitoring.probe import Sight, probe
from monitoring.reasons import NO_ADDRESS
from ops import CannotSee, Context, Site, nfc, say

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MOST_LINKS = 2000
MOST_TEXT = 400_000
MOST_ADDRESS = 2000
"""Letters of one URL; a longer one is left out."""
MOST_DEPTH, MOST_PARTS = 800, 2000
"""Open tags, and words in one tag, beyond which a page is not parsed: the HTML rules cost the square of both."""
_SHALLOW = frozenset({
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option", "p",
    "source",
    "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
})
"""Tags that do not nest: void ones, and those that the next of their kind closes."""
_UNREAD = ["script", "style", "noscript", "template", "svg", "iframe", "object"]


@dataclass(frozen=True, slots=True)
class Link:
    """A link as a visitor meets it: absolute http(s) URL without fragment, its words, and whether a menu holds it."""

    url: str
    words: str
    menu: bool = False

    @property
    def host(self) -> str:
        """Its host in ASCII, lower case."""
        return host_in(self.url)


@dataclass(frozen=True)
class Page:
    """A page that came. `url` is the one after redirects."""

    sight: Sight
    html: str = field(repr=False)

    @property
    def url(self) -> str:
        """Where it came from, after redirects."""
        return self.sight.final or self.sight.url

    @cached_property
    def tree(self) -> LexborHTMLParser:
        """The parsed page; not to be changed."""
        return parsed(self.html)

    @cached_property
    def text(self) -> str:
        """What a visitor reads: no scripts, NFC, single spaces."""
        tree = parsed(self.html)
        tree.strip_tags(_UNREAD)
        body = tree.body
        return words_of(body, MOST_TEXT) if body is not None else ""

    @cached_property
    def base(self) -> str:
        """What relative links are relative to."""
        node = self.tree.css_first("base[href]")
        written = (node.attributes.get("href") or "") if node is not None else ""
        return absolute(self.url, written) or self.url

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """The first links (`a`, `area`) to http(s) addresses, each address once, in order."""
        found: dict[str, Link] = {}
        menus = {node.mem_id for node in self.tree.css("nav a[href],header a[href],[class*=menu] a[href]")}
        for node in self.tree.css("a[href],area[href]"):
            url = absolute(self.base, node.attributes.get("href") or "")
            if url and url not in found:
                found[url] = Link(url, _label(node), node.mem_id in menus)
            if len(found) >= MOST_LINKS:
                break
        return tuple(found.values())

    @property
    def hollow(self) -> bool:
        """True when the HTML holds next to nothing: the page is drawn by script, or is a guard before the site."""
        return not self.links and len(self.text) < 200


def wild(html: str) -> bool:
    """True for HTML made to hang a parser: tags open beyond counting, or a tag of thousands of attributes."""
    depth = 0
    for piece in html.split("<")[1:]:
        tag = piece.partition(">")[0]
        if len(tag) > MOST_PARTS and len(tag.split(None, MOST_PARTS)) > MOST_PARTS:
            return True
        name = tag[:20].split(None, 1)[0].lower().rstrip("/") if tag[:1].strip() else ""
        if name.startswith("/"):
            depth = max(0, depth - (name[1:] not in _SHALLOW))
        elif name[:1].isalpha() and name not in _SHALLOW:
            depth += 1
        if depth > MOST_DEPTH:
            return True
    return False


def parsed(html: str) -> LexborHTMLParser:
    """The tree of an HTML text; any text has one."""
    from selectolax.lexbor import LexborHTMLParser

    return LexborHTMLParser(html)


def words_of(node: LexborNode, most: int) -> str:
    """The text below a node, NFC, single spaces."""
    return nfc(" ".join(node.text(separator=" ").split()))[:most]


def _label(node: LexborNode) -> str:
    given = node.attributes
    words = words_of(node, 300) or given.get("title") or given.get("aria-label") or ""
    picture = None if words else node.css_first("img[alt]")
    return nfc(" ".join((words or (picture.attributes.get("alt") or "" if picture else "")).split()))[:300]


def absolute(base: str, written: str) -> str:
    """The http(s) URL of a link as written, without fragment; "" for anything else (mailto:, javascript:, nonsense)."""
    cleaned = "".join(sign for sign in written.strip() if sign not in "\t\r\n")
    try:
        url = urljoin(base, cleaned).partition("#")[0]
        split = urlsplit(url)
        port = split.port
        host = (split.hostname or "").encode("idna").decode("ascii").lower()
    except (ValueError, UnicodeError):
        return ""
    if split.scheme not in ("http", "https") or not host or split.username is not None or len(url) > MOST_ADDRESS:
        return ""
    place = f"[{host}]" if ":" in host else host
    if port and port != {"http": 80, "https": 443}[split.scheme]:
        place = f"{place}:{port}"
    path = quote(split.path or "/", safe="%/:=&?~+!$,;'@()*[]")
    query = f"?{quote(split.query, safe='%/:=&?~+!$,;@()*[]')}" if split.query else ""
    return f"{split.scheme}://{place}{path}{query}"


def host_in(url: str) -> str:
    """The host of a URL, lower case; "" when there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def internal(site: Site, url: str) -> bool:
    """Whether a URL is on the site: one of its names, with or without `www.`."""
    names = {name.removeprefix("www.") for name in names_of(site)}
    return host_in(url).removeprefix("www.") in names


def whole(site: Site, place: str) -> str:
    """The URL of a place of the settings: a path of the site, or a URL as it is; "" for none."""
    return absolute(site.url, place) if place else ""


def fold(text: str) -> str:
    """For comparing: NFC, small letters, single spaces."""
    return nfc(" ".join(text.split())).casefold()


def bare(text: str) -> str:
    """Folded, without Vietnamese diacritics: `Đăng ký` becomes `dang ky`."""
    spread = unicodedata.normalize("NFD", fold(text).replace("đ", "d"))
    return "".join(sign for sign in spread if not unicodedata.combining(sign))


def get(site: Site, ctx: Context, url: str, *, guarded: bool = False, most_bytes: int = 0) -> Sight:
    """One look at `url`: over IPv4, or over IPv6 when the name has no IPv4 or we have none. Families are web.http's
    duty.

    guarded: refuse addresses of a private network. most_bytes: stop reading there (0 for the probe's own bound).
    """
    first: Sight | None = None
    for family in Family:
        aimed = replace(aim(site, ctx, family, url=url), guarded=guarded)
        if most_bytes:
            aimed = replace(aimed, most_bytes=most_bytes)
        sight = probe(aimed)
        if sight.reason not in NO_ADDRESS and not sight.ours:
            return sight
        first = first or sight
    assert first is not None
    return first


def read(sight: Sight) -> Page:
    """The page of a sight that came; one that no parser should be given reads as empty."""
    html = decoded(sight)
    return Page(sight, "" if wild(html) else html)


def front(site: Site, ctx: Context) -> Page:
    """The front page, with something to read in it. Raises CannotSee: that the site is down is told by web.http."""
    sight = with_expected(get(site, ctx, site.url), ctx.settings.expect)
    if sight.reason is not None:
        raise CannotSee(
            say("chưa xem được vì trang chủ không mở được: {why}", "not seen, for the front page did not open: {en}",
                why=sight.reason.words.vi, en=sight.reason.words.en),
            say("{c}", "{c}", c=shlex.join(["gaccong", "look", "web.http", "--site", site.id])), site=site.id,
        )
    page = read(sight)
    if page.hollow:
        raise CannotSee(
            say("trang chủ hầu như không có chữ và liên kết trong HTML "
                "(dựng bằng JavaScript, có lớp chặn, hoặc lồng quá sâu)",
                "the front page's HTML holds next to no text and links "
                "(drawn by JavaScript, guarded, or nested beyond reading)"),
            say("xem bằng trình duyệt và xác nhận bằng tay", "look with a browser and attest by hand"), site=site.id,
        )
    return page


def is_public_site(page: Page) -> bool:
    """Whether the page came from a public address: then its links must not lead us into a private network."""
    last = page.sight.last
    return last is not None and is_public(last.address)


class Pace:
    """Keeps requests apart: at most `per_second`, and none sooner than a site's robots.txt asks."""

    def __init__(self, per_second: float, least: float = 0.0) -> None:
        self._gap = max(1 / per_second, least)
        self._next = 0.0

    def wait(self) -> None:
        """Sleeps until the next request may go."""
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._gap


def each(site: Site, ctx: Context, urls: list[str], page: Page, pace: Pace) -> Iterator[Sight]:
    """Pages one after the other, at the pace, guarded as the front page demands."""
    guarded = is_public_site(page)
    for url in urls:
        pace.wait()
        yield get(site, ctx, url, guarded=guarded)


def short(url: str) -> str:
    """A URL for evidence and for people: host and path, no query (it may carry a token), at most 160 letters."""
    split = urlsplit(url)
    return nfc(f"{split.hostname or ''}{split.path}")[:160]
