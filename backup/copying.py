"""Runs `restic backup` with a parent of our own making (`python -m backup.copying --note FILE [--force] -- restic … backup …`).

restic takes an unchanged file's content from a parent snapshot, which it picks by host and paths. Whoever can write to the
repository could plant one with the true times and other content, and each later copy would carry it on. So the parent is
named: the snapshot that our last run made, as restic itself told us; where that one is not known or is gone, every file is
read anew (`--force`).

Output, errors and exit code are restic's. restic before 0.15 tells 8 digits of the snapshot's id, which can be forged;
in a repository on this machine the whole name is looked up and put in their place, elsewhere no parent is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_WHOLE = 64
_GONE = ("no matching", "invalid id", "not found", "does not exist")


def note_of(home: Path, set_name: str, at: str) -> Path:
    """Where it is noted which snapshot of a set was made last in the repository at this address."""
    import hashlib

    return home / "parents" / f"{set_name}-{hashlib.sha256(at.encode()).hexdigest()[:16]}"


def main(arguments: list[str] | None = None) -> int:
    """The step."""
    parser = argparse.ArgumentParser(prog="backup.copying")
    parser.add_argument("--note", required=True, type=Path)
    parser.add_argument("--at", required=True, help="the repository's address")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("restic", nargs="+", help="restic's argv; `backup` is its command")
    given = parser.parse_args(arguments)
    words: list[str] = given.restic
    parent = "" if given.force else _noted(given.note, given.at)
    code, summary, said = _run(words, parent, given.at)
    if parent and not summary and any(sign in said.lower() for sign in _GONE):
        code, summary, said = _run(words, "", given.at)
    made = str(summary.get("snapshot_id", ""))
    if len(made) == _WHOLE:
        _keep(given.note, made)
    if summary:
        print(json.dumps(summary, ensure_ascii=False), flush=True)
    return code


def _noted(note: Path, at: str) -> str:
    try:
        parent = note.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
    there = not at.startswith("/") or (Path(at) / "snapshots" / parent).is_file()
    return parent if there and len(parent) == _WHOLE and set(parent) <= set("0123456789abcdef") else ""


def _run(words: list[str], parent: str, at: str) -> tuple[int, dict[str, Any], str]:
    """(exit code, summary with a whole id where it can be had, what it said on standard error)."""
    place = words.index("backup") + 1
    chosen = ["--parent", parent] if parent else ["--force"]
    before = _names(at)
    # what was handed to us (secrets, the lock of the act) restic inherits: the lock lives as long as it does
    process = subprocess.Popen([*words[:place], *chosen, *words[place:]], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=False)
    summary: dict[str, Any] = {}
    said = _Errors(process.stderr)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            body = _object(line)
            if body.get("message_type") == "summary":
                summary = body
            else:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
        code = process.wait()
    except KeyboardInterrupt:  # the whole group was told to stop: restic takes its lock away first
        return process.wait() or 130, {}, said.text()
    told = str(summary.get("snapshot_id", ""))
    if told and len(told) < _WHOLE:
        new = [name for name in _names(at) - before if name.startswith(told)]
        summary["snapshot_id"] = new[0] if len(new) == 1 else told
    return code, summary, said.text()


class _Errors:
    """Standard error, handed on as it comes (a time limit must not swallow the reason); first and last of it are kept."""

    def __init__(self, stream: Any) -> None:
        import threading

        self._kept = bytearray()
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._stream.fileno(), 1 << 16):
            os.write(2, chunk)
            self._kept += chunk
            if len(self._kept) > 1 << 20:
                del self._kept[1 << 18 : -(1 << 18)]

    def text(self) -> str:
        """What was said."""
        self._thread.join()
        return self._kept.decode("utf-8", "backslashreplace")


def _names(at: str) -> set[str]:
    try:
        return {one.name for one in (Path(at) / "snapshots").iterdir()} if at.startswith("/") else set()
    except OSError:
        return set()


def _object(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"{"):
        return {}
    try:
        body = json.loads(line)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _keep(note: Path, made: str) -> None:
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = note.with_name(f".{note.name}.new")
    temporary.write_text(made, "ascii")
    temporary.chmod(0o600)
    temporary.replace(note)


if __name__ == "__main__":
    sys.exit(main())
