"""Routes. Read-only but for the login; one template set, one style sheet of our own, no script at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitoring.exporter import Exposition
from monitoring.keeping import Kept
from monitoring.page import drawing, facts
from monitoring.page.board import Board
from monitoring.page.desk import Desk, bare
from monitoring.page.dossier import dossier
from monitoring.page.guard import Guard, Guesses
from monitoring.page.render import WORDS, render
from monitoring.page.scrapes import Scraped
from monitoring.pages import bare as plain
from ops import Secret, SiteStatus, Text, Verdict

if TYPE_CHECKING:
    from monitoring.page.entry import Entry
    from monitoring.watched import Sources

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
MOST_ROWS, SHORT_TOKEN = 400, 16
LINES_A_PAGE = 50
NOWHERE = Text("Không có trang này.", "There is no such page.")
ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#14507a" d="M3 13 16 4l13 9v3H3zM5 18h4v10'
    b'H5zm9 0h4v10h-4zm9 0h4v10h-4z"/></svg>'
)


def build(
    read: Callable[[], Sequence[SiteStatus]], private: frozenset[str], version: str, token: Secret | None, lang: str,
    names: Sequence[str], sources: Sources | None = None, desk: Desk | None = None, password: Secret | None = None,
    public: Sequence[str] = (),
) -> Starlette:
    """The application; see `monitoring.page.make_app`."""
    page = _Page(desk or bare(read), private, version, lang)
    kept = Kept(read)
    scraped = Scraped(lambda: Exposition(kept.get(), private, version, sources.read() if sources else None),
                      sources.sites if sources else lambda: {one.site.id: one.site for one in read()})
    entry = _entry(page, password, token)
    page.login = entry is not None
    routes = [
        Route("/", page.front), Route("/site/{id}", page.site), Route("/site/{id}/evidence", page.evidence),
        Route("/site/{id}/evidence/{seq}", page.line),
        Route("/metrics", scraped.metrics), Route("/probe", scraped.probe),
        Route("/healthz", page.health), Route("/page.css", page.style), Route("/icon.svg", page.icon),
    ]
    if entry is not None:
        routes += [Route("/login", entry.login, methods=["GET", "POST"]), Route("/logout", entry.logout, methods=["POST"])]
    if public:
        from monitoring.page.public import Public

        open_ = Public(page.desk, public, page.show)
        routes += [Route("/status", open_.index), Route("/status/{id}", open_.site)]
    guard = Middleware(Guard, token=token, names=tuple(names), entry=entry, public=bool(public))
    app = Starlette(routes=routes, middleware=[guard], exception_handlers={404: page.missing})
    app.state.token_asked = token is not None or entry is not None
    if token is not None and len(token.reveal()) < SHORT_TOKEN:
        log.warning("serve.token is short: a right token always enters, so only its length withstands guessing")
    return app


def _entry(page: _Page, password: Secret | None, token: Secret | None) -> Entry | None:
    """The login form. Raises UsageError when `password` is not a hash."""
    if password is None:
        return None
    from monitoring.page.entry import Entry
    from monitoring.page.passwords import stored
    from monitoring.page.sessions import Sessions

    def form(request: Request, code: int, trouble: Text | None, after: str) -> Response:
        return page.show(request, "login.html", code, trouble=trouble, after=after, login=False)

    return Entry(stored(password.reveal()), token, Sessions(), Guesses(), form)


class _Page:
    """The endpoints. They are plain functions: Starlette runs them in worker threads, for `read` may touch a disk."""

    def __init__(self, desk: Desk, private: frozenset[str], version: str, lang: str) -> None:
        self.desk, self._private, self._version, self._lang = desk, private, version, lang
        self._board = Board(desk, private)
        self.login = False

    def front(self, request: Request) -> Response:
        """The fleet, or the one site there is."""
        return self._answer(request, self._front)

    def site(self, request: Request) -> Response:
        """One site."""
        return self._answer(request, lambda request: self._site(request, request.path_params["id"]))

    def evidence(self, request: Request) -> Response:
        """A site's ledger lines, the newest first."""
        return self._answer(request, self._evidence)

    def line(self, request: Request) -> Response:
        """One ledger line, as far as the page may show it."""
        return self._answer(request, self._line)

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
        return self._message(request, 404, NOWHERE)

    def _answer(self, request: Request, make: Callable[[Request], Response]) -> Response:
        try:
            return make(request)
        except Exception:
            log.exception("page")
            words = Text("Không đọc được tình trạng. Xem nhật ký của gaccong serve, hoặc chạy: gaccong doctor",
                         "The status cannot be read. See the log of gaccong serve, or run: gaccong doctor")
            return self._message(request, 503, words)

    def _front(self, request: Request) -> Response:
        sites = self.desk.sites()
        if len(sites) == 1:
            return self._site(request, next(iter(sites)))
        fleet = self._board.fleet()
        everything = request.query_params.get("all") == "1"
        wanted = request.query_params.get("q", "")[:100].strip()
        found = [one for one in fleet.lines if plain(wanted) in plain(one.name) or wanted == one.id] if wanted else fleet.lines
        counts = [(one, sum(line.verdict is one for line in fleet.lines)) for one in WORDS]
        return self.show(request, "fleet.html", counts=counts, lines=found if everything else found[:MOST_ROWS],
                         number=len(fleet.lines), found=len(found), wanted=wanted, waiting=fleet.waiting, at=fleet.at,
                         verdict=fleet.lines[0].verdict if fleet.lines else Verdict.UNSEEN)

    def _site(self, request: Request, wanted: str) -> Response:
        sites = self.desk.sites()
        if wanted not in sites:
            return self._message(request, 404, NOWHERE)
        status = self.desk.read(wanted)
        made = dossier(status, self.desk, self._private)
        days = {line.family: drawing.bars(line) for line in made.lines}
        return self.show(request, "site.html", sheet=made.sheet, made=made, days=days, status=status, at=status.at,
                         alone=len(sites) == 1, ledger=self.desk.view is not None)

    def _evidence(self, request: Request) -> Response:
        site, view = self.desk.sites().get(request.path_params["id"]), self.desk.view
        if site is None or view is None:
            return self._message(request, 404, NOWHERE)
        size, root = view.head(site.id)
        last = min(_number(request.query_params.get("from", "")) or size, size)
        lines = [line for seq in range(max(1, last - LINES_A_PAGE + 1), last + 1) if (line := view.line(site.id, seq))]
        return self.show(request, "evidence.html", site=site, size=size, root=root, at=None,
                         proofs=facts.proofs(lines, self._private), older=max(0, last - LINES_A_PAGE))

    def _line(self, request: Request) -> Response:
        site, view = self.desk.sites().get(request.path_params["id"]), self.desk.view
        if site is None or view is None or (found := view.line(site.id, _number(request.path_params["seq"]))) is None:
            return self._message(request, 404, NOWHERE)
        size, root = view.head(site.id)
        return self.show(request, "line.html", site=site, size=size, root=root, at=None,
                         proof=facts.proof(found, self._private), previous=str(found.body.get("prev", "")))

    def _message(self, request: Request, code: int, words: Text) -> Response:
        return self.show(request, "message.html", code, words=words, home="/")

    def show(self, request: Request, template: str, code: int = 200, /, **values: Any) -> Response:
        """A page of this application."""
        return render(request, template, code, self._lang, self._version, {"at": None, "login": self.login, **values})


def _number(text: str) -> int:
    """A line's number as it stands in an address; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
