"""backup.anomaly: real restic runs of real attacks and of a site's ordinary life, judged by what restic says of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backup import alarm
from backup.alarm import Figures, Run, alarms, fires
from backup.changes.clear import clear
from backup.checks.anomaly import anomaly
from backup.cleared import clearings
from backup.copies import copies
from backup.manifest import write
from backup.stage import stage_of
from ops.errors import PlanRefused
from ops.model import Evidence, Finding
from ops.moment import stamp
from playbooks.restore_site import restore_site
from tests.backup.room import NEWER, Room
from tests.backup.second import act, note, with_second
from tests.kit import NOW

PAGES = 60
WORDS = "Ủy ban nhân dân xã thông báo lịch tiếp công dân định kỳ trong tháng và các thủ tục hành chính mới. "


def page(number: int, skin: str = "cu") -> str:
    """A page of a site: text that compresses, with something of its own in it."""
    return f"<html class={skin}>{number}" + "".join(f"<p>{number * 7919 + line}: {WORDS}</p>" for line in range(30))


@pytest.fixture
def site(room: Room) -> Iterator[Room]:
    """A room with a site of 60 pages and 10 photos, copied on two usual nights by the newer restic."""
    room.program = NEWER
    yield made(room)


def made(room: Room) -> Room:
    with_second(room, str(room.tmp / "kho2"))
    for number in range(PAGES):
        (room.www / f"trang-{number}.html").write_text(page(number))
    for number in range(10):
        (room.www / f"anh-{number}.jpg").write_bytes(os.urandom(30_000))
    night(room)
    (room.www / "trang-1.html").write_text(page(1) + "<p>tin mới</p>")
    night(room)
    return room


def night(room: Room, *, stream: bytes | None = None) -> Evidence:
    """One real `restic backup` of the site, noted as `backup.run` would note it."""
    tags = [part for tag in ("gaccong", "level=user", "set=user", "site=demo") for part in ("--tag", tag)]
    steps: list[dict[str, Any]] = []
    if stream is not None:
        dump = room.tmp / "tin.sql"
        dump.write_bytes(stream)
        told = room.restic("backup", "--json", "--host", "demo", *tags, "--tag", "stream=tin", str(dump))
        said = json.loads(told.splitlines()[-1])
        kept = {name: said[name] for name in ("snapshot_id", "data_added", "data_added_packed")}
        steps.append({"answer": {**kept, "stream": "tin", "bytes": len(stream)}})  # what `backup.stream` tells
    told = room.restic("backup", "--json", "--host", "demo", *tags, str(room.www))
    answer = json.loads(told.splitlines()[-1])
    steps += [{"answer": {"manifest": "0" * 64, "files": answer["total_files_processed"], "repository": "kho"}},
              {"answer": answer}]
    line = note(room, "outcome", "backup.run", {"args": {"set": "user"}, "outcome": "proved", "steps": steps,
                                                "started": stamp(room.now)})
    room.now += timedelta(days=1)
    return line


def look(room: Room, subject: str = "user") -> Finding:
    return room.look(anomaly)[subject]


def encrypt(room: Room) -> None:
    for number in range(PAGES // 2):
        path = room.www / f"trang-{number}.html"
        path.write_bytes(os.urandom(path.stat().st_size))


def encrypt_and_rename(room: Room) -> None:
    encrypt(room)
    for number in range(PAGES // 2):
        path = room.www / f"trang-{number}.html"
        path.rename(path.with_suffix(".locked"))


def template(room: Room) -> None:
    for number in range(PAGES):
        (room.www / f"trang-{number}.html").write_text(page(number, "moi"))


def photos(room: Room) -> None:
    for number in range(40):
        (room.www / f"le-hoi-{number}.jpg").write_bytes(os.urandom(20_000))


def chown(room: Room) -> None:
    for path in room.www.rglob("*"):
        os.chown(path, 65534, 65534)


def emptied(room: Room) -> None:
    shutil.rmtree(room.www)
    room.www.mkdir()


def slow(room: Room) -> None:
    """A few files a day."""
    for number in range(5):
        (room.www / f"trang-{number}.html").write_bytes(os.urandom(5000))


@pytest.mark.parametrize(("deed", "kind"), [
    (encrypt, "encrypted"), (encrypt_and_rename, "encrypted"), (emptied, "lost"),
    (template, ""), (photos, ""), (chown, ""), (slow, "")], ids=lambda value: getattr(value, "__name__", value))
def test_attacks_ring_and_ordinary_days_do_not(site: Room, deed: Callable[[Room], None], kind: str) -> None:
    """The slow attack is not seen: five files a day are a day's work, and we say so."""
    assert look(site).verdict == "met"
    deed(site)
    line = night(site)
    found = look(site)
    if not kind:
        assert found.verdict == "met", found.detail.vi
        return
    assert found.verdict == "broken" and found.facts["alarms"][0]["kind"] == kind
    assert line.id in found.detail.vi and line.id in found.next and "backup.clear" in found.next
    assert found.measures["retention_frozen"] == 1


