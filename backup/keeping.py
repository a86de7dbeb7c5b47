"""What goes and what stays: a keep rule held against the copies of a place, with guards that no rule can undo. Pure.

restic's own keep flags count whatever a repository lists: snapshots that an intruder plants push the real ones out. Here
only copies that the signed ledger proved are counted, and only what it names can go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backup.keep import KeepRule
from backup.vouched import Lot
from ops import Text, local_day, say

ALL_DAYS = 8
"""Every proved copy younger than this stays: what the policy counts in a week is never touched."""
DAILY_DAYS = 35
"""The newest proved copy of every day within this stays: the month that minutes and reports tell of."""


@dataclass(frozen=True, slots=True)
class Choice:
    """go, stay: lots, oldest first. asleep: sets without a proved copy of late; all of theirs stays."""

    go: tuple[Lot, ...]
    stay: tuple[Lot, ...]
    asleep: tuple[str, ...] = ()

    def over_half(self) -> list[str]:
        """Sets that would lose more than half of their proved copies at once."""
        found = []
        for name in sorted({lot.set for lot in self.go}):
            gone = sum(lot.proved for lot in self.go if lot.set == name)
            left = sum(lot.proved for lot in self.stay if lot.set == name)
            if gone > left:
                found.append(name)
        return found


def guards() -> Text:
    """The guards as people say them."""
    return say(
        "luôn giữ: mọi bản trong {a} ngày gần nhất, bản cuối của mỗi ngày trong {d} ngày gần nhất, bản đã chứng minh mới "
        "nhất và bản diễn tập gần nhất của mỗi bộ; bản chưa chứng minh chỉ bỏ khi cũ hơn {d} ngày và đã có đủ bản mới hơn; "
        "không đếm và không đụng tới bản mà sổ bằng chứng không biết; ngừng bỏ khi có báo động chưa xử lý",
        "always kept: every copy of the last {a} days, the newest of each of the last {d} days, each set's newest proved and "
        "last drilled copy; an unproved copy goes only when older than {d} days with enough newer proved ones; what the "
        "ledger does not know is neither counted nor touched; nothing goes while an alarm is open",
        a=ALL_DAYS, d=DAILY_DAYS)


def choose(rule: KeepRule, lots: Iterable[Lot], now: datetime, *, sets: Collection[str],
           drilled: Collection[str] = ()) -> Choice:
    """Which lots go. sets: those of the settings; others are not touched. drilled: evidence of copies that must stay."""
    every = sorted(lots, key=lambda lot: lot.time)
    kept: set[int] = set()
    asleep: list[str] = []
    for name in sorted({lot.set for lot in every}):
        mine = [(place, lot) for place, lot in enumerate(every) if lot.set == name]
        proved = [(place, lot) for place, lot in mine if lot.proved]
        newest = proved[-1][1].time if proved else None
        if name not in sets or newest is None or now - newest > timedelta(days=ALL_DAYS):
            kept |= {place for place, _ in mine}
            asleep.append(name)
            continue
        kept |= _kept(rule, proved, now, drilled)
        kept |= {place for place, lot in mine if not lot.proved and not _spent(rule, lot, proved, now)}
    go = tuple(lot for place, lot in enumerate(every) if place not in kept)
    return Choice(go, tuple(lot for place, lot in enumerate(every) if place in kept), tuple(asleep))


def _kept(rule: KeepRule, proved: Sequence[tuple[int, Lot]], now: datetime, drilled: Collection[str]) -> set[int]:
    """The proved copies of one set that stay."""
    stays = rule.stays([lot.time for _, lot in proved])
    kept = {place for (place, _), stay in zip(proved, stays, strict=True) if stay}
    kept |= {place for place, lot in proved if now - lot.time <= timedelta(days=ALL_DAYS) or lot.evidence in drilled}
    days = {local_day(lot.time): place for place, lot in proved if now - lot.time <= timedelta(days=DAILY_DAYS)}
    return kept | set(days.values()) | {proved[-1][0]}


def _spent(rule: KeepRule, lot: Lot, proved: Sequence[tuple[int, Lot]], now: datetime) -> bool:
    """An unproved copy that has nothing more to tell."""
    newer = sum(one.time > lot.time for _, one in proved)
    return now - lot.time > timedelta(days=DAILY_DAYS) and newer >= rule.last
