"""restore_site: a real site comes back byte for byte, also from nothing; undo brings back what was there."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from backup import hold
from ops.errors import PlanRefused
from ops.model import Plan
from ops.planning import prepare
from playbooks.parts import notes
from playbooks.parts import swap as part
from playbooks.restore_site import restore_site
from tests.backup.conftest import each, room, template  # noqa: F401 - fixtures
from tests.backup.room import Room


def tree(root: Path) -> dict[str, bytes | str | None]:
    """Every path below root with its content (None for folders), the old trees that a restore keeps left out."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if ".truoc-khoi-phuc-" in name:
            continue
        found[name] = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return found


def rows(database: Path) -> int:
    with closing(sqlite3.connect(database)) as opened:
        return int(opened.execute("SELECT count(*) FROM bai").fetchone()[0])


def plan(room: Room, **args: str) -> Plan:  # noqa: F811
    return restore_site.function(room.site, room.ctx(), **args)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(".khoi-phuc-")]


def trees(tmp: Path) -> part.Swap:
    """A live tree "old", and beside it a restored one, "new", as the restore step leaves it."""
    root, live, home = tmp / ".khoi-phuc-0000beef", tmp / "www", tmp / "home"
    home.mkdir(mode=0o700)
    note = {"root": str(root), "live": str(live), "kept": "", "state": "restored", "folder": []}
    with hold.folder(tmp) as parent:
        note["folder"] = hold.make_private(parent, root.name)
    notes.write(home, root, note)
    for folder, text in ((root / live.relative_to("/"), "new"), (live, "old")):
        folder.mkdir(parents=True)
        (folder / "a").write_text(text)
    return part.Swap(home, root, live, tmp / ".www.truoc-khoi-phuc-0000beef")


def kill(deal: part.Swap, moment: str) -> None:
    """A process of its own swaps, and is killed (SIGKILL) just before or just after the exchange."""
    code = """
import os, signal, sys
from pathlib import Path
from playbooks.parts import notes
from playbooks.parts import swap as part
real = part.exchange
def crash(one, other):
    if sys.argv[1] == "after_exchange":
        real(one, other)
    os.kill(os.getpid(), signal.SIGKILL)
part.exchange = crash
part.swap(part.Swap(*map(Path, sys.argv[2:])))
"""
    words = map(str, (deal.home, deal.root, deal.live, deal.kept))
    done = subprocess.run([sys.executable, "-c", code, moment, *words], timeout=60, check=False)
    assert done.returncode == -9


def test_a_defaced_site_comes_back_and_the_defaced_one_is_kept(each: Room) -> None:  # noqa: F811
    room = each  # noqa: F811
    room.www.chmod(0o755)
    room.db.chmod(0o640)
    room.night()
    good = tree(room.www)
    (room.www / "index.html").write_text("hacked")
    shutil.rmtree(room.www / "anh")
    (room.www / "shell.php").write_text("<?php")
    with closing(sqlite3.connect(room.db)) as database:
        database.execute("DELETE FROM bai")
        database.commit()
    made = plan(room)
    assert [proof.check for proof in made.proofs] == ["backup.restored"]
    results = room.carry(made.steps)
    assert all(result.done for result in results), results[-1].trouble
    assert tree(room.www) == good
    assert rows(room.db) == 500
    assert room.db.stat().st_mode & 0o777 == 0o640
    assert room.www.stat().st_mode & 0o777 == 0o755
    kept, = (path for path in room.www.parent.glob(".www.truoc-khoi-phuc-*") if path.is_dir())
    assert (kept / "shell.php").exists()
    assert leftovers(room.tmp) == []


def test_a_site_that_vanished_altogether(room: Room) -> None:  # noqa: F811
    room.night()
    good = tree(room.www)
    shutil.rmtree(room.tmp / "srv")
    results = room.carry(plan(room).steps)
    assert all(result.done for result in results), results[-1].trouble
    assert tree(room.www) == good
    assert rows(room.db) == 500
    assert leftovers(room.tmp) == []


def test_undo_brings_back_what_was_there(room: Room) -> None:  # noqa: F811
    room.night()
    (room.www / "index.html").write_text("sửa sau khi sao lưu")
    with closing(sqlite3.connect(room.db)) as database:
        database.execute("INSERT INTO bai (ten) VALUES ('sau')")
        database.commit()
    before = tree(room.tmp / "srv")
    results = room.carry(plan(room).steps[:-1])
    assert tree(room.tmp / "srv") != before
    assert all(result.done for result in room.undo(results))
    assert tree(room.tmp / "srv") == before
    assert leftovers(room.tmp) == []
    assert not list((room.tmp / "srv").rglob("*.json"))


def test_undo_of_a_site_that_had_vanished_leaves_it_vanished(room: Room) -> None:  # noqa: F811
    room.night()
    shutil.rmtree(room.www)
    results = room.carry(plan(room).steps[:-1])
    assert room.www.exists()
    assert all(result.done for result in room.undo(results))
    assert not room.www.exists()


def test_every_step_can_be_run_twice(room: Room) -> None:  # noqa: F811
    room.night()
    good = tree(room.www)
    (room.www / "index.html").write_text("hacked")
    for step in plan(room).steps:
        assert room.carry((step,))[0].done
        again = room.carry((step,))[0]
        assert again.done, again.trouble
    assert tree(room.www) == good
    assert rows(room.db) == 500


