"""Finds Vietnamese text of the fonts before Unicode: TCVN3 (ABC, `.VnTime`), VNI, and UTF-8 that was encoded twice.

Such text is stored as Latin letters and signs ("Uû ban nh©n d©n", "Uûy ban nhaân daân") that only an old font shows
right. A word counts only when it is no Vietnamese syllable as it stands and becomes one when it is turned by the font's
table, tone rules included; and only runs of such words are told. French, German, "© 2026", "½",
« » and prices stay quiet. Tables: TCVN 5712:1993 (VN3) and VNI-Windows as cp1252 shows them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from ops import nfc

WINDOW, ENOUGH, DISTINCT = 10, 4, 3
"""Words looked at together; how many of them must be of an old font; how many different ones."""
MOST_WORDS = 100_000

_TONES = "\u0300\u0309\u0303\u0301\u0323"
_TCVN3_PLAIN = dict(zip("®©ª«¬\u00ad¨¡¢£¤¥¦§", "đâêôơưăĂÂÊÔƠƯĐ", strict=True))
_TCVN3_TONED = {
    "a": "µ¶·¸¹", "ă": "»¼½¾Æ", "â": "ÇÈÉÊË", "e": "ÌÎÏÐÑ", "ê": "ÒÓÔÕÖ", "i": "×ØÜÝÞ", "o": "ßáâãä", "ô": "åæçèé",
    "ơ": "êëìíî", "u": "ïñòóô", "ư": "õö÷øù", "y": "úûüýþ",
}
"""Each vowel with grave, hook, tilde, acute, dot below."""
_VNI_MARKS = {
    "a": {"ø": "à", "ù": "á", "û": "ả", "õ": "ã", "ï": "ạ", "â": "â", "à": "ầ", "á": "ấ", "å": "ẩ", "ã": "ẫ", "ä": "ậ",
          "ê": "ă", "è": "ằ", "é": "ắ", "ú": "ẳ", "ü": "ẵ", "ë": "ặ"},
    "e": {"ø": "è", "ù": "é", "û": "ẻ", "õ": "ẽ", "ï": "ẹ", "â": "ê", "à": "ề", "á": "ế", "å": "ể", "ã": "ễ", "ä": "ệ"},
    "o": {"ø": "ò", "ù": "ó", "û": "ỏ", "õ": "õ", "ï": "ọ", "â": "ô", "à": "ồ", "á": "ố", "å": "ổ", "ã": "ỗ", "ä": "ộ"},
    "u": {"ø": "ù", "ù": "ú", "û": "ủ", "õ": "ũ", "ï": "ụ"},
    "y": {"ø": "ỳ", "ù": "ý", "û": "ỷ", "õ": "ỹ"},
    "ô": {"": "ơ", "ø": "ờ", "ù": "ớ", "û": "ở", "õ": "ỡ", "ï": "ợ"},
    "ö": {"": "ư", "ø": "ừ", "ù": "ứ", "û": "ử", "õ": "ữ", "ï": "ự"},
}
_VNI_SINGLE = {"í": "í", "ì": "ì", "æ": "ỉ", "ó": "ĩ", "ò": "ị", "î": "ỵ", "ñ": "đ"}
_TWICE = re.compile("[\u00c3\u00c4\u00c6][\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u2010-\u203a\u20ac\u2122]|á[»º]")



def _listed(words: str) -> list[str]:
    """Words parted by spaces: a table reads better so."""
    return words.split()


_ONSETS = _listed("ngh ng nh ch gh gi kh ph qu th tr b c d đ g h k l m n p r s t v x")
_RHYMES = frozenset(_listed(
    "a ac ach ai am an ang anh ao ap at au ay ăc ăm ăn ăng ăp ăt âc âm ân âng âp ât âu ây e ec em en eng eo ep et ê êch êm "
    "ên ênh êp êt êu i ia ich iêc iêm iên iêng iêp iêt iêu im in inh ip it iu o oa oac oach oai oam oan oang oanh oao oap "
    "oat oay oăc oăm oăn oăng oăt oc oe oen oeo oet oi om on ong ooc oong op ot ô ôc ôi ôm ôn ông ôp ôt ơ ơi ơm ơn ơp ơt u "
    "ua uân uâng uât uây uc uê uêch uên uênh ui um un ung uôc uôi uôm uôn uông uôt up ut uơ uy uya uych uyên uyêt uynh "
    "uyp uyt uyu ư ưa ưc ưi ưng ươc ươi ươm ươn ương ươp ươt ươu ưt ưu y yêm yên yêng yêt yêu yn ynh yt ych uynh iên"
))
_STOPS = ("c", "ch", "p", "t")


@dataclass(frozen=True, slots=True)
class Trace:
    """Text of an old font: which one (`tcvn3`, `vni`, `utf8_twice`), how many words, and the first run of them."""

    kind: str
    words: int
    sample: str


@lru_cache(maxsize=20_000)
def is_syllable(word: str) -> bool:
    """True for a possible Vietnamese syllable, by onset, rhyme and tone. Any case, NFC."""
    spread = unicodedata.normalize("NFD", word.casefold().replace("đ", "\x00"))
    tones = [sign for sign in spread if sign in _TONES]
    plain = nfc("".join(sign for sign in spread if sign not in _TONES)).replace("\x00", "đ")
    if len(tones) > 1 or not 1 <= len(plain) <= 7:
        return False
    for onset in ("", *_ONSETS):
        rhyme = plain.removeprefix(onset)
        if plain.startswith(onset) and rhyme in _RHYMES:
            # syllables that end in a stop carry the acute or the dot below, and no other tone
            return not rhyme.endswith(_STOPS) or (bool(tones) and tones[0] in "\u0301\u0323")
    return False


def from_tcvn3(word: str) -> str:
    """The word as a TCVN3 font shows it. Capitals with tones were a font of their own: they come out small."""
    return "".join(_tcvn3().get(sign, sign) for sign in word)


@lru_cache(maxsize=1)
def _tcvn3() -> dict[str, str]:
    table = dict(_TCVN3_PLAIN)
    for vowel, signs in _TCVN3_TONED.items():
        table.update({sign: nfc(vowel + tone) for sign, tone in zip(signs, _TONES, strict=True)})
    return table


def from_vni(word: str) -> str:
    """The word as a VNI font shows it, in small letters."""
    made, small, at = [], word.lower(), 0
    while at < len(small):
        sign, after = small[at], small[at + 1:at + 2]
        marks = _VNI_MARKS.get(sign, {})
        if after and after in marks:
            made.append(marks[after])
            at += 2
            continue
        made.append(marks.get("") or _VNI_SINGLE.get(sign, sign))
        at += 1
    return "".join(made)


_VIETNAMESE = frozenset(
    nfc(vowel + tone) for vowel in "aăâeêioôơuưy" for tone in ("", *_TONES)
) | frozenset("abcdefghijklmnopqrstuvwxyzđ")
_TCVN3_WORD = re.compile("[A-Za-z" + re.escape("".join(sorted({*_TCVN3_PLAIN, *"".join(_TCVN3_TONED.values())}))) + "]{2,12}")
_LATIN_WORD = re.compile("[A-Za-zÀ-ÖØ-öø-ÿ]{2,12}")


def _shows(kind: Callable[[str], str], word: str) -> bool:
    """True when the word is of that font: no syllable as it stands, and one once it is turned."""
    if not re.search("[A-Za-z]", word) or is_syllable(word):
        return False
    turned = kind(word)
    return turned != word.lower() and is_syllable(turned)


def traces(text: str) -> list[Trace]:
    """What old fonts left in a text, at most one entry for each kind. Bounded: the first 100,000 words are read."""
    words = text.split()[:MOST_WORDS]
    found = [_runs("tcvn3", words, lambda one: _of(one, _TCVN3_WORD, from_tcvn3)),
             _runs("vni", words, lambda one: _of(one, _LATIN_WORD, from_vni)),
             _runs("utf8_twice", words, lambda one: len(one) <= 60 and len(_TWICE.findall(one)) > 0)]
    return [one for one in found if one is not None]


def _of(word: str, shape: re.Pattern[str], turn: Callable[[str], str]) -> bool:
    """Whether the core of a written word (less brackets, commas, stops) is of a font."""
    core = word.strip(".,;:!?()[]\"'“”‘’…-–/")
    return bool(shape.fullmatch(core)) and _shows(turn, core)


def _runs(kind: str, words: list[str], suspect: Callable[[str], bool]) -> Trace | None:
    """The words of that kind that stand close together."""
    places = [at for at, word in enumerate(words) if suspect(word)]
    crowded: set[int] = set()
    first = -1
    for group in _groups(places):
        if len({words[at].casefold() for at in group}) >= DISTINCT:
            crowded.update(group)
            first = group[0] if first < 0 else first
    if not crowded:
        return None
    return Trace(kind, len(crowded), " ".join(words[first:first + WINDOW])[:120])


def _groups(places: list[int]) -> Iterator[list[int]]:
    """Every group of ENOUGH places that lie within WINDOW words."""
    for at in range(len(places) - ENOUGH + 1):
        group = places[at:at + ENOUGH]
        if group[-1] - group[0] < WINDOW:
            yield group


def decomposed(texts: Iterable[str]) -> tuple[int, int]:
    """(letters with a separate mark that has a composed form, Vietnamese letters with any mark) of some texts."""
    loose = marked = 0
    for text in texts:
        found = _CLUSTER.findall(text)
        loose += sum(nfc(one) != one for one in found)
        marked += sum(one in _MARKED for one in text.lower()) + len(found)
    return loose, marked


_CLUSTER = re.compile("[A-Za-zÀ-ỹ][\u0300\u0301\u0302\u0303\u0306\u0309\u031b\u0323]+")
_MARKED = frozenset(sign for sign in _VIETNAMESE if ord(sign) > 127)
