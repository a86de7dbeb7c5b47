"""Attacks on notices and on the maintenance register: what makes them silent, loud, talkative, or lie."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitoring.notices.book import Shelf
from monitoring.notices.post import hidden
from monitoring.notices.rounds import Done, Notifier
from monitoring.notices.settings import Notify
from monitoring.windows import FILE, add, cancel, read
from ops import CannotSee, Secret, UsageError
from tests.kit import NOW
from tests.monitoring.test_notices import MINUTE, NONE, Watch, replace_url, rules, trouble
from tests.monitoring.test_windows import HOUR, window


class Desk(Notifier):
    """A notifier whose services are down while `down` names them; `got` is what the others took."""

    def __init__(self, tmp: Path, given: Notify, *down: str) -> None:
        chosen = {name: replace_url(channel, name) for name, channel in given.channel.items()}
        super().__init__(Shelf(tmp / "notices"), given.model_copy(update={"channel": chosen}), lambda _: Secret(b"json://x"), "vi")
        self.down, self.got = set(down), list[tuple[str, str, str]]()

    def post(self, channel: str, title: str, body: str) -> str:
        """Takes the letter, or says why not."""
        if channel in self.down:
            return "dịch vụ từ chối"
        self.got.append((channel, title, body))
        return ""

    def minutes(self, count: int, now: datetime, *troubles: Any) -> tuple[datetime, Done]:
        """So many rounds, one a minute."""
        done = Done(0, 0, 0, {})
        for _ in range(count):
            now += MINUTE
            done = self.round(list(troubles), NONE, now)
        return now, done


def test_three_dead_channels_do_not_drown_the_book_in_letters_about_each_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules(a={}, b={}, c={}), "a", "b", "c")
    now, done = desk.minutes(120, NOW, trouble())
    assert done.waiting <= 9, done
    desk.down.clear()
    desk.minutes(40, now, trouble())
    assert sum("1 việc hỏng" in title for _, title, _ in desk.got) == 3  # the trouble itself, to each


def test_a_letter_that_was_given_up_leaves_its_trouble_to_be_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules(), "thu")
    now = NOW
    for _ in range(60):  # a channel that is dead from Friday to Sunday
        now += timedelta(hours=1)
        desk.round([trouble()], NONE, now)
    desk.down.clear()
    desk.minutes(40, now, trouble())
    assert [title for _, title, _ in desk.got] == ["[gaccong] 1 việc hỏng: Trang xamau"]


def test_a_channel_that_was_taken_out_for_a_while_is_told_what_it_missed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules(thu={}, may={}), "thu")
    given = desk.rules
    now, _ = desk.minutes(1, NOW, trouble())
    desk.rules = given.model_copy(update={"channel": {"may": given.channel["may"]}})
    now, _ = desk.minutes(2, now, trouble())
    desk.rules, desk.down = given, set()
    desk.minutes(2, now, trouble())
    assert ("thu", "[gaccong] 1 việc hỏng: Trang xamau") in [(one[0], one[1]) for one in desk.got]


def test_a_letter_that_comes_late_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules(), "thu")
    now, _ = desk.minutes(20, NOW, trouble())
    desk.down.clear()
    desk.minutes(20, now)
    bodies = [body for _, _, body in desk.got]
    assert len(bodies) == 2 and any("HỎNG" in body and "gửi muộn" in body for body in bodies), bodies


def test_a_clock_that_ran_ahead_for_a_while_silences_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules(), "thu")
    desk.round([trouble()], NONE, NOW + timedelta(days=4000))
    desk.down.clear()
    desk.minutes(40, NOW, trouble())
    assert [title for _, title, _ in desk.got] == ["[gaccong] 1 việc hỏng: Trang xamau"]


def test_flapping_under_a_wrong_clock_ends_under_the_right_one() -> None:
    watch = Watch(rules())
    watch.now = NOW + timedelta(days=4000)
    for number in range(9):
        watch.see(*([trouble()] if number % 2 == 0 else []))
    watch.now = NOW
    said = [kind for _ in range(40) for _, kind, _ in watch.see(trouble(), after=10 * MINUTE)]
    assert said == ["broken"]


def test_what_began_in_the_future_is_escalated() -> None:
    watch = Watch(rules(sep={"after_minutes": 30}))
    said = [kind for _ in range(40) for _, kind, _ in watch.see(trouble(since=NOW + timedelta(days=4000)))]
    assert said == ["escalated"]


def test_half_letters_in_what_a_site_said_stop_no_round(tmp_path: Path) -> None:
    """A JSON answer may hold one half of a letter (\\ud800): it cannot be written as UTF-8."""
    desk = Desk(tmp_path, rules())
    bad = trouble(subject="a\ud800")
    desk.round([bad], NONE, NOW)
    desk.minutes(5, NOW, bad)
    assert len(desk.got) == 1


def test_a_book_with_impossible_times_or_depth_is_set_aside(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules())
    desk.round([trouble()], NONE, NOW)
    path = tmp_path / "notices" / "notices.json"
    for bad in (path.read_text().replace("2026-", "0001-").replace("+00:00", "+14:00"), "[" * 200_000):
        path.write_text(bad)
        desk.round([trouble()], NONE, NOW + MINUTE)
    assert len(desk.got) >= 1 and (tmp_path / "notices" / "notices.spoilt").exists()


def test_the_heartbeat_stops_when_no_channel_delivers(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules(a={}, b={}), "a", "b")
    _, done = desk.minutes(30, NOW, trouble())
    assert done.mute
    desk.down.discard("a")
    _, done = desk.minutes(60, NOW + 30 * MINUTE, trouble())
    assert not done.mute


def test_words_of_a_service_on_a_host_without_a_dot_can_be_read() -> None:
    assert hidden("no answer from x, token mat-khau", "json://u:mat-khau@kenh:1/") == "no answer from x, token ***"


def test_a_title_is_one_line() -> None:
    from monitoring.notices import words
    from monitoring.notices.letters import Letter, Part

    one = replace(trouble(), name="Xã\r\nBcc: ai@xa.test\u2028")
    made = words.title(Letter("thu", (Part("broken", one),)))
    assert all(sign.isprintable() for text in (made.vi, made.en) for sign in text)


# ---------------------------------------------------------------------------------------------- the register


def test_a_window_that_was_called_off_does_not_come_back_by_its_own_line(tmp_path: Path) -> None:
    made = add(tmp_path, window(NOW + HOUR))
    line = (tmp_path / FILE).read_bytes()
    cancel(tmp_path, made.id, reason="hoãn", who="Tổ kỹ thuật", now=NOW + MINUTE)
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(line)
    found = read(tmp_path)
    assert found.windows[0].cancelled_at is not None and found.faults


def test_an_entry_that_claims_an_earlier_hour_than_the_one_before_it_is_late(tmp_path: Path) -> None:
    """Clock set back, or a line written by hand: what stands below cannot be older than what stands above."""
    add(tmp_path, window(NOW + 48 * HOUR, recorded=NOW + 10 * HOUR))
    add(tmp_path, window(NOW + 2 * HOUR, recorded=NOW))
    os.utime(tmp_path / FILE, (later := (NOW + 11 * HOUR).timestamp(), later))
    forged = next(one for one in read(tmp_path).windows if one.start == NOW + 2 * HOUR)
    assert forged.late


def test_one_entry_of_a_clock_that_ran_ahead_does_not_make_all_others_late(tmp_path: Path) -> None:
    add(tmp_path, window(NOW + 50_000 * HOUR, recorded=NOW + 49_000 * HOUR))
    good = add(tmp_path, window(NOW + 2 * HOUR, recorded=NOW))
    os.utime(tmp_path / FILE, (now := NOW.timestamp(), now))
    assert not next(one for one in read(tmp_path).windows if one == good).late


@pytest.mark.parametrize("bad", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_impossible_hour_in_the_register_is_a_fault_of_its_line(tmp_path: Path, bad: str) -> None:
    good = add(tmp_path, window(NOW + HOUR))
    body = json.loads((tmp_path / FILE).read_text())
    with (tmp_path / FILE).open("a") as stream:
        stream.write(json.dumps(body | {"start": bad}) + "\n" + json.dumps({"cancels": good.id, "recorded_at": bad}) + "\n")
    found = read(tmp_path)
    assert found.windows == (good,) and len(found.faults) == 2


def test_an_impossible_hour_that_is_entered_is_refused(tmp_path: Path) -> None:
    from ops.cli.maintenance import moment

    with pytest.raises(UsageError):
        add(tmp_path, window(moment("0001-01-01 00:00")))


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_register_that_is_no_file_is_told_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    elsewhere, home = tmp_path / "khac.jsonl", tmp_path / "home"
    home.mkdir()
    add(tmp_path, window(NOW + HOUR))
    (tmp_path / FILE).rename(elsewhere)
    place = home / FILE
    if kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    with pytest.raises(CannotSee):
        read(home)
    with pytest.raises((CannotSee, UsageError)):
        add(home, window(NOW + HOUR))
    assert len(elsewhere.read_text().splitlines()) == 1
