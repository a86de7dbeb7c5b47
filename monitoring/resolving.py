"""Resolves names for many probes at once, in the prober's loop: the same promises as `monitoring.names.lookup`.

Every question goes out from a fresh socket (a port of the kernel's choice) under a random number, so that nobody can
guess the answer in. Equal questions share one answer; answers are kept for their TTL, five minutes at most; failures
are never kept. An answer that was cut is fetched again by `lookup`, over TCP, in a thread.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from monitoring.endpoints import Family, is_literal
from monitoring.loop import Loop, Timer
from monitoring.names import ATTEMPT_SECONDS, MOST_ADDRESSES, MOST_ALIASES, Lookup, lookup, servers_of
from monitoring.reasons import Reason
from monitoring.wire import KIND, NOERROR, NS, NXDOMAIN, Malformed, Name, Reply, name_of, question, reply, text_of

MOST_KEPT = 20_000
LONGEST_KEPT = 300.0
Servers = tuple[tuple[str, int], ...]
Done = Callable[[Lookup], None]
_Key = tuple[Servers, str, Family]


class Resolver:
    """Names to addresses, one family at a time."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._kept: dict[_Key, tuple[float, Lookup]] = {}
        self._asking: dict[_Key, list[Done]] = {}
        self.heard: dict[Servers, float] = {}
        self.asked = 0

    def ask(self, host: str, family: Family, nameservers: Sequence[str], seconds: float, done: Done) -> None:
        """`done(lookup)` is called once, at once when nothing need be asked."""
        if is_literal(host) or host.rstrip(".").lower() == "localhost":
            done(lookup(host, family, nameservers, seconds))
            return
        servers = servers_of(nameservers)
        key = (servers, host.rstrip(".").lower(), family)
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._loop.now:
            done(replace(kept[1], seconds=0.0))
            return
        if key in self._asking:
            self._asking[key].append(done)
            return
        try:
            name = name_of(host)
        except Malformed:
            done(Lookup(host, family, (), Reason.NXDOMAIN, 0.0))
            return
        self._asking[key] = [done]
        _Question(self, self._loop, key, name, seconds, lambda found: self._finish(key, found)).start()

    def _finish(self, key: _Key, found: Lookup) -> None:
        if found.reason is None and found.ttl > 0:
            if len(self._kept) >= MOST_KEPT:
                now = self._loop.now
                self._kept = {one: kept for one, kept in self._kept.items() if kept[0] > now}
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
            self._kept[key] = (self._loop.now + min(found.ttl, LONGEST_KEPT), found)
        else:
            self._kept.pop(key, None)
        for done in self._asking.pop(key):
            done(found)


