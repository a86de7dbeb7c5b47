"""Folders and files, copied where they lie: `kind = "files"  paths = ["/srv/www/site"]  exclude = ["*.tmp"]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from backup.restic import below
from backup.source import BaseSource, Restored
from ops import Place, Text, fault, say

_ODD = re.compile(r"[\[\]\\!]|\*\*|/$")


def _pattern(value: str) -> str:
    if not value or _ODD.search(value) or ("/" in value and not value.startswith("/")):
        raise fault(
            "mẫu loại trừ {p!s} không dùng được: viết tên (`*.tmp`, `cache`) hoặc đường dẫn đầy đủ; chỉ dùng * và ?",
            "exclusion {p!s} cannot be used: write a name (`*.tmp`, `cache`) or a full path; only * and ? have a meaning",
            p=value,
        )
    return value


class Source(BaseSource):
    """paths: what to copy. exclude: bare names (anywhere below the paths) or full paths below one of them."""

    kind: Literal["files"]
    paths: Annotated[tuple[Place, ...], Field(min_length=1)]
    exclude: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for path in self.paths:
            if not path.is_absolute() or path == Path("/"):
                raise fault("đường dẫn {p} phải đầy đủ và không phải /", "path {p} must be absolute and not /", p=path)
        for pattern in self.exclude:
            inside = any(pattern.startswith(f"{path}/") for path in self.paths)
            if pattern.startswith("/") and not inside:
                raise fault("mục loại trừ {p} không nằm trong paths nào", "exclusion {p} lies below none of the paths",
                            p=pattern)
        return self

    def live(self) -> tuple[Path, ...]:
        """The paths themselves."""
        return self.paths

    def excluded(self) -> tuple[str, ...]:
        """Each bare name anchored below each path, so that it cannot touch the stage or another source."""
        made = [below(str(path), pattern) for pattern in self.exclude for path in self.paths]
        return tuple(dict.fromkeys(made))

    def examine(self, copy: Restored) -> Iterable[Text]:
        """Each path must be there again, and hold something."""
        for path in self.paths:
            there = copy.root / path.relative_to("/")
            if not there.exists():
                yield say("không có {p} trong bản khôi phục", "{p} is not in the restored copy", p=path)
            elif there.is_dir() and not any(there.iterdir()):
                yield say("{p} rỗng trong bản khôi phục", "{p} is empty in the restored copy", p=path)
