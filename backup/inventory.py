"""What objects the repository held after the latest copy, by name and size (`python -m backup.inventory --at R --file F`).

The last step of `backup.run` notes every object and the SHA-256 of `config` in a file of the site's home, and prints that
file's SHA-256, which the signed ledger keeps. So a deleted snapshot, an exchanged `config`, a repository put back to an
old state are found, none of which restic notices. Objects never change, and only a removal of ours may take them away:

* a plain run keeps what vanished since the last one as `missed`; it stays there until it is back;
* `--after-removal` (the last step of repair, after a plain run as its first) lets what vanished since go;
* `--gone ID…` (the last step of prune) lets these snapshots go, and packs and indexes, whose names a prune changes;
* the same holds for the ids in the note beside the file: `backup.forget` writes it before it forgets, so that a removal
  whose end nobody saw is known as ours. Every run that wrote the inventory takes the note away;
* `--give-up NAME…` (or `all`) takes names off `missed`: a person has accepted the loss; `--give-up config` pins anew.

One JSON object: {"v": 1, "repository", "config", "previous", "chain": [...], "objects": {"data": {NAME: size}, ...},
"missed": {"data/NAME": size}, "removed": [ID, ...]}. `chain`: SHA-256 of the files before this one, newest first. `removed`:
snapshots that a change of ours took away; the ledger has them only once the change is over. `previous` is "" at a beginning.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backup.objects import CONFIG, KINDS, Names, Objects, digest, objects_at, reachable

if TYPE_CHECKING:
    from backup.restic import Repository
    from ops import Context, Site, Step

_CHAIN = 64
_TOLD = 1000
NOT_LISTED = 3
"""Exit code: the objects could not be listed. The copy is made all the same; the proof finds it."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """A kept inventory. sha256: of its file; the rest as in the module's description."""

    sha256: str
    config: str
    previous: str
    chain: tuple[str, ...] = ()
    objects: Names = field(default_factory=dict)
    missed: Names = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @property
    def expected(self) -> Names:
        """What must be there: what was, and what was missed already."""
        return {**self.objects, **self.missed}

    def follows(self, noted: str) -> bool:
        """True when this is the file with that hash, or was written after it (by a run whose outcome is not noted)."""
        return noted == self.sha256 or noted in self.chain


@dataclass(frozen=True, slots=True)
class Note:
    """What the ledger kept of an inventory. removed: names of snapshots that a change of ours took away or gave up."""

    sha256: str
    previous: str
    evidence: str
    time: datetime
    removed: tuple[str, ...] = ()


def path_of(home: Path, at: str) -> Path:
    """The file with the inventory of the repository at this address."""
    return home / "inventory" / f"{hashlib.sha256(at.encode()).hexdigest()[:16]}.json"


def going_of(path: Path) -> Path:
    """The note beside an inventory: which snapshots a removal of ours is about to take away."""
    return path.with_suffix(".going")


def going(path: Path) -> set[str]:
    """The full ids in the note beside this inventory; none without a note that can be understood."""
    try:
        return {str(name) for name in json.loads(going_of(path).read_bytes())["gone"]}
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def note_going(note: Path, gone: Iterable[str]) -> None:
    """Adds ids to a note, whole or not at all, before they are taken away. Raises OSError."""
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(note, json.dumps({"v": 1, "gone": sorted({*gone, *going(note)})}).encode() + b"\n")


def step(home: Path, repository: Repository, *, after_removal: bool = False, give_up: Iterable[str] = (),
         gone: Iterable[str] = ()) -> list[Step]:
    """The step that notes the objects; none where they cannot be reached without the key (sftp, S3)."""
    from backup.lean import lean
    from ops import Step, say  # here: the step itself, run every night, does without

    if not reachable(repository.at):
        return []
    flags = [*(("--ca", repository.ca) if repository.ca else ()), *(("--after-removal",) if after_removal else ())]
    flags += [part for name in give_up for part in ("--give-up", name)]
    flags += [part for name in gone for part in ("--gone", name)]
    login = {name: reference for name, reference in repository.secrets.items() if name == "RESTIC_REPOSITORY_FILE"}
    return [Step(say("ghi tên và cỡ mọi tệp của kho", "note name and size of every object of the repository"),
                 lean("backup.inventory", "--at", repository.at, "--file", str(path_of(home, repository.at)), *flags),
                 secrets=login, expect=(0, NOT_LISTED), keep=True, timeout=3600.0)]


