"""Which snapshots of a place the ledger vouches for, and as what. Pure over the view and a listing.

A snapshot is ours when an outcome in the signed ledger names its id. One that bears our tags and is named nowhere was
planted, or is what an interrupted run left; it never counts as a copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from backup.copies import HEAL, Copy, Key, copies, proved, renamed, rewritten
from backup.places import FIRST
from backup.restic import Snapshot
from ops import Context, Evidence, Site

_SLACK = timedelta(minutes=1)
_LATEST = timedelta(days=3)
_SHORT = 8
"""restic before 0.15 tells no more digits than these of the snapshot that it made."""


@dataclass(frozen=True, slots=True)
class Lot:
    """What stays and goes together: a set's main snapshot and those of its dumps.

    copy: the run behind it; None for what only failed or interrupted runs left (dumps without a main snapshot, leftovers),
    and for what a heal left of an old copy whose data is lost in part.
    evidence: the outcome that vouches for it. time: when the run began.
    """

    set: str
    copy: Copy | None
    evidence: str
    time: datetime
    snapshots: tuple[Snapshot, ...]

    @property
    def proved(self) -> bool:
        """A whole copy that was proved: its main snapshot stands, and those of all its dumps."""
        copy = self.copy
        if copy is None or not copy.proved:
            return False
        streams = {found.stream for found in self.snapshots}
        return "" in streams and set(copy.streams) <= streams

    @property
    def key(self) -> Key:
        """Names the lot, as `Copy.key` names the copy."""
        return self.evidence, self.set

    @property
    def main(self) -> Snapshot | None:
        """The main snapshot, if it stands."""
        return next((found for found in self.snapshots if not found.stream), None)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a place holds of the site. strangers: with our tags, and in no outcome. young: in the making right now."""

    lots: tuple[Lot, ...]
    strangers: tuple[Snapshot, ...]
    young: tuple[Snapshot, ...]

    def of(self, name: str) -> list[Lot]:
        """The proved copies of a set, oldest first."""
        return [lot for lot in self.lots if lot.set == name and lot.proved]


def pairs(site: Site, ctx: Context, place: str) -> dict[str, str]:
    """Snapshot at a further place -> the snapshot of the first place that it was brought from, as `backup.copy` noted."""
    found: dict[str, str] = {}
    for line in ctx.view.evidence(site.id, kind="outcome", duty="backup.copy"):
        if line.body.get("args", {}).get("place") == place:
            for answer in _answers(line):
                found.update({str(there): str(here) for here, there in answer.get("pairs", ())})
    names = renamed(site, ctx)
    return {there: names.get(here, here) for there, here in found.items()}


def twins(first: Iterable[Snapshot], there: Iterable[Snapshot]) -> dict[str, str]:
    """The same, seen in the two listings: the copy names its original and holds the very same tree."""
    trees = {found.original or found.id: found for found in first}
    return {found.id: trees[found.original].id for found in there
            if found.original in trees and found.tree and found.tree == trees[found.original].tree}


def holding(site: Site, ctx: Context, listed: Iterable[Snapshot], place: str = FIRST,
            known: Mapping[str, str] | None = None) -> Holding:
    """Sorts what a place lists. known: for a further place, id there -> id at the first place."""
    lines = ctx.view.evidence(site.id, kind="outcome")
    named = _Named(lines, copies(site, ctx), renamed(site, ctx), rewritten(site, ctx))
    taken: set[tuple[str, str, str]] = set()
    busy, broken = _open(site, ctx, lines), [line for line in lines if line.body.get("outcome") == "interrupted"]
    groups: dict[tuple[str, str, bool], list[Snapshot]] = {}
    strangers: list[Snapshot] = []
    young: list[Snapshot] = []
    origins = [(found, found.id if place == FIRST else (known or {}).get(found.id, "")) for found in listed]
    short = Counter(origin[:_SHORT] for origin in {origin for _, origin in origins})
    for found, origin in origins:
        evidence = named.evidence(origin, short[origin[:_SHORT]] > 1) if origin else ""
        evidence = evidence or (_left_by(found, broken, taken) if place == FIRST else "")
        if evidence:
            groups.setdefault((evidence, found.tag("set"), origin in named.holed), []).append(found)
        elif any(_in_making(found, line, place) for line in busy):
            young.append(found)
        else:
            strangers.append(found)
    lots = [_lot(evidence, found, named, holed) for (evidence, _, holed), found in groups.items()]
    return Holding(tuple(sorted(lots, key=lambda lot: lot.time)), tuple(strangers), tuple(young))


