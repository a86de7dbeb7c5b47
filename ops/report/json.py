"""The document for machines: stable keys, sorted, the same bytes for the same input."""

from __future__ import annotations

import json

from ops.report.tree import Document


def render(document: Document) -> bytes:
    """UTF-8 JSON with a final newline. Numbers are finite; texts carry `vi` and `en` where the data have both."""
    text = json.dumps(document.data, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False)
    return text.encode("utf-8") + b"\n"
