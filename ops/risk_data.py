"""The risk register as data: scales, matrix, kinds, rows and the words for controls, read from `ops/risks.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ops.errors import GaccongError
from ops.model import NOTHING, Text, say, text_of

HERE = Path(__file__).parent / "risks.toml"


@dataclass(frozen=True, slots=True)
class Rule:
    """The numbers behind the likelihoods; shares from 0 to 1, days as days."""

    coverage_floor: float
    coverage_full: float
    missing_likelihood: int
    events_high: int
    long_days: float
    floor_impact: int
    floor_band: str


@dataclass(frozen=True, slots=True)
class Degree:
    """One step of a scale (1 to 5) with the facts that anchor it."""

    value: int
    name: Text
    anchor: Text


@dataclass(frozen=True, slots=True)
class Band:
    """A level: scores from `lowest` to `highest`, what is done with it, and by when."""

    id: str
    name: Text
    lowest: int
    highest: int
    treat: Text
    due: Text


@dataclass(frozen=True, slots=True)
class Named:
    """A kind, sub-kind or group: code and name."""

    id: str
    name: Text


@dataclass(frozen=True, slots=True)
class Row:
    """One danger: what, to what, by which weakness, which duties drive (`key`) and support its likelihood."""

    id: str
    kind: str
    asset: Text
    threat: Text
    weakness: Text
    clauses: tuple[str, ...]
    impact: int
    key: tuple[str, ...]
    support: tuple[str, ...]
    misuse: tuple[str, ...]
    measure: Text
    decision: Text


@dataclass(frozen=True, slots=True)
class Capability:
    """One of the four capabilities, and the duties that show it."""

    name: Text
    duties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """All of `risks.toml`. `cells`: ids of bands by likelihood (rows) and impact (columns), or empty for L x I."""

    rule: Rule
    likelihood: tuple[Degree, ...]
    impact: tuple[Degree, ...]
    bands: tuple[Band, ...]
    kinds: tuple[Named, ...]
    subkinds: tuple[Named, ...]
    rows: tuple[Row, ...]
    groups: tuple[Named, ...]
    controls: Mapping[str, tuple[Text, str]]
    capabilities: tuple[Capability, ...]
    subjects: Mapping[str, str]
    cells: tuple[tuple[str, ...], ...] = ()

    def subject(self, name: str) -> str:
        """What Vietnamese readers call a subject; its own name when the data do not know it."""
        return self.subjects.get(name, name)

    def band(self, likelihood: int, impact: int) -> Band:
        """The level of a pair, by the explicit table or by score."""
        if self.cells:
            return self.named(self.cells[likelihood - 1][impact - 1])
        score = likelihood * impact
        return next(band for band in reversed(self.bands) if score >= band.lowest)

    def named(self, band_id: str) -> Band:
        """The band with this id."""
        return next(band for band in self.bands if band.id == band_id)

    def name(self, duty: str) -> Text:
        """What readers call a duty; its own name when the data do not know it."""
        return self.controls[duty][0] if duty in self.controls else Text(duty, duty)

    def group(self, duty: str) -> str:
        """The letter of III.1 under which a duty is told; "" for a duty that the data do not know."""
        return self.controls[duty][1] if duty in self.controls else ""


@cache
def load(path: Path = HERE) -> Register:
    """The register of a file. Raises GaccongError that names the file and the mistake."""
    try:
        register = _register(tomllib.loads(path.read_text(encoding="utf-8")))
        _refuse(register)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise GaccongError(
            say("{f}: không dùng được: {e}", "{f}: cannot be used: {e}", f=path.name, e=error),
            say("sửa tệp theo mẫu của bản gốc", "mend the file after the one that was delivered"),
        ) from error
    return register


def _register(data: dict[str, Any]) -> Register:
    return Register(
        Rule(**{key: value for key, value in data["rule"].items() if key != "cells"}),
        tuple(Degree(item["value"], text_of(item["name"]), text_of(item["anchor"])) for item in data["likelihood"]),
        tuple(Degree(item["value"], text_of(item["name"]), text_of(item["anchor"])) for item in data["impact"]),
        tuple(
            Band(
                item["id"],
                text_of(item["name"]),
                item["lowest"],
                item["highest"],
                text_of(item["treat"]),
                text_of(item["due"]),
            )
            for item in data["band"]
        ),
        _named(data["kind"]),
        _named(data["subkind"]),
        tuple(_row(item) for item in data["row"]),
        _named(data["group"]),
        {name: (text_of(item["name"]), item["group"]) for name, item in data.get("control", NOTHING).items()},
        tuple(Capability(text_of(item["name"]), tuple(item["duties"])) for item in data["capability"]),
        dict(data.get("subjects", NOTHING)),
        tuple(tuple(line) for line in data["rule"].get("cells", ())),
    )


def _named(items: list[dict[str, Any]]) -> tuple[Named, ...]:
    return tuple(Named(item["id"], text_of(item["name"])) for item in items)


def _row(item: dict[str, Any]) -> Row:
    return Row(
        item["id"],
        item["kind"],
        text_of(item["asset"]),
        text_of(item["threat"]),
        text_of(item["weakness"]),
        tuple(item["clauses"]),
        item["impact"],
        tuple(item["key"]),
        tuple(item["support"]),
        tuple(item.get("misuse", ())),
        text_of(item["measure"]),
        text_of(item["decision"]),
    )


def _refuse(register: Register) -> None:
    """Raises ValueError for a register that could judge wrongly without a word."""
    for scale in (register.likelihood, register.impact):
        if [degree.value for degree in scale] != [1, 2, 3, 4, 5]:
            raise ValueError("a scale must have the values 1 to 5, in order")
    bands = {band.id for band in register.bands}
    if register.cells and (len(register.cells) != 5 or any(len(line) != 5 for line in register.cells)):
        raise ValueError("rule.cells must be 5 rows of 5")
    strange = {cell for line in register.cells for cell in line} - bands
    if strange or register.rule.floor_band not in bands:
        raise ValueError(f"unknown band: {', '.join(sorted(strange)) or register.rule.floor_band}")
    if register.bands[0].lowest != 1 or [*register.bands] != sorted(register.bands, key=lambda band: band.lowest):
        raise ValueError("bands must begin at 1 and rise")
    kinds = {kind.id for kind in register.kinds}
    for row in register.rows:
        if row.kind not in kinds or not 1 <= row.impact <= 5:
            raise ValueError(f"row {row.id}: unknown kind or impact outside 1 to 5")
    if len({row.id for row in register.rows}) != len(register.rows):
        raise ValueError("two rows have the same id")