@pytest.mark.parametrize(("deed", "verdict"), [(encrypt, "broken"), (template, "met")], ids=["encrypted", "template"])
def test_restic_without_packed_sizes_is_helped_by_a_sample(room: Room, deed: Callable[[Room], None], verdict: str) -> None:
    made(room)
    assert "lấy mẫu" in look(room).detail.vi
    deed(room)
    night(room)
    found = look(room)
    assert found.verdict == verdict, found.detail.vi
    assert look(room).verdict == verdict and len(list((room.tmp / "home/squeezed").iterdir())) == 1
    room.repository.rename(room.tmp / "away")
    shutil.rmtree(room.tmp / "home/squeezed")
    blind = room.look(anomaly)
    assert blind["user"].verdict == "at_risk" and "chưa rõ" in blind["user"].detail.vi  # no sample to be had
    assert blind["repository"].verdict == "unseen"


def test_an_alarm_stays_until_a_person_clears_it_and_is_not_learned(site: Room) -> None:
    encrypt(site)
    bad = night(site)
    night(site)  # nothing changed any more: that does not make it good
    assert look(site).verdict == "broken"
    for args, sign in (({"run": "demo#999", "reason": "đã xem xét kỹ"}, bad.id), ({"run": bad.id, "reason": "ok"}, "lý do")):
        with pytest.raises(PlanRefused) as refused:
            clear.function(site.site, site.ctx(), set="user", **args)
        assert refused.value.mend is not None and sign in refused.value.what.vi + refused.value.mend.vi
    body = act(site, clear, [anomaly], by="Trưởng tổ", set="user", run=bad.id, reason="đổi mẫu trang, đã hỏi người làm")
    assert body["outcome"] == "proved" and body["steps"][0]["answer"]["cleared"] == bad.id
    found = look(site)
    assert found.verdict == "met" and found.facts["cleared"][0]["by"] == "Trưởng tổ"
    assert found.facts["cleared"][0]["reason"] == "đổi mẫu trang, đã hỏi người làm"


def test_a_clearing_that_was_not_carried_out_clears_nothing(site: Room) -> None:
    encrypt(site)
    bad = night(site)
    args = {"set": "user", "run": bad.id, "reason": "đã xem xét kỹ rồi"}
    intent = note(site, "intent", "backup.clear", {"args": args, "by": "A"})
    assert len(clearings(site.site, site.ctx())) == 1  # being carried out: its proof must see it
    note(site, "outcome", "backup.clear", {"args": args, "intent": intent.seq, "outcome": "interrupted", "steps": []})
    assert clearings(site.site, site.ctx()) == [] and look(site).verdict == "broken"


