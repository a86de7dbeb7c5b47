"""Both databases, for every contract test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.signing import Signer
from ops.store import Store, open_store
from tests.postgres import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/store.db"
    return request.getfixturevalue("postgres").url()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    Signer.create(tmp_path / "key", "gaccong/test")
    return tmp_path / "key"


@pytest.fixture
def opened(url: str, key: Path) -> Iterator[Callable[..., Store]]:
    """Opens the store as often as asked; all are closed at the end."""
    made: list[Store] = []

    def again(**options: object) -> Store:
        made.append(open_store(url, options.pop("signer", Signer.load(key)), **options))  # type: ignore[arg-type]
        return made[-1]

    yield again
    for store in made:
        store.close()


@pytest.fixture
def store(opened: Callable[..., Store]) -> Store:
    return opened()
