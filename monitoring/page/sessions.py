"""Who has logged in: a signed cookie that ends by itself, and a short list of those who logged out before.

The key lives as long as this process: a restart logs everybody out, and what lies on the disk opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

LASTS_SECONDS = 12 * 3600
"""A night's watch."""
NAME, SECURE_NAME = "gaccong", "__Host-gaccong"
MOST_ENDED = 4096


class Sessions:
    """Makes and judges cookies. `clock` in seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = os.urandom(32), clock
        self._ended: OrderedDict[str, float] = OrderedDict()

    def begin(self) -> str:
        """A new cookie's value."""
        said = f"{int(self._clock()) + LASTS_SECONDS}.{os.urandom(16).hex()}"
        return f"{said}.{self._sign(said)}"

    def holds(self, value: str) -> bool:
        """Whether we made it, it has not run out, and nobody logged out with it."""
        said, _, signature = value.rpartition(".")
        if not said or not hmac.compare_digest(signature.encode(), self._sign(said).encode()):
            return False
        until, _, number = said.partition(".")
        return int(until) > self._clock() and number not in self._ended

    def end(self, value: str) -> None:
        """Logs out: the cookie is worth nothing from now on, wherever a copy of it lies."""
        if self.holds(value):
            until, number, _ = value.split(".")
            self._ended[number] = float(until)
            while len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)

    def _sign(self, said: str) -> str:
        return hmac.new(self._key, said.encode(), hashlib.sha256).hexdigest()


def cookie_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Our cookie out of a request: over https only the one that no neighbour host can have set; "" for none or several."""
    wanted = SECURE_NAME if over_https(headers) else NAME
    found = []
    for key, value in headers:
        if key == b"cookie":
            pairs = (pair.strip().partition("=") for pair in value.decode("latin-1").split(";"))
            found += [held for name, _, held in pairs if name == wanted]
    return found[0] if len(found) == 1 else ""


def over_https(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the proxy before us says that the browser came by https. It decides on nothing but the sender's own cookie."""
    return any(key == b"x-forwarded-proto" and value.strip().lower() == b"https" for key, value in headers)


def set_cookie(value: str, secure: bool, seconds: int = LASTS_SECONDS) -> str:
    """The Set-Cookie header; `seconds=0` takes the cookie away."""
    name, tail = (SECURE_NAME, "; Secure") if secure else (NAME, "")
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{tail}"
