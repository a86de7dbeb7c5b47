"""Routes and rendering. Read-only, one template set, one style sheet of our own, no script at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitoring.exporter import Exposition
from monitoring.page.guard import Guard
from monitoring.page.rows import Sheet, sheet
from monitoring.page.scrapes import Scraped
from ops import Secret, SiteStatus, Text, Verdict, local

if TYPE_CHECKING:
    from jinja2 import Environment

    from monitoring.watched import Sources

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
MOST_ROWS, SHORT_TOKEN = 400, 16
WORDS = {
    Verdict.BROKEN: Text("không đạt", "broken"), Verdict.AT_RISK: Text("cảnh báo", "at risk"),
    Verdict.UNSEEN: Text("chưa kiểm tra được", "unseen"), Verdict.MET: Text("đạt", "met"),
}
ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#14507a" d="M3 13 16 4l13 9v3H3zM5 18h4v10'
    b'H5zm9 0h4v10h-4zm9 0h4v10h-4z"/></svg>'
)


def build(
    read: Callable[[], Sequence[SiteStatus]], private: frozenset[str], version: str, token: Secret | None, lang: str,
    names: Sequence[str], sources: Sources | None = None,
) -> Starlette:
    """The application; see `monitoring.page.make_app`."""
    page = _Page(read, private, version, lang)
    scraped = Scraped(lambda: Exposition(read(), private, version, sources.read() if sources else None),
                      sources.sites if sources else lambda: {one.site.id: one.site for one in read()})
    routes = [
        Route("/", page.front), Route("/site/{id}", page.site), Route("/metrics", scraped.metrics), Route("/probe", scraped.probe),
        Route("/healthz", page.health), Route("/page.css", page.style), Route("/icon.svg", page.icon),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, token=token, names=tuple(names))],
                    exception_handlers={404: page.missing})
    app.state.token_asked = token is not None
    if token is not None and len(token.reveal()) < SHORT_TOKEN:
        log.warning("serve.token is short: a right token always enters, so only its length withstands guessing")
    return app


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Everything is escaped, whatever the template is called.
    return Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)


class _Page:
    """The endpoints. They are plain functions: Starlette runs them in worker threads, for `read` may touch a disk."""

    def __init__(
        self, read: Callable[[], Sequence[SiteStatus]], private: frozenset[str], version: str, lang: str
    ) -> None:
        self._read, self._private, self._version, self._lang = read, private, version, lang

    def front(self, request: Request) -> Response:
        """The fleet, or the one site there is."""
        return self._answer(request, self._front)

    def site(self, request: Request) -> Response:
        """One site."""
        return self._answer(request, self._site)

    def health(self, request: Request) -> Response:
        """That this process answers; nothing about any site."""
        return PlainTextResponse("ok\n")

    def style(self, request: Request) -> Response:
        """The style sheet."""
        return Response((HERE / "page.css").read_bytes(), media_type="text/css")

    def icon(self, request: Request) -> Response:
        """The icon."""
        return Response(ICON, media_type="image/svg+xml")

    def missing(self, request: Request, error: Exception) -> Response:
        """No such page."""
        return self._message(request, 404, Text("Không có trang này.", "There is no such page."))

    def _answer(self, request: Request, make: Callable[[Request, Sequence[SiteStatus]], Response]) -> Response:
        try:
            return make(request, self._read())
        except Exception:
            log.exception("page")
            words = Text("Không đọc được tình trạng. Xem nhật ký của gaccong serve, hoặc chạy: gaccong doctor",
                         "The status cannot be read. See the log of gaccong serve, or run: gaccong doctor")
            return self._message(request, 503, words)

    def _front(self, request: Request, statuses: Sequence[SiteStatus]) -> Response:
        if len(statuses) == 1:
            return self._sheet(request, statuses[0], alone=True)
        sheets = sorted((sheet(status, self._private) for status in statuses),
                        key=lambda one: (-one.verdict.weight, one.status.site.name, one.status.site.id))
        everything = request.query_params.get("all") == "1"
        counts = [(one, sum(found.verdict is one for found in sheets)) for one in WORDS]
        return self._page(request, "fleet.html", counts=counts, most=MOST_ROWS,
                          sheets=sheets if everything else sheets[:MOST_ROWS], number=len(sheets),
                          verdict=sheets[0].verdict if sheets else Verdict.UNSEEN,
                          at=max((one.status.at for one in sheets), default=None))

    def _site(self, request: Request, statuses: Sequence[SiteStatus]) -> Response:
        wanted = request.path_params["id"]
        for status in statuses:
            if status.site.id == wanted:
                return self._sheet(request, status, alone=len(statuses) == 1)
        return self._message(request, 404, Text("Không có trang này.", "There is no such site."))

    def _sheet(self, request: Request, status: SiteStatus, *, alone: bool) -> Response:
        made: Sheet = sheet(status, self._private)
        return self._page(request, "site.html", sheet=made, status=status, alone=alone, at=status.at)

    def _message(self, request: Request, code: int, words: Text) -> Response:
        return self._page(request, "message.html", code, words=words, at=None)

    def _page(self, request: Request, template: str, code: int = 200, /, **values: Any) -> Response:
        lang = request.query_params.get("lang", self._lang)
        lang = lang if lang in ("vi", "en") else "vi"
        query = "" if lang == self._lang else f"?lang={lang}"
        other = "en" if lang == "vi" else "vi"
        text = _environment().get_template(template).render(
            **values, lang=lang, query=query, other=other, path=_own(request.url.path), version=self._version,
            t=lambda text: text.in_(lang), w=lambda vi, en: en if lang == "en" else vi, word=lambda one: WORDS[one].in_(lang),
            clock=_clock, Verdict=Verdict,
        )
        return Response(text, code, media_type="text/html")


def _own(path: str) -> str:
    """The path as a link that stays here: `//host/x`, and what browsers take for it, would lead elsewhere."""
    return "/" + quote(path.lstrip("/"), safe="/")


def _clock(moment: datetime) -> str:
    """`02:14:05 21/11/2026`, Vietnamese clock."""
    return local(moment).strftime("%H:%M:%S %d/%m/%Y")
