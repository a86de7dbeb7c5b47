"""The store: what is known of every site, and its signed ledger. SQLite embedded, PostgreSQL at scale.

    store = open_store("sqlite:////var/lib/gaccong/store.db", signer)
    with store.transaction("demo", now) as writer:
        line = writer.append("flip", "web.http", "ipv4", {"verdict": "met", ...})
        writer.put_state(state)

Reading is light: on SQLite it needs neither SQLAlchemy nor `cryptography`. Writing goes through SQLAlchemy Core, the
schema through Alembic; each is loaded when first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.store.core import Store, open_store
from ops.store.view import KeptPlan, StoreView

if TYPE_CHECKING:
    from ops.store.writer import Writer

__all__ = ["KeptPlan", "Store", "StoreView", "Writer", "open_store"]


def __getattr__(name: str) -> object:
    if name == "Writer":
        from ops.store.writer import Writer

        return Writer
    raise AttributeError(f"module 'ops.store' has no attribute {name!r}")
