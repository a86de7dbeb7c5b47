"""The database's owner against whoever counts in it or puts it back: no power of the server's may be borrowed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg")

from backup.sources.mariadb import Source, strong  # noqa: E402
from backup.stream import Origin, main, runner_of  # noqa: E402
from ops.steps import StepResult  # noqa: E402
from tests.backup.dumps import give, note, processes, stream, streamed  # noqa: E402
from tests.backup.room import Room  # noqa: E402
from tests.backup.servers import MariaDB, mariadb, postgresql  # noqa: E402, F401 - fixtures
from tests.playbooks.test_databases import plan  # noqa: E402
from tests.postgres import Postgres  # noqa: E402

_RISE = """CREATE FUNCTION {name} LANGUAGE plpgsql AS $$ BEGIN
 IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user) THEN
  EXECUTE 'COPY (SELECT 1) TO PROGRAM ''id > {flag}'''; END IF; RETURN {value}; END $$;"""
_EVIL_MARIADB = """CREATE TABLE bai2 (id int); INSERT INTO bai2 VALUES (1),(2); CREATE TABLE rieng (a text);
DELIMITER //
CREATE FUNCTION evil() RETURNS int SQL SECURITY INVOKER MODIFIES SQL DATA BEGIN
 DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
 SET SESSION tx_read_only = OFF;
 UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.access', 18446744073709551615) WHERE User = 'chu'; RETURN 1; END//
CREATE FUNCTION cat(what text) RETURNS int SQL SECURITY DEFINER MODIFIES SQL DATA BEGIN
 DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
 SET SESSION tx_read_only = OFF; INSERT INTO rieng VALUES (what); RETURN 1; END//
