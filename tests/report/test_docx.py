"""Layout of the DOCX by NĐ 30/2020, Phụ lục I: the paper is read back, not trusted."""

import shutil
import subprocess
import unicodedata
from io import BytesIO

import docx
import pytest
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn

from ops.report import docx as writer
from tests.report.world import World, make_report, make_site, mixed_year

LETTERS = [
    chr(code)
    for code in (*range(0xC0, 0x1B1), *range(0x1EA0, 0x1EFA))
    if chr(code) in "ÀÁÂÃÈÉÊÌÍÒÓÔÕÙÚÝàáâãèéêìíòóôõùúýĂăĐđĨĩŨũƠơƯư" or code >= 0x1EA0
]
ALPHABET = " ".join("".join(LETTERS[start : start + 6]) for start in range(0, len(LETTERS), 6))


@pytest.fixture(scope="module")
def raw():
    return writer.render(make_report(mixed_year()))


@pytest.fixture(scope="module")
def paper(raw):
    return docx.Document(BytesIO(raw))


def every_run(paper):
    bodies = [paper.element.body, *(section.header._element for section in paper.sections)]
    for body in bodies:
        yield from body.iter(qn("w:r"))


def run_of(where, text):
    return next(run for line in where.paragraphs for run in line.runs if run.text == text)


def test_every_page_is_a4_with_margins_in_range(paper):
    for section in paper.sections:
        sides = sorted((round(section.page_width.mm), round(section.page_height.mm)))
        assert sides == [210, 297]
        assert 20 <= section.top_margin.mm <= 25 and 20 <= section.bottom_margin.mm <= 25
        assert 15 <= section.right_margin.mm <= 20.01
    first = paper.sections[0]
    assert (round(first.page_width.mm), round(first.left_margin.mm)) == (210, 30)


def test_every_run_and_every_style_is_times_new_roman_for_every_script(paper):
    count = 0
    for run in every_run(paper):
        if run.find(qn("w:drawing")) is not None:
            continue
        fonts = run.rPr.rFonts
        assert {fonts.get(qn(f"w:{kind}")) for kind in ("ascii", "hAnsi", "eastAsia", "cs")} == {"Times New Roman"}
        assert run.rPr.find(qn("w:color")).get(qn("w:val")) == "000000"
        count += 1
    assert count > 500
    for fonts in paper.styles.element.iter(qn("w:rFonts")):
        assert set(fonts.attrib.values()) <= {"Times New Roman"}, fonts.attrib


