"""The service behind `gaccong serve`. Stops cleanly on SIGTERM and Ctrl-C.

Each due duty of each site is a task of its own, so a slow drill or a poisoned site delays nobody else. Changes run
one after the other at a site, in a thread of their own. What was missed while the service was down is caught up.
"""

import asyncio
import logging
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ops.cli.probing import keep_probing
from ops.cli.session import Session
from ops.model import say

if TYPE_CHECKING:
    from ops.act import Actor
    from ops.duty import Change, Occasion
    from ops.engine import Engine
    from ops.model import Site

TICK = 2.0
WAITING_SECONDS = 60.0
TELL_SECONDS = 60.0
ACTORS = 4
"""Sites at which something is done at the same time; looking is not bound by it."""
log = logging.getLogger("gaccong")


def address(listen: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as a pair; raises UsageError."""
    from ops.errors import UsageError

    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise UsageError(say("--listen phải có dạng địa-chỉ:cổng", "--listen must be address:port"))
    try:
        return str(ip_address(host.strip("[]"))), int(port)
    except ValueError:
        raise UsageError(
            say("--listen phải là địa chỉ IP, vd 127.0.0.1:9850", "--listen must be an IP address, e.g. 127.0.0.1:9850")
        ) from None


class Service:
    """The loop and the page."""

    def __init__(self, session: Session, listen: str) -> None:
        self.session = session
        self.host, self.port = address(listen or session.config.serve.listen)
        self._busy: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stop = asyncio.Event()
        self._waiting: dict[str, float] = {}
        self._actors = ThreadPoolExecutor(ACTORS, thread_name_prefix="act")

    async def run(self, *, with_duties: bool) -> None:
        """Until SIGTERM or SIGINT."""
        from monitoring.page.serving import running

        loop = asyncio.get_running_loop()
        for kind in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(kind, self._stop.set)
        _ = self.session.store if with_duties else self.session.reading  # made, or refused, before anything listens
        app = self._app()
        async with running(app, self.host, self.port) as port:
            self.session.tell(
                say(
                    "trang trực ban: http://{h}:{p}/  chỉ số: /metrics",
                    "page: http://{h}:{p}/  metrics: /metrics",
                    h=f"[{self.host}]" if ":" in self.host else self.host,
                    p=port,
                )
            )
            if with_duties:
                await self._duties()
            else:
                await self._stop.wait()
        self.session.tell(say("đã dừng", "stopped"))

    def _app(self) -> Any:
        from monitoring.page import make_app
        from ops.cli.desk import desk_of, doors

        config = self.session.config
        opened = doors(self.session, self.host)
        import ops
        from monitoring.watched import Sources
        from ops.cli.status import read

        return make_app(
            lambda: read(self.session),
            private=self.session.catalog.private,
            version=ops.__version__,
            lang=self.session.lang,
            names=config.serve.names,
            sources=Sources(lambda: config.sites, config.state),
            desk=desk_of(self.session),
            **opened,
        )

    async def _duties(self) -> None:
        engine = self.session.engine()
        from ops.act import Actor

        actor = Actor(engine, tell=lambda text: log.info("%s", text.in_(self.session.lang)))
        sites = self.session.sites()
        for site in sites:
            await self._guard(site, "settle", asyncio.to_thread(actor.settle, site))
        beside = [
            asyncio.create_task(self._tell()),
            asyncio.create_task(self._alone("prober", keep_probing(self.session, self._stop))),
        ]
        while not self._stop.is_set():
            for site in sites:
                self._start_due(engine, actor, site)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK)
        await asyncio.gather(*beside)
        await self._finish(engine)

    async def _alone(self, what: str, work: Any) -> None:
        """What runs beside the duties: its trouble is logged and stops nothing else."""
        try:
            await work
        except Exception as error:  # the watch goes on without it, and the metrics show its silence
            log.error("%s: %s", what, error, exc_info=not hasattr(error, "explain"))

    async def _tell(self) -> None:
        """A round of notices a minute; its trouble is logged and costs one round."""
        from ops.cli.notify import round_

        rules = self.session.config.tops["notify"]
        while (rules.channel or rules.heartbeat) and not self._stop.is_set():
            try:
                done = await asyncio.to_thread(round_, self.session)
            except Exception as error:  # the watch goes on, whatever a channel does
                log.error("notify: %s", error, exc_info=not hasattr(error, "explain"))
            else:
                for name, trouble in done.failures.items() if done else ():
                    log.warning("notify %s: %s", name, trouble)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TELL_SECONDS)

    def _start_due(self, engine: "Engine", actor: "Actor", site: "Site") -> None:
        """One task for each due duty that is not already at work."""
        try:
            for check in engine.due(site):
                self._spawn(site, check.name, lambda check=check: engine.look(site, check))
            due = actor.due(site)
        except Exception:  # one poisoned site must not stop the line
            log.exception("site %s", site.id)
            return
        if due:
            loop = asyncio.get_running_loop()
            self._spawn(site, "act", lambda: loop.run_in_executor(self._actors, self._act, actor, site, due))

    def _act(self, actor: "Actor", site: "Site", due: "list[tuple[Change, Occasion]]") -> None:
        """One after the other; what still waits for approval is asked again after a minute, not at every tick."""
        from ops.afterwards import occasion_key

        for change, occasion in due:
            key = f"{site.id} {change.name} {occasion_key(occasion.args)}"
            if self._stop.is_set() or time.monotonic() < self._waiting.get(key, 0.0):
                continue
            row = actor.run_due(site, change, occasion)
            log.info("%s: %s %s", key, row.verdict, row.detail.in_(self.session.lang))
            if not row.evidence:
                self._waiting[key] = time.monotonic() + WAITING_SECONDS

    def _spawn(self, site: "Site", what: str, work: Any) -> None:
        key = (site.id, what)
        if key in self._busy:
            return
        self._busy.add(key)
        task = asyncio.create_task(self._guard(site, what, work()))
        self._tasks.add(task)

        def done(finished: asyncio.Task[Any]) -> None:
            self._tasks.discard(finished)
            self._busy.discard(key)

        task.add_done_callback(done)

    async def _guard(self, site: "Site", what: str, work: Any) -> None:
        """Runs one piece of work; its trouble is logged with the site's name and costs a pause, nothing else."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:  # one poisoned site must not stop the line
            log.error("%s %s: %s", site.id, what, error, exc_info=not hasattr(error, "explain"))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 30)

    async def _finish(self, engine: "Engine") -> None:
        """Waits a little for what runs; what does not end is left to its own undo at the next start."""
        if self._tasks:
            self.session.tell(say("đang chờ {n} việc dở dang", "waiting for {n} pieces of work", n=len(self._tasks)))
            engine.stop.set()
            await asyncio.wait(self._tasks, timeout=20)
        for task in self._tasks:
            task.cancel()
        engine.close()
