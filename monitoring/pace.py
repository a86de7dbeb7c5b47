"""When each target's turn comes: spread by hash over the interval, in small batches, the same slot in every round.

A herd that starts together measures itself; a start for each target alone wakes the processor for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

BATCH_SECONDS = 0.025


class Pace:
    """The slots of one interval. Moments are seconds of a clock that never goes back."""

    def __init__(self, interval: float, batch: float = BATCH_SECONDS) -> None:
        self.interval = interval
        self._count = max(1, round(interval / batch))
        self.batch = interval / self._count
        self._slots: list[list[str]] = [[] for _ in range(self._count)]
        self._next: int | None = None
        self.missed = 0
        """Starts that were never made, because a whole interval had gone by."""

    def slot_of(self, name: str) -> int:
        """The slot of a target: its name alone decides, so that a restart or a new neighbour moves nobody."""
        return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % self._count

    def place(self, names: Iterable[str]) -> None:
        """Takes these targets instead of those before."""
        self._slots = [[] for _ in range(self._count)]
        for name in names:
            self._slots[self.slot_of(name)].append(name)

    def due(self, now: float) -> Iterator[str]:
        """Everybody whose slot has come since the last call, each at most once."""
        current = int(now / self.batch)
        first = current if self._next is None else self._next
        if current - first >= self._count:  # after a long sleep nobody is due twice
            behind = current - first - self._count + 1
            whole, rest = divmod(behind, self._count)
            everybody = sum(len(slot) for slot in self._slots)
            skipped = sum(len(self._slots[(first + step) % self._count]) for step in range(rest))
            self.missed += whole * everybody + skipped
            first = current - self._count + 1
        self._next = current + 1
        for number in range(first, current + 1):
            yield from self._slots[number % self._count]

    def next_due(self, now: float) -> float:
        """When the next slot begins."""
        return (int(now / self.batch) + 1) * self.batch
