"""The tables, for writing. The migrations are the history of this; a test compares the two.

Moments are microseconds since 1970 (UTC) in a BIGINT: exact, ordered and the same on both databases.
`lines.body` is the ledger: canonical bytes as hashed. All other columns are an index over it, or can be made again.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()
_Serial = BigInteger().with_variant(Integer(), "sqlite")

heads = Table(
    "heads",
    metadata,
    Column("site", String, primary_key=True),
    Column("lines", BigInteger, nullable=False),
    Column("root", String(64), nullable=False),
    Column("leaf", String(64), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("vkey", String, nullable=False),
)
lines = Table(
    "lines",
    metadata,
    Column("site", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("duty", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("intent", BigInteger),
    Column("leaf", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    ForeignKeyConstraint(["site"], ["heads.site"]),
)
Index("lines_by_kind", lines.c.site, lines.c.kind, lines.c.duty, lines.c.seq)
Index("lines_by_duty", lines.c.site, lines.c.duty, lines.c.subject, lines.c.seq)
Index("lines_by_time", lines.c.site, lines.c.time)
Index("lines_by_intent", lines.c.site, lines.c.intent)
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("site", String, primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    ForeignKeyConstraint(["site"], ["heads.site"]),
)
states = Table(
    "states",
    metadata,
    Column("site", String, primary_key=True),
    Column("duty", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("verdict", String, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("said", Text, nullable=False),
    Column("evidence", BigInteger, nullable=False),
    Column("every_seconds", Double, nullable=False),
    Column("pending", String),
    Column("pending_count", Integer, nullable=False),
    Column("pending_since", BigInteger),
)
flips = Table(
    "flips",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("site", String, nullable=False),
    Column("duty", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("verdict", String, nullable=False),
)
Index("flips_by_subject", flips.c.site, flips.c.duty, flips.c.subject, flips.c.time)
runs = Table(
    "runs",
    metadata,
    Column("site", String, primary_key=True),
    Column("duty", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("due", BigInteger),
)
plans = Table(
    "plans",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("site", String, nullable=False),
    Column("change", String, nullable=False),
    Column("args", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
)