def test_a_database_inside_the_tree_goes_live_with_it(room: Room) -> None:  # noqa: F811
    """One exchange for both; the journal of another moment does not come back beside the database."""
    inside = room.www / "data" / "tin.db"
    inside.parent.mkdir()
    shutil.copy(room.db, inside)
    room.db = inside
    (room.www / "data" / "tin.db-wal").write_bytes(b"")
    room.site.settings["backup"] = room.settings()
    room.night()
    made = plan(room)
    assert sum("playbooks.parts.swap" in step.argv for step in made.steps) == 1
    inside.write_bytes(b"broken")
    assert all(result.done for result in room.carry(made.steps))
    assert rows(inside) == 500
    assert not (room.www / "data" / "tin.db-wal").exists()


def test_a_stray_journal_is_moved_aside_and_back(room: Room) -> None:  # noqa: F811
    room.night()
    wal = room.db.with_name("tin.db-wal")
    wal.write_bytes(b"another moment")
    results = room.carry(plan(room).steps[:-1])
    assert not wal.exists() and rows(room.db) == 500
    assert all(result.done for result in room.undo(results))
    assert wal.read_bytes() == b"another moment"


def test_an_older_copy_by_name_and_a_second_restore(room: Room) -> None:  # noqa: F811
    first = room.night()["steps"][-2]["answer"]["snapshot_id"]
    (room.www / "index.html").write_text("đêm thứ hai")
    room.night()
    for _ in range(2):
        assert all(result.done for result in room.carry(plan(room, at=first).steps))
        assert (room.www / "index.html").read_text() == "<h1>Xã mẫu</h1>\n"
    assert len([path for path in room.www.parent.glob(".www.truoc-khoi-phuc-*") if path.is_dir()]) == 2


def test_refusals(room: Room) -> None:  # noqa: F811
    with pytest.raises(PlanRefused) as refused:
        plan(room)
    assert "chưa có bản sao" in refused.value.what.vi
    room.night()
    with pytest.raises(PlanRefused):
        plan(room, at="ffffffff")
    (room.tmp / "mat-khau").write_bytes(b"sai")
    with pytest.raises(PlanRefused) as refused:
        plan(room)
    assert "mật khẩu" in refused.value.what.vi


def test_one_path_alone_comes_back(room: Room) -> None:  # noqa: F811
    room.night()
    (room.www / "index.html").write_text("hacked")
    (room.www / "anh" / "a.jpg").unlink()
    (room.www / "moi.html").write_text("viết hôm nay")
    with closing(sqlite3.connect(room.db)) as database:
        database.execute("DELETE FROM bai")
        database.commit()
    done = room.carry(plan(room, path=str(room.www / "anh")).steps)
    assert all(result.done for result in done), done[-1].trouble
    assert (room.www / "anh" / "a.jpg").exists() and (room.www / "index.html").read_text() == "hacked"
    assert all(result.done for result in room.carry(plan(room, path=str(room.www / "index.html")).steps))
    assert (room.www / "index.html").read_text() == "<h1>Xã mẫu</h1>\n" and (room.www / "moi.html").exists()
    assert rows(room.db) == 0
    assert all(result.done for result in room.carry(plan(room, path=str(room.db)).steps))
    assert rows(room.db) == 500 and leftovers(room.tmp) == []
    for wrong, told in ((str(room.www / "khong-co"), "không có"), ("/etc/passwd", "không nằm trong"),
                        (str(room.etc), "không nằm trong")):
        with pytest.raises(PlanRefused) as refused:
            plan(room, path=wrong)
        assert told in refused.value.what.vi


def test_a_set_or_a_time_by_name(room: Room) -> None:  # noqa: F811
    room.night()
    room.night("system")
    (room.www / "index.html").write_text("hacked")
    words = [word for step in plan(room, set="user", at="2099-01-01").steps for word in step.argv]
    assert str(room.www) in words and words == [word for step in plan(room).steps for word in step.argv]
    for args in ({"set": "khac"}, {"at": "2001-01-01"}, {"set": "system", "at": room.ledger.lines[0].body["steps"][-2]["answer"]["snapshot_id"]}):
        with pytest.raises(PlanRefused):
            plan(room, **args)


def test_what_an_open_alarm_speaks_against_is_not_put_back_unasked(room: Room) -> None:  # noqa: F811
    pages = [room.www / f"trang-{number}.html" for number in range(20)]
    for page in pages:
        page.write_text(f"{page.name} " * 200)
    room.night()
    good = tree(room.www)
    for page in pages:
        page.write_bytes(os.urandom(3000))
    assert room.night()["outcome"] == "proved"
    bad = room.ledger.lines[1].body["steps"][-2]["answer"]["snapshot_id"]
    named = plan(room, at=bad[:8])
    assert "đáng ngờ" in named.title.vi and "demo#2" in named.title.vi
    made = plan(room)
    assert "bỏ qua bản mới hơn" in made.title.vi and bad[:8] in made.title.vi and "passed over" in made.title.en
    assert all(result.done for result in room.carry(made.steps))
    assert tree(room.www) == good


def test_plan_is_stable_and_holds_no_secret(room: Room) -> None:  # noqa: F811
    room.night()
    one, two = (prepare(room.site, "restore_site", {}, plan(room)) for _ in range(2))
    assert one.digest == two.digest
    assert "thu-nghiem" not in str(one.json())


@pytest.mark.parametrize("moment", ["before_exchange", "after_exchange"])
def test_swap_goes_on_after_a_crash(tmp_path: Path, moment: str) -> None:
    """Killed just before or just after the exchange, the step run again ends right, and can still be taken back."""
    deal = trees(tmp_path)
    kill(deal, moment)
    assert (deal.live / "a").exists()
    part.swap(deal)
    assert (deal.live / "a").read_text() == "new" and (deal.kept / "a").read_text() == "old"
    part.back(deal)
    part.back(deal)
    new = deal.root / deal.live.relative_to("/")
    assert (deal.live / "a").read_text() == "old" and (new / "a").read_text() == "new" and not deal.kept.exists()
