"""Writes the static pages of the invented commune: some fifty HTML pages, a sitemap, an RSS feed, all UTF-8 in NFC."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from html import escape
from pathlib import Path

from ops.cli.demo import content
from ops.model import nfc
from ops.moment import LOCAL

SECTIONS = (
    ("gioi-thieu/", "Giới thiệu"),
    ("tin-tuc/", "Tin tức"),
    ("van-ban/", "Văn bản"),
    ("thu-tuc/", "Thủ tục hành chính"),
    ("lien-he/", "Liên hệ"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: path below the root ("tin-tuc/x/" means its index.html), title, HTML body, day of publication."""

    path: str
    title: str
    body: str
    day: date


def slug_of(text: str) -> str:
    """`15/QĐ-UBND` -> `15-qd-ubnd`: ASCII letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower()).strip("-")


def day_text(day: date) -> str:
    """`21/11/2026`."""
    return day.strftime("%d/%m/%Y")


def news_day(today: date, number: int) -> date:
    """The day of the `number`-th newest article: a few days apart, the newest yesterday."""
    return today - timedelta(days=1 + 4 * number)


def write(folder: Path, base: str, today: date) -> list[Page]:
    """Writes everything below `folder`; `base` is the site's URL with a trailing slash. Returns the pages."""
    pages = list(_pages(today))
    for page in pages:
        target = folder / page.path / "index.html" if page.path.endswith("/") or not page.path else folder / page.path
        _put(target, _document(page))
    _put(folder / "404.html", _document(Page("404.html", "Không tìm thấy trang", _missing(), today)))
    _put(folder / "css" / "site.css", _CSS)
    robots = ("User-agent: *", "Disallow: /dang-nhap", "Disallow: /quan-tri/", f"Sitemap: {base}sitemap.xml", "")
    _put(folder / "robots.txt", "\n".join(robots))
    _put(folder / "sitemap.xml", _sitemap(pages, base))
    _put(folder / "rss.xml", _rss(pages, base))
    return pages


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path.write_bytes(nfc(text).encode())


def _pages(today: date) -> Iterator[Page]:
    news = [
        Page(f"tin-tuc/{slug}/", title, _article(first, second, news_day(today, number)), news_day(today, number))
        for number, (slug, title, first, second) in enumerate(content.NEWS)
    ]
    documents = list(_documents(today))
    procedures = list(_procedures(today))
    about = [
        Page(f"gioi-thieu/{slug}/", title, "".join(f"<p>{escape(text)}</p>\n" for text in texts), today)
        for slug, title, texts in content.ABOUT
    ]
    yield Page("", content.TITLE, _front(news, documents, procedures), today)
    for pages, (path, title) in zip((about, news, documents, procedures), SECTIONS, strict=False):
        yield Page(path, title, _list(pages), max(page.day for page in pages))
        yield from pages
    yield Page("lien-he/", "Liên hệ", _contacts(), today)
    yield Page("so-do-trang/", "Sơ đồ trang", _list([*about, *news, *documents, *procedures]), today)


def _article(first: str, second: str, day: date) -> str:
    return (
        f'<p class="day"><time datetime="{day.isoformat()}">{day_text(day)}</time></p>\n'
        f"<p><strong>{escape(first)}</strong></p>\n<p>{escape(second)}</p>\n"
        f"<p>Mọi ý kiến của người dân xin gửi về {escape(content.EXPECT)} qua mục "
        '<a href="/lien-he/">Liên hệ</a>.</p>\n<p class="source">Nguồn: Ban Biên tập</p>\n'
    )


def _documents(today: date) -> Iterator[Page]:
    for order, (number, kind, subject) in enumerate(content.DOCUMENTS):
        day = today - timedelta(days=200 - 15 * order)
        rows = (
            ("Số, ký hiệu", number),
            ("Loại văn bản", kind),
            ("Ngày ban hành", day_text(day)),
            ("Cơ quan ban hành", content.EXPECT),
            ("Trích yếu", subject),
            ("Tình trạng", "Còn hiệu lực"),
        )
        matter = escape(subject[0].lower() + subject[1:])
        body = _table(rows) + f"<p>Căn cứ chức năng, nhiệm vụ được giao; {matter}.</p>\n"
        yield Page(f"van-ban/{slug_of(number)}/", f"{kind} số {number}: {subject}", body, day)


def _procedures(today: date) -> Iterator[Page]:
    for slug, name, field, days, fee, papers in content.PROCEDURES:
        rows = (
            ("Lĩnh vực", field),
            ("Thời hạn giải quyết", f"{days} ngày làm việc"),
            ("Lệ phí", fee),
            ("Nơi nộp", "Trung tâm Phục vụ hành chính công xã hoặc nộp trực tuyến"),
        )
        listed = "".join(f"<li>{escape(paper)}</li>\n" for paper in papers)
        body = _table(rows) + f"<h2>Thành phần hồ sơ</h2>\n<ul>\n{listed}</ul>\n"
        yield Page(f"thu-tuc/{slug}/", name, body, today - timedelta(days=60))


