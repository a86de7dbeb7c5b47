"""Alembic runs this: migrations go over the connection that `ops.store.migrate` has opened and will commit."""

from __future__ import annotations

from alembic import context

from ops.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
