"""One round: what stands badly now, the letters that follow, each noted before it is sent, sent, and noted again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex

from monitoring.notices import words
from monitoring.notices.book import Book, Intent, Shelf
from monitoring.notices.letters import Entry, Letter, Trouble, owed, turn
from monitoring.notices.settings import Notify
from monitoring.page.rows import Card, sheet
from ops import GaccongError, Secret, SiteStatus, Text, Verdict, python, say

POST_SECONDS = 45.0
GIVE_UP = timedelta(hours=24)
LONGEST_PAUSE = timedelta(minutes=30)
TOLD_AFTER = 3
"""After so many failures of one channel the others are told of it."""
_MOST_WAITING = 200


@dataclass(frozen=True, slots=True)
class Done:
    """What a round did: letters sent and failed now, and still waiting; failures: channel -> why. mute: no channel delivers."""

    sent: int
    failed: int
    waiting: int
    failures: dict[str, str]
    mute: bool = False


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
            waiting = [_not_ahead(one, now) for one in book.waiting if one.channel in self.rules.channel]
            waiting, lost = waiting[-_MOST_WAITING:], waiting[:-_MOST_WAITING]
            lost += [one for one in book.waiting if one.channel not in self.rules.channel]
            letters, entries = turn(_without(book.entries, lost), troubles, unseen, self.rules, now)
            book = Book(entries, (*waiting, *(self._intent(letter, now) for letter in letters)))
            self.shelf.write(book)
            return self._send(book, now)

    def _intent(self, letter: Letter, now: datetime) -> Intent:
        return Intent(token_hex(6), letter.channel, words.title(letter).in_(self.lang), words.body(letter, now, self.lang), now, now,
                      keys=tuple(part.trouble.key for part in letter.parts))

    def _send(self, book: Book, now: datetime) -> Done:
        """Sends what is due; each result is on disk before the next round."""
        due = [one for one in book.waiting if one.at <= now]
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda one: self.post(one.channel, one.title, self._text(one)), due))
        left = {one.id: one for one in book.waiting}
        lost: list[Intent] = []
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
                lost.append(intent)
                continue
            again = now + min(timedelta(minutes=2 ** min(intent.tries, 9)), LONGEST_PAUSE)
            # once for a channel, and never about a letter of this very kind: dead channels would write about each other for ever
            told = not intent.keys or any(one.channel == intent.channel and one.tries >= TOLD_AFTER for one in left.values())
            left[intent.id] = replace(intent, at=again, tries=intent.tries + 1, words=trouble)
            if intent.tries + 1 == TOLD_AFTER and not told:
                left |= {one.id: one for one in self._about(intent.channel, trouble, now)}
        if due:
            self.shelf.write(Book(_without(book.entries, lost), tuple(left.values())))
        dead = {one.channel for one in (*left.values(), *lost) if one.tries >= TOLD_AFTER}
        failed = len([one for one in results if one])
        return Done(len(due) - failed, failed, len(left), failures, mute=dead >= self.rules.channel.keys())

    def _text(self, intent: Intent) -> str:
        return (words.late(intent.made, self.lang) if intent.tries else "") + intent.body

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
        except (GaccongError, OSError, UnicodeDecodeError) as error:  # one that escaped would send every letter of this round again
            return error.explain(self.lang) if isinstance(error, GaccongError) else type(error).__name__
        given = json.dumps({"url": url, "title": title, "body": body})
        try:
            done = subprocess.run(python("monitoring.notices.post"), input=given, capture_output=True, encoding="utf-8",
                                  errors="replace", timeout=POST_SECONDS, check=False, start_new_session=True)
        except subprocess.TimeoutExpired:
            return say("dịch vụ không trả lời trong {s} giây", "the service did not answer within {s} s", s=f"{POST_SECONDS:g}").in_(self.lang)
        except OSError as error:
            return f"{sys.executable}: {error.strerror}"
        return "" if done.returncode == 0 else (done.stderr.strip()[-500:] or f"exit {done.returncode}")


def _not_ahead(intent: Intent, now: datetime) -> Intent:
    """A letter that was put off while the clock ran ahead: it is due, and a day from now it is given up."""
    return replace(intent, at=intent.at if intent.at - now <= LONGEST_PAUSE else now, made=min(intent.made, now))


def _without(entries: Mapping[str, Entry], lost: Iterable[Intent]) -> dict[str, Entry]:
    """The entries after these letters were lost: their troubles are told again."""
    found = dict(entries)
    for intent in lost:
        found = owed(found, intent.channel, intent.keys)
    return found


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
