"""Keeps the prober's process alive beside `serve`: started, watched, started again; it ends when this process does."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path

from ops.cli.session import Session

AGAIN_SECONDS, MOST_AGAIN_SECONDS, LONG_SECONDS = 2.0, 60.0, 300.0
log = logging.getLogger("gaccong")


def uptime_folder(session: Session) -> Path:
    """Where the record of availability is kept."""
    return session.config.state / "uptime"


async def keep_probing(session: Session, stop: asyncio.Event) -> None:
    """Runs the prober until `stop`; one that ends is started again, after a pause that grows while it ends at once."""
    from monitoring.fleet import fleet_of, write_fleet
    from ops.locks import private_folder

    folder = uptime_folder(session)
    private_folder(folder)
    fleet = fleet_of(session.config.sites.values())
    if not fleet.targets:
        return
    place = folder / "fleet.json"
    await asyncio.to_thread(write_fleet, fleet, place)
    pause = AGAIN_SECONDS
    while not stop.is_set():
        begun = asyncio.get_running_loop().time()
        code = await _once(folder, place, stop)
        if stop.is_set():
            return
        if asyncio.get_running_loop().time() - begun > LONG_SECONDS:
            pause = AGAIN_SECONDS
        log.error("the prober ended with exit code %s; again in %g s", code, pause)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(2 * pause, MOST_AGAIN_SECONDS)


async def _once(folder: Path, fleet: Path, stop: asyncio.Event) -> int:
    """One life of the prober. Its standard input is a pipe of ours: whatever becomes of us, it sees the end."""
    argv = (sys.executable, "-I", "-m", "monitoring.prober", "--fleet", str(fleet), "--folder", str(folder))
    process = await asyncio.create_subprocess_exec(
        *argv, "--with-parent", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        assert process.stdin is not None
        process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), 10)
        if not ended.done():
            process.kill()
    return await ended
