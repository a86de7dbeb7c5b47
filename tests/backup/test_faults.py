"""What may go wrong around a night: full disks, sources that fail, a wrong clock, a network that breaks. All of it real.

Every test asks the same three things: is it told plainly and in bounded time, is nothing claimed that is not so, and does
the next night mend itself.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backup.checks.contents import contents
from backup.checks.drill import drill
from backup.checks.fresh import fresh
from backup.restic import repository_of
from backup.trouble import ResticTrouble, trouble_of
from ops.errors import PlanRefused
from ops.model import Step
from ops.run import TIMED_OUT, Command, Here, Result
from tests.backup.disks import small_disk
from tests.backup.room import NEWER, Room
from tests.backup.wire import Wire, free_port, rest_server, wire

BOTH = ("backup.contents", "backup.integrity")


def at_step(room: Room, program: str, change: Callable[[Step], Step]) -> tuple[Step, ...]:
    """The steps of tonight's plan, with the one that runs `program` changed."""
    steps = room.plan().steps
    found = [step for step in steps if program in step.argv]
    assert found, program
    return tuple(change(step) if step is found[-1] else step for step in steps)


def under_strace(path: Path, calls: str, error: str) -> Callable[[Step], Step]:
    """The same step, in which these system calls on this path fail."""
    words = ("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path), "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}")
    return lambda step: replace(step, argv=(*words, *step.argv))


# ------------------------------------------------------------------------------------------------ full disks


@pytest.mark.parametrize("where", ["cache", "stage"])
def test_a_full_disk_below_home_is_told_at_once_and_blinds_nobody(each: Room, where: str) -> None:
    """restic would retry for a quarter of an hour (0.14) or spoil its cache for good (0.19)."""
    with small_disk(each.tmp / "home" / where, "size=12m") as disk:
        filler = disk / ("fill" if where == "cache" else "user/fill")
        filler.parent.mkdir(exist_ok=True)
        assert each.night()["outcome"] == "proved"
        stuffed = disk / "fill"
        with pytest.raises(OSError, match="No space"):
            stuffed.write_bytes(b"x" * (13 << 20))
        begun = time.monotonic()
        body = each.night()
        assert body["outcome"] == "undone" and time.monotonic() - begun < 20
        assert "no space left: 0 KiB free" in body["steps"][-1]["trouble"]["en"]
        assert each.look(contents)["user"].verdict == "met"  # last night's copy can still be looked at
        stuffed.unlink()
        assert each.night()["outcome"] == "proved"


def test_a_cache_that_a_full_disk_spoilt_is_taken_away(each: Room) -> None:
    """restic 0.19 leaves an empty `version` behind, after which every command fails, with room or without."""
    assert each.night()["outcome"] == "proved"
    version, = (each.tmp / "home/cache").glob("*/version")
    version.write_bytes(b"")
    os.utime(version, (time.time() - 60, time.time() - 60))
    argv = (each.program, "-r", str(each.repository), "--password-file", str(each.tmp / "mat-khau"), "snapshots")
    alone = Here().run(Command(argv, env={"RESTIC_CACHE_DIR": str(each.tmp / "home/cache")}, timeout=60.0))
    assert alone.code == (1 if each.program == NEWER else 0), "restic mends it by itself now: this module is not needed"
    assert each.look(contents)["user"].verdict == "met"
    assert each.night()["outcome"] == "proved"


def test_a_disk_that_fills_up_while_the_drill_restores_is_not_the_repositorys_fault(each: Room) -> None:
    assert each.night()["outcome"] == "proved"
    with small_disk(each.tmp / "scratch", "size=600m,nr_inodes=6") as scratch:  # room enough, and no inode
        found = each.look(drill)["user"]
        assert found.verdict in ("unseen", "at_risk"), found.detail.en
        assert "no space left at" in found.detail.en and "scratch" in found.detail.en
        assert "where repository" not in found.detail.en
        assert list(scratch.iterdir()) == []
    assert each.look(drill)["user"].verdict == "met"


def test_a_full_repository_leaves_earlier_copies_whole_and_the_next_night_goes_on(each: Room, full_disk: Path) -> None:
    shutil.move(each.repository, full_disk / "kho")
    each.repository = full_disk / "kho"
    each.site.settings["backup"] = each.settings()
    assert each.night()["outcome"] == "proved"
    (each.www / "phim.mp4").write_bytes(os.urandom(6 << 20))
    body = each.night()
    assert body["outcome"] == "undone"
    assert f"no space left where repository {each.repository} lives" in body["steps"][-1]["trouble"]["en"]
    (each.www / "phim.mp4").unlink()
    for partial in (full_disk / "kho/data").rglob("*-tmp-*"):  # what a person would free; a whole pack is kept for use
        partial.unlink()
    assert each.night(prove=BOTH)["outcome"] == "proved"


