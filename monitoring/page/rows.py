"""From statuses to what the page shows: problems first, grouped so that one cause is told once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops import Answer, ClauseStatus, SiteStatus, State, Text, Verdict, local, say, worst

BAD = (Verdict.BROKEN, Verdict.AT_RISK)


@dataclass(frozen=True, slots=True)
class Demand:
    """A clause as a card cites it; for a duty that no clause of the policy names, id and cite are empty."""

    id: str
    cite: Text
    words: Text


@dataclass(frozen=True, slots=True)
class Row:
    """One subject (or one whole duty) within a card."""

    duty: str
    subject: str
    verdict: Verdict
    detail: Text
    since: Text
    evidence: str
    next: str


@dataclass(frozen=True, slots=True)
class Card:
    """One cause: the clauses that it touches, what is seen, and since when. `silent`: answers not looked at."""

    verdict: Verdict
    demands: tuple[Demand, ...]
    rows: tuple[Row, ...]
    since: Text
    silent: int = 0


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


def sheet(status: SiteStatus, private: frozenset[str]) -> Sheet:
    """The sheet of one site."""
    at = status.at
    heaps: dict[str, list[ClauseStatus]] = {key: [] for key in ("broken", "at_risk", "look", "attest", "unbuilt", "met")}
    for clause in status.clauses:
        heaps[_heap(clause)].append(clause)
    stray = _stray(status, private, at)
    verdict = max([status.verdict, *(card.verdict for card in stray)], key=lambda one: one.weight)
    counts = tuple((one, sum(clause.verdict is one for clause in status.clauses)) for one in
                   (Verdict.BROKEN, Verdict.AT_RISK, Verdict.UNSEEN, Verdict.MET))
    return Sheet(
        status, verdict, headline(status, verdict, len(heaps["unbuilt"])), counts,
        (*_cards(heaps["broken"], BAD, private, at), *(card for card in stray if card.verdict is Verdict.BROKEN)),
        (*_cards(heaps["at_risk"], BAD, private, at), *(card for card in stray if card.verdict is Verdict.AT_RISK)),
        (*_cards(heaps["look"], (Verdict.UNSEEN,), private, at),
         *(card for card in stray if card.verdict is Verdict.UNSEEN)),
        tuple(_cards(heaps["attest"], (Verdict.UNSEEN,), private, at)), tuple(heaps["unbuilt"]), tuple(heaps["met"]),
    )


def headline(status: SiteStatus, verdict: Verdict, unbuilt: int) -> Text:
    """The one sentence at the top."""
    number = {one: sum(clause.verdict is one for clause in status.clauses) for one in Verdict}
    broken, at_risk, unseen = number[Verdict.BROKEN], number[Verdict.AT_RISK], number[Verdict.UNSEEN] - unbuilt
    if verdict is Verdict.BROKEN:
        tail = say(", {n} điều sắp không đạt", ", {n} at risk", n=at_risk) if at_risk else Text("", "")
        if not broken:
            return say("Có việc ngoài quy chế không đạt{t}", "Something outside the policy is broken{e}", t=tail.vi,
                       e=tail.en)
        return say("{n} điều khoản không đạt{t}", "{n} clause(s) not met{e}", n=broken, t=tail.vi, e=tail.en)
    if verdict is Verdict.AT_RISK:
        return say("Chưa hỏng, nhưng {n} điều khoản sắp không đạt", "Nothing broken, but {n} clause(s) at risk",
                   n=at_risk)
    if unseen:
        return say("Không thấy hỏng; {n} điều khoản chưa kiểm tra được", "Nothing seen broken; {n} clause(s) not checked",
                   n=unseen)
    if verdict is Verdict.UNSEEN:
        return say("Mọi điều đã kiểm tra đều đạt", "All that was checked is met")
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


def _heap(clause: ClauseStatus) -> str:
    if clause.verdict is not Verdict.UNSEEN:
        return clause.verdict.value
    silent = [answer for answer in clause.answers if answer.verdict is Verdict.UNSEEN]
    if any(answer.built and not _attested(answer) for answer in silent):
        return "look"
    return "attest" if any(_attested(answer) for answer in silent) else "unbuilt"


def _attested(answer: Answer) -> bool:
    return answer.duty.startswith("attest:")


def _cards(
    clauses: Iterable[ClauseStatus], shown: Sequence[Verdict], private: frozenset[str], now: datetime
) -> list[Card]:
    """One card for each set of answers, longest standing first; clauses with the same cause share a card."""
    groups: dict[tuple[str, ...], list[ClauseStatus]] = {}
    for clause in clauses:
        key = tuple(sorted(answer.duty for answer in clause.answers if answer.built and answer.verdict in shown))
        groups.setdefault(key, []).append(clause)
    cards = [_card(group, shown, private, now) for group in groups.values()]
    return [card for _, card in sorted(cards, key=lambda pair: (pair[0] is None, pair[0] or now))]


def _card(
    group: Sequence[ClauseStatus], shown: Sequence[Verdict], private: frozenset[str], now: datetime
) -> tuple[datetime | None, Card]:
    first = group[0]
    rows = [
        row for answer in sorted(first.answers, key=lambda one: -one.verdict.weight)
        if answer.built and answer.verdict in shown for row in _rows(answer, first, shown, private, now)
    ]
    silent = sum(answer.verdict is Verdict.UNSEEN for answer in first.answers) if Verdict.UNSEEN not in shown else 0
    since = min((clause.since for clause in group if clause.since), default=None)
    demands = tuple(Demand(one.clause.id, one.clause.cite, one.clause.duty) for one in group)
    return since, Card(first.verdict, demands, tuple(rows), age(since, now), silent)


def _rows(
    answer: Answer, clause: ClauseStatus, shown: Sequence[Verdict], private: frozenset[str], now: datetime
) -> list[Row]:
    if answer.duty in private:
        return _counted(answer.duty, answer.states or (), answer, shown, now)
    if not answer.states:
        return [Row(answer.duty, "", answer.verdict, answer.detail, age(answer.since, now),
                    ", ".join(answer.evidence[:3]), answer.next)]
    return [_state_row(state, now) for state in answer.states if state.verdict in shown]


def _state_row(state: State, now: datetime) -> Row:
    return Row(state.duty, state.subject, state.verdict, state.detail, age(state.since, now),
               f"{state.site}#{state.evidence}" if state.evidence else "", state.next)


def _counted(
    duty: str, states: Sequence[State], answer: Answer, shown: Sequence[Verdict], now: datetime
) -> list[Row]:
    """Subjects that name persons: how many, never who. The command to see more names nobody either."""
    bad = [state for state in states if state.verdict in shown]
    if not bad:
        words = say("chưa kiểm tra", "not checked yet")
        return [Row(duty, "", answer.verdict, words, age(answer.since, now), "", f"gaccong look {duty}")]
    words = say("{n} trường hợp; tên người không hiện ở đây", "{n} case(s); persons are not named here", n=len(bad))
    command = f"gaccong look {duty} --site {bad[0].site}"
    top = worst([state.verdict for state in bad])
    numbers = sorted({state.evidence for state in bad if state.evidence})[:3]
    evidence = ", ".join(f"{bad[0].site}#{number}" for number in numbers)
    return [Row(duty, "", top, words, age(min(state.since for state in bad), now), evidence, command)]


def _stray(status: SiteStatus, private: frozenset[str], now: datetime) -> list[Card]:
    """What stands badly though no clause of this policy asks for it: it must not be invisible for that."""
    named = {answer.duty for clause in status.clauses for answer in clause.answers}
    found = []
    for duty in dict.fromkeys(state.duty for state in status.states if state.duty not in named):
        states = tuple(one for one in status.states if one.duty == duty and one.verdict is not Verdict.MET)
        if not states:
            continue
        verdict = worst([state.verdict for state in states])
        shown = BAD if verdict in BAD else (Verdict.UNSEEN,)
        since = min(state.since for state in states if state.verdict is verdict)
        answer = Answer(duty, True, verdict, since, (), states[0].detail, "", states)
        rows = _counted(duty, states, answer, shown, now) if duty in private else [
            _state_row(state, now) for state in states if state.verdict in shown]
        words = say("Việc được theo dõi thêm, ngoài quy chế", "Watched in addition, outside the policy")
        found.append(Card(verdict, (Demand("", Text("", ""), words),), tuple(rows), age(since, now)))
    return found
