"""Secrets that a configuration names and that are not there; and whether copies would be lost with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ops.cli.session import Session
    from ops.config import Config
    from ops.model import Site


def missing_file(reference: str) -> Path | None:
    """The file of a `file:` reference that is not there."""
    path = Path(reference.removeprefix("file:"))
    return path if reference.startswith("file:") and not path.exists() else None


def missing_secrets(config: Config) -> list[Path]:
    """The files that the configuration names as secrets and that are not there."""

    def walk(value: Any) -> Iterator[Path]:
        if isinstance(value, dict):
            for one in value.values():
                yield from walk(one)
        elif isinstance(value, list | tuple):
            for one in value:
                yield from walk(one)
        elif isinstance(value, str) and value.startswith("file:/") and (missing := missing_file(value)):
            yield missing

    parts = [part for site in config.sites.values() for part in site.settings.values()]
    bodies = [
        part.model_dump() for part in (*parts, *config.tops.values(), config.serve) if hasattr(part, "model_dump")
    ]
    return list(dict.fromkeys(walk(bodies)))


def copied(session: Session, site: Site) -> bool:
    """Whether the ledger knows copies of the site. Where it cannot be read nothing is known."""
    from ops.errors import GaccongError

    try:
        view: Any = session.reading
        lines = [
            line for duty in ("backup.run", "backup.heal") for line in view.evidence(site.id, kind="outcome", duty=duty)
        ]
    except GaccongError:
        return False
    answers = (step.get("answer") for line in lines for step in line.body.get("steps", ()))
    return any(isinstance(one, dict) and one.get("snapshot_id") for one in answers)
