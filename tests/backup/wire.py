"""The network between a site and its storage machine: a real rest-server, and a TCP proxy that can spoil the way to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REST_SERVER = str(Path(sys.executable).parent / "rest-server")
_ANSWER = b"HTTP/1.1 %d Told\r\nContent-Length: 5\r\nConnection: close\r\n\r\nno go"


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def rest_server(data: Path, *flags: str) -> Iterator[int]:
    """A real rest-server over `data`; gives its port."""
    port = free_port()
    with open(data.with_name(f"{data.name}.log"), "wb") as log:
        running = subprocess.Popen([REST_SERVER, "--listen", f"127.0.0.1:{port}", "--path", str(data), "--no-auth", *flags],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert running.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
        yield port
    finally:
        running.kill()
        running.wait(30)


class Wire:
    """A TCP way to `port` that counts what passes.

    cut: once so many bytes have passed, every connection is broken and no new one is taken, until `mend`.
    once: the cut happens only one time. hang: what is sent is taken and never answered. status: every request gets it.
    """

    def __init__(self, port: int) -> None:
        self.passed = 0
        self.cut: int | None = None
        self.once = False
        self.hang = False
        self.status = 0
        self.cuts = 0
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()

    def mend(self) -> None:
        """The way is whole again."""
        self.cut, self.hang, self.status = None, False, 0

    @property
    def _broken(self) -> bool:
        return self.cut is not None and self.passed >= self.cut

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        return server

    def _add(self, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.transports.add(writer.transport)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._add(writer)
        try:
            if self._broken:
                writer.transport.abort()
            elif self.status:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_ANSWER % self.status)
                await writer.drain()
            else:
                await self._pass_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._writers.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._add(far_writer)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers.discard(far_writer)
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 14):
            self.passed += len(data)
            while self.hang:
                await asyncio.sleep(0.05)
            if self._broken:
                self._break()
                return
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _break(self) -> None:
        self.cuts += 1
        if self.once:
            self.cut = None
        for writer in list(self._writers):
            writer.transport.abort()


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    """A Wire to `port`, served by a thread of its own."""
    made, ready, loop = Wire(port), threading.Event(), asyncio.new_event_loop()

    async def live() -> None:
        stop = asyncio.Event()
        made.stop = lambda: loop.call_soon_threadsafe(stop.set)  # type: ignore[attr-defined]
        server = await made.serve()
        ready.set()
        await stop.wait()
        server.close()
        made.hang = False
        for writer in list(made._writers):
            writer.transport.abort()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait([*rest, loop.create_task(asyncio.sleep(0))], timeout=5)
        for transport in list(made.transports):  # also of those whose task had ended: each must be closed before its loop
            transport.abort()
        await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made
    finally:
        made.stop()  # type: ignore[attr-defined]
        thread.join(10)
        loop.close()
