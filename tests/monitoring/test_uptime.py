"""Availability: equal to a count of every second by force, whatever the looks, clocks and kills were."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring import windows
from monitoring.uptime import periods
from monitoring.uptime.counting import (
    Tally,
    bucket,
    bucket_microseconds,
    day_number,
    day_start,
    packed,
    percentile,
    unpacked,
)
from monitoring.uptime.judging import Judge, Rule, Sample, State
from monitoring.uptime.reading import Reader, Span, Window, any_of, planned_of
from monitoring.uptime.recorder import Recorder
from monitoring.uptime.store import Batch, Store, UptimeLocked, back_up
from ops import CannotSee, GaccongError

START = day_start(day_number(1_790_000_000)) - 40
"""A little before a Vietnamese midnight, so that every test crosses a day."""
RULE = Rule(2, 3, 25)
QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None
UP, DOWN, ABSENT, UNKNOWN = State.UP, State.DOWN, State.ABSENT, State.UNKNOWN


class Bench:
    """A recorder with clocks in hand."""

    def __init__(self, folder: Path, rule: Rule = RULE) -> None:
        self.folder, self.rule = folder, rule
        self.wall, self.steady = START, 1000
        self.open()

    def open(self) -> None:
        self.recorder = Recorder(self.folder, lambda _: self.rule, self.wall, self.steady)

    def wait(self, seconds: int) -> None:
        self.wall += seconds
        self.steady += seconds
        self.recorder.beat(self.wall, self.steady)

    def look(self, state: State, reason: str = "", **more) -> None:
        self.recorder.record(Sample("x/ipv4", self.wall, state, reason, **more), self.recorder.run)

    def looks(self, states: str, gap: int = 10) -> None:
        for sign in states:
            self.look({"+": UP, "-": DOWN, "?": UNKNOWN, "0": ABSENT}[sign], "refused" if sign == "-" else "")
            self.wait(gap)

    def close(self) -> Reader:
        assert self.recorder.close(self.wall, self.steady)
        return Reader(self.folder)

    def write(self) -> None:
        """Everything up to now is in the file."""
        with self.recorder._condition:
            assert self.recorder._condition.wait_for(lambda: self.recorder._handed is None, 10)
        self.recorder.flush(self.wall, self.steady)
        with self.recorder._condition:
            assert self.recorder._condition.wait_for(lambda: self.recorder._handed is None, 10)

    def kill(self) -> None:
        """What is written stays written; nobody says goodbye."""
        self.write()
        with self.recorder._condition:
            self.recorder._ended = True
            self.recorder._condition.notify_all()
        self.recorder._thread.join()
        self.recorder._store.close()


def drawn(reader: Reader, start: int, end: int, grain: int = 10) -> str:
    """One sign for each ten seconds."""
    return "".join({UP: "+", DOWN: "-", ABSENT: "0", UNKNOWN: "?"}[span.state] * (span.seconds // grain)
                   for span in reader.spans("x/ipv4", start, end))


@pytest.mark.parametrize(("looks", "states"), [
    ("++++", "++++"), ("+-++", "++++"), ("++--++", "++--++"), ("++-+-+++", "++---+++"), ("+++-?-++", "++++?+++"),
    ("--++", "--++"), ("+", "?"), ("++-+-+-++", "++---++++"), ("00", "00"), ("++?++", "++?++"), ("++-?", "+++?"),
    ("--?+", "--?-"), ("--?++", "--?++"),
])
def test_states_begin_where_they_were_first_seen(tmp_path: Path, looks: str, states: str) -> None:
    bench = Bench(tmp_path)
    bench.looks(looks)
    with bench.close() as reader:
        assert drawn(reader, START, START + 10 * len(looks)) == states


def test_a_blip_is_counted_and_is_no_outage(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wait(100)
    bench.looks("++-+++--++")
    with bench.close() as reader:
        first = date.fromtimestamp(START + 100 + 7 * 3600)
        [day] = reader.days("x/ipv4", first, first)
        found = reader.availability("x/ipv4", START + 100, START + 200)
    assert (found.up, found.down, found.outages, found.longest) == (80, 20, 1, 20)
    assert (day.availability.successful, day.availability.valid, day.availability.blips) == (7, 10, 1)


def test_second_looks_confirm_but_are_not_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wait(100)
    bench.looks("+++")
    bench.look(DOWN)
    bench.wait(5)
    bench.look(DOWN, extra=True)
    bench.wait(5)
    with bench.close() as reader:
        day = date.fromtimestamp(START + 100 + 7 * 3600)
        assert reader.days("x/ipv4", day, day)[0].availability.valid == 4
        assert reader.availability("x/ipv4", START + 100, START + 140).down == 10


def test_silence_longer_than_the_reach_is_unknown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.looks("++")
    bench.wait(60)
    bench.looks("++")
    with bench.close() as reader:
        found = reader.availability("x/ipv4", START, START + 100)
        assert (found.up, found.unknown) == (10 + 25 + 20, 45)
        assert not found.enough


def test_an_outage_goes_on_through_a_restart_and_is_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.looks("++---")
    bench.kill()
    bench.wall += 600
    bench.steady += 600
    bench.open()
    bench.looks("--++")
    with bench.close() as reader:
        [outage] = reader.outages("x/ipv4", START, START + 800)
        assert (outage.start, outage.end) == (START + 20, START + 670)
        assert (outage.seconds, outage.reason, outage.open) == (50, "refused", False)
        assert reader.availability("x/ipv4", START, START + 690).unknown == 600


@pytest.mark.parametrize("jump", [7200, -30, -7200])
def test_a_clock_that_jumps_leaves_unknown_time_and_nothing_false(tmp_path: Path, jump: int) -> None:
    bench = Bench(tmp_path)
    bench.looks("++++++")
    bench.wall += jump
    bench.wait(0)
    begin = bench.wall
    bench.looks("++++")
    with bench.close() as reader:
        assert drawn(reader, begin, begin + 40) == "++++"
        whole = reader.availability("x/ipv4", START - 7200, START + 14400)
        assert whole.down == 0
        assert whole.up == {7200: 100, -30: 70, -7200: 40}[jump]
        assert reader.watched() == begin + 40


def test_a_look_across_a_jump_is_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.recorder.run
    bench.wall += 3600
    bench.wait(0)
    assert bench.recorder.record(Sample("x/ipv4", bench.wall, DOWN), run) is None
    bench.close().close()


def test_maintenance_is_beside_never_hidden(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.looks("++----++++")
    announced = Window(START + 20, START + 50, START - 700_000)
    late = Window(START + 50, START + 60, START + 55)
    with bench.close() as reader:
        found = reader.availability("x/ipv4", START, START + 100, [announced, announced, late])
        assert (found.up, found.down, found.planned) == (60, 40, 30)
        assert found.ratio == 0.6
        assert found.ratio_unplanned == 60 / 70


def test_maintenance_entries_become_windows() -> None:
    begin = datetime(2026, 11, 21, 18, tzinfo=UTC)
    entry = windows.Window(begin, begin + timedelta(hours=2), begin, "", "", begin - timedelta(days=9))
    off = replace(entry, cancelled_at=begin + timedelta(hours=1))
    never = replace(entry, cancelled_at=begin - timedelta(hours=1))
    late = replace(entry, recorded_at=begin + timedelta(minutes=1))
    made = planned_of([entry, off, never, late])
    assert [(one.end - one.start, one.late) for one in made] == [(7200, False), (3600, False), (7200, True)]


def test_any_family() -> None:
    four = [Span(0, 50, UP), Span(50, 80, DOWN), Span(80, 100, UP)]
    six = [Span(0, 60, ABSENT), Span(60, 70, UP), Span(70, 75, UNKNOWN), Span(75, 100, DOWN)]
    assert [(one.start, one.end, one.state) for one in any_of([four, six], 0, 100)] == [
        (0, 50, UP), (50, 60, DOWN), (60, 70, UP), (70, 75, UNKNOWN), (75, 80, DOWN), (80, 100, UP)]


def test_flapping_is_named_and_ends() -> None:
    judge = Judge(Rule(3, 4, 150))
    for number in range(60):
        list(judge.look(Sample("x", number, DOWN if 20 <= number < 40 and number % 2 else UP), []))
        if number in (19, 39, 59):
            assert judge.flapping == (number == 39)
    steady = Judge(Rule(3, 4, 150))
    for number in range(30):
        list(steady.look(Sample("x", number, DOWN), []))
    assert not steady.flapping


KINDS = st.sampled_from([UP, UP, UP, DOWN, DOWN, ABSENT, UNKNOWN])
STEPS = st.lists(st.tuples(st.integers(1, 40), st.one_of(KINDS, st.sampled_from(["kill", "jump", "back"]))),
                 min_size=1, max_size=60)
RULES = st.sampled_from([Rule(1, 1, 25), Rule(2, 2, 30), Rule(2, 3, 25), Rule(3, 4, 60), Rule(3, 5, 35)])


class Force:
    """Paints every second, by the rules as they are written in `judging`, the slow way."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.seconds: dict[int, State] = {}
        self.believed: State | None = None
        self.begin(START)

    def begin(self, wall: int) -> None:
        self.looks: list[tuple[int, State]] = []
        self.seconds = {second: state for second, state in self.seconds.items() if second < wall}
        self.began = wall

    def end(self, wall: int) -> None:
        """Everything of one run at once."""
        painted = dict.fromkeys(range(self.began, wall), UNKNOWN)
        fresh: list[tuple[int, State]] = []
        for number, (moment, state) in enumerate(self.looks):
            behind = self.looks[number + 1][0] if number + 1 < len(self.looks) else wall
            if number and moment - self.looks[number - 1][0] > self.rule.reach:
                fresh = []
            if state is UNKNOWN:
                fresh = []
                continue
            fresh.append((moment, state))
            agreeing = [one for one in fresh[-self.rule.among:] if one[1] is state]
            if state is not self.believed and len(agreeing) >= self.rule.times:
                self.believed, fresh = state, []
                for second in range(agreeing[0][0], moment):
                    painted[second] = state
            for second in range(moment, min(behind, moment + self.rule.reach, wall)):
                painted[second] = self.believed or UNKNOWN
        self.seconds.update(painted)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, RULES, st.integers(-50, 600), st.integers(-50, 600))
