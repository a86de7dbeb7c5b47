"""`./hermetic`: only loopback, exit codes as they are, nothing that outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def hermetic(checkout: Path) -> str:
    program = str(checkout / "hermetic")
    if subprocess.run([program, "true"], capture_output=True, timeout=20, check=False).returncode:
        pytest.skip("this machine allows no namespaces")
    return program


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def test_only_loopback_with_both_families(hermetic: str) -> None:
    said = _run(hermetic, "ip", "-brief", "address").stdout
    assert [line.split()[0] for line in said.splitlines()] == ["lo"]
    assert "127.0.0.1/8" in said
    assert "::1/128" in said


def test_exit_code_and_words_pass_through(hermetic: str) -> None:
    assert _run(hermetic, "sh", "-c", "exit 7").returncode == 7
    assert _run(hermetic, "printf", "%s|", "a b", "$x", "'").stdout == "a b|$x|'|"


def test_without_a_command_it_says_how(hermetic: str) -> None:
    done = _run(hermetic)
    assert done.returncode == 2
    assert "./hermetic" in done.stderr


def _with_mark(mark: str) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline", "status"])
            if mark in (p.info["cmdline"] or []) and p.info["status"] != psutil.STATUS_ZOMBIE]


def _within(seconds: float, mark: str, wanted: int) -> bool:
    deadline = time.monotonic() + seconds
    while len(_with_mark(mark)) != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("killed", [False, True])
def test_a_detached_child_ends_with_it(hermetic: str, killed: bool) -> None:
    mark = str(86400 + os.getpid() + killed)  # a length of sleep that nobody else asks for
    wait = "sleep 60" if killed else "sleep 0.5"
    wrapper = subprocess.Popen([hermetic, "sh", "-c", f"setsid sleep {mark} & {wait}"])
    try:
        assert _within(10, mark, 1)
        if killed:
            wrapper.send_signal(signal.SIGKILL)
        assert wrapper.wait(20) == (-signal.SIGKILL if killed else 0)
        assert _within(10, mark, 0)
    finally:
        wrapper.kill()
        wrapper.wait()
