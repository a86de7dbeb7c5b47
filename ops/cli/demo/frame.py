"""What all pages of the demo share: head, menu, search form, footer; the sheet to print, the text to keep, the style sheet.

Made as the regulations ask: the footer names bodies and offices (no person), the source notice, a search that is asked by
GET, links to the province's portal and to the public services, the measuring code, and no script that a page needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from html import escape, unescape

from ops.cli.demo import content

SECTIONS = (
    ("gioi-thieu/", "Giới thiệu"),
    ("tin-tuc/", "Tin tức"),
    ("van-ban/", "Văn bản"),
    ("thu-tuc/", "Thủ tục hành chính"),
    ("hoi-dap/", "Hỏi đáp"),
    ("gop-y/", "Góp ý"),
    ("lien-he/", "Liên hệ"),
)
EMC = "/js/emc-mau.js"
"""Stands where a real page loads the code of the national measuring system (EMC): a trial must not send it visits."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Addresses that pages name: of the site itself (with a final slash), of the portal, of the public services."""

    base: str
    portal: str
    services: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page: path below the root ("tin-tuc/x/" means its index.html), title, HTML body, day of publication.

    kept: people print and keep it.
    """

    path: str
    title: str
    body: str
    day: date
    kept: bool = False


def document(page: Page, site: Outside) -> str:
    """The whole HTML of a page."""
    title = page.title if page.title == content.TITLE else f"{page.title} - {content.TITLE}"
    links = "".join(f'<li><a href="/{path}">{name}</a></li>' for path, name in (("", "Trang chủ"), *SECTIONS))
    return f"""<!DOCTYPE html>
<html lang="vi">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="{escape(page.title)}">
<title>{escape(title)}</title>
<link rel="canonical" href="{escape(site.base + page.path)}">
<link rel="stylesheet" href="/css/site.css">
<link rel="alternate" type="application/rss+xml" title="{content.TITLE}" href="/rss.xml">
<script defer src="{EMC}"></script>
</head>
<body>
<header><p class="upper">{escape(content.PROVINCE.upper())}</p><p class="name">{escape(content.TITLE)}</p>
<nav aria-label="Chính"><ul>{links}</ul></nav>
<form role="search" method="get" action="/tim-kiem"><label>Tìm kiếm <input type="search" name="q" maxlength="100"></label>
<button>Tìm</button></form></header>
<main>
<h1>{escape(page.title)}</h1>
{page.body}{_tools(page)}</main>
{_footer(site)}</body>
</html>
"""


def _tools(page: Page) -> str:
    if not page.kept:
        return ""
    return (
        f'<p class="tools"><a href="/{page.path}in.html">In bài này</a> '
        f'<a href="/{page.path}bai.txt" download>Lưu bài</a></p>\n'
    )


def _footer(site: Outside) -> str:
    return f"""<footer>
<p><strong>{escape(content.TITLE)}</strong></p>
<p>Cơ quan quản lý: {escape(content.EXPECT)}. Cơ quan chủ quản: {escape(content.PARENT)}</p>
<p>Chịu trách nhiệm: {escape(content.RESPONSIBLE)}</p>
<p>Địa chỉ: {escape(content.ADDRESS)}. Điện thoại: {content.PHONE}. Thư điện tử: {content.MAIL}</p>
<p>{content.SOURCE_NOTICE}</p>
<p><a href="{escape(site.portal)}">Cổng thông tin điện tử {content.PROVINCE}</a>
<a href="{escape(site.services)}">Cổng dịch vụ công</a> <a href="/so-do-trang/">Sơ đồ trang</a> <a href="/rss.xml">RSS</a></p>
</footer>
"""


def sheet(page: Page, site: Outside) -> str:
    """The page for the printer: no menu, black on white, and where it comes from."""
    return f"""<!DOCTYPE html>
<html lang="vi">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Bản in: {escape(page.title)} - {content.TITLE}</title>
<link rel="canonical" href="{escape(site.base + page.path)}">
<link rel="stylesheet" href="/css/site.css">
</head>
<body class="sheet">
<main>
<h1>{escape(page.title)}</h1>
{page.body}<p class="source">{escape(content.TITLE)}: {escape(site.base + page.path)}</p>
</main>
</body>
</html>
"""


def plain(page: Page, site: Outside) -> str:
    """The page as text."""
    text = unescape(re.sub("<[^>]*>", "", page.body.replace("</th><td>", ": ")))
    lines = (line.strip() for line in text.splitlines())
    return "\n".join([page.title, "", *(line for line in lines if line), "", f"Nguồn: {site.base}{page.path}", ""])


FILES = {
    "css/site.css": """body{margin:0;font-family:"Liberation Sans",Arial,sans-serif;line-height:1.55;color:#1b1b1b;background:#fff}
header,footer{background:#7a1212;color:#fff;padding:1rem}
header a,footer a{color:#fff}
.upper{margin:0;font-size:.9rem}.name{margin:.2rem 0;font-size:1.4rem;font-weight:bold}
nav ul{display:flex;flex-wrap:wrap;gap:1rem;list-style:none;padding:0;margin:.6rem 0 0}
main{max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;color:#7a1212}h2{font-size:1.2rem}
table{border-collapse:collapse;width:100%}th,td{border:1px solid #bbb;padding:.4rem;text-align:left;vertical-align:top}
.day{color:#555;font-size:.9rem}.source{text-align:right;font-style:italic}
.tools a{display:inline-block;margin-right:.6rem;padding:.2rem .6rem;border:1px solid #7a1212;color:#7a1212}
footer p{margin:.2rem 0;font-size:.9rem}footer a{margin-right:.8rem}
label{display:block;margin:.6rem 0}input,button,textarea{font:inherit;padding:.4rem}textarea{width:100%;box-sizing:border-box}
header label{display:inline;margin:0}
@media print{header,footer,.tools{display:none}main{max-width:none;padding:0}h1{color:#000}a{color:#000;text-decoration:none}}
""",
    "js/emc-mau.js": """// Chỗ của đoạn mã kết nối Hệ thống giám sát, đo lường (EMC). Trang thật thay tệp này bằng mã do hệ thống cấp cho trang.
""",
}
