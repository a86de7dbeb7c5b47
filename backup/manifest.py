r"""The manifest of a set: what was there, byte for byte, just before restic copied it. It travels inside the copy.

`python -m backup.manifest --stage DIR --repository R --live PATH... --staged NAME... [--exclude PATTERN]...`
writes DIR/manifest.jsonl and prints one JSON line. One JSON object a line, pure ASCII, in tree order:

    {"v": 1, "made": "...Z", "set": "user", "asked": [...], "missing": [...], "empty": [...], "symlinks": [...],
     "troubles": [...]}
    {"path": "/srv/www/a.html", "kind": "file", "size": 5, "mode": 420, "uid": 0, "gid": 0, "mtime_ns": 1, "ctime_ns": 2,
     "inode": 3, "sha256": "..."}
    {"end": true, "files": 2, "bytes": 9, "unreadable": 0}

kind: file, dir, symlink (with `target`), other. A name that is not UTF-8 stands as `path64` (base64 of its bytes)
instead of `path`, a link's as `target64`. Sockets are left out, as restic leaves them out. `unreadable` on a line: the
entry is there but could not be read, or not even asked its kind (then `other`); `moving`: it changed while it was read. Nothing is held in memory but the folder
being walked: an unchanged file (size, mtime, ctime, inode) keeps its hash from the manifest before, read alongside in
the same order, unless it was touched within two seconds of that manifest's making.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

from backup.stage import MANIFEST
from backup.tree import matcher, order, walk

_RACY_NS = 2_000_000_000
BLOB = 512 << 10
"""restic cuts a file into pieces of at least these many bytes, the last one excepted."""
_BUFFER = [memoryview(bytearray(1 << 18))]
_KEPT = re.compile(rb',"sha256":"[0-9a-f]{64}"}\n')
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, "file"), (stat.S_ISDIR, "dir"), (stat.S_ISLNK, "symlink"),
)

Entry = dict[str, Any]
Raw = bytes
"""A path as the file system has it; a class with a field `bytes` needs another word for it."""


def written(name: str, value: bytes) -> Entry:
    """`{"path": "..."}` for UTF-8, else `{"path64": "..."}`."""
    try:
        return {name: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}64": base64.b64encode(value).decode("ascii")}


def read_name(entry: Entry, name: str = "path") -> bytes:
    """The bytes behind `path` or `path64`."""
    return base64.b64decode(entry[f"{name}64"]) if f"{name}64" in entry else str(entry[name]).encode("utf-8")


def shown(path: bytes) -> str:
    r"""A name for a person's eyes: bytes that are no UTF-8 as \xNN, control letters escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