# ------------------------------------------------------------------------------------------------ sources


@pytest.mark.needs_root
@pytest.mark.parametrize(("calls", "name", "error"), [
    ("openat", "anh/a.jpg", "EACCES"), ("read,readv,pread64", "anh/a.jpg", "EIO"), ("getdents64", "anh", "EIO"),
    ("newfstatat,lstat,statx", "anh/a.jpg", "ESTALE")])
@pytest.mark.parametrize("program", ["backup.manifest", "backup"])
def test_a_source_that_cannot_be_read_is_told_by_name(room: Room, calls: str, name: str, error: str, program: str) -> None:
    """Whether our manifest or restic meets it: the rest is copied, and the run is not proved. (Root is refused nothing by
    modes: strace gives the error, as a dying disk or a lost network folder does.)
    """
    room.program = NEWER if calls.startswith("read") else "restic"
    room.site.settings["backup"] = room.settings()
    results = room.carry(at_step(room, program, under_strace(room.www / name, calls, error)))
    assert results[-1].done, results[-1].trouble.en
    found = room.look(contents, "user")["user"]
    assert found.verdict == "broken"
    assert name in found.detail.vi and ("không đọc được" in found.detail.vi or "không vào bản sao" in found.detail.vi)
    assert "index.html" in room.restic("ls", "latest")
    assert room.night()["outcome"] == "proved"


def test_a_site_in_full_use_is_proved_and_what_moved_is_counted(each: Room) -> None:
    """A log that grows, session files that come and go, while manifest and restic read."""
    stop = threading.Event()

    def grow() -> None:
        with (each.www / "truy-cap.log").open("ab", buffering=0) as log:
            while not stop.wait(0.002):
                log.write(b"GET / 200\n" * 3000)

    def come_and_go() -> None:
        number = 0
        while not stop.wait(0.0005):
            (each.www / f"phien-{number % 7}").write_bytes(b"s" * 3000)
            (each.www / f"phien-{(number + 3) % 7}").unlink(missing_ok=True)
            number += 1

    writers = [threading.Thread(target=grow), threading.Thread(target=come_and_go)]
    for writer in writers:
        writer.start()
    try:
        body = each.night(prove=BOTH)
        found, drilled = each.look(contents)["user"], each.look(drill)["user"]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert body["outcome"] == "proved", body["proofs"]
    assert found.measures["moving_files"] >= 1
    assert drilled.verdict == "met" and drilled.measures["wrong_files"] == 0, drilled.detail.en
    assert drilled.measures["unlike_files"] >= 1


# ------------------------------------------------------------------------------------------------ clocks


def test_a_night_under_a_clock_of_2037_does_not_stand_in_the_way_of_later_ones(each: Room) -> None:
    """The clock went wrong for one night and was set right. (libfaketime does not reach Go: restic's own --time does.)"""

    def later(step: Step) -> Step:
        at = step.argv.index("backup") + 1
        return replace(step, argv=(*step.argv[:at], "--time", "2037-01-01 00:00:00", *step.argv[at:]))

    results = each.carry(at_step(each, "--json", later))
    assert results[-1].done
    each.ledger.note(each.now, {"args": {"set": "user"}, "outcome": "proved", "steps": [one.json() for one in results],
                                "started": "2037-01-01T00:00:00Z"})
    each.now = datetime.now(UTC)
    (each.www / "index.html").write_text("sau khi chỉnh lại đồng hồ")
    body = each.night()
    assert body["outcome"] == "proved", body["proofs"]
    snapshots = repository_of(each.ctx()).snapshots(each.ctx(), "gaccong")
    tonight = min(snapshots, key=lambda one: one.time)
    assert each.look(contents)["user"].facts["snapshot"] == tonight.id
    each.now += timedelta(days=1)
    found = each.look(fresh)["user"]
    assert 0 <= found.measures["newest_age_seconds"] < 3 * 86400, found.detail.en


