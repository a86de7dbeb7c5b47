"""The tables of the backup minutes: weeks, newest copies, looks, drills, and what lies elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ops.model import Evidence, Verdict, text_of
from ops.moment import human, local, local_day
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
from ops.report.tree import Block, Column, Table, paragraph
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
        Column("Bộ", 24),
        Column("Mức", 21),
        Column("Thời điểm", 31),
        Column("Số tệp; dung lượng", 34),
        Column("Mã bản sao", 18, "center"),
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
    result = "Đã mất khỏi kho" if run.gone else "Đạt" if run.proved else "Bị từ chối" if run.refused else OUTCOMES.get(run.outcome, run.outcome)
    if alarm is not None:
        result = f"Đáng ngờ: {ref(alarm.evidence)}"
    held = f"{number(run.files)} tệp; {amount(run.bytes)}" if run.snapshot else "không có bản sao"
    return (name, LEVEL.get(run.level, run.level), human(run.started), held, run.snapshot[:8] or "–",
            result, ref(run.evidence))


QUESTIONS = {
    CONTENTS: ("Bản sao có đủ tệp không", "đủ mọi tệp theo danh mục"),
    INTEGRITY: ("Dữ liệu đã cất còn nguyên không", "đọc lại đúng như lúc chép"),
    OFFSITE: ("Nơi cất thứ hai đủ bản không", "đúng lịch"),
    ANOMALY: ("Có dấu hiệu bất thường không", "không thấy dấu hiệu nào"),
}
"""Each check as a chair would ask, and what it means that it is met."""


def looks_table(facts: BackupFacts) -> list[Block]:
    """How each check stood last: one row for all sets that are in order, one for each that is not."""
    rows = [row for duty in QUESTIONS for row in _alike(duty, facts.of(duty), facts)]
    missed = [QUESTIONS[duty][0].lower() for duty in QUESTIONS if not facts.of(duty)]
    blocks: list[Block] = []
    if rows:
        columns = (
            Column("Điều được kiểm tra", 53),
            Column("Bộ, nơi", 17),
            Column("Số ngày; lần cuối", 24, "center"),
            Column("Kết quả lần cuối", 52),
            Column("Bằng chứng", 14),
        )
        blocks.append(Table(columns, tuple(rows), SIZE))
    if missed:
        blocks.append(paragraph(f"Trong kỳ không có lần kiểm tra nào (**{MISSING}**): {'; '.join(missed)}."))
    return blocks


def _alike(duty: str, subjects: Mapping[str, Sequence[Look]], facts: BackupFacts) -> list[tuple[str, ...]]:
    """One row for what is in order, and one for each result that is not; sets that share a repository share it."""
    asked, good = QUESTIONS[duty]
    groups: dict[str, list[tuple[str, Sequence[Look]]]] = {}
    for subject, looks in subjects.items():
        last = looks[-1]
        told = "" if last.verdict is Verdict.MET else f"{WORDS[last.verdict]}: {said(facts, last.detail, 90)}"
        groups.setdefault(told, []).append((subject, looks))
    rows: list[tuple[str, ...]] = []
    for told, group in sorted(groups.items(), key=lambda one: one[0] == ""):
        days = [len({local_day(look.time) for look in looks if look.verdict is not Verdict.UNSEEN}) for _, looks in group]
        last = max((looks[-1] for _, looks in group), key=lambda look: look.time)
        late = max(float(looks[-1].measures.get("lag_seconds", 0)) for _, looks in group)
        count = str(min(days)) if min(days) == max(days) else f"{min(days)}–{max(days)}"
        result = (told or f"Đạt: {good}") + (f"; chậm {span(late)}" if late else "")
        rows.append((asked, _names([name for name, _ in group], len(subjects)), f"{count}; {local(last.time):%d/%m}", result,
                     ref(last.evidence)))
    return rows


def _names(names: Sequence[str], of: int) -> str:
    """The names, or that it is all of them where they are many."""
    if len(names) > 2 and len(names) == of:
        return f"cả {of} bộ"
    return ", ".join({"repository": "kho sao lưu", "3-2-1": "quy tắc 3-2-1"}.get(name, name) for name in names)


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
        Column("Diễn tập bộ", 23),
        Column("Lần; đạt", 11, "center"),
        Column("Lần cuối", 20, "center"),
        Column("Khôi phục mất (RTO)", 22, "center"),
        Column("Dữ liệu có thể mất (RPO)", 27, "center"),
        Column("Tệp đúng; dòng CSDL", 43, "center"),
        Column("Bằng chứng", 14),
    )
    return [
        paragraph("Diễn tập khôi phục vào nơi tạm, so từng tệp, đếm lại cơ sở dữ liệu:"),
        Table(columns, tuple(_drill(name, looks, facts.start) for name, looks in sorted(sets.items())), SIZE),
    ]


def _when(look: Look) -> datetime:
    """When the drill itself was."""
    return datetime.fromtimestamp(float(look.measures.get("drilled_timestamp_seconds", look.time.timestamp())), UTC)


def _drill(name: str, looks: Sequence[Look], start: datetime) -> tuple[str, ...]:
    last = looks[-1]
    seen = last.measures
    mine = [look for look in looks if _when(look) >= start]  # a line of this month may tell of a drill of the last one
    rto, rpo = seen.get("rto_seconds", seen.get("seconds")), seen.get("rpo_seconds")
    rows = f"; {number(seen['rows'])} dòng" if seen.get("rows") else ""
    result = "" if last.verdict is Verdict.MET else f"\n{WORDS[last.verdict]}"
    return (
        name,
        f"{len(mine)}; {sum(look.verdict is Verdict.MET for look in mine)}",
        f"{local(_when(last)):%d/%m/%Y}{result}",
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


def done(facts: BackupFacts) -> list[str]:
    """What else was done to copies, a sentence for each kind of act."""
    return [_done(duty, lines, facts) for duty, lines in sorted(_acts(facts).items())]


def counted(facts: BackupFacts) -> str:
    """The same in one sentence: `sửa kho sao lưu 2 lần; bỏ bản sao cũ 4 lần (1 không thành)`."""
    parts = []
    for duty, lines in sorted(_acts(facts).items()):
        begun = [line for line in lines if not refused(line)]
        failed = sum(line.body.get("outcome") != "proved" for line in begun)
        name = CHANGES.get(duty, duty)
        name = f"{name[:1].lower()}{name[1:]}"
        if begun:
            parts.append(f"{name} {len(begun)} lần" + (f" ({failed} không thành)" if failed else ""))
        if len(lines) > len(begun):
            parts.append(f"{name} bị từ chối {len(lines) - len(begun)} lần, chưa làm gì")
    return "; ".join(parts)


def _acts(facts: BackupFacts) -> dict[str, list[Evidence]]:
    found: dict[str, list[Evidence]] = {}
    for line in facts.other:
        found.setdefault(line.duty, []).append(line)
    return found


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
