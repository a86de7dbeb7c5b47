"""Makes a test repository cheap to open: rewraps its master key with the least scrypt work. Never for real repositories.

restic tunes scrypt to about half a second for each command and has no switch for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305


def _keys(password: bytes, body: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    salt = base64.b64decode(body["salt"])
    made = hashlib.scrypt(password, salt=salt, n=body["N"], r=body["r"], p=body["p"], maxmem=1 << 28, dklen=64)
    return made[:32], made[32:48], made[48:]


def _mac(k: bytes, r: bytes, nonce: bytes, data: bytes) -> bytes:
    block = Cipher(algorithms.AES(k), modes.ECB()).encryptor().update(nonce)
    return Poly1305.generate_tag(r + block, data)


def _counter(key: bytes, nonce: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(nonce)).encryptor().update(data)


def rewrap(repository: Path, password: bytes) -> None:
    """Replaces the only key file by one with N=2, r=1, p=1."""
    (old,) = (repository / "keys").iterdir()
    body = json.loads(old.read_bytes())
    key, k, r = _keys(password, body)
    sealed = base64.b64decode(body["data"])
    nonce, data, tag = sealed[:16], sealed[16:-16], sealed[-16:]
    assert _mac(k, r, nonce, data) == tag
    master = _counter(key, nonce, data)
    body |= {"N": 2, "r": 1, "p": 1, "salt": base64.b64encode(os.urandom(64)).decode()}
    key, k, r = _keys(password, body)
    nonce = os.urandom(16)
    data = _counter(key, nonce, master)
    body["data"] = base64.b64encode(nonce + data + _mac(k, r, nonce, data)).decode()
    written = json.dumps(body).encode()
    old.unlink()
    (repository / "keys" / hashlib.sha256(written).hexdigest()).write_bytes(written)
