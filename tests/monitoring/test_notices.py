"""Notices: what is told to whom and when (pure), and real letters by real SMTP and HTTP, over kill -9 and dead services."""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from monitoring.notices import words
from monitoring.notices.book import Book, Shelf, acknowledge
from monitoring.notices.letters import Entry, Trouble, turn
from monitoring.notices.post import hidden
from monitoring.notices.rounds import Notifier, beat, troubles_of, unseen_of
from monitoring.notices.settings import Channel, Notify
from ops import Secret, Verdict, say
from tests.kit import NOW
from tests.monitoring.desk import HOSTILE, night
from tests.monitoring.lab import free_port

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
MINUTE = timedelta(minutes=1)
NONE: frozenset[tuple[str, str]] = frozenset()


def rules(quiet: str = "", **channels: dict[str, Any]) -> Notify:
    return Notify(quiet=quiet, channel={name: Channel(url="file:k", **more) for name, more in (channels or {"thu": {}}).items()})


def trouble(verdict: Verdict = BROKEN, *, site: str = "xamau", duty: str = "web.http", subject: str = "ipv4", since: datetime = NOW,
            **more: Any) -> Trouble:
    return Trouble(site, f"Trang {site}", duty, subject, verdict, since, say("không trả lời", "no answer"), **more)


class Watch:
    """Rounds, one after the other."""

    def __init__(self, given: Notify) -> None:
        self.rules, self.book, self.now = given, {}, NOW

    def see(self, *troubles: Trouble, unseen: frozenset[tuple[str, str]] = NONE, after: timedelta = MINUTE) -> list[tuple[str, str, str]]:
        self.now += after
        letters, self.book = turn(self.book, troubles, unseen, self.rules, self.now)
        return [(letter.channel, part.kind, part.trouble.duty) for letter in letters for part in letter.parts]


def test_a_trouble_is_told_once_its_worsening_again_and_its_end() -> None:
    watch = Watch(rules())
    assert watch.see(trouble(RISK)) == [("thu", "at_risk", "web.http")]
    assert watch.see(trouble(RISK)) == []
    assert watch.see(trouble(BROKEN)) == [("thu", "broken", "web.http")]
    assert watch.see(trouble(RISK)) == []  # a little better is not worth a letter at night
    assert watch.see() == [("thu", "resolved", "web.http")]
    assert watch.see() == []
    assert watch.see(trouble()) == [("thu", "broken", "web.http")]


def test_what_nobody_can_see_any_more_is_not_resolved() -> None:
    watch = Watch(rules())
    watch.see(trouble())
    assert watch.see(unseen=frozenset({("xamau", "web.http")})) == []
    assert watch.see() == [("thu", "resolved", "web.http")]


def test_quiet_hours_hold_back_all_that_is_not_broken_until_the_morning() -> None:
    watch = Watch(rules("22:00-06:00", thu={}, may={"quiet": False}))
    watch.now = NOW.replace(hour=16)  # 23:00 in Vietnam
    assert watch.see(trouble(RISK)) == [("may", "at_risk", "web.http")]
    assert sorted(watch.see(trouble(RISK), trouble(BROKEN, duty="dns.address"))) == \
        [("may", "broken", "dns.address"), ("thu", "broken", "dns.address")]
    assert watch.see(trouble(RISK)) == [("may", "resolved", "dns.address")]
    watch.now = NOW.replace(hour=23)
    assert sorted(watch.see(trouble(RISK))) == [("thu", "at_risk", "web.http"), ("thu", "resolved", "dns.address")]


@pytest.mark.parametrize(("hours", "clock", "quiet"), [
    ("22:00-06:00", "23:30", True), ("22:00-06:00", "05:59", True), ("22:00-06:00", "06:00", False), ("12:00-13:00", "12:30", True),
    ("12:00-13:00", "13:00", False), ("", "03:00", False)])
def test_quiet_hours(hours: str, clock: str, quiet: bool) -> None:
    assert rules(hours).is_quiet(time.fromisoformat(clock)) is quiet


