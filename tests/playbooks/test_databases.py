"""restore_site with MariaDB: loaded beside, checked, exchanged in one moment; undo, crashes, and what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.changes.restore import restore
from ops.errors import PlanRefused
from ops.model import Plan
from playbooks.parts import database
from playbooks.restore_site import restore_site
from tests.backup.conftest import room, template  # noqa: F401 - fixtures
from tests.backup.room import Room
from tests.backup.wordpress import Server

WORD = "mật khẩu \"lạ\" \\ 'x'"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A MariaDB."""
    made = Server()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def portal(room: Room, server: Server) -> Iterator[Room]:  # noqa: F811
    """The room with a database of two tables, one pointing at the other; its user may do what a restore needs."""
    server.sql("CREATE DATABASE `cổng-tin` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; USE `cổng-tin`;"
               "CREATE TABLE muc (id INT PRIMARY KEY, ten VARCHAR(50)) ENGINE=InnoDB;"
               "CREATE TABLE bai (id INT PRIMARY KEY, muc INT, ten VARCHAR(50), FOREIGN KEY (muc) REFERENCES muc (id)) ENGINE=InnoDB;"
               "INSERT INTO muc VALUES (1, 'Thông báo'); INSERT INTO bai SELECT seq, 1, CONCAT('bài ', seq) FROM seq_1_to_300;")
    quoted = WORD.replace("\\", "\\\\").replace("'", "\\'")
    server.sql(f"CREATE USER sao_luu@localhost IDENTIFIED BY '{quoted}'; GRANT ALL ON `cổng-tin%`.* TO sao_luu@localhost")
    (room.tmp / "mk").write_text(WORD)
    (room.tmp / "mk").chmod(0o600)
    source = {"kind": "mariadb", "name": "tin", "database": "cổng-tin", "socket": str(server.socket), "user": "sao_luu",
              "password": "file:mk", "queries": {"so_bai": "SELECT COUNT(*) FROM bai"}}
    sets = {"user": {"level": "user", "schedule": "30 1 * * *", "source": [{"kind": "files", "paths": [str(room.www)]}, source]},
            "system": {"level": "system", "schedule": "0 2 * * *", "source": [{"kind": "files", "paths": [str(room.etc)]}]}}
    room.more = {"set": sets}
    room.site.settings["backup"] = room.settings()
    try:
        yield room
    finally:
        for name in server.sql("SHOW DATABASES").splitlines():
            if name not in ("mysql", "sys", "information_schema", "performance_schema"):
                server.sql(f"DROP DATABASE `{name}`")
        server.sql("DROP USER sao_luu@localhost")


def plan(room: Room, **args: str) -> Plan:  # noqa: F811
    return restore_site.function(room.site, room.ctx(), **args)


def count(server: Server, base: str = "cổng-tin", table: str = "bai") -> int:
    return int(server.sql(f"SELECT COUNT(*) FROM `{base}`.`{table}`"))


def bases(server: Server) -> list[str]:
    return sorted(name for name in server.sql("SHOW DATABASES").splitlines() if name.startswith("cổng"))


def done(results: list) -> None:  # type: ignore[type-arg]
    assert all(result.done for result in results), results[-1].trouble


def test_a_spoilt_database_comes_back_and_the_spoilt_one_is_kept(portal: Room, server: Server) -> None:
    portal.night()
    (portal.www / "index.html").write_text("hacked")
    server.sql("DELETE FROM bai WHERE id > 5; CREATE TABLE cua_hau (x INT)", "cổng-tin")
    made = plan(portal)
    assert WORD not in str(made) and made == plan(portal)
    done(portal.carry(made.steps))
    assert count(server) == 300 and (portal.www / "index.html").read_text() == "<h1>Xã mẫu</h1>\n"
    live, kept = bases(server)
    assert "__truoc_khoi_phuc_" in kept and count(server, kept) == 5 and count(server, kept, "cua_hau") == 0
    # the constraint came along: it points within the live database
    with pytest.raises(subprocess.CalledProcessError) as wrong:
        server.sql("INSERT INTO bai VALUES (999, 7, 'x')", "cổng-tin")
    assert "1452" in wrong.value.stderr
    done(portal.carry(plan(portal).steps))  # and once more
    assert count(server) == 300 and len(bases(server)) == 3


def test_a_database_that_vanished_is_made_again(portal: Room, server: Server) -> None:
    portal.night()
    server.sql("DROP DATABASE `cổng-tin`")
    done(portal.carry(plan(portal).steps))
    assert bases(server) == ["cổng-tin"] and count(server) == 300
    assert server.sql("SELECT default_collation_name FROM information_schema.schemata WHERE schema_name LIKE 'cổng%'") == "utf8mb4_unicode_ci\n"


def test_undo_brings_the_old_database_back(portal: Room, server: Server) -> None:
    portal.night()
    server.sql("DELETE FROM bai WHERE id > 5", "cổng-tin")
    results = portal.carry(plan(portal).steps[:-2])
    done(results)
    assert count(server) == 300
    done(portal.undo(results))
    assert count(server) == 5 and bases(server) == ["cổng-tin"]
    assert not list((portal.tmp / "home/restores").glob("db-*"))


def test_undo_where_nothing_was(portal: Room, server: Server) -> None:
    portal.night()
    server.sql("DROP DATABASE `cổng-tin`")
    results = portal.carry(plan(portal).steps[:-2])
    assert count(server) == 300
    done(portal.undo(results))
    assert bases(server) == []


