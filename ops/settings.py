"""What a domain folder's `settings.py` builds on: strict pydantic models, and a say in what a policy demands.

A domain folder that has settings ships `settings.py` with a class `Settings(DomainSettings)`. The catalog hands it to
the configuration, which validates `[site.NAME.<folder>]` with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from ops.model import Text, nfc

Problem = tuple[str, Text]
"""A mistake: dotted path below the section ("set.user.schedule"), and what is wrong with the mend."""


class Strict(BaseModel):
    """Unknown keys are mistakes; values are not coerced; text is normalised to NFC."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, validate_default=True)


class DomainSettings(Strict):
    """One domain's section of a site."""

    def against(self, thresholds: Mapping[str, float]) -> Iterable[Problem]:
        """Mistakes that only show beside the site's policy (`thresholds`: name -> number in force)."""
        return ()


def _absolute(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return value if base is None or value.is_absolute() else Path(base) / value


Place = Annotated[Path, AfterValidator(_absolute)]
"""A path; a relative one is taken from the folder of the file in which it is written."""
Word = Annotated[str, AfterValidator(nfc)]
"""Text in NFC."""

__all__ = ["Any", "DomainSettings", "Place", "Problem", "Strict", "Word"]