def _table(rows: tuple[tuple[str, str], ...]) -> str:
    cells = "".join(f'<tr><th scope="row">{escape(head)}</th><td>{escape(cell)}</td></tr>\n' for head, cell in rows)
    return f"<table>\n{cells}</table>\n"


def _list(pages: list[Page]) -> str:
    items = "".join(
        f'<li><a href="/{page.path}">{escape(page.title)}</a> <span class="day">{day_text(page.day)}</span></li>\n'
        for page in pages
    )
    return f"<ul>\n{items}</ul>\n"


def _front(news: list[Page], documents: list[Page], procedures: list[Page]) -> str:
    parts = (("Tin mới", news[:6]), ("Văn bản mới", documents[-5:][::-1]), ("Thủ tục thường dùng", procedures[:5]))
    welcome = f"<p>{escape(content.EXPECT)} kính chào quý bạn đọc.</p>\n"
    return welcome + "".join(f"<section>\n<h2>{head}</h2>\n{_list(pages)}</section>\n" for head, pages in parts)


def _contacts() -> str:
    rows = "".join(
        f"<tr><td>{escape(unit)}</td><td>{escape(phone)}</td><td>{escape(mail)}</td></tr>\n"
        for unit, phone, mail in content.CONTACTS
    )
    head = '<tr><th scope="col">Đơn vị</th><th scope="col">Điện thoại</th><th scope="col">Thư điện tử</th></tr>'
    return f"<p>{escape(content.ADDRESS)}</p>\n<table>\n{head}\n{rows}</table>\n"


def _missing() -> str:
    return '<p>Trang này không có hoặc đã được chuyển. Mời quý bạn đọc về <a href="/">trang chủ</a>.</p>\n'


def _document(page: Page) -> str:
    links = "".join(f'<li><a href="/{path}">{title}</a></li>' for path, title in (("", "Trang chủ"), *SECTIONS))
    title = page.title if page.title == content.TITLE else f"{page.title} - {content.TITLE}"
    return f"""<!DOCTYPE html>
<html lang="vi">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="{escape(page.title)}">
<title>{escape(title)}</title>
<link rel="stylesheet" href="/css/site.css">
<link rel="alternate" type="application/rss+xml" title="{content.TITLE}" href="/rss.xml">
</head>
<body>
<header><p class="upper">{escape(content.PROVINCE.upper())}</p><p class="name">{escape(content.TITLE)}</p>
<nav aria-label="Chính"><ul>{links}</ul></nav></header>
<main>
<h1>{escape(page.title)}</h1>
{page.body}</main>
<footer>
<p><strong>{escape(content.TITLE)}</strong></p>
<p>Cơ quan chủ quản: {escape(content.EXPECT)}, {content.PROVINCE}</p>
<p>Chịu trách nhiệm: {escape(content.RESPONSIBLE)}</p>
<p>Địa chỉ: {escape(content.ADDRESS)}. Điện thoại: {content.PHONE}. Thư điện tử: {content.MAIL}</p>
<p>Ghi rõ nguồn khi phát hành lại thông tin từ trang này.</p>
</footer>
</body>
</html>
"""


def _sitemap(pages: list[Page], base: str) -> str:
    rows = "".join(
        f"<url><loc>{escape(base + page.path)}</loc><lastmod>{page.day.isoformat()}</lastmod></url>\n" for page in pages
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{rows}</urlset>\n"


def _rss(pages: list[Page], base: str) -> str:
    items = "".join(
        f"<item><title>{escape(page.title)}</title><link>{escape(base + page.path)}</link>"
        f"<guid>{escape(base + page.path)}</guid><pubDate>{_rss_day(page.day)}</pubDate></item>\n"
        for page in pages
        if page.path.startswith("tin-tuc/") and page.path != "tin-tuc/"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>\n'
        f"<title>{escape(content.TITLE)}</title><link>{escape(base)}</link>"
        f"<description>Tin tức của {content.COMMUNE}</description><language>vi</language>\n{items}</channel></rss>\n"
    )


def _rss_day(day: date) -> str:
    return format_datetime(datetime.combine(day, time(8), LOCAL).astimezone(UTC))


_CSS = """body{margin:0;font-family:"Liberation Sans",Arial,sans-serif;line-height:1.55;color:#1b1b1b;background:#fff}
header,footer{background:#7a1212;color:#fff;padding:1rem}
header a,footer a{color:#fff}
.upper{margin:0;font-size:.9rem}.name{margin:.2rem 0;font-size:1.4rem;font-weight:bold}
nav ul{display:flex;flex-wrap:wrap;gap:1rem;list-style:none;padding:0;margin:.6rem 0 0}
main{max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;color:#7a1212}h2{font-size:1.2rem}
table{border-collapse:collapse;width:100%}th,td{border:1px solid #bbb;padding:.4rem;text-align:left;vertical-align:top}
.day{color:#555;font-size:.9rem}.source{text-align:right;font-style:italic}
footer p{margin:.2rem 0;font-size:.9rem}
label{display:block;margin:.6rem 0}input,button{font:inherit;padding:.4rem}
"""
