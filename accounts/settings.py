"""`[site.X.accounts]`: the roster, and each system by its kind. A new kind is one new file in `accounts/systems/`."""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from ops import DomainSettings, Place, leaves

KINDS: dict[str, ModuleType] = {}
"""kind -> module, as found in `accounts/systems/`: each exports `Settings` (with a Literal `kind`) and `Adapter`."""


def _read_kinds() -> Any:
    for module in leaves("accounts.systems"):
        KINDS[module.__name__.rpartition(".")[2]] = module
    return reduce(or_, [module.Settings for module in KINDS.values()])


SystemName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
if TYPE_CHECKING:
    AnySystem = Any
else:
    AnySystem = Annotated[_read_kinds(), Field(discriminator="kind")]


class Settings(DomainSettings):
    """roster: CSV file (accounts/README.md). system: name -> what it is; the roster's logins say `name:login`."""

    roster: Place
    system: dict[SystemName, AnySystem] = {}
