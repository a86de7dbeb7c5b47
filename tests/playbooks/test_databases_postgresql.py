"""restore_site with PostgreSQL: loaded beside, checked, renamed in one transaction while people are connected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")

from tests.backup.conftest import room, template  # noqa: E402, F401 - fixtures
from tests.backup.room import Room  # noqa: E402
from tests.playbooks.test_databases import done, plan  # noqa: E402
from tests.postgres import Postgres, running  # noqa: E402


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL."""
    with running() as made:
        yield made


def sql(server: Postgres, statement: str, base: str = "postgres") -> list[Any]:
    with psycopg.connect(f"host={server.folder} user=postgres", dbname=base, autocommit=True) as held:
        answer = held.execute(statement)
        return [row[0] for row in answer.fetchall()] if answer.description else []


@pytest.fixture
def portal(room: Room, server: Postgres) -> Iterator[Room]:  # noqa: F811
    """The room with a database of the role `trang`, with a view, privileges and a setting of its own."""
    sql(server, "CREATE ROLE trang LOGIN; CREATE ROLE khoi_phuc LOGIN CREATEDB; GRANT trang TO khoi_phuc")
    sql(server, 'CREATE DATABASE "cổng tin" OWNER trang')
    sql(server, 'REVOKE CONNECT ON DATABASE "cổng tin" FROM PUBLIC')
    sql(server, "ALTER DATABASE \"cổng tin\" SET lock_timeout = '7s'")
    sql(server, "CREATE TABLE bai AS SELECT n AS id, 'bài ' || n AS ten FROM generate_series(1, 300) AS n; "
                "CREATE VIEW moi AS SELECT * FROM bai WHERE id > 290; ALTER TABLE bai OWNER TO trang; ALTER VIEW moi OWNER TO trang", "cổng tin")
    source = {"kind": "postgresql", "name": "tin", "database": "cổng tin", "socket": str(server.folder), "user": "khoi_phuc",
              "queries": {"so_bai": "SELECT COUNT(*) FROM bai", "moi": "SELECT COUNT(*) FROM moi"}}
    sets = {"user": {"level": "user", "schedule": "30 1 * * *", "source": [source]},
            "system": {"level": "system", "schedule": "0 2 * * *", "source": [{"kind": "files", "paths": [str(room.etc)]}]}}
    room.more = {"set": sets}
    room.site.settings["backup"] = room.settings()
    try:
        yield room
    finally:
        for name in bases(server):
            sql(server, f'DROP DATABASE "{name}" WITH (FORCE)')
        sql(server, "DROP ROLE khoi_phuc; DROP ROLE trang")


def bases(server: Postgres) -> list[str]:
    return sql(server, "SELECT datname FROM pg_database WHERE datname LIKE 'cổng%' ORDER BY 1")


def test_a_spoilt_database_comes_back_while_the_site_is_connected(portal: Room, server: Postgres) -> None:
    portal.night()
    sql(server, "DELETE FROM bai WHERE id > 5", "cổng tin")
    held = psycopg.connect(f"host={server.folder} user=trang", dbname="cổng tin")
    try:
        held.execute("SELECT 1")
        done(portal.carry(plan(portal).steps))
    finally:
        held.close()
    live, kept = bases(server)
    assert sql(server, "SELECT COUNT(*) FROM bai", live) == [300] and sql(server, "SELECT COUNT(*) FROM bai", kept) == [5]
    told = "SELECT pg_get_userbyid(datdba) || ' ' || has_database_privilege('trang', oid, 'CONNECT')::text || ' ' || (datacl::text NOT LIKE '%{{=c%')::text"
    assert sql(server, f"{told.replace('{{', '{')} FROM pg_database WHERE datname = 'cổng tin'") == ["trang true true"]
    assert sql(server, "SHOW lock_timeout", live) == ["7s"]


def test_undo_and_a_database_that_vanished(portal: Room, server: Postgres) -> None:
    portal.night()
    sql(server, "DELETE FROM bai WHERE id > 5", "cổng tin")
    results = portal.carry(plan(portal).steps[:-2])
    done(results)
    done(portal.undo(results))
    assert bases(server) == ["cổng tin"] and sql(server, "SELECT COUNT(*) FROM bai", "cổng tin") == [5]
    sql(server, 'DROP DATABASE "cổng tin" WITH (FORCE)')
    done(portal.carry(plan(portal).steps))
    assert bases(server) == ["cổng tin"] and sql(server, "SELECT COUNT(*) FROM moi", "cổng tin") == [10]
