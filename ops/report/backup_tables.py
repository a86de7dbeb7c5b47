"""The tables of the backup minutes: weeks, newest copies, looks, drills, and what lies elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ops.model import Evidence, Verdict, text_of
from ops.moment import human, local_day
from ops.report.backup_facts import (
    ANOMALY,
    CONTENTS,
    INTEGRITY,
    LEVELS,
    OFFSITE,
    BackupFacts,
    Copying,
    Look,
    Week,
    refused,
)
from ops.report.backup_words import sentence, shorter
from ops.report.facts import MISSING, WORDS
from ops.report.tree import Block, Column, Table, paragraph, plain
from ops.report.year import span

LEVEL = {"user": "người dùng", "system": "hệ thống", "": "không rõ"}
OUTCOMES = {
    "proved": "Đã chứng minh",
    "unproved": "Chưa chứng minh được",
    "undone": "Hỏng, đã hoàn tác",
    "stuck": "Hỏng, chưa hoàn tác được",
    "interrupted": "Bị ngắt giữa chừng",
}
SIZE = 11.0


def number(value: float, decimals: int = 0) -> str:
    """`1.234.567` or `12,5`, as Vietnamese papers write numbers."""
    return f"{value:,.{decimals}f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def amount(size: float) -> str:
    """`635 MB`, `1,2 GB`: decimal units."""
    for unit in ("byte", "KB", "MB", "GB"):
        if size < 1000:
            return f"{number(size, 0 if unit == 'byte' or size >= 10 else 1)} {unit}"
        size /= 1000
    return f"{number(size, 1)} TB"


def ref(evidence: str) -> str:
    """`#249`: a line of the site's own ledger, as the minutes cite it (their opening says whose)."""
    return f"#{evidence.rpartition('#')[2]}"


def cited(ids: Sequence[str]) -> str:
    """The first and the last of some evidence ids, and how many there are."""
    if len(ids) < 3:
        return ", ".join(map(ref, ids)) or "–"
    return f"{ref(ids[0])} … {ref(ids[-1])} ({len(ids)} dòng)"


def weeks_table(facts: BackupFacts) -> Table:
    """Distinct days of each ISO week and level."""
    rows = [_week(week, facts.demanded) for week in facts.weeks]
    columns = (
        Column("Tuần", 35),
        Column("Mức người dùng", 30, "center"),
        Column("Mức hệ thống", 26, "center"),
        Column("Kết quả", 29, "center"),
        Column("Bằng chứng", 40),
    )
    return Table(columns, tuple(rows), SIZE)


def _week(week: Week, demanded: int) -> tuple[str, ...]:
    if week.state in ("unknown", "silent"):
        why = "sổ chưa có" if week.state == "unknown" else "sổ không ghi gì"
        return week.name, "–", "–", f"Không có số liệu: {why}", "–"
    enough = all(week.days[level] >= demanded for level in LEVELS)
    result = "Đạt" if enough else _SHORT[week.state]
    ids = [one for level in LEVELS for one in week.evidence[level]]
    ids.sort(key=lambda one: int(one.rpartition("#")[2]))
    return week.name, *(f"{week.days[level]} ngày" for level in LEVELS), result, cited(ids)


def copies_table(facts: BackupFacts) -> Table:
    """The newest copy of each set."""
    columns = (
        Column("Bộ", 21),
        Column("Mức", 21),
        Column("Thời điểm", 31),
        Column("Số tệp; dung lượng", 35),
        Column("Mã bản sao", 20, "center"),
        Column("Kết quả", 18, "center"),
        Column("Bằng chứng", 14),
    )
    rows: list[tuple[str, ...]] = []
    for name, run in facts.newest.items():
        rows.append(_copy(name, run, facts))
        calm = facts.unsuspected.get(name)
        if run.evidence in facts.alarms and calm is not None:
            rows.append(_copy(name, calm, facts))
    return Table(columns, tuple(rows), SIZE)


