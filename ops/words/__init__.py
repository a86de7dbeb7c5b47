"""The labels that command line, page and papers share, in Vietnamese and English (`vi.toml`, `en.toml`).

Sentences stand where they are said, both languages side by side (`ops.model.say`); only names that several readers
share stand here, so that a verdict is called the same everywhere.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from ops.model import Text

LANGUAGES = ("vi", "en")


@cache
def _table(lang: str) -> dict[str, str]:
    data = tomllib.loads((Path(__file__).parent / f"{lang}.toml").read_text(encoding="utf-8"))
    return {f"{group}.{name}": value for group, names in data.items() for name, value in names.items()}


def word(key: str, lang: str) -> str:
    """The label `group.name` in `lang`; raises KeyError for one that does not exist."""
    return _table(lang if lang in LANGUAGES else "vi")[key]


def text(key: str) -> Text:
    """The label in both languages."""
    return Text(word(key, "vi"), word(key, "en"))


def keys(lang: str) -> set[str]:
    """All keys of one language."""
    return set(_table(lang))
