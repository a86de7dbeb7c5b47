"""What the minutes hold against the backups of a period, and the conclusion that they propose. Pure over the facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops.model import Verdict
from ops.moment import human, local
from ops.report.backup_facts import (
    ANOMALY,
    CONTENTS,
    DRILL,
    FRESH,
    INTEGRITY,
    LEVELS,
    OFFSITE,
    BackupFacts,
    Look,
)
from ops.report.backup_tables import LEVEL, OUTCOMES, SIZE, cited, ref, said
from ops.report.tree import Column, Table

FEW = 4
"""Up to so many findings stand in the minutes one by one; of more, each kind has one line and the annex the rest."""
_DAYS = 3
NAMES = {
    FRESH: "nhịp sao lưu",
    CONTENTS: "nội dung bản sao",
    INTEGRITY: "tính toàn vẹn",
    DRILL: "diễn tập khôi phục",
    OFFSITE: "nơi cất thứ hai",
    ANOMALY: "bất thường",
}


@dataclass(frozen=True, slots=True)
class Held:
    """One thing held against the backups. kind: what it is called when counted; text: a sentence without its stop.

    still: nobody has mended it or answered for it yet; None where there is nothing to mend any more.
    """

    kind: str
    text: str
    when: datetime | None = None
    evidence: str = ""
    still: bool | None = None


def held(facts: BackupFacts) -> list[Held]:
    """All of them, the gravest kinds first."""
    grave = [*_alarms(facts), *_broken(facts, (ANOMALY, INTEGRITY, CONTENTS, DRILL)), *_drills(facts)]
    return [*grave, *_weeks(facts), *_unproved(facts), *_broken(facts, (FRESH, OFFSITE)), *_unseen(facts)]


def findings(facts: BackupFacts) -> list[str]:
    """Their sentences."""
    return [one.text for one in held(facts)]


def kinds_table(every: Sequence[Held]) -> Table:
    """A row for each kind: how often, on which days, what is left to do."""
    kinds: dict[str, list[Held]] = {}
    for one in every:
        kinds.setdefault(one.kind, []).append(one)
    columns = (
        Column("Tồn tại", 50),
        Column("Số lần", 14, "center"),
        Column("Những ngày", 37),
        Column("Tình trạng", 33),
        Column("Bằng chứng", 26),
    )
    return Table(columns, tuple(_counted(kind, group) for kind, group in kinds.items()), SIZE)


def _counted(kind: str, group: Sequence[Held]) -> tuple[str, ...]:
    days = list(dict.fromkeys(f"{local(one.when):%d/%m}" for one in group if one.when))
    left = sum(bool(one.still) for one in group)
    known = any(one.still is not None for one in group)
    state = f"Còn {left} chưa xử lý" if left else "Đã xử lý" if known else "–"
    when = f"{', '.join(days[:_DAYS])}{' …' if len(days) > _DAYS else ''}" or "–"
    ids = [one.evidence for one in group if one.evidence]
    return (kind, str(len(group)), when, state, cited(ids).partition(" (")[0])


def kept(facts: BackupFacts) -> Verdict:
    """Met: every full week reached its days at both levels, what was looked at last was met, a drill succeeded in time.

    Broken where one of these is known to be wrong; unseen where the ledger does not tell. At risk where all of it holds and
    an alarm stands that nobody has answered: a copy that may be a copy of ransomware's work is not yet a good one.
    """
    short = [week for week in facts.weeks if week.state == "full" and min(week.days.values()) < facts.demanded]
    last = [looks[-1] for duty in (CONTENTS, INTEGRITY, DRILL) for looks in facts.of(duty).values()]
    if short or any(look.verdict is Verdict.BROKEN for look in last):
        return Verdict.BROKEN
    whole = [week for week in facts.weeks if week.state == "full"]
    blind = [week for week in facts.weeks if week.state in ("silent", "unknown")]
    looked = all(facts.of(duty) for duty in (CONTENTS, INTEGRITY)) and _drilled(facts)
    if not whole or blind or not looked or not facts.verified or any(look.verdict is Verdict.UNSEEN for look in last):
        return Verdict.UNSEEN
    alarms = [looks[-1].verdict for looks in facts.of(ANOMALY).values()]
    return Verdict.MET if all(one in (Verdict.MET, Verdict.UNSEEN) for one in alarms) else Verdict.AT_RISK


def _drilled(facts: BackupFacts) -> bool:
    """Whether every set that was copied has a drill that went well; a look in between repeats the last one's date."""
    limit = timedelta(days=facts.numbers.get("backup.drill_days", 92)).total_seconds()
    until = min(facts.now, facts.end).timestamp()

    def young(look: Look) -> bool:
        when = look.measures.get("drilled_timestamp_seconds")
        return look.verdict is Verdict.MET and when is not None and until - when <= limit

    looks = facts.of(DRILL)
    return bool(facts.newest) and all(any(young(look) for look in looks.get(name, ())) for name in facts.newest)


