"""A commune's site with feeds and pages, served by a real nginx; and checks run against it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from xml.sax.saxutils import escape

from monitoring.sections.content import Content
from monitoring.settings import Settings
from ops import Check, Finding, Site, Verdict
from tests.kit import NOW, make_context
from tests.monitoring.lab import free_port, nginx

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
FRONT = ("<!doctype html><html lang=vi><head><meta charset=utf-8><title>Trang mẫu</title>"
         "<link rel=alternate type=application/rss+xml href=/rss.xml></head><body><nav><a href=/tin/1>Tin tức</a></nav>"
         "<p>Ủy ban nhân dân xã Suối Trong kính chào bà con; hôm nay là phiên chợ giữa tháng.</p></body></html>")


def rss(*items: tuple[str, str, datetime | str, str]) -> bytes:
    """RSS of (path, title, published, author)."""
    rows = "".join(
        f"<item><title>{escape(title)}</title><link>{path}</link><dc:creator>{escape(author)}</dc:creator>"
        f"<pubDate>{when if isinstance(when, str) else format_datetime(when)}</pubDate></item>"
        for path, title, when, author in items
    )
    return ('<?xml version="1.0" encoding="utf-8"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
            f"<title>Tin</title>{rows}</channel></rss>").encode()


def sitemap(*pages: tuple[str, str]) -> bytes:
    """A sitemap of (url, lastmod)."""
    rows = "".join(f"<url><loc>{escape(url)}</loc><lastmod>{when}</lastmod></url>" for url, when in pages)
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</urlset>'.encode()


class Portal:
    """Files under `root` are the site; `url` is where it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.port = folder, folder / "www", free_port()
        self.root.mkdir(parents=True)
        self.url = f"http://127.0.0.1:{self.port}/"
        self.put("index.html", FRONT)

    def put(self, path: str, content: bytes | str) -> None:
        """Writes one file of the site."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)

    @property
    def config(self) -> str:
        """One server block; /legacy/ declares no charset and /thai/ a wrong one."""
        return (f"server {{ listen 127.0.0.1:{self.port}; root {self.root}; types {{ text/html html; text/xml xml; }}\n"
                "default_type text/html; location /bare/ { charset off; } location /vn/ { charset windows-1258; } }")

    def run(self, check: Check, *, now: datetime = NOW, thresholds: dict[str, float] | None = None,
            subjects: tuple[str, ...] = (), url: str = "", **content: object) -> dict[str, Finding]:
        """The findings of a check by subject."""
        for note in (self.folder / "home").glob("published.json"):
            note.unlink()
        chosen = Settings(timeout_seconds=5, content=Content(**content))
        site = Site("xamau", "Xã mẫu", "thong-nhat", url or self.url, ())
        context = make_context(self.folder, chosen, now=now, thresholds=thresholds, subjects=subjects)
        return {one.subject: one for one in check.function(site, context)}


@contextmanager
def portal(folder: Path) -> Iterator[Portal]:
    """A site, until the context ends."""
    made = Portal(folder)
    with nginx(folder / "n", made.config):
        yield made


def ago(days: float, now: datetime = NOW) -> datetime:
    """So many days before `now`."""
    return now - timedelta(days=days)
