"""restic taking in a dump, so that only a dump which was declared whole can ever become a snapshot.

Two ways, chosen by the version that runs. 0.17 and newer: restic starts `backup.servers.relay` as its command and
saves nothing unless that exits 0, which needs our verdict. Older: restic reads a socket of which it holds both ends, so
that our death is no end of input; the end comes only by `shutdown`, and restic dies with us (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from typing import Any, Protocol

from backup.found import handed_on
from backup.restic import Version, can
from ops import python

_SET_PDEATHSIG = 1
_PATIENCE = 15.0


class IntakeBroken(Exception):
    """restic no longer takes the dump: it has ended, and its words tell why."""


class Intake(Protocol):
    """A restic that is waiting for a dump."""

    def give(self, chunk: bytes) -> None:
        """Hands on some bytes. Raises IntakeBroken."""

    def accept(self, count: int) -> None:
        """The dump is whole, `count` bytes: restic may save it."""

    def refuse(self) -> None:
        """The dump is not whole: restic ends without saving. Safe to call at any time, also twice."""

    def end(self) -> tuple[int, dict[str, Any], str]:
        """(exit code, restic's summary or {}, its standard error), after `accept` or `refuse`."""


def version_of(program: str) -> Version:
    """The version that `program` tells of itself; (0, 0, 0) when it tells none. Raises OSError."""
    told = subprocess.run([program, "version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    found = re.search(r"restic (\d+)\.(\d+)(?:\.(\d+))?", told.stdout)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def open_intake(words: list[str], options: list[str], version: Version) -> Intake:
    """Starts restic. words: its argv up to the command; options: of `backup`."""
    kind = Relayed if can("stdin_from_command", version) else Held
    return kind([*words, "backup", "--json", *options])


def _environment() -> dict[str, str]:
    """Ours without the source's password, which is none of restic's business."""
    return {name: value for name, value in os.environ.items() if name != PASSWORD}


def _secrets() -> list[int]:
    ours = os.environ.get(PASSWORD, "").removeprefix("/dev/fd/")
    return [number for number in handed_on() if str(number) != ours]


PASSWORD = "GACCONG_SOURCE_PASSWORD"  # noqa: S105 - the name of a variable that holds the path of a descriptor
"""The variable of `backup.stream` that names the descriptor with the database's password."""


class _Restic:
    """The process, with its words kept in memory."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes]
        self._said = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("out", "err")]
        self._told: tuple[int, dict[str, Any], str] | None = None

    def end(self) -> tuple[int, dict[str, Any], str]:
        """See Intake."""
        if self._told is None:
            code = self.process.wait()
            out, err = (_all(number).decode("utf-8", "backslashreplace") for number in self._said)
            self._told = (code, _summary(out), err)
            for number in self._said:
                os.close(number)
        return self._told

    def _watch(self) -> None:
        """Sends us SIGUSR1 when restic ends: a dump that is waiting for something would not notice for long."""
        watched, we = os.pidfd_open(self.process.pid), os.getpid()

        def wait() -> None:
            select.select([watched], [], [])
            os.close(watched)
            os.kill(we, signal.SIGUSR1)

        threading.Thread(target=wait, daemon=True).start()

    def _stop(self) -> None:
        """SIGINT, on which restic takes its lock away, then SIGKILL."""
        for kind in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                self.process.send_signal(kind)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_PATIENCE)
                return


class Relayed(_Restic):
    """restic 0.17 and newer: --stdin-from-command."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        data, self._data = os.pipe()
        verdict, self._verdict = os.pipe()
        relay = python("backup.servers.relay", str(data), str(verdict))
        try:
            self.process = subprocess.Popen(
                [*words, "--stdin-from-command", "--", *relay], stdin=subprocess.DEVNULL, stdout=self._said[0],
                stderr=self._said[1], pass_fds=[data, verdict, *_secrets()], env=_environment())
        finally:
            os.close(data)
            os.close(verdict)
        self._watch()

    def give(self, chunk: bytes) -> None:
        """See Intake."""
        left = memoryview(chunk)
        try:
            while left:
                left = left[os.write(self._data, left):]
        except OSError as error:
            raise IntakeBroken(str(error)) from None

    def accept(self, count: int) -> None:
        """See Intake."""
        with suppress(BrokenPipeError):
            os.write(self._verdict, b"%d\n" % count)
        self._close()

    def refuse(self) -> None:
        """See Intake. The relay finds no verdict and fails; restic then saves nothing and takes its lock away."""
        self._close()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._stop()

    def _close(self) -> None:
        for name in ("_data", "_verdict"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)


class Held(_Restic):
    """restic before 0.17: --stdin, from a socket that only we can end."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self._ours, theirs = socket.socketpair()
        libc, we = ctypes.CDLL(None, use_errno=True), os.getpid()

        def die_with_us() -> None:  # in the child, before exec: two system calls and nothing else
            libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != we:
                os._exit(1)

        # restic inherits our end as well: when we die its input does not end, it only goes quiet
        with theirs:
            self.process = subprocess.Popen(
                [*words, "--stdin"], stdin=theirs.fileno(), stdout=self._said[0], stderr=self._said[1],
                pass_fds=[self._ours.fileno(), *_secrets()], env=_environment(),
                preexec_fn=die_with_us)
        self._watch()

    def give(self, chunk: bytes) -> None:
        """See Intake."""
        try:
            self._ours.sendall(chunk)
        except OSError as error:
            raise IntakeBroken(str(error)) from None

    def accept(self, count: int) -> None:
        """See Intake."""
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_WR)

    def refuse(self) -> None:
        """See Intake. restic is ended before its input is."""
        if self.process.poll() is None:
            self._stop()
        self._ours.close()


def _all(number: int) -> bytes:
    os.lseek(number, 0, os.SEEK_SET)
    found = b""
    while part := os.read(number, 1 << 20):
        found += part
    return found


def _summary(out: str) -> dict[str, Any]:
    for line in reversed(out.splitlines()):
        with suppress(ValueError):
            body = json.loads(line)
            if isinstance(body, dict) and body.get("message_type") == "summary":
                return body
    return {}