def _weeks(facts: BackupFacts) -> list[Held]:
    found = []
    for week in facts.weeks:
        lacking = [level for level in LEVELS if week.days[level] < facts.demanded]
        if week.state == "full" and lacking:
            told = ", ".join(f"mức {LEVEL[level]} {week.days[level]} ngày" for level in lacking)
            text = f"Tuần {week.name} không đủ {facts.demanded} ngày có bản sao: {told}"
            found.append(Held("Tuần không đủ ngày có bản sao", text))
        elif week.state in ("silent", "unknown"):
            found.append(Held("Tuần không có số liệu", f"Tuần {week.name} không có số liệu"))
    return found


def _alarms(facts: BackupFacts) -> list[Held]:
    """Every alarm on a run, cleared or not: who answered for it, and why."""
    found = []
    for alarm in facts.alarms.values():
        after = "; chưa có người xem xét"
        if alarm.cleared:
            by, reason = said(facts, alarm.by, 60), said(facts, alarm.reason, 90)
            after = f"; {by} xác nhận đã xem xét, lý do: “{reason}” [{ref(alarm.cleared)}]"
        text = (
            f"{human(alarm.rang)}, báo động ở bản sao {ref(alarm.run)} của bộ {alarm.set}: "
            f"{said(facts, alarm.says, 150)} [{ref(alarm.evidence)}]{after}"
        )
        found.append(Held("Báo động ở bản sao", text, alarm.rang, alarm.evidence, not alarm.cleared))
    return found


def _broken(facts: BackupFacts, duties: tuple[str, ...]) -> list[Held]:
    """Each breach once, from its transition on; what broke for several sets within a minute is one breach."""
    found: dict[tuple[str, str, str, bool], tuple[list[str], Look, Look | None]] = {}
    for duty in duties:
        for subject, looks in facts.of(duty).items():
            was: Verdict | None = None
            for look in looks:
                begins = look.verdict is Verdict.BROKEN and was is not Verdict.BROKEN
                if begins and not _never(facts, look) and not look.facts.get("alarms"):
                    mended = next((one for one in looks if one.time > look.time and one.verdict is Verdict.MET), None)
                    key = duty, human(look.time), look.detail.replace(f"bộ {subject}", "bộ"), mended is None
                    found.setdefault(key, ([], look, mended))[0].append(_called(subject))
                was = look.verdict
    return [_breach(facts, *one) for one in found.values()]


def _breach(facts: BackupFacts, names: list[str], look: Look, mended: Look | None) -> Held:
    after = f"; đạt lại {human(mended.time)} [{ref(mended.evidence)}]" if mended else "; chưa khắc phục"
    text = (
        f"{human(look.time)}, {NAMES[look.duty]} ({', '.join(names)}) không đạt: "
        f"{said(facts, look.detail, 110)} [{ref(look.evidence)}]{after}"
    )
    name = NAMES[look.duty]
    return Held(f"{name[:1].upper()}{name[1:]} không đạt", text, look.time, look.evidence, mended is None)


def _called(subject: str) -> str:
    return "kho sao lưu" if subject == "repository" else LEVEL.get(subject, subject)


def _never(facts: BackupFacts, look: Look) -> bool:
    """Before the site's first copy everything is broken by nature; the weeks tell that already."""
    first = next(iter(facts.runs), None)
    return first is None or look.time < first.started


def _unproved(facts: BackupFacts) -> list[Held]:
    found = []
    for run in facts.runs:
        if run.proved or not facts.start <= run.started < facts.end:
            continue
        how = "bị từ chối" if run.refused else OUTCOMES.get(run.outcome, "không rõ").lower()
        text = f"{human(run.started)}, sao lưu bộ {run.set} {how}: {said(facts, run.detail, 110)} [{ref(run.evidence)}]"
        later = any(one.proved and one.set == run.set and one.started > run.started for one in facts.runs)
        found.append(Held("Lần sao lưu không thành", text, run.started, run.evidence, not later))
    return found


def _drills(facts: BackupFacts) -> list[Held]:
    if _drilled(facts) or not facts.newest:
        return []
    limit = f"{facts.numbers.get('backup.drill_days', 92):g}"
    return [Held("Thiếu diễn tập", f"Chưa có lần diễn tập khôi phục đạt yêu cầu cho mọi bộ trong {limit} ngày")]


def _unseen(facts: BackupFacts) -> list[Held]:
    found = []
    for duty, name in NAMES.items():
        for subject, looks in facts.of(duty).items():
            if looks[-1].verdict is Verdict.UNSEEN:
                text = f"Chưa kiểm tra được {name} ({_called(subject)}): {said(facts, looks[-1].detail, 110)}"
                found.append(Held(f"Chưa kiểm tra được {name}", text))
    return found
