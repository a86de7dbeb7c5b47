"""Compares a manifest with what a copy holds. Shared by the contents check (names and sizes), and by the drill and the
restore (bytes: `compare`, in two threads, for hashlib lets go of Python's lock while it hashes).

A file that differs in size or time from its manifest line changed while the copy was being made: it is `moving`, which
is life. A file that is absent from the copy is `gone` if it has since changed or gone at its source; if it still lies
there untouched, or nobody can tell, restic passed it over, and that is `lost`. Life has bounds: a copy that lacks many
files, or holds hardly one as the manifest has it, is no copy of the site, whatever the reason (`hollow`).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from backup.manifest import Entry, Raw, read_name, shown
from ops import Text, say

_NAMED = 20
_GONE_FEW = 10
_GONE_SHARE = 100
_TESTS = {"file": stat.S_ISREG, "dir": stat.S_ISDIR, "symlink": stat.S_ISLNK}
THREADS = 2
_LINES = 64
"""Lines that a thread takes at once: few enough that no thread waits long for the other at the end."""
_AHEAD = 8
_BLOCK = 1 << 18
ELSEWHERE = "elsewhere"
"""The kind of an entry that a comparison was not asked about."""

Judge = Callable[[Raw, Entry], str]
"""Gives "" for what is right, else the kind of difference."""
Judged = tuple[Entry, Raw, str]


@dataclass
class Comparison:
    """Counts, and the first few names behind each: moving, gone, lost, wrong, unreadable.

    stage: the stage folder in the copy; files below it are gaccong's own. right: files that were compared and are right.
    live, live_right: the same for the site's own files alone. compared_bytes: of the files that were asked about.
    """

    stage: str = ""
    files: int = 0
    right: int = 0
    live: int = 0
    live_right: int = 0
    elsewhere: int = 0
    bytes: int = 0
    compared_bytes: int = 0
    header: Entry = field(default_factory=dict)
    footer: Entry = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256)

    def note(self, kind: str, path: Raw) -> None:
        """Counts one entry as `kind`."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.names.setdefault(kind, [])
        if len(self.names[kind]) < _NAMED:
            self.names[kind].append(shown(path))

    def count(self, kind: str) -> int:
        """How many entries are of this kind."""
        return self.counts.get(kind, 0)

    @property
    def manifest(self) -> str:
        """SHA-256 of the manifest's bytes, as far as they were read."""
        return str(self.digest.hexdigest())

    @property
    def whole(self) -> bool:
        """The manifest had a head and an end, and its own count agrees."""
        return bool(self.header) and self.footer.get("files") == self.files

    @property
    def hollow(self) -> Text | None:
        """Why this is no copy of the site although no single file is at fault; None when it is one."""
        gone, moving = self.count("gone"), self.count("moving")
        asked = self.files - self.elsewhere
        if asked and (not self.right or (gone and self.live and not self.live_right)):
            return say("không tệp nào trong bản sao đúng như danh mục ({n} tệp)",
                       "not one file in the copy is as the manifest has it ({n} files)", n=asked)
        if gone > max(_GONE_FEW, asked // _GONE_SHARE):
            return say("{n} mục trong danh mục không có trong bản sao, ví dụ {p}",
                       "{n} entries of the manifest are not in the copy, for example {p}", n=gone,
                       p=self.names["gone"][0])
        if moving > max(_GONE_FEW, asked // 2):
            return say("{n} trên {f} tệp đã khác danh mục khi chép, ví dụ {p}",
                       "{n} of {f} files differed from the manifest when copied, for example {p}", n=moving, f=asked,
                       p=self.names["moving"][0])
        return None

    def line(self, text: str, judge: Judge) -> None:
        """Takes one manifest line; `judge(path, entry)` gives "" (right) or the kind of difference."""
        self.digest.update(text.encode("utf-8") + b"\n")
        self.take(*judged(text, judge))

    def take(self, entry: Entry, path: Raw, kind: str) -> None:
        """Counts a line that was judged (`judged`)."""
        if "end" in entry:
            self.footer = entry
        elif "asked" in entry:
            self.header = entry
        else:
            if entry["kind"] == "file":
                self._file(path, entry, kind)
            if kind not in ("", ELSEWHERE):
                self.note(kind, path)

    def _file(self, path: Raw, entry: Entry, kind: str) -> None:
        self.files += 1
        self.bytes += entry["size"]
        if kind == ELSEWHERE:
            self.elsewhere += 1
            return
        self.compared_bytes += entry["size"]
        live = not self.stage or not path.startswith(os.fsencode(self.stage) + b"/")
        self.right += not kind
        self.live += live
        self.live_right += live and not kind


def lossy(path: bytes) -> str:
    """A path as restic's JSON gives it: every byte that is no UTF-8 becomes U+FFFD."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        text = path.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text)


def judged(text: str, judge: Judge) -> Judged:
    """A manifest line as (entry, path, kind of difference); head and end have no path."""
    entry = json.loads(text)
    if "end" in entry or "asked" in entry:
        return entry, b"", ""
    path = read_name(entry)
    return entry, path, "unreadable" if "unreadable" in entry else judge(path, entry)


def compare(seen: Comparison, manifest: Path, judge: Judge) -> None:
    """Takes every line of a manifest, judged in two threads and counted in the manifest's order.

    `judge` is called from both threads. Few lines are held, however long the manifest. Raises OSError, ValueError.
    """
    ended = threading.Event()

    def work(lines: list[bytes]) -> list[Judged]:
        return [judged(line.decode("ascii"), judge) for line in lines if not ended.is_set()]

    waiting: deque[Future[list[Judged]]] = deque()
    pool = ThreadPoolExecutor(THREADS, "compare")
    try:
        for lines in _batches(manifest):
            for line in lines:
                seen.digest.update(line if line.endswith(b"\n") else line + b"\n")
            waiting.append(pool.submit(work, lines))
            if len(waiting) > _AHEAD:
                _count(seen, waiting.popleft())
        while waiting:
            _count(seen, waiting.popleft())
    finally:
        ended.set()
        pool.shutdown(cancel_futures=True)


def _count(seen: Comparison, done: Future[list[Judged]]) -> None:
    for one in done.result():
        seen.take(*one)


def _batches(manifest: Path) -> Iterator[list[bytes]]:
    with manifest.open("rb") as stream:
        while lines := list(islice(stream, _LINES)):
            yield lines


def restored(root: Path, began_ns: int | None = None) -> Judge:
    """Judge by the files of a restored tree below `root`: kind, size, time, then every byte. For several threads at once.

    began_ns: when the restore began. What was written since is no file that changed while it was copied: it is wrong.
    """
    base, own = os.fsencode(root), threading.local()

    def judge(path: bytes, entry: Entry) -> str:
        place = base + path
        try:
            status = os.lstat(place)
        except OSError:
            return absent(path, entry)
        test = _TESTS.get(entry["kind"])
        if test is None:
            return ""
        moving = "moving" if began_ns is None or status.st_mtime_ns < began_ns else "wrong"
        if not test(status.st_mode):
            return moving
        if entry["kind"] == "symlink":
            return "" if os.readlink(place) == read_name(entry, "target") else moving  # noqa: PTH115 - bytes
        if entry["kind"] != "file":
            return ""
        if entry.get("moving") or status.st_mtime_ns != entry["mtime_ns"]:
            return moving
        if status.st_size != entry["size"]:
            return "wrong"  # a file that changed has another time: the copy holds other bytes than it says
        if not hasattr(own, "block"):
            own.block = memoryview(bytearray(_BLOCK))  # one a thread: a new one for each file cost more than the hashing
        return "" if _sha256(place, own.block) == entry["sha256"] else "wrong"

    return judge


def _sha256(place: bytes, block: memoryview) -> str:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        made, into = hashlib.sha256(), [block]
        while count := os.readv(descriptor, into):
            made.update(block[:count])
    finally:
        os.close(descriptor)
    return made.hexdigest()


def absent(path: bytes, entry: Entry) -> str:
    """Judges an entry that the copy does not hold: `gone` if it has changed or gone at its source, else `lost`."""
    try:
        now = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError:
        return "lost"  # it may well be there: what cannot be looked at was not copied either
    same = (now.st_ino, now.st_ctime_ns) == (entry["inode"], entry["ctime_ns"])
    return "lost" if same else "gone"


def microseconds(time: str) -> int:
    """restic's RFC 3339 time (up to nanoseconds, with an offset) as whole microseconds since 1970, cut, not rounded."""
    head, _, rest = time.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if rest else ""
    if not rest:
        return int(datetime.fromisoformat(time).timestamp()) * 1_000_000
    return int(datetime.fromisoformat(head + zone).timestamp()) * 1_000_000 + int((digits + "000000")[:6])