class Before:
    """The manifest of last time, read alongside in tree order. A broken or absent one only costs speed.

    A file that was not touched has the same line again, up to its hash: lines are compared as they stand, and only where
    the two manifests part company is one read as JSON, to see which of them is ahead. On the way it is counted what became
    of its files (`told`).
    """

    def __init__(self, path: Path) -> None:
        self._lines = _raw_lines(path)
        self._latest_ns = 0
        self._at = b""
        self._key: tuple[bytes, ...] = ()
        self._entry: Entry = {}
        self._digest = hashlib.sha256()
        self._same = self._changed = self._new = self._gone = self._blobs = 0
        first = next(self._lines, b"")
        self._digest.update(first)
        head = _parsed(first)
        if "made" in head:
            made = int(datetime.fromisoformat(head["made"]).timestamp() * 1e9)
            self._latest_ns = made - _RACY_NS
            self._step()

    def _step(self) -> None:
        self._at, self._key = next(self._lines, b""), ()
        self._digest.update(self._at)

    def _read(self) -> bool:
        """Reads last time's line as JSON; one that is no entry (the footer, or a broken one) ends the old manifest."""
        if self._at and not self._key:
            self._entry = _parsed(self._at)
            if "path" in self._entry or "path64" in self._entry:
                self._key = order(read_name(self._entry))
            else:
                self._at = b""
        return bool(self._at)

    def _pass(self) -> None:
        self._gone += self._entry.get("kind") == "file"
        self._step()

    def find(self, path: bytes, begin: bytes, ctime_ns: int) -> bytes:
        """The whole line of last time, if it begins like this and the file was not touched since; else b""."""
        if not self._at.startswith(begin):
            key = order(path)
            while self._read() and self._key < key:
                self._pass()
            if not self._at.startswith(begin):
                return b""
        # without the bytes `moving` or `unreadable` after it; racy: it may have been written to in that very moment
        line = self._at if ctime_ns < self._latest_ns and _KEPT.fullmatch(self._at, len(begin)) else b""
        if line:
            self._same += 1
            self._step()
        return line

    def count(self, path: bytes, entry: Entry) -> None:
        """Counts a file that was read anew, after `find` gave nothing for it: the same content as last time, or not."""
        there = self._read() and self._key == order(path) and self._entry.get("kind") == "file"
        if there and "sha256" in entry and entry["sha256"] == self._entry.get("sha256"):
            self._same += 1
        else:
            self._changed += there
            self._new += not there
            self._blobs += 1 + entry["size"] // BLOB
        if there:
            self._step()

    def told(self) -> dict[str, int | str]:
        """What became of last time's files by their content. Reads the rest of the old manifest; call it once, at the end.

        before: SHA-256 of the old manifest, for only one that the ledger noted counts; files: how many it had.
        blobs: the most pieces of data that restic can store for what is new or changed.
        """
        while self._read():
            self._pass()
        return {"before": self._digest.hexdigest(), "files": self._same + self._changed + self._gone, "new": self._new,
                "changed": self._changed, "gone": self._gone, "blobs": self._blobs}

    def skip(self, line: bytes) -> None:
        """Passes over a line that is no file's and is the same again."""
        if self._at == line:
            self._step()


def _raw_lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            yield from stream
    except OSError:
        return


def _parsed(line: bytes) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def entries(path: Path) -> Iterator[Entry]:
    """The lines of a manifest; stops without complaint where one cannot be read."""
    try:
        with path.open("rb") as stream:
            for line in stream:
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    return
                yield entry
    except (OSError, ValueError):
        return


def line_of(entry: Entry) -> bytes:
    """An entry as it stands in the manifest."""
    return json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"


def begin_of(path: bytes, status: os.stat_result) -> bytes:
    """A file's line up to its hash, as `line_of` would write it; by hand, for a site has many files."""
    try:
        name = '"path":' + encode_basestring_ascii(path.decode("utf-8"))
    except UnicodeDecodeError:
        name = f'"path64":"{base64.b64encode(path).decode("ascii")}"'
    return (f'{{{name},"kind":"file","size":{status.st_size},"mode":{stat.S_IMODE(status.st_mode)},"uid":{status.st_uid},'
            f'"gid":{status.st_gid},"mtime_ns":{status.st_mtime_ns},"ctime_ns":{status.st_ctime_ns},'
            f'"inode":{status.st_ino}').encode("ascii")


