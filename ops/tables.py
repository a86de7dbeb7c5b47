"""Strict reading of the program's own TOML data (policies, laws): every mistake has a file, a place and a mend."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from ops.errors import GaccongError
from ops.model import Text, nfc, say

T = TypeVar("T")


class PolicyError(GaccongError):
    """A policy or the table of laws cannot be used as written; says the file, the clause and the mend."""


def parse(path: Path) -> dict[str, Any]:
    """The whole TOML file. Raises PolicyError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(
            say("{f}: không đọc được: {e}", "{f}: cannot be read: {e}", f=path, e=error),
            say("sửa tệp theo chuẩn TOML, mã UTF-8", "mend the file: TOML, UTF-8"),
        ) from error


class Table:
    """One TOML table that is emptied key by key; what is left at the end is unknown."""

    def __init__(self, data: Any, path: Path, where: str = "") -> None:
        self.path, self.where = path, where
        if not isinstance(data, dict):
            raise self.refuse(say("phải là một bảng", "must be a table"), say("viết dạng bảng", "write a table"))
        self.data: dict[str, Any] = dict(data)

    def refuse(self, what: Text, mend: Text) -> PolicyError:
        """The error to raise: what is wrong at this table's place, and the mend."""
        place = f"{self.path.name}: {self.where}: " if self.where else f"{self.path.name}: "
        return PolicyError(Text(place + what.vi, place + what.en), mend)

    def done(self) -> None:
        """Refuses whatever key was not taken."""
        if self.data:
            keys = ", ".join(sorted(self.data))
            raise self.refuse(say("khóa lạ: {k}", "unknown key: {k}", k=keys), say("bỏ hoặc sửa khóa", "mend the key"))

    def _take(self, key: str, kinds: tuple[type[T], ...], expected: str) -> T | None:
        value = self.data.pop(key, None)
        if value is None or (isinstance(value, kinds) and not isinstance(value, bool)):
            return value
        raise self.refuse(
            say("{k} không đúng kiểu", "{k} is of the wrong type", k=key),
            say("viết {k} là {x}", "write {k} as {x}", k=key, x=expected),
        )

    def word(self, key: str, default: str | None = None, pattern: re.Pattern[str] | None = None) -> str:
        """A string that is not blank, in NFC; `default` where the key may be absent."""
        value = self._take(key, (str,), "string")
        if (value is None or not value.strip()) and default is not None:
            return default
        if value is None or not value.strip():
            raise self.refuse(say("thiếu {k}", "{k} is missing", k=key), say("thêm {k}", "add {k}", k=key))
        if pattern is not None and not pattern.fullmatch(value):
            raise self.refuse(
                say("{k} = {v} không đúng dạng", "{k} = {v} has the wrong form", k=key, v=value),
                say("viết theo dạng {p}", "write it as {p}", p=pattern.pattern),
            )
        return nfc(value)

    def words(self, key: str, pattern: re.Pattern[str] | None = None) -> tuple[str, ...]:
        """A list of such strings; empty when absent."""
        values = self._take(key, (list,), "list") or []
        return tuple(Table({key: value}, self.path, self.where).word(key, pattern=pattern) for value in values)

    def one(self, key: str, allowed: tuple[str, ...]) -> str:
        """A string out of `allowed`."""
        value = self.word(key)
        if value not in allowed:
            raise self.refuse(
                say("{k} = {v} không được phép", "{k} = {v} is not allowed", k=key, v=value),
                say("chọn một: {a}", "choose one of {a}", a=", ".join(allowed)),
            )
        return value

    def number(self, key: str) -> float | None:
        """A number, or None when absent."""
        return self._take(key, (int, float), "number")

    def count(self, key: str, default: int) -> int:
        """A whole number from 1 on."""
        value = self._take(key, (int,), "whole number")
        if value is not None and value < 1:
            raise self.refuse(say("{k} phải từ 1", "{k} must be 1 or more", k=key), say("sửa {k}", "mend {k}", k=key))
        return default if value is None else value

    def flag(self, key: str) -> bool:
        """True or false; false when absent."""
        value = self.data.pop(key, False)
        if not isinstance(value, bool):
            raise self.refuse(
                say("{k} không đúng kiểu", "{k} is of the wrong type", k=key),
                say("viết {k} = true hoặc bỏ đi", "write {k} = true or leave it out", k=key),
            )
        return value

    def day(self, key: str) -> date | None:
        """A TOML date, or None when absent."""
        return self._take(key, (date,), "date, 2026-07-01")

    def table(self, key: str) -> Table | None:
        """The table below this key, or None."""
        return Table(self.data.pop(key), self.path, self.where) if key in self.data else None

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of the list below this key."""
        values = self._take(key, (list,), "list") or []
        return iter([Table(value, self.path, self.where) for value in values])

    def text(self, key: str, *, last: bool = False) -> Text:
        """`key = {vi, en}`; with no key, this table's own `vi` and `en` (`last`: and nothing else)."""
        own = self if not key else self.table(key)
        if own is None:
            raise self.refuse(
                say("thiếu {k}", "{k} is missing", k=key),
                say('thêm {k}.vi = "…" và {k}.en = "…"', 'add {k}.vi = "…" and {k}.en = "…"', k=key),
            )
        found = Text(own.word("vi"), own.word("en"))
        if key or last:
            own.done()
        return found