class _Question:
    """One name in one family, on its way through aliases, servers and second tries."""

    def __init__(self, resolver: Resolver, loop: Loop, key: _Key, name: Name, seconds: float, done: Done) -> None:
        self._resolver, self._loop, self._done = resolver, loop, done
        self._servers, self._host, self._family = key
        self._name, self._kind = name, KIND[self._family]
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        self._aliases: list[str] = []
        self._seen = {name}
        self._ttl = 1 << 31
        self._failed = False
        self._steps = 0
        self._turn = 0

    def start(self) -> None:
        """Asks the next server, or gives up."""
        left = self._deadline - time.monotonic()
        rounds, place = divmod(self._turn, max(1, len(self._servers)))
        if not self._servers or left <= 0 or rounds > 1 or (rounds == 1 and self._failed):
            self._silence()
            return
        self._turn += 1
        _Exchange(self._loop, self._servers[place], self._name, self._kind, min(left, ATTEMPT_SECONDS), self._heard)
        self._resolver.asked += 1

    def _heard(self, answer: Reply | None) -> None:
        if answer is None:
            self.start()
            return
        self._resolver.heard[self._servers] = self._loop.now
        if answer.code not in (NOERROR, NXDOMAIN):
            self._failed = True
            self.start()
        elif answer.cut:
            self._by_tcp()
        else:
            self._read(answer)

    def _read(self, answer: Reply) -> None:
        """Follows the aliases that the answer holds; asks on where they leave it."""
        asked = self._name
        while self._name not in answer.addresses and self._name in answer.aliases:
            ttl, target = answer.aliases[self._name]
            self._ttl = min(self._ttl, ttl)
            self._aliases.append(text_of(target))
            self._steps += 1
            if target in self._seen or self._steps > MOST_ALIASES:
                self._end((), Reason.DNS_LOOP)
                return
            self._seen.add(target)
            self._name = target
        found = answer.addresses.get(self._name)
        if found is not None:
            self._ttl = min(self._ttl, found[0])
            self._end(found[1], None)
        elif answer.code == NXDOMAIN:
            self._end((), Reason.NXDOMAIN)
        elif self._name == asked:
            self._end((), Reason.NO_RECORD)
        else:
            self._turn = 0
            self.start()

    def _end(self, addresses: tuple[str, ...], reason: Reason | None) -> None:
        ttl = self._ttl if addresses else 0
        seconds = time.monotonic() - self._began
        self._done(Lookup(self._host, self._family, addresses[:MOST_ADDRESSES], reason, seconds, tuple(self._aliases),
                          ttl, len(addresses)))

    def _by_tcp(self) -> None:
        texts = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self._servers]
        left = max(0.1, self._deadline - time.monotonic())

        def done(found: Lookup | None, error: BaseException | None) -> None:
            if found is None:
                self._end((), Reason.DNS_FAILED)
            else:
                self._done(replace(found, seconds=time.monotonic() - self._began))

        self._loop.in_thread(lambda: lookup(self._host, self._family, texts, left), done)

    def _silence(self) -> None:
        """Nobody answered about this name. Whose silence is it? (As `names`, but other names' answers count, too.)"""
        if self._failed:
            self._end((), Reason.DNS_FAILED)
        elif self._resolver.heard.get(self._servers, 0.0) > self._began:
            self._end((), Reason.DNS_TIMEOUT)
        elif not self._servers:
            self._end((), Reason.RESOLVER_SILENT)
        else:
            self._about_the_root(0)

    def _about_the_root(self, place: int) -> None:
        def heard(answer: Reply | None) -> None:
            if answer is not None:
                self._resolver.heard[self._servers] = self._loop.now
                self._end((), Reason.DNS_TIMEOUT)
            elif place + 1 < min(2, len(self._servers)):
                self._about_the_root(place + 1)
            else:
                self._end((), Reason.RESOLVER_SILENT)

        _Exchange(self._loop, self._servers[place], (), NS, ATTEMPT_SECONDS / 2, heard)


class _Exchange:
    """One question to one server over UDP; calls `heard` once, with None for silence."""

    def __init__(
        self, loop: Loop, server: tuple[str, int], name: Name, kind: int, seconds: float,
        heard: Callable[[Reply | None], None],
    ) -> None:
        self._loop, self._name, self._kind, self._call = loop, name, kind, heard
        self._number = int.from_bytes(os.urandom(2), "big")
        self._timer: Timer | None = None
        self._socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(server)
            self._socket.send(question(self._number, name, kind))
        except OSError:
            self._timer = loop.after(0.0, lambda: self._end(None))
            return
        loop.watch(self._socket.fileno(), select.EPOLLIN, self._readable)
        self._timer = loop.after(seconds, lambda: self._end(None))

    def _readable(self, _flags: int) -> None:
        try:
            message = self._socket.recv(65535)
        except BlockingIOError:
            return
        except OSError:  # ICMP told that nobody is there
            self._end(None)
            return
        try:
            answer = reply(message, self._number, self._name, self._kind)
        except Malformed:
            return  # not ours: wait on
        self._end(answer)

    def _end(self, answer: Reply | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._call(answer)
