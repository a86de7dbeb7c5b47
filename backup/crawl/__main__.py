"""The staging step of `mirror` (`python -m backup.crawl --stage DIR --name NAME --orders JSON`).

Puts NAME.warc.gz, NAME.cdxj and NAME.note.json into the stage. A walk that got no front page, or fewer than half of the
pages of the last good one, is thrown away: the archive before stays, the note tells, and the copy is not proved. Any
other trouble keeps what was got, with the pages of the archive before that could not be had tonight.

Exit 0: a good copy; 3: not, and the note says why. Prints the note as one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backup.notes import PART_DONE, read_note, write_note
from backup.ssh import end_with_parent
from ops import python

GRACE_SECONDS = 900.0
_UNFINISHED = "lần chép trang không chạy hết; bản trong nơi tạm là của lần trước (the crawl did not end: what is staged is " \
              "the one before)"


def crawl(stage: Path, name: str, orders: dict[str, Any]) -> dict[str, Any]:
    """One walk, and what is to stand in the stage after it. Gives the note."""
    note_path = stage / f"{name}.note.json"
    before = _last(note_path)
    good = int(before.get("good_pages", 0))
    note: dict[str, Any] = {"kind": "mirror", "name": name, "seeds": orders["seeds"], "good_pages": good,
                            "started": datetime.now(UTC).isoformat(timespec="seconds")}
    write_note(note_path, {**before, **note, "trouble": _UNFINISHED})
    fresh = {kind: stage / f".{name}.{kind}.new" for kind in ("warc.gz", "cdxj")}
    held = {kind: stage / f"{name}.{kind}" for kind in ("warc.gz", "cdxj")}
    try:
        told = _walk(orders | {"last": good, "filename": held["warc.gz"].name}, fresh, held)
        old = _digests(held) if all(path.is_file() for path in held.values()) else {}
        worthless = not told.get("pages") or not told.get("front") or (good and told["seen"] * 2 < good)
        if not worthless or (not old and told.get("urls")):
            for kind in ("warc.gz", "cdxj"):
                fresh[kind].replace(held[kind])
            note |= {**told, "kept_before": False, **_digests(held)}
        else:
            note |= {**told, "kept_before": bool(old), **old}
        if not note["trouble"]:
            note["good_pages"] = note["seen"]
    finally:
        for path in fresh.values():
            path.unlink(missing_ok=True)
    write_note(note_path, note)
    return note


def _walk(orders: dict[str, Any], fresh: dict[str, Path], held: dict[str, Path]) -> dict[str, Any]:
    """Runs the crawler; whatever becomes of it, what it told, with `trouble` when it did not end well."""
    with ExitStack() as stack:
        opened: dict[str, int] = {}
        for key, path, flags in (
                ("archive_fd", fresh["warc.gz"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                ("index_fd", fresh["cdxj"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                ("old_archive_fd", held["warc.gz"], os.O_RDONLY), ("old_index_fd", held["cdxj"], os.O_RDONLY)):
            try:
                opened[key] = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                opened[key] = -1
                continue
            stack.callback(os.close, opened[key])
        limit = float(orders["seconds"]) + GRACE_SECONDS
        try:
            done = subprocess.run(
                python("backup.crawl.inner"), input=json.dumps(orders | opened), capture_output=True, text=True,
                timeout=limit, check=False, pass_fds=[number for number in opened.values() if number >= 0],
                preexec_fn=end_with_parent, errors="backslashreplace")
            told = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else {}
            if told:
                return dict(told)
            said = (done.stderr.strip().splitlines() or ["?"])[-1][:300]
            why = f"bộ chép trang hỏng với mã {done.returncode} (the crawler ended with {done.returncode}): {said}"
        except subprocess.TimeoutExpired:
            why = f"bộ chép trang không xong trong {limit:g} giây (the crawler did not end within {limit:g} seconds)"
        except ValueError as error:
            why = f"bộ chép trang nói không rõ (the crawler's answer cannot be read): {error}"
    return {"pages": 0, "seen": 0, "urls": 0, "front": 0, "trouble": why}


def _digests(held: dict[str, Path]) -> dict[str, str]:
    found = {}
    for kind, key in (("warc.gz", "archive_sha256"), ("cdxj", "index_sha256")):
        with held[kind].open("rb") as stream:
            found[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _last(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return read_note(path)
    return {}


def main(arguments: list[str] | None = None) -> int:
    """The staging step."""
    parser = argparse.ArgumentParser(prog="backup.crawl")
    for name in ("--stage", "--name", "--orders"):
        parser.add_argument(name, required=True)
    given = parser.parse_args(arguments)
    note = crawl(Path(given.stage), given.name, json.loads(given.orders))
    print(json.dumps(note, ensure_ascii=False, sort_keys=True))
    return PART_DONE if note["trouble"] else 0


if __name__ == "__main__":
    sys.exit(main())
