"""A real sshd on loopback, for the runner over SSH and for the SSH door of accounts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from ops.model import Host


def free_port(family: socket.AddressFamily = socket.AF_INET6) -> int:
    """A port that nobody has now."""
    with socket.socket(family) as stream:
        stream.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return int(stream.getsockname()[1])


def make_key(path: Path) -> str:
    """A new Ed25519 key at `path`; gives its public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True, timeout=20)
    return path.with_suffix(".pub").read_text().strip()


class Sshd:
    """sshd on [::1] for root, with one host key and one authorized key."""

    def __init__(self, folder: Path, *options: str, keys: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.host_key = make_key(folder / "host")
        self.client_key = make_key(folder / "client")
        (folder / "auth").write_text(keys or self.client_key + "\n")
        (folder / "known_hosts").write_text(f"[::1]:{self.port} {self.host_key}\n")
        Path("/run/sshd").mkdir(exist_ok=True)
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", str(folder / "host"), "-p", str(self.port),
             "-o", "ListenAddress=::1", "-o", f"AuthorizedKeysFile={folder / 'auth'}", "-o", "PidFile=none",
             "-o", "UsePAM=no", "-o", "StrictModes=no", "-o", "PasswordAuthentication=no",
             *(options or ("-o", "Subsystem=sftp internal-sftp"))],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(500):
            try:
                with socket.create_connection(("::1", self.port), 1) as stream:
                    if stream.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def host(self, name: str = "far", **changes: object) -> Host:
        """The `Host` value that reaches it rightly, with changes."""
        values: dict[str, object] = {
            "address": "::1", "port": self.port, "user": "root", "key": f"file:{self.folder / 'client'}",
            "known_hosts": self.folder / "known_hosts", **changes,
        }
        return Host(name, **values)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Ends it and its sessions."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(10)
        self.log.close()
