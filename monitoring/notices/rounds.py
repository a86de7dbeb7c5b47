"""One round: what stands badly now, the letters that follow, each noted before it is sent, sent, and noted again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex

from monitoring.notices import words
from monitoring.notices.book import Book, Intent, Shelf
from monitoring.notices.letters import Letter, Trouble, turn
from monitoring.notices.settings import Notify
from monitoring.page.rows import Card, sheet
from ops import GaccongError, Secret, SiteStatus, Text, Verdict, python, say

POST_SECONDS = 45.0
GIVE_UP = timedelta(hours=24)
TOLD_AFTER = 3
"""After so many failures of one channel the others are told of it."""
_MOST_WAITING = 200


@dataclass(frozen=True, slots=True)
class Done:
    """What a round did: letters sent and failed now, and still waiting; failures: channel -> why."""

    sent: int
    failed: int
    waiting: int
    failures: dict[str, str]


def troubles_of(statuses: Iterable[SiteStatus], private: frozenset[str], planned: Callable[[str], bool]) -> list[Trouble]:
    """What the page shows as broken and at risk. Persons are counted there, so they are never named here either."""
    found: list[Trouble] = []
    for status in statuses:
        page = sheet(status, private)
        hushed = planned(status.site.id)
        for card in (*page.broken, *page.at_risk):
            found += _of(card, status, hushed)
    return found


def _of(card: Card, status: SiteStatus, hushed: bool) -> list[Trouble]:
    cite = card.demands[0].cite if card.demands else Text("", "")
    return [Trouble(status.site.id, status.site.name, card.duty, row.subject, card.verdict, row.since or status.at, row.detail,
                    row.next, cite, hushed) for row in card.rows]


def unseen_of(statuses: Iterable[SiteStatus]) -> frozenset[tuple[str, str]]:
    """(site, duty) that nobody could see: silence is no all-clear."""
    return frozenset((state.site, state.duty) for status in statuses for state in status.states if state.verdict is Verdict.UNSEEN)


class Notifier:
    """Keeps the book and sends. secret: resolves a reference. lang: of the letters."""

    def __init__(self, shelf: Shelf, rules: Notify, secret: Callable[[str], Secret], lang: str) -> None:
        self.shelf, self.rules, self.lang = shelf, rules, lang
        self._secret = secret

    def round(self, troubles: Sequence[Trouble], unseen: frozenset[tuple[str, str]], now: datetime) -> Done:
        """Tells what there is to tell. Raises OSError when the book cannot be written: then nothing is sent, for nobody
        would know of it, and the next round tries again."""
        with self.shelf.held():
            book = self.shelf.read()
            letters, entries = turn(book.entries, troubles, unseen, self.rules, now)
            waiting = [one for one in book.waiting if one.channel in self.rules.channel]
            waiting += [self._intent(letter, now) for letter in letters]
            book = Book(entries, tuple(waiting[-_MOST_WAITING:]))
            self.shelf.write(book)
            return self._send(book, now)

    def _intent(self, letter: Letter, now: datetime) -> Intent:
        return Intent(token_hex(6), letter.channel, words.title(letter).in_(self.lang), words.body(letter, now, self.lang), now, now)

    def _send(self, book: Book, now: datetime) -> Done:
        """Sends what is due; each result is on disk before the next round."""
        due = [one for one in book.waiting if one.at <= now]
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda one: self.post(one.channel, one.title, one.body), due))
        left = {one.id: one for one in book.waiting}
        failures: dict[str, str] = {}
        for intent, trouble in zip(due, results, strict=True):
            del left[intent.id]
            if not trouble:
                self.shelf.log(now, "sent", channel=intent.channel, title=intent.title, tries=intent.tries + 1)
                continue
            failures[intent.channel] = trouble
            self.shelf.log(now, "failed", channel=intent.channel, title=intent.title, tries=intent.tries + 1, why=trouble)
            if now - intent.made >= GIVE_UP:
                self.shelf.log(now, "given up", channel=intent.channel, title=intent.title)
                continue
            again = now + timedelta(minutes=min(2**intent.tries, 30))
            left[intent.id] = replace(intent, at=again, tries=intent.tries + 1, words=trouble)
            if intent.tries + 1 == TOLD_AFTER:
                left |= {one.id: one for one in self._about(intent.channel, trouble, now)}
        if due:
            self.shelf.write(replace(book, waiting=tuple(left.values())))
        return Done(len(due) - len([one for one in results if one]), len([one for one in results if one]), len(left), failures)

    def _about(self, failed: str, trouble: str, now: datetime) -> list[Intent]:
        """A letter to every other channel: this one does not deliver."""
        top = say("[gaccong] kênh {c} không gửi được", "[gaccong] channel {c} does not deliver", c=failed).in_(self.lang)
        text = say("Kênh {c} hỏng {n} lần liền: {t}\nLệnh tiếp: gaccong notify test {c}",
                   "Channel {c} failed {n} times: {t}\nNext: gaccong notify test {c}", c=failed, n=TOLD_AFTER, t=trouble).in_(self.lang)
        return [Intent(token_hex(6), name, top, text + "\n", now, now) for name in self.rules.channel if name != failed]

    def post(self, channel: str, title: str, body: str) -> str:
        """Sends one letter; gives why it did not go, or "". Bounded in time; never raises for what a service does."""
        try:
            url = self._secret(self.rules.channel[channel].url).reveal().decode().strip().partition("\n")[0]
        except (GaccongError, UnicodeDecodeError) as error:
            return error.explain(self.lang) if isinstance(error, GaccongError) else "UTF-8"
        given = json.dumps({"url": url, "title": title, "body": body})
        try:
            done = subprocess.run(python("monitoring.notices.post"), input=given, capture_output=True, text=True,
                                  timeout=POST_SECONDS, check=False, start_new_session=True)
        except subprocess.TimeoutExpired:
            return say("dịch vụ không trả lời trong {s} giây", "the service did not answer within {s} s", s=f"{POST_SECONDS:g}").in_(self.lang)
        except OSError as error:
            return f"{sys.executable}: {error.strerror}"
        return "" if done.returncode == 0 else (done.stderr.strip()[-500:] or f"exit {done.returncode}")


def beat(url: str) -> str:
    """Asks the heartbeat's address once; gives why it failed, or "". The address is a secret: it is in no word of this."""
    import pycurl

    from monitoring.fetch import bundle_path

    handle = pycurl.Curl()
    try:
        for option, value in ((pycurl.URL, url), (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS), (pycurl.TIMEOUT, 10),
                              (pycurl.NOSIGNAL, 1), (pycurl.CAINFO, bundle_path()), (pycurl.FAILONERROR, 1),
                              (pycurl.MAXFILESIZE, 1 << 20), (pycurl.WRITEFUNCTION, len)):
            handle.setopt(option, value)
        handle.perform()
    except pycurl.error as error:
        return f"curl {error.args[0]}"
    except (GaccongError, UnicodeError) as error:
        return type(error).__name__
    finally:
        handle.close()
    return ""
