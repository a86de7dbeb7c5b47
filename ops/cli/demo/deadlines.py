"""Writes the demo's register of what is due, as a clerk keeps it: invented lines, all in time, days counted from today.

The columns are those of monitoring/register.py; addresses lead to the demo's own pages.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta

from monitoring.workdays import calendar
from ops.cli.demo import content, pages
from ops.cli.demo.layout import Demo
from ops.cli.demo.people import PEOPLE
from ops.model import nfc

UNITS = ("Văn phòng HĐND và UBND", "Trạm Y tế xã")
MEMBERS = tuple(person.name for person in PEOPLE if person.editor == "biên tập" and not person.gone)
_COLUMNS = (
    "so_hieu", "loai", "ngay_ban_hanh", "ngay_hieu_luc", "ngay_ket_thuc", "ngay_nhan", "ngay_chuyen", "ngay_tra_loi",
    "tieu_de", "duong_dan", "ngay_dang", "don_vi", "tac_gia",
)  # fmt: skip
Line = dict[str, str | date]


def write(demo: Demo, today: date) -> None:
    """Writes the register."""
    with demo.register.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, delimiter=";", lineterminator="\n")
        rows.writerow(_COLUMNS)
        for line in (*_published(today), *_asked(today), *_sent(today)):
            rows.writerow([nfc(_cell(line.get(name, ""))) for name in _COLUMNS])


def _cell(value: str | date) -> str:
    return pages.day_text(value) if isinstance(value, date) else value


def _published(today: date) -> Iterator[Line]:
    """What had to be published, and was: on the day or on the next."""
    for order, (number, _, subject) in enumerate(reversed(content.DOCUMENTS)):
        day = pages.document_day(today, order)
        if order < 3:
            yield {"so_hieu": number, "loai": "văn bản", "ngay_ban_hanh": day, "tieu_de": subject, "ngay_dang": day,
                   "duong_dan": f"/van-ban/{pages.slug_of(number)}/", "don_vi": UNITS[0]}  # fmt: skip
    kinds = {"phong-chong-bao": "ngay", "tiem-vac-xin-cho-tre": "tin tức", "hoi-thi-tim-hieu-phap-luat": "chính sách",
             "mo-hinh-trong-mai": "khác", "hop-bao-tong-ket": "hội nghị"}  # fmt: skip
    for order, (slug, title, _, _) in enumerate(content.NEWS):
        if slug in kinds:
            day = pages.news_day(today, order)
            line: Line = {"loai": kinds[slug], "ngay_ban_hanh": day, "tieu_de": title, "duong_dan": f"/tin-tuc/{slug}/",
                          "ngay_dang": day, "don_vi": UNITS[order % 2]}  # fmt: skip
            if line["loai"] == "hội nghị":
                line["ngay_ket_thuc"] = day
            if line["loai"] == "chính sách":
                line["ngay_hieu_luc"] = day + timedelta(days=20)
            yield line
    day = calendar().before(today, 4)
    yield {"loai": "thống kê", "ngay_ban_hanh": day, "tieu_de": "Số liệu thống kê tháng (minh họa)", "ngay_dang": day,
           "don_vi": UNITS[0]}  # fmt: skip


def _asked(today: date) -> Iterator[Line]:
    """Questions of citizens, passed on the same day and answered within days."""
    work = calendar()
    for came, answered, subject in (
        (12, 7, "Hồ sơ đăng ký khai sinh cần những gì?"),
        (5, 2, "Lịch tiêm chủng của thôn?"),
    ):
        day = work.before(today, came)
        yield {"loai": "hỏi đáp", "ngay_nhan": day, "ngay_chuyen": day, "ngay_tra_loi": work.before(today, answered),
               "tieu_de": subject, "don_vi": UNITS[0]}  # fmt: skip


def _sent(today: date) -> Iterator[Line]:
    """Items that units and members of the Editorial Board sent: last week, last month, this month."""
    last_week = today - timedelta(days=today.weekday() + 5)
    for unit in UNITS:
        yield {"loai": "tin bài", "ngay_nhan": last_week, "tieu_de": f"Tin trong tuần của {unit}", "don_vi": unit}
    first = today.replace(day=1)
    last_month = (first - timedelta(days=1)).replace(day=10)
    for member in MEMBERS:
        for number in (1, 2):
            days = (last_month + timedelta(days=number), max(first, today - timedelta(days=number)))
            for day in days:
                yield {"loai": "tin bài", "ngay_nhan": day, "tieu_de": f"Bài số {number} ngày {pages.day_text(day)}",
                       "ngay_dang": day, "don_vi": UNITS[0], "tac_gia": member}  # fmt: skip
