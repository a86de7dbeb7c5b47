"""Runs commands: argv is a tuple from birth to death, secrets go by descriptor, output is bounded, nothing hangs for ever.

`Runner` is the one shape; `Here` runs on this machine, `ops.remote.Remote` over SSH. Both keep these promises:

1. no shell; 2. a fresh small environment (PATH, HOME, LC_ALL=C.UTF-8, TZ=UTC and what the command names);
3. standard input is the given bytes or empty; 4. a time limit, after which the whole process group is ended;
5. output beyond the cap is cut and said so; 6. an unknown exit code is for the caller to judge, never hidden.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ops.errors import MissingTool
from ops.model import NOTHING, Text, say
from ops.secrets import Secret

CAP = 64 << 20
TIMED_OUT = -1001
"""Exit code of a command that was ended for its time limit (no real process can have it)."""
STOPPED = -1002
"""Exit code of a command that was ended because gaccong itself was told to stop."""

OnLine = Callable[[str], None]
Sink = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    stdin:   bytes for standard input.
    feed:    an argv whose standard output becomes standard input (instead of `stdin`).
    env:     names and values added to the small environment; no secrets.
    secrets: name -> Secret; the variable will hold a path from which the secret can be read.
    timeout: seconds; cap: bytes kept of each output stream.
    sink:    takes standard output as it comes, byte for byte, instead of keeping it (a database dump); it may raise.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    feed: tuple[str, ...] = ()
    env: Mapping[str, str] = NOTHING
    secrets: Mapping[str, Secret] = NOTHING
    cwd: Path | None = None
    timeout: float = 60.0
    cap: int = CAP
    sink: Sink | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a command said. `code` is its exit code, negative for a signal, TIMED_OUT past the limit.

    feed_code is the feeding command's exit code (0 without one): both must be right for success.
    """

    code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    feed_code: int = 0
    cut: bool = False

    @property
    def ok(self) -> bool:
        """Exit code 0 of both command and feed, nothing cut."""
        return self.code == 0 and self.feed_code == 0 and not self.cut

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are no UTF-8 are shown as \\xNN."""
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def trouble(self) -> str:
        """The last 25 lines of standard error (or output), so that a failure is never mute."""
        said = (self.stderr.strip() or self.stdout.strip()).decode("utf-8", "backslashreplace")
        return "\n".join(said.splitlines()[-25:])


class Runner(Protocol):
    """Runs commands somewhere."""

    def run(self, command: Command, on_line: OnLine | None = None) -> Result:
        """Runs to the end or the limit. `on_line` sees each line of standard output as it comes."""

    def read(self, path: str, cap: int = CAP) -> bytes:
        """A file's bytes. Raises OSError as open() would."""


def python(module: str, *args: str) -> tuple[str, ...]:
    """argv that runs one of our own modules, isolated from the current folder: (python, -I, -m, module, args...)."""
    return (sys.executable, "-I", "-m", module, *args)


def need(tool: str, mend: Text | None = None) -> str:
    """The path of an outside program, or MissingTool with what to install."""
    found = shutil.which(tool, path=_path())
    if found is None:
        raise MissingTool(
            say("thiếu chương trình {tool} trên máy này", "program {tool} is missing on this machine", tool=tool),
            mend or say("apt-get install {tool}", "apt-get install {tool}", tool=tool),
        )
    return found


