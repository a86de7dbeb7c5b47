"""Small notes that a check keeps between two looks, as JSON in the site's private folder; lost or spoilt, they begin anew."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 20


def read(path: Path) -> dict[str, Any]:
    """The note, or {} where there is none that can be read: a note is a memory, never evidence."""
    with suppress(OSError, ValueError):
        if path.stat().st_size <= MOST_BYTES:
            body = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(body, dict):
                return body
    return {}


def write(path: Path, body: dict[str, Any]) -> None:
    """Replaces the note whole, 0600. A full disk costs the memory, not the look."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(body, stream, ensure_ascii=False, sort_keys=True)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
