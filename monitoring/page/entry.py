"""The login: a form, a bound on guesses, and who may pass. It reads at most a few kilobytes, and only of its own form."""

from __future__ import annotations

import hmac
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from monitoring.page.passwords import LONGEST, Stored
from monitoring.page.sessions import Sessions, cookie_of, over_https, set_cookie
from ops import Secret, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from monitoring.page.guard import Guesses

MOST_BYTES = 16 * LONGEST
AT_ONCE, WAIT_SECONDS = 2, 5.0
WRONG = Text("Mật khẩu không đúng.", "The password is wrong.")
OFTEN = Text("Sai quá nhiều lần; đợi một chút rồi thử lại.", "Too many wrong guesses; wait a little and try again.")
BUSY = Text("Máy đang bận; thử lại sau giây lát.", "The machine is busy; try again in a moment.")
STRANGE = Text("Biểu mẫu không gửi từ trang này.", "The form was not sent from this page.")


class Entry:
    """The login of one app. `show(request, status, trouble, next)` renders the form."""

    def __init__(self, password: Stored, token: Secret | None, sessions: Sessions, guesses: Guesses,
                 show: Callable[[Request, int, Text | None, str], Response]) -> None:
        self._password, self._token, self._sessions, self._guesses, self._show = password, token, sessions, guesses, show
        self._busy = threading.BoundedSemaphore(AT_ONCE)

    async def login(self, request: Request) -> Response:
        """GET: the form. POST: judges it."""
        if request.method != "POST":
            return self._show(request, 200, None, within(request.query_params.get("next", "/")))
        headers = request.scope["headers"]
        form = await _form(request)
        after = within(form.get("next", "/"))
        if form == {} or not same_origin(headers):
            return self._show(request, 403, STRANGE, "/")
        from monitoring.page.guard import client_of

        client = client_of(request.scope.get("client"))
        wait = self._guesses.wait(client)
        if wait:
            answer = self._show(request, 429, OFTEN, after)
            answer.headers["retry-after"] = str(wait)
            return answer
        # spent before it is judged: a hundred guesses sent at once are a hundred guesses
        self._guesses.spend(client)
        right = await run_in_threadpool(self._judge, form.get("password", ""))
        if right is None:
            return self._show(request, 503, BUSY, after)
        if not right:
            return self._show(request, 401, WRONG, after)
        self._guesses.forget(client)
        found = RedirectResponse(after, 303)
        found.headers["set-cookie"] = set_cookie(self._sessions.begin(), over_https(headers))
        return found

    def logout(self, request: Request) -> Response:
        """POST: ends the session."""
        headers = request.scope["headers"]
        if not same_origin(headers):
            return self._show(request, 403, STRANGE, "/")
        self._sessions.end(cookie_of(headers))
        found = RedirectResponse("/login", 303)
        found.headers["set-cookie"] = set_cookie("", over_https(headers), 0)
        return found

    def inside(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether the request comes with a session of ours."""
        cookie = cookie_of(headers)
        return bool(cookie) and self._sessions.holds(cookie)

    def _judge(self, given: str) -> bool | None:
        """Whether it is the password (or the token); None when too many are being judged already."""
        if self._token is not None and hmac.compare_digest(given.encode(), self._token.reveal()):
            return True
        if not self._busy.acquire(timeout=WAIT_SECONDS):
            return None
        try:
            return self._password.fits(given)
        finally:
            self._busy.release()


async def _form(request: Request) -> dict[str, str]:
    """The fields of a posted form; {} for anything else, and for too much."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return {}
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=4, errors="strict")
    except (UnicodeDecodeError, ValueError):
        return {}
    return {name: values[0] for name, values in fields.items()}


def same_origin(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a browser says that the form stood on this very page; what is no browser says nothing, and may pass."""
    named = {key: value.decode("latin-1").lower() for key, value in headers}
    if b"sec-fetch-site" in named:
        return named[b"sec-fetch-site"] == "same-origin"
    origin = named.get(b"origin")
    return origin is None or urlsplit(origin).netloc == named.get(b"host", "")


def within(path: str) -> str:
    """Where to go after the login: a path of ours, never another host."""
    bare = path.partition("?")[0]
    return "/" + quote(bare.lstrip("/\\"), safe="/") if bare.startswith("/") and len(bare) < 300 else "/"
