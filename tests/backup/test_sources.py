"""One contract for every kind under backup/sources/; and what dumps of databases have to stand beyond it.

A kind adds a row to ROWS: a function that makes its source at a room and says how the source can be lost.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backup.copies import copies
from backup.pour import Drain, pour_of
from backup.restic import repository_of
from backup.servers import mariadb as on_mariadb
from backup.servers import postgresql as on_postgresql
from backup.servers import room as closed
from backup.source import read_note
from ops import MissingTool, leaves, python
from ops.planning import prepare
from tests.backup.dumps import command, drill, give, note, streamed
from tests.backup.room import Room
from tests.backup.servers import PORTAL_MARIADB, PORTAL_POSTGRESQL, MariaDB, psql
from tests.postgres import Postgres

Ask = Callable[[str], Any]
"""Gives a fixture by its name."""


@dataclass
class Row:
    """source: its settings. lose: makes the source unreachable. rows: how many its drill must count (None: it counts none)."""

    source: dict[str, Any]
    lose: Callable[[], Any]
    rows: int | None = None


def _files(room: Room, ask: Ask) -> Row:
    folder = room.tmp / "srv/khac"
    folder.mkdir()
    (folder / "tep").write_text("nội dung")
    return Row({"kind": "files", "paths": [str(folder)]}, lambda: shutil.rmtree(folder))


def _sqlite(room: Room, ask: Ask) -> Row:
    return Row({"kind": "sqlite", "name": "tin", "path": str(room.db), "queries": {"n": "SELECT count(*) FROM bai"}},
               room.db.unlink, 500)


def _system(room: Room, ask: Ask) -> Row:
    return Row({"kind": "system", "paths": [str(room.etc)], "packages": True}, lambda: shutil.rmtree(room.etc))


def _mariadb(room: Room, ask: Ask) -> Row:
    server: MariaDB = ask("mariadb")
    server.sql(PORTAL_MARIADB)
    return Row({"kind": "mariadb", "name": "tin", "database": "portal", "socket": str(server.socket), "user": "doc",
                "queries": {"so_bai": "SELECT COUNT(*) FROM bai", "moi": "SELECT COUNT(*) FROM moi",
                            "dai": "SELECT SUM(dai) FROM bai", "anh": "SELECT HEX(anh) FROM bai WHERE id = 1"}},
               lambda: server.sql("DROP DATABASE portal"), 5)


def _postgresql(room: Room, ask: Ask) -> Row:
    server: Postgres = ask("postgresql")
    psql(server, "DROP DATABASE IF EXISTS portal")
    psql(server, "CREATE DATABASE portal")
    psql(server, PORTAL_POSTGRESQL, "portal")
    return Row({"kind": "postgresql", "name": "tin", "database": "portal", "socket": str(server.folder), "user": "doc",
                "queries": {"so_bai": "SELECT count(*) FROM bai", "moi": "SELECT count(*) FROM moi",
                            "dai": "SELECT sum(dai) FROM bai", "anh": "SELECT encode(anh, 'hex') FROM bai WHERE id = 1"}},
               lambda: psql(server, "DROP DATABASE portal"), 6)


def _command(room: Room, ask: Ask) -> Row:
    path = room.tmp / "nguon"
    path.write_bytes(bytes(range(256)) * 10)
    return Row(command("cat", str(path)), path.unlink)


ROWS: dict[str, Callable[[Room, Ask], Row]] = {
    "files": _files, "sqlite": _sqlite, "system": _system, "mariadb": _mariadb, "postgresql": _postgresql, "command": _command,
}


@pytest.mark.parametrize("kind", ROWS)
def test_the_contract(kind: str, room: Room, request: pytest.FixtureRequest) -> None:
    """Planned alike twice, copied, proved, restored, examined; lost, it leaves the run unproved and the rest copied."""
    row = ROWS[kind](room, request.getfixturevalue)
    give(room, row.source)
    source = room.site.settings["backup"].set["user"].source[1]
    plan = prepare(room.site, "backup.run", {"set": "user"}, room.plan())
    body = room.night()
    assert body["outcome"] == "proved", (body["proofs"], body["steps"])
    assert prepare(room.site, "backup.run", {"set": "user"}, room.plan()).digest == plan.digest
    stage = room.tmp / "home/stage/user"
    for name in source.staged():
        assert (stage / name).is_file(), name
        if name.endswith(".note.json"):
            noted = read_note(stage / name)
            assert noted["kind"] == kind and noted["trouble"] == "" and (stage / name).stat().st_mode & 0o777 == 0o600
    copy = copies(room.site, room.ctx())[-1]
    assert set(copy.streams) == set(source.streams())
    assert {tag for one in streamed(room) for tag in one["tags"] if tag.startswith("stream=")} == \
        {f"stream={name}" for name in source.streams()}
    faults, measures = drill(room)
    assert faults == [] and measures.get("rows") == row.rows, [fault.vi for fault in faults]
    _lost(room, row)


def _lost(room: Room, row: Row) -> None:
    row.lose()
    before = len(streamed(room))
    body = room.night()
    assert body["outcome"] == "unproved" and body["proofs"][0][0] == "broken"
    last = copies(room.site, room.ctx())[-1]
    assert len(streamed(room)) == before and last.streams == {}
    listed = room.restic("ls", last.snapshot)
    assert "index.html" in listed, "the rest of the set is copied all the same"
    assert "tin.sqlite" not in listed, "last night's database is not copied as tonight's"


@pytest.mark.parametrize("kind", ROWS)
def test_a_misspelt_key_is_refused(kind: str, room: Room, request: pytest.FixtureRequest) -> None:
    row = ROWS[kind](room, request.getfixturevalue)
    with pytest.raises(ValidationError, match="qureies"):
        give(room, {**row.source, "qureies": {}})


def test_every_kind_has_its_documented_class() -> None:
    for module in leaves("backup.sources"):
        assert module.Source.__doc__ and module.__doc__ and module.Source.model_fields["kind"].annotation


# --- dumps -------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["mariadb", "postgresql"])
def dumped(request: pytest.FixtureRequest, room: Room) -> Room:
    """A room whose newest copy has a database in it."""
    give(room, ROWS[request.param](room, request.getfixturevalue).source)
    assert room.night()["outcome"] == "proved"
    return room


def forge(room: Room, data: bytes, **more: Any) -> None:
    """Puts another dump into the newest copy, noted and recorded as if it had been made so."""
    import hashlib

    digest = hashlib.sha256(data).hexdigest()
    argv = [room.program, "-r", str(room.repository), "--password-file", str(room.tmp / "mat-khau"), "--no-cache", "backup", "--json",
            "--stdin", "--stdin-filename", "/tin.sql", "--tag", "gaccong", "--tag", "stream=tin", "--host", "demo"]
    told = subprocess.run(argv, input=data, capture_output=True, timeout=60, check=True).stdout
    snapshot = json.loads(told.splitlines()[-1])["snapshot_id"]
    path = room.tmp / "home/stage/user/tin.note.json"
    path.write_text(json.dumps({**note(room), "sha256": digest, "bytes": len(data), "snapshot_id": snapshot, **more}))
    record(room, {"answer": {"stream": "tin", "snapshot_id": snapshot, "sha256": digest, "bytes": len(data)}})


def record(room: Room, *streams: dict[str, Any]) -> None:
    """Copies the stage as it stands now, and notes it as a proved run with these dumps."""
    results = room.carry(tuple(step for step in room.plan().steps if "backup.manifest" in step.argv or "--tag" in step.argv
                               and "backup.stream" not in step.argv))
    room.ledger.note(room.now, {"args": {"set": "user"}, "outcome": "proved", "steps": [*(one.json() for one in results), *streams]})


def dump(room: Room) -> bytes:
    found, = streamed(room)
    return room.restic("dump", found["id"], "/tin.sql").encode()


def test_a_dump_cut_at_a_statement_boundary_is_found(dumped: Room) -> None:
    """Such a dump loads with exit 0: only what was noted when it was made tells. So does one with other content."""
    whole = dump(dumped)
    cut = whole[:whole.index(b"-- Table structure for table `nh" if b"MariaDB" in whole else b"CREATE MATERIALIZED")]
    forge(dumped, cut.replace("Xã Thống Nhất".encode(), "Xã Khác".encode()))
    said = [fault.vi for fault in drill(dumped)[0]]
    assert any("thiếu" in one and "bảng" in one for one in said) and any("tin.dai" in one for one in said), said
    assert not any("không nạp được" in one for one in said)


def test_a_dump_that_differs_from_its_note_is_found(room: Room) -> None:
    give(room, command("printf", "một\nhết\n", ends_with="hết"))
    assert room.night()["outcome"] == "proved" and drill(room)[0] == []
    path = room.tmp / "home/stage/user/tin.note.json"
    was = note(room)
    first = [step for step in room.ledger.lines[0].body["steps"] if (step["answer"] or {}).get("stream")]
    for change, said in (({"sha256": "0" * 64}, "sổ bằng chứng"), ({"bytes": was["bytes"] + 1}, "byte"),
                         ({"ends_with": ""}, "dấu kết thúc"), ({"trouble": "hỏng"}, "hỏng"), ({"bytes": None}, "ghi chú")):
        path.write_text(json.dumps({**was, **change}))
        record(room, *first)
        faults, _ = drill(room)
        assert any(said in fault.vi for fault in faults), (change, [fault.vi for fault in faults])


def test_a_damaged_repository_never_pours_a_whole_dump(each: Room) -> None:
    """restic 0.14 leaves with 0 and no output when a tree is damaged."""
    (each.tmp / "nguon").write_bytes(b"x" * 300_000)
    give(each, command("cat", str(each.tmp / "nguon")))
    assert each.night()["outcome"] == "proved"
    copy = copies(each.site, each.ctx())[-1]
    tree = json.loads(each.restic("cat", "snapshot", copy.streams["tin"]))["tree"]
    packs = {path for path in (each.repository / "data").rglob("*") if path.is_file()}
    index = json.loads(each.restic("cat", "index", json.loads(f'"{each.restic("list", "index").split()[0]}"')))
    pack = next((found["id"] for found in index["packs"] if any(blob["id"] == tree for blob in found["blobs"])), None)
    for name in each.restic("list", "index").split():
        body = json.loads(each.restic("cat", "index", name))
        pack = next((found["id"] for found in body["packs"] if any(blob["id"] == tree for blob in found["blobs"])), pack)
    path, = (path for path in packs if path.name == pack)
    stage, ctx = each.tmp / "home/stage/user", each.ctx()
    path.chmod(0o600)
    path.write_bytes(bytes(len(path.read_bytes())))
    shutil.rmtree(each.tmp / "home/cache", ignore_errors=True)
    result = pour_of(ctx, repository_of(ctx), copy, stage)("tin", ("cat",))
    assert result.feed_code != 0 and not result.ok, result


def test_a_program_that_dies_or_never_reads(room: Room) -> None:
    (room.tmp / "nguon").write_bytes(b"x" * 300_000)
    give(room, command("cat", str(room.tmp / "nguon")))
    room.night()
    ctx = room.ctx()
    pour = pour_of(ctx, repository_of(ctx), copies(room.site, ctx)[-1], room.tmp / "home/stage/user")
    died = pour("tin", ("sh", "-c", "echo sai >&2; exit 4"))
    assert (died.code, died.feed_code, died.trouble) == (4, 0, "sai"), "the dump is whole, the program is not"
    assert pour("tin", ("sleep", "60"), timeout=3.0).ok is False
    good = pour("tin", ("sh", "-c", "cat >/dev/null; echo $MOT; env | grep -c RESTIC"), env={"MOT": "1"})
    assert good.text.split() == ["1", "0"], "the program inherits nothing of restic's"
    assert pour("khac", ("cat",)).feed_code != 0


MARIADB_ATTACKS = (
    rb"\! touch {flag}", rb"\. {script}", b"system touch {flag}", b"SELECT 'x' INTO OUTFILE '{flag}';", b"tee {flag}",
    b"SELECT 'x' INTO DUMPFILE '{flag}';", b"SET GLOBAL general_log_file='{flag}'; SET GLOBAL general_log=1;",
    b"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE bai (ten);", b"LOAD DATA INFILE '/etc/passwd' INTO TABLE bai (ten);",
    b"INSTALL SONAME 'ha_federatedx';", b"USE mysql; DELETE FROM global_priv;", b"GRANT ALL ON *.* TO 'gaccong-load'@localhost;",
    b"CREATE DEFINER=root@localhost PROCEDURE p() SELECT 'x' INTO OUTFILE '{flag}'; CALL p();",
)
POSTGRESQL_ATTACKS = (
    rb"\! touch {flag}", rb"SELECT 1 \g {flag}", rb"\i {script}", b"COPY (SELECT 1) TO PROGRAM 'touch {flag}';", rb"\o {flag}",
    b"COPY (SELECT 1) TO '{flag}';", b"SELECT pg_read_file('/etc/passwd');", b'ALTER ROLE "gaccong-load" SUPERUSER;',
    rb"\unrestrict abc" + b"\n" + rb"\! touch {flag}", rb"\restrict abc" + b"\n" + rb"\unrestrict abc" + b"\n" + rb"\! touch {flag}",
    b"CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/tmp/x', 'f';", b"CREATE EXTENSION file_fdw;",
)


@pytest.fixture
def flag() -> Iterator[Path]:
    """A file that an attack would make, where anybody may write."""
    path = Path(f"/var/tmp/gaccong-thu-{os.getpid()}")
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def loads(room: Room, loader: tuple[str, ...], env: dict[str, str], data: bytes, flag: Path) -> str:
    """Loads a dump as the drill does, without restic; what went wrong, or ""."""
    script = room.tmp / "x.sql"
    script.write_text("SELECT 1;")
    drain = Drain(loader, env, 60.0)
    drain.take(data.replace(b"{flag}", str(flag).encode()).replace(b"{script}", str(script).encode()))
    result = drain.result(0, "")
    return f"{result.code}: {result.trouble}" if result.code else ""


def test_a_hostile_mariadb_dump_can_only_load(room: Room, mariadb: MariaDB, flag: Path) -> None:
    mariadb.sql(PORTAL_MARIADB)
    whole = subprocess.run(["mariadb-dump", "--no-defaults", f"--socket={mariadb.socket}", "--user=root", "--hex-blob", "--routines",
                            "--events", "portal"], capture_output=True, check=True, timeout=60).stdout
    with closed.Room(room.tmp, "tin") as place:
        server = on_mariadb.Server(place, "portal", {})
        for attack in MARIADB_ATTACKS:
            planted = whole.replace(b"-- Table structure for table `bai`", attack + b"\n-- x\n", 1)
            assert loads(room, place.wrap(server.loader()), place.env, planted, flag) and not flag.exists(), attack
        assert loads(room, place.wrap(server.loader()), place.env, whole, flag) == ""
        pids = [server.pid for server in place._held]
        if os.geteuid() == 0:
            assert pids and all(os.stat(f"/proc/{pid}").st_uid == 65534 for pid in pids)
        tcp = [Path(f"/proc/{pid}/net/tcp").read_text().count("\n") for pid in pids]
        assert all(count == 1 for count in tcp), "the server has a network"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids) and not (room.tmp / "server-tin").exists()


def test_a_hostile_postgresql_dump_can_only_load(room: Room, postgresql: Postgres, flag: Path) -> None:
    _postgresql(room, lambda _: postgresql)
    whole = subprocess.run(["pg_dump", "-h", str(postgresql.folder), "-U", "postgres", "portal"], capture_output=True, check=True,
                           timeout=60).stdout
    with closed.Room(room.tmp, "tin") as place:
        server = on_postgresql.Server(place, on_postgresql.binaries_for("15"), "portal",
                                      {"roles": ["postgres"], "extensions": ["dblink", "pg_trgm"]})
        loader = (*python("backup.servers.plain"), "--", *place.wrap(server.loader()))
        for attack in POSTGRESQL_ATTACKS:
            planted = whole.replace(b"CREATE SCHEMA", attack + b"\nCREATE SCHEMA", 1)
            assert loads(room, loader, place.env, planted, flag) and not flag.exists(), attack
        assert loads(room, loader, place.env, whole, flag) == ""
        assert server.ask("SELECT count(*) FROM bai") == ["4"]
    assert not (room.tmp / "server-tin").exists()


def test_a_missing_server_is_told_with_its_package(room: Room, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    from backup.servers import dumping

    give(room, _mariadb(room, lambda _: mariadb).source)
    room.night()
    real = shutil.which
    monkeypatch.setattr(dumping.shutil, "which", lambda name, **more: None if name == "mariadbd" else real(name, **more))
    with pytest.raises(MissingTool) as missing:
        drill(room)
    assert "mariadbd" in missing.value.what.vi and "mariadb-server-core" in missing.value.mend.vi
    assert not list((room.tmp / "tam").iterdir())
