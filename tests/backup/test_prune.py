"""backup.prune: what goes is named, what must not go stays, and nothing goes while anything is unexplained."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from backup import watched
from backup.changes.clear import clear
from backup.changes.copy import copy
from backup.changes.prune import prune, weeks
from backup.checks.anomaly import anomaly
from backup.checks.fresh import fresh
from backup.checks.integrity import integrity
from backup.checks.offsite import offsite
from backup.forget import main as forget
from backup.vouched import removed
from ops.errors import PlanRefused
from ops.model import Plan, Text, Verdict
from ops.moment import stamp
from ops.planning import prepare
from tests.backup.room import NEWER, Room
from tests.backup.second import SECOND, act, ids, note, past, placed, restic, with_second
from tests.backup.servers_rest import rest_server

RULE = {"last": 3, "days": 0, "weeks": 0, "months": 0, "years": 0}
DAYS = [90, 80, 60, 50, 40, 3, 2, 1, 0.2]


def ready(room: Room, second: str = "", days: list[float] | None = None) -> list[str]:
    """A room with a rule and copies of long ago. Only old ones may go by it: 3 of 9 are past their time with more=yes."""
    room.more["keep"] = RULE
    with_second(room, second or str(room.tmp / "kho2"), keep=RULE)
    return past(room, DAYS if days is None else days)


def plan(room: Room, place: str = "first", more: str = "") -> Plan:
    return prune.function(room.site, room.ctx(), place=place, more=more)


def refused(make: Callable[[], object]) -> PlanRefused:
    with pytest.raises(PlanRefused) as caught:
        make()
    assert caught.value.what.vi and caught.value.what.en and caught.value.mend is not None and caught.value.mend.vi
    return caught.value


def test_old_copies_go_and_their_dumps_with_them(each: Room) -> None:
    each.more["keep"] = RULE
    with_second(each, str(each.tmp / "kho2"))
    made = past(each, [60, 50, 3, 2, 1], streams=["db"])
    before = ids(each)
    planned = plan(each)
    assert "bỏ 2 bản sao cũ, giữ 3 bản" in planned.title.vi and len(before) == 10
    deed = next(step for step in planned.steps if "backup.forget" in step.argv)
    assert all(one[:8] in deed.why.vi for one in made)
    assert deed.argv.count("--gone") == 4 and deed.argv.count("--stay") == 6
    body = act(each, prune, [fresh], place="first")
    assert body["outcome"] == "proved", [step.get("trouble") for step in body["steps"]] + body["proofs"]
    assert len(ids(each)) == 6 and all(not any(one.startswith(old[:8]) for one in ids(each)) for old in made[:2])
    assert len(removed(each.site, each.ctx())) == 4
    assert not plan(each).steps  # nothing more to remove
    each.restic("check")


def test_one_standing_approval_serves_each_week(room: Room) -> None:
    ready(room)
    first = prepare(room.site, "backup.prune", {"place": "first"}, plan(room, more="yes"))
    assert first.plan.rule is not None and "giữ 3 bản mới nhất" in first.plan.rule.vi and "kho first" in first.plan.rule.vi
    act(room, prune, place="first", more="yes")
    second = prepare(room.site, "backup.prune", {"place": "first"}, plan(room))
    assert first.digest != second.digest and first.standing == second.standing
    assert [(one.args["place"], one.cron) for one in weeks(room.site)] == [("first", "40 4 * * 0"), ("xa", "40 4 * * 0")]


def test_planted_copies_push_nothing_out(room: Room) -> None:
    """With restic's own flags they would: this is the measured attack, and what ours makes of it."""
    made = ready(room, days=[7, 6, 5, 4, 3, 2, 1])
    for ago in range(7, 0, -1):
        day = room.now - timedelta(days=ago)
        room.restic("backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", "--time",
                    f"{day.astimezone():%Y-%m-%d} 23:59:59", str(room.tmp / "nho"))
    told = json.loads(room.restic("forget", "--dry-run", "--json", "--keep-daily", "7", "--tag", "gaccong", "--group-by", "host"))
    gone = {one["id"] for group in told for one in group["remove"] or []}
    assert all(any(one.startswith(old[:8]) for one in gone) for old in made)  # restic would drop every real one
    error = refused(lambda: plan(room))
    assert "không biết" in error.what.vi and "backup.clear" in error.mend.vi
    found = room.look(anomaly)["repository"]
    assert found.verdict == "broken" and len(found.facts["unknown"]) == 7
    # a person answers for them: they count for nothing, and go by nobody's rule
    for one in found.facts["unknown"]:
        body = act(room, clear, [anomaly], set="repository", run=one, reason="chạy tay khi thử, đã hỏi người làm")
    assert body["outcome"] == "proved", [step.get("trouble") for step in body["steps"]] + body["proofs"]
    assert not plan(room).steps and len(ids(room)) == 14


