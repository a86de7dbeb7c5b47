"""text.unicode: UTF-8 declared and true, composed, no TCVN3 and VNI; and no false alarm on what only looks odd."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import legacy
from monitoring.checks.unicode import unicode
from monitoring.legacy import decomposed, from_tcvn3, from_vni, is_syllable, traces
from tests.monitoring.portal import BROKEN, FRONT, MET, RISK, Portal, ago, portal, rss

SAYS = (
    "Ủy ban nhân dân xã Suối Trong thông báo: từ thứ hai tuần tới, bộ phận một cửa tiếp nhận hồ sơ đất đai vào buổi sáng; "
    "bà con mang theo giấy tờ gốc, nghỉ trưa từ mười một giờ rưỡi. Kính mời các hộ ở thôn Bãi Đá và thôn Khuổi Nà đến "
    "nhà văn hóa để nghe phổ biến chính sách hỗ trợ giống lúa, phân bón và phòng chống dịch bệnh cho đàn vật nuôi. "
    "Quyết định có hiệu lực kể từ ngày ký; mọi ý kiến gửi về Văn phòng, tỷ lệ hưởng ứng ước đạt chín mươi phần trăm."
)
"""Invented. Nearly every vowel and tone of the language."""


def to_tcvn3(text: str) -> str:
    """Through glibc's own table, as cp1252 shows the bytes."""
    iconv = shutil.which("iconv")
    assert iconv, "iconv belongs to libc-bin"
    done = subprocess.run([iconv, "-f", "utf-8", "-t", "TCVN5712-1"], input=text.lower().encode(), capture_output=True,
                          check=True, timeout=20)
    return done.stdout.decode("latin-1")


def to_vni(text: str) -> str:
    """By the marks of VNI-Windows: tone and hat become one sign after the vowel."""
    tones = dict(zip("\u0300\u0301\u0309\u0303\u0323", "øùûõï", strict=True))
    hats = {"\u0302": dict(zip(["", *tones], "âàáåãä", strict=True)),
            "\u0306": dict(zip(["", *tones], "êèéúüë", strict=True))}
    single = {"đ": "ñ", "í": "í", "ì": "ì", "ỉ": "æ", "ĩ": "ó", "ị": "ò", "ỵ": "î"}
    made = []
    for sign in text.lower():
        if sign in single:
            made.append(single[sign])
            continue
        spread = unicodedata.normalize("NFD", sign)
        base, marks = spread[0], spread[1:]
        tone = next((mark for mark in marks if mark in tones), "")
        hat = next((mark for mark in marks if mark in hats), "")
        if "\u031b" in marks:
            made.append({"o": "ô", "u": "ö"}[base] + tones.get(tone, ""))
        elif hat:
            made.append(base + hats[hat][tone])
        else:
            made.append(base + tones.get(tone, ""))
    return "".join(made)


def test_the_tcvn3_table_is_glibcs() -> None:
    for sign, letter in legacy._tcvn3().items():
        done = subprocess.run(["iconv", "-f", "TCVN5712-1", "-t", "utf-8"], input=sign.encode("latin-1"), capture_output=True,
                              check=True, timeout=20)
        assert unicodedata.normalize("NFC", done.stdout.decode()) == letter, sign


def test_every_word_is_a_syllable_and_comes_back_from_both_fonts() -> None:
    for word in SAYS.lower().replace(":", " ").replace(",", " ").replace(".", " ").replace(";", " ").split():
        assert is_syllable(word), word
        assert from_vni(to_vni(word)) == word
        # glibc writes some tones as a mark of their own; the fonts have one byte for each
        assert unicodedata.normalize("NFC", from_tcvn3(to_tcvn3(word))) == word


@pytest.mark.parametrize("word", ["qqq", "bcd", "tuyếnn", "hoạcf", "ctá", "cảt", "bắcx", "áà", "nghễcch", "weblog", ""])
def test_what_is_no_syllable(word: str) -> None:
    assert not is_syllable(word)


def test_old_fonts_are_found() -> None:
    assert [one.kind for one in traces(to_tcvn3(SAYS))] == ["tcvn3"]
    assert [one.kind for one in traces(to_vni(SAYS))] == ["vni"]
    assert [one.kind for one in traces(SAYS.encode().decode("cp1252", "replace"))] == ["utf8_twice"]
    known = "Uû ban nh©n d©n x· th«ng b¸o lÞch tiÕp c«ng d©n"
    assert traces(known)[0].kind == "tcvn3"
    assert traces("Uûy ban nhaân daân xaõ thoâng baùo lòch tieáp coâng daân")[0].kind == "vni"


def test_one_old_paragraph_within_a_long_page_is_found() -> None:
    page = " ".join([SAYS] * 30 + [to_tcvn3(SAYS[:120])] + [SAYS] * 30)
    [found] = traces(page)
    assert found.kind == "tcvn3" and 4 <= found.words < 40 and found.sample


