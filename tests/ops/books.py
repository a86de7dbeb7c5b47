"""Small ledgers and books for tests, made without a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ops.ledger import Frontier, canonical, checkpoint_text, leaf_hash
from ops.signing import Signer


@cache
def signer(seed: int = 1) -> Signer:
    """The same key each time."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer("gaccong/test", Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def body(seq: int, prev: str, site: str = "demo", **more: Any) -> bytes:
    """One line."""
    return canonical({"v": 1, "site": site, "seq": seq, "prev": prev, "kind": "flip", "duty": "web.http", **more})


def ledger(groups: Sequence[int], site: str = "demo", key: Signer | None = None) -> tuple[list[bytes], list[str]]:
    """Lines and notes of a ledger whose transactions wrote so many lines each."""
    key = key or signer()
    lines: list[bytes] = []
    notes: list[str] = []
    frontier, prev = Frontier(), ""
    for group in groups:
        for _ in range(group):
            lines.append(body(len(lines) + 1, prev, site, said=f"dòng thứ {len(lines) + 1}"))
            frontier.append(leaf_hash(lines[-1]))
            prev = leaf_hash(lines[-1]).hex()
        notes.append(key.sign_note(checkpoint_text(f"{key.name}/{site}", frontier.size, frontier.root())))
    return lines, notes


def write(folder: Path, lines: Iterable[bytes], notes: Iterable[str], vkey: str = "") -> Path:
    """A book's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (folder / "checkpoints.txt").write_text("\n\n".join(notes), encoding="utf-8")
    (folder / "key.txt").write_text(f"{vkey or signer().public}\n", encoding="utf-8")
    return folder


def prev_of(line: bytes) -> str:
    """The `prev` of a line."""
    return str(json.loads(line)["prev"])
