"""Folders and files: `kind = "files"  paths = ["/srv/www/site"]  exclude = ["*.tmp"]`, and with `host = "web"` those of
another machine.

Here they are copied where they lie. From another machine rsync brings them into the stage first (`backup.fetch`), below a
folder that is named after the host, or `name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from backup.restic import below
from backup.source import PART_DONE, BaseSource, Desk, Name, Restored
from backup.ssh import chain, described, secrets_of
from ops import Host, Place, Step, Text, fault, python, say

_ODD = re.compile(r"[\[\]\\!]|\*\*|/$")
_GLOB = re.compile(r"[*?\[\\\n]")
_SECONDS = 21600.0


def _pattern(value: str) -> str:
    if not value or _ODD.search(value) or ("/" in value and not value.startswith("/")):
        raise fault(
            "mẫu loại trừ {p!s} không dùng được: viết tên (`*.tmp`, `cache`) hoặc đường dẫn đầy đủ; chỉ dùng * và ?",
            "exclusion {p!s} cannot be used: write a name (`*.tmp`, `cache`) or a full path; only * and ? have a meaning",
            p=value,
        )
    return value


def fetching(desk: Desk, host: str, label: str, paths: Iterable[Path], exclude: Iterable[str]) -> Step:
    """The step that brings paths of another machine into the stage. Raises PlanRefused for a host not configured."""
    way: list[Host] = chain(host, desk.hosts)
    given = [part for path in paths for part in ("--path", str(path))]
    left_out = [part for pattern in exclude for part in ("--exclude", pattern)]
    why = say("lấy tệp từ máy {h} về nơi tạm bằng rsync", "bring the files of host {h} into the stage with rsync", h=host)
    argv = python("backup.fetch", "--host", described(way), "--label", label, "--stage", str(desk.folder), *given, *left_out)
    return Step(why, argv, secrets=secrets_of(way), expect=(0, PART_DONE), keep=True, timeout=_SECONDS)


def refuse_unfit(paths: Iterable[Path], *, far: bool) -> None:
    """Every path is absolute and not the whole machine; rsync would read some signs in a far one as patterns."""
    for path in paths:
        if not path.is_absolute() or path == Path("/"):
            raise fault("đường dẫn {p} phải đầy đủ và không phải /", "path {p} must be absolute and not /", p=path)
        if far and _GLOB.search(str(path)):
            raise fault("đường dẫn {p} trên máy khác không được có ký tự * ? [ \\",
                        "path {p} on another machine must not hold * ? [ or a backslash", p=path)


class Source(BaseSource):
    """paths: what to copy. exclude: bare names (anywhere below the paths) or full paths below one of them.

    host: the machine that holds them. name: of the folder in the stage, for files of another machine (else the host's).
    """

    reaches: ClassVar[bool] = True
    kind: Literal["files"]
    name: Name | None = None
    paths: Annotated[tuple[Place, ...], Field(min_length=1)]
    exclude: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        refuse_unfit(self.paths, far=self.far)
        for pattern in self.exclude:
            inside = any(pattern.startswith(f"{path}/") for path in self.paths)
            if pattern.startswith("/") and not inside:
                raise fault("mục loại trừ {p} không nằm trong paths nào", "exclusion {p} lies below none of the paths",
                            p=pattern)
        return self

    @property
    def _label(self) -> str:
        return self.name or self.host

    def live(self) -> tuple[Path, ...]:
        """The paths themselves; none of another machine's."""
        return () if self.far else self.paths

    def excluded(self) -> tuple[str, ...]:
        """Each bare name anchored below each path, so that it cannot touch the stage or another source.

        Of another machine nothing: rsync left it out already.
        """
        if self.far:
            return ()
        made = [below(str(path), pattern) for pattern in self.exclude for path in self.paths]
        return tuple(dict.fromkeys(made))

    def staged(self) -> tuple[str, ...]:
        """Of another machine: the mirror and its note."""
        return (self._label, f"{self._label}.note.json") if self.far else ()

    def stage(self, desk: Desk) -> list[Step]:
        """Of another machine: one step that makes the mirror as its files are."""
        return [fetching(desk, self.host, self._label, self.paths, self.exclude)] if self.far else []

    def examine(self, copy: Restored) -> Iterable[Text]:
        """Each path must be there again, and hold something."""
        root = copy.stage / self._label if self.far else copy.root
        for path in self.paths:
            there = root / path.relative_to("/")
            if not there.exists():
                yield say("không có {p} trong bản khôi phục", "{p} is not in the restored copy", p=path)
            elif there.is_dir() and not any(there.iterdir()):
                yield say("{p} rỗng trong bản khôi phục", "{p} is empty in the restored copy", p=path)
