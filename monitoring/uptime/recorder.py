"""Takes looks as they come, judges them, and has a thread write them down: the prober never waits for a disk.

What cannot be written (the store is locked, the disk is full) is kept and tried again with everything that has come
since; the mark up to which was watched only moves with it. Past a bound it is let go, and that time becomes unknown.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from monitoring.uptime.counting import Tally, day_number
from monitoring.uptime.judging import Judge, Rule, Sample, State, Turn
from monitoring.uptime.store import Batch, Store

JUMP_SECONDS = 2.0
FLUSH_SECONDS = 5.0
DAY_FLUSH_SECONDS = 300.0
MOST_TURNS = 500_000
_log = logging.getLogger("gaccong.uptime")


class Recorder:
    """The one writer of a folder's record. `record` and `beat` belong to the prober's thread.

    rule_of: the rule of a target by its name. Raises UptimeLocked when another prober has the folder.
    """

    def __init__(self, folder: Path, rule_of: Callable[[str], Rule], wall: float, steady: float) -> None:
        self._store = Store(folder)
        self._rule_of = rule_of
        self._believed = self._store.believed()
        self._judges: OrderedDict[str, Judge] = OrderedDict()
        self._tallies: dict[tuple[int, str], Tally] = {}
        self._today = day_number(int(wall))
        for name, tally in self._store.tallies(self._today).items():
            self._tallies[self._today, name] = tally
        self._dirty: set[tuple[int, str]] = set()
        self._batch = Batch()
        self.run = self._store.last_run()
        self.failing_since: float | None = None
        """When writing began to fail, by the steady clock; None while it works."""
        self.jumps = 0
        self._condition = threading.Condition()
        self._handed: Batch | None = None
        self._ended = False
        self._days_flushed = steady
        self._start_run(wall, steady)
        self._thread = threading.Thread(target=self._write_on, name="gaccong-uptime", daemon=True)
        self._thread.start()

    def _start_run(self, wall: float, steady: float) -> None:
        self.run += 1
        self._wall, self._steady, self._flushed = wall, steady, steady
        self._began = int(wall)

    def record(self, sample: Sample, run: int) -> Judge | None:
        """One look; `run` is the recorder's run when it began. A look across a jump of the clock is dropped (None)."""
        if run != self.run:
            return None
        judge = self._judges.get(sample.target)
        if judge is None:
            judge = Judge(self._rule_of(sample.target), self._believed.get(sample.target))
            self._judges[sample.target] = judge
        if judge.last is not None and sample.moment < judge.last:
            sample = Sample(sample.target, judge.last, sample.state, sample.reason, sample.microseconds, sample.extra)
        settled: list[tuple[Sample, State]] = []
        for turn in judge.look(sample, settled):
            self._turn(sample.target, turn)
        self._count(settled)
        self._judges.move_to_end(sample.target)
        return judge

    def _turn(self, target: str, turn: Turn) -> None:
        self._batch.turns.append((target, self.run, turn.moment, int(turn.state), turn.reason))

    def _count(self, settled: list[tuple[Sample, State]]) -> None:
        for sample, state in settled:
            if not sample.extra:
                key = day_number(sample.moment), sample.target
                tally = self._tallies.get(key)
                if tally is None:
                    tally = self._tallies[key] = Tally()
                tally.count(sample, state)
                self._dirty.add(key)

    def beat(self, wall: float, steady: float) -> None:
        """To be called every second or so: notices jumps, silent targets, and hands over what is due to be written."""
        jump = (wall - self._wall) - (steady - self._steady)
        if abs(jump) > JUMP_SECONDS:
            self._jumped(wall, steady, jump)
        self._wall, self._steady = wall, steady
        self._sweep(int(wall))
        if steady - self._flushed >= FLUSH_SECONDS:
            self.flush(wall, steady)

    def _jumped(self, wall: float, steady: float, jump: float) -> None:
        """The clock was set, or the machine slept: what was watched ends where the clocks last agreed."""
        _log.warning("clock jumped by %+.1f s: a new run begins", jump)
        self.jumps += 1
        self._let_go()
        self._collect(self._wall, days=True)
        if jump < 0:
            self._today = self._batch.today = day_number(int(wall))
            for kept in (self._tallies, self._batch.days):
                for key in [key for key in kept if key[0] > self._today]:
                    del kept[key]
            self._dirty = {key for key in self._dirty if key[0] <= self._today}
        self._start_run(wall, steady)

    def _let_go(self) -> None:
        for judge in self._judges.values():
            settled: list[tuple[Sample, State]] = []
            judge.end(settled)
            self._count(settled)

    def _sweep(self, now: int) -> None:
        """Targets that nobody has looked at for their reach: the oldest stand first."""
        for name, judge in self._judges.items():
            if judge.last is None:
                continue
            if now <= judge.last + judge.rule.reach:
                break
            for turn in judge.stale(now):
                self._turn(name, turn)

    def _collect(self, wall: float, days: bool) -> None:
        self._batch.runs[self.run] = (self._began, max(self._began, int(wall)))
        if days:
            self._batch.days.update({key: self._tallies[key] for key in self._dirty})
            self._dirty.clear()
            self._today = max(self._today, day_number(int(wall)))
            for key in [key for key in self._tallies if key[0] < self._today - 1]:
                del self._tallies[key]

    def flush(self, wall: float, steady: float) -> None:
        """Hands everything up to now to the writing thread, unless that still has its hands full."""
        self._flushed = steady
        days = steady - self._days_flushed >= DAY_FLUSH_SECONDS
        self._collect(wall, days)
        if days:
            self._days_flushed = steady
        with self._condition:
            if self._handed is None:
                self._handed, self._batch = self._batch, Batch()
                self._condition.notify()
            elif len(self._batch.turns) > MOST_TURNS:
                _log.error("the uptime store cannot be written: what was kept since is let go, and is unknown")
                self._batch = Batch()
                self._let_go()
                self._start_run(wall, steady)

    def _write_on(self) -> None:
        while True:
            with self._condition:
                while self._handed is None and not self._ended:
                    self._condition.wait()
                batch = self._handed
                if batch is None:
                    return
            if self._write(batch):
                with self._condition:
                    self._handed = None
                    self._condition.notify_all()
            elif self._ended:
                return
            else:
                time.sleep(1.0)

    def _write(self, batch: Batch) -> bool:
        try:
            self._store.write(batch)
        except (sqlite3.Error, OSError) as error:
            if self.failing_since is None:
                self.failing_since = time.monotonic()
                _log.error("the uptime store cannot be written, trying on: %s", error)
            return False
        if self.failing_since is not None:
            _log.warning("the uptime store can be written again")
            self.failing_since = None
        return True

    def close(self, wall: float, steady: float) -> bool:
        """Writes all there is, and lets the store go. False when it could not be written."""
        self._let_go()
        with self._condition:
            self._condition.wait_for(lambda: self._handed is None, 15)
            written = self._handed is None
        self._days_flushed = steady - DAY_FLUSH_SECONDS
        self.flush(wall, steady)
        with self._condition:
            written = written and self._condition.wait_for(lambda: self._handed is None, 15)
            self._ended = True
            self._condition.notify_all()
        self._thread.join(10)
        self._store.close()
        return written
