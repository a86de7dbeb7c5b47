"""Writes the static pages of the invented commune: some fifty HTML pages, a sitemap, an RSS feed, all UTF-8 in NFC.

A page that people read (news, document, procedure) has two companions: `in.html` to print, `bai.txt` to keep.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from html import escape
from pathlib import Path

from monitoring.workdays import calendar
from ops.cli.demo import content, frame
from ops.cli.demo.frame import Page
from ops.model import nfc
from ops.moment import LOCAL


def slug_of(text: str) -> str:
    """`15/QĐ-UBND` -> `15-qd-ubnd`: ASCII letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower()).strip("-")


def day_text(day: date) -> str:
    """`21/11/2026`."""
    return day.strftime("%d/%m/%Y")


def news_day(today: date, number: int) -> date:
    """The day of the `number`-th newest article: the newest today, then one on each working day before."""
    return calendar().before(today, number) if number else today


def document_day(today: date, number: int) -> date:
    """The day of the `number`-th newest document: the newest two working days ago, then one every nine."""
    return calendar().before(today, 2 + 9 * number)


def write(folder: Path, site: frame.Outside, today: date) -> list[Page]:
    """Writes everything below `folder`. Returns the pages."""
    pages = list(_pages(today))
    base = site.base
    for page in pages:
        place = folder / page.path
        _put(place / "index.html", frame.document(page, site))
        if page.kept:
            _put(place / "in.html", frame.sheet(page, site))
            _put(place / "bai.txt", frame.plain(page, site))
    _put(folder / "404.html", frame.document(Page("", "Không tìm thấy trang", _missing(), today), site))
    for name, text in frame.FILES.items():
        _put(folder / name, text)
    closed = [f"Disallow: {path}" for path in ("/dang-nhap", "/quan-tri/", "/tim-kiem")]
    _put(folder / "robots.txt", "\n".join(["User-agent: *", *closed, f"Sitemap: {base}sitemap.xml", ""]))
    _put(folder / "sitemap.xml", _sitemap(pages, base))
    _put(folder / "rss.xml", _rss(pages, base, today))
    return pages


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path.write_bytes(nfc(text).encode())


def _pages(today: date) -> Iterator[Page]:
    news = [
        Page(f"tin-tuc/{slug}/", title, _article(first, second, news_day(today, number)), news_day(today, number), True)
        for number, (slug, title, first, second) in enumerate(content.NEWS)
    ]
    documents = list(_documents(today))
    procedures = list(_procedures(today))
    about = [
        Page(f"gioi-thieu/{slug}/", title, "".join(f"<p>{escape(text)}</p>\n" for text in texts), today)
        for slug, title, texts in content.ABOUT
    ]
    yield Page("", content.TITLE, _front(news, documents, procedures), today)
    for pages, (path, title) in zip((about, news, documents, procedures), frame.SECTIONS, strict=False):
        yield Page(path, title, _list(pages), max(page.day for page in pages))
        yield from pages
    yield Page("hoi-dap/", "Hỏi đáp", _letter("hỏi đáp", _QUESTIONS), today)
    yield Page("gop-y/", "Góp ý, phản ánh", _letter("góp ý", _OPINIONS), today)
    yield Page("lien-he/", "Liên hệ", _contacts(), today)
    yield Page("so-do-trang/", "Sơ đồ trang", _list([*about, *news, *documents, *procedures]), today)


def _article(first: str, second: str, day: date) -> str:
    return (
        f'<p class="day"><time itemprop="datePublished" datetime="{day.isoformat()}">{day_text(day)}</time></p>\n'
        f"<p><strong>{escape(first)}</strong></p>\n<p>{escape(second)}</p>\n"
        f"<p>Mọi ý kiến của người dân xin gửi về {escape(content.EXPECT)} qua mục "
        '<a href="/lien-he/">Liên hệ</a>.</p>\n<p class="source">Nguồn: Ban Biên tập</p>\n'
    )


def _documents(today: date) -> Iterator[Page]:
    for order, (number, kind, subject) in enumerate(content.DOCUMENTS):
        day = document_day(today, len(content.DOCUMENTS) - 1 - order)
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
        yield Page(f"van-ban/{slug_of(number)}/", f"{kind} số {number}: {subject}", body, day, True)


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
        yield Page(f"thu-tuc/{slug}/", name, body, today - timedelta(days=60), True)


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


def _letter(kind: str, told: str) -> str:
    """A page with a form that is sent to the application, which keeps it."""
    return f"""<p>{told}</p>
<form method="post" action="/gui">
<input type="hidden" name="kind" value="{kind}">
<label>Họ và tên <input name="name" type="text" maxlength="100" autocomplete="name" required></label>
<label>Thư điện tử để nhận trả lời <input name="mail" type="email" maxlength="200" autocomplete="email" required></label>
<label>Nội dung <textarea name="text" rows="6" maxlength="4000" required></textarea></label>
<button>Gửi</button></form>
<p>Hoặc gửi thư tới <a href="mailto:{content.MAIL}">{content.MAIL}</a>.</p>
"""


_QUESTIONS = (
    "Mời người dân gửi câu hỏi về chủ trương, chính sách và thủ tục. Câu hỏi được trả lời chậm nhất sau 15 ngày làm việc. "
    "Đơn khiếu nại, tố cáo gửi trực tiếp tới Trụ sở tiếp công dân, không gửi qua mục này."
)
_OPINIONS = "Mời người dân góp ý về chất lượng của trang, phản ánh thông tin sai hoặc liên kết hỏng."


def _missing() -> str:
    return '<p>Trang này không có hoặc đã được chuyển. Mời quý bạn đọc về <a href="/">trang chủ</a>.</p>\n'


def _sitemap(pages: list[Page], base: str) -> str:
    rows = "".join(
        f"<url><loc>{escape(base + page.path)}</loc><lastmod>{page.day.isoformat()}</lastmod></url>\n" for page in pages
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{rows}</urlset>\n"


def _rss(pages: list[Page], base: str, today: date) -> str:
    items = "".join(
        f"<item><title>{escape(page.title)}</title><link>{escape(base + page.path)}</link>"
        f"<guid>{escape(base + page.path)}</guid><pubDate>{_rss_day(page.day, today)}</pubDate></item>\n"
        for page in pages
        if page.path.startswith("tin-tuc/") and page.path != "tin-tuc/"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>\n'
        f"<title>{escape(content.TITLE)}</title><link>{escape(base)}</link>"
        f"<description>Tin tức của {content.COMMUNE}</description><language>vi</language>\n{items}</channel></rss>\n"
    )


def _rss_day(day: date, today: date) -> str:
    """Eight in the morning; today's at midnight, for it may be earlier than eight, and nothing comes from the future."""
    return format_datetime(datetime.combine(day, time(8 if day < today else 0), LOCAL).astimezone(UTC))
