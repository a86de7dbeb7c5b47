"""Fixtures of the backup tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.disks import small_disk
from tests.backup.room import NEWER, Room, make_template
from tests.backup.second import make_second
from tests.backup.servers import mariadb, postgresql  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised repository that opens fast, made once."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def second_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty second repository of the template's, with a password of its own; it opens fast too."""
    return make_second(tmp_path_factory.mktemp("second"), template)


@pytest.fixture
def room(tmp_path: Path, template: Path) -> Room:
    """A site with a repository of its own."""
    return Room(tmp_path, template)


@pytest.fixture(params=["restic", NEWER], ids=["old", "newer"])
def each(request: pytest.FixtureRequest, tmp_path: Path, template: Path) -> Room:
    """The same room with Debian's restic and with a newer one: what must hold for both is tested with this."""
    return Room(tmp_path, template, program=request.param)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    with small_disk(tmp_path / "disk", "size=3m") as disk:
        yield disk