def test_equal_to_a_count_by_force(steps, rule: Rule, one: int, other: int) -> None:
    start, end = START + min(one, other), START + max(one, other)
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        bench, force = Bench(Path(folder), rule), Force(rule)
        for seconds, kind in steps:
            bench.wait(seconds)
            if isinstance(kind, State):
                bench.look(kind)
                force.looks.append((bench.wall, kind))
            else:
                force.end(bench.wall)
                if kind == "kill":
                    bench.kill()
                    bench.wall += 33
                    bench.open()
                else:
                    bench.wall += 50 if kind == "jump" else -50
                    bench.wait(0)
                force.begin(bench.wall)
        force.end(bench.wall)
        with bench.close() as reader:
            found = reader.availability("x/ipv4", start, end)
            spans = reader.spans("x/ipv4", start, end)
    states = [force.seconds.get(second, UNKNOWN) for second in range(start, end)]
    assert [state for span in spans for state in [span.state] * span.seconds] == states
    assert (found.up, found.down, found.absent, found.unknown) == tuple(
        states.count(state) for state in (UP, DOWN, ABSENT, UNKNOWN))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), KINDS, st.integers(0, 10_000_000), st.booleans()), min_size=1,
                max_size=80), RULES)
def test_looks_are_counted_as_by_force(looks, rule: Rule) -> None:
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        bench, force = Bench(Path(folder), rule), Force(rule)
        bench.wait(40)
        counted = []
        for seconds, state, took, extra in looks:
            bench.wait(seconds)
            bench.look(state, microseconds=took, extra=extra)
            force.looks.append((bench.wall, state))
            if not extra:
                counted.append((bench.wall, state, took))
        bench.wait(1)
        force.end(bench.wall)
        with bench.close() as reader:
            first = date.fromtimestamp(START + 40 + 7 * 3600)
            [day] = reader.days("x/ipv4", first, first)
    good = [took for _, state, took in counted if state is UP]
    failed = [force.seconds[moment] for moment, state, _ in counted if state is DOWN]
    measured = [took for took in good if took]
    assert day.availability.successful == len(good)
    assert day.availability.valid == len(good) + len(failed)
    assert day.availability.blips == len(failed) - failed.count(DOWN)
    assert day.mean == pytest.approx(sum(measured) / len(measured) / 1e6 if measured else 0.0)


