"""What every test starts under: loopback only, no configuration of this machine, a folder that goes away."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Ends the run when the wrapper was promised (or CI demands it) and another network card is visible."""
    promised = os.environ.get("GACCONG_HERMETIC") == "1" or os.environ.get("CI") == "true"
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if promised and others:
        pytest.exit(f"the tests must run inside ./hermetic (network cards seen: {', '.join(others)})", 3)


@pytest.fixture(autouse=True)
def _clean_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GACCONG_CONFIG", "GACCONG_LANG", "RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """In CI nothing may be skipped for want of a tool or of root: `make test` installs what tests need."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


ROOT = Path(__file__).resolve().parent.parent