def test_what_lasts_is_escalated_unless_somebody_took_it() -> None:
    ladder = rules(thu={}, sep={"after_minutes": 30})
    watch = Watch(ladder)
    assert watch.see(trouble()) == [("thu", "broken", "web.http")]
    assert watch.see(trouble(), after=31 * MINUTE) == [("sep", "escalated", "web.http")]
    assert sorted(watch.see()) == [("sep", "resolved", "web.http"), ("thu", "resolved", "web.http")]
    taken = Watch(ladder)
    taken.see(trouble())
    book, count = acknowledge(Book(taken.book), "xamau", "", "Người trực", NOW)
    taken.book = book.entries
    assert count == 1 and taken.see(trouble(), after=60 * MINUTE) == []
    assert taken.see() == [("thu", "resolved", "web.http")]


def test_what_flaps_is_named_so_once_and_left_alone_until_it_is_still() -> None:
    watch = Watch(rules())
    said = [kind for number in range(20) for _, kind, _ in watch.see(*([trouble()] if number % 2 == 0 else []))]
    assert said.count("flapping") == 1 and len(said) == 6, said
    assert watch.see(trouble()) == []
    assert watch.see(trouble(), after=3 * timedelta(hours=1)) == [("thu", "broken", "web.http")]


def test_planned_work_and_other_peoples_sites_are_not_told() -> None:
    watch = Watch(rules(thu={"sites": ("xa-*",)}))
    assert watch.see(trouble(), trouble(site="xa-b", planned=True)) == []
    assert watch.see(trouble(site="xa-b")) == [("thu", "broken", "web.http")]


@given(some.lists(some.tuples(some.sampled_from([MET, RISK, BROKEN, UNSEEN]), some.integers(1, 200)), max_size=40))
def test_whatever_happens_a_channel_never_believes_in_a_trouble_that_ended(steps: list[tuple[Verdict, int]]) -> None:
    watch = Watch(rules())
    believed = MET
    for verdict, minutes in steps:
        unseen = frozenset({("xamau", "web.http")}) if verdict is UNSEEN else NONE
        for _, kind, _ in watch.see(*([trouble(verdict)] if verdict in (RISK, BROKEN) else []), unseen=unseen, after=minutes * MINUTE):
            assert not (kind == "resolved" and believed is MET)
            believed = MET if kind == "resolved" else BROKEN
    for _ in range(2):
        for _, kind, _ in watch.see(after=timedelta(hours=3)):
            believed = MET if kind == "resolved" else BROKEN
    assert believed is MET
    watch.see(after=timedelta(days=2))
    assert watch.book == {}


def test_forty_sites_with_one_cause_are_one_paragraph_and_hostile_words_stay_on_their_line() -> None:
    watch = Watch(rules())
    many = [replace(trouble(site=f"xa-{number}"), detail=say("hỏng\nSubject: x\x1b[31m", "bad")) for number in range(40)]
    watch.now += MINUTE
    letters, _ = turn({}, [*many, trouble(duty="dns.address")], NONE, watch.rules, watch.now)
    body = words.body(letters[0], watch.now, "vi")
    assert body.count("HỎNG") == 2 and "(+32)" in body and "\x1b" not in body and "\nSubject" not in body
    assert words.title(letters[0]).vi == "[gaccong] 41 việc hỏng: 41 trang"
    assert "gaccong notify ack" in body


def test_troubles_are_the_pages_and_name_nobody() -> None:
    found = troubles_of([night()], frozenset({"accounts.leavers"}), lambda site: False)
    assert {one.duty for one in found} >= {"web.http", "tls.certificate", "accounts.leavers"}
    assert "Nguyễn" not in repr(found) and next(one for one in found if one.duty == "accounts.leavers").subject == ""
    assert unseen_of([night()]) == frozenset()


# ---------------------------------------------------------------------------------------------- real channels


class Inbox:
    """A real SMTP server on loopback that keeps what it is given."""

    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.controller.start()
        self.port = self.controller.port

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.letters.append(envelope)
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.controller.stop()


