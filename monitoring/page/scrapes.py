"""The routes of `/metrics` and `/probe`: in threads of their own, so that a herd of scrapes takes none from the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response

from monitoring.exporter import Exposition
from monitoring.scraping import Answer, Scrapes
from ops import Site

THREADS = 16


class Scraped:
    """The two endpoints. `read` and `sites` are called in a thread."""

    def __init__(self, read: Callable[[], Exposition], sites: Callable[[], Mapping[str, Site]]) -> None:
        self._scrapes = Scrapes(read, sites)
        self._reading = ThreadPoolExecutor(THREADS, "gaccong-metrics")
        self._probing = ThreadPoolExecutor(THREADS, "gaccong-probe")

    async def metrics(self, request: Request) -> Response:
        """Everything, in the text format or in OpenMetrics."""
        return await self._run(self._reading, lambda: self._scrapes.metrics(request.headers))

    async def probe(self, request: Request) -> Response:
        """One site over both families, now."""
        name = request.query_params.get("site", "")
        return await self._run(self._probing, lambda: self._scrapes.probe(name, request.headers))

    @staticmethod
    async def _run(pool: ThreadPoolExecutor, work: Callable[[], Answer]) -> Response:
        found = await asyncio.get_running_loop().run_in_executor(pool, work)
        return Response(found.body, found.status, dict(found.headers))