@given(st.dictionaries(st.integers(0, 127), st.integers(1, 1 << 40)))
def test_buckets_survive_packing(buckets: dict[int, int]) -> None:
    assert unpacked(packed(buckets)) == buckets


@given(st.lists(st.integers(1, 60_000_000), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_right_within_a_fifth(times: list[int], share: float) -> None:
    buckets: dict[int, int] = {}
    for one in times:
        buckets[bucket(one)] = buckets.get(bucket(one), 0) + 1
    ordered = sorted(times)
    true = ordered[max(0, -int(-share * len(times) // 1) - 1)]
    assert percentile(buckets, share) * 1e6 == pytest.approx(true, rel=0.2)
    assert bucket_microseconds(bucket(true)) == pytest.approx(true, rel=0.2)


def test_a_second_prober_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(UptimeLocked):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_a_locked_store_loses_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    other = sqlite3.connect(bench.recorder._store.path, isolation_level=None)
    bench.recorder._store._base.execute("PRAGMA busy_timeout=50")
    other.execute("BEGIN EXCLUSIVE")
    bench.looks("++++--++")
    deadline = time.monotonic() + 10
    while bench.recorder.failing_since is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bench.recorder.failing_since is not None
    bench.looks("++")
    other.execute("ROLLBACK")
    other.close()
    with bench.close() as reader:
        assert drawn(reader, START, START + 100) == "++++--++++"


def test_a_full_disk_claims_nothing_and_the_reader_goes_on(tmp_path: Path) -> None:
    """SQLite's own page limit stands for the disk: the same error, the same half-written transaction."""
    bench = Bench(tmp_path)
    bench.looks("++")
    bench.write()
    pages = bench.recorder._store._base.execute("PRAGMA page_count").fetchone()[0]
    bench.recorder._store._base.execute(f"PRAGMA max_page_count={pages}")
    full = Batch(runs={99: (START, START + 9999)},
                 turns=[(f"n{number}/ipv4", 99, START, int(UP), "") for number in range(2000)])
    with pytest.raises(sqlite3.OperationalError, match="full"):
        bench.recorder._store.write(full)
    with Reader(tmp_path) as reader:
        assert (reader.targets(), reader.watched()) == (["x/ipv4"], START + 20)
    bench.recorder._store._base.execute("PRAGMA max_page_count=100000")
    bench.looks("++")
    with bench.close() as reader:
        assert drawn(reader, START, START + 40) == "++++"


def test_readers_are_told_when_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(CannotSee):
        Reader(tmp_path)
    (tmp_path / "uptime.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(CannotSee):
        Reader(tmp_path)


def test_a_strange_database_is_not_written_to(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "uptime.db") as base:
        base.execute("CREATE TABLE x (y)")
    base.close()
    with pytest.raises(GaccongError):
        Store(tmp_path)


def test_a_copy_can_be_made_while_it_is_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a")
    bench.looks("++++")
    bench.write()
    (tmp_path / "b").mkdir()
    back_up(tmp_path / "a", tmp_path / "b" / "uptime.db")
    with Reader(tmp_path / "b") as reader:
        assert drawn(reader, START, START + 40) == "++++"
    bench.close().close()


def test_periods() -> None:
    assert periods.month(2026, 12) == (day_start(day_number(1796058000)), 1798736400)
    assert periods.year(2026)[1] == periods.month(2026, 12)[1] == periods.quarter(2026, 4)[1]
    assert periods.quarter(2026, 1) == (periods.month(2026, 1)[0], periods.month(2026, 3)[1])
    assert periods.days(date(2026, 2, 28), date(2026, 2, 28)) == (1772211600, 1772298000)
    assert Tally.of(Tally().row()).row() == Tally().row()