def test_dumps_that_are_encrypted_or_cut_short_ring(site: Room) -> None:
    lines = "".join(f"INSERT INTO bai VALUES ({n}, '{WORDS}');\n" for n in range(3000))
    for day in range(4):
        night(site, stream=f"-- {day}\n{lines}".encode())
    assert look(site).verdict == "met"
    night(site, stream=os.urandom(len(lines)))
    found = look(site)
    assert [one["kind"] for one in found.facts["alarms"]] == ["dump_encrypted"] and "tin" in found.detail.vi
    night(site, stream=lines[: len(lines) // 3].encode())
    assert [one["kind"] for one in look(site).facts["alarms"]] == ["dump_encrypted", "dump_short"]


def test_unknown_snapshots_are_told_and_those_in_the_making_are_not(site: Room) -> None:
    assert look(site, "repository").verdict == "met"
    intent = note(site, "intent", "backup.run", {"args": {"set": "user"}}, site.now - timedelta(days=2))
    site.restic("backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", str(site.www))
    site.now = intent.time + timedelta(hours=1)
    assert look(site, "repository").verdict == "met"  # a run is at work right now
    note(site, "outcome", "backup.run", {"args": {"set": "user"}, "intent": intent.seq, "outcome": "interrupted",
                                         "steps": [], "started": stamp(intent.time)}, site.now)
    found = look(site, "repository")
    assert found.verdict == "met" and len(found.facts["not_counted"]) == 1
    site.ledger.lines[-1] = replace(site.ledger.lines[-1], body={**site.ledger.lines[-1].body, "outcome": "undone"})
    found = look(site, "repository")
    assert found.verdict == "broken" and found.facts["unknown"][0] in found.next


def test_the_alarm_tests_itself(site: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fires() == []
    for name, value in (("PACKED", 2.0), ("CHANGED", 5.0), ("GONE", 5.0), ("SHORT", 0.0), ("PACKED", 0.0)):
        with monkeypatch.context() as broken:
            broken.setattr(alarm, name, value)
            found = site.look(anomaly)
            assert {one.verdict for one in found.values()} == {"broken"}, name
            assert "báo động hỏng" in found["user"].detail.vi


def test_figures_that_restic_leaves_out_are_nought() -> None:
    assert alarm.figures({"snapshot_id": "a", "files_new": 3}) == Figures(new=3)
    assert alarm.figures({"data_added": 5000, "data_added_packed": 4500}).density == 0.9
    # small encrypted pages: what restic notes of each file would hide them
    assert (alarm.figures({"files_changed": 100, "data_added": 300_000, "data_added_packed": 265_000}).density or 0) > 0.98
    assert alarm.figures({"data_added": 5000}).density is None


def test_other_paths_than_before_are_not_a_loss() -> None:
    """restic finds nothing to compare with: all files are new, and only the total tells."""
    first = Run("demo#1", "user", NOW, Figures(0, 0, 2000, 2000, 1, 0, 0))
    moved = replace(first, evidence="demo#2", main=Figures(2000, 0, 0, 2000, 1, 100_000, 30_000))
    assert alarms([first, moved]) == []
    fewer = replace(moved, main=Figures(900, 0, 0, 900, 1, 100_000, 30_000))
    assert [one.kind for one in alarms([first, fewer])] == ["lost"]


def whole(room: Room) -> Room:
    """The same site with its real nights, manifest and all."""
    for number in range(PAGES):
        (room.www / f"trang-{number}.html").write_text(page(number))
    for _ in range(2):
        assert room.night()["outcome"] == "proved"
    return room


def test_the_night_after_a_restore_in_place_is_quiet_and_an_encryption_then_is_not(each: Room) -> None:
    """Every file has another inode and ctime, so restic calls all of them changed; their SHA-256 says that none did."""
    room = whole(each)
    assert all(result.done for result in room.carry(restore_site.function(room.site, room.ctx()).steps))
    assert room.night()["outcome"] == "proved"
    assert figures_of(room).main.changed > PAGES
    found = look(room)
    assert found.verdict == "met" and found.measures["changed_ratio"] < 0.1, found.detail.vi
    encrypt(room)
    room.night()
    found = look(room)
    assert found.verdict == "broken" and found.facts["alarms"][0]["kind"] == "encrypted"
    assert 0.4 < found.measures["changed_ratio"] < 0.6


def figures_of(room: Room) -> Run:
    return alarm.run_of(copies(room.site, room.ctx())[-1])


def test_files_encrypted_between_manifest_and_copy_ring_all_the_same(each: Room) -> None:
    """The manifest says that nothing changed; restic stored more pieces of data than it explains."""
    room = whole(each)
    steps = room.plan().steps
    at = next(number for number, step in enumerate(steps) if "backup.manifest" in step.argv) + 1
    results = room.carry(steps[:at])
    encrypt(room)
    results += room.carry(steps[at:])
    assert all(result.done for result in results)
    room.ledger.note(room.now, {"args": {"set": "user"}, "outcome": "proved", "started": stamp(room.now),
                                "steps": [result.json() for result in results]})
    since = figures_of(room).since
    assert since is not None and since.changed <= 3 and look(room).verdict == "broken"


def test_a_forged_manifest_of_last_night_excuses_nothing(each: Room) -> None:
    """Whoever can write the stage puts a manifest of the encrypted state there: it is not the one that the ledger noted."""
    room = whole(each)
    encrypt(room)
    stage = stage_of(room.ctx().home, "user")
    write(stage, [room.www], ["tin.sqlite", "tin.note.json"], [])
    room.night()
    since = figures_of(room).since
    assert since is not None and since.changed <= 3
    assert look(room).verdict == "broken"


def test_what_the_manifest_counts(tmp_path: Path) -> None:
    stage, live = tmp_path / "stage/user", tmp_path / "www"
    stage.mkdir(parents=True)
    (live / "a").mkdir(parents=True)
    for name in ("a/1", "a/2", "a.b", "b", "c", "d"):
        (live / name).write_text(name)
    first = write(stage, [live], [], [])
    assert first["since"]["files"] == 0 and first["since"]["new"] == 6
    (live / "a/1").write_text("khác")
    (live / "b").unlink()
    (live / "c").unlink()
    (live / "c").mkdir()                              # a folder now: the file is gone
    (live / "moi").write_bytes(b"x" * (1 << 20))
    for name in ("a/2", "a.b"):                       # another inode and time, the same bytes
        (live / name).unlink()
        (live / name).write_text(name)
    second = write(stage, [live], [], [])
    assert second["since"] == {"before": first["manifest"], "files": 6, "new": 1, "changed": 1, "gone": 2, "blobs": 5}
    (live / "zz").write_text("sau cùng")
    (live / "zz").unlink()
    shutil.rmtree(live / "a")
    third = write(stage, [live], [], [])
    assert third["since"] == {"before": second["manifest"], "files": 5, "new": 0, "changed": 0, "gone": 2, "blobs": 1}
    (stage / "manifest.jsonl").write_bytes(b"{broken")
    assert write(stage, [live], [], [])["since"]["before"] not in (third["manifest"], "")


def test_lines_from_before_the_counts_are_judged_as_ever() -> None:
    usual = Run("demo#1", "user", NOW, Figures(0, 13, 1987, 2000, 1, 2_000_000), manifest="m")
    touched = Run("demo#2", "user", NOW, Figures(0, 2000, 0, 2000, 1, 1_400_000))
    assert [one.kind for one in alarms([usual, touched])] == ["mass_change"]
    for since in (alarm.Since("m", 2000), alarm.Since("", 2000), alarm.Since("other", 2000)):
        counted = replace(touched, main=replace(touched.main, blobs=0), since=since)
        assert bool(alarms([usual, counted])) is (since.before != "m")
    assert alarms([replace(usual, manifest=""), replace(touched, since=alarm.Since("", 2000))])  # nothing noted, nothing excused
