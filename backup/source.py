"""What every kind of source promises. A kind is one file of `backup/sources/` with one class built on `BaseSource`.

    class Source(BaseSource):
        kind: Literal["files"]
        def live(self) -> tuple[Path, ...]: ...        # what restic reads where it lies
        def staged(self) -> tuple[str, ...]: ...       # names that `stage` puts into the stage folder
        def stage(self, stage: Path) -> list[Step]: ...
        def examine(self, root: Path, stage: Path) -> Iterable[Text]: ...   # faults of a restored copy
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ops import Step, Strict, Text

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
PART_DONE = 3
"""Exit code of a staging step that could not get its source. The rest is copied all the same; the proof finds it."""


class BaseSource(Strict):
    """One `[[site.X.backup.set.NAME.source]]`."""

    kind: str
    host: str = "here"

    def live(self) -> tuple[Path, ...]:
        """Paths that are copied where they lie."""
        return ()

    def excluded(self) -> tuple[str, ...]:
        """restic patterns of what is left out below the live paths."""
        return ()

    def staged(self) -> tuple[str, ...]:
        """Names of the files that must stand in the stage folder after `stage`; unique within a set."""
        return ()

    def stage(self, stage: Path) -> list[Step]:
        """Steps that put this source's files into the stage folder."""
        return []

    def examine(self, root: Path, stage: Path) -> Iterable[Text]:
        """What is wrong with a restored copy: `root` stands for "/", `stage` is the restored stage folder."""
        return ()


def write_note(path: Path, body: dict[str, Any]) -> None:
    """Writes a staging note beside what was staged; the drill compares with it. Never half-written."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(body, ensure_ascii=False, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    temporary.chmod(0o600)
    temporary.replace(path)


def read_note(path: Path) -> dict[str, Any]:
    """The note that staging wrote. Raises OSError or ValueError."""
    body = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(body, dict):
        raise ValueError(f"{path.name} is not a note")
    return body
