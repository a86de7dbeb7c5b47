"""Fixtures of the journeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backup.room import make_template
from tests.journeys.place import Place


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised repository that opens fast, made once."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Place:
    """A fresh machine."""
    return Place(tmp_path / "m", template)
