"""Planned maintenance of a site: windows with start, end, when it was announced, why, and who says so.

`maintenance.jsonl` in the site's home, one JSON line for each entry, only ever appended to. An entry that was written
after its window had begun is `late`: it is shown, and never excuses an outage. To call a window off is a line too.

    {"announced_at":"…Z","end":"…Z","forced":false,"id":"3f…","notice":"https://…","reason":"…","recorded_at":"…Z",
     "start":"…Z","who":"…"}
    {"cancels":"3f…","reason":"…","recorded_at":"…Z","who":"…"}
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops import CannotSee, Text, UsageError, nfc, say

FILE = "maintenance.jsonl"
MOST_BYTES = 4 << 20
LONGEST = timedelta(days=31)
_SLACK = timedelta(minutes=5)
_KEYS = {"id", "start", "end", "announced_at", "reason", "who", "recorded_at", "forced", "notice"}


@dataclass(frozen=True, slots=True)
class Window:
    """One planned suspension. All times aware, UTC.

    announced_at: when the public was told. recorded_at: when this entry was written. forced: force majeure, for which
    no notice beforehand is demanded. notice: address of the public notice, or "". cancelled_at: when it was called off.
    known_at: set where a line above claims a later hour than this one: the register is only appended to, so it is not older.
    """

    start: datetime
    end: datetime
    announced_at: datetime
    reason: str
    who: str
    recorded_at: datetime
    forced: bool = False
    notice: str = ""
    cancelled_at: datetime | None = None
    known_at: datetime | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        """Twelve hex digits over what was entered."""
        return hashlib.sha256(_line(self, with_id=False)).hexdigest()[:12]

    @property
    def late(self) -> bool:
        """True when it was entered only after it had begun."""
        return (self.known_at or self.recorded_at) > self.start

    def covers(self, moment: datetime) -> bool:
        """True when it is in force at `moment`; a window called off ends when that was written."""
        return self.start <= moment < self.ends

    @property
    def ends(self) -> datetime:
        """The end, or the moment at which it was called off, if that came sooner."""
        return self.end if self.cancelled_at is None else max(self.start, min(self.end, self.cancelled_at))


@dataclass(frozen=True, slots=True)
class Register:
    """What the file holds: windows by start, and each line that cannot be read, with its number."""

    windows: tuple[Window, ...] = ()
    faults: tuple[tuple[int, Text], ...] = ()

    def find(self, window_id: str) -> Window | None:
        """The window with this id, or None."""
        return next((one for one in self.windows if one.id == window_id), None)


def add(home: Path, window: Window) -> Window:
    """Appends the window and returns it as stored. Raises UsageError for one that makes no sense."""
    stored = replace(
        window, reason=_clean(window.reason), who=_clean(window.who), notice=_clean(window.notice), cancelled_at=None,
        start=_second(window.start), end=_second(window.end), announced_at=_second(window.announced_at),
        recorded_at=_second(window.recorded_at),
    )
    _refuse_senseless(stored)
    if read(home).find(stored.id) is None:  # twice the same order is one entry
        _append(home, _line(stored))
    return stored


def cancel(home: Path, window_id: str, *, reason: str, who: str, now: datetime) -> Window:
    """Calls a window off from `now` on. Raises UsageError when there is none, or it is over."""
    found = read(home).find(window_id)
    if found is None or found.ends <= now or found.cancelled_at is not None:
        raise UsageError(
            say("không có đợt bảo trì {i} nào còn hiệu lực", "there is no maintenance window {i} to call off", i=window_id),
            say("gaccong maintenance list", "gaccong maintenance list"),
        )
    when = _second(now)
    body = {"cancels": window_id, "reason": _clean(reason), "who": _clean(who), "recorded_at": _stamp(when)}
    _append(home, _json(body))
    return replace(found, cancelled_at=when)


def read(home: Path) -> Register:
    """Everything entered so far; no file is no window. Raises CannotSee when the file cannot be read."""
    path = home / FILE
    try:
        # no link is followed and no pipe waited for: one such file would stop the page and every notice
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _no_file(path)
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return Register()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise _no_file(path) from None
        raise CannotSee(
            say("không đọc được {p}: {why}", "cannot read {p}: {why}", p=path, why=os.strerror(error.errno or 0)),
            say("kiểm tra quyền của tệp", "check the file's permissions"),
        ) from None
    if len(data) > MOST_BYTES:
        raise CannotSee(say("{p} lớn hơn 4 MB", "{p} is larger than 4 MB", p=path),
                        say("xem lại tệp, giữ bản sao", "look into the file, keep a copy"))
    return _read(data, datetime.fromtimestamp(status.st_mtime, UTC) + _SLACK)


def _no_file(path: Path) -> CannotSee:
    return CannotSee(say("{p} không phải tệp thường (liên kết, đường ống, thư mục)", "{p} is no regular file (a link, a pipe, a folder)",
                         p=path), say("chuyển nó đi chỗ khác, đưa tệp thật về", "move it away and bring the real file back"))


def in_force(windows: Iterable[Window], moment: datetime) -> Window | None:
    """The window in force at `moment` (the one that ends last), or None."""
    return max((one for one in windows if one.covers(moment)), key=lambda one: one.ends, default=None)


def upcoming(windows: Iterable[Window], moment: datetime) -> list[Window]:
    """Windows that have not begun at `moment`, called-off ones left out, soonest first."""
    return sorted((one for one in windows if one.start > moment and one.ends > one.start), key=lambda one: one.start)


def covered(
    windows: Iterable[Window], start: datetime, end: datetime, *, late: bool = False
) -> list[tuple[datetime, datetime]]:
    """The parts of [start, end) under planned maintenance: sorted, apart from each other. `late`: late entries too."""
    spans = sorted((max(one.start, start), min(one.ends, end)) for one in windows if late or not one.late)
    joined: list[tuple[datetime, datetime]] = []
    for begin, stop in spans:
        if begin >= stop:
            continue
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((begin, stop))
    return joined


def _refuse_senseless(window: Window) -> None:
    trouble: Text | None = None
    if window.end <= window.start:
        trouble = say("giờ kết thúc không sau giờ bắt đầu", "the end does not come after the start")
    elif window.end - window.start > LONGEST:
        trouble = say("dài hơn 31 ngày; nghỉ lâu như thế không còn là bảo trì", "longer than 31 days is no maintenance")
    elif window.announced_at > window.recorded_at + _SLACK:
        trouble = say("ngày thông báo ở tương lai", "the announcement lies in the future")
    elif not window.reason or not window.who:
        trouble = say("thiếu lý do hoặc người lập", "reason or person is missing")
    if trouble is not None:
        raise UsageError(trouble, say("sửa rồi ghi lại", "mend it and enter it again"))


def _append(home: Path, line: bytes) -> None:
    """Adds one line durably, under a lock; a line that a crash cut off is closed first, not continued."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(home / FILE, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise _no_file(home / FILE) from None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        whole = (b"\n" if torn else b"") + line + b"\n"
        while whole:
            whole = whole[os.write(descriptor, whole):]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(data: bytes, latest: datetime) -> Register:
    """latest: when the file was last written to; an entry from after that had a wrong clock and says nothing of others."""
    windows: dict[str, Window] = {}
    newest = datetime.min.replace(tzinfo=UTC)
    faults: list[tuple[int, Text]] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            body = json.loads(raw)
            if "cancels" in body:
                found = windows[body["cancels"]]
                windows[body["cancels"]] = replace(found, cancelled_at=found.cancelled_at or _moment(body["recorded_at"]))
            else:
                window = _window(body)
                if window.id in windows:
                    raise ValueError("twice")  # a copied line would bring back what was called off
                windows[window.id] = window if window.recorded_at >= newest else replace(window, known_at=newest)
                newest = max(newest, window.recorded_at) if window.recorded_at <= latest else newest
        except (ValueError, OverflowError, KeyError, TypeError, RecursionError, UsageError):
            faults.append((number, say("dòng {n} của {f} hỏng hoặc bị sửa tay", "line {n} of {f} is spoilt or was edited",
                                       n=number, f=FILE)))
    return Register(tuple(sorted(windows.values(), key=lambda one: (one.start, one.id))), tuple(faults))


