"""The PDF: one family of fonts, the same bytes twice, every section on paper, long and strange names kept whole."""

import shutil
import subprocess

import pytest

from ops.report import pdf
from tests.report.test_docx import ALPHABET
from tests.report.world import World, make_report, make_site, mixed_year

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
needs_liberation = pytest.mark.skipif(not pdf.LIBERATION.is_dir(), reason="fonts-liberation2 is not installed")


def tool(name, path, *options):
    """What pdftotext (to standard output), pdffonts or pdfinfo says of a file."""
    out = ["-"] if name == "pdftotext" else []
    return subprocess.run(
        [name, *options, str(path), *out], check=True, capture_output=True, timeout=60
    ).stdout.decode()


@pytest.fixture(scope="module")
def raw():
    return pdf.render(make_report(mixed_year()))


@pytest.fixture(scope="module")
def path(raw, tmp_path_factory):
    place = tmp_path_factory.mktemp("pdf") / "paper.pdf"
    place.write_bytes(raw)
    return place


def test_the_same_input_gives_the_same_bytes(raw):
    assert pdf.render(make_report(mixed_year())) == raw


@needs_poppler
@needs_liberation
def test_one_family_and_nothing_else(path):
    fonts = tool("pdffonts", path).splitlines()[2:]
    assert fonts and all("LiberationSerif" in line.split()[0] for line in fonts)


@needs_poppler
def test_a4_pages_numbered_from_the_second_and_anew_in_appendices(path):
    sizes = [
        line for line in tool("pdfinfo", path, "-f", "1", "-l", "99").splitlines() if "size:" in line and "Page" in line
    ]
    assert all("595.2" in line and "841.8" in line for line in sizes)
    pages = tool("pdftotext", path, "-layout").split("\f")[:-1]
    numbers, expected = [], 0
    for page in pages:
        lines = page.strip().splitlines()
        if lines[0].startswith("ỦY BAN") or lines[0].strip().startswith("Phụ lục"):
            expected = 1
        else:
            expected += 1
            assert lines[0].strip() == str(expected)
        numbers.append(expected)
    assert numbers.count(1) == 5


@needs_poppler
def test_page_one_and_the_ending(path):
    text = tool("pdftotext", path, "-layout")
    first = text.split("\f")[0]
    for part in (
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        "Độc lập - Tự do - Hạnh phúc",
        "Số:",
        "/BC-BBT",
        "LƯU HÀNH NỘI BỘ",
        "An Bình, ngày 15 tháng 12 năm 2026",
        "BÁO CÁO",
        "Kính gửi:",
        "I. TÓM TẮT CHO LÃNH ĐẠO",
    ):
        assert part in first, part
    page = next(part for part in text.split("\f") if "Nơi nhận:" in part)
    assert "./." in page and "Nguyễn Văn Mẫu" in page and "TM. BAN BIÊN TẬP" in page


@needs_poppler
@pytest.mark.parametrize(
    "name", ["Trang " + "rất dài " * 37, f"Trang {ALPHABET}", 'Trang #let x = "1" $ \\ *a* @b <c>']
)
def test_names_are_text_never_markup(tmp_path, name):
    place = tmp_path / "paper.pdf"
    place.write_bytes(pdf.render(make_report(World(), duties={}, site=make_site(name=name))))
    flat = "".join(tool("pdftotext", place).split())
    assert "".join(name.split()) in flat


@needs_poppler
def test_a_ledger_that_does_not_verify_is_told_on_page_one(tmp_path):
    place = tmp_path / "paper.pdf"
    place.write_bytes(pdf.render(make_report(World(), duties={}, verified=False)))
    assert "không xác minh được" in " ".join(tool("pdftotext", place, "-l", "1").split())
