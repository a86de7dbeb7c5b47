#!/usr/bin/env python3
"""Kiểm tra sổ chứng cứ / verifies a book of evidence: python3 verifier.py DIR [--key VKEY] [--expect SIZE:ROOTHEX]

Stands alone: standard library and `cryptography`. Exit code 0: the book holds; 1: it does not. Each line has `seq` and
`prev` (leaf hash of the line before); RFC 6962 roots over the stored bytes are signed in C2SP checkpoints.
Key and head must come from outside the book (a signed report), or else the book only vouches for itself.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Judgement(NamedTuple):
    lines: int
    anchored: int  # lines under a signature that holds
    root: str
    intact: bool  # nothing that is there differs from what was signed
    complete: bool  # nothing is missing at the end
    first_bad: int | None
    vi: str
    en: str


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def roots_of(leaves: Iterable[bytes]) -> list[bytes]:
    """The Merkle root after each leaf."""
    edge, roots = list[bytes](), list[bytes]()
    for size, node in enumerate(leaves):
        while size & 1:
            node, size = sha(b"\x01", edge.pop(), node), size >> 1
        edge.append(node)
        for left in edge[-2::-1]:
            node = sha(b"\x01", left, node)
        roots.append(node)
    return roots


def exact(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 with stray bits")
    return raw


def read_key(vkey: str) -> tuple[str, bytes, bytes]:
    name, shown, encoded = vkey.split("+", 2)
    raw = exact(encoded)
    mark = sha(name.encode(), b"\n", raw)[:4]
    if not name or len(raw) != 33 or raw[:1] != b"\x01" or mark.hex() != shown:
        raise ValueError("không phải khóa công khai / not a public key")
    return name, mark, raw[1:]


def read_note(note: str, key: tuple[str, bytes, bytes]) -> tuple[str, int, bytes]:
    """(origin, size, root) of a checkpoint that `key` signed; ValueError for anything else."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text, _, signatures = note.rpartition("\n\n")
    start = f"— {key[0]} "
    found = [exact(line.removeprefix(start)) for line in signatures.split("\n") if line.startswith(start)]
    try:
        signature = next(raw[4:] for raw in found if raw[:4] == key[1])
        Ed25519PublicKey.from_public_bytes(key[2]).verify(signature, (text + "\n").encode())
    except (StopIteration, InvalidSignature):
        raise ValueError("not signed by this key") from None
    origin, size, root = text.split("\n")[:3]
    return origin, int(size), exact(root)


def read_line(raw: bytes) -> tuple[object, object, object]:
    try:
        body = json.loads(raw)
        return body["seq"], body["prev"], body["site"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, None, None


def find_bad(leaves: Sequence[bytes], lines: Sequence[bytes], marks: Mapping[int, bytes], held: int, site: str) -> int:
    """First line past the signed prefix `held` that breaks the chain (0: none); its neighbours say which one it is."""
    rows, prev = [read_line(raw) for raw in lines], ["", *(leaf.hex() for leaf in leaves)]
    at = next((i for i in range(held + 1, len(rows) + 1) if rows[i - 1] != (i, prev[i - 1], site)), 0)
    (seq, claim, place), before = rows[at - 1], rows[at - 2]
    twin = seq == at - 1 and claim == before[1] and leaves[at - 1] != leaves[at - 2]
    if at - 1 <= held or place != site or (seq != at and not twin):
        return at
    if at < len(rows):
        return at - 1 if rows[at][1] == prev[at] else at
    claimed = [] if twin else [bytes.fromhex(claim) if re.fullmatch("[0-9a-f]{64}", str(claim)) else b""]
    mended = roots_of([*leaves[: at - 2], *claimed, leaves[at - 1]])
    return at - 1 if (at - 1 in marks and not twin) or mended[-1] == marks.get(len(mended)) else at


def judge(lines: Sequence[bytes], notes: Iterable[str], vkey: str, expect: tuple[int, str] | None = None) -> Judgement:
    """Judges a ledger by a key and, if one was kept, a head (size, hex root). ValueError when `vkey` is no key."""
    key, marks, origin, wrong = read_key(vkey), dict[int, bytes](), "", 0
    for number, note in enumerate(notes, 1):
        try:
            found, size, root = read_note(note, key)
            if size <= max(marks, default=0) or found != (origin or found) or not found.startswith(key[0] + "/"):
                raise ValueError("out of order, or of another ledger")
            origin, marks[size] = found, root
        except ValueError:
            wrong = wrong or number
    count, leaves, signed = len(lines), [sha(b"\x00", raw) for raw in lines], max(marks, default=0)
    roots, lost = roots_of(leaves), max(signed, expect[0] if expect else 0)
    torn = next((size for size in marks if size <= count and roots[size - 1] != marks[size]), 0)
    held = max((size for size in marks if size <= count and not 0 < torn <= size), default=0)
    bad = find_bad(leaves, lines, marks, held, origin.removeprefix(key[0] + "/")) if count and marks else 0
    first, intact, complete = bad, False, count >= lost
    if not count or not marks:
        vi, en = ("không có dấu ký của khóa này", "nothing signed by this key") if count else ("sổ rỗng", "empty book")
    elif torn and not 0 < bad <= torn:
        first, several = held + 1, f"–{torn}" if torn > held + 1 else ""
        vi, en = f"dòng {first}{several} không đúng bản đã ký", f"line {first}{several} is not what was signed"
    elif bad:
        later = isinstance(seq := read_line(lines[bad - 1])[0], int) and seq > bad
        vi = f"thiếu dòng {bad}" if later else f"dòng {bad} bị sửa, chèn hoặc đổi chỗ"
        en = f"line {bad} is missing" if later else f"line {bad} was changed, inserted or moved"
    elif not complete:
        first, intact = count + 1, not wrong
        vi, en = f"bị cắt đuôi: đã ký {lost} dòng, còn {count}", f"tail cut: {lost} lines were signed, {count} are left"
    elif count > signed:
        first, vi, en = signed + 1, f"từ dòng {signed + 1} không có chữ ký", f"from line {signed + 1} on unsigned"
    elif expect and roots[expect[0] - 1].hex() != expect[1]:
        vi, en = "khác với đầu sổ đã giữ", "not the ledger of which that head was kept"
    elif wrong:
        vi, en = f"dấu ký thứ {wrong} không đúng", f"checkpoint number {wrong} is not right"
    else:
        intact, vi, en = True, f"{count} dòng nguyên vẹn, đều đã ký", f"{count} lines intact, all signed"
    return Judgement(count, held, roots[-1].hex() if roots else "", intact, complete, first or None, vi, en)


def read_book(folder: Path, vkey: str, expect: tuple[int, str] | None) -> Judgement:
    """Judges the files of one folder. OSError or ValueError when they cannot be read."""
    content, notes, own = ((folder / name).read_bytes() for name in ("ledger.jsonl", "checkpoints.txt", "key.txt"))
    if vkey and own != f"{vkey}\n".encode():
        raise ValueError("key.txt khác khóa đã cho / key.txt is not the key that was given")
    blocks = notes.decode(errors="replace").split("\n\n")
    pairs = ["\n\n".join(blocks[at : at + 2]) + "\n" * (at + 2 < len(blocks)) for at in range(0, len(blocks), 2)]
    lines = content.split(b"\n")
    torn = [lines.pop() + b"\n"] if lines[-1] else lines.pop() and []
    return judge([*lines, *torn], pairs, own.decode().removesuffix("\n"), expect)
