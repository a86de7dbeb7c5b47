"""Reads how a site stands, clause by clause. Pure over the read-only view; page, metrics, reports and `status` share it.

A clause is answered by duties (those its policy names and those that name it) and, where the policy says so, by a
person's attestation. A duty that is named but not built, or has not looked yet, reads `unseen`, never `met`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ops.duty import Change, Check, Duty, View
from ops.model import Site, State, Text, Verdict, say, text_of, worst
from ops.moment import unstamp
from ops.policy import Clause, Policy

STALE = 3.0
"""A state that was not renewed for this many rhythms of its check reads `unseen`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One duty's (or attestation's) answer to a clause."""

    duty: str
    built: bool
    verdict: Verdict
    since: datetime | None
    evidence: tuple[str, ...]
    detail: Text
    next: str
    states: tuple[State, ...] = ()


@dataclass(frozen=True, slots=True)
class ClauseStatus:
    """A clause with the worst of its answers."""

    clause: Clause
    verdict: Verdict
    since: datetime | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """All clauses of one site's policy. `notes` are lasting remarks (thresholds looser than the policy's)."""

    site: Site
    policy: Policy
    at: datetime
    verdict: Verdict
    clauses: tuple[ClauseStatus, ...]
    notes: tuple[Text, ...]
    states: tuple[State, ...]
    lines: int
    root: str


def read(site: Site, policy: Policy, view: View, duties: Mapping[str, Duty], now: datetime) -> SiteStatus:
    """The status of `site` at `now`. `duties`: every built duty by name."""
    states: dict[str, list[State]] = {}
    for state in view.states(site.id):
        states.setdefault(state.duty, []).append(_aged(state, now))
    clauses = tuple(_clause(clause, site, states, view, duties, now) for clause in policy.clauses)
    lines, root = view.head(site.id)
    verdict = worst([clause.verdict for clause in clauses])
    flat = tuple(state for group in states.values() for state in group)
    return SiteStatus(site, policy, now, verdict, clauses, policy.looser(site.thresholds), flat, lines, root)


def _aged(state: State, now: datetime) -> State:
    """The state, or its `unseen` shadow when nobody has looked for STALE rhythms."""
    age = (now - state.seen_at).total_seconds()
    if -60 <= age <= STALE * state.every_seconds + 60:
        return state  # a look in the future is no look: a wrong clock, or a falsified table
    detail = say(
        "không ai kiểm tra từ {when}; lần cuối: {last_vi}",
        "nobody has looked since {when}; last: {last_en}",
        when=state.seen_at.isoformat(timespec="minutes"),
        last_vi=state.detail.vi,
        last_en=state.detail.en,
    )
    return State(
        state.site,
        state.duty,
        state.subject,
        Verdict.UNSEEN,
        state.seen_at,
        state.seen_at,
        detail,
        state.measures,
        f"gaccong look {state.duty} --site {state.site}",
        state.evidence,
        state.every_seconds,
    )


def _clause(
    clause: Clause,
    site: Site,
    states: Mapping[str, list[State]],
    view: View,
    duties: Mapping[str, Duty],
    now: datetime,
) -> ClauseStatus:
    named = [*clause.answered_by, *(duty.name for duty in duties.values() if clause.id in duty.clauses)]
    answers = [_answer(name, site, states.get(name, []), view, duties) for name in dict.fromkeys(named)]
    answers = _without_idle(answers, duties)
    if clause.attested is not None:
        answers.append(_attested(clause, site, view, now))
    verdict = worst([answer.verdict for answer in answers])
    since = [answer.since for answer in answers if answer.verdict is verdict and answer.since]
    return ClauseStatus(clause, verdict, min(since, default=None), tuple(answers))


def _without_idle(answers: list[Answer], duties: Mapping[str, Duty]) -> list[Answer]:
    """Leaves out a change that comes due for nobody (nobody left, nothing broke) where a check answers as well."""

    def idle(answer: Answer) -> bool:
        duty = duties.get(answer.duty)
        return isinstance(duty, Change) and duty.occasions is None and not answer.evidence

    looked = any(isinstance(duties.get(answer.duty), Check) for answer in answers)
    return [answer for answer in answers if not (looked and idle(answer))]


def _answer(name: str, site: Site, states: Iterable[State], view: View, duties: Mapping[str, Duty]) -> Answer:
    duty = duties.get(name)
    if duty is None:
        text = say("chưa có trong phiên bản này", "not built in this version")
        return Answer(name, False, Verdict.UNSEEN, None, (), text, "")
    if not isinstance(duty, Check):
        return _outcome(name, site, view)
    ordered = sorted(states, key=lambda state: (-state.verdict.weight, state.since))
    if not ordered:
        text = say("chưa kiểm tra lần nào", "never looked yet")
        return Answer(name, True, Verdict.UNSEEN, None, (), text, f"gaccong look {name} --site {site.id}")
    top = ordered[0]
    ids = tuple(dict.fromkeys(f"{site.id}#{state.evidence}" for state in ordered))
    return Answer(name, True, top.verdict, top.since, ids, top.detail, top.next, tuple(ordered))


def _outcome(name: str, site: Site, view: View) -> Answer:
    """A change answers with its latest outcome for each of its arguments; one that was asked for less narrowly covers
    those before it: all of a site put back settles the one file that could not be."""
    latest: dict[frozenset[tuple[str, str]], tuple[Verdict, datetime, str]] = {}
    for line in view.evidence(site.id, kind="outcome", duty=name, newest=20):
        verdict = Verdict.MET if line.body.get("outcome") == "proved" else Verdict.BROKEN
        args = frozenset((str(key), str(value)) for key, value in dict(line.body.get("args") or {}).items())
        latest = {one: found for one, found in latest.items() if not (verdict is Verdict.MET and args <= one)}
        latest[args] = (verdict, line.time, line.id)
    if not latest:
        text = say("chưa chạy lần nào", "never ran yet")
        return Answer(name, True, Verdict.UNSEEN, None, (), text, f"gaccong plan {name} --site {site.id}")
    top = max(latest.values(), key=lambda found: found[0].weight)
    text = (
        say("lần chạy gần nhất đã được chứng minh", "the latest run was proved")
        if top[0] is Verdict.MET
        else say("lần chạy {i} chưa được chứng minh", "run {i} was not proved", i=top[2])
    )
    return Answer(name, True, top[0], top[1], tuple(found[2] for found in latest.values()), text, "")


def _attested(clause: Clause, site: Site, view: View, now: datetime) -> Answer:
    name = f"attest:{clause.id}"
    command = f"gaccong attest {clause.id} --site {site.id} --by HỌ-TÊN --file TỆP"
    assert clause.attested is not None
    found = view.evidence(site.id, kind="attestation", subject=clause.id, newest=1)
    if not found:
        return Answer(name, True, Verdict.UNSEEN, None, (), clause.attested.what, command)
    line = found[0]
    until = unstamp(line.body["until"])
    verdict = Verdict(line.body["says"])
    detail = text_of(line.body["detail"])
    if now > until:
        detail = say("xác nhận đã hết hạn {day}", "the attestation ran out on {day}", day=until.date().isoformat())
        return Answer(name, True, Verdict.UNSEEN, until, (line.id,), detail, command)
    return Answer(name, True, verdict, line.time, (line.id,), detail, "" if verdict is Verdict.MET else command)
