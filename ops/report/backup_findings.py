"""What the minutes hold against the backups of a period, and the conclusion that they propose. Pure over the facts."""

from __future__ import annotations

from datetime import timedelta

from ops.model import Verdict
from ops.moment import human
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
from ops.report.backup_tables import LEVEL, OUTCOMES, ref, said

MOST = 10
NAMES = {
    FRESH: "nhịp sao lưu",
    CONTENTS: "nội dung bản sao",
    INTEGRITY: "tính toàn vẹn",
    DRILL: "diễn tập khôi phục",
    OFFSITE: "nơi cất thứ hai",
    ANOMALY: "bất thường",
}


def findings(facts: BackupFacts) -> list[str]:
    """At most MOST sentences without their stop, the gravest kinds first; the last one says how many more there are."""
    grave = [*_alarms(facts), *_broken(facts, (ANOMALY, INTEGRITY, CONTENTS, DRILL)), *_drills(facts)]
    found = [*grave, *_weeks(facts), *_unproved(facts), *_broken(facts, (FRESH, OFFSITE)), *_unseen(facts)]
    if len(found) <= MOST:
        return found
    return [*found[: MOST - 1], f"và {len(found) - MOST + 1} điều khác, xem sổ bằng chứng"]


def kept(facts: BackupFacts) -> Verdict:
    """Met: every full week reached its days at both levels, what was looked at last was met, a drill succeeded in time.

    Broken where one of these is known to be wrong; unseen where the ledger does not tell.
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
    return Verdict.MET


def _drilled(facts: BackupFacts) -> bool:
    """Whether every set that was copied has a drill that went well; a look in between repeats the last one's date."""
    limit = timedelta(days=facts.numbers.get("backup.drill_days", 92)).total_seconds()
    until = min(facts.now, facts.end).timestamp()

    def young(look: Look) -> bool:
        when = look.measures.get("drilled_timestamp_seconds")
        return look.verdict is Verdict.MET and when is not None and until - when <= limit

    looks = facts.of(DRILL)
    return bool(facts.newest) and all(any(young(look) for look in looks.get(name, ())) for name in facts.newest)


def _weeks(facts: BackupFacts) -> list[str]:
    found = []
    for week in facts.weeks:
        lacking = [level for level in LEVELS if week.days[level] < facts.demanded]
        if week.state == "full" and lacking:
            told = ", ".join(f"mức {LEVEL[level]} {week.days[level]} ngày" for level in lacking)
            found.append(f"Tuần {week.name} không đủ {facts.demanded} ngày có bản sao: {told}")
        elif week.state in ("silent", "unknown"):
            found.append(f"Tuần {week.name} không có số liệu")
    return found


def _alarms(facts: BackupFacts) -> list[str]:
    """Every alarm on a run, cleared or not: who answered for it, and why."""
    found = []
    for alarm in facts.alarms.values():
        after = "; chưa có người xem xét"
        if alarm.cleared:
            after = f"; {said(facts, alarm.by, 60)} xác nhận đã xem xét, lý do: “{said(facts, alarm.reason, 90)}” [{ref(alarm.cleared)}]"
        found.append(f"{human(alarm.rang)}, báo động ở bản sao {ref(alarm.run)} của bộ {alarm.set}: "
                     f"{said(facts, alarm.says, 150)} [{ref(alarm.evidence)}]{after}")
    return found


def _broken(facts: BackupFacts, duties: tuple[str, ...]) -> list[str]:
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


def _breach(facts: BackupFacts, names: list[str], look: Look, mended: Look | None) -> str:
    after = f"; đạt lại {human(mended.time)} [{ref(mended.evidence)}]" if mended else "; chưa khắc phục"
    return (f"{human(look.time)}, {NAMES[look.duty]} ({', '.join(names)}) không đạt: "
            f"{said(facts, look.detail, 110)} [{ref(look.evidence)}]{after}")


def _called(subject: str) -> str:
    return "kho sao lưu" if subject == "repository" else LEVEL.get(subject, subject)


def _never(facts: BackupFacts, look: Look) -> bool:
    """Before the site's first copy everything is broken by nature; the weeks tell that already."""
    first = next(iter(facts.runs), None)
    return first is None or look.time < first.started


def _unproved(facts: BackupFacts) -> list[str]:
    failed = [run for run in facts.runs if not run.proved and facts.start <= run.started < facts.end]
    return [
        f"{human(run.started)}, sao lưu bộ {run.set} "
        f"{'bị từ chối' if run.refused else OUTCOMES.get(run.outcome, 'không rõ').lower()}: "
        f"{said(facts, run.detail, 110)} [{ref(run.evidence)}]"
        for run in failed
    ]


def _drills(facts: BackupFacts) -> list[str]:
    if _drilled(facts) or not facts.newest:
        return []
    limit = f"{facts.numbers.get('backup.drill_days', 92):g}"
    return [f"Chưa có lần diễn tập khôi phục đạt yêu cầu cho mọi bộ trong {limit} ngày"]


def _unseen(facts: BackupFacts) -> list[str]:
    found = []
    for duty, name in NAMES.items():
        for subject, looks in facts.of(duty).items():
            if looks[-1].verdict is Verdict.UNSEEN:
                found.append(f"Chưa kiểm tra được {name} ({_called(subject)}): {said(facts, looks[-1].detail, 110)}")
    return found
