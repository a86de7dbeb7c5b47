"""backup.restore: which copy a person means, one path of it, databases as files; and what is said when it is not there."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backup import out
from backup.changes.clear import clear
from backup.changes.restore import restore
from backup.pick import until
from ops.errors import PlanRefused
from ops.model import Plan, State, Verdict, say
from tests.backup.room import NEWER, Room
from tests.backup.second import act
from tests.kit import NOW


def plan(room: Room, **args: str) -> Plan:
    return restore.function(room.site, room.ctx(), to=str(room.tmp / "ra"), **args)


def carried(room: Room, **args: str) -> Path:
    """Restores; gives the target."""
    results = room.carry(plan(room, **args).steps)
    assert all(result.done for result in results), results[-1].trouble
    return room.tmp / "ra"


def refused(room: Room, **args: str) -> PlanRefused:
    with pytest.raises(PlanRefused) as caught:
        plan(room, **args)
    return caught.value


def page(room: Room, root: Path) -> str:
    return (root / str(room.www).lstrip("/") / "index.html").read_text()


def times(room: Room) -> list[dict[str, str]]:
    listed = json.loads(room.restic("snapshots", "--json"))
    return sorted(listed, key=lambda one: str(one["time"]))


def test_everything_comes_out_with_the_database_beside(each: Room) -> None:
    each.night()
    root = carried(each)
    assert page(each, root) == "<h1>Xã mẫu</h1>\n"
    with closing(sqlite3.connect(root / "tin.sqlite")) as database:
        assert database.execute("SELECT COUNT(*) FROM bai").fetchone() == (500,)


def test_the_copy_by_time_or_id(room: Room) -> None:
    room.night()
    (room.www / "index.html").write_text("đêm thứ hai")
    room.night()
    # restic stamps copies with its own clock, so both lie in this minute; the ledger's times do not count here
    first, second = (one["id"] for one in times(room))
    assert any(first in step.argv for step in plan(room, at=first[:8]).steps)
    assert any(second in step.argv for step in plan(room).steps)
    for at in ("2099-01-01", "31/12/2098 23:59", "2098-12-31T23:59"):
        assert any(second in step.argv for step in plan(room, at=at).steps)
    trouble = refused(room, at="2001-02-03 04:05")
    assert "2001-02-03 04:05" in trouble.what.vi and first[:8] in trouble.mend.vi
    trouble = refused(room, at="ffffffff")
    assert second[:8] in trouble.mend.vi
    assert "2026-11-20 14:30" in refused(room, at="hôm kia").mend.vi
    assert carried(room, at=first[:8]) and page(room, room.tmp / "ra") == "<h1>Xã mẫu</h1>\n"


def test_times_are_read_on_the_vietnamese_clock() -> None:
    found = until("2026-11-20")
    assert found is not None and found.isoformat() == "2026-11-21T00:00:00+07:00"
    assert until("20/11/2026 14:30") == until("2026-11-20 14:30") == until("2026-11-20T14:30")
    assert str(until("2026-11-20 14:30")) == "2026-11-20 14:31:00+07:00"  # the whole minute counts
    assert until("20261120") is None and until("20-11-2026") is None


def test_one_path(each: Room) -> None:
    each.night()
    root = carried(each, path=str(each.www / "anh"))
    names = sorted(path.name for path in root.rglob("*") if path.is_file())
    assert names == ["a.jpg", "b.jpg", "manifest.jsonl"]


def test_a_database_by_the_path_where_it_lives(room: Room) -> None:
    room.night()
    root = carried(room, path=str(room.db))
    with closing(sqlite3.connect(root / "tin.sqlite")) as database:
        assert database.execute("SELECT COUNT(*) FROM bai").fetchone() == (500,)
    assert not list(root.rglob("index.html"))


def test_one_path_with_a_name_composed_otherwise(room: Room) -> None:
    stored = unicodedata.normalize("NFD", "Quyết định số 1 [bản *].pdf")
    (room.www / stored).write_bytes(b"%PDF")
    room.night()
    root = carried(room, path=unicodedata.normalize("NFC", str(room.www / stored)))
    assert [path.name for path in root.rglob("*.pdf")] == [stored]


def test_a_path_that_is_not_there_is_told_with_its_neighbours(room: Room) -> None:
    room.night()
    trouble = refused(room, path=str(room.www / "indx.html"))
    assert "indx.html" in trouble.what.vi and str(room.www / "index.html") in trouble.mend.vi
    assert "restic ls" in refused(room, path="/khong-co-gi-giong").mend.vi


def test_refusals(room: Room) -> None:
    assert "chưa có bản sao đã chứng minh" in refused(room).what.vi
    room.night()
    assert "user" in refused(room, set="khac").mend.vi
    (room.tmp / "ra").mkdir()
    (room.tmp / "ra" / "x").touch()
    assert "thư mục trống" in refused(room).what.vi


def test_a_copy_that_an_open_alarm_speaks_against_is_not_taken_unasked(room: Room) -> None:
    """Files encrypted, and the quiet night after it: both copies are proved, neither is what a person wants back."""
    pages = [room.www / f"trang-{number}.html" for number in range(20)]
    for page in pages:
        page.write_text(f"{page.name} " * 200)
    room.night()
    for page in pages:
        page.write_bytes(os.urandom(3000))
    bad = room.night()
    room.night()
    assert bad["outcome"] == "proved"
    alarm = room.ledger.lines[1].id
    first, second, third = (one["id"] for one in times(room))
    made = plan(room)
    assert any(first in step.argv for step in made.steps)
    assert third[:8] in made.title.vi and "bỏ qua" in made.title.vi and alarm in made.title.vi
    assert "passed over" in made.title.en
    for named in (second, third):
        made = plan(room, at=named[:8])
        assert any(named in step.argv for step in made.steps) and "đáng ngờ" in made.title.vi and alarm in made.title.vi
    assert "đáng ngờ" not in plan(room, at=first[:8]).title.vi
    found = State("demo", "backup.anomaly", "user", Verdict.MET, room.now, room.now, say("", ""), {}, "", 1, 86400.0)
    room.ledger.known = [found]  # this restic tells no packed sizes: a look since then took a sample, and it was harmless
    assert any(third in step.argv for step in plan(room).steps)
    room.ledger.known = [replace(found, seen_at=NOW)]
    assert any(first in step.argv for step in plan(room).steps)
    act(room, clear, set="user", run=alarm, reason="người làm trang đã dọn, đã hỏi lại", by="Trưởng tổ")
    made = plan(room)
    assert any(third in step.argv for step in made.steps) and "đáng ngờ" not in made.title.vi


def test_a_snapshot_that_is_there_and_not_proved_is_told_as_such(room: Room) -> None:
    room.night()
    room.night(prove=())
    proved, unproved = (one["id"] for one in times(room))
    trouble = refused(room, at=unproved[:8])
    assert "có trong kho nhưng chưa được chứng minh" in trouble.what.vi and room.ledger.lines[1].id in trouble.what.vi
    assert trouble.mend is not None and proved[:8] in trouble.mend.vi
    room.ledger.lines.pop()
    assert "sổ bằng chứng không ghi" in refused(room, at=unproved[:8]).what.vi
    assert any(proved in step.argv for step in plan(room).steps)
    room.night("system")
    trouble = refused(room, set="user", at=times(room)[-1]["id"])
    assert "thuộc bộ system" in trouble.what.vi and trouble.mend is not None and "--set system" in trouble.mend.vi


def test_the_set_need_not_be_said_where_there_is_but_one_of_the_user_level(room: Room) -> None:
    source = [{"kind": "files", "paths": [str(room.www)]}]
    web = {"level": "user", "schedule": "30 1 * * *", "source": source}
    room.more = {"set": {"trang": web}}
    room.site.settings["backup"] = room.settings()
    room.night("trang")
    assert "bộ trang" in plan(room).title.vi
    room.more = {"set": {"trang": web, "anh": web}}
    room.site.settings["backup"] = room.settings()
    trouble = refused(room, path="/a b")
    for name in ("trang", "anh"):
        line = f"gaccong backup restore --site demo --to {room.tmp / 'ra'} --set {name} --path '/a b'"
        assert trouble.mend is not None and line in trouble.mend.vi


def test_progress_comes_from_restic_where_it_tells_it(room: Room) -> None:
    room.night()
    assert not any("--json" in step.argv for step in plan(room).steps)
    room.program = NEWER
    room.site.settings["backup"] = room.settings()
    (step,) = [step for step in plan(room).steps if "--json" in step.argv]
    (result,) = room.carry((step,))
    assert result.done


def test_a_dump_that_is_not_the_noted_one_does_not_stay(tmp_path: Path) -> None:
    note, to = tmp_path / "tin.note.json", tmp_path / "tin.sql"
    whole = b"CREATE TABLE a (x INT);\n-- Dump completed\n"
    note.write_text(json.dumps({"sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}))
    words = ["stream", "--note", str(note), "--to", str(to), "--"]
    for argv in (["printf", "CREATE TABLE"], ["sh", "-c", f"printf '{whole.decode()}'; exit 1"], ["true"]):
        assert out.main([*words, *argv]) == 1
        assert not to.exists() and sorted(path.name for path in tmp_path.iterdir()) == ["tin.note.json"]
    assert out.main([*words, "printf", "%s", whole.decode()]) == 0
    assert to.read_bytes() == whole and to.stat().st_mode & 0o777 == 0o600
