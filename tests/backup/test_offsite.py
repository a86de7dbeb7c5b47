"""backup.offsite: is it there, is it elsewhere, and does the server really refuse to delete?"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from backup.changes.copy import copy
from backup.checks import offsite as module
from backup.checks.offsite import offsite
from backup.rest import Server, ask, there, would_delete
from ops.errors import CannotSee
from ops.model import State
from ops.moment import local
from tests.backup.room import NEWER, Room
from tests.backup.second import act, ids, past, placed, restic, with_second
from tests.backup.servers_rest import LOGIN, FaultProxy, rest_server, wrong


def test_without_a_second_place_it_is_at_risk_and_broken_where_the_policy_demands_one(room: Room) -> None:
    past(room, [1])
    found = room.look(offsite)
    assert set(found) == {"3-2-1"}
    assert found["3-2-1"].verdict == "at_risk" and "chỉ 1 nơi" in found["3-2-1"].detail.vi and found["3-2-1"].next
    room.thresholds["backup.places"] = 2
    assert room.look(offsite)["3-2-1"].verdict == "broken"


def test_three_two_one_holds(room: Room, second_template: Path) -> None:
    with rest_server(room.tmp / "server", append_only=True) as server:
        placed(second_template, server.data / "kho")
        with_second(room, server.url, append_only=True, off_host=True)
        past(room, [1])
        assert act(room, copy, [offsite], place="xa")["outcome"] == "proved"
        found = room.look(offsite)
        assert found["3-2-1"].verdict == "met", found["3-2-1"].detail.vi
        assert found["3-2-1"].facts["append_only"] == {"first": "not said", "xa": "tried: deletion is refused"}
        assert found["xa"].verdict == "met" and found["xa"].measures["lag_seconds"] == 0
        with_second(room, server.url, append_only=True)  # on loopback, and nobody says that it is a tunnel
        assert "không có bản nào ở ngoài máy này" in room.look(offsite)["3-2-1"].detail.vi


def test_a_false_claim_of_append_only_is_found_out_and_harms_nothing(room: Room, second_template: Path) -> None:
    with rest_server(room.tmp / "server") as server:
        placed(second_template, server.data / "kho")
        with_second(room, server.url, append_only=True)
        past(room, [1])
        act(room, copy, place="xa")
        before = sorted(path for path in server.data.rglob("*") if path.is_file())
        found = room.look(offsite)
        assert found["xa"].verdict == "broken" and "cho xóa" in found["xa"].detail.vi
        assert "không có kho nào chỉ ghi thêm" in found["3-2-1"].detail.vi
        assert before == sorted(path for path in server.data.rglob("*") if path.is_file())


def test_a_claim_that_cannot_be_tried_is_called_one(room: Room, second_template: Path) -> None:
    with_second(room, placed(second_template, room.tmp / "kho2"), append_only=True, off_host=True)
    past(room, [1])
    act(room, copy, place="xa")
    found = room.look(offsite)["3-2-1"]
    assert found.verdict == "met" and "chỉ khai, chưa thử được: xa" in found.detail.vi


def test_lag(room: Room, second_template: Path) -> None:
    with_second(room, placed(second_template, room.tmp / "kho2"))
    past(room, [5])
    assert room.look(offsite)["xa"].verdict == "broken"  # nothing there yet
    act(room, copy, place="xa")
    past(room, [1])
    waits = room.look(offsite)["xa"]
    assert waits.verdict == "met" and "24 giờ" in waits.detail.vi and waits.measures["lag_seconds"] == 4 * 86400
    assert room.look(offsite, "xa")["xa"].verdict == "broken"  # as a proof of a copy just made it is not there
    room.now += timedelta(days=4)
    assert room.look(offsite)["xa"].verdict == "at_risk"
    room.now += timedelta(days=4)
    assert room.look(offsite)["xa"].verdict == "broken"


def test_what_vanished_there_is_missed(room: Room, second_template: Path) -> None:
    second = placed(second_template, room.tmp / "kho2")
    with_second(room, second)
    past(room, [1])
    act(room, copy, place="xa")
    assert room.look(offsite)["xa"].verdict == "met"
    restic(room, second, "forget", ids(room, second, b"kho-thu-hai")[0])
    found = room.look(offsite)["xa"]
    assert found.verdict == "broken" and "chưa có bản sao đã chứng minh nào" in found.detail.vi


def test_a_listing_without_its_data_is_no_copy(room: Room, second_template: Path) -> None:
    second = Path(placed(second_template, room.tmp / "kho2"))
    with_second(room, str(second), append_only=True, off_host=True)
    past(room, [1])
    assert act(room, copy, [offsite], place="xa")["outcome"] == "proved"
    for one in [*(second / "data").rglob("*"), *(second / "index").iterdir()]:
        if one.is_file():
            one.unlink()
    found = room.look(offsite)
    assert found["xa"].verdict == "broken" and "gói dữ liệu" in found["xa"].detail.vi
    assert found["3-2-1"].verdict != "met"
    assert act(room, copy, [offsite], place="xa")["outcome"] != "proved"  # nor does the next night make it good
    assert act(room, copy, [offsite], place="xa", give_up="yes")["outcome"] == "undone"  # restic check says no
    second.rename(room.tmp / "hong")
    placed(second_template, second)
    body = act(room, copy, [offsite], place="xa", give_up="yes")
    assert body["outcome"] == "proved", [step.get("trouble") for step in body["steps"]] + body["proofs"]


def test_where_objects_cannot_be_reached_restic_checks_once_a_week(
        tmp_path: Path, template: Path, second_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path, template, program=NEWER)  # Debian's asks for each lost object for a minute and more
    monkeypatch.setattr(module, "objects_of", lambda ctx, repository: None)  # as over sftp and S3
    second = Path(placed(second_template, room.tmp / "kho2"))
    with_second(room, str(second))
    past(room, [1])
    act(room, copy, place="xa")
    assert room.look(offsite)["xa"].verdict == "met"
    for one in (second / "data").rglob("*"):
        if one.is_file():
            one.unlink()
    assert room.look(offsite)["xa"].verdict == "met"  # not looked at again so soon
    room.now += timedelta(days=8)
    assert room.look(offsite)["xa"].detail.vi.startswith("kho xa liệt kê đủ bản sao, nhưng")
    assert room.look(offsite)["xa"].verdict == "broken"


def test_what_the_keeper_of_a_place_pruned_can_be_accepted(room: Room, second_template: Path) -> None:
    second = placed(second_template, room.tmp / "kho2")
    with_second(room, second)
    past(room, [3, 2, 1])
    act(room, copy, place="xa")
    restic(room, second, "forget", "--prune", ids(room, second, b"kho-thu-hai")[0])
    assert room.look(offsite)["xa"].verdict == "broken"
    restic(room, second, "check")
    body = act(room, copy, [offsite], place="xa", give_up="yes")
    assert body["outcome"] == "proved", [step.get("trouble") for step in body["steps"]] + body["proofs"]


def test_the_second_place_is_read_when_the_first_is_gone(room: Room, second_template: Path) -> None:
    """The day for which it was made."""
    with_second(room, placed(second_template, room.tmp / "kho2"))
    past(room, [1])
    act(room, copy, place="xa")
    room.repository.rename(room.tmp / "chay")
    found = room.look(offsite)
    assert found["xa"].verdict == "met" and found["xa"].measures["copies"] == 1


def test_unproved_copies_do_not_count(room: Room, second_template: Path) -> None:
    with_second(room, placed(second_template, room.tmp / "kho2"))
    past(room, [1], outcome="unproved")
    act(room, copy, place="xa")
    found = room.look(offsite)
    assert found["xa"].verdict == "unseen" and found["3-2-1"].measures["places"] == 0


@pytest.mark.parametrize("status", [500, 401])
def test_a_server_in_trouble_is_unseen_in_plain_words(room: Room, status: int) -> None:
    past(room, [1])
    with wrong(status) as port:
        with_second(room, f"rest:http://127.0.0.1:{port}/kho/")
        began = time.monotonic()
        found = room.look(offsite)
        assert time.monotonic() - began < 10
    assert found["xa"].verdict == "unseen" and str(status) in found["xa"].detail.vi
    assert found["3-2-1"].verdict == "unseen" and "xa" in found["3-2-1"].detail.vi


def test_a_mute_server_and_a_closed_door_are_unseen_in_bounded_time(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    past(room, [1])
    monkeypatch.setattr(module, "would_delete", lambda server: would_delete(server, 1.0))
    with FaultProxy(("127.0.0.1", 9), after=0, hang=True) as proxy:
        with_second(room, f"rest:http://127.0.0.1:{proxy.port}/kho/")
        began = time.monotonic()
        found = room.look(offsite)["xa"]
        assert found.verdict == "unseen" and "không trả lời trong 1 giây" in found.detail.vi
        assert time.monotonic() - began < 10
        port = proxy.port
    with_second(room, f"rest:http://127.0.0.1:{port}/kho/")
    assert "không kết nối được" in room.look(offsite)["xa"].detail.vi


def test_a_place_that_is_down_is_unseen_since_when_and_never_said_to_be_empty(room: Room, second_template: Path) -> None:
    with rest_server(room.tmp / "server", append_only=True) as server:
        placed(second_template, server.data / "kho")
        with_second(room, server.url, append_only=True, off_host=True)
        past(room, [1])
        empty = room.look(offsite)
        assert "nơi xa chưa có bản sao" in empty["3-2-1"].detail.vi and empty["xa"].verdict == "broken"
        act(room, copy, place="xa")
        good = room.look(offsite)["xa"]
    seen = room.now
    room.ledger.known = [State("demo", "backup.offsite", "xa", good.verdict, seen, seen, good.detail, good.measures, "", 1, 86400.0)]
    room.now += timedelta(days=1)
    down = room.now
    for _ in range(2):
        found = room.look(offsite)
        told = found["xa"]
        assert told.verdict == "unseen" and f"từ {local(down):%d/%m/%Y %H:%M}" in told.detail.vi
        assert f"lần xem được gần nhất: {local(seen):%d/%m/%Y %H:%M}" in told.detail.vi and "good look" in told.detail.en
        three = found["3-2-1"]
        assert three.verdict == "unseen" and "chưa xem được nơi xa" in three.detail.vi
        assert "không có bản nào" not in three.detail.vi and "chưa khai" not in three.detail.vi and "look" in three.next
        room.ledger.known = [State("demo", "backup.offsite", "xa", told.verdict, room.now, room.now, told.detail, told.measures,
                                   "", 1, 86400.0)]
        room.now += timedelta(days=1)  # still down: the day on which it went down stays


def test_before_anything_was_copied_the_words_are_calm(room: Room) -> None:
    found = room.look(offsite)["3-2-1"]
    assert found.verdict != "met" and "chưa nơi nào có bản sao" in found.detail.vi and "chiếm máy này" not in found.detail.vi
    assert found.next == "gaccong plan backup.run set=user --site demo"


def test_a_server_is_asked_over_tls_with_its_own_authority(tmp_path: Path) -> None:
    with rest_server(tmp_path, tls=True, append_only=True, host="::1") as server:
        good = Server(server.url, LOGIN, str(server.ca))
        assert not there(good) and not would_delete(good)
        assert ask(Server(server.url.replace("://", f"://{LOGIN}@"), "", str(server.ca)), "HEAD", "config") == 404
        for other, sign in ((Server(server.url, LOGIN), "chứng thư"), (Server(server.url, "xamau:sai", str(server.ca)), "401")):
            with pytest.raises(CannotSee) as unseen:
                there(other)
            assert sign in unseen.value.what.vi and "bi-mat" not in str(unseen.value) + repr(other)