@pytest.mark.parametrize("year", [1980, 2100])
def test_times_of_files_from_a_wrong_clock_are_copied_and_compared(each: Room, year: int) -> None:
    """Cameras and broken machines write such times; the manifest's reuse of hashes must not be fooled by them."""
    when = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    os.utime(each.www / "index.html", (when, when))
    assert each.night()["outcome"] == "proved"
    size = (each.www / "index.html").stat().st_size
    (each.www / "index.html").write_bytes(b"y" * size)
    os.utime(each.www / "index.html", (when, when))  # same size, same time, other bytes
    assert each.night()["outcome"] == "proved"
    found = each.look(drill)["user"]
    assert found.verdict == "met" and found.measures["unlike_files"] == 0, found.detail.en


# ------------------------------------------------------------------------------------------------ network


@contextmanager
def far(tmp: Path, template: Path, program: str) -> Iterator[tuple[Room, Wire]]:
    """A room whose first place is a real rest-server behind a wire that can be spoilt."""
    (tmp / "data").mkdir(parents=True)
    shutil.copytree(template, tmp / "data/demo")
    with rest_server(tmp / "data", "--append-only") as port, wire(port) as way:
        yield Room(tmp, template, program=program, more={"repository": f"rest:http://127.0.0.1:{way.port}/demo/"}), way


@pytest.fixture(params=["restic", NEWER], ids=["old", "newer"])
def away(request: pytest.FixtureRequest, tmp_path: Path, template: Path) -> Iterator[tuple[Room, Wire]]:
    with far(tmp_path / "xa", template, request.param) as made:
        yield made


def test_a_first_place_off_the_host_works_through_whole_nights(away: tuple[Room, Wire]) -> None:
    room, _ = away
    assert room.night(prove=BOTH)["outcome"] == "proved"
    (room.www / "moi.html").write_text("mới")
    body = room.night(prove=BOTH)
    assert body["outcome"] == "proved", body["proofs"]
    found = room.look(drill)["user"]
    assert found.verdict == "met" and found.measures["files"] == 6, found.detail.en


def test_a_first_place_off_the_host_is_made_where_there_is_none(tmp_path: Path, template: Path) -> None:
    with far(tmp_path / "xa", template, NEWER) as (room, _):
        shutil.rmtree(tmp_path / "xa/data/demo")
        first = room.plan()
        assert room.night()["outcome"] == "proved"
        assert [step.argv for step in room.plan().steps] == [step.argv for step in first.steps]
        shutil.rmtree(tmp_path / "xa/data/demo")
        with pytest.raises(PlanRefused) as refused:
            room.plan()
        assert "gone" in refused.value.what.en
        results = room.carry(first.steps)  # lost between planning and acting
        assert not results[-1].done and "is gone" in results[-1].trouble.en
        assert not (tmp_path / "xa/data/demo").exists()


def spoilt_night(room: Room, way: Wire, share: float, seconds: float) -> Any:
    """The copy step of a night whose way is cut after that share of 4 MiB; gives its result."""
    copying = room.plan().steps
    at = next(number for number, step in enumerate(copying) if "--json" in step.argv)
    room.carry(copying[:at])
    way.passed, way.cut = 0, int((4 << 20) * share)
    return room.carry((replace(copying[at], timeout=seconds),))[0]


@pytest.mark.parametrize("away", [NEWER], indirect=True, ids=["newer"])  # 0.14 goes on as well, but may wait for a minute
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_connection_that_breaks_once_does_not_break_the_night(away: tuple[Room, Wire], share: float) -> None:
    room, way = away
    (room.www / "phim.mp4").write_bytes(os.urandom(4 << 20))
    way.cut, way.once = int((4 << 20) * share), True
    body = room.night(prove=BOTH)
    assert way.cuts == 1
    if body["outcome"] != "proved":
        # an upload whose answer was lost is refused the second time by an append-only server: then it is told,
        # nothing is claimed, and it costs one night
        said = body["steps"][-1]["trouble"]["en"]
        assert "cannot be reached" in said or "(403)" in said or "403 Forbidden" in said, said
        body = room.night(prove=BOTH)
    assert body["outcome"] == "proved", body


