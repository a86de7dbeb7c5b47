"""The two shapes of a duty: a check looks, a change plans. The decorators make a value and register nowhere.

    @check("tls.certificate", every=hours(6), clauses=["TN-7.2"])
    def certificate(site, ctx):          # yields Finding; read-only towards the site
        '''Is the certificate valid, for the right names, and for how long?'''

    @change("backup.run", clauses=["TN-10.1.d.freq"], occasions=nights)
    def run(site, ctx, *, set):          # returns a Plan made of data; touches nothing
        '''Copies one set of the site into its repository.'''

`ops.catalog` reads the leaf folders and collects the values. `ctx` is one frozen `Context`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ops.model import NOTHING, Evidence, Flip, Host, Plan, Site, State, Step, Text

if TYPE_CHECKING:
    from ops.run import Result, Runner
    from ops.secrets import Secret


def minutes(count: float) -> timedelta:
    """`count` minutes."""
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    """`count` hours."""
    return timedelta(hours=count)


def days(count: float) -> timedelta:
    """`count` days."""
    return timedelta(days=count)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a new verdict must be seen before it is believed: `times` in a row, over at least `span`.

    The first verdict that a subject ever gets is believed at once: there is no older one to protect.
    """

    times: int = 1
    span: timedelta = timedelta(0)


class View(Protocol):
    """The read-only store that duties and readers get. Nothing here writes."""

    def states(self, site: str, duty: str = "") -> list[State]:
        """Current states of a site, or of one of its duties, by duty and subject."""

    def evidence(
        self,
        site: str,
        *,
        kind: str = "",
        duty: str = "",
        subject: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        newest: int = 0,
    ) -> list[Evidence]:
        """Ledger lines, oldest first; with `newest=N` only the last N (still oldest first)."""

    def line(self, site: str, seq: int) -> Evidence | None:
        """The ledger line with this number, or None."""

    def flips(self, site: str, duty: str, subject: str, start: datetime, end: datetime) -> list[Flip]:
        """Transitions in [start, end), led by the one in force at `start` if there is one."""

    def head(self, site: str) -> tuple[int, str]:
        """Number of ledger lines and the hex Merkle root over them."""


@dataclass(frozen=True)
class Context:
    """All that a duty may use. Frozen; no globals, no clock of its own.

    now:       the moment of this look, UTC. Duties never ask the clock for anything that ends in evidence.
    ask:       gives a reading runner for a host name ("here" or one of the configuration's hosts).
    secret:    resolves a secret reference.
    scratch:   an empty private directory, removed after the look (made on first use by calling it).
    home:      a private directory of this site that lasts (stages, caches, manifests).
    view:      the store, read-only.
    settings:  the settings object of the duty's own domain folder for this site.
    threshold: the number in force for a named threshold (site's own, else policy's), or the given default.
    subjects:  non-empty when only these subjects are asked for (a proof); a check may use it to do less.
    """

    now: datetime
    ask: Callable[[str], Runner]
    secret: Callable[[str], Secret]
    scratch: Callable[[], Path]
    home: Path
    view: View
    settings: Any
    threshold: Callable[[str, float], float]
    hosts: Mapping[str, Host]
    log: logging.Logger
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Occasion:
    """When a change comes due by itself: with these arguments, by this cron line in Asia/Ho_Chi_Minh time."""

    args: Mapping[str, str]
    cron: str


@dataclass(frozen=True)
class Duty:
    """What a check and a change have in common."""

    name: str
    clauses: tuple[str, ...]
    function: Callable[..., Any]
    timeout: float

    @property
    def module(self) -> str:
        """The module in which the duty was written."""
        return self.function.__module__

    @property
    def domain(self) -> str:
        """The top-level folder that it belongs to; names its settings section."""
        return self.module.partition(".")[0]

    @property
    def doc(self) -> str:
        """The function's docstring, cleaned; its first line is the question or the deed."""
        return inspect.getdoc(self.function) or ""


@dataclass(frozen=True)
class Check(Duty):
    """Looks, and yields findings. `private`: its subjects name persons and stay out of metrics and redacted papers."""

    every: timedelta
    patience: Patience = Patience()
    settings: str = ""
    private: bool = False


@dataclass(frozen=True)
class Change(Duty):
    """Returns a Plan. `occasions(site)` says when it comes due by itself, if ever.

    explain(step, result): what a failed step means, in words that a person can act on; None: as the program said it.
    """

    occasions: Callable[[Site], Iterable[Occasion]] | None = None
    settings: str = ""
    explain: Callable[[Step, Result], Text | None] | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arguments that the change takes, beyond site and ctx."""
        return tuple(inspect.signature(self.function).parameters)[2:]


def check(
    name: str,
    *,
    every: timedelta,
    clauses: Sequence[str],
    patience: Patience | None = None,
    timeout: float = 120.0,
    settings: str = "",
    private: bool = False,
) -> Callable[[Callable[..., Any]], Check]:
    """Makes a Check of a function `(site, ctx) -> iterable of Finding` (plain, async, or a generator of either).

    settings: the settings section it reads when that is not its own domain's (playbooks read backup's).
    """

    def make(function: Callable[..., Any]) -> Check:
        return Check(name, tuple(clauses), function, timeout, every, patience or Patience(), settings, private)

    return make


def change(
    name: str,
    *,
    clauses: Sequence[str],
    occasions: Callable[[Site], Iterable[Occasion]] | None = None,
    timeout: float = 120.0,
    settings: str = "",
    explain: Callable[[Step, Result], Text | None] | None = None,
) -> Callable[[Callable[[Site, Context], Plan] | Callable[..., Plan]], Change]:
    """Makes a Change of a function `(site, ctx, *, arguments: str) -> Plan`."""

    def make(function: Callable[..., Plan]) -> Change:
        return Change(name, tuple(clauses), function, timeout, occasions, settings, explain)

    return make


__all__ = [
    "NOTHING",
    "Change",
    "Check",
    "Context",
    "Duty",
    "Occasion",
    "Patience",
    "View",
    "change",
    "check",
    "days",
    "hours",
    "minutes",
]
