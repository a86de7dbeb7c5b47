"""backup.run end to end: real staging, real restic, proofs that read the repository."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backup.checks.contents import contents
from ops.errors import PlanRefused
from ops.planning import prepare
from tests.backup.room import Room


def test_a_night_is_proved(each: Room) -> None:
    body = each.night(prove=("backup.contents", "backup.integrity"))
    assert body["outcome"] == "proved", body["proofs"]
    answers = [step["answer"] for step in body["steps"] if step["answer"]]
    assert any(answer.get("snapshot_id") for answer in answers)
    assert any(answer.get("counts") == {"so_bai": 500} for answer in answers)
    snapshot, = json.loads(each.restic("snapshots", "--json"))
    assert snapshot["tags"] == ["gaccong", "level=user", "set=user", "site=demo"]
    assert snapshot["hostname"] == "demo"


def test_plan_is_the_same_every_night_the_first_included(tmp_path: Path, template: Path) -> None:
    room = Room(tmp_path, template)
    room.repository.rename(tmp_path / "away")  # as on the very first night
    first = prepare(room.site, "backup.run", {"set": "user"}, room.plan())
    assert room.night()["outcome"] == "proved" and (room.repository / "config").is_file()
    second = prepare(room.site, "backup.run", {"set": "user"}, room.plan())
    assert first.digest == second.digest
    assert "thu-nghiem" not in json.dumps(first.json())


def test_a_lost_repository_is_never_made_anew(room: Room) -> None:
    plan = room.plan()
    assert room.night()["outcome"] == "proved"
    room.repository.rename(room.tmp / "away")
    with pytest.raises(PlanRefused) as refused:
        room.plan()
    assert "không còn" in refused.value.what.vi
    assert "gắn lại" in refused.value.mend.vi
    # lost between planning and acting, and even with a ledger that forgot: the mark of the first night holds
    found = next(step for step in plan.steps if "backup.found" in step.argv)
    [result] = room.carry((found,))
    assert not result.done and "is gone" in result.trouble.en and not room.repository.exists()


def test_a_repository_of_another_place_may_begin_anew(room: Room) -> None:
    room.night()
    room.repository = room.tmp / "kho-moi"
    room.site.settings["backup"] = room.settings()
    found = next(step for step in room.plan().steps if "backup.found" in step.argv)
    assert room.carry((found,))[0].answer["repository"] == "made"


def test_a_folder_with_other_things_is_not_made_a_repository(room: Room) -> None:
    (room.repository / "config").unlink()
    with pytest.raises(PlanRefused) as refused:
        room.plan()
    assert "không rỗng" in refused.value.what.vi


def test_wrong_password_is_refused_with_a_mend(room: Room) -> None:
    (room.tmp / "mat-khau").write_bytes(b"sai\n")
    body = room.night()
    assert body["outcome"] == "undone"
    assert "mật khẩu không mở được" in body["steps"][-1]["trouble"]["vi"]
    assert "password" in body["steps"][-1]["trouble"]["vi"]


def test_unknown_set_and_remote_host_are_refused(room: Room) -> None:
    with pytest.raises(PlanRefused) as refused:
        room.plan("nguoi-dung")
    assert "user" in refused.value.mend.vi
    body = json.loads(room.site.settings["backup"].model_dump_json())
    body["set"]["user"]["source"][0]["host"] = "web1"
    room.site.settings["backup"] = type(room.site.settings["backup"]).model_validate(body)
    with pytest.raises(PlanRefused) as refused:
        room.plan()
    assert "web1" in refused.value.what.vi


@pytest.mark.parametrize("spoil", ["missing", "empty", "symlink", "no_database", "bad_database"])
def test_a_source_that_is_not_what_it_was_leaves_the_rest_copied_and_the_run_unproved(room: Room, spoil: str) -> None:
    away = room.tmp / "away"
    if spoil == "no_database":
        room.db.unlink()
    elif spoil == "bad_database":
        room.db.write_bytes(b"SQLite format 3\0" + b"\x07" * 9000)
    else:
        room.www.rename(away)
        if spoil == "empty":
            (room.www / "anh").mkdir(parents=True)
        elif spoil == "symlink":
            room.www.symlink_to(away)
    body = room.night()
    assert body["outcome"] == "unproved", body
    (verdict, detail), = body["proofs"]
    assert verdict == "broken"
    sign = {"missing": "thiếu", "empty": "rỗng", "symlink": "liên kết", "no_database": "tin.sqlite",
            "bad_database": "tin"}[spoil]
    assert sign in detail
    listing = room.restic("ls", "latest")
    assert ("index.html" if "database" in spoil else "tin.sqlite") in listing


def test_last_nights_database_is_never_copied_as_tonights(room: Room) -> None:
    room.night()
    room.db.unlink()
    room.night()
    assert "tin.sqlite" not in room.restic("ls", "latest")


def test_leftovers_leave_the_stage(room: Room) -> None:
    room.night()
    (room.tmp / "home/stage/user/cu.sqlite").write_text("x")
    room.night()
    assert "cu.sqlite" not in room.restic("ls", "latest")


def test_database_in_use_is_copied_whole(room: Room) -> None:
    with closing(sqlite3.connect(room.db)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("INSERT INTO bai (ten) VALUES ('mới')")
        writer.commit()
        writer.execute("INSERT INTO bai (ten) VALUES ('chưa xong')")  # an open transaction must not be in the copy
        body = room.night()
    assert body["outcome"] == "proved"
    assert any(step["answer"] and step["answer"].get("counts") == {"so_bai": 501} for step in body["steps"])


def test_system_level_notes_packages(room: Room) -> None:
    assert room.night("system")["outcome"] == "proved"
    note = json.loads(room.restic("dump", "latest", str(room.tmp / "home/stage/system/system.note.json")))
    assert "dpkg" in note["packages"]


def test_odd_names_are_copied_and_proved(room: Room) -> None:
    root = bytes(room.www)
    names = [b"xu\nong dong", "nho\u0302m".encode(), "nhôm".encode(), b"hong \xff\xe1\xbb z", b"a*[b]\\?", b"..."]
    for name in names:
        with open(root + b"/" + name, "wb") as stream:
            stream.write(name)
    (room.www / "bo.tmp").write_text("left out")
    body = room.night()
    assert body["outcome"] == "proved", body["proofs"]
    found = room.look(contents)["user"]
    assert found.measures["files"] == 3 + len(names) + 2
    assert found.measures["moving_files"] == 0


def test_an_old_copy_cannot_prove_a_new_run(room: Room) -> None:
    """Were restic to make no snapshot and still exit 0, the copy of last night must not pass for tonight's."""
    room.night()
    plan = room.plan()
    room.carry(plan.steps[:-2])
    finding = room.look(contents, "user")["user"]
    assert finding.verdict == "broken"
    assert "không do lần chạy này" in finding.detail.vi


def test_a_planted_copy_is_not_believed(room: Room) -> None:
    room.night()
    room.restic("backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", str(room.www),
                str(room.tmp / "home/stage/user"))
    (room.tmp / "home/stage/user/manifest.jsonl").write_text("{}\n")
    assert room.look(contents)["user"].verdict == "broken"


def test_a_file_that_restic_passed_over_is_a_loss(room: Room) -> None:
    """The manifest has it, it lies untouched at its source, the copy lacks it."""
    plan = room.plan()
    *before, copy, _ = plan.steps
    room.carry(tuple(before))
    room.carry((replace(copy, argv=(*copy.argv[: (at := copy.argv.index("backup") + 1)], "--exclude", "b.jpg", *copy.argv[at:])),))
    finding = room.look(contents, "user")["user"]
    assert finding.verdict == "broken"
    assert "b.jpg" in finding.detail.vi


def test_repository_gone_is_broken_not_unseen(room: Room) -> None:
    room.night()
    room.repository.rename(room.tmp / "away")
    assert room.look(contents)["user"].verdict == "broken"
