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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

from backup.stage import MANIFEST

_RACY_NS = 2_000_000_000
_BUFFER = [memoryview(bytearray(1 << 18))]
_KEPT = re.compile(rb',"sha256":"[0-9a-f]{64}"}\n')
_LETTER = (rb"(?>[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|"
           rb"\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[^/])")
"""What restic's `?` stands for: one letter of UTF-8, or one byte that is none. Never half a letter (hence atomic)."""
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


def order(path: bytes) -> tuple[bytes, ...]:
    """Sort key of tree order: a folder comes before what is in it, names by their bytes."""
    return tuple(path.split(b"/"))


def matcher(patterns: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether a path is named by one of restic's patterns (absolute; `*`, `?`, `**/`, backslash before a literal)."""
    parts = [_regex(pattern) for pattern in patterns]
    if not parts:
        return lambda path: False
    joined = re.compile(b"|".join(parts), re.S)
    return lambda path: joined.fullmatch(path) is not None


def _regex(pattern: str) -> bytes:
    made, data, at = b"", os.fsencode(pattern), 0
    while at < len(data):
        rest, sign = data[at:], data[at : at + 1]
        if rest.startswith(b"**/"):
            made, at = made + rb"(?:[^/]+/)*", at + 3
            continue
        if sign == b"\\" and at + 1 < len(data):
            at += 1
            made += re.escape(data[at : at + 1])
        else:
            made += {b"*": rb"[^/]*", b"?": _LETTER}.get(sign, re.escape(sign))
        at += 1
    return made


Found = tuple[bytes, os.stat_result | None, str]
"""(path, lstat, trouble); no lstat: it is there, but not even that could be asked."""


def walk(roots: Iterable[bytes], left_out: Callable[[bytes], bool]) -> Iterator[Found]:
    """What lies at and below `roots`, in tree order; nested roots are walked once."""
    last: bytes | None = None
    for root in sorted(set(roots), key=order):
        if last is not None and root.startswith(last.rstrip(b"/") + b"/"):
            continue
        last = root
        try:
            status = os.lstat(root)
        except OSError:
            continue  # told as missing in the header
        yield from _below(root, status, left_out)


def _below(root: bytes, first: os.stat_result, left_out: Callable[[bytes], bool]) -> Iterator[Found]:
    """A tree, without recursion: somebody may nest folders deeper than Python calls."""
    names, trouble = _names(root, first, left_out)
    if names is None:
        return
    yield root, first, trouble
    open_folders = [(root, iter(names))]
    while open_folders:
        folder, left = open_folders[-1]
        name = next(left, None)
        if name is None:
            open_folders.pop()
            continue
        path = folder.rstrip(b"/") + b"/" + name
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone between listing and asking: it was never there for this copy
        except OSError as error:
            if not left_out(path):
                yield path, None, error.strerror or "unreadable"
            continue
        names, trouble = _names(path, status, left_out)
        if names is not None:
            yield path, status, trouble
            open_folders.append((path, iter(names)))


def _names(path: bytes, status: os.stat_result, left_out: Callable[[bytes], bool]) -> tuple[list[bytes] | None, str]:
    """(names in a folder in order, trouble); None for what does not belong into the manifest."""
    if left_out(path) or stat.S_ISSOCK(status.st_mode):
        return None, ""
    if not stat.S_ISDIR(status.st_mode):
        return [], ""
    try:
        with os.scandir(path) as found:
            return sorted(entry.name for entry in found), ""
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError as error:
        return [], error.strerror or "unreadable"


class Before:
    """The manifest of last time, read alongside in tree order. A broken or absent one only costs speed.

    A file that was not touched has the same line again, up to its hash: lines are compared as they stand, and only where
    the two manifests part company is one read as JSON, to see which of them is ahead.
    """

    def __init__(self, path: Path) -> None:
        self._lines = _raw_lines(path)
        self._latest_ns = 0
        self._at = b""
        self._key: tuple[bytes, ...] = ()
        head = _parsed(next(self._lines, b""))
        if "made" in head:
            made = int(datetime.fromisoformat(head["made"]).timestamp() * 1e9)
            self._latest_ns = made - _RACY_NS
            self._step()

    def _step(self) -> None:
        self._at, self._key = next(self._lines, b""), ()

    def _behind(self, key: tuple[bytes, ...]) -> bool:
        """Whether last time's line stands before this place in the tree; a line that is none ends the old manifest."""
        if not self._key:
            entry = _parsed(self._at)
            if not ("path" in entry or "path64" in entry):
                self._at = b""
                return False
            self._key = order(read_name(entry))
        return self._key < key

    def find(self, path: bytes, begin: bytes, ctime_ns: int) -> bytes:
        """The whole line of last time, if it begins like this and the file was not touched since; else b""."""
        if not self._at.startswith(begin):
            key = order(path)
            while self._at and self._behind(key):
                self._step()
            if not self._at.startswith(begin):
                return b""
        line = self._at
        self._step()
        # without the bytes `moving` or `unreadable` after it; racy: it may have been written to in that very moment
        return line if ctime_ns < self._latest_ns and _KEPT.fullmatch(line, len(begin)) else b""

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
        line(line_of({"end": True, "files": counts.files, "bytes": counts.bytes, "unreadable": counts.unreadable}))
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(target)
    told = {name: first[name] for name in ("missing", "empty", "symlinks", "troubles")}
    return {"manifest": digest.hexdigest(), "path": str(target), "files": counts.files, "bytes": counts.bytes, **told,
            "unreadable": counts.first_unreadable}


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
