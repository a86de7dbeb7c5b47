"""Risks: likelihood, impact and level of each danger, read from what the duties saw over a period. Pure.

Scales, matrix and rows are data (`ops/risks.toml`, `ops.risk_data`). Three rules hold whatever the data say: missing
data never lower a likelihood, a duty that is not built is missing data, and nothing passes in silence: every row says
why it stands where it stands (`reasons`). What comes out is a proposal; a person confirms it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ops.duty import Check, Duty, View
from ops.flips import GAP, GRACE, Availability, availability
from ops.model import Evidence, Flip, State, Text, Verdict, say, worst
from ops.moment import unstamp
from ops.risk_data import Band, Register, Row, Rule
from ops.status import SiteStatus

Raise = Callable[..., None]
"""Raises a likelihood to at least so much, and says why: (least, vi, en, control, **values)."""
CITED = 6
"""Evidence lines cited for one control of one row; the ledger has all."""

GOOD = say("tốt", "good")
PARTLY = say("một phần", "partly")
WEAK = say("yếu", "weak")
NONE = say("không có", "none")
UNKNOWN = say("không rõ", "unknown")


_BAD = Verdict.BROKEN


@dataclass(frozen=True, slots=True)
class Track:
    """A subject's transitions; `gone`: when it ceased to be (after that it owes nothing), or None."""

    name: str
    flips: tuple[Flip, ...]
    gone: datetime | None


@dataclass(frozen=True, slots=True)
class Control:
    """What one duty did against dangers in the period.

    coverage: share of the period (0 to 1) in which every subject that existed was looked at and could be seen.
    sums:     `Availability` of the subject that was broken the longest; `outages` is the most of any.
    evidence: ids of the cited lines, oldest first. at_risk_seconds: longest sum of warnings of one subject.
    """

    duty: str
    built: bool
    private: bool
    verdict: Verdict
    coverage: float
    sums: Availability
    at_risk_seconds: float
    evidence: tuple[Evidence, ...]
    subjects: tuple[Subject, ...]

    @property
    def broken_seconds(self) -> float:
        """Seconds of the period in which the worst subject was broken."""
        return self.sums.valid_seconds - self.sums.good_seconds


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject of a control: its verdict at the end of the period, and its sums over the period."""

    name: str
    verdict: Verdict
    coverage: float
    sums: Availability
    at_risk_seconds: float


@dataclass(frozen=True, slots=True)
class RiskRow:
    """One danger, judged. `missing`: data are missing, so the likelihood is at least the rule's floor."""

    row: Row
    likelihood: int
    impact: int
    score: int
    level: Band
    effectiveness: Text
    evidence: tuple[Evidence, ...]
    missing: bool
    reasons: tuple[Text, ...]
    key: tuple[Control, ...]
    support: tuple[Control, ...]

    @property
    def coverage(self) -> float:
        """Coverage of the worst covered control; 0 without any."""
        return min((control.coverage for control in (*self.key, *self.support)), default=0.0)


def assess(
    row: Row,
    status: SiteStatus,
    view: View,
    duties: Mapping[str, Duty],
    register: Register,
    start: datetime,
    end: datetime,
) -> RiskRow:
    """Judges one row over [start, end), or to the moment of the status while the period is not over."""
    until = min(end, status.at)
    key = tuple(control(name, status, view, duties, start, until) for name in row.key)
    support = tuple(control(name, status, view, duties, start, until) for name in row.support)
    return judge(row, key, support, register)


def judge(row: Row, key: Sequence[Control], support: Sequence[Control], register: Register) -> RiskRow:
    """The level that follows from the controls of a row."""
    rule = register.rule
    likelihood, reasons = _likelihood(row, key, support, rule, register)
    lacking = _lacking((*key, *support), rule.coverage_floor)
    missing = bool(lacking) or not key
    if missing:
        likelihood = max(likelihood, rule.missing_likelihood)
        reasons.append(_lack(lacking, register))
    level = register.band(likelihood, row.impact)
    broken = any(found.verdict is Verdict.BROKEN for found in key)
    floor = register.named(rule.floor_band)
    if row.impact >= rule.floor_impact and broken and level.lowest < floor.lowest:
        level = floor
        reasons.append(
            say(
                "tác động rất lớn và có biện pháp chính không đạt nên mức ít nhất là {b}",
                "severe impact and a broken key control: at least {e}",
                b=floor.name.vi,
                e=floor.name.en,
            )
        )
    evidence = {line.id: line for found in (*key, *support) for line in found.evidence}
    ordered = tuple(sorted(evidence.values(), key=lambda line: line.seq))
    return RiskRow(
        row,
        likelihood,
        row.impact,
        likelihood * row.impact,
        level,
        effectiveness(key, rule),
        ordered,
        missing,
        tuple(reasons),
        tuple(key),
        tuple(support),
    )


def _lacking(controls: Iterable[Control], floor: float) -> list[Control]:
    return [found for found in controls if found.coverage < floor]