DELIMITER ;
CREATE SQL SECURITY INVOKER VIEW bai AS SELECT id FROM bai2 WHERE evil() = 1 AND cat(CURRENT_USER()) = 1;"""


def sql(server: Postgres, text: str, base: str = "postgres", user: str = "postgres") -> list[tuple[object, ...]]:
    with psycopg.connect(f"host={server.folder} user={user}", dbname=base, autocommit=True) as held:
        answer = held.execute(text)
        return answer.fetchall() if answer.description else []


@pytest.fixture
def trang(postgresql: Postgres) -> Iterator[Postgres]:  # noqa: F811
    """A PostgreSQL with the database `portal` of the role `trang`."""
    sql(postgresql, "CREATE ROLE trang LOGIN; CREATE ROLE doc LOGIN; GRANT pg_read_all_data TO doc")
    sql(postgresql, "CREATE DATABASE portal OWNER trang")
    try:
        yield postgresql
    finally:
        for name, in sql(postgresql, "SELECT datname FROM pg_database WHERE datname LIKE 'portal%'"):
            sql(postgresql, f'DROP DATABASE "{name}" WITH (FORCE)')
        sql(postgresql, "DROP ROLE doc; DROP ROLE trang")


def on(server: Postgres, user: str, **more: object) -> dict[str, object]:
    return {"kind": "postgresql", "name": "tin", "database": "portal", "socket": str(server.folder), "user": user, **more}


def test_a_superuser_looks_and_dumps_but_runs_no_code_of_the_owner(room: Room, trang: Postgres) -> None:
    looked, counted = trang.folder / "pwned-look", trang.folder / "pwned-query"
    owner = {"base": "portal", "user": "trang"}
    sql(trang, "CREATE TABLE bai2 AS SELECT n AS id FROM generate_series(1, 300) n", **owner)
    sql(trang, _RISE.format(name="public.convert_to(text, text) RETURNS bytea", flag=looked,
                            value="pg_catalog.convert_to($1::text, 'UTF8'::name)"), **owner)
    sql(trang, _RISE.format(name="evil() RETURNS int", flag=counted, value="1"), **owner)
    sql(trang, "CREATE VIEW bai AS SELECT id FROM bai2 WHERE evil() = 1", **owner)
    sql(trang, "ALTER DATABASE portal SET search_path = public, pg_catalog", **owner)
    for hidden in ("SET lock_timeout = 0", "SET role = 'trang'", "SET session_authorization = 'trang'"):
        try:
            sql(trang, f"ALTER DATABASE portal {hidden}", **owner)
        except psycopg.Error:
            continue  # the server does not let the owner hide who is connected
        give(room, on(trang, "postgres", queries={"so_bai": "SELECT COUNT(*) FROM bai"}))
        result = stream(room)
        assert result.code == 3 and streamed(room), note(room)["trouble"]
        told = note(room)
        assert "CREATE ROLE sao_luu LOGIN" in told["trouble"] and "GRANT pg_read_all_data TO sao_luu" in told["trouble"]
        assert told["counts"] == {} and "public.bai" in told["tables"]
        assert not looked.exists() and not counted.exists(), hidden
        sql(trang, "ALTER DATABASE portal RESET role; ALTER DATABASE portal RESET session_authorization")
    give(room, on(trang, "doc", queries={"so_bai": "SELECT COUNT(*) FROM bai"}))
    assert stream(room).code == 0 and note(room)["counts"] == {"so_bai": [300, 300]}
    assert not looked.exists() and not counted.exists()


@pytest.mark.parametrize("power", ["CREATE ROLE manh CREATEROLE", "CREATE ROLE manh IN ROLE pg_execute_server_program",
                                   "CREATE ROLE manh IN ROLE postgres", "CREATE ROLE manh NOINHERIT IN ROLE pg_write_server_files"])
def test_borrowed_powers_count_as_powers(room: Room, trang: Postgres, power: str) -> None:
    sql(trang, power.replace("manh", "manh LOGIN") + "; GRANT pg_read_all_data TO manh")
    try:
        give(room, on(trang, "manh", queries={"n": "SELECT 1"}))
        assert stream(room).code == 3 and "CREATE ROLE sao_luu" in note(room)["trouble"]
    finally:
        sql(trang, "DROP ROLE manh")


def test_a_superuser_does_not_load_what_the_owner_wrote(room: Room, trang: Postgres) -> None:
    sql(trang, """CREATE FUNCTION public.evil(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
      IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        ALTER ROLE trang SUPERUSER; END IF; RETURN true; END $$;
      CREATE TABLE bai (id int CHECK (public.evil(id))); INSERT INTO bai SELECT generate_series(1,300)""", "portal", "trang")
    give(room, on(trang, "postgres"))
    room.night()
    last = room.carry(plan(room).steps)[-1]
    assert not last.done and 'CREATE ROLE khoi_phuc LOGIN CREATEDB' in last.trouble.vi and 'GRANT "trang" TO' in last.trouble.vi
    assert sql(trang, "SELECT rolsuper FROM pg_roles WHERE rolname = 'trang'") == [(False,)]
    assert len(sql(trang, "SELECT 1 FROM pg_database WHERE datname LIKE 'portal%'")) == 1


def test_a_databases_settings_are_no_sql_for_whoever_restores(room: Room, trang: Postgres) -> None:
    """A search path may be any text; it is copied to the restored database only where it is a list of names."""
    sql(trang, "CREATE ROLE khoi_phuc LOGIN CREATEDB; GRANT trang TO khoi_phuc")
    sql(trang, "CREATE DATABASE khac OWNER khoi_phuc")
    sql(trang, "CREATE TABLE bai (id int)", "portal", "trang")
    with psycopg.connect(f"host={trang.folder} user=trang", dbname="portal", autocommit=True) as held:
        held.execute("SELECT set_config('search_path', 'public;COMMENT/**/ON/**/DATABASE/**/khac/**/IS/**/$$hong$$', false)")
        held.execute("ALTER DATABASE portal SET search_path FROM CURRENT; ALTER DATABASE portal SET DateStyle = 'ISO, DMY'")
    try:
        give(room, on(trang, "khoi_phuc"))
        room.night()
        results = room.carry(plan(room).steps)
        assert all(one.done for one in results), results[-1].trouble
        assert sql(trang, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'khac'") == [(None,)]
        assert sql(trang, "SHOW DateStyle", "portal") == [("ISO, DMY",)]
    finally:
        for name, in sql(trang, "SELECT datname FROM pg_database WHERE datname LIKE 'portal%' OR datname = 'khac'"):
            sql(trang, f'DROP DATABASE "{name}" WITH (FORCE)')
        sql(trang, "DROP ROLE khoi_phuc")
        sql(trang, "CREATE DATABASE portal OWNER trang")


@pytest.fixture
def chu(mariadb: MariaDB) -> MariaDB:  # noqa: F811
    """A MariaDB with the database `portal` of a hostile owner."""
    mariadb.sql("DROP DATABASE IF EXISTS portal; CREATE DATABASE portal; CREATE OR REPLACE USER chu@localhost;"
                "GRANT ALL ON portal.* TO chu@localhost; CREATE OR REPLACE USER sao_luu@localhost;"
                "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, EXECUTE ON portal.* TO sao_luu@localhost;"
                "GRANT SELECT ON mysql.proc TO sao_luu@localhost")
    own = ("mariadb", "--no-defaults", "--user=chu", f"--socket={mariadb.socket}", "portal")
    subprocess.run(own, input=_EVIL_MARIADB, text=True, check=True, capture_output=True, timeout=60)
    return mariadb


def test_mariadbs_root_counts_nothing_and_says_how_to_go_on(room: Room, chu: MariaDB) -> None:
    source = {"kind": "mariadb", "name": "tin", "database": "portal", "socket": str(chu.socket),
              "queries": {"so_bai": "SELECT COUNT(*) FROM bai"}}
    before = chu.sql("SELECT Priv FROM mysql.global_priv WHERE User = 'chu'")
    give(room, {**source, "user": "root"})
    assert stream(room).code == 3 and streamed(room)
    trouble = note(room)["trouble"]
    assert "CREATE USER sao_luu@localhost" in trouble and "ON `portal`.* TO sao_luu@localhost" in trouble, trouble
    assert note(room)["counts"] == {} and chu.sql("SELECT Priv FROM mysql.global_priv WHERE User = 'chu'") == before
    give(room, {**source, "user": "sao_luu"})
    # a reader counts; the view's functions cannot write, not even with their owner's rights
    stream(room)
    assert chu.sql("SELECT COUNT(*) FROM portal.rieng") == ["0"], note(room)
    assert chu.sql("SELECT Priv FROM mysql.global_priv WHERE User = 'chu'") == before


@pytest.mark.parametrize(("grant", "power"), [
    ("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", True),
    ("GRANT SELECT, INSERT ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'", True),
    ("GRANT SELECT ON *.* TO `a`@`%` WITH GRANT OPTION", True),
    ("GRANT FILE ON *.* TO `a`@`%`", True),
    ("GRANT UPDATE (Priv) ON `mysql`.`global_priv` TO `a`@`%`", True),
    ("GRANT ALL PRIVILEGES ON `%`.* TO `a`@`%`", True),
    ("GRANT INSERT ON `my_ql`.* TO `a`@`%`", True),
    ("GRANT `manh` TO `a`@`%`", True),
    ("GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION", True),
    ("GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'", False),
    ("GRANT SELECT, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER ON *.* TO `a`@`%`", False),
    ("GRANT ALL PRIVILEGES ON `portal`.* TO `a`@`%`", False),
    ("GRANT SELECT ON `mysql`.`proc` TO `a`@`%`", False)])
def test_which_grants_are_powers(grant: str, power: bool) -> None:
    assert bool(strong(grant)) is power and "94BDCEBE" not in strong(grant)


def test_the_loading_client_hands_out_no_file_and_obeys_no_command(chu: MariaDB, tmp_path: Path) -> None:
    from playbooks.parts.mariadb import Server

    (tmp_path / "rieng").write_text("root-only\n")
    source = Source(kind="mariadb", name="tin", database="portal", socket=str(chu.socket), user="root")
    with runner_of("")[0] as here:
        client = Server(Origin(here, "root", source, b"")).client("portal")
    for words in (f"LOAD DATA LOCAL INFILE '{tmp_path}/rieng' INTO TABLE rieng;", f"\\! touch {tmp_path}/owned\n",
                  f"system touch {tmp_path}/owned\n", f"source {tmp_path}/rieng\n", f"tee {tmp_path}/owned\nSELECT 1;\n"):
        done = subprocess.run(client.argv, input=words, text=True, capture_output=True, timeout=60)
        assert done.returncode != 0, words
    assert not (tmp_path / "owned").exists() and chu.sql("SELECT COUNT(*) FROM portal.rieng") == ["0"]
    assert "--sandbox" in client.argv and "quá cũ" in source.hint(7, "mariadb: unknown option '--sandbox'")


def powers(server: MariaDB) -> list[str]:
    return server.sql("SELECT Priv FROM mysql.global_priv WHERE User = 'chu'")


def view_in_the_copy_only(room: Room, server: MariaDB) -> StepResult:
    """Copies the hostile database, takes its view away from the live one, and puts the copy back as root."""
    source = {"kind": "mariadb", "name": "tin", "database": "portal", "socket": str(server.socket), "user": "sao_luu",
              "restore_user": "root"}
    give(room, source)
    room.night()
    give(room, {**source, "queries": {"so_bai": "SELECT COUNT(*) FROM bai"}})
    server.sql("DROP VIEW bai; DROP FUNCTION evil; DROP FUNCTION cat; CREATE TABLE bai (id int)", "portal")
    return room.carry(plan(room).steps)[-1]


def test_a_view_that_came_with_the_dump_is_not_counted_by_who_restores(room: Room, chu: MariaDB) -> None:
    """The live database has no view any more, the copy has: it loads beside, and is refused before root counts in it."""
    before = powers(chu)
    chu.sql("SELECT COUNT(*) FROM bai", "portal")
    assert powers(chu) != before  # the trap is armed: whoever counts as root hands his powers over
    chu.sql("DROP USER chu@localhost; CREATE USER chu@localhost; GRANT ALL ON `portal%`.* TO chu@localhost")  # as hosting panels do
    before = powers(chu)
    last = view_in_the_copy_only(room, chu)
    assert not last.done and "có 1 views, 2 routines" in last.trouble.vi and "--to" in last.trouble.vi, last.trouble
    assert powers(chu) == before
    assert chu.sql("SHOW DATABASES LIKE 'portal%'") == ["portal"]


def test_a_view_whose_maker_has_no_right_beside_says_how_to_go_on(room: Room, chu: MariaDB) -> None:
    """MariaDB makes no view that calls a function which its definer may not run in the database it is loaded into."""
    before = powers(chu)
    last = view_in_the_copy_only(room, chu)
    assert not last.done and "ERROR 1370" in last.trouble.vi and "--to" in last.trouble.vi, last.trouble
    assert powers(chu) == before
    assert chu.sql("SHOW DATABASES LIKE 'portal%'") == ["portal"]


def test_a_dump_that_stands_still_is_ended_and_told(room: Room, chu: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """mariadb-dump (10.11) looks for ever for a delimiter where an event holds `;;`: the owner could stop every night for hours."""
    chu.sql("DELIMITER //\nCREATE EVENT dung ON SCHEDULE EVERY 1 DAY DO SELECT ';;'//", "portal")
    give(room, {"kind": "mariadb", "name": "tin", "database": "portal", "socket": str(chu.socket), "user": "sao_luu"})
    steps = [step for step in room.plan().steps if {"backup.stage", "backup.stream"} & set(step.argv)]
    room.carry((steps[0],))
    argv = steps[1].argv
    monkeypatch.setattr("backup.stream.SILENT_SECONDS", 3.0)
    for name, value in {**steps[1].env, "RESTIC_PASSWORD_FILE": str(room.tmp / "mat-khau")}.items():
        monkeypatch.setenv(name, value)
    held = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)}
    begun = time.monotonic()
    try:
        code = main(list(argv[argv.index("backup.stream") + 1:]))
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
    assert code == 3 and time.monotonic() - begun < 40 and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert "không có dữ liệu" in note(room)["trouble"] and streamed(room) == []
    assert processes("mariadb-dump", str(chu.socket)) == []