_SHORT = {"full": "Không đạt", "open": "Chưa hết tuần", "begun": "Mới ghi từ giữa tuần"}


def _copy(name: str, run: Copying, facts: BackupFacts) -> tuple[str, ...]:
    alarm = facts.alarms.get(run.evidence)
    result = "Đạt" if run.proved else "Bị từ chối" if run.refused else OUTCOMES.get(run.outcome, run.outcome)
    if alarm is not None:
        result = f"Đáng ngờ: {ref(alarm.evidence)}"
    held = f"{number(run.files)} tệp; {amount(run.bytes)}" if run.snapshot else "không có bản sao"
    return (name, LEVEL.get(run.level, run.level), human(run.started), held, run.snapshot[:8] or "–",
            result, ref(run.evidence))


def looks_table(facts: BackupFacts) -> list[Block]:
    """How often contents and integrity were looked at, and how they stood last."""
    named = ((CONTENTS, "Đủ nội dung"), (INTEGRITY, "Toàn vẹn"))
    rows = [row for duty, what in named for row in _alike(what, facts.of(duty), facts)]
    if not rows:
        return [paragraph(f"Kiểm tra nội dung, tính toàn vẹn: trong kỳ không có lần kiểm tra nào (**{MISSING}**).")]
    columns = (
        Column("Kiểm tra", 22),
        Column("Bộ", 20),
        Column("Số ngày", 14, "center"),
        Column("Lần cuối", 24, "center"),
        Column("Kết quả lần cuối", 66),
        Column("Bằng chứng", 14),
    )
    return [Table(columns, tuple(rows), SIZE)]


def _alike(what: str, subjects: Mapping[str, Sequence[Look]], facts: BackupFacts) -> list[tuple[str, ...]]:
    """One row for sets that share a repository, and so a result; else one for each."""
    groups: dict[tuple[str, str], list[tuple[str, Sequence[Look]]]] = {}
    for subject, looks in subjects.items():
        groups.setdefault((looks[-1].verdict.value, looks[-1].detail), []).append((subject, looks))
    rows: list[tuple[str, ...]] = []
    for group in groups.values():
        days = {local_day(look.time) for _, looks in group for look in looks if look.verdict is not Verdict.UNSEEN}
        last = max((looks[-1] for _, looks in group), key=lambda look: look.time)
        names = ", ".join(subject for subject, _ in group)
        rows.append((what, names, str(len(days)), human(last.time), f"{WORDS[last.verdict]}: {said(facts, last.detail)}",
                     ref(last.evidence)))
    return rows


def said(facts: BackupFacts, detail: str, most: int = 160) -> str:
    """A detail in the words of the paper."""
    return sentence(detail, most, facts.places, facts.status.site.id)


def drills_table(facts: BackupFacts) -> list[Block]:
    """For each set: how often it was restored for trial, and how the last time went."""
    if not facts.drills:
        return [paragraph(f"Diễn tập khôi phục: trong kỳ **không có lần diễn tập nào** ({MISSING}).")]
    sets: dict[str, list[Look]] = {}
    for look in facts.drills:
        sets.setdefault(look.subject, []).append(look)
    columns = (
        Column("Diễn tập bộ", 20),
        Column("Số lần; đạt", 17, "center"),
        Column("Lần cuối", 24, "center"),
        Column("Thời gian khôi phục (RTO)", 27, "center"),
        Column("Dữ liệu có thể mất (RPO)", 27, "center"),
        Column("Tệp đúng; dòng CSDL", 31, "center"),
        Column("Bằng chứng", 14),
    )
    return [
        paragraph("Diễn tập khôi phục vào nơi tạm, so từng tệp với danh mục, mở cơ sở dữ liệu và đếm lại:"),
        Table(columns, tuple(_drill(name, looks) for name, looks in sorted(sets.items())), SIZE),
    ]


