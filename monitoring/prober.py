"""The prober: looks at every target of a fleet once a minute, for as long as it runs, and records what it saw.

    python -m monitoring.prober --fleet FLEET.json --folder STATE/uptime [--latest /run/gaccong/latest] [--with-parent]

One thread drives everything (`loop`, `transfers`, `resolving`, `driving`); another writes (`uptime.recorder`). It is a
process of its own, so that nobody who reads or renders can make a probe late. Killed at any moment it leaves a gap of
unknown time, and nothing else. SIGHUP, or a new fleet file, changes the fleet; a file that cannot be read keeps the old.

It knows how late it is. A look during which the prober itself stood still for a tenth of the look's time limit accuses
nobody (`unknown`) and is made again; a look with any delay at all keeps its verdict, but its times are not counted.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from monitoring.driving import Driver
from monitoring.fleet import BadFleet, Fleet, Target, read_fleet
from monitoring.latest import Block, Latest
from monitoring.looking import with_expected
from monitoring.loop import Loop
from monitoring.pace import Pace
from monitoring.probe import Sight
from monitoring.reasons import Reason
from monitoring.transfers import MOST_AT_ONCE, Transfers
from monitoring.uptime.judging import Judge, Rule, Sample, State
from monitoring.uptime.recorder import Recorder

STARVED_SHARE = 0.1
AGAIN_SECONDS = (5.0, 10.0, 15.0)
"""After a look that says something new, it is looked again this long after each landing, until that is believed."""
DETAIL_SECONDS = 3600.0
LATEST_SECONDS = 5.0
REACH_INTERVALS = 2.5
SPARE_DESCRIPTORS = 300
_log = logging.getLogger("gaccong.prober")


class _Standing:
    """What the prober keeps of one target between looks."""

    __slots__ = ("again", "attempts", "detailed", "failures", "flying", "not_after", "right", "taints", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.flying = False
        self.again = 0
        self.attempts = self.failures = self.taints = self.not_after = 0
        self.detailed = -DETAIL_SECONDS
        self.right = 0
        """Digest of a page that was found to hold the expected text."""


class Prober:
    """One fleet being watched. `wall` and `steady` are the clocks, so that a test may hold them."""

    def __init__(
        self, folder: Path, fleet: Fleet, latest: Path | None = None, *, again: tuple[float, ...] = AGAIN_SECONDS,
        wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._again = again
        self._latest = latest or folder / "latest"
        self._rule = Rule(reach=max(2, round(REACH_INTERVALS * fleet.interval)))
        self.recorder = Recorder(folder, lambda _: self._rule, wall(), steady())
        self.loop = Loop()
        self.driver = Driver(self.loop, Transfers(self.loop, most_at_once=_room()))
        self._standings: dict[str, _Standing] = {}
        self.started = self.busy = self.tainted = self.starved = 0
        self._began = time.monotonic()
        self._stop = False
        self._pace = Pace(fleet.interval)
        self._block = Block(())
        self.watch(fleet)
        self.loop.at(self._pace.next_due(time.monotonic()), self._tick)
        self.loop.after(1.0, self._beat)
        self.loop.after(LATEST_SECONDS, self._tell)

    def watch(self, fleet: Fleet) -> None:
        """Takes this fleet from now on; what is known of a target that stays, stays."""
        old, self._standings = self._standings, {}
        block = Block([target.name for target in fleet.targets])
        for target in fleet.targets:
            standing = old.get(target.name)
            if standing is None:
                standing = _Standing(target)
            else:
                block.put(target.name, self._block.get(target.name))
                if standing.target != target:
                    standing.target, standing.right, standing.detailed = target, 0, -DETAIL_SECONDS
            self._standings[target.name] = standing
        self._block = block
        if fleet.interval != self._pace.interval:
            self._pace = Pace(fleet.interval)
            self._rule = Rule(reach=max(2, round(REACH_INTERVALS * fleet.interval)))
        self._pace.place(self._standings)

    def run(self) -> None:
        """Until `stop`."""
        while not self._stop:
            self.loop.turn()

    def stop(self) -> None:
        """Ends `run` after this turn."""
        self._stop = True

    def close(self) -> bool:
        """Writes what there is. False when the store could not be written."""
        with suppress(OSError):
            self._block.write(self._latest, self.health())
        written = self.recorder.close(self._wall(), self._steady())
        self.driver.close()
        self.loop.close()
        return written

    def _tick(self) -> None:
        now = time.monotonic()
        for name in self._pace.due(now):
            self._start(name, extra=False)
        self.loop.at(self._pace.next_due(now), self._tick)

    def _beat(self) -> None:
        self.loop.after(1.0, self._beat)
        self.recorder.beat(self._wall(), self._steady())

    def _tell(self) -> None:
        block, health = self._block.copy(), self.health()

        def told(_result: object, error: BaseException | None) -> None:
            if error is not None:
                _log.warning("cannot write %s: %s", self._latest, error)
            self.loop.after(LATEST_SECONDS, self._tell)

        self.loop.in_thread(lambda: block.write(self._latest, health), told)

    def health(self) -> dict[str, float | int | str | None]:
        """How the prober itself fares; counts since it started. Times in seconds."""
        return {
            "moment": self._wall(), "pid": os.getpid(), "running_seconds": time.monotonic() - self._began,
            "cpu_seconds": time.process_time(), "targets": len(self._standings), "looks": self.started,
            "in_flight": self.driver.transfers.under_way, "busy": self.busy, "missed": self._pace.missed,
            "tainted": self.tainted, "starved": self.starved, "stalled_seconds": self.loop.stalled,
            "worst_lag_seconds": self.loop.worst_lag, "overfull": self.driver.transfers.overfull,
            "questions": self.driver.resolver.asked, "doubts": self.driver.doubts, "clock_jumps": self.recorder.jumps,
            "store_failing": int(self.recorder.failing_since is not None),
        }

    def _start(self, name: str, extra: bool) -> None:
        standing = self._standings.get(name)
        if standing is None:
            return
        if standing.flying:
            self.busy += not extra
            return
        standing.flying = True
        self.started += 1
        began, wall, run, mark = time.monotonic(), self._wall(), self.recorder.run, self.loop.stalled
        detail = began - standing.detailed >= DETAIL_SECONDS
        if detail:
            standing.detailed = began
        target = standing.target
        aim = replace(target.aim, certificates=detail)

        def landed(sight: Sight) -> None:
            try:
                self._landed(standing, target, self._expected(standing, target, sight), wall, run, mark, extra)
            except Exception:
                _log.exception("what was seen of %s is lost", name)
            finally:
                standing.flying = False

        (self.driver.probe_each if target.every_address else self.driver.probe)(aim, landed)

    def _expected(self, standing: _Standing, target: Target, sight: Sight) -> Sight:
        """The sight, judged by the text that it must hold; a page that has not changed is not read again."""
        if sight.reason is not None or not target.expect:
            return sight
        digest = _digest(sight.body)
        if digest == standing.right:
            return sight
        judged = with_expected(sight, target.expect)
        if judged.reason is None:
            standing.right = digest
        return judged

    def _landed(
        self, standing: _Standing, target: Target, sight: Sight, wall: float, run: int, mark: float, extra: bool
    ) -> None:
        stalled = self.loop.stalled - mark
        starved = sight.reason is not None and stalled > STARVED_SHARE * target.aim.timeout
        state = State.UNKNOWN if starved else _state(sight)
        reason = "" if sight.reason is None else sight.reason.value
        tainted = stalled > 0
        self.tainted += tainted
        self.starved += starved
        standing.attempts += 1
        standing.failures += state is State.DOWN
        standing.taints += tainted
        took = 0 if tainted or state is not State.UP else max(1, round(sight.phases.total * 1e6))
        judge = self.recorder.record(Sample(target.name, int(wall), state, reason, took, extra), run)
        if judge is None:
            return
        self._show(standing, target, sight, state, wall, tainted, judge)
        self._look_again(standing, target, starved, judge, extra)

    def _look_again(self, standing: _Standing, target: Target, starved: bool, judge: Judge, extra: bool) -> None:
        """A second look soon when something has changed; not at the very first, when everybody is new at once.

        After a starved look only one, late: a prober that is behind must not give itself more to do.
        """
        delay = None
        if starved and not extra and self._again:
            delay = self._again[-1]
        elif judge.pending and judge.believed is not None and not starved and standing.again < len(self._again):
            delay = self._again[standing.again]
        if delay is not None:
            standing.again += 1
            self.loop.after(delay, lambda: self._start(target.name, extra=True))
        elif not extra or not judge.pending:
            standing.again = 0

    def _show(
        self, standing: _Standing, target: Target, sight: Sight, state: State, wall: float, tainted: bool, judge: Judge
    ) -> None:
        if sight.chain:
            standing.not_after = int(sight.chain[0].not_after.timestamp())
        phases = sight.phases
        self._block.put(target.name, Latest(
            wall, judge.believed or State.UNKNOWN, state, judge.flapping, tainted, sight.status,
            "" if sight.reason is None else sight.reason.value, max(0, len(sight.hops) - 1), phases.dns, phases.connect,
            phases.tls, phases.first_byte, phases.transfer, phases.total, sight.rtt, len(sight.body),
            standing.not_after, standing.attempts, standing.failures, standing.taints, _digest(sight.body),
        ))


def _state(sight: Sight) -> State:
    """What a look says. A first host without any address of the family is absent over it, not down."""
    if sight.reason is None:
        return State.UP
    if sight.ours:
        return State.UNKNOWN
    absent = sight.found is not None and sight.found.reason is Reason.NO_RECORD and sight.reason is Reason.NO_RECORD
    return State.ABSENT if absent else State.DOWN


def _digest(body: bytes) -> int:
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "big")


def _room() -> int:
    """How many requests the descriptors allow (two each: libcurl's and the one that we ask for the kernel's times)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_AT_ONCE + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST_AT_ONCE if soft == resource.RLIM_INFINITY else max(50, min(MOST_AT_ONCE, (soft - SPARE_DESCRIPTORS) // 2))


class _Process:
    """The prober as a process: signals, the fleet file, the parent."""

    def __init__(self, file: Path, folder: Path, latest: Path | None, with_parent: bool) -> None:
        self._file = file
        self._stamp = self._stamp_now()
        self._prober = Prober(folder, read_fleet(file), latest)
        self._loop = self._prober.loop
        self._reload = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._prober.stop())
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "_reload", True))
        if with_parent:
            os.set_blocking(sys.stdin.fileno(), False)
            self._loop.watch(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP, self._from_parent)
        self._loop.after(2.0, self._look_at_file)
        gc.collect()
        gc.freeze()  # what stays for ever need not be walked through while probes are waiting
        gc.set_threshold(20_000, 20, 50)

    def _stamp_now(self) -> int:
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return 0

    def _from_parent(self, _flags: int) -> None:
        """The parent's end of the pipe: closed when it is gone, and then nobody would stop us."""
        if not os.read(sys.stdin.fileno(), 4096):
            self._prober.stop()

    def _look_at_file(self) -> None:
        self._loop.after(2.0, self._look_at_file)
        stamp = self._stamp_now()
        if self._reload or stamp not in (0, self._stamp):
            self._stamp, self._reload = stamp, False
            try:
                self._prober.watch(read_fleet(self._file))
            except BadFleet as error:
                _log.error("%s", error.what.en)

    def run(self) -> int:
        """Until told to stop; 0 when everything was written."""
        self._prober.run()
        return 0 if self._prober.close() else 1


def main(words: list[str] | None = None) -> int:
    """`python -m monitoring.prober`. Exit codes: 0 stopped and all written, 1 not all written, 2 could not begin."""
    import argparse

    from ops import GaccongError

    parser = argparse.ArgumentParser(prog="python -m monitoring.prober")
    parser.add_argument("--fleet", type=Path, required=True, help="the file that monitoring.fleet.write_fleet wrote")
    parser.add_argument("--folder", type=Path, required=True, help="where the record of availability is kept")
    parser.add_argument("--latest", type=Path, help="the file of last looks (default: in the folder)")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input is closed")
    chosen = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        return _Process(chosen.fleet, chosen.folder, chosen.latest, chosen.with_parent).run()
    except GaccongError as error:
        print(error.explain("vi"), file=sys.stderr)
        print(error.explain("en"), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
