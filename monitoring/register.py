"""The register of what is due: a CSV that people keep, since no program sees when a document was signed.

    so_hieu;loai;ngay_ban_hanh;ngay_hieu_luc;tieu_de;duong_dan;ngay_dang;don_vi
    15/2026/QĐ-UBND;văn bản;20/11/2026;05/12/2026;Quyết định về …;/van-ban/15;;Văn phòng

UTF-8 with or without mark, or Excel's "Unicode text"; parted by comma, semicolon or tab. Headings and kinds may wear
diacritics. A line that cannot be believed is told with its number and the mend; the others still count.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from monitoring.pages import bare
from ops import CannotSee, Text, local_day, nfc, say

MOST_BYTES = 8 << 20
MOST_ROWS = 20_000
KINDS = {
    "legal_document": "van_ban vbqppl van_ban_hanh_chinh quyet_dinh nghi_quyet",
    "policy": "chinh_sach tuyen_truyen huong_dan_phap_luat pho_bien_phap_luat che_do",
    "news": "tin tin_tuc su_kien",
    "immediate": "ngay thoi_su chi_dao dieu_hanh thay_doi",
    "conference": "hoi_nghi hoi_thao so_ket tong_ket",
    "statistics": "thong_ke so_lieu",
    "question": "hoi_dap cau_hoi phan_anh",
    "submission": "tin_bai bai_gui gui_bai",
    "other": "khac thong_tin_khac",
}
"""Kind -> the words under which people may write it (without diacritics); its English name works too."""
LABELS = {
    "legal_document": "văn bản", "policy": "chính sách", "news": "tin tức", "immediate": "ngay", "conference": "hội nghị",
    "statistics": "thống kê", "question": "hỏi đáp", "submission": "tin bài", "other": "khác",
}
_KIND = {word: kind for kind, words in KINDS.items() for word in (kind, *words.split())}
_TRIGGERS = ("ngay_ban_hanh", "ngay_ky", "ngay_dien_ra", "ngay_su_kien", "ngay_ket_thuc", "ngay_hoan_thanh", "ngay_gui",
             "ngay_nhan", "ngay")
_DATES = (*_TRIGGERS, "ngay_dang", "ngay_hieu_luc", "ngay_chuyen", "ngay_tra_loi", "ngay_bao_tien_do", "ngay_hen")
_TEXTS = ("so_hieu", "loai", "tieu_de", "duong_dan", "don_vi", "tac_gia", "ghi_chu")
_FIRST = {"conference": ("ngay_ket_thuc",), "question": ("ngay_nhan",), "statistics": ("ngay_gui",),
          "news": ("ngay_dien_ra", "ngay_su_kien"), "immediate": ("ngay_hoan_thanh", "ngay_nhan"),
          "submission": ("ngay_nhan", "ngay_gui")}
_WRITTEN = re.compile(r"(?:(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})|(\d{4})-(\d{1,2})-(\d{1,2}))(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what is due. trigger: the day from which its term is counted; other days by their column's name."""

    line: int
    kind: str
    number: str
    title: str
    link: str
    unit: str
    author: str
    trigger: date
    days: dict[str, date] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How a person recognises it: its number, else its title, else its line."""
        return self.number or self.title[:80] or f"dòng {self.line}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that cannot be believed. kind: "" when not even that is known; line 0: the file as a whole."""

    line: int
    kind: str
    what: Text


@dataclass
class Ledger:
    """What the register holds."""

    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def newest(self) -> date | None:
        """The latest day on which something came in."""
        return max((one.trigger for one in self.entries), default=None)


def read(path: Path | None, now: datetime) -> Ledger:
    """The register at `path`. Raises CannotSee when there is none, or none of it can be read."""
    if path is None:
        raise CannotSee(
            say("chưa có sổ theo dõi hạn đăng tin", "there is no register of what is due"),
            say("tạo tệp CSV có các cột so_hieu;loai;ngay_ban_hanh;duong_dan;ngay_dang;don_vi rồi ghi đường dẫn vào "
                "content.deadlines", "make a CSV with the columns so_hieu;loai;ngay_ban_hanh;duong_dan;ngay_dang;don_vi "
                "and name it in content.deadlines"),
        )
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise CannotSee(
            say("không đọc được sổ {p}: {why}", "cannot read the register {p}: {why}", p=path,
                why=os.strerror(error.errno or 0)),
            say("tạo tệp ấy hoặc sửa content.deadlines", "make that file, or mend content.deadlines"),
        ) from None
    if len(data) > MOST_BYTES:
        raise CannotSee(say("sổ {p} lớn hơn 8 MB", "the register {p} is larger than 8 MB", p=path),
                        say("chuyển các dòng cũ sang tệp khác", "move old lines to another file"))
    return parse(_decoded(data, path), now)


def parse(text: str, now: datetime) -> Ledger:
    """The entries of a CSV text. Raises CannotSee when its first line names no known columns."""
    found = Ledger()
    for line, row in _rows(text, found):
        _take(line, row, found, local_day(now))
    return found


