"""The note that a staging step leaves beside what it staged: what it counted and hashed, or its trouble.

Standard library alone: the steps of every night begin here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PART_DONE = 3
"""Exit code of a staging step that could not get its source. The rest is copied all the same; the proof finds it."""


def write_note(path: Path, body: dict[str, Any]) -> None:
    """Writes a staging note beside what was staged; the drill compares with it. Never half-written."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(body, ensure_ascii=False, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    temporary.chmod(0o600)
    temporary.replace(path)


def read_note(path: Path) -> dict[str, Any]:
    """The note that staging wrote. Raises OSError or ValueError."""
    body = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(body, dict):
        raise ValueError(f"{path.name} is not a note")
    return body
