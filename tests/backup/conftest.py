"""Fixtures of the backup tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backup.room import Room, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised repository that opens fast, made once."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def room(tmp_path: Path, template: Path) -> Room:
    """A site with a repository of its own."""
    return Room(tmp_path, template)
