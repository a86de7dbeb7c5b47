"""Progress of a running step: a live bar on a terminal, one line a minute in a log.

Understands any step that prints JSON lines with `percent_done` (0 to 1), as restic does.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

from ops.model import Step


class Progress:
    """Hears each output line of a step."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._live = sys.stderr.isatty()
        self._last = 0.0 if self._live else time.monotonic()

    def watch(self, step: Step, line: str) -> None:
        """Shows a status line, at most 5 times a second on a terminal, once a minute in a log."""
        if "percent_done" not in line:
            return
        now = time.monotonic()
        if now - self._last < (0.2 if self._live else 60.0):
            return
        with suppress(ValueError, TypeError):
            status = json.loads(line)
            share = float(status["percent_done"])
            self._last = now
            done, total = status.get("files_done", 0), status.get("total_files", 0)
            bar = "█" * int(share * 24)
            text = f"  {step.why.in_(self._lang)}  {bar:<24} {share:4.0%}  {done}/{total}"
            print(
                f"\r{text}\x1b[K" if self._live else text, end="" if self._live else "\n", file=sys.stderr, flush=True
            )
            if self._live and share >= 1:
                print(file=sys.stderr)
