"""Runs the function of a check, whatever its shape, and hands on what it yields. Knows nothing of stores."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ops.duty import Check, Context
from ops.model import Finding, Site, nfc


def checked(found: Any) -> Finding:
    """A finding with its subject in NFC; anything else that a check yields is its mistake."""
    if not isinstance(found, Finding):
        raise TypeError(f"a check yields Finding, not {type(found).__name__}")
    return replace(found, subject=nfc(found.subject) or "*")


async def collect(check: Check, site: Site, ctx: Context) -> list[Any]:
    """Runs a check's function, whatever its shape, and gathers what it yields."""
    function = check.function
    if inspect.isasyncgenfunction(function):
        return [found async for found in function(site, ctx)]
    if inspect.iscoroutinefunction(function):
        return list(await function(site, ctx))
    return await _in_thread(lambda: list(function(site, ctx)), check.name)


async def _in_thread(work: Callable[[], list[Any]], name: str) -> list[Any]:
    """Runs `work` in a daemon thread: a hung one can be left behind without keeping the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Any]] = loop.create_future()

    def settle(result: list[Any] | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result or [])

    def body() -> None:
        result, trouble = None, None
        try:
            result = work()
        except BaseException as error:  # handed to the waiting task, whatever it is
            trouble = error if isinstance(error, Exception) else RuntimeError(repr(error))
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, trouble)

    threading.Thread(target=body, name=f"look-{name}", daemon=True).start()
    return await future
