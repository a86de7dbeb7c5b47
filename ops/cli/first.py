"""What was never begun, told apart from what broke: both are not met, but only one of them is an accident."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from ops.words import word

if TYPE_CHECKING:
    from ops.duty import Duty, View

MARK = "○"
STYLE = "yellow"
_MOST = 100
"""Lines of the ledger that are looked through; a change with more of them was begun long ago."""


class FirstTime:
    """Answers, for the command that a finding offers next, whether that regular change was never tried on the site."""

    def __init__(self, view: Callable[[], View], duties: Mapping[str, Duty]) -> None:
        self._view = view
        self._duties = duties
        self._known: dict[tuple[str, str], list[dict[str, str]] | None] = {}

    def never(self, site: str, command: str) -> bool:
        """True for `gaccong plan CHANGE …` of a change with a schedule that the ledger has neither begun nor refused."""
        change, args = _planned(command)
        if not getattr(self._duties.get(change), "occasions", None):
            return False
        if (site, change) not in self._known:
            self._known[site, change] = self._tried(site, change)
        tried = self._known[site, change]
        return tried is not None and not any(args.items() <= one.items() for one in tried)

    def _tried(self, site: str, change: str) -> list[dict[str, str]] | None:
        view = self._view()
        lines = [
            line for kind in ("intent", "outcome") for line in view.evidence(site, kind=kind, duty=change, newest=_MOST)
        ]
        return None if len(lines) >= _MOST else [dict(line.body.get("args") or {}) for line in lines]


def _planned(command: str) -> tuple[str, dict[str, str]]:
    """`gaccong plan backup.run set=user --site a` -> ("backup.run", {"set": "user"}); ("", {}) for anything else."""
    with suppress(ValueError):
        words = shlex.split(command)
        if words[:2] == ["gaccong", "plan"] and len(words) > 2:
            pairs = (one.partition("=") for one in words[3:] if "=" in one and not one.startswith("-"))
            return words[2], {name: value for name, _, value in pairs}
    return "", {}


def called(lang: str) -> str:
    """Sign and words that stand in the place of a verdict."""
    return f"{MARK} {word('first.never', lang)}"
