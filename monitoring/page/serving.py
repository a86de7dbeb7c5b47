"""Serves the page within somebody else's event loop: quiet, bounded, and stopped when the context ends."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from monitoring.endpoints import bracketed
from ops import UsageError, say

if TYPE_CHECKING:
    from starlette.applications import Starlette

STOP_SECONDS = 5


@contextlib.asynccontextmanager
async def running(app: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Serves `app` on one address while the context lasts; yields the bound port (of use when `port` is 0).

    Raises UsageError when the address cannot be had, or when it lies beyond loopback and the app asks for no token.
    Signals stay with the caller's loop.
    """
    import uvicorn

    from monitoring.page.connections import MOST_CONNECTIONS, connections

    listener = listen(host, port, guarded=bool(getattr(app.state, "token_asked", False)))

    class Server(uvicorn.Server):
        """A server that leaves SIGINT and SIGTERM to the loop that it lives in."""

        @contextlib.contextmanager
        def capture_signals(self):  # type: ignore[no-untyped-def]
            yield

    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, lifespan="off", ws="none", proxy_headers=False,
        server_header=False, timeout_keep_alive=5, timeout_graceful_shutdown=STOP_SECONDS,
        http=connections(), limit_concurrency=2 * MOST_CONNECTIONS, h11_max_incomplete_event_size=16384,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                await task
                raise UsageError(say("trang không khởi động được", "the page did not start"))
            await asyncio.sleep(0.01)
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task
        listener.close()


def listen(host: str, port: int, *, guarded: bool) -> socket.socket:
    """A listening socket on exactly this address. Raises UsageError with what to do."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UsageError(say("{h} không phải địa chỉ IP", "{h} is not an IP address", h=host)) from None
    if not address.is_loopback and not guarded:
        raise UsageError(
            say("không mở trang ra ngoài máy này khi chưa có mã truy cập", "the page is not served beyond this machine "
                "without a token"),
            say("đặt serve.token, hoặc nghe ở 127.0.0.1", "set serve.token, or listen on 127.0.0.1"),
        )
    kind = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    found = socket.socket(kind, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind((str(address), port))
        found.listen(128)
        found.setblocking(False)
    except OSError as error:
        found.close()
        raise UsageError(
            say("không nghe được ở {h}:{p}: {why}", "cannot listen on {h}:{p}: {why}", h=bracketed(str(address)), p=port,
                why=error.strerror or str(error)),
            say("chọn cổng khác: gaccong serve --listen 127.0.0.1:9851", "choose another: gaccong serve --listen "
                "127.0.0.1:9851"),
        ) from None
    return found
