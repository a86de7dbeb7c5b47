"""backup.copy: the second place gets what the first has, by real restic, over a real rest-server, through real faults."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backup.changes.copy import copy, rounds
from backup.checks.offsite import offsite
from backup.copies import proved
from backup.restic import repository_of
from backup.vouched import holding, pairs
from ops.errors import PlanRefused
from ops.model import Plan
from ops.planning import prepare
from tests.backup.room import NEWER, Room
from tests.backup.second import SECOND, act, ids, past, placed, restic, with_second
from tests.backup.servers_rest import FaultProxy, rest_server, wrong


def plan(room: Room) -> Plan:
    return copy.function(room.site, room.ctx(), place="xa")


def test_a_copy_over_tls_with_a_login_to_an_append_only_server_is_proved(each: Room) -> None:
    with rest_server(each.tmp / "server", tls=True, append_only=True, host="::1") as server:
        with_second(each, server.url, login="file:dang-nhap", ca=str(server.ca), append_only=True)
        each.night()
        first = prepare(each.site, "backup.copy", {"place": "xa"}, plan(each))
        body = act(each, copy, [offsite], place="xa")
        assert body["outcome"] == "proved", [step.get("trouble") for step in body["steps"]] + body["proofs"]
        second = prepare(each.site, "backup.copy", {"place": "xa"}, plan(each))
        assert first.digest == second.digest
        said = json.dumps([first.json(), body])
        assert "bi-mat" not in said and "kho-thu-hai" not in said and "thu-nghiem" not in said
        answer = body["steps"][0]["answer"]
        assert answer["repository"] == "made" and answer["copied"] == 1
        # the ledger vouches for what arrived, under its new id
        there = repository_of(each.ctx(), "xa").snapshots(each.ctx(), "gaccong")
        held = holding(each.site, each.ctx(), there, "xa", pairs(each.site, each.ctx(), "xa"))
        assert [lot.evidence for lot in held.of("user")] == [proved(each.site, each.ctx())[0].evidence]
        assert not held.strangers and there[0].id != answer["pairs"][0][0]
        again = act(each, copy, [offsite], place="xa")
        assert again["steps"][0]["answer"]["copied"] == 0 and again["outcome"] == "proved"
        # both cut their data alike: what both hold can be told apart by nothing but the keys
        each.night("system")
        assert act(each, copy, [offsite], place="xa")["steps"][0]["answer"]["copied"] == 1


def test_what_was_copied_restores(room: Room, second_template: Path) -> None:
    with_second(room, placed(second_template, room.tmp / "kho2"))
    room.night()
    assert act(room, copy, [offsite], place="xa")["outcome"] == "proved"
    restic(room, str(room.tmp / "kho2"), "restore", "latest", "--target", str(room.tmp / "ra"))
    for name in ("index.html", "anh/a.jpg"):
        assert (room.tmp / f"ra{room.www}" / name).read_bytes() == (room.www / name).read_bytes()


def test_the_second_place_is_made_once_alike_and_never_anew(room: Room) -> None:
    with_second(room, str(room.tmp / "kho2"))
    past(room, [1])
    assert act(room, copy, place="xa")["outcome"] == "unproved"  # no proof asked here: done
    mine = json.loads(room.restic("cat", "config"))
    other = json.loads(restic(room, str(room.tmp / "kho2"), "cat", "config"))
    assert mine["chunker_polynomial"] == other["chunker_polynomial"] and mine["id"] != other["id"]
    (room.tmp / "kho2").rename(room.tmp / "cat-di")
    body = act(room, copy, [offsite], place="xa")
    assert body["outcome"] == "undone" and "is gone" in body["steps"][0]["trouble"]["en"]
    assert not (room.tmp / "kho2").exists()


def test_other_sites_and_the_future_stay_where_they_are(room: Room, second_template: Path) -> None:
    with_second(room, placed(second_template, room.tmp / "kho2"))
    past(room, [1])
    room.restic("backup", "--host", "khac", "--tag", "gaccong,site=khac", str(room.www))
    room.restic("backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", "--time",
                "2099-01-01 00:00:00", str(room.www))
    answer = act(room, copy, place="xa")["steps"][0]["answer"]
    assert answer["copied"] == 1 and len(answer["held_back"]) == 1
    assert len(ids(room, room.tmp / "kho2", SECOND)) == 1


def test_pairs_that_an_interrupted_act_lost_are_noted_again(room: Room, second_template: Path) -> None:
    with_second(room, placed(second_template, room.tmp / "kho2"))
    past(room, [1])
    room.carry(plan(room).steps)  # killed before the outcome was written
    assert pairs(room.site, room.ctx(), "xa") == {}
    act(room, copy, place="xa")
    assert len(pairs(room.site, room.ctx(), "xa")) == 1


def test_a_forged_twin_does_not_pass_for_a_copy(room: Room, second_template: Path) -> None:
    """Somebody with the second place's password can make snapshots there, but not with the same tree."""
    with_second(room, placed(second_template, room.tmp / "kho2"))
    past(room, [1])
    act(room, copy, place="xa")
    second = str(room.tmp / "kho2")
    (room.www / "index.html").write_text("khác")
    restic(room, second, "backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", str(room.www))
    found = room.look(offsite, "xa")["xa"]
    assert found.verdict == "at_risk" and len(found.facts["unknown"]) == 1


