"""Opens a store, brings its schema up to date, and begins transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.errors import GaccongError, UsageError
from ops.model import say
from ops.store import doors
from ops.store.doors import Door, EngineDoor, SqliteDoor, connect_sqlite, make_private_file
from ops.store.trouble import absent, told
from ops.store.view import StoreView, micros

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ops.signing import Signer
    from ops.store.writer import Writer

NEWEST = "0001"
"""The newest schema version; a test compares it with the migrations' own head."""


class Store(StoreView):
    """A view that also writes. Threads may share it; processes open their own."""

    def __init__(self, url: str, door: Door, signer: Signer | None) -> None:
        super().__init__(door, signer.public if signer else "")
        self.url = url
        self.signer = signer
        self.place = door.place
        self._engine: Engine | None = door.engine if isinstance(door, EngineDoor) else None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of every connection."""
        self._door.close()
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def transaction(
        self, site: str, now: datetime | Callable[[], datetime], *, accept_clock: bool = False
    ) -> Iterator[Writer]:
        """One database transaction that holds this site's head; commits all with one checkpoint, or nothing at all.

        now: the moment of what is written; a callable is asked once the lock is held, so that it cannot come too late.
        Raises ClockError (from `append`), Busy, LedgerError, or GaccongError for disk and database trouble.
        """
        from ops.store.writer import writing

        given = (self.place, site, now, self.signer, accept_clock)
        with self._begun() as connection, writing(connection, *given) as writer:
            yield writer

    def keep_plan(
        self, digest: str, site: str, change: str, args: Mapping[str, str], body: str, made: datetime
    ) -> None:
        """Keeps a plan until it is approved; the same digest again only renews its time."""
        from ops.ledger import canonical
        from ops.store import schema
        from ops.store.writer import put

        row = {
            "digest": digest,
            "site": site,
            "change": change,
            "args": canonical(args).decode(),
            "body": body,
            "made": micros(made),
        }
        with self._begun() as connection, told(self.place):
            put(connection, schema.plans, row)

    @contextmanager
    def _begun(self) -> Iterator[Any]:
        """A connection inside a transaction. The caller's own exceptions pass through untouched."""
        if self._engine is None:
            with told(self.place):
                self._engine = make_engine(self.url)
        with told(self.place):
            connection = self._engine.connect()
        with connection:
            with told(self.place):
                transaction = connection.begin()
            try:
                yield connection
                with told(self.place):
                    transaction.commit()
            except BaseException:
                with suppress(Exception):  # a lost connection has rolled back already; the first error counts
                    transaction.rollback()
                raise


def open_store(url: str, signer: Signer | None = None, *, create: bool = True) -> Store:
    """Opens the store at a SQLAlchemy URL (`sqlite:////path/x.db`, `postgresql+psycopg://...`), its schema up to date.

    With create=False a store that is not there raises GaccongError, whose mend is `gaccong run`.
    """
    if url.startswith("sqlite:"):
        return _open_sqlite(url, signer, create)
    if not url.startswith("postgresql+psycopg:"):
        raise UsageError(
            say("không hiểu địa chỉ kho: {u}…", "not a store address: {u}…", u=_scheme(url)),
            say(
                "sqlite:////đường/dẫn/kho.db hoặc postgresql+psycopg://…",
                "sqlite:////path/store.db or postgresql+psycopg://…",
            ),
        )
    return _open_server(url, signer, create)


def _open_sqlite(url: str, signer: Signer | None, create: bool) -> Store:
    path = Path(url.removeprefix("sqlite:///"))
    place = str(path)
    if not url.startswith("sqlite:///") or place in ("", ".", ":memory:"):
        raise UsageError(
            say("kho cần một tệp: sqlite:////đường/dẫn/kho.db", "a store needs a file: sqlite:////path/x.db")
        )
    if not create and (not path.is_file() or path.stat().st_size == 0):
        raise absent(place)
    try:
        make_private_file(path)
    except OSError as error:
        raise GaccongError(
            say("không tạo được kho {p}: {e}", "cannot make the store {p}: {e}", p=place, e=error.strerror or error),
            say("kiểm tra thư mục, quyền và dung lượng đĩa", "look at the folder, its rights and the room on the disk"),
        ) from None
    with told(place):
        connection = connect_sqlite(path)
        try:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = (
                connection.execute("SELECT version_num FROM alembic_version").fetchone()
                if ("alembic_version" in tables)
                else None
            )
        finally:
            connection.close()
    store = Store(url, SqliteDoor(path, place), signer)
    _bring_up(store, str(found[0]) if found else "", create)
    return store


def _open_server(url: str, signer: Signer | None, create: bool) -> Store:
    from sqlalchemy import inspect, text

    place = _server_place(url)
    with told(place):
        engine = make_engine(url)
        try:
            with engine.connect() as connection:
                there = inspect(connection).has_table("alembic_version")
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if there else ""
        except BaseException:
            engine.dispose()
            raise
    store = Store(url, EngineDoor(engine, place), signer)
    _bring_up(store, str(found or ""), create)
    return store


def _scheme(url: str) -> str:
    """So much of an address as can hold no secret."""
    return url.partition("://")[0] + "://" if "://" in url else ""


def _server_place(url: str) -> str:
    """Host and database alone: user, password and options of the address may hold secrets."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
        host = found.host or found.query.get("host") or "localhost"
    except (ArgumentError, ValueError):
        raise UsageError(
            say("địa chỉ kho PostgreSQL viết sai", "the address of the PostgreSQL store is not well formed"),
            say("postgresql+psycopg://máy/tên-kho", "postgresql+psycopg://host/database"),
        ) from None
    port = f":{found.port}" if found.port else ""
    return f"postgresql://{host if isinstance(host, str) else ','.join(host)}{port}/{found.database or ''}"


def _bring_up(store: Store, found: str, create: bool) -> None:
    """Migrates when the stored version is not the newest; only then is Alembic loaded."""
    if found == NEWEST:
        return
    try:
        if not found and not create:
            raise absent(store.place)
        if found > NEWEST:
            raise GaccongError(
                say(
                    "kho {p} do bản gaccong mới hơn ghi ({v})",
                    "the store {p} was written by a newer gaccong ({v})",
                    p=store.place,
                    v=found,
                ),
                say("nâng cấp gaccong trên máy này", "upgrade gaccong on this machine"),
            )
        from ops.store.migrate import upgrade

        with store._begun() as connection, told(store.place):
            upgrade(connection)
    except BaseException:
        store.close()
        raise


def make_engine(url: str) -> Engine:
    """A SQLAlchemy engine whose every transaction takes the write lock first (SQLite) or gives up waiting in 30 s."""
    from sqlalchemy import QueuePool, create_engine, event

    if not url.startswith("sqlite:"):
        options = f"-c lock_timeout={int(doors.WAIT_SECONDS * 1000)} -c idle_in_transaction_session_timeout=10min -c timezone=UTC"
        return create_engine(url, connect_args={"connect_timeout": 10, "options": options}, pool_pre_ping=True)
    path = Path(url.removeprefix("sqlite:///"))
    # by its bare URL SQLAlchemy would take this for a database in memory, whose pool closes other threads' connections
    engine = create_engine("sqlite://", creator=lambda: connect_sqlite(path), poolclass=QueuePool, pool_timeout=60)

    @event.listens_for(engine, "begin")
    def _immediate(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
