"""The document tree: what a paper says, before anybody decides how it looks. Frozen, no clock, no file.

Text is Vietnamese, NFC, one line unless said otherwise. Measures are in millimetres, sizes in points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Align = Literal["left", "center", "right", "justify"]


def printing(text: str) -> str:
    """The text without what cannot be printed: control, format and lone surrogate characters that evidence may hold."""
    return "".join(sign if sign.isprintable() or sign in "\n\u00a0" else "\ufffd" for sign in text)


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text of one style."""

    text: str
    bold: bool = False
    italic: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """Level 1: `I. TITLE` upper bold; 2: `1. Title` bold; 3: `a) title` upright (NĐ 30/2020, Phụ lục I)."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text: justified, 14 pt, first line indented; `item`: begins with a dash."""

    runs: tuple[Run, ...]
    item: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A framed warning that must not be overlooked."""

    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: head, width in mm, alignment of its cells."""

    head: str
    width: float
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Table:
    """A ruled table with a head that repeats on every page. A cell may hold several lines (`\\n`)."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    size: float = 12.0
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture (PNG bytes), with the words for those who cannot see it."""

    png: bytes = field(repr=False)
    alt: str
    width: float
    caption: str


Block = Heading | Paragraph | Note | Table | Figure


@dataclass(frozen=True, slots=True)
class Letterhead:
    """First page, from the top, in lines as printed; `addressees` without dash and punctuation.

    Minutes have neither `mark` nor addressees: "" and ().
    """

    parent: tuple[str, ...]
    issuer: tuple[str, ...]
    number: str
    place_date: str
    mark: str
    kind: str
    subject: tuple[str, ...]
    addressees: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signs, as the lines above the room for the hand, and the name below it ("" where a pen writes it)."""

    role: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """Recipients to the left, authority, title and name of the signer to the right.

    signatures: of minutes, which several sign side by side; they stand in place of the one signer, recipients below.
    """

    recipients: tuple[str, ...]
    authority: str = ""
    title: str = ""
    signer: str = ""
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True, slots=True)
class Appendix:
    """`Phụ lục <roman>`, its title, its blocks; its pages are numbered from 1 again."""

    roman: str
    title: str
    blocks: tuple[Block, ...]
    landscape: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """One paper. `warnings` stand framed on page 1. `data`: the same content for machines (JSON values only)."""

    kind: str
    title: str
    author: str
    made: datetime
    letterhead: Letterhead
    warnings: tuple[Note, ...]
    body: tuple[Block, ...]
    closing: Closing
    appendices: tuple[Appendix, ...]
    data: Mapping[str, Any] = field(repr=False)


def leads(blocks: Sequence[Block], index: int) -> bool:
    """True for a paragraph that introduces the table after it, and so must stay on its page."""
    return isinstance(blocks[index], Paragraph) and any(
        isinstance(after, Table) for after in blocks[index + 1 : index + 2]
    )


def first_upper(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def balanced(text: str, room: int) -> tuple[str, ...]:
    """The text in as few lines of about `room` letters as it needs, of nearly equal length, broken between words."""
    words = text.split()
    wanted = max(1, -(-len(" ".join(words)) // room))
    ideal = len(" ".join(words)) / wanted
    lines: list[str] = []
    line = ""
    for word in words:
        longer = f"{line} {word}".strip()
        if line and len(lines) + 1 < wanted and len(longer) - ideal > ideal - len(line):
            lines.append(line)
            longer = word
        line = longer
    return (*lines, line)


def paragraph(text: str, *, item: bool = False) -> Paragraph:
    """Running text; `**bold**` marks bold stretches. Only for words of ours, never for text that came from outside."""
    parts = text.split("**")
    return Paragraph(tuple(Run(part, bold=index % 2 == 1) for index, part in enumerate(parts) if part), item)


def plain(text: str, *, item: bool = False) -> Paragraph:
    """Running text as it is, for words that came from outside."""
    return Paragraph((Run(text),), item)
