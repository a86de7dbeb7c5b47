"""Is the text Vietnamese Unicode as TCVN 6909 demands: UTF-8, declared and true, composed, no old fonts?"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from monitoring.legacy import Trace, decomposed, traces
from monitoring.pages import front, get, internal, short
from monitoring.probe import Sight
from monitoring.published import gather, tree_of
from ops import CannotSee, Context, Finding, Site, Text, Verdict, check, hours, say

LOOSE = 0.01
"""Share of marked letters written in two pieces from which the text as a whole is not composed."""
_HEADER = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.I)
_UNREAD = ["script", "style", "noscript", "template", "svg", "iframe", "object"]
_KINDS = {"tcvn3": "TCVN3 (.VnTime)", "vni": "VNI", "utf8_twice": "UTF-8"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One page: what it declares ("" for nothing), whether its bytes are UTF-8, and what its text holds."""

    url: str
    header: str
    meta: str
    bad_byte: int
    loose: int
    marked: int
    old: tuple[Trace, ...]

    @property
    def declared(self) -> str:
        """What browsers go by: a byte order mark or the header, else the page's own meta element."""
        return self.header or self.meta


@check("text.unicode", every=hours(6), clauses=["TN-7.1", "TN-7.2", "BQ-7.5", "P1-8.2"], timeout=300)
def unicode(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the text UTF-8, declared and true, composed (NFC), and free of TCVN3 and VNI?

    Subjects "charset", "composed", "legacy". The front page and the newest pages that the feeds name are read.
    """
    home = front(site, ctx)
    readings = [read(home.sight)]
    for url in _newest(site, ctx):
        sight = get(site, ctx, url)
        if sight.reason is None and "html" in (sight.content_type or "html").lower():
            readings.append(read(sight))
    yield _charset(readings)
    yield _composed(readings)
    yield _legacy(readings)


def _newest(site: Site, ctx: Context) -> list[str]:
    try:
        items = [one for one in gather(site, ctx).items if one.url and internal(site, one.url) and one.latest is not None]
    except CannotSee:
        return []
    items.sort(key=lambda one: (one.latest is not None, one.latest), reverse=True)
    return [one.url for one in items[:ctx.settings.content.pages]]


def read(sight: Sight) -> Reading:
    """What one page declares and holds."""
    body = sight.body
    found = _HEADER.search(sight.content_type)
    header = "utf-8" if body.startswith(codecs.BOM_UTF8) else _name(found.group(1) if found else "")
    tree = tree_of(sight)
    meta = ""
    for node in tree.css("meta[charset],meta[http-equiv]")[:20]:
        given = node.attributes
        inner = _HEADER.search(given.get("content") or "")
        meta = meta or _name(given.get("charset") or (inner.group(1) if inner else ""))
    bad = -1
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = error.start
    title = tree.css_first("title")
    heading = title.text() if title is not None else ""
    tree.strip_tags(_UNREAD)
    text = tree.body.text(separator=" ")[:400_000] if tree.body is not None else ""
    loose, marked = decomposed([heading, text])
    return Reading(sight.final or sight.url, header, meta, bad, loose, marked, tuple(traces(f"{heading} {text}")))


def _name(charset: str) -> str:
    """The charset's one name: `UTF8` and `utf-8` are the same."""
    try:
        return codecs.lookup(charset.strip()).name if charset.strip() else ""
    except (LookupError, ValueError):
        return charset.strip().lower()[:40]


def _charset(readings: list[Reading]) -> Finding:
    for one in readings:
        place = short(one.url)
        trouble: Text | None = None
        if one.declared and one.declared != "utf-8":
            trouble = say("{p} khai báo bảng mã {c}, phải là UTF-8", "{p} declares {c}, it must be UTF-8", p=place, c=one.declared)
        elif one.bad_byte >= 0:
            trouble = say("{p} không phải UTF-8 (sai từ byte {n})", "{p} is not UTF-8 (wrong at byte {n})", p=place, n=one.bad_byte)
        elif not one.declared:
            trouble = say("{p} không khai báo bảng mã; thêm <meta charset=\"utf-8\"> hoặc Content-Type",
                          "{p} declares no charset; add <meta charset=\"utf-8\"> or Content-Type", p=place)
        if trouble is not None:
            return _found("charset", Verdict.BROKEN, trouble, readings, one)
    for one in readings:
        if one.header and one.meta and one.header != one.meta:
            words = say("{p}: máy chủ khai báo {h} nhưng trang ghi {m}", "{p}: the server says {h}, but the page says {m}",
                        p=short(one.url), h=one.header, m=one.meta)
            return _found("charset", Verdict.AT_RISK, words, readings, one)
    words = say("{n} trang đều là UTF-8, khai báo đúng", "{n} pages, all UTF-8 as declared", n=len(readings))
    return _found("charset", Verdict.MET, words, readings)


def _composed(readings: list[Reading]) -> Finding:
    loose, marked = sum(one.loose for one in readings), sum(one.marked for one in readings)
    ratio = loose / marked if marked else 0.0
    worst = max(readings, key=lambda one: one.loose)
    figures = {"loose_letters": float(loose), "loose_ratio": round(ratio, 5)}
    if not loose:
        words = say("chữ có dấu đều là Unicode dựng sẵn (NFC)", "all marked letters are composed (NFC)")
        return _found("composed", Verdict.MET, words, readings, figures=figures)
    words = say("{n} chữ viết bằng Unicode tổ hợp ({r} %), nhiều nhất ở {p}; chuyển sang dựng sẵn (NFC)",
                "{n} letters are in pieces ({r} %), most of them at {p}; turn them into composed ones (NFC)", n=loose,
                r=f"{100 * ratio:.1f}", p=short(worst.url))
    return _found("composed", Verdict.BROKEN if ratio > LOOSE else Verdict.AT_RISK, words, readings, worst, figures)


def _legacy(readings: list[Reading]) -> Finding:
    figures = {"legacy_words": float(sum(trace.words for one in readings for trace in one.old))}
    hit = next((one for one in readings if one.old), None)
    if hit is None:
        words = say("không thấy chữ phông cũ (TCVN3, VNI)", "no text of old fonts (TCVN3, VNI)")
        return _found("legacy", Verdict.MET, words, readings, figures=figures)
    trace = hit.old[0]
    if trace.kind == "utf8_twice":
        words = say("{p} có chữ bị mã hóa UTF-8 hai lần: “{s}”", "{p} holds text that was encoded in UTF-8 twice: “{s}”",
                    p=short(hit.url), s=trace.sample)
    else:
        words = say("{p} có chữ gõ bằng phông {k}: “{s}”; chuyển mã sang Unicode",
                    "{p} holds text of a {k} font: “{s}”; convert it to Unicode", p=short(hit.url), k=_KINDS[trace.kind],
                    s=trace.sample)
    return _found("legacy", Verdict.BROKEN, words, readings, hit, figures)


def _found(
    subject: str, verdict: Verdict, words: Text, readings: list[Reading], worst: Reading | None = None,
    figures: Mapping[str, float] = MappingProxyType({}),
) -> Finding:
    kept = {"pages": [{"page": short(one.url), "header": one.header, "meta": one.meta,
                       "old": [trace.kind for trace in one.old]} for one in readings]}
    command = shlex.join(["curl", "-sSL", "-D", "-", worst.url]) if worst is not None else ""
    return Finding(subject, verdict, words, {"pages": float(len(readings)), **figures}, kept, command)
