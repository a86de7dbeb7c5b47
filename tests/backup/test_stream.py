"""A dump that fails half-way leaves no snapshot that counts, whoever is killed; secrets stay where they belong."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from backup.copies import copies
from backup.stream import ends
from ops.model import Host
from ops.planning import prepare
from tests.accounts.servers import Sshd
from tests.backup.dumps import command, drill, give, in_background, note, ours, processes, stream, streamed, until
from tests.backup.room import NEWER, Room
from tests.backup.servers import PORTAL_MARIADB, MariaDB, psql
from tests.postgres import Postgres

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
BYTES = random.Random(8).randbytes(3_000_000)


def test_a_dump_is_a_snapshot_of_its_own(each: Room) -> None:
    (each.tmp / "nguon").write_bytes(BYTES)
    give(each, command("cat", str(each.tmp / "nguon")))
    body = each.night()
    assert body["outcome"] == "proved", body["proofs"]
    one, = streamed(each)
    assert one["tags"] == ["gaccong", "level=user", "set=user", "site=demo", "stream=tin"]
    assert (one["paths"], one["hostname"]) == (["/tin.dump"], "demo")
    copy, = copies(each.site, each.ctx())
    assert one["id"].startswith(copy.streams["tin"]) and not one["id"].startswith(copy.snapshot)
    told = next(answer for answer in copy.answers if answer.get("stream") == "tin")
    assert told["sha256"] == note(each)["sha256"] == hashlib.sha256(BYTES).hexdigest()
    assert told["bytes"] == len(BYTES) and told["data_added"] > 0 and ("data_added_packed" in told) == (each.program != "restic")
    assert (each.tmp / "home/stage/user/tin.note.json").stat().st_mode & 0o777 == 0o600
    faults, _ = drill(each)
    assert faults == []


@pytest.mark.parametrize(("script", "more", "said"), [
    ("echo nửa chừng; exit 7", {}, "mã thoát (exit code) 7"),
    ("echo a; kill -9 $$", {}, "-9"),
    ("printf ''", {}, "0 byte"),
    ("echo ngắn", {"at_least_bytes": 1000}, "6 byte|7 byte|8 byte|9 byte"),
    ("echo a; echo -- HẾT; echo b; echo c; echo d; echo e; echo f; echo g", {"ends_with": "-- HẾT"}, "dòng kết thúc"),
    ("exec không-có-chương-trình", {}, "127"),
], ids=["exit", "killed", "empty", "short", "no-end", "absent"])
def test_a_dump_that_is_not_whole_leaves_no_snapshot(each: Room, script: str, more: dict[str, object], said: str) -> None:
    give(each, command("sh", "-c", script, **more))
    result = stream(each)
    assert result.done and result.code == 3 and "snapshot_id" not in result.answer
    assert streamed(each) == [] and processes("backup", str(each.repository)) == []
    assert any(word in note(each)["trouble"] for word in said.split("|")), note(each)["trouble"]


def test_the_rest_of_the_set_is_copied_and_the_proof_tells(room: Room) -> None:
    give(room, command("sh", "-c", "echo tốt"))
    assert room.night()["outcome"] == "proved"
    give(room, command("sh", "-c", "echo dở; exit 1"))
    body = room.night()
    assert body["outcome"] == "unproved" and "tin:" in body["proofs"][0][1]
    assert len(streamed(room)) == 1, "last night's dump is still there, tonight's is not"
    last = copies(room.site, room.ctx())[-1]
    assert last.streams == {} and "index.html" in room.restic("ls", last.snapshot)
    give(room, command("sh", "-c", "echo tốt"))
    assert room.night()["outcome"] == "proved"


HALF = "i=0; while [ $i -lt 200 ]; do echo 'INSERT một dòng dữ liệu khá dài để có gì mà chép';i=$((i+1)); done; : > {flag}; sleep {s}; echo -- HẾT"


@pytest.mark.parametrize(("each", "victim"), [(program, victim) for program in ("restic", NEWER)
                                              for victim in ("pump", "restic", "dump", "relay")
                                              if (program, victim) != ("restic", "relay")], indirect=["each"])
def test_killed_in_the_middle(each: Room, victim: str) -> None:
    """kill -9 while half of the dump is in restic: nothing is saved, nobody lives on, the next night works."""
    flag, mark = each.tmp / "giua", f"9{random.randrange(10**6)}.5"
    give(each, command("sh", "-c", HALF.format(flag=flag, s=mark), ends_with="-- HẾT"))
    words = {"pump": ("-m\0backup.stream", str(each.repository)), "restic": (f"-r\0{each.repository}\0backup",),
             "dump": ("sh\0-c\0i=0", mark), "relay": ("-m\0backup.servers.relay",)}[victim]
    with in_background(lambda: stream(each)) as got:
        until(flag.exists)
        found = until(lambda: [pid for pid in processes(*words) if victim != "restic" or not processes_is_stream(pid)])
        for pid in [*found, *(processes(f"sleep\0{mark}") if victim == "dump" else ())]:
            os.kill(pid, signal.SIGKILL)
    until(lambda: not processes(f"-r\0{each.repository}\0backup") or None, 20.0)
    for pid in processes(f"sleep\0{mark}"):
        os.kill(pid, signal.SIGKILL)
    assert streamed(each) == []
    assert (got[0].answer or {}).get("snapshot_id") is None
    assert got[0].done == (victim == "dump"), got[0].trouble.vi
    give(each, command("sh", "-c", "echo tốt; echo -- HẾT", ends_with="-- HẾT"))
    assert each.night()["outcome"] == "proved"


def processes_is_stream(pid: int) -> bool:
    return b"backup.stream" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_pump_killed_at_many_moments(each: Room) -> None:
    """At whatever moment the pump dies, a snapshot of this dump holds all of it or does not exist."""
    (each.tmp / "nguon").write_bytes(BYTES + b"\n-- HET\n")
    give(each, command("cat", str(each.tmp / "nguon"), ends_with="-- HET"))
    for moment in (0.3, 0.5, 0.7, 0.9, 1.2):
        with in_background(lambda: stream(each)):
            for pid in until(lambda: processes("-m\0backup.stream", str(each.repository))):
                time.sleep(moment)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    until(lambda: not processes(f"-r\0{each.repository}\0backup") or None, 20.0)
    for one in streamed(each):
        held = subprocess.run([each.program, "-r", str(each.repository), "--password-file", str(each.tmp / "mat-khau"), "--no-cache",
                               "--no-lock", "dump", one["id"], "/tin.dump"], capture_output=True, timeout=60).stdout
        assert held == BYTES + b"\n-- HET\n"


def test_restics_own_failure_fails_the_step_in_its_own_words(each: Room) -> None:
    give(each, command("echo", "tốt"))
    steps = each.plan().steps
    (each.tmp / "mat-khau").write_bytes(b"sai\n")
    result = each.carry(tuple(step for step in steps if "backup.stream" in step.argv))[-1]
    assert not result.done and result.code not in (0, 3)
    assert "mật khẩu không mở được kho" in result.trouble.vi


def test_a_full_disk_fails_the_step(each: Room, full_disk: Path) -> None:
    (full_disk / "kho").parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", str(each.template), str(full_disk / "kho")], check=True, timeout=30)
    each.repository = full_disk / "kho"
    (each.tmp / "nguon").write_bytes(random.Random(1).randbytes(20_000_000))
    give(each, command("cat", str(each.tmp / "nguon")))
    result = stream(each)
    assert not result.done and "hết dung lượng" in result.trouble.vi
    assert streamed(each) == []


def test_the_plan_is_the_same_every_night_and_holds_no_secret(each: Room) -> None:
    (each.tmp / "csdl").write_bytes(b"mat-khau-csdl\n")
    (each.tmp / "csdl").chmod(0o600)
    give(each, {"kind": "mariadb", "name": "tin", "database": "cổng", "socket": "/khong/co", "user": "web", "password": "file:csdl",
                "queries": {"so_bai": "SELECT COUNT(*) FROM bai", "a": "SELECT 1"}})
    first = prepare(each.site, "backup.run", {"set": "user"}, each.plan())
    each.night()
    second = prepare(each.site, "backup.run", {"set": "user"}, each.plan())
    assert first.digest == second.digest
    assert "mat-khau-csdl" not in json.dumps(first.json()) and "thu-nghiem" not in json.dumps(first.json())


def test_the_end_is_looked_for_at_the_end() -> None:
    assert ends(b"x\n-- Dump completed\n", "-- Dump completed")
    assert ends(b"--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n", "-- PostgreSQL database dump complete")
    assert not ends(b"-- Dump completed\n" + b"INSERT\n" * 6, "-- Dump completed")
    assert not ends(b"('-- Dump completed')\n", "-- Dump completed")
    assert not ends(b"", "-- Dump completed")


# --- databases ---------------------------------------------------------------------------------------------------------


def portal(server: MariaDB, **more: object) -> dict[str, object]:
    return {"kind": "mariadb", "name": "tin", "database": "portal", "socket": str(server.socket), "user": "root", **more}


@pytest.fixture
def held(mariadb: MariaDB) -> Iterator[MariaDB]:
    """A MariaDB in which somebody holds a table that the dump comes to last: it stands half-way for as long as we like."""
    mariadb.sql(PORTAL_MARIADB + "CREATE TABLE portal.zz (a INT); INSERT INTO portal.zz VALUES (1);")
    holder = subprocess.Popen(["mariadb", "--no-defaults", f"--socket={mariadb.socket}", "--user=root", "--unbuffered", "portal"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin and holder.stdout
    holder.stdin.write("LOCK TABLES zz WRITE; SELECT 'có';\n")
    holder.stdin.flush()
    yield mariadb
    holder.kill()
    holder.communicate(timeout=20)


def waiting(server: MariaDB) -> bool:
    return any("zz" in line and "LOCK TABLES" not in line for line in server.processes())


@pytest.mark.parametrize("victim", ["server", "mariadb-dump"])
def test_mariadb_killed_in_the_middle(each: Room, held: MariaDB, victim: str) -> None:
    give(each, portal(held))
    with in_background(lambda: stream(each)) as got:
        until(lambda: waiting(held))
        if victim == "server":
            held.kill()
        else:
            for pid in processes("mariadb-dump", str(held.socket)):
                os.kill(pid, signal.SIGKILL)
    if victim == "server":
        held.up()
    assert got[0].code == 3 and streamed(each) == []
    assert ("mất kết nối" if victim == "server" else "-9") in note(each)["trouble"], note(each)["trouble"]


def test_secrets_are_in_no_command_line_and_no_environment(room: Room, held: MariaDB) -> None:
    password = "bi-mat-\"'\\#-csdl"
    held.sql("CREATE OR REPLACE USER web@localhost IDENTIFIED BY 'bi-mat-\"''\\\\#-csdl'; GRANT ALL ON portal.* TO web@localhost; GRANT SELECT ON mysql.proc TO web@localhost;")
    (room.tmp / "csdl").write_text(password + "\n")
    (room.tmp / "csdl").chmod(0o600)
    give(room, portal(held, user="web", password="file:csdl"))
    with in_background(lambda: stream(room)) as got:
        until(lambda: waiting(held))
        seen = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                for name in ("cmdline", "environ"):
                    try:
                        text = (entry / name).read_bytes()
                    except OSError:
                        continue
                    seen += b"mariadb-dump" in text
                    assert b"bi-mat-" not in text and b"thu-nghiem-khong-that" not in text, (entry, name)
        assert seen
        dump, = processes("mariadb-dump", str(held.socket))
        inherited = [os.readlink(path) for path in Path(f"/proc/{dump}/fd").iterdir()]
        assert sum("memfd" in target for target in inherited) == 1, "the dump program has its own password and no other"
        for line in held.sql("SELECT id FROM information_schema.processlist WHERE user='root' AND id <> CONNECTION_ID() AND command='Sleep'"):
            held.sql(f"KILL {line}")
    assert got[0].code == 0 and len(streamed(room)) == 1, note(room)["trouble"]


def test_what_mariadb_refuses_is_told_plainly(room: Room, mariadb: MariaDB) -> None:
    mariadb.sql(PORTAL_MARIADB + "CREATE OR REPLACE USER web@localhost IDENTIFIED BY 'đúng';")
    (room.tmp / "csdl").write_text("sai")
    (room.tmp / "csdl").chmod(0o600)
    for more, said in (({"user": "web", "password": "file:csdl"}, "sai tài khoản hoặc mật khẩu"),
                       ({"database": "khong-co"}, "không có cơ sở dữ liệu này"),
                       ({"socket": "/khong/co"}, "không kết nối được"),
                       ({"user": "doc", "queries": {"so_bai": "SELECT COUNT(*) FROM khong_co"}}, "so_bai: ")):
        give(room, portal(mariadb, **more))
        result = stream(room)
        assert result.done and result.code == 3 and said in note(room)["trouble"], note(room)["trouble"]
        assert bool(streamed(room)) == ("queries" in more), "a wrong query costs its number, not the backup"


def test_what_postgresql_refuses_is_told_plainly(room: Room, postgresql: Postgres) -> None:
    ours = {"kind": "postgresql", "name": "tin", "socket": str(postgresql.folder), "user": "postgres", "database": "postgres"}
    for more, said in (({"database": "khong-co"}, "không có cơ sở dữ liệu này"), ({"user": "khong-co"}, "tài khoản"),
                       ({"socket": "/khong/co"}, "không kết nối được")):
        give(room, {**ours, **more})
        result = stream(room)
        assert result.code == 3 and streamed(room) == [] and said in note(room)["trouble"], note(room)["trouble"]


@root_only
def test_as_a_system_user_here(room: Room, postgresql: Postgres) -> None:
    script = "id -un; id -Gn; [ -r /proc/self/fd ] && cat /proc/self/status | grep CapEff"
    give(room, command("sh", "-c", script, user_here="nobody"))
    assert stream(room).code == 0
    said = room.restic("dump", "latest", "/tin.dump").split()
    assert said[0] == "nobody" and said[-1] == "0" * 16


# --- from another machine ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if os.geteuid() != 0:
        pytest.skip("sshd for root needs root")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


def far(room: Room, sshd: Sshd) -> Host:
    host = sshd.host("web")
    ours(room, host)
    return host


def test_a_remote_dump_is_the_same_to_the_byte(each: Room, sshd: Sshd) -> None:
    far(each, sshd)
    (each.tmp / "nguon").write_bytes(BYTES)
    give(each, command("cat", str(each.tmp / "nguon"), host="web"))
    assert each.night()["outcome"] == "proved"
    assert note(each)["sha256"] == hashlib.sha256(BYTES).hexdigest() and drill(each)[0] == []


def test_a_connection_that_is_cut_leaves_no_snapshot(each: Room, sshd: Sshd) -> None:
    far(each, sshd)
    flag = each.tmp / "giua"
    give(each, command("sh", "-c", HALF.format(flag=flag, s=30), host="web"))
    with in_background(lambda: stream(each)) as got:
        until(flag.exists)
        for session in psutil.Process(sshd.process.pid).children():
            session.kill()
    assert got[0].code == 3 and streamed(each) == [] and note(each)["trouble"], got[0]


def test_a_machine_that_is_away_or_unknown(room: Room, sshd: Sshd) -> None:
    ours(room, sshd.host("web", port=1))
    give(room, command("echo", "x", host="web"))
    result = stream(room)
    assert result.code == 3 and "web" in note(room)["trouble"] and streamed(room) == []


def test_remote_databases_take_their_passwords_by_descriptor(room: Room, sshd: Sshd, mariadb: MariaDB,
                                                             postgresql: Postgres) -> None:
    far(room, sshd)
    (room.tmp / "csdl").write_text("bi mat\\ \"x")
    (room.tmp / "csdl").chmod(0o600)
    mariadb.sql(PORTAL_MARIADB + "CREATE OR REPLACE USER web@localhost IDENTIFIED BY 'bi mat\\\\ \"x'; GRANT ALL ON portal.* TO web@localhost; GRANT SELECT ON mysql.proc TO web@localhost;")
    give(room, portal(mariadb, user="web", password="file:csdl", host="web", queries={"n": "SELECT COUNT(*) FROM bai"}))
    assert stream(room).code == 0 and note(room)["counts"] == {"n": [4, 4]}
    psql(postgresql, "CREATE ROLE web LOGIN; CREATE DATABASE xa OWNER web; GRANT pg_read_all_data TO web;")
    psql(postgresql, "CREATE TABLE bai (a int)", "xa")
    give(room, {"kind": "postgresql", "name": "tin", "database": "xa", "socket": str(postgresql.folder), "user": "web",
                "password": "file:csdl", "host": "web", "queries": {"n": "SELECT COUNT(*) FROM bai"}})
    assert stream(room).code == 0 and note(room)["tables"] == ["public.bai"]
