"""Makes many requests at once in the prober's loop: libcurl's multi interface, one per set of trusted authorities.

libcurl parses a bundle of authorities once for each multi handle and only from a file; a site with an authority of its
own therefore gets a multi handle of its own, whose bundle lies in memory. At most so many requests go to one address
at the same time: many communes share one portal host, and the watcher must not be its heaviest visitor. Whoever has
waited a few seconds goes all the same, so that a host that is dead does not stop the watch over the others behind it.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from monitoring.fetch import Answer, Get, Take, address_to, answer_of, bundle_path, bundle_with, settle, stamps
from monitoring.loop import Loop, Timer

if TYPE_CHECKING:
    import pycurl

MOST_TO_ONE = 16
MOST_AT_ONCE = 2500
PATIENCE_SECONDS = 5.0
MOST_IDLE = 128
MOST_TRUSTS = 32
_EVENTS = {1: select.EPOLLIN, 2: select.EPOLLOUT, 3: select.EPOLLIN | select.EPOLLOUT}
"""libcurl's CURL_POLL_IN, OUT, INOUT."""
Done = Callable[[Answer], None]


class _Waiting:
    """A request whose turn has not come."""

    __slots__ = ("done", "get", "gone", "since", "timer")

    def __init__(self, get: Get, done: Done, since: float) -> None:
        self.get, self.done, self.since = get, done, since
        self.gone = False
        self.timer: Timer | None = None


class Transfers:
    """All requests under way."""

    def __init__(self, loop: Loop, most_to_one: int = MOST_TO_ONE, most_at_once: int = MOST_AT_ONCE) -> None:
        self._loop, self._most_to_one, self._most = loop, most_to_one, most_at_once
        self._trusts: dict[tuple[object, ...], _Trust] = {}
        self._current: dict[Path | None, _Trust] = {}
        self._stamped = 0.0
        self._at: dict[str, int] = {}
        self._queues: dict[str, deque[_Waiting]] = {}
        self._full: deque[_Waiting] = deque()
        self._idle: list[pycurl.Curl] = []
        self.under_way = 0
        self.overfull = 0
        """Requests that went over the cap of their address because its queue did not move."""

    def get(self, get: Get, done: Done) -> None:
        """Makes the request when its turn comes; `done(answer)` is called once. CannotSee without a bundle."""
        waiting = _Waiting(get, done, self._loop.now)
        if self.under_way >= self._most:
            self._full.append(waiting)
        elif self._at.get(get.address, 0) >= self._most_to_one:
            self._queues.setdefault(get.address, deque()).append(waiting)
            waiting.timer = self._loop.after(PATIENCE_SECONDS, partial(self._impatient, waiting))
        else:
            self._begin(waiting)

    def close(self) -> None:
        """Breaks off what is under way; nobody is called any more."""
        for trust in self._trusts.values():
            trust.close()
        self._trusts.clear()
        self._current.clear()

    def _impatient(self, waiting: _Waiting) -> None:
        if not waiting.gone:
            self.overfull += 1
            self._begin(waiting)

    def _begin(self, waiting: _Waiting) -> None:
        import pycurl

        waiting.gone = True
        get = waiting.get
        if waiting.timer is not None:
            waiting.timer.cancel()
        trust = self._trust(get.authority)
        self.under_way += 1
        self._at[get.address] = self._at.get(get.address, 0) + 1
        take = Take(get.most_bytes)
        if self._idle:
            handle = self._idle.pop()
        else:
            handle = pycurl.Curl()
            settle(handle)
        queued = max(0.0, self._loop.now - waiting.since)
        try:
            handle.setopt(pycurl.CAINFO, trust.path)
            address_to(handle, get, take)
            trust.add(handle, lambda code, words: self._end(waiting, handle, take, queued, code, words))
        except pycurl.error as error:  # an address that libcurl cannot even read
            code, words = int(error.args[0] or 43), str(error)
            self._loop.after(0.0, lambda: self._end(waiting, handle, take, queued, code, words))

    def _end(self, waiting: _Waiting, handle: pycurl.Curl, take: Take, queued: float, code: int, words: str) -> None:
        answer = answer_of(handle, code, words, take, queued)
        take.close()
        if len(self._idle) < MOST_IDLE:
            self._idle.append(handle)
        else:
            handle.close()
        address = waiting.get.address
        self.under_way -= 1
        self._at[address] -= 1
        if not self._at[address]:
            del self._at[address]
        self._next(address)
        waiting.done(answer)

    def _next(self, address: str) -> None:
        queue = self._queues.get(address)
        while queue and self._at.get(address, 0) < self._most_to_one:
            waiting = queue.popleft()
            if not waiting.gone:
                self._begin(waiting)
        if queue is not None and not queue:
            del self._queues[address]
        while self._full and self.under_way < self._most:
            waiting = self._full.popleft()
            self.get(waiting.get, waiting.done)

    def _trust(self, authority: Path | None) -> _Trust:
        """The multi handle for this authority; a new one when a file has changed (looked at once a second)."""
        if self._loop.now - self._stamped > 1.0:
            self._stamped = self._loop.now
            self._current.clear()
        current = self._current.get(authority)
        if current is None:
            current = self._current[authority] = self._trust_now(authority)
        return current

    def _trust_now(self, authority: Path | None) -> _Trust:
        bundle = bundle_path()
        key = (bundle,) if authority is None else (bundle, str(authority), *stamps(bundle, authority))
        found = self._trusts.get(key)
        if found is None:
            if len(self._trusts) >= MOST_TRUSTS:
                del self._trusts[next(iter(self._trusts))]
            text = None if authority is None else bundle_with(bundle, authority)
            found = self._trusts[key] = _Trust(self._loop, bundle, text)
        return found


