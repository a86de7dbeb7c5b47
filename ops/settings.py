"""What a domain folder's `settings.py` builds on: strict pydantic models, and a say in what a policy demands.

A domain folder that has settings ships `settings.py` with a class `Settings(DomainSettings)`. The catalog hands it to
the configuration, which validates `[site.NAME.<folder>]` with it.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from ops import secrets
from ops.errors import SecretError
from ops.model import Text, nfc, say

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
    # lexically, so that a path reads the same in every plan: `sites/../www` is `www`
    return Path(os.path.normpath(value if base is None else Path(base) / value))


Place = Annotated[Path, AfterValidator(_absolute)]
"""A path; a relative one is taken from the folder of the file in which it is written."""


def _word(value: str) -> str:
    """NFC, and nothing that steers a terminal or turns the direction of a line."""
    if any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co") for sign in value):
        raise fault("có ký tự điều khiển hoặc ký tự vô hình", "holds control or invisible characters")
    return nfc(value)


Word = Annotated[str, AfterValidator(_word)]
"""Text in NFC without control, format or private characters."""


def fault(vi: str, en: str, /, **values: object) -> ValueError:
    """A validation mistake in both languages; raise it from a validator."""
    from pydantic_core import PydanticCustomError

    text = say(vi, en, **values)
    return PydanticCustomError("gaccong", "{en}", {"vi": text.vi, "en": text.en})


def _reference(value: str, info: ValidationInfo) -> str:
    """A secret reference: of a known kind, absolute when it is a file, and that file nobody else's to read."""
    base = Path((info.context or {}).get("base") or ".")
    try:
        kind = secrets.kind_of(value)
        if kind != "file":
            return value
        path = Path(os.path.normpath(base / Path(value.partition(":")[2]).expanduser()))
        if path.exists():
            secrets.resolve(f"file:{path}", base)
    except SecretError as error:
        raise fault("{vi}; {mend}", "{en}; {mend}", vi=error.what.vi, en=error.what.en, mend=error.mend.vi) from None
    return f"file:{path}"


Reference = Annotated[str, AfterValidator(_reference)]
"""A secret reference (`file:`, `command:`, `systemd-credential:`, `env:`), never the secret itself."""

__all__ = ["Any", "DomainSettings", "Place", "Problem", "Reference", "Strict", "Word", "fault"]
