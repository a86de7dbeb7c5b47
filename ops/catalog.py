"""The catalog: reads the leaf folders and holds every duty and every domain's settings. It knows all; nobody knows it.

A duty is found when a module directly in a leaf folder holds a `Check` or `Change` that was defined there. Doubles,
missing docstrings and odd names are refused at load, with the file and the mend.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from ops.duty import Check, Duty
from ops.errors import GaccongError
from ops.leaf import leaves
from ops.model import say
from ops.settings import DomainSettings, Strict

DOMAINS = ("backup", "monitoring", "accounts", "playbooks")
LEAF_FOLDERS = (
    "backup.checks",
    "backup.changes",
    "monitoring.checks",
    "accounts.checks",
    "accounts.changes",
    "playbooks",
)
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class CatalogError(GaccongError):
    """A duty is written so that it cannot be used: a bug in a leaf file, told with its place."""


@dataclass(frozen=True)
class Catalog:
    """Every duty by name."""

    duties: dict[str, Duty]

    def check(self, name: str) -> Check | None:
        """The check of that name, or None."""
        duty = self.duties.get(name)
        return duty if isinstance(duty, Check) else None

    @property
    def checks(self) -> list[Check]:
        """All checks, by name."""
        return [duty for duty in self.duties.values() if isinstance(duty, Check)]

    @property
    def private(self) -> frozenset[str]:
        """Names of the duties whose subjects name persons."""
        return frozenset(duty.name for duty in self.checks if duty.private)


@cache
def load() -> Catalog:
    """Reads the leaf folders. Raises CatalogError for the first duty that is not fit."""
    found: dict[str, Duty] = {}
    for folder in LEAF_FOLDERS:
        for module in _leaves(folder):
            for duty in duties_of(module):
                _refuse_unfit(duty, found)
                found[duty.name] = duty
    return Catalog(dict(sorted(found.items())))


def _leaves(folder: str) -> Iterator[ModuleType]:
    """The modules of a leaf folder; one that cannot be loaded is told with its place, not with a traceback."""
    try:
        yield from leaves(folder)
    except (SyntaxError, ImportError, NameError, TypeError, ValueError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = (
            f"{error.filename}:{error.lineno}"
            if isinstance(error, SyntaxError)
            else (f"{frames[-1].filename}:{frames[-1].lineno}" if frames else folder)
        )
        raise CatalogError(
            say("{p}: {e}", "{p}: {e}", p=place, e=f"{type(error).__name__}: {error}"),
            say("sửa tệp ấy", "mend that file"),
        ) from None


def duties_of(module: ModuleType) -> list[Duty]:
    """The duties that were defined in this very module."""
    return [value for value in vars(module).values() if isinstance(value, Duty) and value.module == module.__name__]


def _refuse_unfit(duty: Duty, found: dict[str, Duty]) -> None:
    trouble = ""
    if duty.name in found:
        trouble = f"the name {duty.name!r} is taken by {found[duty.name].module}"
    elif not _NAME.fullmatch(duty.name):
        trouble = f"the name {duty.name!r} is not lower.case_words"
    elif not duty.doc:
        trouble = f"{duty.name} has no docstring; its first line is what people read"
    elif not duty.clauses:
        trouble = f"{duty.name} answers to no clause"
    if trouble:
        raise CatalogError(say("{m}: {t}", "{m}: {t}", m=duty.module, t=trouble))


@cache
def settings() -> dict[str, type[DomainSettings]]:
    """The settings class of each domain folder that has one."""
    found: dict[str, type[DomainSettings]] = {}
    for domain in DOMAINS:
        if find_spec(f"{domain}.settings") is not None:
            found[domain] = import_module(f"{domain}.settings").Settings
    return found


@cache
def tops() -> dict[str, type[Strict]]:
    """Sections of the main file that domain folders bring: name -> model, from `TOP` of their settings module."""
    found: dict[str, type[Strict]] = {}
    for domain in DOMAINS:
        if find_spec(f"{domain}.settings") is not None:
            found |= getattr(import_module(f"{domain}.settings"), "TOP", {})
    return found
