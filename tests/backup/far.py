"""A second machine for backup tests: a real sshd on [::1], rooms that know it, and a way that can be cut."""

from __future__ import annotations

import select
import shutil
import socket
import struct
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
    """A TCP way on [::1] to another port. `limit`: bytes from the far side before it is cut; `abrupt`: by a reset instead
    of an end; `silent`: takes all, gives nothing.

    One thread carries both directions of a connection, so that both are cut in the same moment.
    """

    def __init__(self, port: int, *, limit: int | None = None, abrupt: bool = False, silent: bool = False) -> None:
        self.target, self.limit, self.abrupt, self.silent = port, limit, abrupt, silent
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
                if not self.silent:
                    threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("::1", self.target), 60) as far:
            self.open.append(far)
            far.settimeout(None)
            while True:
                for one in select.select([near, far], [], [])[0]:
                    data = one.recv(1 << 16)
                    self.given += len(data) if one is far else 0
                    if not data or (self.limit is not None and self.given > self.limit):
                        if data and self.abrupt:
                            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    (near if one is far else far).sendall(data)

    def close(self) -> None:
        """Ends the way and what goes over it."""
        for end in (self.listener, *self.open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