@pytest.fixture
def hook() -> Iterator[Any]:
    """A real HTTP server; `.answers` are the codes it gives (the last one for ever), `.got` what it was sent."""

    class Server(http.server.ThreadingHTTPServer):
        answers, got = [200], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append(json.loads(body))
            self.send_response(server.answers.pop(0) if len(server.answers) > 1 else server.answers[0])
            self.end_headers()

        def do_GET(self) -> None:
            server.got.append(self.path)
            self.send_response(server.answers[0])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.answers, server.got = [200], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def notifier(tmp: Path, given: Notify, **urls: str) -> Notifier:
    chosen = {name: replace_url(channel, name) for name, channel in given.channel.items()}
    return Notifier(Shelf(tmp / "notices"), given.model_copy(update={"channel": chosen}),
                    lambda reference: Secret(urls[reference.removeprefix("file:")].encode()), "vi")


def replace_url(channel: Channel, name: str) -> Channel:
    return channel.model_copy(update={"url": f"file:{name}"})


def test_a_letter_by_mail(tmp_path: Path, inbox: Inbox) -> None:
    url = f"mailto://127.0.0.1:{inbox.port}/?from=gac@xa.test&to=truc@xa.test&mode=insecure"
    sender = notifier(tmp_path, rules(), thu=url)
    done = sender.round([trouble()], NONE, NOW)
    assert (done.sent, done.failed, done.waiting) == (1, 0, 0), done
    import email
    import email.policy

    letter = email.message_from_bytes(inbox.letters[0].content, policy=email.policy.default)
    assert letter["subject"] == "[gaccong] 1 việc hỏng: Trang xamau" and inbox.letters[0].rcpt_tos == ["truc@xa.test"]
    assert "không trả lời" in letter.get_body(("plain",)).get_content()
    assert sender.round([trouble()], NONE, NOW + MINUTE).sent == 0 and len(inbox.letters) == 1


def test_a_service_that_refuses_is_tried_again_and_the_others_are_told(tmp_path: Path, hook: Any, inbox: Inbox) -> None:
    hook.answers[:] = [500]
    sender = notifier(tmp_path, rules(may={}, thu={}), may=f"json://127.0.0.1:{hook.server_port}/bi-mat-dai",
                      thu=f"mailto://127.0.0.1:{inbox.port}/?from=gac@xa.test&to=truc@xa.test&mode=insecure")
    now = NOW
    first = sender.round([trouble()], NONE, now)
    assert (first.sent, first.failed, first.waiting) == (1, 1, 1)
    assert sender.round([trouble()], NONE, now).failed == 0  # not at once again
    for _ in range(2):
        now += 10 * MINUTE
        assert sender.round([trouble()], NONE, now).failed == 1
    sender.round([trouble()], NONE, now + MINUTE)
    assert len(inbox.letters) == 2  # that the other channel is dead
    hook.answers[:] = [200]
    assert sender.round([trouble()], NONE, now + 60 * MINUTE).sent == 1
    assert hook.got[-1]["title"] == "[gaccong] 1 việc hỏng: Trang xamau"
    kept = (tmp_path / "notices" / "notices.json").read_text() + (tmp_path / "notices" / "notices.jsonl").read_text()
    assert "bi-mat-dai" not in kept and "truc@xa.test" not in kept
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "notices").iterdir()} == {0o600}
    final = sender.round([trouble()], NONE, now + timedelta(days=2))
    assert final.waiting == 0