def test_every_step_can_be_run_twice(portal: Room, server: Server) -> None:
    portal.night()
    server.sql("DELETE FROM bai", "cổng-tin")
    for step in plan(portal).steps:
        done(portal.carry((step,)))
        again = portal.carry((step,))[0]
        assert again.done or "đã đổi xong" in again.trouble.vi, again.trouble
    assert count(server) == 300


@pytest.mark.parametrize("moment", ["loaded", "half", "renamed"])
def test_a_killed_restore_is_finished_by_the_next(portal: Room, server: Server, moment: str) -> None:
    """The process died after loading, in the middle of the exchange (a server without atomic renames), or after it."""
    portal.night()
    server.sql("DELETE FROM bai WHERE id > 5", "cổng-tin")
    steps = plan(portal).steps
    at = next(number for number, step in enumerate(steps) if step.argv[3:5] == ("playbooks.parts.database", "swap"))
    done(portal.carry(steps[:at]))
    path, = (portal.tmp / "home/restores").glob("db-*.json")
    note = json.loads(path.read_text())
    digits = note["digits"]
    if moment != "loaded":
        path.write_text(json.dumps(note | {"state": "swapping"}))
        server.sql(f"CREATE DATABASE `cổng-tin__truoc_khoi_phuc_{digits}`; SET foreign_key_checks=0;"
                   f"RENAME TABLE `cổng-tin`.bai TO `cổng-tin__truoc_khoi_phuc_{digits}`.bai")
    if moment == "renamed":
        server.sql(f"SET foreign_key_checks=0; RENAME TABLE `cổng-tin`.muc TO `cổng-tin__truoc_khoi_phuc_{digits}`.muc,"
                   f"`cổng-tin__gaccong_{digits}`.bai TO `cổng-tin`.bai, `cổng-tin__gaccong_{digits}`.muc TO `cổng-tin`.muc")
    finish = [step for step in plan(portal).steps if step.argv[3:5] == ("playbooks.parts.database", "finish")]
    assert len(finish) == 1
    done(portal.carry(tuple(finish)))
    assert count(server) == (5 if moment == "loaded" else 300)
    if moment != "loaded":
        assert count(server, f"cổng-tin__truoc_khoi_phuc_{digits}") == 5
    assert list(database.unfinished(portal.tmp / "home")) == []


def test_a_dump_that_is_not_the_noted_one_never_goes_live(portal: Room, server: Server) -> None:
    body = portal.night()
    server.sql("DELETE FROM bai WHERE id > 5", "cổng-tin")
    portal.night()
    five = next(step["answer"] for step in portal.ledger.lines[-1].body["steps"] if (step["answer"] or {}).get("stream"))
    right = next(step["answer"] for step in body["steps"] if (step["answer"] or {}).get("stream"))
    server.sql("DELETE FROM bai WHERE id > 1", "cổng-tin")
    right["snapshot_id"] = five["snapshot_id"]  # the ledger is right, the repository hands out another night's dump
    first = next(step["answer"]["snapshot_id"] for step in body["steps"] if "total_files_processed" in (step["answer"] or {}))
    results = portal.carry(plan(portal, at=first).steps)
    assert not results[-1].done and "SHA-256" in results[-1].trouble.vi
    done(portal.undo(results))
    assert count(server) == 1 and bases(server) == ["cổng-tin"]


def test_what_cannot_be_exchanged_is_refused_before_anything_is_touched(portal: Room, server: Server) -> None:
    server.sql("CREATE VIEW moi AS SELECT * FROM bai", "cổng-tin")
    portal.night()
    before = (portal.www / "index.html").read_text()
    results = portal.carry(plan(portal).steps)
    assert not results[-1].done and "1 views" in results[-1].trouble.vi and "--to" in results[-1].trouble.vi
    done(portal.undo(results))
    assert bases(server) == ["cổng-tin"] and (portal.www / "index.html").read_text() == before


def test_an_account_that_may_only_read_is_told(portal: Room, server: Server) -> None:
    portal.night()
    server.sql("REVOKE ALL ON `cổng-tin%`.* FROM sao_luu@localhost; GRANT SELECT ON *.* TO sao_luu@localhost")
    results = portal.carry(plan(portal).steps)
    assert not results[-1].done and "không có quyền" in results[-1].trouble.vi
    assert bases(server) == ["cổng-tin"]


def test_an_id_is_enough_when_the_ledger_is_lost(portal: Room, server: Server) -> None:
    body = portal.night()
    main = next(step["answer"]["snapshot_id"] for step in body["steps"] if "total_files_processed" in (step["answer"] or {}))
    portal.ledger.lines.clear()
    server.sql("DROP DATABASE `cổng-tin`")
    with pytest.raises(PlanRefused):
        plan(portal)
    done(portal.carry(plan(portal, at=main[:8]).steps))
    assert count(server) == 300


def test_the_dump_comes_out_as_a_file(portal: Room, server: Server) -> None:
    portal.night()
    to = portal.tmp / "ra"
    done(portal.carry(restore.function(portal.site, portal.ctx(), to=str(to)).steps))
    text = (to / "tin.sql").read_text()
    assert text.rstrip().splitlines()[-1].startswith("-- Dump completed") and "bài 300" in text
    assert (to / "tin.sql").stat().st_mode & 0o777 == 0o600


def test_another_machines_database_is_refused(portal: Room, server: Server) -> None:
    portal.night()
    (files, source), = [portal.site.settings["backup"].set["user"].source]
    chosen = portal.site.settings["backup"].set["user"].model_copy(update={"source": (files, source.model_copy(update={"host": "xa"}))})
    portal.site.settings["backup"].set["user"] = chosen
    with pytest.raises(PlanRefused) as refused:
        plan(portal)
    assert "--to" in refused.value.mend.vi
    assert Path(portal.www / "index.html").exists()
