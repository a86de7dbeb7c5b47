"""All that the backup minutes are built from, read once out of the ledger: runs, weeks, looks, drills. Pure over the view.

Nothing is asked of a repository, a disk or the settings of the duties: what the ledger does not say is not said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import PurePath
from typing import Any

from ops.duty import View
from ops.model import Evidence, Outcome, Verdict, text_of
from ops.moment import LOCAL, local_day, unstamp
from ops.report.backup_words import places_of
from ops.status import SiteStatus

HEAL = "backup.heal"
RUN, FRESH, CONTENTS, INTEGRITY = "backup.run", "backup.fresh", "backup.contents", "backup.integrity"
DRILL, OFFSITE, ANOMALY = "backup.drill", "backup.offsite", "backup.anomaly"
LEVELS = ("user", "system")
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Copying:
    """One run of `backup.run`. level: "" when its plan does not say. files, bytes, snapshot: 0 and "" when it made none.

    programs: what made the copy, as the programs said of themselves. gone: the repository is known not to hold it any more.
    """

    set: str
    level: str
    started: datetime
    outcome: str
    snapshot: str
    files: int
    bytes: int
    detail: str
    evidence: str
    programs: tuple[str, ...] = ()
    refused: bool = False
    gone: bool = False

    @property
    def proved(self) -> bool:
        """Whether it counts."""
        return self.outcome == Outcome.PROVED


@dataclass(frozen=True, slots=True)
class Look:
    """What a check saw of one subject, as a line of the ledger holds it."""

    duty: str
    subject: str
    time: datetime
    verdict: Verdict
    detail: str
    measures: Mapping[str, float]
    facts: Mapping[str, Any]
    evidence: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that rang on a run. by, reason, cleared: of the person who answered for it and the line that holds it; else ""."""

    set: str
    run: str
    rang: datetime
    says: str
    evidence: str
    by: str = ""
    reason: str = ""
    cleared: str = ""


@dataclass(frozen=True, slots=True)
class Week:
    """An ISO week in Vietnam. days: level -> distinct days with a proved copy. state: "full"; "open" (not over yet);
    "begun" (the ledger began in the midst of it); "unknown" (began after it); "silent" (says nothing at all of it)."""

    monday: date
    state: str
    days: Mapping[str, int]
    evidence: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """`47 (16/11–22/11)`."""
        return f"{self.monday.isocalendar().week} ({self.monday:%d/%m}–{self.monday + 6 * DAY:%d/%m})"


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """The reading of [start, until). numbers: thresholds in force. other: outcomes of further changes to copies.

    healed: the copies that a heal made of every set: copies like a night's once the heal is proved, but no runs."""

    status: SiteStatus
    start: datetime
    end: datetime
    now: datetime
    label: str
    verified: bool
    numbers: Mapping[str, float]
    runs: tuple[Copying, ...]
    weeks: tuple[Week, ...]
    looks: tuple[Look, ...]
    drills: tuple[Look, ...]
    other: tuple[Evidence, ...]
    alarms: Mapping[str, Alarm]
    places: Mapping[str, str]
    healed: tuple[Copying, ...] = ()

    @property
    def demanded(self) -> int:
        """Days a week that the policy demands of each level."""
        return int(self.numbers.get("backup.days_per_week", 3))

    def of(self, duty: str) -> dict[str, list[Look]]:
        """The looks of a duty by subject, oldest first."""
        found: dict[str, list[Look]] = {}
        for look in self.looks:
            if look.duty == duty:
                found.setdefault(look.subject, []).append(look)
        return dict(sorted(found.items()))

    @property
    def newest(self) -> dict[str, Copying]:
        """The newest proved copy of each set in the period that is still there; of a set that has none, its last run."""
        return self._newest(self._copies)

    @property
    def unsuspected(self) -> dict[str, Copying]:
        """The newest proved copy of each set on which no alarm ever rang, cleared or not."""
        calm = tuple(run for run in self._copies if run.proved and not run.gone and run.evidence not in self.alarms)
        return self._newest(calm)

    @property
    def _copies(self) -> tuple[Copying, ...]:
        return tuple(sorted((*self.runs, *self.healed), key=lambda one: one.started))

    def _newest(self, runs: tuple[Copying, ...]) -> dict[str, Copying]:
        found: dict[str, Copying] = {}
        for run in runs:
            known = found.get(run.set)
            if self.start <= run.started and (known is None or (run.proved, not run.gone) >= (known.proved, not known.gone)):
                found[run.set] = run
        return dict(sorted(found.items()))


