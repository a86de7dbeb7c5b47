"""Prometheus metrics out of the statuses, made at scrape time by one custom Collector; nothing is kept in between.

A verdict is one number (0 met, 1 unseen, 2 at risk, 3 broken), not a set of four series: it is the kernel's order, so
`max by (site)` is the worst, an alert is `== 3`, and a fleet of 3,321 sites keeps a quarter of the series. The share of
time is `avg_over_time((gaccong_verdict == bool 3)[30d:5m])`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring.units import metric_unit
from ops import SiteStatus, State, Verdict

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

PREFIX = "gaccong_"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OURS = frozenset({"verdict", "subjects", "clause_verdict", "site_verdict", "ledger_lines", "build_info"})


@dataclass(frozen=True, slots=True)
class Exposition:
    """What is exported. `private`: duties whose subjects name persons; only their number for each verdict goes out."""

    sites: Sequence[SiteStatus]
    private: frozenset[str]
    version: str


class Collector:
    """Asks `read` at each scrape. Register it in a registry of its own."""

    def __init__(self, read: Callable[[], Exposition]) -> None:
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: registering must not read the store."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every family, once."""
        shown = self._read()
        yield from _about(shown)
        yield from _states(shown)
        yield from _measures(shown)


def collector(read: Callable[[], Exposition]) -> Collector:
    """The collector over `read`."""
    return Collector(read)


def registry(read: Callable[[], Exposition]) -> CollectorRegistry:
    """A registry that holds this collector alone (no process metrics, no globals)."""
    from prometheus_client import CollectorRegistry

    found = CollectorRegistry(auto_describe=False)
    found.register(Collector(read))
    return found


def exposition_text(read: Callable[[], Exposition]) -> bytes:
    """The text format (version 0.0.4), as served at /metrics."""
    from prometheus_client import generate_latest

    return generate_latest(registry(read))


def _gauge(name: str, words: str, labels: Sequence[str]) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(PREFIX + name, words, labels=list(labels))


def _about(shown: Exposition) -> Iterator[GaugeMetricFamily]:
    """Build, sites, clauses, ledger."""
    build = _gauge("build_info", "Version of gaccong; always 1.", ["version"])
    build.add_metric([shown.version], 1)
    yield build
    site = _gauge("site_verdict", "Worst verdict of a site: 0 met, 1 unseen, 2 at risk, 3 broken.", ["site", "policy"])
    clause = _gauge("clause_verdict", "Verdict of a policy's clause: 0 met, 1 unseen, 2 at risk, 3 broken.",
                    ["site", "policy", "clause"])
    since = _gauge("clause_verdict_since_timestamp_seconds", "When a clause came to its verdict; absent when unknown.",
                   ["site", "policy", "clause"])
    lines = _gauge("ledger_lines", "Lines of evidence in a site's ledger.", ["site"])
    read_at = _gauge("status_timestamp_seconds", "When the status of a site was read.", ["site"])
    for status in shown.sites:
        site.add_metric([status.site.id, status.policy.id], status.verdict.weight)
        lines.add_metric([status.site.id], status.lines)
        read_at.add_metric([status.site.id], status.at.timestamp())
        for found in status.clauses:
            labels = [status.site.id, status.policy.id, found.clause.id]
            clause.add_metric(labels, found.verdict.weight)
            if found.since is not None:
                since.add_metric(labels, found.since.timestamp())
    yield from (site, clause, since, lines, read_at)


def _states(shown: Exposition) -> Iterator[GaugeMetricFamily]:
    """Verdict, since and last look of each open subject; for all duties the number of subjects for each verdict."""
    labels = ["site", "duty", "subject"]
    verdict = _gauge("verdict", "Verdict of a duty's subject: 0 met, 1 unseen, 2 at risk, 3 broken.", labels)
    since = _gauge("verdict_since_timestamp_seconds", "When a subject came to its verdict.", labels)
    looked = _gauge("last_look_timestamp_seconds", "When a subject was last looked at.", labels)
    subjects = _gauge("subjects", "Subjects of a duty that stand at a verdict; all that is told of duties whose "
                      "subjects name persons.", ["site", "duty", "verdict"])
    for status in shown.sites:
        counted = Counter((state.duty, state.verdict) for state in status.states)
        for duty in dict.fromkeys(state.duty for state in status.states):
            for one in Verdict:
                subjects.add_metric([status.site.id, duty, one.value], counted[duty, one])
        for state in _open(status, shown.private):
            where = [state.site, state.duty, state.subject]
            verdict.add_metric(where, state.verdict.weight)
            since.add_metric(where, state.since.timestamp())
            looked.add_metric(where, state.seen_at.timestamp())
    yield from (verdict, since, looked, subjects)


def _open(status: SiteStatus, private: frozenset[str]) -> Iterator[State]:
    return (state for state in status.states if state.duty not in private)


def _measures(shown: Exposition) -> Iterator[GaugeMetricFamily]:
    """One family for each duty's measure, in base units; what cannot be a number is counted, not dropped in silence."""
    families: dict[str, GaugeMetricFamily] = {}
    owner: dict[str, tuple[str, str]] = {}
    unusable: Counter[tuple[str, str]] = Counter()
    for status in shown.sites:
        for state in _open(status, shown.private):
            unusable[state.site, state.duty] += 0
            for measure, value in state.measures.items():
                name, factor = metric_unit(f"{_word(state.duty)}_{_word(measure)}")
                whose = (state.duty, measure)
                if not _number(value) or name in _OURS or owner.setdefault(name, whose) != whose:
                    unusable[state.site, state.duty] += 1
                    continue
                if name not in families:
                    words = f"Measure {measure} of the duty {state.duty}" + (", in base units." if factor != 1 else ".")
                    families[name] = _gauge(name, words, ["site", "subject"])
                families[name].add_metric([state.site, state.subject], value * factor)
    lost = _gauge("exporter_unusable_measures", "Measures of a duty that no metric could carry: not a number, or a "
                  "name that two of them would share.", ["site", "duty"])
    for (site, duty), number in sorted(unusable.items()):
        lost.add_metric([site, duty], number)
    yield from (families[name] for name in sorted(families))
    yield lost


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _word(text: str) -> str:
    """A duty's or measure's name as part of a metric's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"
