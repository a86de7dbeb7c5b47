"""Measures carry the unit that people use (days, per cent, MB); Prometheus wants base units, with the unit at the end."""

from __future__ import annotations

from functools import lru_cache

_UNITS: dict[str, tuple[str, float]] = {
    "weeks": ("seconds", 604800.0), "days": ("seconds", 86400.0), "hours": ("seconds", 3600.0),
    "minutes": ("seconds", 60.0), "milliseconds": ("seconds", 1e-3), "microseconds": ("seconds", 1e-6),
    "ms": ("seconds", 1e-3), "sec": ("seconds", 1.0), "secs": ("seconds", 1.0), "seconds": ("seconds", 1.0),
    "bits": ("bytes", 0.125), "kilobytes": ("bytes", 1e3), "megabytes": ("bytes", 1e6), "gigabytes": ("bytes", 1e9),
    "kb": ("bytes", 1e3), "mb": ("bytes", 1e6), "gb": ("bytes", 1e9), "kib": ("bytes", 1024.0),
    "mib": ("bytes", 1048576.0), "gib": ("bytes", 1073741824.0), "bytes": ("bytes", 1.0),
    "percent": ("ratio", 0.01), "ratio": ("ratio", 1.0),
}
_RESERVED = {"total": "all", "count": "number", "sum": "added", "bucket": "group", "created": "made", "info": "about"}
"""Endings that Prometheus keeps for counters, histograms and infos, and what stands here instead."""
_COUNTS = {"per", "this", "rolling"}
_TYPES = {"gauge", "counter", "histogram", "summary", "untyped"}


@lru_cache(maxsize=4096)
def metric_unit(name: str) -> tuple[str, float]:
    """(name, factor) in base units: `tls_days_left` -> (`tls_left_seconds`, 86400). The value times factor goes out.

    A rate ("days_per_week") and a count ("days_this_week", "days_rolling_7") are left as they are: their numbers have no
    base unit to turn into.
    """
    parts = [part for part in name.split("_") if part not in _TYPES]
    factor = 1.0
    found = [at for at, part in enumerate(parts) if part in _UNITS]
    if found and not _COUNTS & set(parts):
        base, factor = _UNITS[parts[found[-1]]]
        del parts[found[-1]]
        parts.append(base)
    elif found:
        parts = [part.removesuffix("s") if part in _UNITS else part for part in parts]
    if parts[-1] in _RESERVED:
        parts[-1] = _RESERVED[parts[-1]]
    return "_".join(parts), factor
