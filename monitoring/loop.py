"""One thread that waits for sockets and moments (epoll), and knows how late it is: a starved prober must say so.

`stalled` grows by every delay that somebody waited for us: woken late by the kernel, or busy with one thing for long.
Whoever began at a mark and ended at another reads from the difference how far its own times may be trusted.
"""

from __future__ import annotations

import heapq
import os
import select
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

STALL_SECONDS = 0.02
TICK_SECONDS = 0.05
"""The longest sleep: a delay is only seen by whoever meant to wake."""


class Timer:
    """A call at a moment; `cancel` takes it back."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None] | None) -> None:
        self.call = call

    def cancel(self) -> None:
        """Never mind."""
        self.call = None


class Loop:
    """Sockets, moments and a few threads for what blocks. Everything but `hand_over` belongs to one thread."""

    def __init__(self, threads: int = 8) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._given: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._pool = ThreadPoolExecutor(threads, "gaccong-probe")
        self.now = time.monotonic()
        self.stalled = 0.0
        self.worst_lag = 0.0

    def watch(self, descriptor: int, events: int, call: Callable[[int], None]) -> None:
        """Calls with the epoll events that came; a second call changes the first."""
        if self._epoll.closed:
            return
        if descriptor in self._readers:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._readers[descriptor] = call

    def forget(self, descriptor: int) -> None:
        """No more; before the descriptor is closed."""
        if self._readers.pop(descriptor, None) is not None:
            with suppress(OSError):
                self._epoll.unregister(descriptor)

    def at(self, moment: float, call: Callable[[], None]) -> Timer:
        """Calls once, at a moment of `time.monotonic`."""
        timer = Timer(call)
        self._count += 1
        heapq.heappush(self._timers, (moment, self._count, timer))
        return timer

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Calls once, so many seconds from now."""
        return self.at(time.monotonic() + seconds, call)

    def hand_over(self, call: Callable[[], None]) -> None:
        """From any thread: call this in the loop's thread."""
        self._given.append(call)
        os.eventfd_write(self._wake, 1)

    def in_thread(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Does blocking work elsewhere; `done(result, error)` is called in the loop."""

        def run() -> None:
            result, error = None, None
            try:
                result = work()
            except Exception as found:
                error = found
            self.hand_over(lambda: done(result, error))

        self._pool.submit(run)

    def turn(self) -> None:
        """One round: sleeps until something happens, then does all of it."""
        began = time.monotonic()
        aim = min(began + TICK_SECONDS, self._timers[0][0]) if self._timers else began + TICK_SECONDS
        events = self._epoll.poll(0 if self._given else max(0.0, aim - began))
        woke = self.now = time.monotonic()
        late = woke - max(aim, began)
        for descriptor, flags in events:
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
            else:
                reader = self._readers.get(descriptor)  # an earlier event may have closed it
                if reader is not None:
                    reader(flags)
        while self._given:
            self._given.popleft()()
        while self._timers and self._timers[0][0] <= self.now:
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                call()
        busy = time.monotonic() - woke
        for lag in (late, busy):
            if lag > STALL_SECONDS:
                self.stalled += lag
                self.worst_lag = max(self.worst_lag, lag)

    def close(self) -> None:
        """Ends the threads that have nothing to do, and gives the descriptors back."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._epoll.close()
        os.close(self._wake)
