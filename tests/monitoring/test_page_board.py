"""The fleet's page: lines are kept, and read anew exactly when something may have changed."""

from __future__ import annotations

import time
from dataclasses import replace

from monitoring.page import board
from monitoring.page.board import Board
from monitoring.page.desk import Desk
from ops import SiteStatus
from tests.monitoring.desk import BROKEN, MET, UNSEEN, clause, duty, policy, read, state
from tests.monitoring.test_page import served, text_of


class Room:
    """Sites that count how often they are read."""

    def __init__(self, number: int) -> None:
        self.heads = {f"xa{one}": 1 for one in range(number)}
        self.verdicts = dict.fromkeys(self.heads, MET)
        self.reads: list[str] = []
        self.failing: set[str] = set()
        self.clock = 1000.0
        self.sites = {name: self._status(name).site for name in self.heads}
        self.board = Board(Desk(lambda: self.sites, self.read, None, lambda: self.heads), frozenset(), lambda: self.clock)

    def _status(self, site: str) -> SiteStatus:
        rows = [state("web.http", "ipv4", self.verdicts[site], "a", "a", site=site)]
        return read(rows, policy(clause("TN-1", "x", "web.http")), [duty("web.http")], site=site, name=f"Xã Số {site[2:]}")

    def read(self, site: str) -> SiteStatus:
        self.reads.append(site)
        if site in self.failing:
            raise RuntimeError("poisoned")
        return self._status(site)

    def asked(self) -> list[str]:
        self.reads.clear()
        self.board.fleet()
        return sorted(self.reads)


def test_a_line_is_read_anew_when_its_ledger_grew() -> None:
    room = Room(5)
    assert len(room.asked()) == 5
    assert room.asked() == []
    room.heads["xa3"] += 1
    room.verdicts["xa3"] = BROKEN
    assert room.asked() == ["xa3"]
    assert [one.id for one in room.board.fleet().lines][0] == "xa3", "the worst first"


def test_a_line_is_read_anew_when_nobody_may_have_looked() -> None:
    room = Room(3)
    room.asked()
    room.board._kept["xa1"].stale = room.clock + 5
    room.clock += 6
    assert room.asked() == ["xa1"], "one of its states may have gone stale"
    room.clock += board.OLDEST_SECONDS
    assert room.asked() == ["xa0", "xa2"], "an attestation may have run out"


def test_a_state_goes_stale_as_the_kernel_says() -> None:
    """Seen a minute ago, every five minutes: three rhythms and a minute after the look."""
    room = Room(1)
    assert board._fresh_for(room.read("xa0")) == 3 * 300 + 60 - 60


def test_a_poisoned_site_hides_no_other() -> None:
    room = Room(3)
    room.failing = {"xa1"}
    fleet = room.board.fleet()
    assert {one.id: one.verdict for one in fleet.lines} == {"xa0": MET, "xa1": UNSEEN, "xa2": MET}
    assert room.asked() == [], "not tried at every request"


def test_a_request_waits_for_a_tenth_of_a_second_and_a_thread_reads_on() -> None:
    room = Room(40)
    room.board._clock = time.monotonic
    plain = room.read

    def slowly(site: str) -> SiteStatus:
        time.sleep(0.02)
        return plain(site)

    room.board._desk = replace(room.board._desk, read=slowly)
    began = time.monotonic()
    first = room.board.fleet()
    assert time.monotonic() - began < 1
    assert 20 < first.waiting < 40
    assert sum(one.at is None for one in first.lines) == first.waiting
    while room.board.fleet().waiting:
        assert time.monotonic() - began < 20
        time.sleep(0.1)
    assert len(room.reads) <= 55, "requests and thread do not read everything twice"
    assert all(one.verdict is MET for one in room.board.fleet().lines)


def test_sites_are_found_by_name_without_diacritics() -> None:
    room = Room(15)
    room.sites["xa7"] = replace(room.sites["xa7"], name="Xã Đường Lâm <b>")
    plain = room.read
    room.board._desk = replace(room.board._desk, read=lambda site: replace(plain(site), site=room.sites[site]))
    with served(lambda: [], desk=room.board._desk) as site:
        assert text_of(site.get("/?q=duong+LAM")[2]).count("Đường Lâm") == 1
        assert "Số 3" not in site.get("/?q=%C4%91%C6%B0%E1%BB%9Dng")[2]
        assert text_of(site.get("/?q=khong+co")[2]).count("0 trang có tên ấy") == 1
        hostile = site.get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")[2]
        assert "Số 3" in site.get("/?q=" + "x" * 0)[2]
    assert "<script" not in hostile


def test_what_left_the_configuration_leaves_the_page() -> None:
    room = Room(3)
    room.board.fleet()
    del room.sites["xa1"]
    assert {one.id for one in room.board.fleet().lines} == {"xa0", "xa2"}


def test_the_age_that_is_told_is_that_of_the_oldest_line() -> None:
    room = Room(2)
    first = room.board.fleet().at
    assert first is not None
    assert room.board.fleet().at == first