def _window(body: dict[str, Any]) -> Window:
    """The window of one parsed line; raises ValueError, KeyError, TypeError or UsageError when it is none."""
    if set(body) != _KEYS or not isinstance(body["forced"], bool):
        raise ValueError("keys")
    window = Window(
        _moment(body["start"]), _moment(body["end"]), _moment(body["announced_at"]), _clean(body["reason"]),
        _clean(body["who"]), _moment(body["recorded_at"]), body["forced"], _clean(body["notice"]),
    )
    _refuse_senseless(window)
    if window.id != body["id"]:
        raise ValueError("id")
    return window


def _line(window: Window, *, with_id: bool = True) -> bytes:
    body: dict[str, Any] = {
        "start": _stamp(window.start), "end": _stamp(window.end), "announced_at": _stamp(window.announced_at),
        "reason": window.reason, "who": window.who, "recorded_at": _stamp(window.recorded_at), "forced": window.forced,
        "notice": window.notice,
    }
    return _json({**body, "id": window.id} if with_id else body)


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _clean(text: str) -> str:
    """NFC, one line, no control or direction signs, at most 300 letters."""
    return nfc(" ".join("".join(" " if unicodedata.category(one)[0] == "C" else one for one in text).split()))[:300]


def _second(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageError(say("thời điểm thiếu múi giờ", "a moment without time zone"), say("", ""))
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise UsageError(say("năm không dùng được", "a year that cannot be used"), say("sửa rồi ghi lại", "mend it and enter it again")) \
            from None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found.astimezone(UTC)
