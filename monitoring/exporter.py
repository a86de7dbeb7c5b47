"""Prometheus metrics out of the statuses and of the prober's last looks, made at scrape time.

A verdict is one number (0 met, 1 unseen, 2 at risk, 3 broken), not a set of four series: it is the kernel's order, so
`max by (site)` is the worst, an alert is `== 3`, and a fleet of 3,321 sites keeps a quarter of the series. The share of
time is `avg_over_time((gaccong_verdict == bool 3)[30d:5m])`.

`families` says what goes out, `exposition.Renderer` writes it. `Collector` gives the same families to prometheus-client:
for whoever has a registry already, and as what the renderer is held against.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from monitoring.exposition import COUNTER, PREFIX, TEXT, Family, Key, Renderer
from monitoring.looking import GRAIN
from monitoring.units import metric_unit
from monitoring.watched import Watched, watched_families
from ops import SiteStatus, State, Verdict

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

__all__ = ["PREFIX", "TEXT", "Collector", "Exposition", "collector", "exposition_text", "families", "registry"]
_OURS = frozenset({"verdict", "subjects", "clause_verdict", "site_verdict", "ledger_lines", "build_info",
                   "maintenance_active", "availability_ratio"})
_OWN_FIRST = ("probe_", "prober_", "exporter_")
_STALE, _SPARE_SECONDS = 3.0, 60.0
_SHORT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Exposition:
    """What is exported. `private`: duties whose subjects name persons; only their number for each verdict goes out.

    watched: what the prober and the maintenance registers say, None where nobody asked.
    """

    sites: Sequence[SiteStatus]
    private: frozenset[str]
    version: str
    watched: Watched | None = None


class Rows:
    """A family being gathered, one series after the other."""

    def __init__(self, name: str, words: str, *labels: str) -> None:
        self._name, self._words, self._labels = name, words, labels
        self._keys: list[Key] = []
        self._values: list[float | None] = []

    def add(self, value: float, *key: str) -> None:
        """One series."""
        self._keys.append(key)
        self._values.append(value)

    def family(self) -> Family:
        """What was gathered."""
        return Family(self._name, self._words, self._labels, self._keys, self._values)


def families(shown: Exposition) -> Iterator[Family]:
    """Every family, once."""
    build = Rows("build_info", "Version of gaccong; always 1.", "version")
    build.add(1, shown.version)
    yield build.family()
    yield from _about(shown)
    yield from _states(shown)
    yield from _measures(shown)
    if shown.watched is not None:
        yield from watched_families(shown.watched)


class Collector:
    """For a registry of prometheus-client. Asks `read` at each scrape."""

    def __init__(self, read: Callable[[], Exposition]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family, once."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for one in families(self._read()):
            kind = CounterMetricFamily if one.kind == COUNTER else GaugeMetricFamily
            made = kind(PREFIX + one.name, one.words, labels=list(one.labels))
            for key, value in zip(one.keys, one.values, strict=True):
                if value is not None:
                    made.add_metric(list(key), value)
            yield made


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
    """The text format (version 0.0.4), once; whoever is scraped again and again keeps a Renderer."""
    return Renderer().render(families(read()))


def _about(shown: Exposition) -> Iterator[Family]:
    """Sites, clauses, ledger."""
    about = Rows("site_info", "A site and the name that people know it by; always 1.", "site", "policy", "name")
    site = Rows("site_verdict", "Worst verdict of a site: 0 met, 1 unseen, 2 at risk, 3 broken.", "site", "policy")
    clause = Rows("clause_verdict", "Verdict of a policy's clause: 0 met, 1 unseen, 2 at risk, 3 broken.",
                  "site", "policy", "clause")
    since = Rows("clause_verdict_since_timestamp_seconds", "When a clause came to its verdict; absent when unknown.",
                 "site", "policy", "clause")
    lines = Rows("ledger_lines", "Lines of evidence in a site's ledger.", "site")
    read_at = Rows("status_timestamp_seconds", "When the status of a site was read.", "site")
    for status in shown.sites:
        name, policy = status.site.id, status.policy.id
        about.add(1, name, policy, status.site.name)
        site.add(status.verdict.weight, name, policy)
        lines.add(status.lines, name)
        read_at.add(status.at.timestamp(), name)
        for found in status.clauses:
            clause.add(found.verdict.weight, name, policy, found.clause.id)
            if found.since is not None:
                since.add(found.since.timestamp(), name, policy, found.clause.id)
    yield from (one.family() for one in (about, site, clause, since, lines, read_at))


def _states(shown: Exposition) -> Iterator[Family]:
    """Verdict, since and last look of each open subject; of the others the number of subjects for each verdict."""
    labels = ("site", "duty", "subject")
    verdict = Rows("verdict", "Verdict of a duty's subject: 0 met, 1 unseen, 2 at risk, 3 broken.", *labels)
    since = Rows("verdict_since_timestamp_seconds", "When a subject came to its verdict.", *labels)
    looked = Rows("last_look_timestamp_seconds", "When a subject was last looked at.", *labels)
    subjects = Rows("subjects", "Subjects of a duty that stand at a verdict; all that is told of duties whose subjects "
                    "name persons.", "site", "duty", "verdict")
    for status in shown.sites:
        name = status.site.id
        counted = Counter((state.duty, state.verdict) for state in status.states if state.duty in shown.private)
        for duty in dict.fromkeys(duty for duty, _ in counted):
            for one in Verdict:
                subjects.add(counted[duty, one], name, duty, one.value)
        for state in _open(status, shown.private):
            where = (name, state.duty, state.subject)
            verdict.add(state.verdict.weight, *where)
            since.add(state.since.timestamp(), *where)
            looked.add(state.seen_at.timestamp(), *where)
    yield from (one.family() for one in (verdict, since, looked, subjects))


def _open(status: SiteStatus, private: frozenset[str]) -> Iterator[State]:
    return (state for state in status.states if state.duty not in private)


def _measures(shown: Exposition) -> Iterator[Family]:
    """One family for each duty's measure, in base units; what cannot be a number is counted, not dropped in silence."""
    gathered: dict[str, Rows] = {}
    owner: dict[str, tuple[str, str]] = {}
    unusable: Counter[tuple[str, str]] = Counter()
    for status in shown.sites:
        for state in _open(status, shown.private):
            unusable[state.site, state.duty] += 0
            old = stale(state, status.at)
            for measure, value in state.measures.items():
                name, factor = metric_unit(f"{_word(state.duty)}_{_word(measure)}")
                whose = (state.duty, measure)
                if not _number(value) or name in _OURS or name.startswith(_OWN_FIRST) or (
                        owner.setdefault(name, whose) != whose):
                    unusable[state.site, state.duty] += 1
                    continue
                if old and not name.endswith("_timestamp_seconds"):
                    continue
                if name not in gathered:
                    words = f"Measure {measure} of the duty {state.duty}" + (", in base units." if factor != 1 else ".")
                    gathered[name] = Rows(name, words, "site", "subject")
                gathered[name].add(_grained(name, value * factor), state.site, state.subject)
    lost = Rows("exporter_unusable_measures", "Measures of a duty that no metric could carry: not a number, or a name "
                "that two of them would share.", "site", "duty")
    for (site, duty), number in sorted(unusable.items()):
        lost.add(number, site, duty)
    yield from (gathered[name].family() for name in sorted(gathered))
    yield lost.family()


def stale(state: State, now: datetime) -> bool:
    """Whether nobody has looked for three rhythms: its measures end then. A date is a date still, so dates go on."""
    return (now - state.seen_at).total_seconds() > _STALE * state.every_seconds + _SPARE_SECONDS


def _grained(name: str, value: float) -> float:
    """Short times in steps of 2^-12 s: exact in binary, so that Prometheus needs a quarter of the room."""
    if name.endswith("_seconds") and abs(value) < _SHORT_SECONDS:
        return round(value * GRAIN) / GRAIN
    return value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _word(text: str) -> str:
    """A duty's or measure's name as part of a metric's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"
