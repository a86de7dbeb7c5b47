"""What every target's last look said, handed to other processes through one file that is replaced whole.

A scrape that renders a hundred thousand series would hold up every probe in flight; so the prober only keeps a block of
fixed records up to date and writes it out every few seconds. Whoever reads it renders in its own process. Put the file
on a RAM disk (/run): it is worth nothing after a restart.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any

from monitoring.reasons import Reason
from monitoring.uptime.judging import State
from ops import CannotSee, say

MAGIC = b"gaccong latest 1\n"
_RECORD = Struct("<dBBBBHBB7fIqIIIQ")
_REASONS = ["", *(reason.value for reason in Reason)]
_NUMBER = {reason: number for number, reason in enumerate(_REASONS)}


@dataclass(frozen=True, slots=True)
class Latest:
    """One target's last look. Times in seconds; `moment` and `not_after` are UTC seconds since 1970, 0 for never.

    state: what is believed (UNKNOWN before anything is). seen: what the last look itself said. tainted: the prober was
    late while it looked, its times are not to be trusted. attempts, failures, taints: counted since the prober started.
    digest: of the page's bytes, to notice a change.
    """

    moment: float = 0.0
    state: State = State.UNKNOWN
    seen: State = State.UNKNOWN
    flapping: bool = False
    tainted: bool = False
    status: int = 0
    reason: str = ""
    redirects: int = 0
    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    first_byte: float = 0.0
    transfer: float = 0.0
    total: float = 0.0
    rtt: float = 0.0
    size: int = 0
    not_after: int = 0
    attempts: int = 0
    failures: int = 0
    taints: int = 0
    digest: int = 0


class Block:
    """The records of a fleet, in the prober's memory."""

    def __init__(self, names: Sequence[str]) -> None:
        self._place = {name: number * _RECORD.size for number, name in enumerate(names)}
        self._data = bytearray(_RECORD.size * len(names))
        self._names = json.dumps(list(names), ensure_ascii=False).encode()

    def put(self, name: str, look: Latest) -> None:
        """Replaces a target's record; a target that is no longer in the fleet is passed over."""
        place = self._place.get(name)
        if place is not None:
            _RECORD.pack_into(
                self._data, place, look.moment, look.state, look.seen, look.flapping, look.tainted,
                max(0, min(look.status, 0xFFFF)), _NUMBER.get(look.reason, 0), min(look.redirects, 255), look.dns,
                look.connect, look.tls, look.first_byte, look.transfer, look.total, look.rtt, look.size,
                look.not_after, look.attempts & 0xFFFFFFFF, look.failures & 0xFFFFFFFF, look.taints & 0xFFFFFFFF,
                look.digest,
            )

    def get(self, name: str) -> Latest:
        """A target's record."""
        return _read(self._data, self._place[name])

    def copy(self) -> Block:
        """The records as they are now, for another thread to write: a disk may make a writer wait for seconds."""
        made = object.__new__(Block)
        made._place, made._names, made._data = self._place, self._names, self._data[:]
        return made

    def write(self, path: Path, health: Mapping[str, Any]) -> None:
        """Replaces the file; readers have the old one or the new one."""
        head = json.dumps(health).encode()
        beside = path.with_name(path.name + ".new")
        with beside.open("wb") as file:
            file.write(b"%s%d %d\n" % (MAGIC, len(head), len(self._names)))
            file.writelines((head, self._names, self._data))
        os.replace(beside, path)


def _read(data: bytes | bytearray, place: int) -> Latest:
    found = _RECORD.unpack_from(data, place)
    return Latest(
        found[0], State(found[1] or State.UNKNOWN), State(found[2] or State.UNKNOWN), bool(found[3]), bool(found[4]),
        found[5], _REASONS[found[6]] if found[6] < len(_REASONS) else Reason.OTHER.value, *found[7:],
    )


def read_latest(path: Path) -> tuple[dict[str, Any], dict[str, Latest]]:
    """(the prober's health, last look by target). Raises CannotSee when there is no such file, or not a whole one."""
    health, names, body = _parts(path)
    return health, {name: _read(body, place * _RECORD.size) for place, name in enumerate(names)}


def read_columns(path: Path) -> tuple[dict[str, Any], list[str], dict[str, Sequence[Any]]]:
    """(health, names, field -> its values in the order of the names), for who reads a whole fleet many times.

    Raw: `state` and `seen` are numbers, `reason` is a word. Raises CannotSee as `read_latest` does.
    """
    health, names, body = _parts(path)
    fields = [one.name for one in dataclasses.fields(Latest)]
    columns = list(zip(*_RECORD.iter_unpack(body), strict=True)) or [()] * len(fields)
    found: dict[str, Sequence[Any]] = dict(zip(fields, columns, strict=True))
    found["reason"] = [_REASONS[one] if one < len(_REASONS) else Reason.OTHER.value for one in found["reason"]]
    return health, names, found


def _parts(path: Path) -> tuple[dict[str, Any], list[str], bytes]:
    """The file's three parts. Raises CannotSee."""
    try:
        data = path.read_bytes()
        if not data.startswith(MAGIC):
            raise ValueError(path)
        line = data.index(b"\n", len(MAGIC))
        head, names = (int(number) for number in data[len(MAGIC):line].split())
        start = line + 1
        health = json.loads(data[start:start + head])
        known = json.loads(data[start + head:start + head + names])
        body = data[start + head + names:]
        if len(body) != _RECORD.size * len(known):
            raise ValueError(path)
        return health, known, body
    except (OSError, ValueError):
        raise CannotSee(
            say("chưa có kết quả của tiến trình theo dõi ({f})", "nothing from the prober yet ({f})", f=path),
            say("cho chạy gaccong serve", "let gaccong serve run"),
        ) from None
