"""What tests build sites and contexts with. Everything here is the real thing (runner, secrets), only small."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.duty import Context
from ops.model import Host, Site
from ops.run import Here
from ops.secrets import resolve

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


class Bare:
    """A view of a store in which nothing was ever written."""

    def states(self, site: str, duty: str = "") -> list[Any]:
        return []

    def evidence(self, site: str, **_: Any) -> list[Any]:
        return []

    def line(self, site: str, seq: int) -> None:
        return None

    def flips(self, *_: Any) -> list[Any]:
        return []

    def head(self, site: str) -> tuple[int, str]:
        return 0, ""


def make_site(**settings: Any) -> Site:
    """A site with these domain settings."""
    return Site("demo", "Trang mẫu", "thong-nhat", "https://xamau.demo.test/", ("xamau.demo.test",), settings=settings)


def make_context(
    tmp: Path,
    settings: Any = None,
    *,
    view: Any = None,
    now: datetime = NOW,
    thresholds: dict[str, float] | None = None,
    subjects: tuple[str, ...] = (),
) -> Context:
    """A context over `tmp`: scratch, home, secrets from `tmp`, commands run here."""

    def scratch() -> Path:
        place = tmp / "scratch"
        place.mkdir(exist_ok=True)
        return place

    home = tmp / "home"
    home.mkdir(exist_ok=True)
    table = thresholds or {}
    return Context(
        now=now,
        ask=lambda name: Here(),
        secret=lambda reference: resolve(reference, tmp),
        scratch=scratch,
        home=home,
        view=view or Bare(),
        settings=settings,
        threshold=lambda name, default: table.get(name, default),
        hosts={"here": Host("here")},
        log=logging.getLogger("test"),
        subjects=subjects,
    )