def test_a_service_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr("monitoring.notices.rounds.POST_SECONDS", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = notifier(tmp_path, rules(), thu=f"json://127.0.0.1:{silent.getsockname()[1]}/")
        done = sender.round([trouble()], NONE, NOW)
    assert done.failed == 1 and "3" in done.failures["thu"]


def test_an_address_of_no_kind_and_a_secret_that_is_missing(tmp_path: Path) -> None:
    sender = notifier(tmp_path, rules(), thu="khong-phai-dia-chi")
    assert "địa chỉ kênh" in sender.round([trouble()], NONE, NOW).failures["thu"]


def test_words_of_a_service_never_show_the_address() -> None:
    url = "tgram://123456789:AbCdEf_token/987654/?to=truc"
    told = hidden("Failed tgram://123456789:AbCdEf_token/987654 with AbCdEf_token\x1b[0m", url)
    assert told == "Failed tgram://***:***/*** with ***  [0m".replace("  ", " ")
    assert hidden("no answer from thu.xa.test", "mailtos://a:bi-mat@thu.xa.test/?to=b@c.test") == "no answer from thu.xa.test"


def test_killed_between_the_note_and_the_sending_the_letter_goes_out_later(tmp_path: Path, hook: Any) -> None:
    code = (
        "import os, signal, sys\n"
        "from datetime import datetime\nfrom pathlib import Path\n"
        "from tests.monitoring import test_notices as t\n"
        f"n = t.notifier(Path({str(tmp_path)!r}), t.rules(), thu='json://127.0.0.1:{hook.server_port}/')\n"
        "n.post = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "n.round([t.trouble()], t.NONE, t.NOW)\n")
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL and hook.got == []
    sender = notifier(tmp_path, rules(), thu=f"json://127.0.0.1:{hook.server_port}/")
    assert sender.round([trouble()], NONE, NOW + MINUTE).sent == 1 and len(hook.got) == 1
    assert sender.round([trouble()], NONE, NOW + 2 * MINUTE).sent == 0


def test_a_spoilt_book_is_set_aside_and_what_is_wrong_is_told_again(tmp_path: Path, hook: Any) -> None:
    sender = notifier(tmp_path, rules(), thu=f"json://127.0.0.1:{hook.server_port}/")
    sender.round([trouble()], NONE, NOW)
    (tmp_path / "notices" / "notices.json").write_text("{hỏng")
    assert sender.round([trouble()], NONE, NOW + MINUTE).sent == 1
    assert (tmp_path / "notices" / "notices.spoilt").exists()


def test_the_book_comes_back_as_it_was(tmp_path: Path) -> None:
    entry = Entry(trouble(next="df -h"), RISK, {"thu": BROKEN, "may": UNSEEN}, (NOW,), NOW, "Người trực")
    shelf = Shelf(tmp_path / "s")
    with shelf.held():
        shelf.write(Book({entry.seen.key: entry}))
    assert shelf.read() == Book({entry.seen.key: entry})
    assert trouble(subject=HOSTILE).key.endswith(HOSTILE)


def test_the_heartbeat(hook: Any) -> None:
    assert beat(f"http://127.0.0.1:{hook.server_port}/ping/bi-mat") == "" and hook.got == ["/ping/bi-mat"]
    hook.answers[:] = [500]
    assert beat(f"http://127.0.0.1:{hook.server_port}/ping/bi-mat") == "curl 22"
    assert beat("http://127.0.0.1:1/") == "curl 7" and beat("file:///etc/passwd") == "curl 1"


@pytest.mark.parametrize("bad", [{"quiet": "22-6"}, {"quiet": "22:00-22:00"}, {"quiet": "25:00-06:00"}, {"channel": {"A B": {"url": "file:k"}}},
                                 {"channel": {"a": {}}}, {"channel": {"a": {"url": "mailto://x"}}}, {"la": 1}])
def test_settings_refuse(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Notify.model_validate(bad)


def test_the_environment_of_the_sender_holds_no_address(tmp_path: Path, inbox: Inbox) -> None:
    assert "secret-9f" not in json.dumps(dict(os.environ))
    sender = notifier(tmp_path, rules(), thu=f"mailto://secret-9f:pw-77@127.0.0.1:{inbox.port}/?from=a@b.test&to=c@d.test&mode=insecure")
    done = sender.round([trouble()], NONE, NOW)
    assert "pw-77" not in str(done) and "secret-9f" not in str(done)
