"""The machine itself: units, programs, ports, clock, updates, the pace at which a disk fills."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from monitoring import notes
from monitoring.checks import clock as clock_check
from monitoring.checks.disk import days_to_full, disk, remember
from monitoring.checks.load import swap
from monitoring.checks.ports import judge, listening, ports
from monitoring.checks.services import services, unit
from monitoring.checks.updates import packages, reboot, updates
from monitoring.clock import Kernel, kernel, offset
from monitoring.sections.host import Machine
from monitoring.settings import Settings
from ops import CannotSee, Verdict
from tests.kit import NOW, make_context, make_site

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN


def run(check: Any, tmp: Path, *, now: Any = NOW, disks: tuple[str, ...] = ("/",), **host: Any) -> dict[str, Any]:
    settings = Settings(host=Machine(**host), disks=disks)
    return {one.subject: one for one in check.function(make_site(), make_context(tmp, settings, now=now))}


def test_a_program_that_runs_and_one_that_does_not(tmp_path: Path) -> None:
    name = "gaccong-ngu"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / name)
    process = subprocess.Popen([tmp_path / name, "60"])
    try:
        for _ in range(100):
            found = run(services, tmp_path, processes=(name, "khong-he-co"))
            if found[name].verdict is MET:
                break
            time.sleep(0.02)
        assert found[name].measures == {"processes": 1.0}
        assert found["khong-he-co"].verdict is BROKEN and found["khong-he-co"].next == "pgrep -a khong-he-co"
        process.kill()  # a zombie until it is waited for: it does no work
        for _ in range(100):
            if run(services, tmp_path, processes=(name,))[name].verdict is BROKEN:
                break
            time.sleep(0.02)
        assert run(services, tmp_path, processes=(name,))[name].verdict is BROKEN
    finally:
        process.kill()
        process.wait(5)


def systemctl(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemctl of this name that prints what a real one printed (systemd 252)."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def test_units_as_systemd_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ("Id=nginx.service\nLoadState=loaded\nActiveState=active\nResult=success\n\n"
            "Id=php.service\nLoadState=loaded\nActiveState=failed\nResult=oom-kill\n\n"
            "Id=khong.service\nLoadState=not-found\nActiveState=inactive\nResult=success\n")
    systemctl(tmp_path, f"printf '{said}'", monkeypatch)
    found = run(services, tmp_path, services=("nginx.service", "php.service", "khong.service"))
    assert [found[name].verdict for name in ("nginx.service", "php.service", "khong.service")] == [MET, BROKEN, BROKEN]
    assert "oom-kill" in found["php.service"].detail.vi and "journalctl" in found["php.service"].next
    assert found["khong.service"].facts["state"] == "not-found"
    assert unit("a.service", "activating", "").verdict is RISK


def test_units_that_failed_are_told_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl(tmp_path, "printf 'cron.service loaded failed failed Regular background\\n'", monkeypatch)
    found = run(services, tmp_path)["all"]
    assert found.verdict is RISK and found.facts["units"] == ["cron.service"] and found.measures["failed_units"] == 1
    systemctl(tmp_path, "exit 0", monkeypatch)
    assert run(services, tmp_path)["all"].verdict is MET


def test_without_systemd_nothing_is_accused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl(tmp_path, "echo 'System has not been booted with systemd as init system (PID 1).' >&2; exit 1", monkeypatch)
    with pytest.raises(CannotSee) as caught:
        run(services, tmp_path, services=("nginx.service",))
    assert "processes" in caught.value.explain("vi")


def test_a_port_that_opens_later_is_told(tmp_path: Path) -> None:
    first = run(ports, tmp_path)["open"]
    assert first.verdict is MET and "20/11/2026" in first.detail.vi
    with socket.create_server(("0.0.0.0", 0)) as door:
        port = door.getsockname()[1]
        found = run(ports, tmp_path, now=NOW + timedelta(days=1))["open"]
        assert found.verdict is RISK and f"tcp/{port}" in found.facts["unexpected"]
        assert found.next == f"ss -tlnp 'sport = :{port}'" and "python" in found.detail.vi
        listed = tuple({*listening()})
        assert run(ports, tmp_path, ports=listed)["open"].verdict is MET
        assert run(ports, tmp_path, ports=())["open"].verdict is RISK
    assert run(ports, tmp_path)["open"].verdict is MET


def test_what_listens_on_loopback_alone_is_no_door() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("::1", 0), family=socket.AF_INET6) as two:
        found = listening()
        assert not {f"tcp/{one.getsockname()[1]}", f"tcp/{two.getsockname()[1]}"} & set(found)
    assert judge({"udp/123": "ntpd"}, ["udp/123"], "").verdict is MET


class TimeServer:
    """Answers SNTP with the time of here plus `ahead` seconds; `forge` changes the answer's bytes."""

    def __init__(self, ahead: float, forge: Any = None) -> None:
        self.ahead, self.forge = ahead, forge
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.text = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            question, place = self.socket.recvfrom(512)
            if question == b"end":
                return
            now = struct.pack("!II", int(time.time() + self.ahead + 2208988800), int((time.time() + self.ahead) % 1 * 2**32))
            answer = b"\x24\x02\x00\x00" + bytes(20) + question[40:48] + now + now
            self.socket.sendto(self.forge(answer) if self.forge else answer, place)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"end", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()


