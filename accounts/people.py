"""Reads the roster: who is here, since when, until when, and with which logins. Every mistake is told at once.

CSV as RFC 4180 has it (quotes, commas and newlines inside quotes are fine), UTF-8 with or without a byte order mark,
header `person,unit,role,from,until,logins`. One row is one stay; who came back has several rows. `logins` holds
`system:login` parted by blanks; a blank inside a login is written %20, a percent sign %25.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import unquote

from accounts.model import Account, Person, Stay, bare
from ops import CannotSee, Text, nfc, say

COLUMNS = ("person", "unit", "role", "from", "until", "logins")
_LARGEST = 8 << 20
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class RosterMistake:
    """One mistake: where (line of the file, from 1; column by name, or "") and what, with the mend."""

    file: Path
    line: int
    column: str
    what: Text
    mend: Text

    def line_of(self, lang: str) -> str:
        """`file:line: column: what → mend`."""
        column = f"{self.column}: " if self.column else ""
        return f"{self.file}:{self.line}: {column}{self.what.in_(lang)} → {self.mend.in_(lang)}"


class RosterError(CannotSee):
    """The roster cannot be used; carries every mistake."""

    def __init__(self, mistakes: list[RosterMistake]) -> None:
        self.mistakes = mistakes
        super().__init__(
            Text("\n".join(m.line_of("vi") for m in mistakes), "\n".join(m.line_of("en") for m in mistakes)),
            say("sửa {n} chỗ trên trong danh sách nhân sự", "mend the {n} places above in the roster", n=len(mistakes)),
        )


@dataclass
class _Reading:
    """The state of one reading."""

    file: Path
    systems: frozenset[str]
    mistakes: list[RosterMistake] = field(default_factory=list)
    seen: dict[tuple[str, date], int] = field(default_factory=dict)
    stays: dict[str, list[Stay]] = field(default_factory=dict)
    logins: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def wrong(self, line: int, column: str, what: Text, mend: Text) -> None:
        self.mistakes.append(RosterMistake(self.file, line, column, what, mend))


def read_roster(file: Path, systems: Iterable[str]) -> list[Person]:
    """The people of the roster by name. `systems`: names that logins may use. Raises RosterError with every mistake."""
    reading = _Reading(file, frozenset(systems))
    text = _text(reading)
    if not reading.mistakes:
        for line, row in _rows(text, reading):
            _take(line, row, reading)
    if not reading.stays and not reading.mistakes:
        reading.wrong(1, "", say("danh sách không có ai", "the roster names nobody"),
                      say("thêm ít nhất một người", "add one person at least"))
    if reading.mistakes:
        raise RosterError(sorted(reading.mistakes, key=lambda mistake: mistake.line))
    return [
        Person(name, tuple(stays), tuple(dict.fromkeys(reading.logins[name])))
        for name, stays in sorted(reading.stays.items())
    ]


def _text(reading: _Reading) -> str:
    try:
        with reading.file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        reading.wrong(0, "", say("không đọc được: {e}", "cannot be read: {e}", e=error.strerror or error),
                      say("kiểm tra accounts.roster và quyền của tệp", "check accounts.roster and the file's mode"))
        return ""
    if len(data) > _LARGEST:
        reading.wrong(0, "", say("tệp quá lớn", "the file is too large"), say("tối đa 8 MB", "8 MB at most"))
        return ""
    try:
        return nfc(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        reading.wrong(data.count(b"\n", 0, error.start) + 1, "", say("không phải UTF-8", "not UTF-8"),
                      say("lưu lại dạng “CSV UTF-8”", "save it as “CSV UTF-8”"))
        return ""


def _rows(text: str, reading: _Reading) -> Iterator[tuple[int, dict[str, str]]]:
    """(first line, column -> value) of every row that is not blank; mistakes of form are noted."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    line = 1
    try:
        for values in reader:
            start, line = line, reader.line_num + 1
            values = [value.strip() for value in values]
            if not any(values):
                continue
            if not header:
                header = [value.casefold() for value in values]
                if not _header_fits(start, header, reading):
                    return
            elif len(values) != len(header):
                reading.wrong(start, "", say("có {n} cột thay vì {m}", "has {n} columns instead of {m}",
                                             n=len(values), m=len(header)),
                              say("ô có dấu phẩy thì đặt trong dấu ngoặc kép", "quote a cell that holds a comma"))
            else:
                yield start, dict(zip(header, values, strict=True))
    except csv.Error as error:
        reading.wrong(line, "", say("không phải CSV đúng: {e}", "not valid CSV: {e}", e=error),
                      say("kiểm tra dấu ngoặc kép ở dòng này", "check the quotes of this line"))
        return
    if not header:
        _header_fits(1, [], reading)


