"""backup.anomaly: real restic runs of real attacks and of a site's ordinary life, judged by what restic says of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backup import alarm
from backup.alarm import Figures, Run, alarms, fires
from backup.changes.clear import clear
from backup.checks.anomaly import anomaly
from backup.cleared import clearings
from ops.errors import PlanRefused
from ops.model import Evidence, Finding
from ops.moment import stamp
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