def test_the_first_page_from_the_top(paper):
    left, right = paper.tables[0].rows[0].cells
    nation = run_of(right, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM")
    motto = run_of(right, "Độc lập - Tự do - Hạnh phúc")
    assert (nation.font.size.pt, nation.font.bold, motto.font.size.pt, motto.font.bold) == (13, True, 14, True)
    assert not run_of(left, "ỦY BAN NHÂN DÂN").font.bold and run_of(left, "BAN BIÊN TẬP TRANG").font.bold
    number, place = paper.tables[0].rows[1].cells
    assert number.text.replace("\u00a0", " ") == "Số:      /BC-BBT"
    assert run_of(place, "An Bình, ngày 15 tháng 12 năm 2026").font.italic
    kind = next(line for line in paper.paragraphs if line.text == "BÁO CÁO")
    assert kind.alignment == WD_ALIGN_PARAGRAPH.CENTER and kind.runs[0].font.bold and kind.runs[0].font.size.pt == 14
    texts = [line.text for line in paper.paragraphs]
    # the head of the board signs, so the paper goes above him only
    assert "Kính gửi: Ủy ban nhân dân xã An Bình." in texts


def test_a_paper_that_the_head_does_not_sign_goes_to_him_too():
    from ops.model import Office
    from ops.report.annual_risk import _addressees

    assert _addressees(Office(parent="ỦY BAN NHÂN DÂN XÃ AN BÌNH", title="TỔ TRƯỞNG")) == (
        "Trưởng Ban Biên tập", "Ủy ban nhân dân xã An Bình")
    assert _addressees(Office(title="TRƯỞNG BAN")) == ("Ủy ban nhân dân xã",)


def test_rules_under_the_motto_and_the_issuer(paper):
    left, right = paper.tables[0].rows[0].cells
    for cell, low, high, room in ((right, 0.98, 1.02, 98), (left, 0.33, 0.5, 62)):
        line = cell.paragraphs[-1]
        assert line._p.pPr.find(qn("w:pBdr")).find(qn("w:bottom")).get(qn("w:val")) == "single"
        length = room - line.paragraph_format.left_indent.mm - line.paragraph_format.right_indent.mm
        reference = 60.46 if cell is right else 51.0
        assert low <= length / reference <= high


def test_the_page_number_is_hidden_on_page_one_and_restarts_in_each_appendix(paper):
    first = paper.sections[0]
    assert first.different_first_page_header_footer
    assert "".join(line.text for line in first.first_page_header.paragraphs) == ""
    field = first.header._element.findall(".//" + qn("w:instrText"))
    assert [part.text for part in field] == ["PAGE"]
    assert first.header.paragraphs[0].alignment == WD_ALIGN_PARAGRAPH.CENTER
    starts = [section._sectPr.find(qn("w:pgNumType")) for section in paper.sections]
    assert starts[0] is None and [part.get(qn("w:start")) for part in starts[1:]] == ["1"] * 4


def test_the_body_is_justified_with_an_indent_and_ends_with_the_mark(paper):
    texts = [
        line
        for line in paper.paragraphs
        if line.alignment == WD_ALIGN_PARAGRAPH.JUSTIFY and line.style.name == "Normal"
    ]
    assert len(texts) > 40
    for line in texts:
        assert line.paragraph_format.first_line_indent.mm == pytest.approx(12.7, abs=0.1)
        assert all(run.font.size.pt == 14 for run in line.runs)
    assert [line.text for line in texts if line.text.endswith("./.")]


def test_recipients_are_12_and_11(paper):
    table = next(item for item in paper.tables if item.rows[0].cells[0].text.startswith("Nơi nhận:"))
    lines = table.rows[0].cells[0].paragraphs
    head = lines[0].runs[0].font
    assert (head.size.pt, head.bold, head.italic) == (12, True, True)
    assert [line.text for line in lines[1:]] == [
        "- Như trên;",
        "- Thường trực HĐND xã;",
        "- Văn phòng HĐND và UBND xã;",
        "- Lưu: VT, Tổ chuyên trách.",
    ]
    assert all(run.font.size.pt == 11 for line in lines[1:] for run in line.runs)
    assert [line.text for line in table.rows[0].cells[1].paragraphs] == [
        "TM. BAN BIÊN TẬP",
        "TRƯỞNG BAN",
        "Nguyễn Văn Mẫu",
    ]


def test_headings_by_level(paper):
    for line in paper.paragraphs:
        if line.style.name == "Heading 1" and not line.text.startswith("Phụ lục"):
            assert line.text == line.text.upper() and line.runs[0].font.bold
        if line.style.name == "Heading 3":
            assert line.text[1] == ")" and not line.runs[0].font.bold


def test_the_picture_has_words_for_those_who_cannot_see_it(paper):
    alt = [part.get("descr") for part in paper.element.body.iter(qn("wp:docPr"))]
    assert len(alt) == 1 and "R3-01: khả năng 3, tác động 5, mức cao" in alt[0]


def test_the_text_is_nfc_and_the_bytes_are_steady(raw, paper):
    text = "".join(part.text or "" for part in paper.element.body.iter(qn("w:t")))
    assert unicodedata.is_normalized("NFC", text)
    assert writer.render(make_report(mixed_year())) == raw


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("name", ["Trang " + "rất dài " * 37, f"Trang {ALPHABET}"])
def test_libreoffice_prints_it_with_one_header_block(tmp_path, name):
    assert len(LETTERS) == 134
    document = make_report(World(), duties={}, site=make_site(name=name))
    (tmp_path / "paper.docx").write_bytes(writer.render(document))
    subprocess.run(
        [
            "soffice",
            f"-env:UserInstallation=file://{tmp_path}/lo",
            "--headless",
            "--convert-to",
            "pdf",
            "--outdir",
            str(tmp_path),
            str(tmp_path / "paper.docx"),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    text = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "paper.pdf"), "-"], check=True, capture_output=True, timeout=60
    ).stdout.decode()
    assert text.count("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM") == 1
    assert text.count("Nơi nhận:") == 1
    assert "".join(name.split()) in "".join(text.split())
    pages = text.split("\f")
    assert "BÁO CÁO" in pages[0] and pages[1].split()[0] == "2" and pages[0].split()[0] != "1"
