"""Mistakes of a configuration, in words: where, what was expected, and the nearest right key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ops.model import Text, say

Lines = Mapping[tuple[str | int, ...], int]

_SAYINGS: dict[str, tuple[str, str]] = {
    "missing": ("thiếu khóa bắt buộc", "a required key is missing"),
    "extra_forbidden": ("khóa lạ", "unknown key"),
    "string_type": ("phải là chuỗi trong dấu ngoặc kép", "must be a string in quotes"),
    "int_type": ("phải là số nguyên", "must be a whole number"),
    "int_parsing": ("phải là số nguyên", "must be a whole number"),
    "int_from_float": ("phải là số nguyên", "must be a whole number"),
    "float_type": ("phải là số", "must be a number"),
    "float_parsing": ("phải là số", "must be a number"),
    "bool_type": ("phải là true hoặc false", "must be true or false"),
    "bool_parsing": ("phải là true hoặc false", "must be true or false"),
    "dict_type": ("phải là một bảng [..]", "must be a table [..]"),
    "model_type": ("phải là một bảng [..]", "must be a table [..]"),
    "tuple_type": ("phải là danh sách [..]", "must be a list [..]"),
    "list_type": ("phải là danh sách [..]", "must be a list [..]"),
    "path_type": ("phải là đường dẫn trong dấu ngoặc kép", "must be a path in quotes"),
    "string_pattern_mismatch": ("không đúng dạng {pattern}", "does not match {pattern}"),
    "string_too_short": ("không được để trống", "must not be empty"),
    "too_short": ("cần ít nhất {min_length} mục", "needs at least {min_length} entries"),
    "greater_than": ("phải lớn hơn {gt}", "must be greater than {gt}"),
    "greater_than_equal": ("phải từ {ge} trở lên", "must be {ge} or more"),
    "less_than": ("phải nhỏ hơn {lt}", "must be less than {lt}"),
    "less_than_equal": ("phải từ {le} trở xuống", "must be {le} or less"),
    "literal_error": ("phải là một trong {expected}", "must be one of {expected}"),
    "union_tag_invalid": ("phải là một trong {expected_tags}", "must be one of {expected_tags}"),
    "union_tag_not_found": ("thiếu khóa {discriminator}", "key {discriminator} is missing"),
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. `line` 0: the file as a whole; `path`: dotted key."""

    file: Path
    line: int
    path: str
    what: Text
    mend: Text

    def line_of(self, lang: str) -> str:
        """`file:line: path: what → mend`."""
        where = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        key = f"{self.path}: " if self.path else ""
        mend = self.mend.in_(lang)
        return f"{where}: {key}{self.what.in_(lang)}" + (f" → {mend}" if mend else "")


def from_validation(
    error: ValidationError, model: type[BaseModel], file: Path, lines: Lines, prefix: tuple[str | int, ...]
) -> list[Mistake]:
    """The mistakes behind a pydantic error, each at its line. Values are not shown: one might be a secret."""
    schema = model.model_json_schema()
    found = error.errors(include_url=False, include_input=False)
    return [_one(one, schema, file, lines, prefix) for one in found if not _follows(one, found)]


def _follows(one: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """True for "too few entries" where an entry was itself wrong: that is the mistake, this only its echo."""
    loc = one["loc"]
    return one["type"] == "too_short" and any(o["loc"][: len(loc)] == loc and o["loc"] != loc for o in found)


def _one(
    found: ErrorDetails, schema: dict[str, Any], file: Path, lines: Lines, prefix: tuple[str | int, ...]
) -> Mistake:
    path = _written(found["loc"], lines, prefix, found["type"])
    key = ".".join(str(part) for part in path)
    context = {name: value for name, value in found.get("ctx", {}).items() if name != "error"}
    if found["type"] == "string_pattern_mismatch" and str(context.get("pattern", "")).startswith("^https?://"):
        what = say(
            "phải bắt đầu bằng https:// hay http://, không có dấu cách",
            "must begin with https:// or http://, no blanks",
        )
    elif found["type"] == "gaccong":
        what = Text(str(context["vi"]), str(context["en"]))
    elif found["type"] in _SAYINGS:
        vi, en = _SAYINGS[found["type"]]
        what = say(vi, en, **context) if context else Text(vi, en)
    else:
        what = Text(found["msg"], found["msg"])
    mend = Text("", "")
    if found["type"] == "extra_forbidden":
        mend = _nearest(str(found["loc"][-1]), sorted(_keys_at(schema, schema, found["loc"][:-1])))
    return Mistake(file, _line(lines, path), key, what, mend)


def _nearest(key: str, allowed: list[str]) -> Text:
    near = difflib.get_close_matches(key, allowed, 1, 0.5)
    if near:
        return say("có phải {k}?", "did you mean {k}?", k=near[0])
    return say("các khóa đúng: {all}", "the right keys: {all}", all=", ".join(allowed)) if allowed else Text("", "")


def _written(loc: Iterable[str | int], lines: Lines, prefix: tuple[str | int, ...], kind: str) -> tuple[str | int, ...]:
    """The key path as written in the file: pydantic's place less the names of union branches."""
    path = prefix
    parts = list(loc)
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if (
            (*path, part) in lines
            or isinstance(part, int)
            or any(key[: len(path) + 1] == (*path, part) for key in lines)
            or last
            and kind in ("missing", "extra_forbidden")
        ):
            path = (*path, part)
    return path


def _line(lines: Lines, path: tuple[str | int, ...]) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _keys_at(whole: dict[str, Any], node: dict[str, Any], loc: tuple[str | int, ...]) -> set[str]:
    """The keys allowed at a place of the JSON Schema, over every branch of a union."""
    if "$ref" in node:
        return _keys_at(whole, whole["$defs"][node["$ref"].rpartition("/")[2]], loc)
    for union in ("anyOf", "oneOf"):
        if union in node:
            rest = loc[1:] if loc and node.get("discriminator") else loc
            return set().union(*(_keys_at(whole, branch, rest) for branch in node[union]))
    if not loc:
        return set(node.get("properties", {}))
    head, rest = loc[0], loc[1:]
    if isinstance(head, int):
        return _keys_at(whole, node.get("items", {}), rest)
    below = node.get("properties", {}).get(head)
    if below is None:
        # a table with free names: its values' model stands under one of these two
        more = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
        return _keys_at(whole, more, rest) if isinstance(more, dict) else set()
    return _keys_at(whole, below, rest)
