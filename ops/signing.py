"""The key that signs a ledger's checkpoints: Ed25519 by `cryptography`, in the words of C2SP signed-note.

A public key is told as `name+hex(key hash)+base64(0x01 || public)` (vkey); the private file holds one line
`PRIVATE+KEY+name+hash+base64(0x01 || seed)`, the form that other signed-note tools read too.
Whoever holds the private file can rewrite the ledger up to the last checkpoint that left the machine.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets as randomness
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ops.errors import LedgerError, SecretError
from ops.model import nfc, say
from ops.secrets import resolve

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ED25519 = b"\x01"
_PREFIX = "PRIVATE+KEY+"


class Key(NamedTuple):
    """A public key taken apart: its name, the 4-byte hash that signatures carry, the 32 bytes."""

    name: str
    hash: bytes
    public: bytes


class Signer:
    """Signs notes. Made by `create` (once, when a house is set up) or `load`."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = _good_name(name)
        self._key = key
        public = key.public_key().public_bytes_raw()
        self._hash = key_hash(self.name, public)
        self.public = _vkey(Key(self.name, self._hash, public))

    def __repr__(self) -> str:
        return f"Signer({self.public})"

    @classmethod
    def create(cls, path: Path, name: str) -> Signer:
        """A new key in a new file (0600, whole or not at all). An existing file is never written over."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signer = cls(name, Ed25519PrivateKey.generate())
        _place(Path(path), (signer._private() + "\n").encode())
        return signer

    @classmethod
    def load(cls, path: Path) -> Signer:
        """The key of a file that nobody else may read. Raises SecretError."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        line = resolve(f"file:{Path(path).absolute()}", Path("/")).reveal()
        try:
            text = line.decode("ascii" if line.isascii() else "utf-8").strip()
            if not text.startswith(_PREFIX):
                raise ValueError
            name, found_hash, encoded = text.removeprefix(_PREFIX).split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
            if raw[:1] != _ED25519 or len(raw) != 33:
                raise ValueError
            signer = cls(name, Ed25519PrivateKey.from_private_bytes(raw[1:]))
            if signer._hash.hex() != found_hash:
                raise ValueError
        except (ValueError, LedgerError):
            raise SecretError(
                say("tệp khóa ký {p} bị hỏng hoặc không phải khóa ký", "{p} is damaged, or is no signing key", p=path),
                say("lấy lại tệp khóa từ bản sao lưu", "put the key file back from a backup"),
            ) from None
        return signer

    def sign_note(self, text: str) -> str:
        """The signed note of `text` (which ends in a newline and holds no other control character)."""
        if not text.endswith("\n") or any(ord(letter) < 32 and letter != "\n" for letter in text):
            raise ValueError("a note's text ends in a newline and holds no control characters")
        signature = self._hash + self._key.sign(text.encode())
        return f"{text}\n— {self.name} {base64.b64encode(signature).decode()}\n"

    def _private(self) -> str:
        seed = self._key.private_bytes_raw()
        return f"{_PREFIX}{self.name}+{self._hash.hex()}+{base64.b64encode(_ED25519 + seed).decode()}"


def key_hash(name: str, public: bytes) -> bytes:
    """The four bytes by which a signature names its key: SHA-256(name, newline, 0x01, public)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _vkey(key: Key) -> str:
    return f"{key.name}+{key.hash.hex()}+{base64.b64encode(_ED25519 + key.public).decode()}"


def parse_vkey(vkey: str) -> Key:
    """A public key line taken apart and checked against its own hash. Raises LedgerError."""
    try:
        name, _, encoded = vkey.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        key = Key(_good_name(name), key_hash(name, raw[1:]), raw[1:])
        if raw[:1] != _ED25519 or len(raw) != 33 or vkey.strip() != _vkey(key):
            raise ValueError
    except (ValueError, LedgerError):
        raise LedgerError(
            say("đây không phải khóa công khai của sổ chứng cứ", "this is not a ledger's public key"),
            say("dạng đúng: tên+8 chữ số hex+base64", "the right form: name+8 hex digits+base64"),
        ) from None
    return key


def verify_note(note: str, vkey: str) -> str:
    """The text of a note that `vkey` signed. Raises LedgerError when it did not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = parse_vkey(vkey)
    text, blank, signatures = note.rpartition("\n\n")
    for line in signatures.splitlines() if blank else ():
        with suppress(ValueError, InvalidSignature):
            raw = base64.b64decode(line.rpartition(" ")[2], validate=True)
            if line == f"— {key.name} {base64.b64encode(key.hash + raw[4:]).decode()}":
                Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], (text + "\n").encode())
                return text + "\n"
    raise LedgerError(
        say("chữ ký không phải của khóa {k}", "the signature is not by the key {k}", k=key.name),
        say("so khóa với bản in trên báo cáo", "compare the key with the one printed on the report"),
    )


def _good_name(name: str) -> str:
    if not name or name != nfc(name) or "+" in name or any(letter.isspace() or ord(letter) < 32 for letter in name):
        raise LedgerError(
            say("tên khóa phải khác rỗng, không có dấu cách và dấu +", "a key's name is not empty, without space or +")
        )
    return name


def _place(path: Path, content: bytes) -> None:
    """Writes a private file whole, by a link that fails where something already stands."""
    temporary = path.with_name(f".{path.name}.{randomness.token_hex(6)}")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.is_file():
            raise SecretError(
                say("đã có khóa ký tại {p}; không ghi đè", "{p} holds a signing key already; not written over", p=path),
                say("dùng khóa đó, hoặc chọn nơi khác", "use that key, or choose another place"),
            ) from None
        why = error.strerror or str(error)
        raise SecretError(
            say("không ghi được khóa ký {p}: {e}", "cannot write the signing key {p}: {e}", p=path, e=why),
            say("kiểm tra thư mục và dung lượng đĩa", "check the folder and the room on the disk"),
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