def load(path: Path) -> Inventory | None:
    """The kept inventory; None when there is none or it cannot be understood."""
    try:
        data = path.read_bytes()
        body = json.loads(data)
        objects = {f"{kind}/{name}": int(size) for kind in KINDS for name, size in body["objects"].get(kind, {}).items()}
        missed = {str(name): int(size) for name, size in body["missed"].items()}
        return Inventory(hashlib.sha256(data).hexdigest(), str(body["config"]), str(body["previous"]),
                         tuple(map(str, body["chain"])), objects, missed, tuple(map(str, body.get("removed", ()))))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def notes(site: Site, ctx: Context, at: str) -> list[Note]:
    """What the ledger knows of the inventories of the repository at this address, oldest first."""
    found = []
    for line in ctx.view.evidence(site.id, kind="outcome"):
        if not line.duty.startswith("backup."):
            continue
        for one in line.body.get("steps", ()):
            answer = one.get("answer")
            if isinstance(answer, dict) and answer.get("inventory") and answer.get("repository") == at:
                removed = tuple(map(str, answer.get("removed_snapshots", ())))
                found.append(Note(str(answer["inventory"]), str(answer.get("previous", "")), line.id, line.time, removed))
    return found


def _missed(was: Inventory | None, after_removal: bool, ours: set[str]) -> Names:
    """What would have to be there still. ours: ids of snapshots that a prune of ours took away."""
    if was is None or after_removal:
        return was.missed if was else {}
    if not ours:
        return was.expected
    return {name: size for name, size in was.expected.items() if name in was.missed or (
        name.startswith(("snapshots/", "keys/")) and name.removeprefix("snapshots/") not in ours)}


def write(path: Path, objects: Objects, *, after_removal: bool = False, give_up: Iterable[str] = (),
          gone: Iterable[str] = ()) -> dict[str, Any]:
    """Notes what the repository holds now, whole or not at all, and gives the step's answer. Raises OSError."""
    ours = {*gone, *going(path)}
    there = objects.names()
    try:
        config = digest(objects, CONFIG)[0]
    except FileNotFoundError:
        config = ""
    was = load(path)
    missed = _missed(was, after_removal, ours)
    given = set(give_up)
    if was is not None and CONFIG not in given:
        config = was.config or config  # pinned: it is made once and never changes
    before = {} if was is None else was.expected
    missed = {name: size for name, size in missed.items() if name not in there and not given & {name, "all"}}
    by_kind: dict[str, Names] = {kind: {} for kind in KINDS}
    for name in sorted(there):
        kind, _, rest = name.partition("/")
        by_kind[kind][rest] = there[name]
    removed = sorted(name.partition("/")[2] for name in before
                     if name.startswith("snapshots/") and name not in there and name not in missed)
    body = {"v": 1, "repository": objects.at, "config": config, "previous": was.sha256 if was else "",
            "chain": [was.sha256, *was.chain][:_CHAIN] if was else [], "objects": by_kind,
            "missed": dict(sorted(missed.items())), "removed": [*removed, *(was.removed if was else ())][:_TOLD]}
    data = json.dumps(body, separators=(",", ":")).encode("ascii", "backslashreplace") + b"\n"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, data)
    going_of(path).unlink(missing_ok=True)
    return {"inventory": hashlib.sha256(data).hexdigest(), "previous": body["previous"], "repository": objects.at,
            "objects": len(there), "object_bytes": sum(max(0, size) for size in there.values()), "config": config,
            "missed": len(missed), "removed_snapshots": removed[:_TOLD]}


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 3: the objects could not be listed; the inventory before stays as it is."""
    parser = argparse.ArgumentParser(prog="backup.inventory")
    parser.add_argument("--at", required=True)
    parser.add_argument("--file", required=True, type=Path)
    parser.add_argument("--ca", default="")
    parser.add_argument("--after-removal", action="store_true")
    parser.add_argument("--give-up", action="append", default=[])
    parser.add_argument("--gone", action="append", default=[])
    given = parser.parse_args(arguments)
    named = os.environ.get("RESTIC_REPOSITORY_FILE", "")
    address = Path(named).read_text("utf-8").strip() if named else ""
    objects = objects_at(given.at, address, given.ca)
    if objects is None:
        print(f"the objects of {given.at} cannot be reached without restic", file=sys.stderr)
        return NOT_LISTED
    try:
        told = write(given.file, objects, after_removal=given.after_removal, give_up=given.give_up, gone=given.gone)
    except OSError as error:
        print(f"the objects of {given.at} could not be noted: {error}", file=sys.stderr)
        return NOT_LISTED
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
