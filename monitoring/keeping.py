"""Statuses for the exporter: read at each scrape while that is quick, else kept and read anew behind the scrapes.

One site's status is read in milliseconds. Those of a province take longer than Prometheus waits; then a scrape gets what was
read last (`gaccong_status_timestamp_seconds` tells when), and a thread reads on, a fifth of the time at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

QUICK_SECONDS = 0.2
REST = 4.0
"""After a reading that took a second, nothing is read for four."""
Found = TypeVar("Found")
log = logging.getLogger(__name__)


class Kept(Generic[Found]):
    """What `read` gave last. One scrape asks at a time; the reading may be behind it."""

    def __init__(self, read: Callable[[], Found], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._found: Found | None = None
        self._took = 0.0
        self._done = 0.0
        self._reading: threading.Thread | None = None
        self._error: Exception | None = None

    def get(self) -> Found:
        """The statuses; raises what `read` raised last, so that a store that broke is not hidden behind old figures."""
        with self._lock:
            slow = self._found is not None and self._took > QUICK_SECONDS
            if slow and self._reading is None and self._clock() - self._done >= REST * self._took:
                self._reading = threading.Thread(target=self._behind, name="gaccong-statuses", daemon=True)
                self._reading.start()
        if slow:
            if self._error is not None:
                raise self._error
            assert self._found is not None
            return self._found
        return self._now()

    def _now(self) -> Found:
        began = self._clock()
        found = self._read()
        with self._lock:
            self._found, self._error = found, None
            self._done = self._clock()
            self._took = self._done - began
        return found

    def _behind(self) -> None:
        try:
            self._now()
        except Exception as error:
            log.exception("statuses")
            with self._lock:
                self._error, self._done = error, self._clock()
        finally:
            with self._lock:
                self._reading = None