@contextmanager
def time_server(ahead: float, forge: Any = None) -> Iterator[str]:
    server = TimeServer(ahead, forge)
    try:
        yield server.text
    finally:
        server.close()


@pytest.mark.parametrize(("ahead", "verdict"), [(0.0, MET), (5.0, RISK), (-5.0, RISK), (3600.0, BROKEN)])
def test_the_clock_is_measured(tmp_path: Path, ahead: float, verdict: Verdict) -> None:
    with time_server(ahead) as server:
        found = run(clock_check.clock, tmp_path, ntp=(server,))["clock"]
    assert found.verdict is verdict
    assert found.measures["offset_seconds"] == pytest.approx(-ahead, abs=0.5)


def test_a_forged_or_silent_time_server_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.clock.ASK_SECONDS", 0.3)
    for forge in (lambda answer: answer[:24] + bytes(8) + answer[32:], lambda answer: b"\xe4" + answer[1:],
                  lambda answer: answer[:1] + b"\x00" + answer[2:], lambda answer: answer[:20]):
        with time_server(3600, forge) as server:
            assert offset([server]) is None
    assert offset(["khong.invalid:123", "127.0.0.1:1"]) is None
    assert run(clock_check.clock, tmp_path, ntp=("127.0.0.1:1",))["clock"].verdict is UNSEEN


def test_the_kernels_word(tmp_path: Path) -> None:
    assert isinstance(kernel(), Kernel)
    assert clock_check.judge(Kernel(True, 0.2), None, False, 2).verdict is MET
    assert clock_check.judge(Kernel(False, 16), None, False, 2).verdict is RISK
    assert clock_check.judge(None, None, False, 2).verdict is UNSEEN


def test_updates_of_this_machine_are_read(tmp_path: Path) -> None:
    found = run(updates, tmp_path)
    assert set(found) == {"packages", "reboot"} and found["packages"].verdict in (MET, RISK)
    assert found["packages"].measures["pending_packages"] >= found["packages"].measures["security_packages"] >= 0


def test_a_security_update_that_waits_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ("Inst libssl3 [3.0.14-1] (3.0.15-1 Debian-Security:12/stable-security [amd64])\n"
            "Inst tzdata [2024a-0] (2024b-0 Debian:12.9/stable [all]) []\nConf libssl3 (3.0.15-1)\nInst moi (1.0 Debian:12.9/stable)\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apt-get").write_text(f"#!/bin/sh\ncat <<'E'\n{said}E\n")
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("monitoring.checks.updates.lists_age", lambda now: 0.5)
    first = run(updates, tmp_path)["packages"]
    assert first.verdict is MET and first.facts["security"] == ["libssl3"] and first.measures["pending_packages"] == 2
    later = run(updates, tmp_path, now=NOW + timedelta(days=8))["packages"]
    assert later.verdict is RISK and later.measures["oldest_days"] == pytest.approx(8)


def test_old_lists_say_nothing_and_a_restart_that_waits() -> None:
    assert packages({}, 0, 30.0, 7).verdict is RISK and packages({}, 0, None, 7).verdict is RISK
    assert packages({"a": False}, 0, 1.0, 7).verdict is MET
    assert [reboot(["linux 6.1.0-30-amd64"], age, 7).verdict for age in (1, 8)] == [MET, RISK]


def test_how_soon_a_disk_is_full(tmp_path: Path) -> None:
    points: Any = None
    for day in range(80):  # four a day, 1 GB less each; one night a dump that goes away again
        points = remember(points, day * 6 * 3600.0, 100e9 - day * 0.25e9 - (30e9 if day == 70 else 0))
    assert len(points) <= 57 and days_to_full(points) == pytest.approx((100 - 79 * 0.25) / 1.0, rel=0.1)
    assert days_to_full(points[:3]) is None
    assert days_to_full([[day * 86400.0, 5e9 + day] for day in range(9)]) is None
    assert remember(points, 5.0, 1.0) == [[5.0, 1.0]]  # a clock that was set back
    note = tmp_path / "home" / "monitoring" / "disks.json"
    (tmp_path / "home").mkdir()
    free = run(disk, tmp_path, disks=(str(tmp_path),))[str(tmp_path)].measures["free_bytes"]
    begin = NOW.timestamp() - 4 * 86400
    notes.write(note, {str(tmp_path): [[begin + hour * 21600, free + (16 - hour) * free / 20] for hour in range(16)]})
    found = run(disk, tmp_path, disks=(str(tmp_path),))[str(tmp_path)]
    assert found.measures["full_days"] < 7
    assert found.verdict in (RISK, BROKEN)
    note.write_text("{hỏng")
    assert "full_days" not in run(disk, tmp_path, disks=(str(tmp_path),))[str(tmp_path)].measures


def test_swap() -> None:
    assert [swap(used, 100, 80).verdict for used in (10, 90)] == [MET, RISK]


@pytest.mark.parametrize("bad", [{"ports": ("443",)}, {"ports": ("tcp/70000",)}, {"services": ("nginx",)},
                                 {"services": ("--all.service;",)}, {"clock_seconds": 0}])
def test_settings_refuse(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Machine(**bad)