def _path() -> str:
    """PATH with the system's folders; relative entries, which would mean the current folder, are left out."""
    ours = [entry for entry in os.environ.get("PATH", "").split(":") if entry.startswith("/")]
    return ":".join([*ours, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"])


def _environment(command: Command) -> dict[str, str]:
    kept = {"PATH": _path(), "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return {**kept, **command.env}


class Here:
    """Runs on this machine.

    stop: once it is set, running commands are ended within a second.
    keep: descriptors that every command inherits (a lock that must live as long as the work).
    """

    def __init__(self, stop: threading.Event | None = None, keep: tuple[int, ...] = ()) -> None:
        self._stop = stop
        self._keep = keep

    def read(self, path: str, cap: int = CAP) -> bytes:
        """A local file's bytes, at most `cap`."""
        with Path(path).open("rb") as stream:
            return stream.read(cap)

    def run(self, command: Command, on_line: OnLine | None = None) -> Result:
        """Runs a command here. A program that does not exist is MissingTool."""
        need(command.argv[0])
        started = time.monotonic()
        descriptors: list[int] = []
        environment = _environment(command)
        try:
            for name, secret in command.secrets.items():
                descriptor = _secret_descriptor(secret)
                descriptors.append(descriptor)
                environment[name] = f"/dev/fd/{descriptor}"
            feed = self._start_feed(command, environment, descriptors)
            try:
                main = subprocess.Popen(
                    command.argv,
                    stdin=feed.stdout if feed else subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment,
                    cwd=command.cwd,
                    pass_fds=(*descriptors, *self._keep),
                    start_new_session=True,
                )
            except BaseException:
                if feed:
                    _end(feed)
                raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if feed and feed.stdout:
            feed.stdout.close()
        return _collect(main, feed, command, started, on_line, self._stop)

    @staticmethod
    def _start_feed(
        command: Command, environment: dict[str, str], descriptors: list[int]
    ) -> subprocess.Popen[bytes] | None:
        if not command.feed:
            return None
        need(command.feed[0])
        return subprocess.Popen(
            command.feed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=command.cwd,
            start_new_session=True,
        )


def _secret_descriptor(secret: Secret) -> int:
    """An anonymous memory file that holds the secret: no disk, no environment, no argv. ssh, libpq and MariaDB's
    programs refuse a file that others may read: it is 0600 as well.
    """
    descriptor = os.memfd_create("secret", os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, secret.reveal())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT, a moment, then SIGKILL, to the whole group; restic takes its lock away on SIGINT.

    SIGKILL comes in any case: a shell's background child ignores SIGINT and would outlive its parent.
    """
    for kind, wait in ((signal.SIGINT, 5.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait)


class _Stream:
    """One output stream, kept up to the cap, handed on line by line."""

    def __init__(self, cap: int, on_line: OnLine | None, sink: Sink | None = None) -> None:
        self._sink = sink
        self.data = bytearray()
        self.cut = False
        self._cap = cap
        self._on_line = on_line
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        if self._sink:
            self._sink(chunk)
            return
        room = self._cap - len(self.data)
        self.data += chunk[:room]
        self.cut = self.cut or len(chunk) > room
        if self._on_line:
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._rest = self._rest[-65536:]
            for line in lines:
                self._on_line(line.decode("utf-8", "backslashreplace"))


def _collect(
    main: subprocess.Popen[bytes],
    feed: subprocess.Popen[bytes] | None,
    command: Command,
    started: float,
    on_line: OnLine | None,
    stop: threading.Event | None,
) -> Result:
    """Reads both outputs while writing stdin (one after the other would deadlock), until end or limit."""
    out, err = _Stream(command.cap, on_line, command.sink), _Stream(command.cap, None)
    deadline = started + command.timeout
    pending = memoryview(command.stdin)
    ended = 0
    try:
        with selectors.DefaultSelector() as selector:
            for stream, keeper in ((main.stdout, out), (main.stderr, err)):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, keeper)
            if main.stdin:
                selector.register(main.stdin, selectors.EVENT_WRITE, None)
                os.set_blocking(main.stdin.fileno(), False)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0 or (stop is not None and stop.is_set()):
                    ended = TIMED_OUT if left <= 0 else STOPPED
                    break
                for key, _ in selector.select(min(left, 1.0)):
                    if key.data is None:
                        pending = _write_some(selector, key, pending)
                        continue
                    chunk = os.read(key.fd, 1 << 16)
                    if chunk:
                        key.data.take(chunk)
                    else:
                        selector.unregister(key.fileobj)
        if not ended:
            try:
                main.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                ended = TIMED_OUT
    finally:
        if main.poll() is None:
            _end(main)
        feed_code = _finish_feed(feed)
        for stream in (main.stdout, main.stderr, main.stdin):
            if stream:
                with suppress(OSError):
                    stream.close()
    code = ended or main.returncode
    return Result(code, bytes(out.data), bytes(err.data), time.monotonic() - started, feed_code, out.cut or err.cut)


def _write_some(selector: selectors.BaseSelector, key: selectors.SelectorKey, pending: memoryview) -> memoryview:
    done = not pending
    if pending:
        try:
            pending = pending[os.write(key.fd, pending[: 1 << 16]) :]
        except BlockingIOError:
            return pending
        except BrokenPipeError:
            done = True
    if done:
        selector.unregister(key.fileobj)
        with suppress(OSError):
            key.fileobj.close()  # type: ignore[union-attr]
    return pending


def _finish_feed(feed: subprocess.Popen[bytes] | None) -> int:
    if feed is None:
        return 0
    try:
        return feed.wait(5)
    except subprocess.TimeoutExpired:
        _end(feed)
        return TIMED_OUT
