"""`/status`: what everybody may see of the sites that the configuration names in `serve.public`, and nothing else.

Name, whether it is up over each family, ninety days of availability, planned maintenance. No reason, no clause, no
evidence, no person. Anybody may ask, so a rendered page is kept for a quarter of a minute and nothing is read in between.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from monitoring import windows
from monitoring.page import drawing, history
from monitoring.page.desk import Desk
from monitoring.uptime.judging import State as Up
from ops import CannotSee, Site, Text, Verdict

KEEP_SECONDS = 15.0
MOST_LISTED = 50
"""Sites whose state the list shows; where more are public, the list has names only."""
_log = logging.getLogger(__name__)

Show = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Shown:
    """One site as the public sees it."""

    site: Site
    verdict: Verdict
    words: Text
    lines: Sequence[history.Line]
    now_planned: windows.Window | None
    ahead: Sequence[windows.Window]


class Public:
    """The endpoints. `every`: all sites are public (`serve.public = ["*"]`)."""

    def __init__(self, desk: Desk, public: Sequence[str], show: Show) -> None:
        self._desk, self._show = desk, show
        self._public, self._every = frozenset(public), "*" in public
        self._kept: dict[tuple[str, str], tuple[float, Response]] = {}
        self._lock = threading.Lock()

    def index(self, request: Request) -> Response:
        """The public sites, or the one there is."""
        sites = self._sites()
        if len(sites) == 1:
            return self._answer(request, sites[0].id)
        return self._answer(request, "")

    def site(self, request: Request) -> Response:
        """One of them; any other is as unknown as one that does not exist."""
        wanted = request.path_params["id"]
        if wanted not in {one.id for one in self._sites()}:
            return self._missing(request)
        return self._answer(request, wanted)

    def _sites(self) -> list[Site]:
        return sorted((one for one in self._desk.sites().values() if self._every or one.id in self._public),
                      key=lambda one: (one.name, one.id))

    def _missing(self, request: Request) -> Response:
        return self._show(request, "message.html", 404, home="/status", login=False, words=Text("Không có trang này.", "There is no such page."))

    def _answer(self, request: Request, site: str) -> Response:
        lang = request.query_params.get("lang", "")
        key = (lang if lang in ("vi", "en") else "", f"{request.url.path == '/status'} {site}")
        with self._lock:  # one reads, the others wait for what it read
            kept = self._kept.get(key)
            if kept is None or time.monotonic() - kept[0] > KEEP_SECONDS:
                try:
                    kept = (time.monotonic(), self._made(request, site))
                except Exception:
                    _log.exception("status")
                    kept = (time.monotonic(), self._show(
                        request, "message.html", 503, home="/status", login=False,
                        words=Text("Chưa đọc được tình trạng.", "The status cannot be read.")))
                self._kept[key] = kept
        return kept[1]

    def _made(self, request: Request, site: str) -> Response:
        now = datetime.now(UTC)
        if site:
            shown = self._read(self._desk.sites()[site], now)
            days = {line.family: drawing.bars(line) for line in shown.lines}
            return self._show(request, "status.html", 200, login=False, shown=shown, days=days, at=now,
                              alone=request.url.path == "/status")
        sites = self._sites()
        shown_all = [self._read(one, now) for one in sites] if len(sites) <= MOST_LISTED else []
        return self._show(request, "statuses.html", 200, login=False, sites=sites, shown=shown_all, at=now)

    def _read(self, site: Site, now: datetime) -> Shown:
        try:
            register = history.planned_of(self._desk.state, site.id)
        except CannotSee:
            register = windows.Register()
        lines = history.lines_of(site.id, now, self._desk.view, self._desk.state, register)
        verdict, words = _stands(lines)
        return Shown(site, verdict, words, lines, windows.in_force(register.windows, now),
                     windows.upcoming(register.windows, now)[:5])


def _stands(lines: Sequence[history.Line]) -> tuple[Verdict, Text]:
    down = [line.family.label for line in lines if line.now is Up.DOWN]
    up = [line.family.label for line in lines if line.now is Up.UP]
    if down and up:
        return Verdict.AT_RISK, Text(f"Chỉ vào được qua {', '.join(up)}", f"Reached over {', '.join(up)} only")
    if down:
        return Verdict.BROKEN, Text("Đang gián đoạn", "Interrupted")
    if up:
        return Verdict.MET, Text("Đang hoạt động", "In service")
    return Verdict.UNSEEN, Text("Chưa có số liệu", "Nothing known yet")
