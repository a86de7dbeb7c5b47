"""Brings paths of another machine into the stage with rsync over our strict ssh (`python -m backup.fetch`).

DIR/LABEL/srv/www/site is then as the far /srv/www/site is, and DIR/LABEL.note.json tells how it went. The far side is not
trusted: its links stay links and are never followed, no device or pipe is made, a path is opened by descriptor before
rsync may write there, the disk is never filled, everything is bounded in time.

Emptiness fails closed. Each path is first asked for its size (`rsync --dry-run`). What is missing, only a link, without
one byte, or holds fewer than half of the files of the last good fetch is NOT fetched: last night's mirror stays as it is,
the note says so, and the copy is not proved. When the loss is right, remove the note file: the next fetch forgets what
was there. A fetch that is cut leaves a mirror half new and a note that says so; the next fetch repairs it. Once a week
every byte is compared (`--checksum`), not only size and time.

Exit 0: every path is there; 3: not, and the note says why. Prints the note as one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup import rsync
from backup.found import handed_on
from backup.hold import Refused, make_private, remove
from backup.notes import PART_DONE, read_note, write_note
from backup.ssh import end_with_parent, explained
from ops import python

SECONDS = 20000.0
SILENT_SECONDS = 120
SPARE_BYTES, SPARE_FILES = 256 << 20, 5000
"""What a fetch leaves free on the disk that also holds the ledger."""
MEMORY = max(1 << 30, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
"""Of one rsync: the far side decides how long the list of files is, some 100 bytes for each."""
COMPARE_DAYS = 7
_PIECE = 64 << 10
_LOOK_SECONDS = 0.2
"""How often the disk is looked at: one that is told to copy what it has writes more than a gigabyte a second."""
FEW = 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FLAGS = ("--recursive", "--no-inc-recursive", "--links", "--perms", "--times", "--owner", "--group", "--hard-links",
          "--numeric-ids", "--no-devices", "--no-specials", "--no-motd", "--stats", "--no-human-readable",
          f"--timeout={SILENT_SECONDS}")
_GONE = "No such file or directory"
_NO_ATTRIBUTES = ("ACLs are not supported", "extended attributes are not supported", "Operation not supported")
_LOST = (10, 12, 30, 255)
_STOOD = re.compile(r"\([1-9]\d* bytes received so far\)")
_CODES = {
    10: ("mất kết nối", "the connection broke"), 11: ("lỗi ghi đĩa tại đây", "writing to the disk here failed"),
    12: ("mất kết nối giữa chừng", "the connection was cut midway"), 30: ("không có tín hiệu", "no data came for too long"),
    20: ("bị dừng", "it was ended"), 255: ("mất kết nối", "the connection broke"),
    127: ("máy kia không có rsync → apt-get install rsync tại đó", "rsync is missing there → apt-get install rsync"),
}


class Trouble(Exception):
    """Why a path was not fetched, in both languages."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} ({en})")


@dataclass
class Kept:
    """What is kept of a stream that the far side fills: its first bytes (what rsync complains of first tells most) and its
    last ones. Read in pieces: a line may never end."""

    most: int = 256 << 10
    head: bytearray = field(default_factory=bytearray)
    tail: bytes = b""
    cut: bool = False

    def read(self, stream: Any) -> None:
        """Reads to the end, whatever comes; holds `most` bytes of it, and 64 KiB more."""
        with suppress(OSError, ValueError):
            while piece := os.read(stream.fileno(), _PIECE):
                room = self.most - len(self.head)
                self.head += piece[:room]
                self.cut = self.cut or len(self.tail) + len(piece[room:]) > _PIECE
                self.tail = (self.tail + piece[room:])[-_PIECE:]

    @property
    def text(self) -> str:
        """As text; a line of dots where something was left out."""
        return (bytes(self.head) + (b"\n...\n" if self.cut else b"") + self.tail).decode("utf-8", "backslashreplace")


@dataclass
class Way:
    """How to reach the far side, and what this run has found out. rsh: rsync's -e; extra: -A -X where both sides can."""

    name: str
    rsh: str
    extra: tuple[str, ...] = ("--acls", "--xattrs")
    deadline: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def run(self, destination: int, source: Path, rules: Iterable[str], *more: str) -> subprocess.CompletedProcess[str]:
        """One rsync from the far `source` into an open folder. Raises Trouble past the deadline or on a full disk."""
        for extra in dict.fromkeys((self.extra, ())):
            argv = ["rsync", *_FLAGS, *extra, *more, *(f"--filter={rule}" for rule in rules), "-e", self.rsh, "--",
                    f"far:{source}", f"/proc/self/fd/{destination}/"]
            done = _guarded(argv, destination, self.deadline)
            if not any(sign in done.stderr for sign in _NO_ATTRIBUTES):
                break
            self.extra = ()
        return done


def rsh_of(host: str) -> str:
    """rsync's -e: words apart at spaces, a word in quotes, a quote inside doubled."""
    words = python("backup.ssh", "--host", host, "--rsh", "--")
    return " ".join("'" + word.replace("'", "''") + "'" for word in words)


