"""A machine with a real systemd as process 1: a container over an overlay of this very machine, gone when it ends.

What is installed here is in it, at the same paths; what it writes goes into a tmpfs. Needs root and systemd-nspawn.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT

TARGET = "[Unit]\nRequires=basic.target dbus.service\nAfter=basic.target dbus.service\nAllowIsolate=yes\n"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str:
    """What a machine lacks here, or ""."""
    if os.geteuid() != 0:
        return "not root"
    return "" if shutil.which("systemd-nspawn", path=PATH) else "no systemd-nspawn (apt-get install systemd-container)"


class Machine:
    """`root` is its file system seen from outside. Use `ask` for a command inside."""

    def __init__(self, place: Path, prepare: Callable[[Path], None]) -> None:
        self.place = place
        self.root = place / "m"
        self.leader = 0
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g,mode=755", "machine", str(place)], check=True, timeout=20)
        for name in ("u", "w", "m"):
            (place / name).mkdir()
        options = f"lowerdir=/,upperdir={place}/u,workdir={place}/w"
        subprocess.run(["mount", "-t", "overlay", "machine", "-o", options, str(self.root)], check=True, timeout=20)
        (self.root / "etc/systemd/system/lab.target").write_text(TARGET)
        self.nspawn: subprocess.Popen[bytes] | None = None
        try:
            prepare(self.root)
            self._start()
        except BaseException:
            self.end()
            raise

    def _start(self) -> None:
        with (self.place / "console").open("wb") as console:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "-D", str(self.root),
                 f"--machine=gc{os.getpid()}", "--private-network", f"--bind-ro={ROOT}", "-b", "systemd.unit=lab.target"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True)
        wait(self._up, 30, self._said)

    def _said(self) -> str:
        return (self.place / "console").read_text(errors="replace")[-2000:]

    def _up(self) -> bool:
        assert self.nspawn is not None and self.nspawn.poll() is None, self._said()
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        found = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"]
        if not found:
            return False
        self.leader = found[0]
        return self.ask("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def ask(self, *argv: str, check: bool = True, wait_seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a command inside, as root, and gives what it said."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", *argv],
            capture_output=True, text=True, timeout=wait_seconds, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"})
        assert not check or done.returncode == 0, (argv, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.ask("systemctl", "show", unit, "-p", ",".join(names)).stdout
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def end(self) -> None:
        """Powers off, and leaves nothing behind."""
        if self.nspawn is not None:
            try:
                if self.leader and self.nspawn.poll() is None:
                    self.ask("systemctl", "poweroff", check=False, wait_seconds=20)
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait(20)
        for folder in (self.root, self.place):
            subprocess.run(["umount", str(folder)], check=True, timeout=20)
        self.place.rmdir()


def wait(true: Callable[[], bool], seconds: float, told: Callable[[], object] = lambda: "") -> None:
    """Until it is so; an AssertionError with what `told` says after some seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, told()
        time.sleep(0.1)
