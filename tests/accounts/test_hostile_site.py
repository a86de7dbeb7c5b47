"""A site's owner, who is less than root, sets traps in his database and his login page: nothing of root's is harmed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from accounts.changes.revoke import revoke
from accounts.checks import refused as refused_module
from accounts.checks.census import census
from accounts.checks.leavers import left
from accounts.checks.refused import refused
from accounts.systems import _sql_file
from accounts.web_door import WebDoor
from ops.errors import CannotSee
from ops.model import Verdict
from tests.accounts.rooms import Portal, carry_out, ground, look, take_back

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving up root needs root")
MAN = "Trần Thị Mận"
ROSTER = f"{MAN},u,r,2024-01-01,2026-01-31,trang:man\nLê Ổi,u,r,2024-01-01,,trang:oi trang:kiem\n"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others may pass through, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="gaccong-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    server = Portal(tmp_path / "site", [("man", MAN, "", "cua-man", 1), ("oi", "Lê Ổi", "Admin", "cua-oi", 1),
                                        ("kiem", "gaccong", "", "cua-kiem", 1)])
    (tmp_path / "kiem").write_text("cua-kiem")
    (tmp_path / "kiem").chmod(0o600)
    yield server
    server.stop()


def systems(portal: Portal) -> dict[str, Any]:
    return {"trang": portal.settings(control_login="kiem", control_password="file:kiem")}


def table(folder: Path, owner: int, *more: str) -> dict[str, Any]:
    """A database of this owner's in a folder of his, as settings have it."""
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "u.db")) as database, database:
        database.execute("CREATE TABLE users (login TEXT, enabled INT)")
        database.execute("INSERT INTO users VALUES ('man', 1), ('oi', 1)")
        for statement in more:
            database.execute(statement)
    for path in (folder, folder / "u.db"):
        os.chown(path, owner, owner)
    return {"kind": "sql_table", "database": str(folder / "u.db"), "table": "users"}