class _Trust:
    """One multi handle, whose requests all trust the same authorities."""

    def __init__(self, loop: Loop, bundle: str, text: bytes | None) -> None:
        import pycurl

        self.path = bundle
        self._memory = -1
        if text is not None:
            self._memory = os.memfd_create("gaccong-authorities", os.MFD_CLOEXEC)
            with open(self._memory, "wb", closefd=False) as file:
                file.write(text)
            self.path = f"/proc/self/fd/{self._memory}"
        self._loop = loop
        self._done: dict[pycurl.Curl, Callable[[int, str], None]] = {}
        self._due: Timer | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._timer)

    def __del__(self) -> None:
        if self._memory >= 0:
            os.close(self._memory)

    def close(self) -> None:
        """Breaks off its transfers."""
        for handle in self._done:
            self._multi.remove_handle(handle)
        self._done.clear()
        self._multi.close()

    def add(self, handle: pycurl.Curl, done: Callable[[int, str], None]) -> None:
        """Starts a transfer; `done(code, words)` is called when it has ended."""
        self._multi.add_handle(handle)
        self._done[handle] = done

    def _socket(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if what in _EVENTS:
            self._loop.watch(descriptor, _EVENTS[what], partial(self._ready, descriptor))
        else:
            self._loop.forget(descriptor)

    def _timer(self, milliseconds: int) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if milliseconds >= 0:
            self._due = self._loop.at(time.monotonic() + milliseconds / 1000, self._time)

    def _time(self) -> None:
        import pycurl

        self._due = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _ready(self, descriptor: int, flags: int) -> None:
        import pycurl

        mask = (pycurl.CSELECT_IN if flags & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) else 0) | (
            pycurl.CSELECT_OUT if flags & select.EPOLLOUT else 0
        )
        self._act(descriptor, mask)

    def _act(self, descriptor: int, mask: int) -> None:
        """Lets libcurl work, then hands out what has ended."""
        self._multi.socket_action(descriptor, mask)
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in good:
                self._end(handle, 0, "")
            for handle, code, words in bad:
                self._end(handle, code, words)

    def _end(self, handle: pycurl.Curl, code: int, words: str) -> None:
        self._multi.remove_handle(handle)
        self._done.pop(handle)(code, words)