def test_a_network_that_stays_away_ends_in_time_and_the_next_night_is_proved(tmp_path: Path, template: Path) -> None:
    """Cut at 10, 50 and 90 % with either restic, side by side, for each waits for its time limit."""

    def one(program: str, share: float) -> None:
        with far(tmp_path / f"{Path(program).name}-{share}", template, program) as (room, way):
            assert room.night()["outcome"] == "proved"
            (room.www / "phim.mp4").write_bytes(os.urandom(4 << 20))
            begun = time.monotonic()
            spoilt = spoilt_night(room, way, share, 4.0)
            assert not spoilt.done and time.monotonic() - begun < 25, spoilt
            assert way.cuts >= 1
            assert "cannot be reached" in spoilt.trouble.en or "did not answer within" in spoilt.trouble.en
            way.mend()
            assert room.look(contents)["user"].verdict == "met"  # the copy before stands
            body = room.night(prove=BOTH)
            assert body["outcome"] == "proved", body

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(one, program, share) for program in ("restic", NEWER) for share in (0.1, 0.5, 0.9)]:
            done.result()


FAULTS = {"500": "answers with an error", "502": "answers with an error", "429": "answers with an error",
          "403": "no permission", "cut": "cannot be reached", "closed": "cannot be reached", "hang": "did not answer"}


def test_a_server_that_does_not_serve_is_never_taken_for_a_lost_repository(tmp_path: Path, template: Path) -> None:
    """500, 403, no connection, no answer: unseen and told as such, in the time that was given, by either restic."""

    def one(room: Room, way: Wire, fault: str) -> None:
        asked = repository_of(room.ctx())
        if fault == "closed":
            asked = replace(asked, at=f"rest:http://127.0.0.1:{free_port()}/demo/")
        way.status = int(fault) if fault.isdigit() else 0
        way.cut, way.hang = (0 if fault == "cut" else None), fault == "hang"
        begun = time.monotonic()
        with pytest.raises(ResticTrouble) as told:
            asked.ask(room.ctx(), "cat", "config", timeout=3.0)
        assert time.monotonic() - begun < 15, fault
        assert FAULTS[fault] in told.value.what.en, (room.program, fault, told.value.what.en)
        assert told.value.kind != "no_repository" and told.value.mend.vi

    def every(program: str, fault: str) -> None:
        with far(tmp_path / f"{Path(program).name}-{fault}", template, program) as (room, way):
            one(room, way, fault)

    with ThreadPoolExecutor(7) as pool:
        for done in [pool.submit(every, program, fault) for program in ("restic", NEWER) for fault in FAULTS]:
            done.result()


def test_a_server_in_trouble_is_neither_gone_nor_made_anew(tmp_path: Path, template: Path) -> None:
    """The step that makes a repository, before a server that answers 500, with a mark of the first night and without."""
    with far(tmp_path / "xa", template, "restic") as (room, way), ExitStack():
        found = next(step for step in room.plan().steps if "backup.found" in step.argv)
        way.status = 500
        for _ in range(2):
            [result] = room.carry((found,))
            assert not result.done and "answers with an error" in result.trouble.en
            assert "is gone" not in result.trouble.en
            way.mend()
            assert room.carry((found,))[0].done
            way.status = 500


@pytest.mark.parametrize(("said", "kind"), [
    ("Stat(<config/>) returned error, retrying after 1s: unexpected HTTP response (500): 500 Told", "server"),
    ('Stat(<config/>) returned error, retrying after 6s: Head "http://127.0.0.1:1/": dial tcp: connection refused', "unreachable"),
    ("Copy: write /srv/x/cache/31/index/ed/tmp-24: no space left on device", "scratch_full"),
    ("", "timeout"),
])
def test_what_restic_said_before_its_time_ran_out_is_told(said: str, kind: str) -> None:
    trouble = trouble_of(Result(TIMED_OUT, b"", f"{said}\nsignal interrupt received\n".encode(), 9.0), "/kho")
    assert trouble.kind == kind and "{" not in trouble.what.vi + trouble.mend.en
    if said:
        assert "signal interrupt" not in trouble.what.en


def test_a_copy_that_hangs_says_how_long_it_was_waited_for(tmp_path: Path, template: Path) -> None:
    with far(tmp_path / "xa", template, NEWER) as (room, way):
        steps = room.plan().steps
        at = next(number for number, step in enumerate(steps) if "--json" in step.argv)
        room.carry(steps[:at])
        way.hang = True
        begun = time.monotonic()
        [result] = room.carry((replace(steps[at], timeout=2.0),))
        assert not result.done and result.code == TIMED_OUT and time.monotonic() - begun < 15
        assert "did not answer within" in result.trouble.en
        way.mend()
        assert room.night(prove=BOTH)["outcome"] == "proved"