def plant(database: Path, victim: Path) -> None:
    """A hot journal that names `victim` as its super-journal: SQLite deletes that path while it recovers."""
    name, magic = str(victim).encode(), bytes.fromhex("d9d505f920a163d7")
    head = (magic + struct.pack(">IIIII", 0, 0, database.stat().st_size // 4096, 512, 4096)).ljust(512, b"\0")
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    journal = database.with_name(f"{database.name}-journal")
    journal.write_bytes(head + tail)
    os.chown(journal, NOBODY, NOBODY)


def enabled(database: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute("SELECT login, enabled FROM users ORDER BY 1").fetchall()


@as_root
@pytest.mark.parametrize("when", ["look", "revoke", "take back"])
def test_a_planted_journal_deletes_nothing_of_roots(tmp_path: Path, place: Path, when: str) -> None:
    settings = table(place / "site", NOBODY)
    victim = place / "victim"
    victim.write_text("x" * 100)
    victim.chmod(0o600)
    site, ctx = ground(tmp_path, ROSTER, {"trang": settings})
    database = place / "site/u.db"
    if when == "look":
        plant(database, victim)
        look(census, site, ctx)
    else:
        plan = revoke.function(site, ctx, person=MAN)
        assert len(plan.steps) == 1
        if when == "revoke":
            plant(database, victim)
        subprocess.run(plan.steps[0].argv, timeout=60, capture_output=True)
        plant(database, victim)
        subprocess.run(plan.steps[0].undo.argv, timeout=60, capture_output=True)
    assert victim.read_text() == "x" * 100


@as_root
def test_the_database_of_another_is_shut_and_opened_as_that_other(tmp_path: Path, place: Path) -> None:
    site, ctx = ground(tmp_path, ROSTER, {"trang": table(place / "site", NOBODY)})
    database = place / "site/u.db"
    with _sql_file.Row(database, "users", ("login", "man"), "enabled") as row:
        status = Path(f"/proc/{row._child}/status").read_text()
        told = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert row.value == 1 and told["Groups"] == [] and int(told["CapEff"][0], 16) == 0
        assert set(told["Uid"]) == set(told["Gid"]) == {str(NOBODY)}
    results = carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    assert enabled(database) == [("man", 0), ("oi", 1)] and look(left, site, ctx)[MAN].verdict is Verdict.MET
    kept = [path.stat() for path in ctx.home.glob("accounts.*")]
    assert len(kept) == 1 and all(one.st_uid == 0 and one.st_mode & 0o777 == 0o600 for one in kept)
    take_back(results, tmp_path)
    assert enabled(database) == [("man", 1), ("oi", 1)]


@as_root
def test_what_is_no_plain_file_or_could_be_swapped_is_not_opened(place: Path) -> None:
    table(place / "site", NOBODY)
    (place / "link.db").symlink_to("site/u.db")
    os.mkfifo(place / "fifo.db")
    table(place / "open", 0)
    (place / "open").chmod(0o777)
    for name in ("link.db", "fifo.db", "site", "open/u.db", "none.db"):
        with pytest.raises(_sql_file.Trouble):
            _sql_file.place_of(place / name)
    table(place / "mine", 0)
    assert _sql_file.place_of(place / "mine/u.db")[1] is None
    os.chown(place / "mine", NOBODY, NOBODY)
    assert _sql_file.place_of(place / "mine/u.db")[1] == (NOBODY, NOBODY)
    os.symlink("site", place / "way")
    assert _sql_file.place_of(place / "way/u.db") == ((place / "site/u.db").resolve(), (NOBODY, NOBODY))


def test_a_view_or_trigger_that_loops_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT"
    settings = table(tmp_path / "site", os.geteuid(), f"CREATE VIEW bai AS {endless} n AS login, 1 AS enabled FROM r",
                     "CREATE VIEW nang AS SELECT hex(replace(hex(zeroblob(9999)), '0', hex(zeroblob(9999)))) AS login",
                     f"CREATE TRIGGER t BEFORE UPDATE ON users BEGIN SELECT count(*) FROM ({endless} n FROM r); END")
    monkeypatch.setattr(_sql_file, "SECONDS", 1)
    database, started = Path(settings["database"]), time.monotonic()
    with pytest.raises(_sql_file.Trouble, match="interrupted"):
        _sql_file.rows(database, "bai", ["login", "enabled"])
    with pytest.raises(_sql_file.Trouble), _sql_file.Row(database, "users", ("login", "man"), "enabled") as row:
        row.set(0)
    assert time.monotonic() - started < 10 and enabled(database) == [("man", 1), ("oi", 1)]


def test_a_login_that_is_no_utf8_does_not_hide_the_others(tmp_path: Path) -> None:
    settings = table(tmp_path / "site", os.geteuid(), "INSERT INTO users VALUES (CAST(x'ff41' AS TEXT), 1)")
    site, ctx = ground(tmp_path, ROSTER, {"trang": settings})
    found = look(census, site, ctx)["trang"]
    assert {line["login"] for line in found.facts["accounts"]} == {"man", "oi", "\\xdcff" + "A"}


PAGES = {"marked": b"<![\xe2\x80\xb9![" * 9, "declaration": b"<!" * 60_000, "comment": b"<!--" * 60_000}


@pytest.mark.parametrize("page", PAGES)
def test_a_hostile_login_page_does_not_stop_the_shutting(tmp_path: Path, portal: Portal, page: str) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    before = portal.rows()
    portal.page = PAGES[page]
    started = time.monotonic()
    results = carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    assert results[0].code == 4 and results[0].answer["restored"] is True and time.monotonic() - started < 60
    assert portal.rows()[0][4] == 0 and portal.rows()[0][5] == before[0][5]
    portal.page = b""
    assert look(left, site, ctx)[MAN].verdict is Verdict.MET
    take_back(results, tmp_path)
    assert portal.rows() == before


def test_a_hostile_redirect_is_no_verdict(portal: Portal) -> None:
    portal.goes_to = "http://[::1"
    with pytest.raises(CannotSee):
        WebDoor(portal.url, "ten", "mk").lets_in("oi", b"cua-oi")


def test_a_canary_that_cannot_even_be_set_goes_on_to_the_shutting(tmp_path: Path, portal: Portal) -> None:
    with closing(sqlite3.connect(portal.database)) as database, database:
        database.execute('CREATE TRIGGER t BEFORE UPDATE OF mat_khau ON "biên tập viên" BEGIN SELECT RAISE(ABORT, \'x\'); END')
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    results = carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    assert [result.code for result in results] == [4, 0] and portal.rows()[0][4] == 0


def test_passwords_do_not_cross_a_network_in_clear(tmp_path: Path, portal: Portal) -> None:
    for url in ("http://xa.example/vao", "http://127.0.0.1@xa.example/", "http://127.0.0.1.xa.example/",
                "http://localhost:80@xa.example/", "http://10.0.0.1/"):
        with pytest.raises(ValueError, match="https"):
            ground(tmp_path, ROSTER, {"trang": portal.settings(try_url=url)})
    for url in ("https://xa.example/vao", "http://localhost:8080/vao", "http://[::1]:8080/vao", portal.url):
        ground(tmp_path, ROSTER, {"trang": portal.settings(try_url=url)})


def test_past_its_time_a_check_says_unseen(tmp_path: Path, portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal), now=datetime.now(UTC))
    carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    assert look(refused, site, ctx)[MAN].verdict is Verdict.MET
    monkeypatch.setattr(refused_module, "WITHIN", -1)
    found = look(refused, site, ctx)[MAN]
    assert found.verdict is Verdict.UNSEEN and "hết giờ" in found.detail.vi


def test_the_hand_says_nothing_secret_when_the_child_is_killed(tmp_path: Path) -> None:
    settings = table(tmp_path / "site", os.geteuid())
    with pytest.raises(_sql_file.Trouble, match="no answer"), \
            _sql_file.Row(Path(settings["database"]), "users", ("login", "man"), "enabled") as row:
        row.set(0)
        os.kill(row._child, 9)
        assert row.value == 0
    assert enabled(Path(settings["database"])) == [("man", 1), ("oi", 1)]
    order = json.dumps({"database": "/none", "table": "t", "columns": ["a"]})
    done = subprocess.run([sys.executable, "-I", "-m", "accounts.systems._sql_hand", "read", order], timeout=60,
                          capture_output=True)
    assert done.returncode == 3 and b"Traceback" not in done.stderr