def _lack(lacking: Sequence[Control], register: Register) -> Text:
    if not lacking:
        return say("thiếu dữ liệu: chưa có biện pháp nào được theo dõi", "data are missing: no control is watched")
    absent = [found for found in lacking if found.coverage == 0.0]
    thin = [found for found in lacking if found.coverage > 0.0]
    vi, en = [], []
    if absent:
        vi.append("chưa có số liệu về " + "; ".join(f"“{register.name(found.duty).vi}”" for found in absent))
        en.append("nothing seen of " + "; ".join(register.name(found.duty).en for found in absent))
    if thin:
        vi.append(
            "số liệu chưa đủ về "
            + "; ".join(f"“{register.name(found.duty).vi}” (độ phủ {percent(found.coverage)})" for found in thin)
        )
        en.append(
            "too little seen of "
            + "; ".join(f"{register.name(found.duty).en} (coverage {found.coverage:.1%})" for found in thin)
        )
    return say("thiếu dữ liệu: {v}", "data are missing: {e}", v=" và ".join(vi), e=" and ".join(en))


def _likelihood(
    row: Row, key: Sequence[Control], support: Sequence[Control], rule: Rule, register: Register
) -> tuple[int, list[Text]]:
    """Likelihood before the rule of missing data, with what raised it. Every cause is told, not only the highest."""
    level, reasons = 1, list[Text]()
    full = all(found.coverage >= rule.coverage_full for found in (*key, *support))
    if not full:
        level = 2

    def raise_to(least: int, vi: str, en: str, found: Control | None = None, **values: object) -> None:
        nonlocal level
        level = max(level, least)
        name = register.name(found.duty) if found else Text("", "")
        reasons.append(say(vi, en, name=name.vi, name_en=name.en, **values))

    for found in key:
        _weigh(found, raise_to, rule)
    for found in support:
        if found.verdict is Verdict.BROKEN:
            raise_to(
                3, "biện pháp hỗ trợ đang không đạt: “{name}”", "a supporting control is broken: “{name_en}”", found
            )
    for found in key:
        if found.duty in row.misuse and found.verdict is Verdict.BROKEN:
            raise_to(4, "nguy cơ đang mở: “{name}”", "the danger is open now: “{name_en}”", found)
    if key and all(_never_worked(found, rule) for found in key):
        raise_to(5, "không biện pháp chính nào có hiệu lực trong suốt kỳ", "no key control worked in the whole period")
    if not reasons:
        vi = "mọi biện pháp đều đạt trong kỳ" if full else "phần thời gian có số liệu đều đạt"
        en = "all controls met for the period" if full else "all that was seen was met"
        reasons.append(Text(vi, en))
    if not any(found.coverage for found in key):
        reasons.clear()
    return level, reasons


def _weigh(found: Control, raise_to: Raise, rule: Rule) -> None:
    long = timedelta(days=rule.long_days).total_seconds()
    if found.verdict is Verdict.BROKEN:
        raise_to(4, "đang không đạt: “{name}”", "broken now: “{name_en}”", found)
    if found.sums.outages >= rule.events_high:
        raise_to(
            4, "“{name}”: không đạt {n} lần trong kỳ", "“{name_en}”: broken {n} times", found, n=found.sums.outages
        )
    elif found.sums.outages and found.verdict is not Verdict.BROKEN:
        raise_to(
            3,
            "“{name}”: không đạt {n} lần trong kỳ, nay đã đạt",
            "“{name_en}”: broken {n} times, mended",
            found,
            n=found.sums.outages,
        )
    if found.broken_seconds > long or found.at_risk_seconds > long:
        raise_to(
            3,
            "“{name}”: không đạt hoặc cảnh báo kéo dài trên {n} ngày",
            "“{name_en}”: broken or at risk for more than {n} days",
            found,
            n=rule.long_days,
        )
    elif found.at_risk_seconds:
        raise_to(2, "“{name}”: có cảnh báo trong kỳ", "“{name_en}”: at risk in the period", found)


def _never_worked(found: Control, rule: Rule) -> bool:
    return found.coverage >= rule.coverage_floor and found.sums.good_seconds == 0.0


def effectiveness(key: Sequence[Control], rule: Rule) -> Text:
    """How well the key controls work: good, partly, weak, none, unknown. Unknown beats every better word."""
    if key and all(_never_worked(found, rule) for found in key):
        return NONE
    if any(found.verdict is Verdict.BROKEN for found in key):
        return WEAK
    if not key or _lacking(key, rule.coverage_floor):
        return UNKNOWN
    if any(found.sums.outages or found.at_risk_seconds or found.verdict is not Verdict.MET for found in key):
        return PARTLY
    return GOOD


def control(
    name: str, status: SiteStatus, view: View, duties: Mapping[str, Duty], start: datetime, until: datetime
) -> Control:
    """What one duty (or `attest:CLAUSE`) did in [start, until)."""
    site = status.site.id
    if name.startswith("attest:"):
        return _attestation(name, site, view, start, until)
    duty = duties.get(name)
    if not isinstance(duty, Check):
        return _fold(name, duty is not None, False, (), (), start, until)
    lines = view.evidence(site, kind="flip", duty=name, since=start, until=until)
    tracks = [_track(state, site, view, start, until, status.at) for state in view.states(site, name)]
    for subject in sorted({line.subject for line in lines} - {track.name for track in tracks}):
        flips = view.flips(site, name, subject, start, until)
        ended = bool(flips) and flips[-1].verdict is Verdict.UNSEEN
        tracks.append(Track(subject, tuple(flips), flips[-1].time if ended else None))
    return _fold(name, True, duty.private, tracks, _cited(site, name, view, lines, start, until), start, until)