def gather(
    status: SiteStatus, view: View, now: datetime, start: datetime, end: datetime, label: str, verified: bool
) -> BackupFacts:
    """Reads everything once. Weeks are those whose Thursday lies in the period; they are counted whole."""
    site, until = status.site.id, min(end, now)
    mondays = list(_mondays(start, end, until))
    edge = min([start, *(_midnight(monday) for monday in mondays)])
    reach = min(now, max([end, *(_midnight(monday + 7 * DAY) for monday in mondays)]))
    lines = view.evidence(site, since=edge, until=reach)
    first = view.line(site, 0) or view.line(site, 1)
    runs = tuple(_copying(line, view) for line in lines if line.kind == "outcome" and line.duty == RUN)
    healed = tuple(one for line in lines if line.kind == "outcome" and line.duty == HEAL for one in _healed(line, view))
    looks = tuple(look for line in lines if line.time < until and line.time >= start for look in _looks(line))
    looks += tuple(_later(status, looks, start, until))
    gone = _gone(looks, lines)
    runs, healed = (tuple(replace(one, gone=_among(one, gone)) for one in some) for some in (runs, healed))
    other = tuple(
        line
        for line in lines
        if line.kind == "outcome" and start <= line.time < until and line.duty != RUN
        and line.duty.partition(".")[0] in ("backup", "restore_site")
    )
    return BackupFacts(
        status,
        start,
        end,
        now,
        label,
        verified,
        status.policy.thresholds_in_force(status.site.thresholds),
        runs,
        tuple(_week(monday, (*runs, *healed), lines, first, now) for monday in mondays),
        looks,
        _drills(looks),
        other,
        _alarms(looks),
        places_of(lines),
        healed,
    )


def _mondays(start: datetime, end: datetime, until: datetime) -> Iterator[date]:
    first, last, seen = local_day(start), local_day(end - timedelta(microseconds=1)), local_day(until)
    monday = first - DAY * first.weekday()
    while monday + 3 * DAY <= last and monday <= seen:
        if first <= monday + 3 * DAY:
            yield monday
        monday += 7 * DAY


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), LOCAL)


def _week(
    monday: date, runs: tuple[Copying, ...], lines: list[Evidence], first: Evidence | None, now: datetime
) -> Week:
    begin, end = _midnight(monday), _midnight(monday + 7 * DAY)
    mine = [run for run in runs if run.proved and begin <= run.started < end]
    days = {level: len({local_day(run.started) for run in mine if run.level == level}) for level in LEVELS}
    cited = {level: tuple(run.evidence for run in mine if run.level == level) for level in LEVELS}
    state = "full"
    if first is None or first.time >= end:
        state = "unknown"
    elif not any(begin <= line.time < end for line in lines):
        state = "silent"
    elif now < end:
        state = "open"
    elif first.time >= begin + DAY:
        state = "begun"
    return Week(monday, state, days, cited)


def _copying(line: Evidence, view: View) -> Copying:
    body = line.body
    answers = [answer for step in body.get("steps", ()) if isinstance(answer := step.get("answer"), dict)]
    made = next((str(one["snapshot_id"]) for one in answers if one.get("snapshot_id") and not one.get("stream")), "")
    manifest = next((one for one in answers if "manifest" in one), {})
    return Copying(
        str(body.get("args", {}).get("set", "")),
        _level(view.line(line.site, int(body.get("intent", 0) or 0))),
        unstamp(body["started"]) if body.get("started") else line.time,
        str(body.get("outcome", "")),
        made,
        int(manifest.get("files", 0)) if made else 0,
        int(manifest.get("bytes", 0)) if made else 0,
        text_of(body.get("detail", "")).vi,
        line.id,
        tuple(str(one[key]) for one in answers for key in ("restic", "program") if one.get(key)),
        refused(line),
    )


def _healed(line: Evidence, view: View) -> Iterator[Copying]:
    """The copies of a proved heal: one of each set that it copied anew, told by what the steps said up to its snapshot."""
    body = line.body
    if body.get("outcome") != Outcome.PROVED:
        return
    intent = view.line(line.site, int(body.get("intent", 0) or 0))
    told: list[Mapping[str, Any]] = []
    for step in body.get("steps", ()):
        answer = step.get("answer")
        if not isinstance(answer, dict):
            continue
        told.append(answer)
        if answer.get("snapshot_id") and not answer.get("stream"):
            manifest = next((one for one in told if "manifest" in one), {})
            name = PurePath(str(manifest.get("path", ""))).parent.name
            yield Copying(
                name, _level(intent, f"set={name}"), unstamp(body["started"]) if body.get("started") else line.time,
                str(body["outcome"]), str(answer["snapshot_id"]), int(manifest.get("files", 0)), int(manifest.get("bytes", 0)),
                text_of(body.get("detail", "")).vi, line.id,
                tuple(str(one[key]) for one in told for key in ("restic", "program") if one.get(key)))
            told = []