def test_refusals_are_plain(room: Room) -> None:
    with_second(room, "s3:http://127.0.0.1:9/kho", login="file:dang-nhap")
    with pytest.raises(PlanRefused) as refused:
        copy.function(room.site, room.ctx(), place="khong-co")
    assert "xa" in refused.value.mend.vi
    room.site.settings["backup"] = room.settings(repository="s3:http://127.0.0.1:9/kho-1", login="file:mat-khau-2")
    with pytest.raises(PlanRefused) as refused:
        plan(room)
    assert "restic không chép thẳng" in refused.value.what.vi
    assert [(one.args, one.cron) for one in rounds(room.site)] == [({"place": "xa"}, "0 3 * * *")]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_line_cut_while_copying_loses_nothing_and_the_next_night_completes(
        room: Room, second_template: Path, share: float) -> None:
    (room.www / "lon.bin").write_bytes(os.urandom(3_000_000))
    room.program = NEWER if share == 0.5 else "restic"
    with rest_server(room.tmp / "server") as server:
        with_second(room, server.url)
        room.night()
        placed(second_template, server.data / "kho")  # it stands, so that the cut falls into the copying
        whole = 3_050_000
        with FaultProxy((server.host, server.port), after=int(share * whole)) as proxy:
            with_second(room, server.through(proxy.port))
            step = plan(room).steps[0]
            began = time.monotonic()
            [result] = room.carry((replace(step, timeout=20.0, argv=_stall(step.argv, 3.0)),))
            assert not result.done and time.monotonic() - began < 40
            assert result.trouble.vi
        assert ids(room, server.url, SECOND) == []  # no half snapshot
        restic(room, server.url, "check", "--no-lock")
        with_second(room, server.url)
        assert act(room, copy, [offsite], place="xa")["outcome"] == "proved"
        restic(room, server.url, "check", "--read-data", "--no-lock")


def _stall(argv: tuple[str, ...], seconds: float) -> tuple[str, ...]:
    place = argv.index("--stall")
    return (*argv[: place + 1], str(seconds), *argv[place + 2 :])


def test_a_server_that_falls_silent_while_copying_is_left_in_bounded_time(room: Room, second_template: Path) -> None:
    (room.www / "lon.bin").write_bytes(os.urandom(2_000_000))
    with rest_server(room.tmp / "server") as server:
        with_second(room, server.url)
        room.night()
        placed(second_template, server.data / "kho")
        with FaultProxy((server.host, server.port), after=900_000, hang=True) as proxy:
            with_second(room, server.through(proxy.port))
            step = plan(room).steps[0]
            began = time.monotonic()
            [result] = room.carry((replace(step, argv=_stall(step.argv, 3.0)),))
        assert not result.done and time.monotonic() - began < 45
        assert "không kết nối được" in result.trouble.vi and "no data moved" in result.trouble.vi
        restic(room, server.url, "check", "--no-lock")


@pytest.mark.parametrize(("status", "sign"), [(500, "lỗi 500"), (401, "mật khẩu (401)"), (403, "không cho đọc")])
def test_a_server_that_answers_wrongly_is_told_within_seconds(each: Room, status: int, sign: str) -> None:
    past(each, [1])
    with wrong(status) as port:
        with_second(each, f"rest:http://127.0.0.1:{port}/kho/")
        began = time.monotonic()
        body = act(each, copy, [offsite], place="xa")
        assert body["outcome"] == "undone" and sign in body["steps"][0]["trouble"]["vi"]
        assert time.monotonic() - began < 10


def test_a_line_cut_while_backing_up_leaves_no_half_copy_and_the_next_night_completes(room: Room, template: Path) -> None:
    """restic itself goes on trying for a quarter of an hour and more; the step's time limit ends it."""
    (room.www / "lon.bin").write_bytes(os.urandom(2_000_000))
    with rest_server(room.tmp / "server") as server:
        placed(template, server.data / "kho")
        with FaultProxy((server.host, server.port), after=1_000_000) as proxy:
            room.site.settings["backup"] = room.settings(repository=server.through(proxy.port))
            steps = [replace(step, timeout=4.0) if "backup" in step.argv else step for step in room.plan().steps]
            began = time.monotonic()
            results = room.carry(tuple(steps))
            assert not results[-1].done and time.monotonic() - began < 60
            assert "không kết nối được" in results[-1].trouble.vi
        assert ids(room, server.url) == []
        room.site.settings["backup"] = room.settings(repository=server.url)
        assert room.night()["outcome"] == "proved" and len(ids(room, server.url)) == 1
