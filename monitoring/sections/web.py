"""`[site.NAME.monitoring.web]`: pages and links."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ops import Strict, Word, fault

Header = Literal[
    "strict-transport-security", "content-security-policy", "x-content-type-options", "frame-ancestors",
    "referrer-policy",
]
HEADERS: tuple[Header, ...] = (
    "strict-transport-security", "content-security-policy", "x-content-type-options", "frame-ancestors",
    "referrer-policy",
)


def _place(value: str) -> str:
    """A path of the site, or a whole http(s) address without user name."""
    try:
        split = urlsplit(value)
        whole = split.scheme in ("http", "https") and bool(split.hostname) and split.username is None
        whole = whole and (split.port is None or split.port > 0)
    except ValueError:
        whole = False
    if value and not whole and not (value.startswith("/") and not value.startswith("//")):
        raise fault(
            "{value}: viết đường dẫn bắt đầu bằng / hoặc địa chỉ đủ http://… hay https://…, không kèm tên đăng nhập",
            "{value}: write a path that begins with /, or a whole http://… or https://… address without a user name",
            value=value,
        )
    return value


def _template(value: str) -> str:
    if value and value.count("{q}") != 1:
        raise fault(
            "{value}: chỗ đặt từ khóa viết là {hole}, đúng một lần, như /tim-kiem?q={hole}",
            "{value}: the place of the words is written {hole}, once, as in /search?q={hole}",
            value=value, hole="{q}",
        )
    if any(sign in value.replace("{q}", "") for sign in "{}"):
        raise fault("{value}: dấu ngoặc nhọn chỉ dùng cho {hole}", "{value}: braces are for {hole} alone", value=value,
                    hole="{q}")
    _place(value)
    return value


def _target(value: str) -> str:
    """A host name (its subdomains count too) or a whole address (which must be linked as it stands)."""
    from monitoring.endpoints import endpoint, is_literal

    if "://" in value:
        return _place(value)
    try:
        host = endpoint(value, 443)[0]
        ascii_host = "." in host or is_literal(host)
    except ValueError:
        ascii_host = False
    if not ascii_host or ":" in value:
        raise fault(
            "{value}: viết tên máy như dichvucong.gov.vn, hoặc địa chỉ đủ https://…",
            "{value}: write a host like dichvucong.gov.vn, or a whole https://… address", value=value,
        )
    return value.lower().rstrip(".")


Where = Annotated[Word, Field(max_length=2000), AfterValidator(_place)]
Template = Annotated[Word, Field(max_length=2000), AfterValidator(_template)]
Target = Annotated[Word, Field(max_length=2000), AfterValidator(_target)]


class Identity(Strict):
    """Texts that the front page must show as they stand; "" lets the check look for a text of that kind.

    responsible: the office that answers for the content ("Trưởng Ban Biên tập"), not a person's name.
    """

    body: Word = ""
    parent: Word = ""
    address: Word = ""
    phone: Word = ""
    mail: Word = ""
    responsible: Word = ""


class Web(Strict):
    """What the site's pages must offer. An address is a path of the site or a whole URL.

    http:             where plain http is asked; "" for port 80 of the site's host.
    response_seconds: the site's own target for the front page, names and redirects included. No rule gives a number.
    headers:          security headers that should be sent.
    search:           the search page with `{q}` for the words; "" takes the front page's own form.
    search_titles:    titles that a search must find; empty takes some from the feed or the sitemap.
    required_links:   hosts or addresses to which the front page must link; empty: the province's, read off the name.
    public_services:  where public services are offered; empty: any `dichvucong…gov.vn`.
    broken_percent:   share of dead internal links from which the site is broken.
    section_pages, links: most pages read and most links tried in one look. per_second: requests, at most.
    articles:         pages of articles to look at; empty takes some from the feed or the sitemap. sample: how many.
    sharing:          feeds, sitemaps, interfaces that must answer; empty looks in the usual places.
    emc:              text of the measuring system's tracking code; "" for the national one's.
    identity:         what the front page must show of who runs it.
    source_notice:    the sentence about naming the source; "" looks for one.
    feedback, questions: the page for opinions, and the one for questions; "" looks for links on the front page.
    """

    http: Where = ""
    response_seconds: float = Field(default=3.0, gt=0, le=30)
    headers: tuple[Header, ...] = Field(default=HEADERS, min_length=1)
    search: Template = ""
    search_titles: tuple[Annotated[Word, Field(min_length=3, max_length=300)], ...] = Field(default=(), max_length=20)
    required_links: tuple[Target, ...] = Field(default=(), max_length=100)
    public_services: tuple[Target, ...] = Field(default=(), max_length=20)
    broken_percent: float = Field(default=5.0, ge=0, le=100)
    section_pages: int = Field(default=8, ge=0, le=50)
    links: int = Field(default=80, ge=1, le=500)
    per_second: float = Field(default=2.0, gt=0, le=1000)
    articles: tuple[Where, ...] = Field(default=(), max_length=50)
    sample: int = Field(default=5, ge=1, le=20)
    sharing: tuple[Where, ...] = Field(default=(), max_length=20)
    emc: Annotated[Word, Field(max_length=300)] = ""
    identity: Identity = Identity()
    source_notice: Word = ""
    feedback: Where = ""
    questions: Where = ""
