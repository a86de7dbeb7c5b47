"""A small world for engine tests: a real store and key, a real configuration file, duties planted by the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.act import Actor
from ops.catalog import Catalog
from ops.config import Config, load
from ops.duty import Duty
from ops.engine import Engine
from ops.model import Site
from ops.signing import Signer
from ops.store import Store, open_store
from ops.store.audit import verify_site

BEGIN = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


class Clock:
    """A clock that the test sets; each asking moves it by a millisecond, so that lines keep their order."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


class World:
    """Engine, actor, store and one site `a`, below a folder."""

    def __init__(self, tmp: Path, duties: list[Duty], *, settings: dict[str, Any] | None = None) -> None:
        (tmp / "gaccong.toml").write_text(
            '[site.a]\nname = "Trang A"\npolicy = "thong-nhat"\nurl = "https://a.example/"\n', encoding="utf-8")
        read = load(tmp / "gaccong.toml", {})
        site = replace(read.sites["a"], settings={"t": {}} if settings is None else settings)
        self.config: Config = replace(read, sites={"a": site})
        self.tmp = tmp
        self.site: Site = site
        self.clock = Clock()
        self.catalog = Catalog({duty.name: duty for duty in duties})
        key = tmp / "key"
        self.signer = Signer.load(key) if key.exists() else Signer.create(key, "gaccong/test")
        self.store: Store = open_store(f"sqlite:///{tmp}/s.db", self.signer)
        self.engine = Engine(self.config, self.store, self.catalog, clock=self.clock)
        self.told: list[str] = []
        self.actor = Actor(self.engine, tell=lambda text: self.told.append(text.en))

    def look(self, name: str) -> list[Any]:
        """Looks with one check."""
        return self.engine.look_now(self.site, [self.catalog.duties[name]])  # type: ignore[list-item]

    def lines(self, kind: str = "") -> list[Any]:
        """Ledger lines."""
        return self.store.evidence("a", kind=kind)

    def verified(self) -> bool:
        """Whether the ledger verifies."""
        return verify_site(self.store, "a", self.signer.public).ok


def shell(why: str, script: str, undo: str = "", **more: Any) -> Any:
    """A step that runs a small script, with an undo script."""
    from ops.model import Step, say

    back = Step(say(why, why), ("sh", "-c", undo)) if undo else None
    return Step(say(why, why), ("sh", "-c", script), undo=back, **more)


Maker = Callable[..., Any]
