"""The demo site's search: titles and texts of its pages in one table, found with and without Vietnamese diacritics."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

from ops.model import nfc

if TYPE_CHECKING:
    from ops.cli.demo.frame import Page

MOST_WORDS = 30
MOST_FOUND = 20
_SCHEMA = "CREATE TABLE search (path TEXT PRIMARY KEY, title TEXT NOT NULL, bare_title TEXT NOT NULL, bare_text TEXT NOT NULL)"
_FIND = """
SELECT path, title FROM search
WHERE NOT EXISTS (SELECT 1 FROM json_each(:words) WHERE instr(bare_title || ' ' || bare_text, value) = 0)
ORDER BY EXISTS (SELECT 1 FROM json_each(:words) WHERE instr(bare_title, value) = 0), path LIMIT :most
"""
"""Pages that hold all the words; those that have them in their title first."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page that holds the words: its path below the root, its title."""

    path: str
    title: str


def bare(text: str) -> str:
    """Small letters without diacritics, words apart by one space: `Đăng ký, 2026` becomes `dang ky 2026`."""
    spread = unicodedata.normalize("NFD", nfc(text).casefold().replace("đ", "d"))
    return " ".join(re.findall(r"[a-z0-9]+", "".join(sign for sign in spread if not unicodedata.combining(sign))))


def write(database: Path, pages: Iterable[Page]) -> None:
    """Makes the table anew from the pages; lists of pages are left out, for they would be found for everything."""
    with closing(sqlite3.connect(database)) as rows, rows:
        rows.execute("DROP TABLE IF EXISTS search")
        rows.execute(_SCHEMA)
        rows.executemany(
            "INSERT INTO search VALUES (?, ?, ?, ?)",
            [
                (page.path, nfc(page.title), bare(page.title), bare(unescape(re.sub("<[^>]*>", " ", page.body))))
                for page in pages
                if page.path.count("/") > 1
            ],
        )


def find(database: Path, asked: str) -> list[Found]:
    """The pages that hold every word that was asked for, at most `MOST_FOUND`; none for no words."""
    import json

    words = bare(asked).split()[:MOST_WORDS]
    if not words:
        return []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as rows:
        found = rows.execute(_FIND, {"words": json.dumps(words), "most": MOST_FOUND}).fetchall()
    return [Found(str(path), str(title)) for path, title in found]
