"""The signed ledger, pure: canonical lines, RFC 6962 tree hashes, checkpoints, verification, and the book to hand out.

A site's ledger is a chain (each line names the leaf hash of the line before) under a Merkle tree whose root is signed
once per transaction. Bytes are hashed as stored; nothing is ever serialised again to be checked.
Sources: RFC 8785 (JCS), RFC 6962 section 2.1, C2SP tlog-checkpoint and signed-note.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
        found = judge(list(lines), list(checkpoints), vkey, {"": expect} if expect else {})
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


# ---------------------------------------------------------------------- the book


class Shelf(Protocol):
    """What `write_book` reads: the store, or a snapshot of it."""

    def snapshot(self) -> AbstractContextManager[Shelf]:
        """The same onto one unmoving state, so that lines and checkpoints fit together."""

    def sites(self) -> list[str]:
        """Ids of the sites that have a ledger."""

    def raw_lines(self, site: str) -> Iterator[bytes]:
        """Stored bytes of each line."""

    def checkpoints(self, site: str) -> list[str]:
        """Signed notes, smallest first."""

    def vkey(self, site: str) -> str:
        """The key that signs them."""


def write_book(target: Path, view: Shelf, sites: Iterable[str] = ()) -> list[Path]:
    """Writes the ledger of some sites (default: all) as a folder that anybody can check; gives the books' folders.

    One site stands in `target` itself, several in a subfolder each. The folder appears whole or not at all, readable
    by its owner only; an older book in its place is replaced, any other non-empty folder is refused.
    """
    target = Path(target).resolve()
    _refuse_stranger(target)
    with view.snapshot() as fixed:
        wanted = list(sites) or [site for site in fixed.sites() if fixed.checkpoints(site)]
        odd = [site for site in wanted if not fixed.checkpoints(site) or site in (".", "..") or "/" in site]
        if odd or not wanted:
            raise GaccongError(
                say(
                    "chưa có sổ chứng cứ nào để xuất: {s}", "there is no ledger to export: {s}", s=", ".join(odd) or "-"
                ),
                say("gaccong run", "gaccong run"),
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            _fill(temporary, fixed, wanted)
            _put_in_place(temporary, target)
        except OSError as error:
            raise GaccongError(
                say(
                    "không ghi được sổ {t}: {e}", "cannot write the book {t}: {e}", t=target, e=error.strerror or error
                ),
                say("xem quyền thư mục và dung lượng đĩa", "look at the folder's rights and the room on the disk"),
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return [target] if len(wanted) == 1 else [target / site for site in wanted]


def _refuse_stranger(target: Path) -> None:
    """Raises unless `target` is absent, empty, or nothing but a book."""
    if not target.exists() and not target.is_symlink():
        return
    found = list(target.rglob("*")) if target.is_dir() else [target]
    ours = all(place.is_dir() or (place.name in BOOK and len(place.relative_to(target).parts) <= 2) for place in found)
    if not target.is_dir() or (found and not (ours and any(place.name == "ledger.jsonl" for place in found))):
        raise GaccongError(
            say(
                "{t} đã có thứ khác, không phải sổ chứng cứ; không ghi đè",
                "{t} holds something else; not written over",
                t=target,
            ),
            say("chọn một thư mục mới", "choose a new folder"),
        )


def _fill(folder: Path, view: Shelf, sites: Sequence[str]) -> None:
    from ops import verifier

    for site in sites:
        place = folder if len(sites) == 1 else folder / site
        place.mkdir(exist_ok=True, mode=0o700)
        _write(place / "ledger.jsonl", (line + b"\n" for line in view.raw_lines(site)))
        _write(place / "checkpoints.txt", ["\n\n".join(view.checkpoints(site)).encode()])
        _write(place / "key.txt", [f"{view.vkey(site)}\n".encode()])
    _write(folder / "README.txt", [_README.encode()])
    _write(folder / "verifier.py", [Path(verifier.__file__).read_bytes()])


def _write(path: Path, parts: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.writelines(parts)
        stream.flush()
        os.fsync(stream.fileno())


def _put_in_place(temporary: Path, target: Path) -> None:
    """Renames the finished folder to its name; an older book steps aside first and comes back if that fails."""
    aside = temporary.with_name(f"{temporary.name}.old")
    if target.is_dir() and any(target.iterdir()):
        target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


BOOK = ("ledger.jsonl", "checkpoints.txt", "key.txt", "README.txt", "verifier.py")
_README = """\
SỔ CHỨNG CỨ CỦA CỔNG THÔNG TIN

Thư mục này là bản sao nguyên vẹn của sổ chứng cứ, ai cũng tự kiểm tra được, không cần phần mềm gaccong:

    pip install cryptography
    python3 verifier.py . --key KHÓA --expect TRANG=SỐ:MÃ

KHÓA và TRANG=SỐ:MÃ (tên trang và đầu sổ; sổ nhiều trang thì viết --expect cho từng trang, thiếu trang nào là không đạt)
lấy từ báo cáo đã ký hoặc nơi khác đã giữ, không lấy từ chính thư mục này. Nếu nghi ngờ, lấy verifier.py từ nguồn khác.
Kết quả 0 là đạt, 1 là không đạt; dòng sai đầu tiên được nêu rõ. Xem tên trang in ra có đúng trang cần kiểm tra không.

  ledger.jsonl     mỗi dòng một chứng cứ (JSON theo RFC 8785), đúng từng byte như đã lưu
  checkpoints.txt  các dấu ký: tên sổ, số dòng, mã gốc cây băm, chữ ký Ed25519; cách nhau hai dòng trống
  key.txt          khóa công khai đã ký
  verifier.py      chương trình kiểm tra, ngắn để đọc được hết

Sổ có thể chứa tên người và tài khoản: giữ như tài liệu nội bộ.

THE BOOK OF EVIDENCE OF A WEBSITE

This folder is a true copy of the ledger, which anybody can check without gaccong, with the two commands above. Take
KEY and SITE=SIZE:ROOT (a head; in a book of several sites one --expect for each, and one that is missing fails) from a
signed report or another place where they were kept, never from this folder; if in doubt, take verifier.py from elsewhere
too. Exit code 0: it holds; 1: it does not, and the first bad line is named. See that the site printed is the one meant.

  ledger.jsonl     a piece of evidence a line (JSON by RFC 8785), byte for byte as stored
  checkpoints.txt  signed notes (C2SP): origin, number of lines, RFC 6962 root, Ed25519; two blank lines between
  key.txt          the public key that signed them
  verifier.py      the program that checks, short enough to be read whole

How it fits together: leaf = SHA-256(0x00, line); node = SHA-256(0x01, left, right); each line carries its number
(`seq`, from 1) and the hex leaf hash of the line before (`prev`). Every transaction ended in one signed checkpoint.
The book may name persons and accounts: keep it as an internal paper.
"""
