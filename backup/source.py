"""What every kind of source promises. A kind is one file of `backup/sources/` with one class built on `BaseSource`.

    class Source(BaseSource):
        kind: Literal["files"]
        def live(self) -> tuple[Path, ...]: ...        # what restic reads where it lies
        def streams(self) -> tuple[str, ...]: ...      # dumps that go into snapshots of their own, never to the disk
        def staged(self) -> tuple[str, ...]: ...       # names that `stage` puts into the stage folder
        def stage(self, desk: Desk) -> list[Step]: ...
        def examine(self, copy: Restored) -> Iterable[Text]: ...   # faults of a restored copy
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from backup.notes import PART_DONE as PART_DONE
from backup.notes import read_note as read_note
from backup.notes import write_note as write_note
from backup.restic import Repository
from ops import Host, Result, Step, Strict, Text

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


@dataclass(frozen=True, slots=True)
class Desk:
    """What a source gets to plan its steps with.

    folder: the set's stage. hosts: the configured machines. repository, tags: where a stream goes, and the tags that its
    snapshot carries besides `stream=NAME`; `identity`: the host name given to restic.
    """

    folder: Path
    hosts: Mapping[str, Host]
    repository: Repository
    tags: tuple[str, ...]
    identity: str


Pour = Callable[..., Result]


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored copy that a source is to examine. Everything here is the drill's own; the site is not touched.

    root:    stands for "/". stage: the restored stage folder below it, with the notes.
    scratch: an empty private folder, for a server of one's own; what is started must be ended by who starts it.
    pour:    `pour(name, argv, env=..., timeout=...)` runs a program with the dump of that name as its standard input;
             its Result has `feed_code` 0 only if the dump came out whole and had the hash that was noted.
    measures: numbers for the finding, unit in the name (`rows`, `load_seconds`); a source adds its own.
    """

    root: Path
    stage: Path
    scratch: Path
    pour: Pour
    measures: dict[str, float]


class BaseSource(Strict):
    """One `[[site.X.backup.set.NAME.source]]`. A kind that can fetch from another machine sets `reaches`."""

    reaches: ClassVar[bool] = False
    programs: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(program, Debian package) that copying or drilling this kind needs; `gaccong doctor` looks for them."""
    kind: str
    host: str = "here"

    @property
    def far(self) -> bool:
        """True for what lies on another machine."""
        return self.host != "here"

    def live(self) -> tuple[Path, ...]:
        """Paths that are copied where they lie."""
        return ()

    def excluded(self) -> tuple[str, ...]:
        """restic patterns of what is left out below the live paths."""
        return ()

    def streams(self) -> tuple[str, ...]:
        """Names of the dumps that `stage` streams into snapshots of their own, each with a note NAME.note.json."""
        return ()

    def staged(self) -> tuple[str, ...]:
        """Names of the files that must stand in the stage folder after `stage`; unique within a set."""
        return ()

    def stage(self, desk: Desk) -> list[Step]:
        """Steps that put this source's files into the stage folder, or stream its dumps into the repository."""
        return []

    def needed(self) -> tuple[str, ...]:
        """restic patterns of what `examine` must find whole even when a drill restores only a sample."""
        return ()

    def examine(self, copy: Restored) -> Iterable[Text]:
        """What is wrong with a restored copy."""
        return ()
