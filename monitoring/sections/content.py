"""`[site.NAME.monitoring.content]`: what is published, and when."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from ops import Place, Strict, Word, fault


def _day(value: Any) -> Any:
    """A day as TOML writes it (2026-01-02), or as people do ("02/01/2026")."""
    from monitoring.moments import moment
    from ops import local_day

    if isinstance(value, str) and "/" in value:
        found = moment(value)
        value = local_day(found) if found is not None else value
    if type(value) is date or (isinstance(value, str) and len(value) == 10):
        return value
    raise fault("không phải ngày; viết như 2026-01-02", "not a day; write it like 2026-01-02")


def _place(value: str) -> str:
    from urllib.parse import urlsplit

    try:
        split = urlsplit(value)
        fits = value.startswith("/") or (split.scheme in ("http", "https") and bool(split.hostname))
    except ValueError:
        fits = False
    if not fits or any(sign.isspace() for sign in value):
        raise fault(
            "{value}: viết đường dẫn trên trang như /rss/tin-tuc.xml, hoặc địa chỉ https://… đầy đủ",
            "{value}: write a path of the site like /rss/tin-tuc.xml, or a whole https://… address", value=value,
        )
    return value


Day = Annotated[date, BeforeValidator(_day)]
Feed = Annotated[Word, BeforeValidator(lambda value: _place(value) if isinstance(value, str) else value)]


class Content(Strict):
    """Where the site's news and dates are found.

    feeds:        RSS, Atom or sitemap addresses; none: those that front page, robots.txt and /sitemap.xml name.
    sections:     feeds of single sections by name, each to be kept fresh by itself.
    section_days: age of a section's newest item, in days, above which the section is stale.
    deadlines:    the CSV register in which people note what is due (documents, questions, conferences).
    quiet_days:   days without a new line after which that register is no longer believed to be kept.
    remember_days: for how long something published late is still told.
    members:      names of the Editorial Board, as their items are signed. units: units that must send items.
    pages:        how many recent pages text.unicode reads beside the front page.
    days_off, working_days: the government's swap days of the year, and what else differs from the holiday table.
    """

    feeds: tuple[Feed, ...] = ()
    sections: dict[Word, Feed] = {}
    section_days: float = Field(default=30.0, gt=0, le=366)
    deadlines: Place | None = None
    quiet_days: int = Field(default=30, ge=1, le=366)
    remember_days: int = Field(default=30, ge=0, le=366)
    members: tuple[Word, ...] = ()
    units: tuple[Word, ...] = ()
    pages: int = Field(default=5, ge=0, le=30)
    days_off: tuple[Day, ...] = ()
    working_days: tuple[Day, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> Content:
        both = sorted(set(self.days_off) & set(self.working_days))
        if both:
            raise fault(
                "{d} vừa ở days_off vừa ở working_days; bỏ một chỗ", "{d} is in days_off and in working_days; drop one",
                d=both[0].strftime("%d/%m/%Y"),
            )
        return self
