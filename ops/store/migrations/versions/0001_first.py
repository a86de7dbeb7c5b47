"""The first schema: heads, lines and checkpoints (the ledger), states, flips, runs, plans."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    _ledger()
    _standing()


def _ledger() -> None:
    op.create_table(
        "heads",
        sa.Column("site", sa.String(), primary_key=True),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("leaf", sa.String(64), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("vkey", sa.String(), nullable=False),
    )
    op.create_table(
        "lines",
        sa.Column("site", sa.String(), sa.ForeignKey("heads.site"), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("duty", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("intent", sa.BigInteger()),
        sa.Column("leaf", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("lines_by_kind", "lines", ["site", "kind", "duty", "seq"])
    op.create_index("lines_by_duty", "lines", ["site", "duty", "subject", "seq"])
    op.create_index("lines_by_time", "lines", ["site", "time"])
    op.create_index("lines_by_intent", "lines", ["site", "intent"])
    op.create_table(
        "checkpoints",
        sa.Column("site", sa.String(), sa.ForeignKey("heads.site"), primary_key=True),
        sa.Column("size", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
    )


def _standing() -> None:
    op.create_table(
        "states",
        sa.Column("site", sa.String(), primary_key=True),
        sa.Column("duty", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("evidence", sa.BigInteger(), nullable=False),
        sa.Column("every_seconds", sa.Double(), nullable=False),
        sa.Column("pending", sa.String()),
        sa.Column("pending_count", sa.Integer(), nullable=False),
        sa.Column("pending_since", sa.BigInteger()),
    )
    op.create_table(
        "flips",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("duty", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
    )
    op.create_index("flips_by_subject", "flips", ["site", "duty", "subject", "time"])
    op.create_table(
        "runs",
        sa.Column("site", sa.String(), primary_key=True),
        sa.Column("duty", sa.String(), primary_key=True),
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger()),
    )
    op.create_table(
        "plans",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
    )
