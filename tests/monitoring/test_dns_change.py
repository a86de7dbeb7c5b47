"""What the names resolve to, remembered in a real ledger: a real knot is edited while the days go by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitoring.checks.change import change
from monitoring.settings import Settings
from ops import Verdict
from tests.monitoring.dns_lab import HOST, ZONE, Knot, chain, knot, unbound
from tests.monitoring.lab import free_port
from tests.ops.world import World

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback half a second of silence is as good as two."""
    monkeypatch.setattr("monitoring.questions.ATTEMPT_SECONDS", 0.5)
    monkeypatch.setattr("monitoring.names.ATTEMPT_SECONDS", 0.5)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Knot]:
    with knot(tmp_path / "k") as made:
        yield made


@pytest.fixture
def resolver(tmp_path: Path, source: Knot) -> Iterator[str]:
    with chain(tmp_path / "u", source, ds="", validating=False) as place:
        yield place


class Watch(World):
    """A world whose site is the lab's host; `look` gives verdicts by subject."""

    def __init__(self, tmp: Path, place: str, **names: Any) -> None:
        super().__init__(tmp, [change])
        self.place(place, **names)

    def place(self, place: str, **names: Any) -> None:
        chosen = Settings(nameservers=(place,), timeout_seconds=1.5, dns=names)
        self.site = replace(self.site, url=f"https://{HOST}/", names=(), settings={"monitoring": chosen})

    def seen(self) -> dict[str, Verdict]:
        return {row.subject: row.verdict for row in self.look("dns.change")}


def moved(source: Knot, address: str, old: str) -> None:
    source.edit(("unset", "xamau", "A", old), ("set", "xamau", "60", "A", address))


def test_the_first_sight_is_believed_and_a_change_is_told_for_a_week(tmp_path: Path, source: Knot, resolver: str) -> None:
    watch = Watch(tmp_path, resolver)
    assert watch.seen() == dict.fromkeys(("A", "AAAA", "NS", "MX", "DS"), MET)
    watch.clock.now += DAY
    moved(source, "127.0.0.66", "127.0.0.1")
    rows = {row.subject: row for row in watch.look("dns.change")}
    assert (rows["A"].verdict, rows["AAAA"].verdict, rows["NS"].verdict) == (RISK, MET, MET)
    assert "127.0.0.1 sang 127.0.0.66" in rows["A"].detail.vi
    watch.clock.now += 6 * DAY
    assert watch.seen()["A"] is RISK
    watch.clock.now += 2 * DAY
    assert watch.seen()["A"] is MET
    watch.clock.now += DAY
    moved(source, "127.0.0.1", "127.0.0.66")
    assert watch.seen()["A"] is RISK
    moved(source, "127.0.0.66", "127.0.0.1")
    assert watch.seen()["A"] is MET
    assert watch.verified()


def test_a_ds_that_was_taken_away_is_a_change(tmp_path: Path) -> None:
    with knot(tmp_path / "k", signed=True) as signer:
        with chain(tmp_path / "with", signer, validating=False) as place:
            watch = Watch(tmp_path, place)
            assert watch.seen()["DS"] is MET
        with chain(tmp_path / "without", signer, ds="", validating=False) as place:
            watch.place(place)
            watch.clock.now += DAY
            assert watch.seen()["DS"] is RISK


def test_a_silent_night_does_not_make_it_forget(tmp_path: Path, source: Knot, resolver: str) -> None:
    watch = Watch(tmp_path, resolver)
    watch.seen()
    watch.place(f"127.0.0.1:{free_port()}")
    watch.clock.now += DAY
    assert set(watch.seen().values()) == {UNSEEN}
    moved(source, "127.0.0.66", "127.0.0.1")
    watch.place(resolver)
    watch.clock.now += DAY
    assert watch.seen()["A"] is RISK


def test_name_servers_that_were_taken_over(tmp_path: Path, source: Knot, resolver: str) -> None:
    watch = Watch(tmp_path, resolver)
    watch.seen()
    source.edit(("unset", "@", "NS", "ns2"), ("set", "@", "60", "NS", "ns.ke-la.test."))
    watch.clock.now += DAY
    rows = {row.subject: row for row in watch.look("dns.change")}
    assert rows["NS"].verdict is RISK
    assert "ns.ke-la.test" in rows["NS"].detail.vi
    assert rows["NS"].next == f"dig NS {HOST}"


def test_pins_break_at_once_and_for_ever(tmp_path: Path, source: Knot, resolver: str) -> None:
    pins = {"addresses": ("127.0.0.0/28", "::1"), "name_servers": (f"ns1.{ZONE}", f"NS2.{ZONE}."), "mail": (f"thu.{ZONE}",)}
    watch = Watch(tmp_path, resolver, **pins)
    assert watch.seen() == dict.fromkeys(("A", "AAAA", "NS", "MX", "DS"), MET)
    moved(source, "127.0.0.66", "127.0.0.1")
    source.edit(("set", "@", "60", "MX", "5 thu.ke-la.test."))
    for _ in range(3):
        watch.clock.now += 5 * DAY
        found = watch.seen()
        assert (found["A"], found["MX"], found["AAAA"]) == (BROKEN, BROKEN, MET)


def test_addresses_that_vary_on_purpose_are_left_out(tmp_path: Path, resolver: str) -> None:
    assert set(Watch(tmp_path, resolver, answers_vary=True).seen()) == {"NS", "MX", "DS"}


def test_an_error_of_the_resolver_is_not_an_empty_answer(tmp_path: Path, source: Knot, resolver: str) -> None:
    watch = Watch(tmp_path, resolver)
    watch.seen()
    with knot(tmp_path / "other", zone="khac.gov.vn") as other, unbound(tmp_path / "w", replace(other, zone=ZONE)) as failing:
        watch.place(failing)
        watch.clock.now += DAY
        assert set(watch.seen().values()) == {UNSEEN}
