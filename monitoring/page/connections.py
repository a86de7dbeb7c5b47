"""Connections are few and short: nobody keeps the page from others by opening many and saying nothing.

A connection that does not send a whole request in time, or does not take its answer in time, is cut. One address (one
/64) holds only so many; a newcomer for whom there is no room takes the place of the connection that has kept silent
longest, first of its own address, then of all. A request that is being answered is never cut for another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from monitoring.page.guard import client_of

REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 60.0
MOST_CONNECTIONS, MOST_OF_ONE = 256, 64


class Doorway:
    """The connections of one server, the one that has kept silent longest first."""

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()
        self.silent: dict[Connection, None] = {}

    def room(self, client: str) -> bool:
        """True when one more may come in; makes room if that is possible."""
        if self.held[client] >= MOST_OF_ONE:
            return self._cut(next((one for one in self.silent if one.who == client), None))
        return self.held.total() < MOST_CONNECTIONS or self._cut(next(iter(self.silent), None))

    @staticmethod
    def _cut(connection: Connection | None) -> bool:
        if connection is not None:
            connection.cut()
        return connection is not None


class Connection(H11Protocol):
    """uvicorn's connection with a deadline for each of its turns."""

    doorway: Doorway

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.who = ""
        self._inside = self._answering = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.who = client_of(transport.get_extra_info("peername"))
        if not self.doorway.room(self.who):
            transport.abort()
            return
        self._inside = True
        self.doorway.held[self.who] += 1
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._turn()

    def on_response_complete(self) -> None:
        if self._inside:
            self._wait()
        super().on_response_complete()
        self._turn()  # the next request may have come along with the one before

    def _turn(self) -> None:
        """Once a whole request is here, it is we who have the word."""
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if self._inside and whole and not self._answering and self.cycle and not self.cycle.response_complete:
            self._answering = True
            self.doorway.silent.pop(self, None)
            self._within(ANSWER_SECONDS)

    def cut(self) -> None:
        """Ends it at once, whatever it was at."""
        self._leave()
        self.transport.abort()

    def _wait(self) -> None:
        """From now on a request is awaited."""
        self._answering = False
        self.doorway.silent.pop(self, None)
        self.doorway.silent[self] = None
        self._within(REQUEST_SECONDS)

    def _within(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.cut)

    def _leave(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.doorway.silent.pop(self, None)
        if self._inside:
            self._inside = False
            self.doorway.held[self.who] -= 1
            if not self.doorway.held[self.who]:
                del self.doorway.held[self.who]


def connections() -> type[Connection]:
    """The protocol for one server, with a doorway of its own."""
    return type("Connection", (Connection,), {"doorway": Doorway()})
