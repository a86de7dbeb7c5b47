"""Progress of a running step: a live bar on a terminal, one line a minute in a log.

Understands any step that prints JSON lines with `percent_done` (0 to 1), as restic does for copying and restoring.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ops.model import Step

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 24


class Progress:
    """Hears each output line of a step."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._live = sys.stderr.isatty()
        self._last = 0.0 if self._live else time.monotonic()

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)

    def watch(self, step: Step, line: str) -> None:
        """Shows a status line, at most 5 times a second on a terminal, once a minute in a log."""
        if "percent_done" not in line:
            return
        now = time.monotonic()
        if now - self._last < (0.2 if self._live else 60.0):
            return
        with suppress(ValueError, TypeError, KeyError):
            status = json.loads(line)
            share = min(max(float(status["percent_done"]), 0.0), 1.0)
            self._last = now
            self._show(step.why.in_(self._lang), share, told(status))

    def _show(self, what: str, share: float, done: str) -> None:
        if not self._live:
            print(f"  {what}  {'█' * int(share * _WIDTH):<{_WIDTH}} {share:4.0%}  {done}", file=sys.stderr, flush=True)
            return
        from rich.text import Text

        full = int(share * _WIDTH)
        text = Text.assemble(f"  {what}  ", ("━" * full, "green"), ("━" * (_WIDTH - full), "bright_black"),
                             f" {share:4.0%}  {done}", no_wrap=True, overflow="ellipsis")
        text.truncate(self._console.width - 1, overflow="ellipsis")  # a line that wraps cannot be written over
        # drawn and then written over by whatever comes next: no thread, nothing to stop when the step fails
        self._console.file.write("\r\x1b[K")
        self._console.print(text, end="" if share < 1 else "\n")


def told(status: dict[str, Any]) -> str:
    """How much is done: files where the step counts them, else MiB."""
    files = status.get("files_done", status.get("files_restored"))
    if files is not None and status.get("total_files"):
        return f"{files}/{status['total_files']}"
    done = status.get("bytes_restored", status.get("bytes_done"))
    return "" if done is None else f"{int(done) >> 20} MiB"
