"""Which metric names the exporter can give: its own families, and each measure that some duty's source names."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

from monitoring.exporter import Exposition, families
from monitoring.exposition import PREFIX
from monitoring.latest import Latest
from monitoring.units import metric_unit
from monitoring.uptime.reading import Availability
from monitoring.watched import _PROBER, Counted, Watched
from ops import catalog
from tests.conftest import ROOT


def names_in(expression: str) -> set[str]:
    """Names of metrics and of recorded series in a PromQL expression."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:\w+:)*gaccong_\w+(?::\w+)*", bare))


@lru_cache(maxsize=1)
def own() -> frozenset[str]:
    """The exporter's own families."""
    looks = {name: [value] for name, value in ((one, getattr(Latest(moment=1e9), one)) for one in Latest.__slots__)}
    counted = Counted(("a", "ipv4", "year"), Availability(0, 10, 9, 1, 0, 0, 0, 1, 1))
    shown = Watched(1e9, {key: 1 for key, *_ in _PROBER}, (("a", "ipv4"),), looks, {"a": False}, (counted,))
    return frozenset(one.sample for one in families(Exposition((), frozenset(), "1", shown)))


@lru_cache(maxsize=1)
def measured() -> dict[str, frozenset[str]]:
    """Domain folder -> every string in its sources that may name a measure."""
    found: dict[str, frozenset[str]] = {}
    for domain in catalog.DOMAINS:
        strings = {node.value for path in (ROOT / domain).rglob("*.py") if "benchmarks" not in path.parts
                   for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8")))
                   if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[a-z][a-z0-9_]{1,60}", node.value)}
        found[domain] = frozenset(strings)
    return found


def told(name: str) -> bool:
    """Whether some scrape can hold this name: an own family, or a duty's prefix and one of its folder's measures."""
    if name in own():
        return True
    for duty in catalog.load().duties.values():
        prefix = duty.name.replace(".", "_")
        if name.startswith(f"{PREFIX}{prefix}_") and any(
                PREFIX + metric_unit(f"{prefix}_{word}")[0] == name for word in measured()[duty.domain]):
            return True
    return False


def owner(name: str) -> tuple[str, str]:
    """(duty, measure) behind a metric that is some duty's measure."""
    for duty in catalog.load().duties.values():
        prefix = duty.name.replace(".", "_")
        if name.startswith(f"{PREFIX}{prefix}_"):
            for word in sorted(measured()[duty.domain]):
                if PREFIX + metric_unit(f"{prefix}_{word}")[0] == name:
                    return duty.name, word
    raise KeyError(name)
