"""A closed room for a scratch server: its own folder, no network, no rights, ended and removed for certain.

A dump is its owner's: what loads it may do nothing but load. As root, programs of the room run as nobody, in a mount
namespace that shows the room as /tmp (so the private folders above it stay private) and in a network namespace
without any network. Where the machine allows no namespaces the room is a folder of nobody's below /var/tmp.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from backup.hold import NOBODY, can_drop, remove
from ops import CannotSee, Text, say

_SOCKET_ROOM = 80
_START_SECONDS = 60.0
_PLAIN = ("setpriv", "--no-new-privs", "--pdeathsig", "KILL", "--")
_DROPPED = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--pdeathsig", "KILL",
            "--")
_APART = ("unshare", "--mount", "--net", "--ipc", "--propagation", "private", "--")
_BIND = 'ulimit -c 0; mount --bind "$0" /tmp && exec "$@"'


class Room:
    """`folder`: as we see it. `inside`: as programs of the room see it. Use as a context manager."""

    def __init__(self, scratch: Path, name: str) -> None:
        self._held: list[subprocess.Popen[bytes]] = []
        self._link: Path | None = None
        self._drops = can_drop()
        apart = self._drops and _quiet((*_APART, "true"))
        if self._drops and not apart:
            self.folder = Path(tempfile.mkdtemp(prefix=f"gaccong-{name}-", dir="/var/tmp"))
        else:
            self.folder = scratch / f"server-{name}"
            self.folder.mkdir(mode=0o700)
        self.inside = Path("/tmp") if apart else self.folder  # noqa: S108 - the room itself, see _BIND
        prefix = (*_APART, "sh", "-c", _BIND, str(self.folder)) if apart else ()
        self._prefix = (*prefix, *(_DROPPED if self._drops else _PLAIN))
        if not apart and len(str(self.inside)) > _SOCKET_ROOM:  # a socket's path has 107 letters at most
            self._link = Path(tempfile.mkdtemp(prefix="gaccong-")) / "r"
            self._link.symlink_to(self.folder)
            self.inside = self._link
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.inside),
                    "TMPDIR": str(self.inside / "tmp"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        for sub in ("tmp", "files"):
            (self.folder / sub).mkdir(mode=0o700)
        if self._drops:
            for path in (self.folder, self.folder / "tmp", self.folder / "files"):
                os.chown(path, NOBODY, NOBODY)

    @property
    def root(self) -> bool:
        """True when programs of the room still count as root (in a user namespace with nobody else)."""
        return os.geteuid() == 0 and not self._drops

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wrap(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """argv that runs a program in the room."""
        return (*self._prefix, *argv)

    def run(self, argv: tuple[str, ...], *, stdin: bytes = b"", timeout: float = 120.0) -> subprocess.CompletedProcess[bytes]:
        """Runs a program in the room to its end. Raises CannotSee when it takes too long."""
        try:
            return subprocess.run(self.wrap(argv), input=stdin, capture_output=True, env=self.env, cwd="/", timeout=timeout,
                                  check=False, start_new_session=True)
        except subprocess.TimeoutExpired:
            raise CannotSee(_slow(Path(argv[0]).name)) from None

    def serve(self, argv: tuple[str, ...], answers: Callable[[], bool]) -> None:
        """Starts a server and waits until it answers. Raises CannotSee with the end of its log."""
        log = self.folder / "log"
        with log.open("wb") as stream:
            server = subprocess.Popen(self.wrap(argv), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=self.env,
                                      cwd="/", start_new_session=True)
        self._held.append(server)
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if server.poll() is not None or time.monotonic() > deadline:
                said = log.read_bytes()[-800:].decode("utf-8", "replace").strip()
                raise CannotSee(say("máy chủ diễn tập không khởi động được: {e}", "the scratch server does not start: {e}",
                                    e=said or server.poll()))
            time.sleep(0.05)

    def close(self) -> None:
        """Ends every server, with its children, and removes the room."""
        for server in self._held:
            with suppress(ProcessLookupError):
                server.send_signal(3)  # PostgreSQL ends its children on SIGQUIT; they are in groups of their own
            with suppress(subprocess.TimeoutExpired):
                server.wait(2)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, 9)
            server.wait(30)
        if self._link:
            self._link.unlink()
            self._link.parent.rmdir()
        held = os.open(self.folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove(held, self.folder.name)
        finally:
            os.close(held)


def _quiet(argv: tuple[str, ...]) -> bool:
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _slow(name: str) -> Text:
    return say("{n} của máy chủ diễn tập không xong trong thời hạn", "{n} of the scratch server did not end in time", n=name)
