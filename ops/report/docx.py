"""The document as DOCX: editable, Times New Roman in every style and run, the same bytes for the same input."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import UTC
from io import BytesIO
from typing import Any

from ops.report.docx_parts import (
    FONT,
    add_field,
    border,
    flush_left,
    named_fonts,
    restart_numbers,
    rule_under,
    set_cell,
    spacing,
)
from ops.report.tree import (
    Appendix,
    Block,
    Closing,
    Document,
    Figure,
    Heading,
    Letterhead,
    Note,
    Paragraph,
    Table,
    leads,
    printing,
)

TEXT = 160.0
LEFT, RIGHT = 62.0, 98.0
MOTTO = "Độc lập - Tự do - Hạnh phúc"
MOTTO_WIDTH = 60.5
"""Width in mm of the motto in Times New Roman bold 14 (the rule below it is as long as the line)."""


def render(document: Document) -> bytes:
    """DOCX bytes, opened and printed by Word and LibreOffice alike."""
    import docx

    paper = docx.Document()
    named_fonts(paper)
    _page(paper.sections[0], landscape=False)
    _Writer(paper).document(document)
    properties = paper.core_properties
    properties.title, properties.author, properties.language = document.title[:255], document.author[:255], "vi-VN"
    properties.created = properties.modified = document.made.astimezone(UTC).replace(tzinfo=None)
    properties.last_modified_by = ""
    raw = BytesIO()
    paper.save(raw)
    return _steady(raw.getvalue())


def _steady(raw: bytes) -> bytes:
    """The same package with fixed file times, so that the same paper is the same bytes."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, old.read(name))
    return out.getvalue()


def _page(section: Any, *, landscape: bool) -> None:
    from docx.enum.section import WD_ORIENT
    from docx.shared import Mm

    wide, high = (297, 210) if landscape else (210, 297)
    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = Mm(wide), Mm(high)
    section.top_margin = section.bottom_margin = section.right_margin = Mm(20)
    section.left_margin = Mm(20 if landscape else 30)
    section.header_distance = section.footer_distance = Mm(10)
    section.different_first_page_header_footer = True


