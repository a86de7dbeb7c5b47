"""One template set, everything escaped; words and clocks that all templates share."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from monitoring.page.drawing import percent
from monitoring.page.history import reason_words
from monitoring.uptime.judging import State as Up
from ops import LOCAL, Text, Verdict, local

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
WORDS = {
    Verdict.BROKEN: Text("không đạt", "broken"), Verdict.AT_RISK: Text("cảnh báo", "at risk"),
    Verdict.UNSEEN: Text("chưa kiểm tra được", "unseen"), Verdict.MET: Text("đạt", "met"),
}
STANDS = {
    Up.UP: (Verdict.MET, Text("đang chạy", "up")), Up.DOWN: (Verdict.BROKEN, Text("đang ngừng", "down")),
    Up.ABSENT: (Verdict.UNSEEN, Text("chưa có địa chỉ loại này", "no such address")),
    Up.UNKNOWN: (Verdict.UNSEEN, Text("chưa biết", "not known")),
}
KINDS = {
    "flip": Text("đổi trạng thái", "transition"), "daily": Text("lượt xem đầu ngày", "the day's first look"),
    "intent": Text("bắt đầu làm", "intent"), "outcome": Text("kết quả việc làm", "outcome"),
    "approval": Text("duyệt", "approval"), "attestation": Text("người xác nhận", "attestation"),
}
TOLD = {
    **{one.value: words for one, words in WORDS.items()}, "proved": Text("đã chứng minh", "proved"),
    "unproved": Text("chưa chứng minh", "unproved"), "undone": Text("đã hoàn lại", "undone"),
    "stuck": Text("mắc kẹt", "stuck"), "interrupted": Text("bị ngắt", "interrupted"),
}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates. Everything is escaped, whatever a template is called."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)
    made.globals.update(
        Verdict=Verdict, clock=clock, short=short, day=day, percent=percent, stands=STANDS, long=long, since=since,
        reason=reason_words, kinds=KINDS, told=TOLD)
    return made


def render(request: Request, template: str, code: int, own: str, version: str, values: dict[str, Any]) -> Response:
    """A page in the language asked for. own: the language of the configuration."""
    lang = request.query_params.get("lang", own)
    lang = lang if lang in ("vi", "en") else "vi"
    text = environment().get_template(template).render(
        **values, lang=lang, query="" if lang == own else f"?lang={lang}", other="en" if lang == "vi" else "vi",
        path=own_path(request.url.path), version=version, t=lambda text: text.in_(lang),
        w=lambda vi, en: en if lang == "en" else vi, word=lambda one: WORDS[one].in_(lang),
    )
    return Response(text, code, media_type="text/html")


def own_path(path: str) -> str:
    """The path as a link that stays here: `//host/x`, and what browsers take for it, would lead elsewhere."""
    return "/" + quote(path.lstrip("/"), safe="/")


def clock(moment: datetime) -> str:
    """`02:14:05 21/11/2026`, Vietnamese clock."""
    return local(moment).strftime("%H:%M:%S %d/%m/%Y")


def short(moment: datetime) -> str:
    """`02:14 21/11`, Vietnamese clock."""
    return local(moment).strftime("%H:%M %d/%m")


def since(seconds: int) -> str:
    """`02:14 21/11` of seconds since 1970."""
    return short(datetime.fromtimestamp(seconds, LOCAL))


def day(moment: date) -> str:
    """`21/11`."""
    return moment.strftime("%d/%m")


def long(seconds: float | None) -> Text:
    """A stretch of time in its two largest units: `3 giờ 7 phút`, `0,42 giây`; a dash when there is none."""
    if seconds is None:
        return Text("–", "–")
    if seconds < 60:
        told = f"{seconds:.2f}".rstrip("0").rstrip(".") if seconds < 10 else f"{seconds:.0f}"
        return Text(f"{told.replace('.', ',')} giây", f"{told} s")
    minutes = int(seconds // 60)
    parts = [(minutes // 1440, "ngày", "d"), (minutes // 60 % 24, "giờ", "h"), (minutes % 60, "phút", "min")]
    while not parts[0][0]:
        parts = parts[1:]
    told_parts = [one for one in parts[:2] if one[0]]
    return Text(" ".join(f"{number} {vi}" for number, vi, _ in told_parts),
                " ".join(f"{number} {en}" for number, _, en in told_parts))
