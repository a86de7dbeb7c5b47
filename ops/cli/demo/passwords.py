"""Django's PBKDF2 password format: `pbkdf2_sha256$ITERATIONS$SALT$BASE64`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 600_000
UNKNOWN = f"pbkdf2_sha256${ITERATIONS}$xxxxxxxxxxxxxxxx${base64.b64encode(bytes(32)).decode()}"
"""A stored value that no password fits: what an unknown login is compared with, so that both refusals take as long."""


def encode(password: str) -> str:
    """The stored form of a password, with a fresh salt."""
    salt = secrets.token_hex(8)
    return f"pbkdf2_sha256${ITERATIONS}${salt}${_digest(password, salt, ITERATIONS)}"


def fits(password: str, stored: str) -> bool:
    """Whether `password` is the one behind `stored`; a stored value of another form fits nothing."""
    method, _, rest = stored.partition("$")
    count, _, rest = rest.partition("$")
    salt, _, digest = rest.partition("$")
    if method != "pbkdf2_sha256" or not count.isdigit() or not 0 < int(count) <= 10_000_000 or not digest:
        return False
    return hmac.compare_digest(_digest(password, salt, int(count)), digest)


def _digest(password: str, salt: str, iterations: int) -> str:
    return base64.b64encode(hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations)).decode()