def rules_for(path: Path, excludes: Iterable[str]) -> list[str]:
    """rsync's filter rules for a source's exclusions below one of its paths, as restic would read them.

    Everything is anchored at the path: a bare name never leaves out the path itself.
    """
    rules = []
    for pattern in excludes:
        if pattern.startswith(f"{path}/"):
            rules.append(_rule(path.name, pattern[len(str(path)) + 1 :]))
        elif not pattern.startswith("/"):
            rules += [_rule(path.name, pattern), _rule(path.name, f"**/{pattern}")]
    return rules


def _rule(name: str, pattern: str) -> str:
    # rsync takes a backslash for itself unless the pattern has a wildcard
    literal = re.sub(r"([*?\[\\])", r"\\\1", name) if re.search(r"[*?\[]", name + pattern) else name
    return f"- /{literal}/{pattern}"


def _guarded(argv: list[str], destination: int, deadline: float) -> subprocess.CompletedProcess[str]:
    """Runs rsync; ends it past the deadline or when the disk gets full. It never outlives this process."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               pass_fds=(*handed_on(), destination),
                               preexec_fn=_bound, env={**os.environ, "LC_ALL": "C"})
    said = {"out": Kept(), "err": Kept()}
    readers = [threading.Thread(target=said[name].read, args=(stream,), daemon=True)
               for name, stream in (("out", process.stdout), ("err", process.stderr))]
    for reader in readers:
        reader.start()
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                break
            if time.monotonic() > deadline:
                raise Trouble("quá thời hạn", "past its time limit")
            free = os.fstatvfs(destination)
            if free.f_bavail * free.f_frsize < SPARE_BYTES or free.f_favail < SPARE_FILES < free.f_files:
                raise Trouble("sắp hết chỗ trên ổ đĩa ở đây, đã dừng lấy về", "the disk here is nearly full; stopped")
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait(10)
        for reader in readers:
            reader.join(5)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    return subprocess.CompletedProcess(argv, process.returncode, said["out"].text, said["err"].text)


def _bound() -> None:
    end_with_parent()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))


def fetch(way: Way, mirror: int, path: Path, excludes: list[str], before: dict[str, Any], compare: bool) -> dict[str, Any]:
    """Makes the mirror's `path` as the far one is; gives files and bytes. Raises Trouble, and leaves the mirror alone
    when the far side is missing, empty, or has lost half of what it had (`before`: the last good counts)."""
    rules = rules_for(path, excludes)
    with _parent(mirror, path) as parent:
        if _holds(parent, path.name):  # else there is nothing that could be lost
            asked = way.run(parent, path, rules, "--dry-run")
            _demand(path, _counts(way, path, asked, look=True), before)
        done = way.run(parent, path, rules, "--delete-delay", "--delete-excluded", *(("--checksum",) if compare else ()))
        counts = _counts(way, path, done)
        _demand(path, counts, before)
    return counts


def _holds(parent: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        return bool(os.stat(name, dir_fd=parent, follow_symlinks=False))
    return False


def _demand(path: Path, counts: dict[str, Any], before: dict[str, Any]) -> None:
    if counts["links"] and not counts["files"] and not counts["folders"]:
        raise Trouble(f"{path} chỉ là liên kết", f"{path} is only a symbolic link")
    if not counts["files"] or not counts["bytes"]:
        raise Trouble(f"{path} rỗng (ổ đĩa bên đó chưa gắn?); giữ bản lấy về lần trước",
                      f"{path} is empty (a disk not mounted there?); the last mirror is kept")
    was = int(before.get("files", 0))
    if counts["files"] * 2 < was and was - counts["files"] > FEW:
        raise Trouble(f"{path} chỉ còn {counts['files']} tệp, lần trước {was}; giữ bản lấy về lần trước. "
                      "Nếu đúng là đã bớt: xóa tệp ghi chú rồi chạy lại",
                      f"{path} has {counts['files']} files left of {was}; the last mirror is kept. "
                      "If that is right, remove the note file and run again")


def _counts(way: Way, path: Path, done: subprocess.CompletedProcess[str], *, look: bool = False) -> dict[str, Any]:
    """What rsync's --stats tell. Raises Trouble for any exit code but 0 and 24 (a file went while it was read)."""
    if done.returncode not in (0, 24):
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        told = explained(done.stderr, way.name, stood=bool(_STOOD.search(done.stderr))) if done.returncode in _LOST else None
        if told is not None:
            raise Trouble(f"{told[0].vi} → {told[1].vi}", f"{told[0].en} → {told[1].en}")
        if done.returncode == 23 and any(f'"{path}" failed' in line and _GONE in line for line in lines):
            raise Trouble(f"không có {path} trên máy {way.name}; giữ bản lấy về lần trước",
                          f"{path} is not on host {way.name}; the last mirror is kept")
        if done.returncode == 23 and look:
            return _stats(done.stdout)  # something cannot be read there: the real run will say what
        vi, en = _CODES.get(done.returncode, ("rsync báo lỗi", "rsync failed"))
        said = "; ".join(lines[:3])[:600]
        raise Trouble(f"{path}: {vi}", f"{path}: {en}; rsync [{done.returncode}]: {said}")
    return _stats(done.stdout)