def _decoded(data: bytes, path: Path) -> str:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return nfc(data.decode("utf-16"))
        return nfc(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CannotSee(
            say("sổ {p} không phải UTF-8 (dòng {n})", "the register {p} is not UTF-8 (line {n})", p=path, n=line),
            say("trong Excel: Lưu dưới dạng “CSV UTF-8”", "in Excel: save as “CSV UTF-8”"),
        ) from None


def _rows(text: str, found: Ledger) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> value) of each line with anything in it."""
    lines = text.lstrip("\ufeff")
    first, _, rest = lines.partition("\n")
    offset = 0
    if first.strip().lower().startswith("sep="):
        lines, offset = rest, 1
        first = rest.partition("\n")[0]
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=max(";,\t", key=first.count), strict=True)
    header: list[str] = []
    line = 1
    try:
        for values in reader:
            start, line = line + offset, reader.line_num + 1
            if len(found.entries) + len(found.faults) >= MOST_ROWS:
                found.faults.append(Fault(start, "", say("sổ quá {n} dòng, phần sau không đọc", "over {n} lines, the rest "
                                                         "was not read", n=MOST_ROWS)))
                return
            if not header and any(value.strip() for value in values):
                header = _header(values)
            elif any(value.strip() for value in values):
                yield start, {name: _clean(value) for name, value in zip(header, values, strict=False) if name}
    except csv.Error:
        found.faults.append(Fault(line + offset, "", say(
            "dòng {n}: không phải CSV đúng, có thể thừa hoặc thiếu dấu ngoặc kép; các dòng sau không đọc được",
            "line {n}: not valid CSV, perhaps a quote too many or too few; the lines after it were not read",
            n=line + offset)))


def _header(values: list[str]) -> list[str]:
    names = [re.sub(r"[^a-z0-9]+", "_", bare(_clean(value))).strip("_") for value in values]
    missing = [name for name in ("loai",) if name not in names]
    if missing or not any(name in names for name in _TRIGGERS):
        raise CannotSee(
            say("dòng đầu của sổ phải có cột loai và một cột ngày (ngay_ban_hanh hoặc ngay_nhan)",
                "the register's first line needs the column loai and one of days (ngay_ban_hanh or ngay_nhan)"),
            say("sửa dòng đầu: so_hieu;loai;ngay_ban_hanh;duong_dan;ngay_dang;don_vi",
                "mend the first line: so_hieu;loai;ngay_ban_hanh;duong_dan;ngay_dang;don_vi"),
        )
    return [name if name in _DATES or name in _TEXTS else "" for name in names]


def _clean(value: str) -> str:
    """One line of NFC text without control or direction signs, at most 2,000 letters."""
    shown = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in value[:4000])
    return nfc(" ".join(shown.split()))[:2000]


def _take(line: int, row: dict[str, str], found: Ledger, today: date) -> None:
    """Adds the entry of one line, or tells what is wrong with it."""
    kind = _KIND.get(re.sub(r"[^a-z0-9]+", "_", bare(row.get("loai", ""))).strip("_"), "")
    if not kind:
        found.faults.append(Fault(line, "", say(
            "dòng {n}: loại “{k}” lạ; viết một trong: {all}", "line {n}: unknown kind “{k}”; write one of: {all}", n=line,
            k=row.get("loai", "")[:40], all=", ".join(LABELS.values()))))
        return
    days: dict[str, date] = {}
    for name in _DATES:
        if not row.get(name):
            continue
        day = _day(row[name])
        if day is None:
            found.faults.append(Fault(line, kind, say(
                "dòng {n}: {c} = “{v}” không phải ngày có thật; viết như 25/11/2026 (ngày/tháng/năm)",
                "line {n}: {c} = “{v}” is no real day; write it like 25/11/2026 (day/month/year)", n=line, c=name,
                v=row[name][:30])))
            return
        days[name] = day
    trigger = next((days[name] for name in (*_FIRST.get(kind, ()), *_TRIGGERS) if name in days), None)
    trouble = _senseless(line, kind, trigger, days, today)
    if trouble is not None or trigger is None:
        found.faults.append(Fault(line, kind, trouble or Text("", "")))
        return
    found.entries.append(Entry(line, kind, row.get("so_hieu", "")[:120], row.get("tieu_de", "")[:300],
                               row.get("duong_dan", ""), row.get("don_vi", "")[:80], row.get("tac_gia", "")[:80], trigger,
                               days))


def _senseless(line: int, kind: str, trigger: date | None, days: dict[str, date], today: date) -> Text | None:
    """Why a line with real days still cannot be believed, or None."""
    if trigger is None:
        column = _FIRST.get(kind, ("ngay_ban_hanh",))[0]
        return say("dòng {n}: thiếu ngày bắt đầu tính hạn; ghi vào cột {c}",
                   "line {n}: the day from which the term runs is missing; write it in {c}", n=line, c=column)
    if trigger > today + timedelta(days=1):
        return say("dòng {n}: ngày {d} ở tương lai; sửa lại", "line {n}: the day {d} lies in the future; mend it", n=line,
                   d=trigger.strftime("%d/%m/%Y"))
    if trigger.year < 2000:
        return say("dòng {n}: năm {y} quá xa; sửa lại", "line {n}: the year {y} is too far back; mend it", n=line,
                   y=trigger.year)
    for name in ("ngay_dang", "ngay_tra_loi", "ngay_chuyen"):
        if name in days and days[name] < trigger:
            return say("dòng {n}: {c} trước ngày bắt đầu tính hạn; sửa lại",
                       "line {n}: {c} lies before the day from which the term runs; mend it", n=line, c=name)
        if name in days and days[name] > today + timedelta(days=1):
            return say("dòng {n}: {c} ở tương lai; để trống cho đến khi làm xong",
                       "line {n}: {c} lies in the future; leave it empty until it is done", n=line, c=name)
    return None


def _day(text: str) -> date | None:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    day, month, year = (found[1], found[2], found[3]) if found[1] else (found[6], found[5], found[4])
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
