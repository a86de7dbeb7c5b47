"""Patience and transitions, pure: from what was seen to what is believed, and from transitions to availability.

A check measures once. Here a new verdict is believed only after the check's `Patience`; once believed it counts from
the moment at which it was first seen. When nobody looked for three rhythms, the gap itself becomes `unseen`: a
sleeping watchman is neither uptime nor downtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ops.duty import Patience
from ops.model import Finding, Flip, State, Verdict

GAP = 3.0
"""Rhythms without a look after which the time since the last one (plus one rhythm) reads `unseen`."""
GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Fold:
    """What a finding did to a subject: its state now, the transitions that came of it, oldest first."""

    state: State
    was: Verdict | None
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class Availability:
    """Sums over a period, in seconds. `unseen` leaves numerator and denominator and is told beside them."""

    valid_seconds: float
    good_seconds: float
    unseen_seconds: float
    outages: int
    longest_outage_seconds: float

    @property
    def ratio(self) -> float | None:
        """good / valid, or None when nothing valid was seen."""
        return self.good_seconds / self.valid_seconds if self.valid_seconds else None

    @property
    def coverage(self) -> float:
        """Share of the period in which somebody looked and could see (0 to 1)."""
        whole = self.valid_seconds + self.unseen_seconds
        return self.valid_seconds / whole if whole else 0.0


def fold(
    old: State | None, finding: Finding, *, site: str, duty: str, every: timedelta, patience: Patience, now: datetime
) -> Fold:
    """What is believed of a subject after `finding`, seen at `now`. `evidence` of the result is the caller's to set."""
    fresh = State(
        site,
        duty,
        finding.subject,
        finding.verdict,
        now,
        now,
        finding.detail,
        dict(finding.measures),
        finding.next,
        old.evidence if old else 0,
        every.total_seconds(),
    )
    if old is None:
        return Fold(fresh, None, (Flip(now, finding.verdict),))
    if now - old.seen_at > GAP * every + GRACE:
        return _after_gap(old, fresh, every, now)
    if finding.verdict is old.verdict:
        return Fold(replace(fresh, since=old.since), old.verdict, ())
    if Verdict.UNSEEN in (old.verdict, finding.verdict):
        # patience is for accusing; not having seen is a fact at once, and protects nothing afterwards
        return Fold(fresh, old.verdict, (Flip(now, finding.verdict),))
    again = old.pending is finding.verdict and old.pending_since is not None
    count = old.pending_count + 1 if again else 1
    first = old.pending_since if again and old.pending_since else now
    if count >= patience.times and now - first >= patience.span:
        return Fold(replace(fresh, since=first), old.verdict, (Flip(first, finding.verdict),))
    waiting = replace(
        old,
        seen_at=now,
        pending=finding.verdict,
        pending_count=count,
        pending_since=first,
        every_seconds=every.total_seconds(),
    )
    return Fold(waiting, old.verdict, ())


def _after_gap(old: State, fresh: State, every: timedelta, now: datetime) -> Fold:
    """Nobody looked: unseen from one rhythm after the last look, then what is seen now, believed at once."""
    flips = [Flip(now, fresh.verdict)]
    if old.verdict is not Verdict.UNSEEN:
        flips.insert(0, Flip(min(old.seen_at + every, now), Verdict.UNSEEN))
    since = old.since if old.verdict is fresh.verdict is Verdict.UNSEEN else now
    if old.verdict is fresh.verdict is Verdict.UNSEEN:
        return Fold(replace(fresh, since=since), old.verdict, ())
    return Fold(fresh, Verdict.UNSEEN, tuple(flips))


def availability(flips: Sequence[Flip], start: datetime, end: datetime) -> Availability:
    """Sums the intervals of [start, end). Before the first flip, and where it says so, the time is unseen.

    at_risk counts as good: the duty was kept. An outage is a run of broken intervals that touch each other.
    """
    good = bad = unseen = longest = running = 0.0
    outages = 0
    for begin, finish, verdict in _intervals(flips, start, end):
        seconds = (finish - begin).total_seconds()
        if verdict is Verdict.BROKEN:
            bad += seconds
            outages += running == 0.0
            running += seconds
            longest = max(longest, running)
            continue
        running = 0.0
        if verdict is Verdict.UNSEEN:
            unseen += seconds
        else:
            good += seconds
    return Availability(good + bad, good, unseen, outages, longest)


def _intervals(flips: Sequence[Flip], start: datetime, end: datetime) -> Iterable[tuple[datetime, datetime, Verdict]]:
    at, verdict = start, Verdict.UNSEEN
    for flip in sorted(flips, key=lambda found: found.time):
        moment = min(max(flip.time, start), end)
        if moment > at:
            yield at, moment, verdict
            at = moment
        verdict = flip.verdict
    if end > at:
        yield at, end, verdict