def _stats(said: str) -> dict[str, Any]:
    """rsync's own figures stand last; what came before them may be the far side's words."""
    kinds = dict(re.findall(r"(\w+): (\d+)", (re.findall(r"^Number of files: \d+ \((.*)\)", said, re.M) or [""])[-1]))
    size = re.findall(r"^Total file size: (\d+)", said, re.M)
    return {"files": int(kinds.get("reg", 0)), "folders": int(kinds.get("dir", 0)), "links": int(kinds.get("link", 0)),
            "bytes": int(size[-1]) if size else 0}


class _parent:
    """The mirror's folder that holds `path`, opened step by step; none of the steps may be a link."""

    def __init__(self, mirror: int, path: Path) -> None:
        self._held = os.dup(mirror)
        try:
            for name in path.parts[1:-1]:
                with suppress(FileExistsError):
                    make_private(self._held, name)
                below = os.open(name, _FOLDER, dir_fd=self._held)
                os.close(self._held)
                self._held = below
        except BaseException:
            os.close(self._held)
            raise

    def __enter__(self) -> int:
        return self._held

    def __exit__(self, *_: object) -> None:
        os.close(self._held)


def trim(mirror: int, paths: Iterable[Path]) -> None:
    """Removes from the mirror whatever is neither a path nor on the way to one: a path that is no longer asked for, and
    what a far side once put where our own folders must stand."""
    wanted: dict[str, list[Path]] = {}
    for path in paths:
        wanted.setdefault(path.parts[0], []).append(Path(*path.parts[1:]))
    for name in os.listdir(mirror):
        below = wanted.get(name)
        if below is None:
            remove(mirror, name)
        elif all(rest.parts for rest in below):
            try:
                held = os.open(name, _FOLDER, dir_fd=mirror)
            except OSError:
                remove(mirror, name)
                continue
            try:
                os.fchmod(held, 0o700)
                trim(held, below)
            finally:
                os.close(held)


def outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths without those that lie below another one."""
    sorted_paths = sorted(set(paths))
    return [path for path in sorted_paths if not any(other in path.parents for other in sorted_paths)]


def fetch_all(stage: Path, label: str, way: Way, paths: list[Path], excludes: list[str], doubt: str) -> dict[str, Any]:
    """Every path, one after the other; the note is on disk before anything is touched, and again at the end.

    doubt: what cannot be said for certain of the rsync that is used.
    """
    note_path, before = stage / f"{label}.note.json", _last(stage / f"{label}.note.json")
    good = dict(before.get("good", {}))
    compare = time.time() - float(before.get("compared", 0)) > COMPARE_DAYS * 86400
    note: dict[str, Any] = {
        "kind": "files", "name": label, "host": way.name, "paths": [str(path) for path in paths], "good": good,
        "compared": before.get("compared", 0), **({"doubt": doubt} if doubt else {}),
        "trouble": "lần lấy về không chạy hết, bản trong kho tạm có thể lẫn cũ và mới (the fetch did not end: the mirror may "
                   "be half new)"}
    write_note(note_path, note)
    troubles = []
    with suppress(FileExistsError):
        (stage / label).mkdir(mode=0o700)
    mirror = os.open(stage / label, _FOLDER)
    try:
        chosen = outermost(paths)
        trim(mirror, [path.relative_to("/") for path in chosen])
        for path in chosen:
            try:
                good[str(path)] = fetch(way, mirror, path, excludes, good.get(str(path), {}), compare)
            except (Trouble, OSError, Refused) as error:
                troubles.append(str(error))
    finally:
        os.close(mirror)
    note |= {"good": {str(path): good[str(path)] for path in chosen if str(path) in good},
             "attributes": bool(way.extra), "owners": os.geteuid() == 0, "trouble": "; ".join(troubles)[:4000]}
    if compare and not troubles:
        note["compared"] = int(time.time())
    write_note(note_path, note)
    return note


def _last(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return read_note(path)
    return {}


def main(arguments: list[str] | None = None) -> int:
    """The staging step."""
    parser = argparse.ArgumentParser(prog="backup.fetch")
    for name in ("--host", "--label", "--stage"):
        parser.add_argument(name, required=True)
    parser.add_argument("--path", action="append", required=True, type=Path)
    parser.add_argument("--exclude", action="append", default=[])
    given = parser.parse_args(arguments)
    stage = Path(given.stage)
    try:
        doubt = rsync.look()
        way = Way(str(json.loads(given.host)[0]["name"]), rsh_of(given.host))
        note = fetch_all(stage, given.label, way, given.path, given.exclude, doubt)
    except rsync.Unfit as trouble:
        note = {"kind": "files", "name": given.label, **_last(stage / f"{given.label}.note.json"), "trouble": str(trouble)}
        write_note(stage / f"{given.label}.note.json", note)
    print(json.dumps(note, ensure_ascii=False, sort_keys=True))
    return PART_DONE if note["trouble"] else 0


if __name__ == "__main__":
    sys.exit(main())