def test_a_copy_from_the_future_stops_everything(room: Room) -> None:
    ready(room)
    room.restic("backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", "--time",
                "2090-01-01 00:00:00", str(room.www))
    error = refused(lambda: plan(room))
    assert "tương lai" in error.what.vi and f"restic -r {room.repository} forget" in error.mend.vi
    found = room.look(anomaly)["repository"]
    assert found.verdict == "broken" and len(found.facts["future"]) == 1 and "forget" in found.next


def test_more_than_half_only_when_asked(room: Room) -> None:
    ready(room)
    error = refused(lambda: plan(room))
    assert "hơn một nửa" in error.what.vi and "more=yes" in error.mend.vi
    assert len(plan(room, more="yes").steps) >= 1


def test_the_last_drilled_copy_stays(room: Room) -> None:
    ready(room)
    run = room.ledger.lines[1]
    facts = {"verdict": "met", "facts": {"evidence": run.id}}
    note(room, "daily", "backup.drill", {"subjects": {"user": facts}})
    held = next(step for step in plan(room).steps if "backup.forget" in step.argv)
    assert held.argv.count("--gone") == 4
    assert run.body["steps"][0]["answer"]["snapshot_id"][:8] not in held.why.vi.partition("— giữ")[0]


def test_a_wrong_clock_stops_it(room: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ready(room)
    room.now -= timedelta(days=30)
    assert "chậm hơn" in refused(lambda: plan(room)).what.vi
    room.now += timedelta(days=30)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/timedatectl").write_text("#!/bin/sh\necho no\n")
    (tmp_path / "bin/timedatectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert "chưa được đồng bộ" in refused(lambda: plan(room)).what.vi


def test_an_open_alarm_freezes_retention_until_a_person_clears_it(room: Room) -> None:
    ready(room)
    usual = {"files_unmodified": 90, "files_changed": 10, "total_files_processed": 100, "data_added": 9000,
             "data_added_packed": 3000}
    attack = {"files_unmodified": 20, "files_changed": 80, "total_files_processed": 100, "data_added": 900_000,
              "data_added_packed": 890_000}
    for figures in (usual, attack):
        line = note(room, "outcome", "backup.run", {"args": {"set": "user"}, "outcome": "proved", "started": stamp(room.now),
                                                    "steps": [{"answer": {"snapshot_id": "ab" * 32, **figures}}]})
    error = refused(lambda: plan(room, more="yes"))
    assert "báo động của bộ user" in error.what.vi and line.id in error.mend.vi
    body = act(room, clear, [anomaly], set="user", run=line.id, reason="thử tài liệu, đã xem từng tệp")
    assert body["outcome"] == "proved", [step.get("trouble") for step in body["steps"]] + body["proofs"]
    assert plan(room, more="yes").steps


def test_an_append_only_place_is_refused_with_the_command_for_its_own_machine(room: Room) -> None:
    made = ready(room)
    room.more["append_only"] = True
    room.site.settings["backup"] = room.settings()
    error = refused(lambda: plan(room, more="yes"))
    assert "chỉ ghi thêm" in error.what.vi and made[0][:8] in error.mend.vi
    assert [one.args["place"] for one in weeks(room.site)] == ["xa"]


def test_unknown_place_and_no_rule(room: Room) -> None:
    with_second(room, str(room.tmp / "kho2"))
    assert "first, xa" in refused(lambda: plan(room, "khong-co")).mend.vi
    assert "keep = {}" in refused(lambda: plan(room, "xa")).mend.vi


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_a_server_that_refuses_to_delete_is_told_whatever_restic_exits_with(
        room: Room, program: str, second_template: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    with rest_server(room.tmp / "server", append_only=True) as server:
        placed(second_template, server.data / "kho")
        with_second(room, server.url)
        restic(room, server.url, "backup", str(room.www))
        [identity] = ids(room, server.url, SECOND)
        monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(room.tmp / "mat-khau-2"))
        monkeypatch.setenv("RESTIC_CACHE_DIR", str(room.tmp / "cache"))
        began = time.monotonic()
        code = forget(["--gone", identity, "--stall", "8", "--", program, "-r", server.url])
        told = capsys.readouterr()
        assert code != 0 and json.loads(told.out.splitlines()[-1])["left"] == [identity]
        assert "still there" in told.err and time.monotonic() - began < 60
        assert ids(room, server.url, SECOND) == [identity]


def test_nothing_goes_where_what_should_stay_is_gone_already(room: Room, capsys: pytest.CaptureFixture[str],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    ready(room, days=[2, 1])
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(room.tmp / "mat-khau"))
    monkeypatch.setenv("RESTIC_CACHE_DIR", str(room.tmp / "cache"))
    identity = ids(room)[0]
    assert forget(["--gone", identity, "--stay", "f" * 64, "--", "restic", "-r", str(room.repository)]) == 1
    assert "should have stayed" in capsys.readouterr().err and len(ids(room)) == 2


def test_a_copy_that_somebody_deleted_stops_everything(room: Room) -> None:
    """Its data may still be had back (`restic recover`); a prune would end that."""
    ready(room)
    assert plan(room, more="yes").steps
    state = SimpleNamespace(duty="backup.integrity", verdict=Verdict.BROKEN, detail=Text("hỏng", "damaged"))
    room.ledger.known.append(state)  # type: ignore[arg-type]
    assert "backup.integrity" in refused(lambda: plan(room, more="yes")).what.vi
    room.ledger.known.clear()
    victim = ids(room)[-2]
    (room.repository / "snapshots" / victim).unlink()
    error = refused(lambda: plan(room, more="yes"))
    assert victim[:8] in error.what.vi and "give_up=yes" in error.mend.vi


def test_a_prune_that_was_killed_accuses_nobody(room: Room) -> None:
    ready(room)
    assert room.night()["outcome"] == "proved"
    planned = plan(room, more="yes")
    room.carry(planned.steps[:2])  # inventory, forget; then the process dies
    note(room, "outcome", "backup.prune", {"args": {"place": "first"}, "outcome": "interrupted", "steps": []})
    assert plan(room, more="yes") is not None  # the note tells whose deed it was
    assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
    assert room.look(integrity)["user"].verdict == "met" and len(removed(room.site, room.ctx())) > 3
    assert not plan(room).steps


def test_only_one_copy_passes_as_left_by_an_interrupted_run(room: Room) -> None:
    ready(room)
    began = room.now - timedelta(hours=30)
    note(room, "outcome", "backup.run", {"args": {"set": "user"}, "outcome": "interrupted", "steps": [],
                                         "started": stamp(began)}, began + timedelta(hours=2))
    for minutes in (10, 20, 30):
        room.restic("backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", "--time",
                    f"{(began + timedelta(minutes=minutes)).astimezone():%Y-%m-%d %H:%M:%S}", str(room.www))
    assert len(room.look(anomaly)["repository"].facts["unknown"]) == 2


def test_a_further_place_is_thinned_by_what_the_ledger_knows_of_it(room: Room, second_template: Path) -> None:
    ready(room, placed(second_template, room.tmp / "kho2"), days=[60, 50, 3, 2, 1])
    body = act(room, copy, [offsite], place="xa")
    assert body["outcome"] == "proved", [step.get("trouble") for step in body["steps"]] + body["proofs"]
    assert act(room, prune, [offsite], place="xa")["outcome"] == "proved"
    assert len(ids(room, room.tmp / "kho2", SECOND)) == 3 and len(ids(room)) == 5
    # what went by rule is not brought again for ever
    again = act(room, copy, [offsite], place="xa")
    assert again["outcome"] == "proved"


def dead_lock(room: Room) -> None:
    """A lock whose process was killed."""
    holder = subprocess.Popen([room.program, "-r", str(room.repository), "--password-file", str(room.tmp / "mat-khau"),
                               "--no-cache", "backup", "--stdin", "--stdin-filename", "x"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={"PATH": os.environ["PATH"], "HOME": str(room.tmp)})
    for _ in range(500):
        if any(len(one.name) == 64 for one in (room.repository / "locks").iterdir()):
            break
        time.sleep(0.02)
    holder.kill()
    holder.communicate(timeout=10)


def test_a_stale_lock_is_taken_away_and_the_work_is_done(each: Room) -> None:
    each.more["keep"] = RULE
    with_second(each, str(each.tmp / "kho2"))
    past(each, [60, 3, 2, 1])
    dead_lock(each)
    assert list((each.repository / "locks").iterdir())
    assert act(each, prune, [fresh], place="first")["outcome"] == "proved"
    assert len(ids(each)) == 3 and not list((each.repository / "locks").iterdir())


def test_a_lock_of_another_host_is_waited_for_and_never_taken_away(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ready(room, days=[2, 1])
    dead_lock(room)
    # the very same lock, seen from a machine of another name: there it may well be alive
    env = {"PATH": os.environ["PATH"], "HOME": str(room.tmp), "RESTIC_PASSWORD_FILE": str(room.tmp / "mat-khau"),
           "RESTIC_CACHE_DIR": str(room.tmp / "cache")}
    code = ("import socket, sys; socket.sethostname('may-khac'); from backup import watched; watched._PAUSE = 0.5;"
            "said = watched.patiently(sys.argv[1:], 'forget', '--prune', sys.stdin.readline().strip(), patience=2.0);"
            "print(said.code, said.trouble)")
    done = subprocess.run(["unshare", "--uts", sys.executable, "-I", "-c", code, "restic", "-r", str(room.repository)],
                          input=made[0], capture_output=True, text=True, timeout=60, env=env)
    if done.returncode != 0 and "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert "already locked" in done.stdout and socket.gethostname() in done.stdout, done.stderr
    assert len(ids(room)) == 2 and list((room.repository / "locks").iterdir())
    assert watched._PAUSE > 1


def test_the_advice_for_a_strangers_snapshot_at_a_further_place_works(room: Room, second_template: Path) -> None:
    """What prune and the look say there is what `backup.clear` takes, and then both are content."""
    second = placed(second_template, room.tmp / "kho2")
    ready(room, second, days=[60, 50, 3, 2, 1])
    assert act(room, copy, [offsite], place="xa")["outcome"] == "proved"
    restic(room, second, "backup", "--host", "demo", "--tag", "gaccong,level=user,set=user,site=demo", str(room.www / "anh"))
    found = room.look(offsite)["xa"]
    (strange,) = found.facts["unknown"]
    assert found.verdict == "at_risk" and found.next.startswith(f"gaccong plan backup.clear set=repository run={strange} ")
    with pytest.raises(PlanRefused) as refused:
        prune.function(room.site, room.ctx(), place="xa")
    assert f"backup.clear set=repository run={strange}" in refused.value.mend.vi
    assert f"restic -r {second} forget {strange}" in refused.value.mend.vi
    body = act(room, clear, [offsite], set="repository", run=strange, reason="người quản kho thử chép tay")
    assert body["outcome"] == "proved", body["proofs"]
    assert room.look(offsite)["xa"].verdict == "met"
    assert act(room, prune, [offsite], place="xa")["outcome"] == "proved"
