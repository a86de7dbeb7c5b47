"""From single looks at one target to its states: N of M both ways, backdated to the first look that said so.

Rules (they are what a report is answered for, and a test counts them again by force):

1. A look holds until the next one, `reach` seconds at most. After that nobody knows.
2. A new state is believed when `times` of the last `among` looks say so; it begins at the first of these.
3. Until then the old state goes on. A failure that is never believed is a blip: counted, but no outage.
4. A look that says nothing (our own trouble, a starved prober) and a gap both end what was being believed half-way, and
   are time of unknown state. The first look after them that agrees with the old state, or not, continues the old state.
5. At the very first, nothing is known until `times` looks agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

FLAP_WINDOW = 20
FLAP_BEGINS, FLAP_ENDS = 8, 4
"""Changes among the last twenty looks at which a target is called flapping, and below which no more."""


class State(IntEnum):
    """What a target is at a moment. The numbers are stored."""

    UP = 1
    DOWN = 2
    ABSENT = 3
    """The name has no address of that family: neither served nor failing over it."""
    UNKNOWN = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. moment: whole seconds, UTC, when it began. state: what it said; UNKNOWN accuses nobody.

    microseconds: how long the page took, 0 when that is not to be trusted. extra: a second look out of turn; it
    confirms, but is not counted among the day's looks (its number depends on what it confirms).
    """

    target: str
    moment: int
    state: State
    reason: str = ""
    microseconds: int = 0
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """From this moment on the target is in this state. reason: of the look with which it began."""

    moment: int
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """times: looks that must agree; among: the last so many of them; reach: seconds for which a look holds."""

    times: int = 3
    among: int = 4
    reach: int = 150

    def __post_init__(self) -> None:
        if not 0 < self.times <= self.among < 2 * self.times or self.reach < 1:
            raise ValueError("times <= among < 2 * times, so that two states are never believed at once")


class Judge:
    """Judges one target. Looks are given in the order of their moments."""

    __slots__ = ("_changes", "_shown", "_window", "believed", "flapping", "last", "rule")

    def __init__(self, rule: Rule, believed: State | None = None) -> None:
        self.rule = rule
        self.believed = believed
        """The last state that was believed, whether or not anybody looks now."""
        self.last: int | None = None
        self.flapping = False
        self._shown = State.UNKNOWN
        self._window: deque[Sample] = deque()
        self._changes = 0

    @property
    def pending(self) -> bool:
        """True while a state other than the believed one has been seen, but not often enough."""
        return any(one.state is not self.believed for one in self._window)

    def stale(self, now: int) -> Iterator[Turn]:
        """The turn to unknown, when the last look's reach has passed."""
        if self.last is not None and self._shown is not State.UNKNOWN and now > self.last + self.rule.reach:
            yield self._show(Turn(self.last + self.rule.reach, State.UNKNOWN))

    def look(self, sample: Sample, settled: list[tuple[Sample, State]]) -> Iterator[Turn]:
        """Turns that this look brings. To `settled` go the looks about which nothing can change any more."""
        gap = self.last is not None and sample.moment > self.last + self.rule.reach
        if gap:
            yield from self.stale(sample.moment)
            self._drop(settled)
        self.last = sample.moment
        self._flap(sample)
        if sample.state is State.UNKNOWN:
            self._drop(settled)
            settled.append((sample, State.UNKNOWN))
            if self._shown is not State.UNKNOWN:
                yield self._show(Turn(sample.moment, State.UNKNOWN, sample.reason))
            return
        self._window.append(sample)
        if len(self._window) > self.rule.among:
            self._settle(self._window.popleft(), settled)
        if self.believed is not None and self._shown is not self.believed:
            yield self._show(Turn(sample.moment, self.believed, sample.reason if sample.state is self.believed else ""))
        agreeing = [one for one in self._window if one.state is sample.state]
        if sample.state is not self.believed and len(agreeing) >= self.rule.times:
            first = agreeing[0]
            old, self.believed = self.believed, sample.state
            for one in self._window:
                settled.append((one, self.believed if one.moment >= first.moment else old or State.UNKNOWN))
            self._window.clear()
            yield self._show(Turn(first.moment, sample.state, first.reason))

    def end(self, settled: list[tuple[Sample, State]]) -> None:
        """Nobody looks any more for now: what was half believed is let go, and nothing is shown."""
        self._drop(settled)
        self.last = None
        self._shown = State.UNKNOWN

    def _show(self, turn: Turn) -> Turn:
        self._shown = turn.state
        return turn

    def _settle(self, sample: Sample, settled: list[tuple[Sample, State]]) -> None:
        settled.append((sample, self.believed or State.UNKNOWN))

    def _drop(self, settled: list[tuple[Sample, State]]) -> None:
        while self._window:
            self._settle(self._window.popleft(), settled)

    def _flap(self, sample: Sample) -> None:
        """Keeps the last looks as bits (good or not) and counts the changes between neighbours."""
        if sample.state is State.UNKNOWN or sample.extra:
            return
        mask = (1 << FLAP_WINDOW) - 1
        bit = int(sample.state is State.UP)
        if not self._changes:  # as if it had always been so
            self._changes = mask if bit else 0
        line = (self._changes << 1 | bit) & mask
        self._changes = line | 1 << FLAP_WINDOW
        changes = ((line ^ line >> 1) & mask >> 1).bit_count()
        self.flapping = changes >= (FLAP_ENDS if self.flapping else FLAP_BEGINS)
