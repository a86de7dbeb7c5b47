"""Acting: intent before the act, undo in reverse, proof or `unproved`, approval bound to a digest."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from ops.duty import Occasion, change, check, minutes
from ops.errors import ChangeFailed, PlanRefused, StaleApproval, UsageError
from ops.model import Finding, Outcome, Plan, Proof, Verdict, say
from ops.planning import plan_json, plan_of, prepare
from tests.ops.world import World, shell

TITLE = say("việc", "work")


def make(tmp: Path, *steps: object, proofs: tuple[Proof, ...] = (Proof("t.done", ("x",)),), occasions=None) -> World:  # type: ignore[no-untyped-def]
    @change("t.work", clauses=["TN-7.2"], settings="t", occasions=occasions)
    def work(site, ctx):  # type: ignore[no-untyped-def]
        """Does the work."""
        return Plan(TITLE, tuple(steps), proofs)  # type: ignore[arg-type]

    @check("t.done", every=minutes(5), clauses=["TN-7.2"], settings="t")
    def done(site, ctx):  # type: ignore[no-untyped-def]
        """Is it done?"""
        there = (tmp / "made").exists()
        yield Finding("x", Verdict.MET if there else Verdict.BROKEN, say("có" if there else "không", "seen"))

    return World(tmp, [work, done])


def act(world: World):  # type: ignore[no-untyped-def]
    prepared = world.actor.plan(world.site, "t.work", {})
    return world.actor.act(prepared, "Trần Thị B")


def test_proved(tmp_path: Path) -> None:
    world = make(tmp_path, shell("make", f"echo '{{\"n\": 1}}'; touch {tmp_path}/made", keep=True))
    acted = act(world)
    assert acted.outcome is Outcome.PROVED
    assert [line.kind for line in world.lines()] == ["intent", "flip", "daily", "outcome"]
    body = world.lines("outcome")[0].body
    assert body["intent"] == 1 and body["steps"][0]["answer"] == {"n": 1} and world.verified()


def test_no_proof_or_a_false_one_is_unproved(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert act(make(tmp_path / "a", shell("make", "true"), proofs=())).outcome is Outcome.UNPROVED
    (tmp_path / "b").mkdir()
    assert act(make(tmp_path / "b", shell("make", "true"))).outcome is Outcome.UNPROVED
    (tmp_path / "c").mkdir()
    missing = make(tmp_path / "c", shell("make", f"touch {tmp_path}/c/made"), proofs=(Proof("t.done", ("other",)),))
    assert act(missing).outcome is Outcome.UNPROVED
    (tmp_path / "d").mkdir()
    unknown = make(tmp_path / "d", shell("make", "true"), proofs=(Proof("t.unknown"),))
    assert act(unknown).outcome is Outcome.UNPROVED


def test_failure_is_undone_in_reverse(tmp_path: Path) -> None:
    log = tmp_path / "log"
    world = make(
        tmp_path,
        shell("one", f"echo do1 >>{log}", f"echo undo1 >>{log}"),
        shell("two", f"echo do2 >>{log}", f"echo undo2 >>{log}"),
        shell("three", f"echo do3 >>{log}; exit 7", f"echo undo3 >>{log}"),
        shell("four", f"echo do4 >>{log}"),
    )
    acted = act(world)
    assert acted.outcome is Outcome.UNDONE and "exit code 7" in acted.detail.en
    # the failed step may be half done, so it is taken back too
    assert log.read_text().split() == ["do1", "do2", "do3", "undo3", "undo2", "undo1"]


def test_an_undo_that_fails_is_stuck_and_says_so(tmp_path: Path) -> None:
    world = make(tmp_path, shell("one", "true", "echo sorry >&2; exit 9"), shell("two", "false"))
    acted = act(world)
    assert acted.outcome is Outcome.STUCK and "sorry" in acted.detail.en


def test_a_plan_that_moved_is_refused(tmp_path: Path) -> None:
    steps = [shell("one", "true")]

    @change("t.work", clauses=["TN-7.2"], settings="t")
    def work(site, ctx):  # type: ignore[no-untyped-def]
        """Does the work."""
        return Plan(TITLE, tuple(steps))

    world = World(tmp_path, [work])
    prepared = world.actor.plan(world.site, "t.work", {})
    steps.append(shell("two", f"touch {tmp_path}/bad"))
    with pytest.raises(StaleApproval):
        world.actor.act(prepared, "Trần Thị B")
    assert not (tmp_path / "bad").exists() and world.lines() == []


def test_arguments_are_checked(tmp_path: Path) -> None:
    world = make(tmp_path)
    with pytest.raises(UsageError):
        world.actor.plan(world.site, "t.work", {"odd": "1"})
    with pytest.raises(UsageError):
        world.actor.plan(world.site, "t.nothing", {})


def test_plans_round_trip_and_a_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    world = make(tmp_path, shell("one", "true", "false", keep=True, secrets={"P": "file:x"}, expect=(0, 3)))
    prepared = world.actor.plan(world.site, "t.work", {})
    again = prepare(world.site, "t.work", {}, plan_of(plan_json(prepared.plan)))
    assert again.digest == prepared.digest and len(prepared.digest) == 64
    body = plan_json(prepared.plan)
    body["steps"][0]["argv"][2] = "true "
    assert prepare(world.site, "t.work", {}, plan_of(body)).digest != prepared.digest


def test_secrets_stay_out_of_plan_ledger_and_environment(tmp_path: Path) -> None:
    (tmp_path / "pw").touch(mode=0o600)
    (tmp_path / "pw").write_text("hunter2-secret\n")
    wanted = "$(printf hunter%s 2-secret)"  # so that the plan itself does not hold the word
    script = f'w={wanted}; test "$(cat $P)" = $w && ! env | grep -q $w && touch {tmp_path}/made'
    world = make(tmp_path, shell("use", script, secrets={"P": "file:pw"}))
    assert act(world).outcome is Outcome.PROVED
    assert b"hunter2" not in b"".join(world.store.raw_lines("a"))


def test_standing_approval_serves_until_the_settings_change(tmp_path: Path) -> None:
    every_night = lambda site: [Occasion({}, "0 1 * * *")]  # noqa: E731
    world = make(tmp_path, shell("make", f"touch {tmp_path}/made"), occasions=every_night)
    [(duty, occasion)] = world.actor.due(world.site)
    waiting = world.actor.run_due(world.site, duty, occasion)
    assert waiting.verdict is Verdict.UNSEEN and "apply" in waiting.next and not (tmp_path / "made").exists()
    prepared = world.actor.plan(world.site, "t.work", {})
    world.actor.approve(prepared, "Trần Thị B", standing=True)
    assert world.actor.run_due(world.site, duty, occasion).verdict is Verdict.MET
    assert world.actor.due(world.site) == []
    world.clock.now += timedelta(days=1)
    assert len(world.actor.due(world.site)) == 1
    world.clock.now += timedelta(days=9)  # catches up once, not nine times
    [(duty, occasion)] = world.actor.due(world.site)
    assert world.actor.run_due(world.site, duty, occasion).verdict is Verdict.MET and world.actor.due(world.site) == []


def test_a_single_approval_is_not_a_standing_one(tmp_path: Path) -> None:
    world = make(tmp_path, shell("make", "true"))
    prepared = world.actor.plan(world.site, "t.work", {})
    world.actor.approve(prepared, "Trần Thị B", standing=False)
    assert world.actor.standing(prepared) == ""
    world.actor.approve(prepared, "Trần Thị B", standing=True, until=world.clock.now + timedelta(days=1))
    assert world.actor.standing(prepared) == "Trần Thị B"
    world.clock.now += timedelta(days=2)
    assert world.actor.standing(prepared) == ""


def test_a_refused_plan_is_a_failed_night_and_is_tried_again(tmp_path: Path) -> None:
    @change("t.work", clauses=["TN-7.2"], settings="t", occasions=lambda site: [Occasion({}, "0 1 * * *")])
    def work(site, ctx):  # type: ignore[no-untyped-def]
        """Does the work."""
        raise PlanRefused(say("không có kho", "no repository"))

    world = World(tmp_path, [work])
    [(duty, occasion)] = world.actor.due(world.site)
    row = world.actor.run_due(world.site, duty, occasion)
    assert row.verdict is Verdict.BROKEN and world.lines("outcome")[0].body["outcome"] == "undone"
    assert world.actor.due(world.site) == []
    world.clock.now += minutes(61)
    assert len(world.actor.due(world.site)) == 1


KILLED = """
import os, sys
from pathlib import Path
from tests.ops.test_act import make, act, shell
tmp = Path(sys.argv[1])
world = make(tmp, shell("one", "true"), shell("die", f"kill -9 {os.getpid()}; sleep 5"), shell("three", f"touch {tmp}/three"))
act(world)
"""


def test_kill_9_in_the_middle_is_found_as_interrupted(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, timeout=60, check=False,
                          env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == -9
    world = make(tmp_path)
    world.clock.now += timedelta(seconds=5)
    assert world.verified() and len(world.store.open_intents("a")) == 1
    for _ in range(60):  # what it left at work (a sleep of 5 s) holds the lock until it ends
        world.actor.settle(world.site)
        if not world.store.open_intents("a"):
            break
        time.sleep(0.2)
    assert world.store.open_intents("a") == []
    assert world.lines("outcome")[0].body["outcome"] == "interrupted" and world.verified()
    assert not (tmp_path / "three").exists()


def test_change_failed_is_exit_5() -> None:
    assert ChangeFailed("x").exit_code == 5 and StaleApproval("x").exit_code == 5


ORPHAN = """
import os, sys
from pathlib import Path
from tests.ops.test_act import make, act, shell
tmp = Path(sys.argv[1])
world = make(tmp, shell("work on", f"kill -9 {os.getpid()}; sleep 3; touch {tmp}/late"))
act(world)
"""


def test_what_a_killed_gaccong_left_at_work_keeps_the_lock(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path)], cwd=root, timeout=60, check=False,
                          env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == -9
    world = make(tmp_path)
    world.clock.now += timedelta(seconds=5)
    world.actor.settle(world.site)  # the step is still at work: nothing is interrupted yet
    assert not (tmp_path / "late").exists() and len(world.store.open_intents("a")) == 1
    deadline = time.monotonic() + 20
    while world.store.open_intents("a") and time.monotonic() < deadline:
        time.sleep(0.2)
        world.actor.settle(world.site)
    assert (tmp_path / "late").exists() and world.store.open_intents("a") == []


def test_undoing_stops_at_the_first_undo_that_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    world = make(
        tmp_path,
        shell("one", "true", f"echo undo1 >>{log}"),
        shell("two", "true", "false"),
        shell("three", "false", f"echo undo3 >>{log}"),
    )
    assert act(world).outcome is Outcome.STUCK
    assert log.read_text().split() == ["undo3"]


def test_a_step_that_cannot_even_start_is_undone_like_any_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    world = make(tmp_path, shell("one", "true", f"echo undo1 >>{log}"), shell("two", "echo \0"))
    acted = act(world)
    assert acted.outcome is Outcome.UNDONE and log.read_text().split() == ["undo1"]


def test_the_digest_binds_the_machine_behind_a_hosts_name(tmp_path: Path) -> None:
    from ops.model import Host, Step

    world = make(tmp_path)
    plan = Plan(TITLE, (Step(TITLE, ("true",), host="web"),))
    known = tmp_path / "known_hosts"
    known.write_text("h ssh-ed25519 AAAA\n")

    def digest(**more: object) -> str:
        host = Host("web", **{"address": "::1", "user": "u", "known_hosts": known, **more})  # type: ignore[arg-type]
        return prepare(world.site, "t.work", {}, plan, {"web": host}).digest

    first = digest()
    assert first == digest() and first != digest(address="::2") and first != digest(port=23)
    known.write_text("h ssh-ed25519 BBBB\n")
    assert first != digest()


@pytest.mark.parametrize(("where", "outcome", "undone"), [("proof", "unproved", False), ("step", "undone", True)])
def test_ctrl_c_takes_back_half_done_work_but_not_whole_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, outcome: str, undone: bool
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    world = make(tmp_path, shell("shut", "true", f"touch {tmp_path}/opened-again"), shell("more", "true"))
    if where == "proof":
        monkeypatch.setattr(world.actor, "_prove", stop)
    else:
        world.actor.tell = lambda text: stop() if text.en.startswith("[2/") else None
    with pytest.raises(KeyboardInterrupt):
        act(world)
    assert world.lines("outcome")[0].body["outcome"] == outcome
    assert (tmp_path / "opened-again").exists() is undone and world.verified()


def test_a_standing_approval_of_a_rule_outlives_the_steps_that_follow_from_it(tmp_path: Path) -> None:
    rule, turn = [say("giữ 7 bản", "keep 7")], [0]

    @change("t.rule", clauses=["TN-7.2"], settings="t", occasions=lambda site: [Occasion({}, "* * * * *")])
    def work(site, ctx):  # type: ignore[no-untyped-def]
        """Does what the rule says."""
        turn[0] += 1
        return Plan(TITLE, (shell(f"turn {turn[0] // 10}", f"echo {turn[0] // 10}"),), (), rule[0])

    world = World(tmp_path, [work])
    prepared = world.actor.plan(world.site, "t.rule", {})
    assert prepared.standing != prepared.digest and plan_of(plan_json(prepared.plan)) == prepared.plan
    world.actor.approve(prepared, "Trần Thị B", standing=True)
    turn[0] = 20
    later = world.actor.plan(world.site, "t.rule", {})
    assert later.digest != prepared.digest and world.actor.standing(later) == "Trần Thị B"
    assert world.actor.act(later, "Trần Thị B", standing=True).outcome is Outcome.UNPROVED
    rule[0] = say("giữ 1 bản", "keep 1")
    assert world.actor.standing(world.actor.plan(world.site, "t.rule", {})) == ""


def test_one_approval_of_a_plan_with_a_rule_is_for_its_steps_alone(tmp_path: Path) -> None:
    @change("t.rule", clauses=["TN-7.2"], settings="t")
    def work(site, ctx):  # type: ignore[no-untyped-def]
        """Does what the rule says."""
        return Plan(TITLE, (shell("turn", "true"),), (), say("giữ 7 bản", "keep 7"))

    world = World(tmp_path, [work])
    prepared = world.actor.plan(world.site, "t.rule", {})
    world.actor.approve(prepared, "Trần Thị B", standing=False)
    assert world.actor.standing(world.actor.plan(world.site, "t.rule", {})) == ""


def test_a_change_says_what_a_failed_step_of_its_own_means(tmp_path: Path) -> None:
    @change("t.work", clauses=["TN-7.2"], settings="t",
            explain=lambda step, result: say("đĩa đầy", "full disk") if result.code == 7 else None)
    def work(site, ctx, *, code="7"):  # type: ignore[no-untyped-def]
        """Fails."""
        return Plan(TITLE, (shell("fail", f"echo raw >&2; exit {code}"),))

    world = World(tmp_path, [work])
    assert "đĩa đầy" in world.actor.act(world.actor.plan(world.site, "t.work", {}), "B").detail.vi
    assert "raw" in world.actor.act(world.actor.plan(world.site, "t.work", {"code": "8"}), "B").detail.vi