def _gone(looks: tuple[Look, ...], lines: list[Evidence]) -> set[str]:
    """Ids of copies that are known to be gone: missed by the last look at each level, or removed by a change of ours."""
    last = {look.subject: look for look in looks if look.duty == FRESH}
    found = {str(one) for look in last.values() for one in look.facts.get("vanished") or ()}
    for line in lines:
        if line.kind != "outcome" or line.body.get("args", {}).get("place", "first") != "first":
            continue
        for step in line.body.get("steps", ()):
            answer = step.get("answer")
            if isinstance(answer, dict):
                for key in ("removed_snapshots", "gone", "dropped", "rewritten"):
                    found.update(map(str, answer.get(key) or ()))
                found -= set(map(str, answer.get("renamed") or ()))  # brought back, under another name
    return found


def _among(copy: Copying, ids: set[str]) -> bool:
    """Before 0.15 restic told eight digits of an id."""
    return bool(copy.snapshot) and any(one.startswith(copy.snapshot) or copy.snapshot.startswith(one) for one in ids if one)


def refused(line: Evidence) -> bool:
    """Whether an act came due and never began: not approved, or refused when it was planned. Nothing was undone then."""
    body = line.body
    return body.get("outcome") == Outcome.UNDONE and not body.get("intent") and not body.get("steps")


def _later(status: SiteStatus, looks: tuple[Look, ...], start: datetime, until: datetime) -> Iterator[Look]:
    """What was seen of places and anomalies after the last line about them, while the verdict stayed: the ledger holds the
    first look of a day and transitions only, and its words may be hours old. The line cited is the one of that verdict."""
    last = {(look.duty, look.subject): look for look in looks}
    for state in status.states:
        known = last.get((state.duty, state.subject))
        if state.duty not in (OFFSITE, ANOMALY, DRILL) or known is None or state.verdict is not known.verdict:
            continue
        if known.time < state.seen_at < until and start <= state.seen_at:
            yield Look(state.duty, state.subject, state.seen_at, state.verdict, state.detail.vi, state.measures, {},
                       known.evidence)


def _alarms(looks: tuple[Look, ...]) -> dict[str, Alarm]:
    """Run -> the alarm on it, as it first rang, with the last that is known of who cleared it."""
    found: dict[str, Alarm] = {}
    for look in looks:
        if look.duty != ANOMALY:
            continue
        for one in look.facts.get("alarms") or ():
            run, says = str(one.get("evidence", "")), text_of(one.get("says") or "").vi
            found.setdefault(run, Alarm(look.subject, run, look.time, says, look.evidence))
        for one in look.facts.get("cleared") or ():
            alarm = found.get(str(one.get("run", "")))
            if alarm is not None:
                found[alarm.run] = replace(alarm, by=str(one.get("by", "")), reason=str(one.get("reason", "")),
                                           cleared=str(one.get("evidence", "")))
    return found


def _level(intent: Evidence | None, tag: str = "") -> str:
    """The level, as the plan that was carried out tags its snapshot; with `tag`, the one that bears this tag too."""
    steps = intent.body.get("plan", {}).get("steps", ()) if intent is not None and intent.kind == "intent" else ()
    words = [word for step in steps if not tag or tag in step.get("argv", ()) for word in step.get("argv", ())]
    return next((word.removeprefix("level=") for word in words if word.startswith("level=")), "")


def _looks(line: Evidence) -> Iterator[Look]:
    """What checks saw: the day's first look, transitions, and the proofs of each run."""
    body = line.body
    if line.kind == "daily" and line.duty.startswith("backup."):
        for subject, seen in body.get("subjects", {}).items():
            yield _look(line, line.duty, subject, seen)
    elif line.kind == "flip" and line.duty.startswith("backup.") and body.get("facts") is not None:
        yield _look(line, line.duty, line.subject, body)
    elif line.kind == "outcome":
        for proof in body.get("proofs", ()):
            yield _look(line, str(proof.get("check", "")), str(proof.get("subject", "")), proof)


def _look(line: Evidence, duty: str, subject: str, seen: Mapping[str, Any]) -> Look:
    return Look(
        duty,
        subject,
        line.time,
        Verdict(seen.get("verdict", Verdict.UNSEEN)),
        text_of(seen.get("detail", "")).vi,
        seen.get("measures") or {},
        seen.get("facts") or {},
        line.id,
    )


def _drills(looks: tuple[Look, ...]) -> tuple[Look, ...]:
    """Each real drill once: the line that tells of it first. A look in between repeats its time and is none."""
    found: dict[tuple[str, float], Look] = {}
    for look in looks:
        when = look.measures.get("drilled_timestamp_seconds")
        if look.duty == DRILL and when is not None:
            found.setdefault((look.subject, float(round(when))), look)
    return tuple(found.values())
