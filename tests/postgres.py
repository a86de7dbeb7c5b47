"""A real private PostgreSQL for tests: its own folder, a Unix socket, no port; ended by its process number."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BIN = Path("/usr/lib/postgresql/15/bin")
SECONDS = float(os.environ.get("LAB_TIMEOUT", "30"))


def lacking(reason: str) -> None:
    """Skips with a reason; on CI, where everything is there, fails instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Postgres:
    """A running server. `url(name)` makes a fresh database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def url(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        import psycopg

        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(f"host={self.folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"


@contextmanager
def running() -> Iterator[Postgres]:
    """Starts a server (as nobody when we are root, for it refuses root) and stops it at the end."""
    if not (BIN / "initdb").exists():
        lacking(f"PostgreSQL 15 is not in {BIN}")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    who = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if who:
        shutil.chown(folder, "nobody", "nogroup")
    log = (folder / "log").open("w+")
    try:
        argv = [BIN / "initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres", "--no-sync", "--locale=C.UTF-8"]
        subprocess.run(argv, check=True, stdout=log, stderr=log, cwd="/", timeout=120, **who)
        server = subprocess.Popen(
            [
                BIN / "postgres",
                "-D",
                folder / "data",
                "-c",
                "listen_addresses=",
                "-k",
                folder,
                "-c",
                "fsync=off",
                "-c",
                "shared_buffers=16MB",
                "-c",
                "max_connections=40",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            **who,
        )
        try:
            _wait(server, folder, log)
            yield Postgres(folder)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)
    finally:
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], folder: Path, log: object) -> None:
    import psycopg

    deadline = time.monotonic() + SECONDS
    while True:
        try:
            psycopg.connect(f"host={folder} user=postgres dbname=postgres").close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)
