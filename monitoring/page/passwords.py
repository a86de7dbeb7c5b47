"""The page's password as it is stored: scrypt (RFC 7914) in the PHC string format, never the password itself.

    $scrypt$ln=15,r=8,p=1$SALT$HASH        base64 without padding; ln is log2 of N

`gaccong serve --hash-password` makes one; `serve.password` names where it stands.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass

from ops import UsageError, nfc, say

COST, BLOCK, LANES = 15, 8, 1
"""32 MiB and about a tenth of a second for each guess."""
LEAST_COST, MOST_COST = 14, 18
SHORTEST, LONGEST = 10, 1024
_FORM = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{16,88})\$([A-Za-z0-9+/]{40,88})")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored hash, read."""

    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes

    def fits(self, password: str) -> bool:
        """Whether this is the password; constant time in the comparison. Costs a tenth of a second and 32 MiB."""
        if len(password) > LONGEST:
            return False
        return hmac.compare_digest(_digest(password, self.salt, self.cost, self.block, self.lanes), self.digest)


def hashed(password: str) -> str:
    """The line to store. Raises UsageError for a password that is too short (or absurdly long)."""
    if not SHORTEST <= len(nfc(password)) <= LONGEST:
        raise UsageError(
            say("mật khẩu phải dài ít nhất {n} ký tự", "the password needs at least {n} characters", n=SHORTEST),
            say("ghép bốn, năm từ không liên quan với nhau", "put four or five unrelated words together"),
        )
    salt = os.urandom(16)
    parts = (base64.b64encode(one).decode().rstrip("=") for one in (salt, _digest(password, salt, COST, BLOCK, LANES)))
    return "$".join(("", "scrypt", f"ln={COST},r={BLOCK},p={LANES}", *parts))


def stored(line: bytes) -> Stored:
    """What `hashed` made. Raises UsageError, without the value, for anything else: a password in clear, costs out of bounds."""
    try:
        found = _FORM.fullmatch(line.decode("ascii").strip())
        if found is None:
            raise ValueError("form")
        cost, block, lanes = (int(one) for one in found.groups()[:3])
        if not LEAST_COST <= cost <= MOST_COST or block != BLOCK or not 1 <= lanes <= 4:
            raise ValueError("cost")
        salt, digest = (base64.b64decode(one + "=" * (-len(one) % 4), validate=True) for one in found.groups()[3:])
    except (ValueError, binascii.Error):
        raise UsageError(
            say("serve.password không phải bản băm scrypt (giá trị không được in ra)",
                "serve.password is not a scrypt hash (the value is not printed)"),
            say("tạo bằng: gaccong serve --hash-password", "make one: gaccong serve --hash-password"),
        ) from None
    return Stored(cost, block, lanes, salt, digest)


def _digest(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    # NFC: the same Vietnamese password typed on a phone and on a desk may come composed or in pieces
    return hashlib.scrypt(nfc(password).encode(), salt=salt, n=1 << cost, r=block, p=lanes, dklen=32,
                          maxmem=(1 << cost) * block * 128 + (1 << 22))
