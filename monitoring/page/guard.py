"""What stands before the page: security headers, the Host header, who may enter, and a bound on guesses."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ops import Secret

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from monitoring.page.entry import Entry

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# same-origin, not no-referrer: with that a browser sends `Origin: null` along with the login form
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CSP.encode()), (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"), (b"cache-control", b"no-store"), (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"), (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), camera=(), microphone=()"),
)
OPEN_PATHS = frozenset({"/healthz", "/page.css", "/icon.svg"})
MACHINES = frozenset({"/metrics", "/probe"})
"""Asked for by programs: they are told 401, not shown a form."""
GUESSES, REFILL_SECONDS, MOST_CLIENTS = 10.0, 6.0, 4096
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Guesses:
    """A bucket of wrong guesses for each client: 10 at once, then one in 6 seconds. Bounded in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def _left(self, client: str) -> float:
        left, at = self._buckets.get(client, (GUESSES, self._clock()))
        return min(GUESSES, left + (self._clock() - at) / REFILL_SECONDS)

    def wait(self, client: str) -> int:
        """Whole seconds until the client may try again; 0: now."""
        missing = 1.0 - self._left(client)
        return int(missing * REFILL_SECONDS) + 1 if missing > 0 else 0

    def spend(self, client: str) -> None:
        """Counts one wrong guess."""
        self._buckets[client] = (max(0.0, self._left(client) - 1.0), self._clock())
        self._buckets.move_to_end(client)
        while len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)

    def forget(self, client: str) -> None:
        """A right one came from there."""
        self._buckets.pop(client, None)


class Guard:
    """ASGI middleware around the whole page. No body is read here.

    entry: the login form, where a password is set. public: /status is open to everybody.
    """

    def __init__(self, app: ASGIApp, token: Secret | None, names: Sequence[str], entry: Entry | None = None,
                 public: bool = False) -> None:
        self._app = app
        self._token, self._entry, self._public = token, entry, public
        self._names = _LOOPBACK_NAMES | {name.lower().rstrip(".") for name in names}
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers refusals itself, hands the rest on; every answer gets the headers."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(key, value) for key, value in message["headers"] if key.lower() not in dict(HEADERS)]
                message = {**message, "headers": [*kept, *HEADERS]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
            return
        status, words, extra = refusal
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(words)).encode()),
                   *extra]
        await send_with_headers({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else words
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> tuple[int, bytes, list[tuple[bytes, bytes]]] | None:
        if self._token is None and self._entry is None:
            hosts = [value for key, value in scope["headers"] if key == b"host"]
            if len(hosts) != 1 or _bare(hosts[0]) not in self._names:
                return 421, "tên máy này không được phép; thêm vào serve.names\n".encode(), []
            return None
        path = str(scope["path"])
        if path in OPEN_PATHS or (self._public and (path == "/status" or path.startswith("/status/"))):
            return None
        given = _credential(scope)
        if given is not None and self._token is not None and hmac.compare_digest(given, self._token.reveal()):
            return None  # before any throttle: behind a proxy all share one address, and one guesser must not lock it
        if self._entry is not None and (path == "/login" or self._entry.inside(scope["headers"])):
            return None
        if self._entry is not None and given is None and path not in MACHINES:
            where = "/login" if path == "/" else f"/login?next={quote(path, safe='/')}"
            return 303, b"", [(b"location", where.encode())]
        client = client_of(scope.get("client"))
        wait = self._guesses.wait(client)
        if wait:
            return 429, "sai quá nhiều lần, hãy đợi\n".encode(), [(b"retry-after", str(wait).encode())]
        if given is not None:
            self._guesses.spend(client)
        return 401, "cần mã truy cập\n".encode(), [(b"www-authenticate", b'Basic realm="gaccong", charset="UTF-8"')]


def _bare(host: bytes) -> str:
    """The Host header without its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0].rstrip(".")


def client_of(peer: Sequence[object] | None) -> str:
    """Who asks: the address, for IPv6 its /64, since whoever has one address there has them all."""
    address = str((peer or ("",))[0]).partition("%")[0]
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else address


def _credential(scope: Scope) -> bytes | None:
    """The token that was sent, as bytes; None when none was."""
    for key, value in scope["headers"]:
        if key != b"authorization":
            continue
        kind, _, rest = value.partition(b" ")
        if kind.lower() == b"bearer":
            return bytes(rest.strip())
        if kind.lower() == b"basic":
            try:
                return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return b""
    return None
