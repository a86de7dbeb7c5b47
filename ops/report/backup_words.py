"""What checks and changes said, in words fit for a paper that a chair signs: one sentence, no mend, no path, no raw word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ops.model import Evidence, nfc

_MEND = re.compile(r"\s*(?:\n|→)")
_STOP = re.compile(r"(?<=[.!?])\s+")
_RAW = (
    (re.compile(r"\[Errno \d+\] Connection refused", re.IGNORECASE), "máy chủ từ chối kết nối"),
    (re.compile(r"\[Errno \d+\] (?:Connection timed out|Timed out)", re.IGNORECASE), "máy chủ không trả lời"),
    (re.compile(r"\[Errno \d+\]\s*"), ""),
    (re.compile(r":?\s*\{[\"'].*\}", re.DOTALL), ""),  # what a program wrote for programs
    (re.compile(r"bản sao \(snapshots?\)"), "bản sao"),
    (re.compile(r"\brepositor(?:y|ies)\b"), "kho sao lưu"),
    (re.compile(r"\bsnapshots?\b"), "bản sao"),
    (re.compile(r"\bprune\b"), "bỏ bản cũ"),
    (re.compile(r"(?<![\d.,])(\d+)\.(\d{1,2})(?![\d.])"), r"\1,\2"),
)
_AT = re.compile(r"(?<![\w/…])(?P<kind>kho(?: sao lưu)? )?(?P<at>(?:[a-z]+:)*(?://?)[\w.@:%+~/-]*[\w/])")


def places_of(lines: Iterable[Evidence]) -> dict[str, str]:
    """Address of a repository -> its name, as the plans carried out tell: `--at` and `--from` of those that name a place."""
    found: dict[str, str] = {}
    for line in lines:
        if line.kind != "intent" or line.duty != "backup.copy":
            continue
        for step in line.body.get("plan", {}).get("steps", ()):
            argv = [str(word) for word in step.get("argv", ())]
            named = dict(zip(argv, argv[1:], strict=False))
            if "--at" in named:
                found[named["--at"]] = str(line.body.get("args", {}).get("place", "")) or "thứ hai"
            if "--from" in named:
                found.setdefault(named["--from"], "chính")
    return found


def sentence(text: str, most: int = 160, places: Mapping[str, str] | None = None, site: str = "") -> str:
    """The first sentence of what was said, without its stop; longer than `most` letters it ends at a clause or a word."""
    said = _MEND.split(nfc(text).strip(), maxsplit=1)[0]
    for raw, word in _RAW:
        said = raw.sub(word, said)
    if site:
        said = re.sub(rf"(?<!\w){re.escape(site)}#(?=\d)", "#", said)
    said = _AT.sub(lambda found: _where(found, places or {}), said)
    stop = next((found.start() for found in _STOP.finditer(said) if said[found.end() : found.end() + 1].isupper()), len(said))
    said = said[:stop]
    return shorter(" ".join(said.split()).rstrip(" .;:,"), most)


def _where(found: re.Match[str], places: Mapping[str, str]) -> str:
    """The place's name for its address; for a place without a name what it is; a path of the site by its last part."""
    at = found["at"]
    if len(at) < 3 or "/" not in at[1:]:
        return found[0]
    if at in places:
        return f"kho {places[at]}"
    return "kho sao lưu" if found["kind"] else f"“{at.rstrip('/').rpartition('/')[2]}”"


def shorter(text: str, most: int = 160) -> str:
    """Whole clauses that fit, else whole words and `…`; the rest stands in the evidence."""
    if len(text) <= most:
        return text
    clauses = text[: most + 1].rpartition("; ")[0]
    if len(clauses) >= most // 3:
        return clauses
    words = text[:most].rpartition(" ")[0]
    return (words if len(words) >= most // 2 else text[: most - 1]).rstrip(" ,;:(") + " …"
