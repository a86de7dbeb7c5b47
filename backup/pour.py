"""Pours a stored dump into a program: `restic dump` on one side, its standard input on the other, the hash between.

restic 0.14 leaves with 0 and no output when a tree is damaged; so what counts is the length and the SHA-256 that were
noted when the dump was made, the ledger's before the note's.
"""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from backup.copies import Copy
from backup.restic import Repository
from backup.source import Pour, read_note
from ops import TIMED_OUT, Context, Result

_KEPT = 64 << 10
_LAST_SECONDS = 3600.0
NOT_WHOLE = -1
"""`feed_code` of a dump that did not come out as it was noted."""


def pour_of(ctx: Context, repository: Repository, copy: Copy, stage: Path) -> Pour:
    """`Restored.pour` for a copy: stage is the restored stage folder with the notes."""

    def pour(name: str, argv: tuple[str, ...], *, env: Mapping[str, str] | None = None,
             timeout: float = _LAST_SECONDS) -> Result:
        snapshot = copy.streams.get(name, "")
        try:
            note = read_note(stage / f"{name}.note.json")
            file, size, digest = str(note["file"]), int(note["bytes"]), str(note["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Result(0, b"", f"note of {name}: {error}".encode(), 0.0, NOT_WHOLE)
        told: Any = next((answer for answer in copy.answers if answer.get("stream") == name), {})
        if not snapshot or told.get("sha256", digest) != digest:
            return Result(0, b"", f"{name}: the ledger knows no such dump (sổ bằng chứng không ghi bản này)".encode(), 0.0,
                          NOT_WHOLE)
        drain = Drain(argv, env or {}, timeout)
        try:
            fed = repository.run(ctx, "dump", "--no-lock", snapshot, file, timeout=timeout, sink=drain.take)
        except BaseException:
            drain.kill()
            raise
        fault = ""
        if fed.code != 0:
            fault = f"restic: {fed.trouble or fed.code}"
        elif (drain.bytes, drain.sha256) != (size, digest):
            fault = (f"{drain.bytes} byte, noted {size}" if drain.bytes != size else "SHA-256 differs from the note's")
        return drain.result(fed.code or NOT_WHOLE if fault else 0, fault)

    return pour


class Drain:
    """A program that takes the dump; what it says is kept up to a cap. It never gets the end of a dump that is not
    whole: then it is ended before its input is.
    """

    def __init__(self, argv: tuple[str, ...], env: Mapping[str, str], timeout: float) -> None:
        small = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        self._digest = hashlib.sha256()
        self._deaf = False
        self.bytes = 0
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**small, **env}, cwd="/", start_new_session=True)
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self._into = self.process.stdin.fileno()
        os.set_blocking(self._into, False)
        self._ears = [Ear(self.process.stdout), Ear(self.process.stderr)]

    @property
    def sha256(self) -> str:
        """The hash of all that came by."""
        return self._digest.hexdigest()

    def take(self, chunk: bytes) -> None:
        """Hashes, and hands on while the program listens; a dump is read to its end even when nobody does."""
        self._digest.update(chunk)
        self.bytes += len(chunk)
        left = memoryview(chunk)
        while left and not self._deaf:
            if not select.select([], [self._into], [], max(0.0, self._deadline - time.monotonic()))[1]:
                self._deaf = True
                self._end()
                return
            try:
                left = left[os.write(self._into, left):]
            except BlockingIOError:
                continue
            except OSError:
                self._deaf = True

    def result(self, feed_code: int, fault: str) -> Result:
        """What the program said, once it has its whole input (or was ended for want of it)."""
        code = 0
        if feed_code:
            self._end()
        self._close()
        try:
            code = self.process.wait(max(1.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._end()
            code = TIMED_OUT
        if not feed_code and time.monotonic() > self._deadline:
            code = TIMED_OUT
        out, err = (ear.heard() for ear in self._ears)
        said = fault.encode() or err
        return Result(code, out, said, time.monotonic() - self._started, feed_code)

    def kill(self) -> None:
        """Ends the program and forgets it."""
        self._end()
        self._close()
        for ear in self._ears:
            ear.heard()

    def _end(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, 9)
        self.process.wait(30)

    def _close(self) -> None:
        assert self.process.stdin
        with suppress(OSError):
            self.process.stdin.close()


class Ear:
    """Listens to one output of a program, keeping its last bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while chunk := os.read(self._stream.fileno(), 1 << 16):
            self._kept = (self._kept + chunk)[-_KEPT:]

    def heard(self) -> bytes:
        """What it said; waits until the output has ended."""
        self._thread.join(30)
        if not self._thread.is_alive():
            self._stream.close()
        return self._kept


__all__ = ["NOT_WHOLE", "Drain", "pour_of"]
