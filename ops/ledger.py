"""The signed ledger, pure: canonical lines, RFC 6962 tree hashes, checkpoints, verification, and the book to hand out.

A site's ledger is a chain (each line names the leaf hash of the line before) under a Merkle tree whose root is signed
once per transaction. Bytes are hashed as stored; nothing is ever serialised again to be checked.
Sources: RFC 8785 (JCS), RFC 6962 section 2.1, C2SP tlog-checkpoint and signed-note.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.errors import GaccongError, LedgerError
from ops.model import Text, nfc, say

EMPTY_ROOT = hashlib.sha256(b"").digest()


def canonical(body: Mapping[str, Any]) -> bytes:
    """The one way to write a body (RFC 8785), all text in NFC. Raises GaccongError naming what cannot be written."""
    import rfc8785

    try:
        return rfc8785.dumps(_plain(body, ""))
    except rfc8785.CanonicalizationError as error:
        raise _unwritable("", str(error)) from None


def _plain(value: Any, where: str) -> Any:
    """`value` as plain JSON with NFC text; keys that fall together under NFC are refused."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return nfc(str.__str__(value))
    if isinstance(value, int):
        if abs(value) >= 2**53:
            raise _unwritable(where, "an integer past 2^53")
        return int(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise _unwritable(where, str(value))
        return float(value)
    if isinstance(value, Mapping):
        plain = {}
        for key, inner in value.items():
            if not isinstance(key, str) or nfc(key) in plain:
                raise _unwritable(f"{where}.{key}", "a key that is no text, or stands twice")
            plain[nfc(str.__str__(key))] = _plain(inner, f"{where}.{key}")
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    raise _unwritable(where, type(value).__name__)


def _unwritable(where: str, why: str) -> GaccongError:
    return GaccongError(
        say(
            "chứng cứ không ghi được: {w}: {y}",
            "evidence that cannot be written: {w}: {y}",
            w=where.lstrip(".") or "-",
            y=why.encode("utf-8", "backslashreplace").decode(),
        )
    )


def leaf_hash(line: bytes) -> bytes:
    """SHA-256(0x00, line), RFC 6962."""
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01, left, right), RFC 6962."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a Merkle tree: all that is needed to append and to tell the root. At most 64 hashes."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Adds the next leaf hash."""
        carry = self.size
        while carry & 1:
            leaf = node_hash(self._edge.pop(), leaf)
            carry >>= 1
        self._edge.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The Merkle root over all leaves; of none, SHA-256 of nothing."""
        if not self._edge:
            return EMPTY_ROOT
        root = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """Size (8 bytes, big-endian) and the edge, largest tree first."""
        return self.size.to_bytes(8, "big") + b"".join(self._edge)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Frontier:
        """What `to_bytes` gave. Raises LedgerError when the lengths do not fit."""
        frontier = cls()
        frontier.size = int.from_bytes(stored[:8], "big")
        frontier._edge = [stored[at : at + 32] for at in range(8, len(stored), 32)]
        if len(stored) != 8 + 32 * frontier.size.bit_count():
            raise LedgerError(say("mép cây băm bị hỏng", "the edge of the hash tree is damaged"))
        return frontier


def origin_of(signer: str, site: str) -> str:
    """The first line of a site's checkpoints: the key's name and the site."""
    return f"{signer}/{site}"


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """A C2SP tlog-checkpoint: origin, size in decimal, root in base64, each on its line."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a ledger is worth. Integrity and completeness are two things, and told apart.

    ok:        intact and complete.
    lines:     how many lines there are; `anchored`: how many of them, from the first, a good signature covers.
    first_bad: the first line (from 1) that is not what was signed, or that is missing; None when none can be named.
    intact:    nothing that is there differs from what was signed; complete: nothing is missing at the end.
    root:      hex Merkle root over all lines as they are.
    """

    ok: bool
    lines: int
    first_bad: int | None
    what: Text
    anchored: int
    intact: bool
    complete: bool
    root: str


def verify_book(lines: Iterable[bytes], checkpoints: Iterable[str], vkey: str, expect: str = "") -> Verification:
    """Judges a ledger by the public key that must have signed it and, if one was kept elsewhere, a head `SIZE:ROOTHEX`.

    The judgement is that of the stand-alone verifier, so that both can never disagree. Raises LedgerError for no key.
    """
    from ops.verifier import judge

    try:
        found = judge(list(lines), list(checkpoints), vkey, expect)
    except ValueError as error:
        raise LedgerError(
            say("khóa hoặc đầu sổ không hợp lệ: {e}", "not a key or a head: {e}", e=error),
            say("khóa: tên+hash+base64; đầu sổ: SỐ:HEX", "key: name+hash+base64; head: SIZE:HEX"),
        ) from None
    vi, _, en = found.what.partition(" / ")
    ok = found.intact and found.complete
    return Verification(
        ok, found.lines, found.first_bad, Text(vi, en), found.anchored, found.intact, found.complete, found.root
    )
