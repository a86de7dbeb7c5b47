"""The document as PDF by typst, in one family of fonts; the same bytes for the same input and the same fonts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from ops.errors import GaccongError
from ops.model import say
from ops.report.tree import Block, Document, Figure, Heading, Note, Paragraph, Table, leads

LIBERATION = Path("/usr/share/fonts/truetype/liberation2")
TEMPLATE = Path(__file__).parent / "report.typ"


def render(document: Document) -> bytes:
    """PDF bytes. Raises GaccongError when typst refuses (then the template or the fonts are at fault)."""
    import typst

    ours = LIBERATION.is_dir()
    fonts = typst.Fonts(
        include_system_fonts=not ours, include_embedded_fonts=False, font_paths=[str(LIBERATION)] if ours else []
    )
    families = ["Liberation Serif"] if ours else [*_installed(fonts)]
    with tempfile.TemporaryDirectory(prefix="gaccong-report-") as folder:
        place = Path(folder)
        (place / "report.typ").write_bytes(TEMPLATE.read_bytes())
        tree = _Laid(place).document(document, families)
        (place / "document.json").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
        try:
            made = typst.compile(
                str(place / "report.typ"), root=str(place), font_paths=fonts, format="pdf", timestamp=document.made.replace(microsecond=0)
            )
        except typst.TypstError as error:
            raise GaccongError(
                say("không tạo được PDF: {e}", "the PDF cannot be made: {e}", e=error),
                say("cài gói fonts-liberation2, hoặc dùng định dạng docx", "install fonts-liberation2, or use docx"),
            ) from error
    if not isinstance(made, bytes):
        raise GaccongError(say("typst không trả về một tệp PDF", "typst did not return one PDF"))
    return made


def _installed(fonts: Any) -> list[str]:
    """The first family of those that have every Vietnamese letter; none is a reason to refuse."""
    known = set(fonts.families())
    found = [
        name
        for name in ("Times New Roman", "Liberation Serif", "Tinos", "Noto Serif", "DejaVu Serif")
        if name in known or name.lower() in known
    ]
    if not found:
        raise GaccongError(
            say("không có phông chữ tiếng Việt cho PDF", "no font with Vietnamese letters for the PDF"),
            say("apt-get install fonts-liberation2", "apt-get install fonts-liberation2"),
        )
    return found[:1]


class _Laid:
    """The tree as the JSON that the template reads; pictures become files beside it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._pictures = 0

    def document(self, document: Document, families: list[str]) -> dict[str, Any]:
        head, closing = document.letterhead, document.closing
        made = document.made.astimezone(UTC)
        return {
            "title": document.title,
            "author": document.author,
            "fonts": families,
            "made": [made.year, made.month, made.day, made.hour, made.minute, made.second],
            "attached": [head.kind.capitalize(), head.number.partition("/")[2]],
            "letterhead": {
                "parent": list(head.parent),
                "issuer": list(head.issuer),
                "number": _wide(head.number),
                "place_date": head.place_date,
                "mark": head.mark,
                "kind": head.kind,
                "subject": list(head.subject),
                "addressees": list(head.addressees),
            },
            "warnings": [self.block(note) for note in document.warnings],
            "body": self.blocks(document.body),
            "closing": {
                "recipients": list(closing.recipients),
                "authority": closing.authority,
                "title": closing.title,
                "signer": closing.signer,
                "signatures": [{"role": list(one.role), "name": one.name} for one in closing.signatures],
            },
            "appendices": [
                {
                    "roman": item.roman,
                    "title": item.title,
                    "landscape": item.landscape,
                    "blocks": self.blocks(item.blocks),
                }
                for item in document.appendices
            ],
        }

    def blocks(self, blocks: Sequence[Block]) -> list[dict[str, Any]]:
        return [{**self.block(block), "leads": leads(blocks, index)} for index, block in enumerate(blocks)]

    def block(self, block: Block) -> dict[str, Any]:
        match block:
            case Heading(level, text):
                return {"kind": "heading", "level": level, "text": text}
            case Paragraph(runs, item):
                return {
                    "kind": "paragraph",
                    "item": item,
                    "runs": [{"t": run.text, "b": run.bold, "i": run.italic} for run in runs],
                }
            case Note(text):
                return {"kind": "note", "text": text}
            case Table():
                return {
                    "kind": "table",
                    "size": block.size,
                    "rows": [list(row) for row in block.rows],
                    "columns": [
                        {"head": column.head, "width": column.width, "align": column.align} for column in block.columns
                    ],
                }
            case Figure():
                self._pictures += 1
                name = f"picture{self._pictures}.png"
                (self._place / name).write_bytes(block.png)
                return {
                    "kind": "figure",
                    "file": name,
                    "alt": block.alt,
                    "width": block.width,
                    "caption": block.caption,
                }


def _wide(number: str) -> str:
    """Runs of blanks kept as they are (no-break spaces), so that there is room for the number."""
    return number.replace(" ", "\u00a0")
