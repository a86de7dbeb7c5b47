"""What every test starts under: loopback only, no configuration of this machine, a folder that goes away."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Ends the run when the wrapper was promised (or CI demands it) and another network card is visible."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # begun by a shell in the background, which has its children ignore Ctrl-C: what we start must not inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
LONGEST = ("demo/test_tour", "backup/test_kill", "backup/test_peers", "backup/test_stream", "journeys/test_kill",
           "journeys/test_serve", "backup/test_faults", "journeys/test_schedule", "backup/test_heal", "backup/test_copy")
"""Files that take a minute or more, the longest first: begun last, one of them would keep a single core busy at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first. (Files stay whole: their servers are made once for each.)"""
    places = {ROOT / "tests" / f"{name}.py": number for number, name in enumerate(LONGEST)}
    assert all(place.is_file() for place in places), "LONGEST names a file that is not there"
    items.sort(key=lambda item: places.get(item.path, len(places)))