def describe(path: bytes, status: os.stat_result | None, trouble: str) -> Entry:
    """The manifest's entry for one thing of the tree; a file is read for it."""
    if status is None:
        zero = dict.fromkeys(("size", "mode", "uid", "gid", "mtime_ns", "ctime_ns", "inode"), 0)
        return {**written("path", path), "kind": "other", **zero, "unreadable": trouble}
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "other")
    entry: Entry = {**written("path", path), "kind": kind, "size": status.st_size if kind == "file" else 0,
                    "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid,
                    "mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns, "inode": status.st_ino}
    if trouble:
        return entry | {"unreadable": trouble}
    try:
        if kind == "symlink":
            entry |= written("target", os.readlink(path))  # noqa: PTH115 - bytes
        elif kind == "file":
            entry |= _hashed(path, status)
    except OSError as error:
        entry["unreadable"] = error.strerror or "unreadable"
    return entry


def _hashed(path: bytes, status: os.stat_result) -> Entry:
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        while count := os.readv(descriptor, _BUFFER):
            digest.update(_BUFFER[0][:count])
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    same = (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    return {"sha256": digest.hexdigest(), **({} if same else {"moving": True})}


@dataclass
class Counts:
    """What a manifest amounts to."""

    files: int = 0
    bytes: int = 0
    unreadable: int = 0
    first_unreadable: list[str] = field(default_factory=list)

    def add(self, path: Raw, entry: Entry) -> None:
        """Counts one line."""
        if entry["kind"] == "file":
            self.files += 1
            self.bytes += entry["size"]
        if "unreadable" in entry:
            self.unreadable += 1
            self.first_unreadable = [*self.first_unreadable, shown(path)][:10]


def header(set_name: str, live: list[Path], staged: list[Path], left_out: Callable[[bytes], bool]) -> Entry:
    """The first line: what was asked for, and what of it is missing, empty, or only a symbolic link."""
    asked = [*live, *staged]
    links = [str(path) for path in asked if path.is_symlink()]
    missing = [str(path) for path in asked if not os.path.lexists(path)]
    empty = [str(path) for path in asked if str(path) not in (*links, *missing) and _is_empty(path, left_out)]
    made = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"v": 1, "made": made, "set": set_name, "asked": [str(path) for path in asked], "missing": missing,
            "empty": empty, "symlinks": links, "troubles": list(_troubles(staged))}


def _is_empty(path: Path, left_out: Callable[[bytes], bool]) -> bool:
    """No file with at least one byte at or below the path: a lost mount looks like this."""
    found = walk([os.fsencode(path)], left_out)
    return not any(status and stat.S_ISREG(status.st_mode) and status.st_size for _, status, _ in found)


def _troubles(staged: list[Path]) -> Iterator[str]:
    for path in staged:
        if path.name.endswith(".note.json"):
            note: Any = next(iter([json.loads(path.read_text("utf-8"))] if path.is_file() else []), {})
            if note.get("trouble"):
                yield f"{note.get('name', path.name)}: {note['trouble']}"


def write(stage: Path, live: list[Path], staged: list[str], excludes: list[str]) -> Entry:
    """Writes stage/manifest.jsonl whole (temporary file, fsync, rename) and returns the step's answer."""
    target, temporary = stage / MANIFEST, stage / f".{MANIFEST}.new"
    own = {os.fsencode(target), os.fsencode(temporary)}
    named = matcher(excludes)

    def left_out(path: bytes) -> bool:
        return path in own or named(path)

    first = header(stage.name, live, [stage / name for name in staged], left_out)
    counts, before, digest = Counts(), Before(target), hashlib.sha256()
    with temporary.open("wb") as stream:
        os.fchmod(stream.fileno(), 0o600)

        def line(data: bytes) -> None:
            digest.update(data)
            stream.write(data)

        line(line_of(first))
        for path, status, trouble in walk([*map(os.fsencode, live), os.fsencode(stage)], left_out):
            file = status if status is not None and not trouble and stat.S_ISREG(status.st_mode) else None
            if file and (known := before.find(path, begin_of(path, file), file.st_ctime_ns)):
                counts.files += 1
                counts.bytes += file.st_size
                line(known)
                continue
            entry = describe(path, status, trouble)
            counts.add(path, entry)
            data = line_of(entry)
            line(data)
            if file is None:
                before.skip(data)
            else:
                before.count(path, entry)
        line(line_of({"end": True, "files": counts.files, "bytes": counts.bytes, "unreadable": counts.unreadable}))
        since = before.told()
        since["blobs"] = int(since["blobs"]) + 1 + stream.tell() // BLOB  # the manifest's own
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(target)
    told = {name: first[name] for name in ("missing", "empty", "symlinks", "troubles")}
    return {"manifest": digest.hexdigest(), "path": str(target), "files": counts.files, "bytes": counts.bytes, **told,
            "unreadable": counts.first_unreadable, "since": since}


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 0 even when a source is missing: what exists is copied, and the proof finds the rest."""
    parser = argparse.ArgumentParser(prog="backup.manifest")
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("--repository", required=True)
    for name in ("--live", "--staged", "--exclude"):
        parser.add_argument(name, action="append", default=[])
    given = parser.parse_args(arguments)
    answer = write(given.stage, [Path(path) for path in given.live], given.staged, given.exclude)
    print(json.dumps({**answer, "repository": given.repository}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
