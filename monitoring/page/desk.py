"""What the page reads: sites, their statuses, the store, and what other processes leave in the state folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops import Site, SiteStatus, View


@dataclass(frozen=True)
class Desk:
    """Each is called in worker threads, and may touch a disk.

    sites: those of the configuration. read: the status of one of them, now. view: the store, read-only; None where only
    statuses are at hand (then the page shows no history). heads: site -> number of its ledger lines, for all at once.
    state: the state folder (record of availability, maintenance windows), or None.
    """

    sites: Callable[[], Mapping[str, Site]]
    read: Callable[[str], SiteStatus]
    view: View | None = None
    heads: Callable[[], Mapping[str, int]] | None = None
    state: Path | None = None


def bare(read: Callable[[], Sequence[SiteStatus]]) -> Desk:
    """A desk of nothing but statuses."""
    def one(site: str) -> SiteStatus:
        return next(status for status in read() if status.site.id == site)

    return Desk(lambda: {status.site.id: status.site for status in read()}, one)
