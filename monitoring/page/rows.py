"""From statuses to what the page shows: one card for each thing that stands badly, newest first, told once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ops import Answer, ClauseStatus, Flip, SiteStatus, State, Text, Verdict, local, say

History = Callable[[str, str], Sequence[Flip]]
"""(duty, subject) -> its transitions of the last ninety days, led by the one in force at their beginning."""
MOST_LOOKED_UP = 40


@dataclass(frozen=True, slots=True)
class Demand:
    """A clause as a card cites it."""

    id: str
    cite: Text
    words: Text


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of a duty (or the whole duty, then `subject` is empty) at the card's verdict.

    good: when it was last met; empty where that is not known. seq: the ledger line of `evidence`, 0 for none.
    """

    subject: str
    detail: Text
    since: datetime | None
    age: Text
    evidence: str
    next: str
    good: Text = Text("", "")
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """One duty at one verdict: what is seen, and the clauses that it touches, the most particular first."""

    duty: str
    verdict: Verdict
    rows: tuple[Row, ...]
    demands: tuple[Demand, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One site's page. `counts`: clauses by verdict. Unseen in three heaps: to look, to attest, not built yet."""

    status: SiteStatus
    verdict: Verdict
    headline: Text
    counts: tuple[tuple[Verdict, int], ...]
    broken: tuple[Card, ...]
    at_risk: tuple[Card, ...]
    to_look: tuple[Card, ...]
    to_attest: tuple[Card, ...]
    not_built: tuple[ClauseStatus, ...]
    met: tuple[ClauseStatus, ...]


def sheet(status: SiteStatus, private: frozenset[str], history: History | None = None) -> Sheet:
    """The sheet of one site. history: where the last good states are looked up."""
    answers = _answers(status)
    broken, at_risk, unseen = (
        _cards(answers, verdict, private, status) for verdict in (Verdict.BROKEN, Verdict.AT_RISK, Verdict.UNSEEN)
    )
    if history is not None:
        broken, at_risk = _with_good(broken, status, history), _with_good(at_risk, status, history)
    verdict = Verdict.BROKEN if broken else Verdict.AT_RISK if at_risk else status.verdict
    counts = tuple((one, sum(clause.verdict is one for clause in status.clauses)) for one in
                   (Verdict.BROKEN, Verdict.AT_RISK, Verdict.UNSEEN, Verdict.MET))
    return Sheet(
        status, verdict, headline(verdict, len(broken), len(at_risk), len(unseen)), counts, broken, at_risk,
        tuple(card for card in unseen if not _attested(card.duty)),
        tuple(card for card in unseen if _attested(card.duty)),
        tuple(clause for clause in status.clauses if any(not answer.built for answer in clause.answers)),
        tuple(clause for clause in status.clauses if clause.verdict is Verdict.MET),
    )


def headline(verdict: Verdict, broken: int, at_risk: int, unseen: int) -> Text:
    """The one sentence at the top, from the numbers of cards."""
    if broken:
        tail = say(", {n} việc sắp hỏng", ", {n} at risk", n=at_risk) if at_risk else Text("", "")
        return say("{n} việc đang hỏng{t}", "{n} broken{e}", n=broken, t=tail.vi, e=tail.en)
    if at_risk:
        return say("Chưa hỏng, nhưng {n} việc sắp hỏng", "Nothing broken, but {n} at risk", n=at_risk)
    if unseen:
        return say("Không thấy hỏng; {n} việc chưa kiểm tra được", "Nothing seen broken; {n} not checked", n=unseen)
    if verdict is Verdict.UNSEEN:
        return say("Mọi việc đã kiểm tra đều đạt", "All that was checked is met")
    return say("Mọi điều khoản đều đạt", "All clauses are met")


def age(since: datetime | None, now: datetime) -> Text:
    """`từ 02:14, đã 3 giờ`: Vietnamese clock, the day only when it is not today."""
    if since is None:
        return Text("", "")
    there, here = local(since), local(now)
    clock = there.strftime("%H:%M")
    day = "" if there.date() == here.date() else there.strftime("%d/%m" if there.year == here.year else "%d/%m/%Y")
    long = span(now - since)
    if day:
        return say("từ {c} ngày {d}, đã {n}", "since {c} on {d}, for {e}", c=clock, d=day, n=long.vi, e=long.en)
    return say("từ {c}, đã {n}", "since {c}, for {e}", c=clock, n=long.vi, e=long.en)


def span(length: timedelta) -> Text:
    """A stretch of time in its largest fitting unit, cut down."""
    seconds = max(0, int(length.total_seconds()))
    for size, vi, en in ((86400, "ngày", "day"), (3600, "giờ", "hour"), (60, "phút", "minute")):
        if seconds >= size:
            number = seconds // size
            return say("{n} {vi}", "{n} {en}", n=number, vi=vi, en=en + ("s" if number > 1 else ""))
    return say("chưa tới 1 phút", "less than a minute")


def last_good(flips: Sequence[Flip], now: datetime) -> Text:
    """`Lần cuối đạt: 06:53 20/11, trước đó đạt liền 12 ngày`, from transitions; what stands badly has left its last one."""
    until = now
    for flip in reversed(flips):
        if flip.verdict is Verdict.MET:
            long, there = span(until - flip.time), local(until)
            form = "%H:%M %d/%m" if there.year == local(now).year else "%H:%M %d/%m/%Y"
            return say("Lần cuối đạt: {c}, trước đó đạt liền {n}", "Last met: {c}, until then for {e}", c=there.strftime(form),
                       n=long.vi, e=long.en)
        until = flip.time
    if not flips:
        return Text("", "")
    return say("Chưa thấy đạt lần nào từ {d}", "Never seen met since {d}", d=local(flips[0].time).strftime("%d/%m/%Y"))


def _with_good(cards: tuple[Card, ...], status: SiteStatus, history: History) -> tuple[Card, ...]:
    """The same cards with the last good state of each row; bounded, for each costs a question to the store."""
    made, left = [], MOST_LOOKED_UP
    for card in cards:
        rows = []
        for row in card.rows:
            good = Text("", "")
            if row.subject and left > 0:
                left -= 1
                good = last_good(history(card.duty, row.subject), status.at)
            rows.append(replace(row, good=good))
        made.append(replace(card, rows=tuple(rows)))
    return tuple(made)


def _attested(duty: str) -> bool:
    return duty.startswith("attest:")


def _answers(status: SiteStatus) -> list[tuple[Answer, tuple[Demand, ...]]]:
    """Every built answer once, with the clauses that it answers; then duties that no clause of this policy names.

    A duty outside the policy must not be invisible for that.
    """
    answers: dict[str, Answer] = {}
    clauses: dict[str, list[ClauseStatus]] = {}
    for clause in status.clauses:
        for answer in clause.answers:
            if answer.built:
                answers.setdefault(answer.duty, answer)
                clauses.setdefault(answer.duty, []).append(clause)
    for duty in dict.fromkeys(state.duty for state in status.states if state.duty not in answers):
        states = tuple(state for state in status.states if state.duty == duty)
        answers[duty] = Answer(duty, True, Verdict.UNSEEN, None, (), Text("", ""), "", states)
    return [(answer, _demands(clauses.get(duty, []))) for duty, answer in answers.items()]


def _demands(clauses: Sequence[ClauseStatus]) -> tuple[Demand, ...]:
    """The most particular clause first (deepest number, then fewest answers): it says best what this duty is for."""
    ordered = sorted(clauses, key=lambda one: (-one.clause.id.count("."), len(one.answers)))
    return tuple(Demand(one.clause.id, one.clause.cite, one.clause.duty) for one in ordered)


def _cards(
    answers: Sequence[tuple[Answer, tuple[Demand, ...]]], verdict: Verdict, private: frozenset[str], status: SiteStatus
) -> tuple[Card, ...]:
    """The cards at one verdict, what turned last first: that is what woke the reader."""
    found = []
    for answer, demands in answers:
        rows = _rows(answer, verdict, private, status)
        if rows:
            found.append(Card(answer.duty, verdict, rows, demands))
    return tuple(sorted(found, key=lambda card: max((row.since.timestamp() for row in card.rows if row.since),
                                                    default=0.0), reverse=True))


def _rows(answer: Answer, verdict: Verdict, private: frozenset[str], status: SiteStatus) -> tuple[Row, ...]:
    now = status.at
    states = [state for state in answer.states if state.verdict is verdict]
    if answer.duty in private and (states or not answer.states):
        return _counted(answer, verdict, states, status)
    if not answer.states and answer.verdict is verdict:
        return (Row("", answer.detail, answer.since, age(answer.since, now), ", ".join(answer.evidence[:3]),
                    answer.next),)
    return tuple(
        Row(state.subject, state.detail, state.since, age(state.since, now),
            f"{state.site}#{state.evidence}" if state.evidence else "", state.next, seq=state.evidence)
        for state in sorted(states, key=lambda one: one.since, reverse=True)
    )


def _counted(answer: Answer, verdict: Verdict, states: Sequence[State], status: SiteStatus) -> tuple[Row, ...]:
    """Subjects that name persons: how many, never who. The command to see more names nobody either."""
    command = f"gaccong look {answer.duty} --site {status.site.id}"
    if not states:
        if answer.verdict is not verdict:
            return ()
        return (Row("", say("chưa kiểm tra lần nào", "never looked yet"), None, Text("", ""), "", command),)
    words = say("{n} trường hợp; tên người không hiện ở đây", "{n} case(s); persons are not named here", n=len(states))
    numbers = sorted({state.evidence for state in states if state.evidence})[:3]
    since = max(state.since for state in states)
    evidence = ", ".join(f"{status.site.id}#{number}" for number in numbers)
    return (Row("", words, since, age(since, status.at), evidence, command),)
