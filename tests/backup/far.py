"""A second machine for backup tests: a real sshd on [::1], rooms that know it, and a way that can be cut."""

from __future__ import annotations

import shutil
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ops.duty import Context
from ops.model import Host
from tests.accounts.servers import Sshd
from tests.backup.room import Room


@dataclass
class FarRoom(Room):
    """A room whose configuration knows more machines. `far`: name -> Host; keys are `file:` references."""

    far: dict[str, Host] = field(default_factory=dict)

    def ctx(self, *subjects: str) -> Context:
        return replace(super().ctx(*subjects), hosts={"here": Host("here"), **self.far})


def take_key(sshd: Sshd, folder: Path) -> str:
    """The client's key as a secret file of the room; gives its reference."""
    folder.mkdir(exist_ok=True)
    shutil.copy(sshd.folder / "client", folder / "khoa")
    (folder / "khoa").chmod(0o600)
    return f"file:{folder / 'khoa'}"


class Way:
    """A TCP way on [::1] to another port. `limit`: bytes from the far side before it is cut; `silent`: takes all, gives
    nothing."""

    def __init__(self, port: int, *, limit: int | None = None, silent: bool = False) -> None:
        self.target, self.limit, self.silent = port, limit, silent
        self.listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.port = int(self.listener.getsockname()[1])
        self.given = 0
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.open.append(near)
                if self.silent:
                    continue
                far = socket.create_connection(("::1", self.target), 5)
                self.open.append(far)
                threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                if counted and self.limit is not None:
                    self.given += len(data)
                    if self.given > self.limit:
                        break
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the way and what goes over it."""
        for end in (self.listener, *self.open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
