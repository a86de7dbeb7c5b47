"""Brings a store's schema to the newest version, inside a transaction that nobody else can enter meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

_LOCK = 0x6761_6363
"""Number of the advisory lock that two processes starting at once contend for on PostgreSQL."""


def config() -> Config:
    """Alembic's configuration: only where the migrations are."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def upgrade(connection: Connection) -> None:
    """Runs the migrations that are missing on a connection that is in a transaction already."""
    from alembic import command
    from sqlalchemy import text

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    made = config()
    made.attributes["connection"] = connection
    command.upgrade(made, "head")
