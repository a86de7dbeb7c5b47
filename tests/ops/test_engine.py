"""Looking: whatever a check does, the line goes on and nothing unseen passes for met."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from pathlib import Path

from ops.duty import Check, check, hours, minutes
from ops.model import Finding, Verdict, say
from tests.ops.world import World


def planted(name: str, function: object, **more: object) -> Check:
    options = {"every": minutes(5), "clauses": ["TN-7.2"], "settings": "t", **more}
    return check(name, **options)(function)  # type: ignore[arg-type, return-value]


def good(site, ctx):  # type: ignore[no-untyped-def]
    """Is it good?"""
    yield Finding("x", Verdict.MET, say("tốt", "good"), {"count": 1.0})


def test_every_shape_of_function_is_run(tmp_path: Path) -> None:
    async def later(site, ctx):  # type: ignore[no-untyped-def]
        await asyncio.sleep(0)
        return list(good(site, ctx))

    async def stream(site, ctx):  # type: ignore[no-untyped-def]
        for one in good(site, ctx):
            yield one

    world = World(tmp_path, [planted("a.plain", good), planted("a.async", later), planted("a.stream", stream)])
    rows = world.engine.look_now(world.site, world.catalog.checks)
    assert [row.verdict for row in rows] == [Verdict.MET] * 3 and world.verified()


def test_poison_reads_unseen_and_costs_only_its_own_row(tmp_path: Path) -> None:
    def raises(site, ctx):  # type: ignore[no-untyped-def]
        yield Finding("x", Verdict.MET, say("t", "t"))
        raise RuntimeError("boom")

    def silent(site, ctx):  # type: ignore[no-untyped-def]
        return []

    def liar(site, ctx):  # type: ignore[no-untyped-def]
        return ["met"]

    def hangs(site, ctx):  # type: ignore[no-untyped-def]
        threading.Event().wait(20)
        return []

    def exits(site, ctx):  # type: ignore[no-untyped-def]
        raise SystemExit(0)

    world = World(tmp_path, [
        planted("p.raises", raises), planted("p.silent", silent), planted("p.liar", liar),
        planted("p.hangs", hangs, timeout=0.2), planted("p.exits", exits), planted("q.good", good),
    ])
    started = time.monotonic()
    rows = {row.duty: row for row in world.engine.look_now(world.site, world.catalog.checks)}
    assert time.monotonic() - started < 5
    assert rows.pop("q.good").verdict is Verdict.MET
    assert len(rows) == 5 and {row.verdict for row in rows.values()} == {Verdict.UNSEEN}
    assert "boom" in rows["p.raises"].detail.en and "0 seconds" in rows["p.hangs"].detail.en
    assert world.verified()


def test_a_check_without_its_settings_is_unseen(tmp_path: Path) -> None:
    world = World(tmp_path, [planted("a.good", good)], settings={})
    [row] = world.look("a.good")
    assert row.verdict is Verdict.UNSEEN and "[site.a.t]" in row.detail.en


def test_transitions_are_kept_and_samples_are_not(tmp_path: Path) -> None:
    verdicts = iter([Verdict.MET] * 50 + [Verdict.BROKEN] * 50)

    def turning(site, ctx):  # type: ignore[no-untyped-def]
        yield Finding("x", next(verdicts), say("t", "t"))

    world = World(tmp_path, [planted("a.turn", turning)])
    for _ in range(100):
        world.look("a.turn")
        world.clock.now += minutes(5)
    # 100 looks over 8 h 20 min: two transitions and one daily line
    assert [line.kind for line in world.lines()] == ["flip", "daily", "flip"]
    [state] = world.store.states("a")
    assert state.verdict is Verdict.BROKEN and state.evidence == 3


def test_one_daily_line_a_vietnamese_day(tmp_path: Path) -> None:
    world = World(tmp_path, [planted("a.good", good, every=hours(6))])
    for _ in range(12):  # 3 days from 10:00 Vietnamese time
        world.look("a.good")
        world.clock.now += hours(6)
    days = [line.body["day"] for line in world.lines("daily")]
    assert days == ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"]


def test_a_subject_that_is_gone_leaves_a_last_line(tmp_path: Path) -> None:
    subjects = [["x", "y"], ["x"]]

    def fewer(site, ctx):  # type: ignore[no-untyped-def]
        return [Finding(one, Verdict.BROKEN, say("t", "t")) for one in subjects.pop(0)]

    world = World(tmp_path, [planted("a.fewer", fewer)])
    world.look("a.fewer")
    world.look("a.fewer")
    assert [state.subject for state in world.store.states("a")] == ["x"]
    assert world.lines()[-1].body["detail"]["en"] == "this subject is no more" and world.verified()


def test_a_failing_check_does_not_forget_its_subjects(tmp_path: Path) -> None:
    broken = [False, True]

    def sometimes(site, ctx):  # type: ignore[no-untyped-def]
        if broken.pop(0):
            raise OSError("gone")
        return [Finding(one, Verdict.MET, say("t", "t")) for one in "xy"]

    world = World(tmp_path, [planted("a.some", sometimes)])
    world.look("a.some")
    rows = world.look("a.some")
    assert [(row.subject, row.verdict) for row in rows] == [("x", Verdict.UNSEEN), ("y", Verdict.UNSEEN)]


def test_the_clock_before_the_last_evidence_is_refused_until_somebody_answers_for_it(tmp_path: Path) -> None:
    import pytest

    from ops.engine import Engine
    from ops.errors import ClockError

    world = World(tmp_path, [planted("a.good", good)])
    world.look("a.good")
    world.clock.now -= timedelta(days=1)
    with pytest.raises(ClockError) as caught:
        world.look("a.good")
    assert caught.value.exit_code == 3 and "--accept-clock" in caught.value.mend.en
    count = len(world.lines())
    accepted = Engine(world.config, world.store, world.catalog, clock=world.clock, clock_accepted_by="Trần Thị B")
    accepted.look_now(world.site, world.catalog.checks)
    assert world.lines()[count].body["by"] == "Trần Thị B" and world.verified()


def test_names_in_nfd_are_kept_in_nfc(tmp_path: Path) -> None:
    import unicodedata

    def nfd(site, ctx):  # type: ignore[no-untyped-def]
        yield Finding(unicodedata.normalize("NFD", "Lạc Long"), Verdict.MET, say("t", "t"))

    world = World(tmp_path, [planted("a.nfd", nfd)])
    [row] = world.look("a.nfd")
    assert unicodedata.is_normalized("NFC", row.subject)
    assert world.store.states("a")[0].subject == "Lạc Long"


def test_scratch_is_removed(tmp_path: Path) -> None:
    seen: list[Path] = []

    def scratches(site, ctx):  # type: ignore[no-untyped-def]
        place = ctx.scratch()
        (place / "f").write_text("x")
        seen.append(place)
        yield Finding("x", Verdict.MET, say("t", "t"))

    world = World(tmp_path, [planted("a.scratch", scratches)])
    world.look("a.scratch")
    assert seen and not seen[0].exists()