def _track(state: State, site: str, view: View, start: datetime, until: datetime, now: datetime) -> Track:
    """A subject's transitions, ended by `unseen` where nobody renewed it: silence is not the last good word."""
    flips = sorted(view.flips(site, state.duty, state.subject, start, until), key=lambda flip: flip.time)
    every = timedelta(seconds=state.every_seconds)
    if now - state.seen_at > GAP * every + GRACE:
        flips.append(Flip(state.seen_at + every, Verdict.UNSEEN))
    return Track(state.subject, tuple(flips), None)


def _attestation(name: str, site: str, view: View, start: datetime, until: datetime) -> Control:
    clause = name.partition(":")[2]
    lines = view.evidence(site, kind="attestation", subject=clause, until=until)
    flips: list[Flip] = []
    for line in lines:
        flips = [flip for flip in flips if flip.time < line.time]
        flips += [Flip(line.time, Verdict(line.body["says"])), Flip(unstamp(line.body["until"]), Verdict.UNSEEN)]
    tracks = [Track(clause, tuple(flip for flip in flips if flip.time < until), None)] if lines else []
    return _fold(name, True, False, tracks, lines[-1:], start, until)


def _fold(
    name: str,
    built: bool,
    private: bool,
    tracks: Sequence[Track],
    evidence: Iterable[Evidence],
    start: datetime,
    until: datetime,
) -> Control:
    if not tracks:
        return Control(name, built, private, Verdict.UNSEEN, 0.0, Availability(0, 0, 0, 0, 0), 0.0, tuple(evidence), ())
    ordered = sorted(tracks, key=lambda track: track.name)
    subjects = tuple(_subject(track, start, until) for track in ordered)
    living = [found.verdict for found, track in zip(subjects, ordered, strict=True) if track.gone is None]
    sums = max((found.sums for found in subjects), key=lambda found: found.valid_seconds - found.good_seconds)
    return Control(
        name,
        built,
        private,
        worst(living),
        covered(ordered, start, until),
        replace(sums, outages=max(found.sums.outages for found in subjects)),
        max(found.at_risk_seconds for found in subjects),
        tuple(evidence),
        subjects,
    )


def _subject(track: Track, start: datetime, until: datetime) -> Subject:
    sums = availability(track.flips, start, until)
    warned = [Flip(flip.time, _BAD if flip.verdict is Verdict.AT_RISK else Verdict.MET) for flip in track.flips]
    risky = availability(warned, start, until)
    last = [flip.verdict for flip in track.flips if flip.time <= until]
    verdict = last[-1] if last else Verdict.UNSEEN
    return Subject(track.name, verdict, sums.coverage, sums, risky.valid_seconds - risky.good_seconds)


def covered(tracks: Iterable[Track], start: datetime, until: datetime) -> float:
    """Share of [start, until) in which at least one subject existed and every one that existed was seen (0 to 1)."""
    marks: list[tuple[datetime, int, int]] = []
    for track in tracks:
        blind = 0
        for index, flip in enumerate(track.flips):
            blind_now = int(flip.verdict is Verdict.UNSEEN)
            marks.append((flip.time, int(index == 0), blind_now - blind))
            blind = blind_now
        if track.gone is not None and track.flips:
            marks.append((track.gone, -1, -blind))
    seconds, at, living, unseen = 0.0, start, 0, 0
    for moment, born, turned in sorted([*marks, (until, 0, 0)]):
        here = min(max(moment, start), until)
        if living and not unseen:
            seconds += (here - at).total_seconds()
        at, living, unseen = here, living + born, unseen + turned
    whole = (until - start).total_seconds()
    return seconds / whole if whole > 0 else 0.0


def _cited(
    site: str, duty: str, view: View, flips: Sequence[Evidence], start: datetime, until: datetime
) -> tuple[Evidence, ...]:
    """The lines to cite: the newest breaches, the newest other flips and the newest daily line of the period."""
    bad = [line for line in flips if line.body.get("verdict") == Verdict.BROKEN][-CITED // 2 :]
    daily = view.evidence(site, kind="daily", duty=duty, since=start, until=until, newest=1)
    rest = [line for line in flips if line not in bad][-(CITED - len(bad) - len(daily)) :]
    return tuple(sorted({line.seq: line for line in (*bad, *rest, *daily)}.values(), key=lambda line: line.seq))


def percent(share: float) -> str:
    """`98,7%`: never rounded up to 100 or down to 0 (that would say more than was seen)."""
    tenths = round(share * 1000)
    if share < 1.0:
        tenths = min(tenths, 999)
    if share > 0.0:
        tenths = max(tenths, 1)
    whole, tenth = divmod(tenths, 10)
    return f"{whole},{tenth}%" if tenth else f"{whole}%"