class _Named:
    """Every snapshot that an outcome names."""

    def __init__(self, lines: Iterable[Evidence], known: Iterable[Copy], names: Mapping[str, str],
                 holed: Mapping[str, str]) -> None:
        self.copies = {copy.key: copy for copy in known}
        self._ids: dict[str, list[tuple[str, str]]] = {}
        for line in lines:
            for answer in _answers(line):
                if told := str(answer.get("snapshot_id") or ""):
                    self._ids.setdefault(told[:_SHORT], []).append((told, line.id))
        self.holed = {new for new in holed.values() if new}
        for old, new in (*names.items(), *holed.items()):
            if new and (found := self.evidence(old, doubled=False)):
                self._ids.setdefault(new[:_SHORT], []).append((new, found))

    def evidence(self, identity: str, doubled: bool) -> str:
        """The outcome that names this snapshot; a short name that two snapshots answer to names neither."""
        found = [(told, line) for told, line in self._ids.get(identity[:_SHORT], ()) if identity.startswith(told)]
        return next((line for told, line in found if not (doubled and len(told) < len(identity))), "")


def _lot(evidence: str, found: list[Snapshot], named: _Named, holed: bool) -> Lot:
    name = found[0].tag("set")
    copy = None if holed else named.copies.get((evidence, name))
    time = copy.started if copy else min(one.time for one in found).astimezone(UTC)
    return Lot(name, copy, evidence, time, tuple(found))


def _answers(line: Evidence) -> Iterator[Mapping[str, Any]]:
    for step in line.body.get("steps", ()):
        if isinstance(step.get("answer"), dict):
            yield step["answer"]


def _open(site: Site, ctx: Context, outcomes: Iterable[Evidence]) -> list[Evidence]:
    """Intents of the last days that no outcome closes."""
    closed = {line.body.get("intent") for line in outcomes}
    intents = ctx.view.evidence(site.id, kind="intent", since=ctx.now - _LATEST)
    return [line for line in intents if line.seq not in closed]


def _in_making(found: Snapshot, intent: Evidence, place: str) -> bool:
    if place != FIRST:  # what is brought keeps its own time
        return intent.duty == "backup.copy" and intent.body.get("args", {}).get("place") == place
    return found.time >= intent.time - _SLACK


def _left_by(found: Snapshot, broken: Iterable[Evidence], taken: set[tuple[str, str, str]]) -> str:
    """The interrupted run in whose time a snapshot was made, or "". A run leaves one main snapshot at most, and one of each
    dump, a heal as many of every set; `taken` keeps which: times can be forged, and whatever else bears such a time is a stranger's.
    """
    for line in broken:
        started = line.body.get("started")
        if (line.id, found.tag("set"), found.stream) in taken:
            continue
        mine = line.duty == HEAL or line.body.get("args", {}).get("set", "") == found.tag("set")
        if started and mine and datetime.fromisoformat(started) - _SLACK <= found.time <= line.time:
            taken.add((line.id, found.tag("set"), found.stream))
            return line.id
    return ""


def removed(site: Site, ctx: Context, place: str = FIRST) -> set[str]:
    """Ids of the snapshots that changes of ours took away from a place, so that nobody misses them.

    As `backup.prune` told them, and as the inventory did: after a prune whose end nobody saw, or where a person gave up.
    `lost=` of a prune: what a person accepted as lost.
    """
    at = ctx.settings.places()[place].repository
    found = set(rewritten(site, ctx)) if place == FIRST else set()
    for line in ctx.view.evidence(site.id, kind="outcome"):
        if line.duty.startswith("backup."):
            for answer in _answers(line):
                if answer.get("inventory") and answer.get("repository") == at:
                    found.update(map(str, answer.get("removed_snapshots", ())))
    for line in ctx.view.evidence(site.id, kind="outcome", duty="backup.prune"):
        if line.body.get("args", {}).get("place", FIRST) == place:
            for answer in _answers(line):
                found.update(map(str, answer.get("gone", ())))
            found.update(one for one in str(line.body.get("args", {}).get("lost", "")).split(",") if one)
    return found


def _brought(site: Site, ctx: Context, place: str) -> set[str]:
    """What `backup.copy` noted to stand at a further place since its repository was made."""
    found: set[str] = set()
    for line in ctx.view.evidence(site.id, kind="outcome", duty="backup.copy"):
        if line.body.get("args", {}).get("place") == place:
            for answer in _answers(line):
                found = set() if answer.get("repository") == "made" else found
                found.update(str(there) for _, there in answer.get("pairs", ()))
    return found


def absent(site: Site, ctx: Context, listed: Iterable[Snapshot], place: str = FIRST, known: Iterable[str] = ()) -> list[str]:
    """Snapshots that a place must hold by the ledger, that it does not list, and that no change of ours took away.

    known: ids of more whose going is explained.
    """
    if place == FIRST:
        at = ctx.settings.places()[place].repository
        wanted = {one for copy in proved(site, ctx) if copy.repository == at for one in (copy.snapshot, *copy.streams.values())}
    else:
        wanted = _brought(site, ctx, place)
    fine = {found.id for found in listed} | removed(site, ctx, place) | set(known)
    short = {one[:_SHORT] for one in fine}
    return sorted(one for one in wanted if one not in fine and not (len(one) < 64 and one[:_SHORT] in short))
