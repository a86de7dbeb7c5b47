"""Leaf folders: one file is one part (a check, a source, a system). Reading the folder is the only registry."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType


def leaves(package: str) -> Iterator[ModuleType]:
    """The modules directly in `package`, by name; names that begin with `_` are not parts."""
    folder = import_module(package)
    for entry in sorted(pkgutil.iter_modules(folder.__path__), key=lambda found: found.name):
        if not entry.name.startswith("_") and not entry.ispkg:
            yield import_module(f"{package}.{entry.name}")
