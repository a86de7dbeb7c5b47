"""From troubles, and what was told of them already, to letters. Pure: no clock, no disk, no network.

A trouble is told once to each channel; told again when it gets worse; its end is told to whoever was told of it. What
flips all the time is named so once, and then left alone until it has been still for a while. In quiet hours only what is
broken goes out; the rest waits for the morning, and what has ended by then is not told at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitoring.notices.settings import Channel, Notify
from ops import Text, Verdict, local

FLIPS, FLIP_SPAN, STILL = 6, timedelta(hours=24), timedelta(hours=2)
"""So many turns in that time are flapping; so long without one ends it."""

_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that stands badly, as the page's cards have it. subject: "" where it would name a person."""

    site: str
    name: str
    duty: str
    subject: str
    verdict: Verdict
    since: datetime
    detail: Text
    next: str = ""
    cite: Text = Text("", "")
    planned: bool = False

    @property
    def key(self) -> str:
        """What it is known by from round to round."""
        return f"{self.site} {self.duty} {self.subject}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of a trouble. verdict: as last seen, MET once it ended. told: channel -> the verdict told.

    turns: when it turned, newest last. flapping: since when it is named so. seen: the trouble as last seen.
    """

    seen: Trouble
    verdict: Verdict
    told: Mapping[str, Verdict] = field(default_factory=dict)
    turns: tuple[datetime, ...] = ()
    flapping: datetime | None = None
    acknowledged: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a letter. kind: broken, at_risk, resolved, flapping, escalated."""

    kind: str
    trouble: Trouble
    acknowledged: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What one channel gets in one round."""

    channel: str
    parts: tuple[Part, ...]


def turn(
    book: Mapping[str, Entry], troubles: Iterable[Trouble], unseen: frozenset[tuple[str, str]], rules: Notify, now: datetime
) -> tuple[list[Letter], dict[str, Entry]]:
    """The letters of this round, and the book as it stands once they are delivered.

    unseen: (site, duty) that nobody could see now: what was wrong there is neither told nor resolved.
    """
    entries = _seen(book, troubles, unseen, now)
    parts: dict[str, list[Part]] = {name: [] for name in rules.channel}
    quiet = rules.is_quiet(local(now).time())
    for key, entry in sorted(entries.items()):
        for name, channel in sorted(rules.channel.items()):
            part = _part(entry, name, channel, quiet and channel.quiet, now)
            if part is not None:
                parts[name].append(part)
                entry = replace(entry, told={**entry.told, name: _stands(part, entry)})
        entries[key] = entry
    kept = {key: entry for key, entry in entries.items() if _worth(entry, rules.channel.keys(), now)}
    return [Letter(name, tuple(found)) for name, found in parts.items() if found], kept


def _seen(
    book: Mapping[str, Entry], troubles: Iterable[Trouble], unseen: frozenset[tuple[str, str]], now: datetime
) -> dict[str, Entry]:
    """The book with what is seen now entered; turns are counted here."""
    current = {trouble.key: trouble for trouble in troubles}
    entries: dict[str, Entry] = {}
    for key in book.keys() | current.keys():
        old, trouble = book.get(key), current.get(key)
        old = old and _not_ahead(old, now)
        if trouble is None:
            assert old is not None
            ended = (old.seen.site, old.seen.duty) not in unseen and old.verdict is not Verdict.MET
            entries[key] = _turned(old, Verdict.MET, old.seen, now) if ended else _settled(old, now)
        elif old is None:
            entries[key] = Entry(trouble, trouble.verdict, turns=(now,))
        elif old.verdict is not trouble.verdict:
            entries[key] = _turned(old, trouble.verdict, trouble, now)
        else:
            entries[key] = _settled(replace(old, seen=trouble), now)
    return entries


def _turned(old: Entry, verdict: Verdict, trouble: Trouble, now: datetime) -> Entry:
    turns = (*(one for one in old.turns if now - one <= FLIP_SPAN), now)[-2 * FLIPS :]
    flapping = old.flapping or (now if len(turns) >= FLIPS else None)
    acknowledged = old.acknowledged if verdict is not Verdict.MET else ""
    return replace(old, seen=trouble, verdict=verdict, turns=turns, flapping=flapping, acknowledged=acknowledged)


def _not_ahead(entry: Entry, now: datetime) -> Entry:
    """An entry that was made while the clock ran ahead: what turned then turned now, else it would flap for years."""
    if not any(one > now for one in entry.turns):
        return entry
    return replace(entry, turns=tuple(min(one, now) for one in entry.turns))


def _settled(entry: Entry, now: datetime) -> Entry:
    """Flapping ends once nothing has turned for a while."""
    if entry.flapping and entry.turns and now - entry.turns[-1] >= STILL:
        return replace(entry, flapping=None, turns=entry.turns[-1:])
    return entry


def _part(entry: Entry, name: str, channel: Channel, quiet: bool, now: datetime) -> Part | None:
    """What this channel is to be told of this entry now, or None."""
    trouble, told = entry.seen, entry.told.get(name)
    if not channel.wants(trouble.site):
        return None
    if entry.flapping is not None:
        return Part("flapping", trouble) if told is not Verdict.UNSEEN and not quiet and channel.after_minutes == 0 else None
    if entry.verdict is Verdict.MET:
        return Part("resolved", trouble, entry.acknowledged) if told not in (None, Verdict.MET) and not quiet else None
    worse = told in (None, Verdict.MET, Verdict.UNSEEN) or (told is Verdict.AT_RISK and entry.verdict is Verdict.BROKEN)
    if not worse or trouble.planned or (entry.verdict is Verdict.AT_RISK and (not channel.at_risk or quiet)):
        return None
    if channel.after_minutes:
        # what claims to begin in the future bears the date of a wrong clock: it may last long already
        if entry.acknowledged or -_SKEW <= now - trouble.since < timedelta(minutes=channel.after_minutes):
            return None
        return Part("escalated", trouble)
    return Part(entry.verdict.value, trouble)


def _stands(part: Part, entry: Entry) -> Verdict:
    """What the channel believes once it has this part; UNSEEN stands for "told that it flaps"."""
    return Verdict.UNSEEN if part.kind == "flapping" else entry.verdict


def _worth(entry: Entry, channels: Collection[str], now: datetime) -> bool:
    """Whether an entry is still needed: open, or not yet told to be over, or its turns still count."""
    if entry.verdict is not Verdict.MET:
        return True
    owed = any(told is not Verdict.MET for name, told in entry.told.items() if name in channels)
    return owed or (bool(entry.turns) and now - entry.turns[-1] <= FLIP_SPAN)


def owed(entries: Mapping[str, Entry], channel: str, keys: Iterable[str]) -> dict[str, Entry]:
    """The book after a letter about these was lost: the channel was told nothing of them. What has ended is not told."""
    found = dict(entries)
    for key in keys:
        if key in found:
            found[key] = replace(found[key], told={name: told for name, told in found[key].told.items() if name != channel})
    return found


def alike(parts: Sequence[Part]) -> list[tuple[Part, list[str]]]:
    """Parts that say the same of several sites, as one with the sites' names: one dead network is not forty letters."""
    found: dict[tuple[str, str, str, str], tuple[Part, list[str]]] = {}
    for part in parts:
        one = part.trouble
        key = (part.kind, one.duty, one.subject, one.detail.vi)
        found.setdefault(key, (part, []))[1].append(one.name)
    return list(found.values())