@pytest.mark.parametrize("text", [
    SAYS, SAYS.upper(), unicodedata.normalize("NFD", SAYS), " ".join(SAYS.split()[::-1]),
    "© 2026 UBND xã · Bản quyền ® · Điện thoại: 0205 … « trang trước » ½ ngày, ± 5 °C, 3 × 4 m², § 5, ¶, 100 µm, 20 ¢",
    "Le maître août où naïve Noël haï Moïse forêt garçon œuvre cœur ça déjà être hôtel île dûment maïs coût goût",
    "Mädchen für Köln über Straße größer Müller schön Bäume Häuser weiß Öl Äpfel Übung Füße süß",
    "señor año niño mañana español pingüino corazón ¿qué? ¡hola! smörgåsbord Århus Ærø Malmö þetta það",
    "Português: não, coração, ações, três, também, pães; čeština: žluťoučký kůň; polski: zażółć gęślą jaźń",
    "Sli, Slư, Cằm Tày – Nùng; then, lượn; Đăk Lắk, Krông Pắc, Pleiku, H'Mông, Êđê, Bana, M'Nông, K'Ho, Ea H'leo",
    "Tiếng Nga: Здравствуйте; 中文 公告 通知; 한국어; ภาษาไทย; हिन्दी; العربية; Ελληνικά", "", "a" * 500_000, "© " * 90_000,
    "TCVN3: «®» là đ, «µ» là à, «¸» là á, «¶» là ả, «·» là ã, «¹» là ạ",
])
def test_no_false_alarm(text: str) -> None:
    assert traces(text) == []


@given(st.text(max_size=400))
def test_any_text_is_read(text: str) -> None:
    for one in traces(text):
        assert one.words >= 4
    loose, marked = decomposed([text])
    assert 0 <= loose <= marked


def test_decomposed_letters() -> None:
    assert decomposed([SAYS])[0] == 0
    loose, marked = decomposed([unicodedata.normalize("NFD", SAYS)])
    assert loose > 0.7 * marked  # đ, and letters in which a horn stays, are counted once
    # a mark that has no composed form with its letter, as Tày and Nùng writing needs, is no fault
    assert decomposed(["m\u0302 g\u0300"])[0] == 0
    assert decomposed(["K\u212b \uf900"])[0] == 0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Portal]:
    with portal(tmp_path) as made:
        yield made


def test_a_page_in_order(site: Portal) -> None:
    site.put("rss.xml", rss(("/tin/1.html", "Phiên chợ", ago(1), "")))
    site.put("tin/1.html", f"<!doctype html><meta charset=utf-8><title>Phiên chợ</title><p>{SAYS}")
    found = site.run(unicode)
    assert {key: one.verdict for key, one in found.items()} == {"charset": MET, "composed": MET, "legacy": MET}
    assert found["charset"].measures["pages"] == 2


def test_old_text_on_the_newest_page_is_broken(site: Portal) -> None:
    site.put("rss.xml", rss(("/tin/1.html", "Phiên chợ", ago(1), "")))
    site.put("tin/1.html", f"<!doctype html><meta charset=utf-8><title>x</title><p>{to_tcvn3(SAYS)}<script>var ok=1</script>")
    found = site.run(unicode)["legacy"]
    assert found.verdict is BROKEN and "TCVN3" in found.detail.vi and "/tin/1.html" in found.detail.vi
    assert site.run(unicode, pages=0)["legacy"].verdict is MET


@pytest.mark.parametrize(("path", "body", "verdict", "word"), [
    ("vn/", FRONT.encode(), BROKEN, "cp1258"), ("bare/", FRONT.replace("<meta charset=utf-8>", "").encode(), BROKEN, "không khai báo"),
    ("bare/", FRONT.encode("cp1258", "replace"), BROKEN, "không phải UTF-8"), ("bare/", FRONT.encode(), MET, "UTF-8"),
    ("", FRONT.replace("charset=utf-8", "charset=windows-1252").encode(), RISK, "cp1252"),
    ("bare/", b"\xef\xbb\xbf" + FRONT.replace("<meta charset=utf-8>", "").encode(), MET, "UTF-8"),
])
def test_charsets(site: Portal, path: str, body: bytes, verdict: object, word: str) -> None:
    site.put(f"{path}index.html", body)
    found = site.run(unicode, url=site.url + path)["charset"]
    assert found.verdict is verdict and word in found.detail.vi


def test_loose_letters(site: Portal) -> None:
    whole = f"<!doctype html><meta charset=utf-8><nav><a href=/x>x</a></nav><p>{unicodedata.normalize('NFD', SAYS)}"
    site.put("index.html", whole)
    assert site.run(unicode)["composed"].verdict is BROKEN
    site.put("index.html", f"<!doctype html><meta charset=utf-8><nav><a href=/x>x</a></nav><p>{SAYS * 20} a\u0301")
    found = site.run(unicode)["composed"]
    assert found.verdict is RISK and found.measures["loose_letters"] == 1