class _Writer:
    """Walks the tree and appends to a python-docx document."""

    def __init__(self, paper: Any) -> None:
        self._paper = paper

    def document(self, document: Document) -> None:
        self._numbers(self._paper.sections[0])
        self._head(document.letterhead)
        for note in document.warnings:
            self._block(note)
        self._blocks(document.body)
        self._paper.paragraphs[-1].paragraph_format.keep_with_next = True
        self._closing(document.closing)
        for appendix in document.appendices:
            self._appendix(appendix, document.letterhead)

    def _paragraph(
        self,
        where: Any = None,
        *,
        align: str = "left",
        before: float = 0,
        after: float = 0,
        indent: float = 0,
        left: float = 0,
        keep: bool = False,
    ) -> Any:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Mm

        made = (where or self._paper).add_paragraph()
        made.alignment = getattr(WD_ALIGN_PARAGRAPH, align.upper())
        spacing(made, before, after)
        made.paragraph_format.first_line_indent = Mm(indent)
        made.paragraph_format.left_indent = Mm(left)
        made.paragraph_format.keep_with_next = keep
        return made

    @staticmethod
    def _run(where: Any, text: str, size: float = 14, *, bold: bool = False, italic: bool = False) -> None:
        from docx.shared import Pt, RGBColor

        run = where.add_run(printing(text))
        run.font.name, run.font.size, run.font.bold, run.font.italic = FONT, Pt(size), bold, italic
        run.font.color.rgb = RGBColor(0, 0, 0)
        fonts = run._element.rPr.rFonts
        for kind in ("eastAsia", "cs"):
            fonts.set(f"{{{fonts.nsmap['w']}}}{kind}", FONT)

    def _grid(self, widths: list[float], rows: int) -> Any:
        """A borderless table for the first page and the closing block."""
        from docx.shared import Mm

        grid = self._paper.add_table(rows, len(widths))
        grid.autofit = False
        flush_left(grid)
        for row in grid.rows:
            for cell, width in zip(row.cells, widths, strict=True):
                cell.width = Mm(width)
                set_cell(cell, side=0)
        for column, width in zip(grid.columns, widths, strict=True):
            column.width = Mm(width)
        return grid

    def _line(
        self,
        cell: Any,
        text: str,
        size: float,
        *,
        first: bool = False,
        before: float = 0,
        align: str = "center",
        bold: bool = False,
        italic: bool = False,
    ) -> None:
        if first:
            cell._element.remove(cell.paragraphs[0]._element)
        self._run(self._paragraph(cell, align=align, before=before), text, size, bold=bold, italic=italic)

    def _head(self, head: Letterhead) -> None:
        grid = self._grid([LEFT, RIGHT], 2)
        left, right = grid.rows[0].cells
        for index, line in enumerate(head.parent):
            self._line(left, line, 13, first=index == 0)
        for line in head.issuer:
            self._line(left, line, 13, bold=True)
        rule_under(self._paragraph(left), LEFT, min(LEFT, 2.75 * max(map(len, head.issuer))) * 0.42)
        self._line(right, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", 13, first=True, bold=True)
        self._line(right, MOTTO, 14, bold=True)
        rule_under(self._paragraph(right), RIGHT, MOTTO_WIDTH)
        left, right = grid.rows[1].cells
        self._line(left, head.number.replace(" ", "\u00a0"), 13, first=True, before=6)
        self._line(right, head.place_date, 14, first=True, before=6, italic=True)
        self._mark(head.mark)
        self._run(self._paragraph(align="center", before=10, keep=True), head.kind, 14, bold=True)
        for line in head.subject:
            self._run(self._paragraph(align="center", keep=True), line, 14, bold=True)
        rule_under(self._paragraph(), TEXT, min(TEXT, 2.4 * max(map(len, head.subject))) * 0.4)
        self._addressees(head.addressees)

    def _mark(self, text: str) -> None:
        from docx.shared import Mm

        spacing(self._paragraph(), 0, 0)
        if not text:
            return
        box = self._paper.add_table(1, 1)
        box.autofit = False
        box.style = "Table Grid"
        flush_left(box)
        cell = box.rows[0].cells[0]
        cell.width = box.columns[0].width = Mm(2.95 * len(text) + 4)
        self._line(cell, text, 13, first=True, bold=True)

    def _addressees(self, names: tuple[str, ...]) -> None:
        if not names:
            self._paragraph(after=4)
            return
        if len(names) == 1:
            self._run(self._paragraph(align="center", before=8, after=8), f"Kính gửi: {names[0]}.")
            return
        self._run(self._paragraph(left=28, before=8), "Kính gửi:")
        for index, name in enumerate(names, 1):
            end = ";" if index < len(names) else "."
            self._run(self._paragraph(left=45.5, after=8 if end == "." else 0, before=2), f"- {name}{end}")

    def _blocks(self, blocks: Sequence[Block]) -> None:
        for index, block in enumerate(blocks):
            self._block(block)
            if leads(blocks, index):
                self._paper.paragraphs[-1].paragraph_format.keep_with_next = True

    def _block(self, block: Block) -> None:
        match block:
            case Heading(level, text):
                self._heading(level, text)
            case Paragraph(runs, item):
                made = self._paragraph(align="justify", before=3, after=3, indent=12.7)
                if item:
                    self._run(made, "- ")
                for run in runs:
                    self._run(made, run.text, bold=run.bold, italic=run.italic)
            case Note(text):
                made = self._paragraph(align="justify", before=6, after=8)
                border(made, "12", "top", "left", "bottom", "right")
                self._run(made, text, bold=True)
            case Table():
                self._table(block)
            case Figure():
                self._figure(block)

    def _heading(self, level: int, text: str) -> None:
        made = self._paragraph(
            align="justify", before=10 if level == 1 else 6, after=4, indent=0 if level == 1 else 12.7, keep=True
        )
        made.style = self._paper.styles[f"Heading {level}"]
        self._run(made, text.upper() if level == 1 else text, bold=level < 3)

    def _table(self, table: Table) -> None:
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn
        from docx.shared import Mm

        made = self._paper.add_table(1 + len(table.rows), len(table.columns))
        made.style = "Table Grid"
        made.autofit = False
        flush_left(made)
        mark = OxmlElement("w:tblHeader")
        made.rows[0]._tr.get_or_add_trPr().append(mark)
        for column, wanted in zip(made.columns, table.columns, strict=True):
            column.width = Mm(wanted.width)
        body = [[column.head for column in table.columns], *table.rows]
        for index, (row, texts) in enumerate(zip(made.rows, body, strict=True)):
            row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
            cells = row.cells
            for cell, text, column in zip(cells, texts, table.columns, strict=True):
                cell.width = Mm(column.width)
                set_cell(cell, side=1)
                align = column.align if index else "center"
                for number, line in enumerate(text.split("\n")):
                    self._line(cell, line, table.size, first=number == 0, align=align, bold=index == 0)
        gap = self._paragraph()
        spacing(gap, 0, 0)
        size = OxmlElement("w:rPr")  # the empty line after a table is as high as its mark: 8 pt, as in the PDF
        half_points = OxmlElement("w:sz")
        half_points.set(qn("w:val"), "16")
        size.append(half_points)
        gap._p.get_or_add_pPr().append(size)

    def _figure(self, figure: Figure) -> None:
        from docx.shared import Mm

        made = self._paragraph(align="center", before=6, keep=True)
        run = made.add_run()
        picture = run.add_picture(BytesIO(figure.png), width=Mm(figure.width))
        picture._inline.docPr.set("descr", figure.alt)
        self._run(self._paragraph(align="center", after=8), figure.caption, 12, italic=True)

    def _signatures(self, closing: Closing) -> None:
        """Side by side, each with room for the hand; the recipients below."""
        grid = self._grid([TEXT / len(closing.signatures)] * len(closing.signatures), 1)
        grid.rows[0]._tr.get_or_add_trPr().append(_no_split())
        for cell, signature in zip(grid.rows[0].cells, closing.signatures, strict=True):
            for index, line in enumerate(signature.role):
                self._line(cell, line, 13, first=index == 0, bold=True)
            self._line(cell, "(Ký, ghi rõ họ tên)", 12, italic=True)
            self._line(cell, signature.name, 13, before=48, bold=True)
        for index, name in enumerate(("Nơi nhận:", *closing.recipients)):
            made = self._paragraph(before=6 if index == 0 else 0)
            end = "" if index == 0 else ";" if index < len(closing.recipients) else "."
            self._run(made, f"- {name}{end}" if index else name, 11 if index else 12, bold=not index, italic=not index)

    def _closing(self, closing: Closing) -> None:
        self._paragraph(keep=True)
        if closing.signatures:
            self._signatures(closing)
            return
        grid = self._grid([75, 85], 1)
        grid.rows[0]._tr.get_or_add_trPr().append(_no_split())
        left, right = grid.rows[0].cells
        self._line(left, "Nơi nhận:", 12, first=True, align="left", bold=True, italic=True)
        for index, name in enumerate(closing.recipients, 1):
            self._line(left, f"- {name}{';' if index < len(closing.recipients) else '.'}", 11, align="left")
        self._line(right, closing.authority.upper(), 14, first=True, bold=True)
        self._line(right, closing.title.upper(), 14, bold=True)
        self._line(right, closing.signer, 14, before=80, bold=True)

    def _appendix(self, appendix: Appendix, head: Letterhead) -> None:
        from docx.enum.section import WD_SECTION

        section = self._paper.add_section(WD_SECTION.NEW_PAGE)
        _page(section, landscape=appendix.landscape)
        restart_numbers(section)
        title = self._paragraph(align="center", keep=True)
        title.style = self._paper.styles["Heading 1"]
        self._run(title, f"Phụ lục {appendix.roman}".strip(), bold=True)
        self._run(self._paragraph(align="center", keep=True), appendix.title.upper(), bold=True)
        number = head.number.partition("/")[2]
        blank = "\u00a0" * 6
        self._run(
            self._paragraph(align="center", after=8),
            f"(Kèm theo {head.kind.capitalize()} số {blank}/{number} ngày {blank} tháng {blank} năm {blank})",
            italic=True,
        )
        self._blocks(appendix.blocks)

    def _numbers(self, section: Any) -> None:
        """Page number centred in the top margin; the first page has a header of its own, which is empty."""
        from docx.enum.text import WD_ALIGN_PARAGRAPH

        line = section.header.paragraphs[0]
        line.alignment = WD_ALIGN_PARAGRAPH.CENTER
        self._run(line, "", 13)
        add_field(line.runs[0], "PAGE")
        spacing(section.first_page_header.paragraphs[0], 0, 0)


def _no_split() -> Any:
    from docx.oxml import OxmlElement

    return OxmlElement("w:cantSplit")
