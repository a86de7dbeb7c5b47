"""Runs restic from inside a step of ours: the secrets' descriptors handed on, a time limit, and an end where nothing moves.

restic waits for ever on a server that took the connection and fell silent. What the process reads and writes
(/proc/PID/io) tells: less than 64 KiB in the stall time is no transfer, only a lock that is refreshed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backup import cache
from backup.found import handed_on
from backup.trouble import kind_of, lock_of

_MOVES = 64 << 10
_LOOK = 2.0
_PATIENCE = 900.0
_PAUSE = 15.0


@dataclass(frozen=True, slots=True)
class Said:
    """What restic said. code: its exit code, or 124 for one that was ended because of a limit."""

    code: int
    out: str
    err: str

    @property
    def trouble(self) -> str:
        """The messages: where they are many, the first ones (what went wrong) and the last."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return "\n".join(lines if len(lines) <= 16 else [*lines[:8], "…", *lines[-7:]])


def run(words: Iterable[str], *, env: Mapping[str, str] | None = None, seconds: float = 600.0,
        stall: float = 600.0) -> Said:
    """Runs restic to its end or a limit. env: the whole environment, this process's own when None."""
    words = [*words, *_ready()]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(list(words), stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env,
                                   pass_fds=handed_on())
        why = _wait(process, seconds, stall)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read(64 << 20).decode("utf-8", "backslashreplace"))
    if why:
        # "i/o timeout" is what restic itself says of a dead line: one word for both (backup.trouble)
        return Said(124, texts[0], f"{texts[1]}\ni/o timeout: {why}".strip())
    return Said(process.returncode, *texts)


def _ready() -> tuple[str, ...]:
    """Makes the cache and temporary folders: restic 0.14 fails in the middle of its work without the latter."""
    home = Path(os.environ.get("RESTIC_CACHE_DIR", ""))
    return cache.options(home.parent) if home.name == "cache" else ()


def _wait(process: subprocess.Popen[bytes], seconds: float, stall: float) -> str:
    """Waits for the end; "" or why it was ended before."""
    started = moved = time.monotonic()
    was = _moved(process.pid)
    why = ""
    try:
        while not why:
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(_LOOK, stall / 4))
                return ""
            now, now_moved = time.monotonic(), _moved(process.pid)
            if now_moved - was >= _MOVES:
                was, moved = now_moved, now
            if now - moved > stall:
                why = f"no data moved for {stall:g} seconds"
            elif now - started > seconds:
                why = f"not done after {seconds:g} seconds"
        return why
    finally:
        _end(process)


def _moved(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.partition(":")[2]) for line in lines[:2])


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT first, on which restic takes its lock away."""
    for kind, wait in ((signal.SIGINT, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        process.send_signal(kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait)


def patiently(words: list[str], *more: str, env: Mapping[str, str] | None = None, seconds: float = 600.0,
              stall: float = 600.0, patience: float = _PATIENCE) -> Said:
    """Runs restic; waits while a living process, or another machine, holds the repository.

    A lock whose process died on this very machine is taken away with `restic unlock`, which judges once more for itself.
    `unlock --remove-all` is never used: it would also end the protection of whoever is at work.
    """
    deadline, unlocked = time.monotonic() + patience, False
    while True:
        said = run([*words, *more], env=env, seconds=seconds, stall=stall)
        if said.code == 0 or kind_of(said.code, said.trouble) != "locked":
            return said
        lock = lock_of(said.trouble)
        if lock is not None and lock.dead and not unlocked:
            unlocked = True
            print(f"taking away the lock of process {lock.pid}, which is dead", file=sys.stderr)
            run([*words, "unlock"], env=env)
        elif time.monotonic() + _PAUSE > deadline:
            return said
        else:
            time.sleep(_PAUSE)


def swapped(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which the source of a copy is the repository itself."""
    made = {name: value for name, value in env.items() if name not in ("RESTIC_REPOSITORY_FILE", "RESTIC_REPOSITORY")}
    for name in ("RESTIC_PASSWORD_FILE", "RESTIC_REPOSITORY_FILE"):
        source = name.replace("RESTIC_", "RESTIC_FROM_")
        if source in env:
            made[name] = env[source]
    return made