def _drill(name: str, looks: Sequence[Look]) -> tuple[str, ...]:
    last = looks[-1]
    seen = last.measures
    rto, rpo = seen.get("rto_seconds", seen.get("seconds")), seen.get("rpo_seconds")
    rows = f"; {number(seen['rows'])} dòng" if seen.get("rows") else ""
    result = "" if last.verdict is Verdict.MET else f"\n{WORDS[last.verdict]}"
    return (
        name,
        f"{len(looks)}; {sum(look.verdict is Verdict.MET for look in looks)}",
        human(last.time) + result,
        brief(rto),
        brief(rpo),
        (f"{number(seen['files'])} tệp" if "files" in seen else MISSING) + rows,
        ref(last.evidence),
    )


def brief(seconds: float | None) -> str:
    """`0,4 giây`, `2 phút 5 giây`, or that it was not measured."""
    if seconds is None:
        return "không đo"
    return f"{number(seconds, 1)} giây" if seconds < 10 else span(seconds)


def elsewhere(facts: BackupFacts) -> list[Block]:
    """The second place, anomalies, and what else was done to copies."""
    blocks: list[Block] = []
    for duty, what in ((OFFSITE, "Nơi cất thứ hai"), (ANOMALY, "Phát hiện bất thường")):
        for subject, looks in facts.of(duty).items():
            last = looks[-1]
            lag = last.measures.get("lag_seconds")
            late = f", chậm {span(lag)}" if lag else ""
            name = "kho sao lưu" if subject == "repository" else subject
            told = (f"{what} ({name}): {WORDS[last.verdict].lower()}{late}; {said(facts, last.detail)} "
                    f"[{ref(last.evidence)}, {human(last.time)}].")
            blocks.append(plain(told, item=True))
        if not facts.of(duty):
            blocks.append(plain(f"{what}: chưa có lần kiểm tra nào trong kỳ ({MISSING}).", item=True))
    done: dict[str, list[Evidence]] = {}
    for line in facts.other:
        done.setdefault(line.duty, []).append(line)
    return [*blocks, *(plain(_done(duty, lines, facts), item=True) for duty, lines in sorted(done.items()))]


CHANGES = {
    "backup.clear": "Xác nhận báo động",
    "backup.copy": "Chép sang nơi thứ hai",
    "backup.heal": "Sửa kho sao lưu",
    "backup.prune": "Bỏ bản sao cũ",
    "backup.restore": "Khôi phục ra thư mục",
    "restore_site": "Khôi phục trang",
}


def _done(duty: str, lines: Sequence[Evidence], facts: BackupFacts) -> str:
    """One sentence for all acts of a kind: how many, how they ended, and of the last one when and with what words."""
    begun = [line for line in lines if not refused(line)]
    name = CHANGES.get(duty, duty)
    if not begun:
        return f"{name}: {_refused(lines, facts)}."
    ended = Counter(str(line.body.get("outcome")) for line in begun)
    told = ", ".join(f"{count} {OUTCOMES.get(name, 'không rõ').lower()}" for name, count in sorted(ended.items()))
    last = begun[-1]
    args = last.body.get("args", {})
    words = "; ".join(said(facts, str(args[key]), 80) for key in ("set", "to", "reason") if args.get(key))
    turned = [line for line in lines if refused(line)]
    after = f"; {_refused(turned, facts)}" if turned else ""
    return (f"{name}: {len(begun)} lần ({told}); lần cuối {human(last.time)}"
            f"{f' ({shorter(words, 80)})' if words else ''} [{ref(last.id)}]{after}.")


def _refused(lines: Sequence[Evidence], facts: BackupFacts) -> str:
    """Acts that came due and never began, with the reason of the last one."""
    why = said(facts, text_of(lines[-1].body.get("detail", "")).vi, 110)
    return f"{len(lines)} lần bị từ chối, chưa làm gì: {why} [{ref(lines[-1].id)}]"
