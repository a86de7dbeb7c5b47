"""What python-docx has no verb for: fonts of every script, borders, fields, cell margins, page numbers that restart."""

from __future__ import annotations

from typing import Any

FONT = "Times New Roman"


def named_fonts(paper: Any) -> None:
    """Times New Roman, black, for every script in every style and in the defaults; no theme font is left."""
    from docx.enum.style import WD_STYLE_TYPE
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    for fonts in paper.styles.element.iter(qn("w:rFonts")):
        _every_script(fonts)
    for style in paper.styles:
        if style.type in (WD_STYLE_TYPE.PARAGRAPH, WD_STYLE_TYPE.CHARACTER):
            style.font.name = FONT
            style.font.color.rgb = RGBColor(0, 0, 0)
            _every_script(style.element.rPr.rFonts)
    normal = paper.styles["Normal"]
    normal.font.size = Pt(14)
    language = paper.styles.element.find(".//" + qn("w:lang"))
    if language is not None:
        language.set(qn("w:val"), "vi-VN")


def _every_script(fonts: Any) -> None:
    from docx.oxml.ns import qn

    for name in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        fonts.attrib.pop(qn(f"w:{name}"), None)
    for name in ("ascii", "hAnsi", "eastAsia", "cs"):
        fonts.set(qn(f"w:{name}"), FONT)


def spacing(paragraph: Any, before: float, after: float) -> None:
    """Points before and after; single line spacing."""
    from docx.shared import Pt

    shape = paragraph.paragraph_format
    shape.space_before, shape.space_after, shape.line_spacing = Pt(before), Pt(after), 1.0


def border(paragraph: Any, eighths: str, *sides: str) -> None:
    """Solid black borders, `eighths` of a point thick."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    borders = OxmlElement("w:pBdr")
    for side in sides:
        line = OxmlElement(f"w:{side}")
        for key, value in (
            ("val", "single"),
            ("sz", eighths),
            ("space", "1" if len(sides) == 1 else "4"),
            ("color", "000000"),
        ):
            line.set(qn(f"w:{key}"), value)
        borders.append(line)
    properties = paragraph._p.get_or_add_pPr()
    later = next((child for child in properties if child.tag in [qn(f"w:{name}") for name in _AFTER_BORDERS]), None)
    if later is None:
        properties.append(borders)
    else:
        later.addprevious(borders)


_AFTER_BORDERS = ("shd", "tabs", "suppressAutoHyphens", "spacing", "ind", "contextualSpacing", "jc", "rPr", "sectPr")


def rule_under(paragraph: Any, room: float, length: float) -> None:
    """Makes an empty line a centred rule of `length` mm within `room` mm (a border between two indents)."""
    from docx.enum.text import WD_LINE_SPACING
    from docx.shared import Mm, Pt

    side = max(0.0, (room - length) / 2)
    shape = paragraph.paragraph_format
    shape.left_indent = shape.right_indent = Mm(side)
    shape.space_before = shape.space_after = Pt(0)
    shape.line_spacing_rule, shape.line_spacing = WD_LINE_SPACING.EXACTLY, Pt(3)
    border(paragraph, "6", "bottom")


def set_cell(cell: Any, side: float) -> None:
    """Inner margins of a cell: `side` mm to left and right, a little above and below ruled cells."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    margins = OxmlElement("w:tcMar")
    for name, wide in (("top", side / 2), ("left", side), ("bottom", side / 2), ("right", side)):
        edge = OxmlElement(f"w:{name}")
        edge.set(qn("w:w"), str(round(wide * 56.7)))
        edge.set(qn("w:type"), "dxa")
        margins.append(edge)
    cell._tc.get_or_add_tcPr().append(margins)


def flush_left(table: Any) -> None:
    """The table begins where the text begins: no indent, no cell margin of the table's own."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    properties = table._tbl.tblPr
    indent = OxmlElement("w:tblInd")
    margins = OxmlElement("w:tblCellMar")
    for side in ("left", "right"):
        margins.append(OxmlElement(f"w:{side}"))
    for part in (indent, *margins):
        part.set(qn("w:w"), "0")
        part.set(qn("w:type"), "dxa")
    layout = properties.find(qn("w:tblLayout"))
    layout.addprevious(indent)
    layout.addnext(margins)


def add_field(run: Any, code: str) -> None:
    """A field (PAGE) that the reader's program fills in."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for kind, text in (("begin", ""), ("", code), ("end", "")):
        part = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            part.set(qn("w:fldCharType"), kind)
        else:
            part.text = text
        run._r.append(part)


def restart_numbers(section: Any) -> None:
    """Page numbers of the section begin at 1 again."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    numbers = OxmlElement("w:pgNumType")
    numbers.set(qn("w:start"), "1")
    properties = section._sectPr
    for old in properties.findall(qn("w:pgNumType")):
        properties.remove(old)
    later = properties.find(qn("w:cols"))
    if later is None:
        properties.append(numbers)
    else:
        later.addprevious(numbers)