def _header_fits(line: int, header: list[str], reading: _Reading) -> bool:
    whole = say("dòng đầu phải là {h}", "the first line must be {h}", h=",".join(COLUMNS))
    if len(header) == 1 and ";" in header[0]:
        reading.wrong(line, "", say("các cột ngăn bằng dấu chấm phẩy", "columns are parted by semicolons"),
                      say("lưu lại với dấu phẩy", "save it with commas"))
        return False
    for column in COLUMNS:
        if header.count(column) != 1:
            missing, twice = say("thiếu cột", "column is missing"), say("cột lặp", "column stands twice")
            reading.wrong(line, column, twice if column in header else missing, whole)
    for column in header:
        if column not in COLUMNS:
            reading.wrong(line, column, say("cột lạ", "unknown column"), whole)
    return sorted(header) == sorted(COLUMNS)


def _take(line: int, row: dict[str, str], reading: _Reading) -> None:
    name = " ".join(row["person"].split())
    if not name:
        reading.wrong(line, "person", say("thiếu tên", "the name is missing"), say("ghi họ và tên", "write the name"))
    elif name == "all" or not name.isprintable():
        reading.wrong(line, "person", say("tên không dùng được", "this name cannot be used"),
                      say("ghi họ và tên người", "write a person's name"))
    start = _day(line, "from", row["from"], reading)
    until = _day(line, "until", row["until"], reading) if row["until"] else None
    if not row["from"]:
        start = None
    if start and until and until < start:
        reading.wrong(line, "until", say("kết thúc trước khi bắt đầu ({a})", "ends before it begins ({a})", a=start),
                      say("sửa from hoặc until", "mend from or until"))
    logins = list(_logins(line, row["logins"], reading))
    if not name or start is None:
        return
    first = reading.seen.setdefault((name, start), line)
    if first != line:
        reading.wrong(line, "person",
                      say("trùng người và ngày với dòng {n}", "same person and day as line {n}", n=first),
                      say("bỏ một dòng; hai người trùng tên thì ghi thêm đơn vị hoặc năm sinh vào tên",
                          "drop one; for two people of one name add unit or year of birth to the name"))
    reading.stays.setdefault(name, []).append(Stay(row["unit"], row["role"], start, until))
    reading.logins.setdefault(name, []).extend(logins)


def _day(line: int, column: str, value: str, reading: _Reading) -> date | None:
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    reading.wrong(line, column, say("{v} không phải một ngày", "{v} is no day", v=repr(value)),
                  say("viết NĂM-THÁNG-NGÀY, ví dụ 2026-03-31", "write YEAR-MONTH-DAY, as 2026-03-31"))
    return None


def _logins(line: int, value: str, reading: _Reading) -> Iterator[tuple[str, str]]:
    """`system:login` parted by blanks; a `;` at an end, or right before another `system:`, parts as well."""
    names = "|".join(re.escape(name) for name in sorted(reading.systems)) or "(?!)"
    for word in re.split(rf"\s+|;(?=\s|$)|;(?=(?:{names}):)", value):
        if not word:
            continue
        system, colon, login = word.partition(":")
        login = nfc(unquote(login))
        if not colon or not login:
            reading.wrong(line, "logins",
                          say("{w} không có dạng hệ-thống:tên", "{w} is not system:login", w=repr(word)),
                          say("viết như trang:lan may-chu:lan", "write as site:lan server:lan"))
        elif system not in reading.systems:
            reading.wrong(line, "logins", say("không có hệ thống {s}", "there is no system {s}", s=repr(system)),
                          say("các hệ thống: {all}", "systems: {all}", all=", ".join(sorted(reading.systems)) or "–"))
        else:
            yield system, login


def owners(people: Iterable[Person]) -> dict[tuple[str, str], list[Person]]:
    """(system, login) -> everyone whom the roster gives it to."""
    found: dict[tuple[str, str], list[Person]] = {}
    for person in people:
        for login in person.logins:
            found.setdefault(login, []).append(person)
    return found


def suggestions(account: Account, people: Iterable[Person]) -> list[str]:
    """People whose name without marks resembles the account's name or login. Only ever told, never acted upon."""
    name, login = bare(account.name), bare(account.login).replace(" ", "")
    return [person.name for person in people if _resembles(bare(person.name).split(), name, login)]


def _resembles(words: list[str], name: str, login: str) -> bool:
    if len(words) < 2:
        return bool(words) and words[0] in (name, login)
    given, family, initials = words[-1], words[0], "".join(word[0] for word in words[:-1])
    shapes = {"".join(words), given + initials, initials + given, given + family, family + given,
              family + "".join(word[0] for word in words[1:])}
    return " ".join(words) == name or login in shapes
