"""`gaccong serve` keeps the prober alive beside itself, and never leaves it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

from monitoring.uptime.reading import Reader
from ops import CannotSee
from tests.journeys.place import Place
from tests.journeys.test_serve import serving


def prober_of(place: Place) -> int:
    """The prober's process id, 0 while there is none."""
    found = subprocess.run(["pgrep", "-f", f"monitoring[.]prober .*{place.root}"], capture_output=True, text=True, timeout=10)
    return int(found.stdout.split()[0]) if found.stdout.strip() else 0


def recorded(place: Place) -> bool:
    """Whether there is a record that can be read."""
    try:
        Reader(place.root / "state" / "uptime").close()
    except CannotSee:
        return False
    return True


def until(true: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, true
        time.sleep(0.1)


def test_it_is_started_again_and_ends_with_serve(place: Place) -> None:
    text = place.site_file.read_text().replace("https://xahoamai.example.gov.vn/", "http://127.0.0.1:1/")
    place.site_file.write_text(text + "[site.a.monitoring]\ntimeout_seconds = 1\n")
    with serving(place) as (process, _):
        until(lambda: prober_of(place))
        first = prober_of(place)
        os.kill(first, signal.SIGKILL)
        until(lambda: prober_of(place) not in (0, first))
        until(lambda: recorded(place))
        with Reader(place.root / "state" / "uptime") as reader:
            until(reader.watched)
            assert reader.watched() > time.time() - 120
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
        until(lambda: not prober_of(place), 15)
    with serving(place) as (process, _):
        until(lambda: prober_of(place))
        process.kill()
        process.wait(10)
        until(lambda: not prober_of(place), 15)
