"""Compares a restored tree with the manifest in it (`python -m backup.judge`). Exit 0: what was copied is there again.

The manifest's own SHA-256 must be the one that the ledger noted when the copy was made ("" where the ledger knows
nothing of the copy). Prints one JSON line. With `--part PATH ROOT` only what lies at and below PATH is compared, and
ROOT stands for "/" there; what no part names is left aside.

`--note FILE` keeps the verdict for `backup.restored`: which copy, where to, how many files were compared, wrong, missing.
`--begin` only notes that a restore begins, before anything is brought: one that never comes to its end stays visible.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backup.compare import ELSEWHERE, Comparison, compare, restored
from backup.manifest import Entry
from backup.stage import MANIFEST
from ops import Step, Text, python, say, write_file

BEGUN, RIGHT, WRONG = "begun", "right", "wrong"
Part = tuple[bytes, Callable[[bytes, Entry], str]]
Note = dict[str, Any]
_SECONDS = 21600.0
_NAMED = 3


def note_of(home: Path, set_name: str) -> Path:
    """Where the verdict of a set's last restore is kept."""
    return home / "restored" / f"{set_name}.json"


def read(path: Path) -> Note | None:
    """The note; None where there is none, {} for one that cannot be understood."""
    try:
        body = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def steps(note: Path, snapshot: str, root: str, stage: str, manifest: str, parts: Sequence[tuple[str, str]], why: Text, *,
          in_place: bool = False) -> tuple[Step, Step]:
    """(the step that notes the beginning, the step that compares). in_place: the parts will stand at their PATH."""
    words = ["--note", str(note), "--snapshot", snapshot, "--root", root, "--stage", stage, "--manifest", manifest,
             *(["--in-place"] if in_place else []), *(word for part in parts for word in ("--part", *part))]
    begin = Step(say("ghi lại: bắt đầu khôi phục từ bản sao {i}", "note that a restore from copy {i} begins", i=snapshot[:8]),
                 python("backup.judge", *words, "--begin"), timeout=60.0)
    return begin, Step(why, python("backup.judge", *words), keep=True, timeout=_SECONDS)


def judge(root: Path, stage: str, manifest: str, parts: list[tuple[str, Path]] | None = None, began_ns: int | None = None) \
        -> tuple[bool, dict[str, Any]]:
    """Whether the trees are what was copied, and the counts. `root` stands for "/" where the manifest is. began_ns: see
    `compare.restored`."""
    seen = Comparison(stage)
    looks: list[Part] = [(os.fsencode(at), restored(where, began_ns)) for at, where in parts or [("/", root)]]

    def look(path: bytes, entry: Entry) -> str:
        for at, one in looks:
            if path == at or path.startswith(at.rstrip(b"/") + b"/"):
                return one(path, entry)
        return ELSEWHERE

    path = root / stage.lstrip("/") / MANIFEST
    if not path.is_file():
        return False, {"error": "manifest missing", "path": str(path)}
    compare(seen, path, look)
    noted = not manifest or seen.manifest == manifest
    sound = not seen.count("wrong") + seen.count("lost") and seen.hollow is None
    told = {"files": seen.right, "not_compared": seen.files - seen.elsewhere - seen.right, "bytes": seen.bytes,
            "counts": seen.counts, "manifest_as_noted": noted,
            "names": {kind: names[:_NAMED] for kind, names in seen.names.items() if kind in ("wrong", "lost", "gone")}}
    return seen.whole and seen.files > 0 and noted and sound, told


def _stands(given: argparse.Namespace) -> dict[str, list[int]]:
    """Where the restored trees stand when all is done -> [device, inode], which an exchange does not change."""
    found = {}
    for at, root in given.part or [("", given.root)]:
        if given.in_place and at == given.stage:
            continue  # the stage is only for the manifest and the databases in it
        status = os.lstat(f"{root}{at}")
        found[at if given.in_place else f"{root}{at}"] = [status.st_dev, status.st_ino]
    return found


def _keep(given: argparse.Namespace, asked: list[str], **more: Any) -> None:
    """Writes the note whole, 0600."""
    if given.note is None:
        return
    to = sorted(at for at, _ in given.part if at != given.stage) if given.in_place else [given.root]
    was = read(given.note) or {}
    began = {"began": was["began"]} if was.get("asked") == asked and was.get("state") == BEGUN else {}
    given.note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    body = {"v": 1, "asked": asked, "snapshot": given.snapshot, "manifest": given.manifest, "in_place": given.in_place, "to": to,
            **began, **more}
    write_file(given.note, json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace"), 0o600)


def _began_ns(note: Path | None, asked: list[str]) -> int | None:
    was = (read(note) or {}) if note is not None else {}
    if was.get("asked") == asked and was.get("state") == BEGUN:
        return int(datetime.fromisoformat(was["began"]).timestamp()) * 1_000_000_000
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--root", "--stage", "--manifest"):
        parser.add_argument(name, required=True)
    parser.add_argument("--part", nargs=2, action="append", default=[], metavar=("PATH", "ROOT"))
    parser.add_argument("--note", type=Path)
    parser.add_argument("--snapshot", default="")
    for name in ("--in-place", "--begin"):
        parser.add_argument(name, action="store_true")
    given = parser.parse_args()
    asked = [word for word in sys.argv[1:] if word != "--begin"]
    if given.begin:
        _keep(given, asked, state=BEGUN, began=_now())
        return 0
    right, told = judge(Path(given.root), given.stage, given.manifest, [(at, Path(root)) for at, root in given.part],
                        _began_ns(given.note, asked))
    counts = told.get("counts", {})
    _keep(given, asked, state=RIGHT if right else WRONG, ended=_now(), **told, wrong=counts.get("wrong", 0),
          missing=counts.get("lost", 0) + counts.get("gone", 0), stands=_stands(given) if right else {})
    print(json.dumps(told))
    if not right:
        print("restored files differ from the manifest", file=sys.stderr)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
