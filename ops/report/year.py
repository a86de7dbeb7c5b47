"""Section III: how the reporting year went: controls, events, last year's proposals."""

from __future__ import annotations

from dataclasses import replace

from ops.moment import human, unstamp
from ops.report.facts import BLANK, MISSING, WORDS, Facts
from ops.report.tree import Block, Column, Heading, Table, paragraph
from ops.risk import Control, Subject, percent

EVENTS = 15


def year(facts: Facts) -> list[Block]:
    """III. Results of the measures by group, events, last year's proposals."""
    return [
        Heading(1, "III. Tình hình năm báo cáo"),
        Heading(2, "1. Kết quả các biện pháp bảo đảm an toàn"),
        paragraph(
            "Tỷ lệ đạt tính trên thời gian có số liệu; độ phủ tính trên cả kỳ. Tình trạng từng điều khoản của quy chế "
            "tại Phụ lục III."
        ),
        *_groups(facts),
        Heading(2, "2. Sự cố trong năm"),
        *_events(facts),
        Heading(2, "3. Thực hiện kiến nghị năm trước"),
        paragraph(
            f"Chưa có báo cáo năm trước trong hệ thống ({MISSING}). Nội dung do Tổ chuyên trách bổ sung: {BLANK}"
        ),
    ]


def _groups(facts: Facts) -> list[Block]:
    blocks: list[Block] = []
    groups = [(group.id, group.name.vi) for group in facts.register.groups]
    strange = [item for item in facts.controls.values() if not facts.register.group(item.duty)]
    if strange:
        groups.append(("", "Biện pháp khác"))
    for letter, name in groups:
        controls = [item for item in facts.controls.values() if facts.register.group(item.duty) == letter]
        blocks.append(Heading(3, f"{letter or 'g'}) {name}"))
        rows = [row for item in controls for row in _rows(item, facts)]
        if not any(item.coverage for item in controls):
            names = "; ".join(facts.register.name(item.duty).vi for item in controls)
            blocks.append(paragraph(f"Chưa có số liệu trong kỳ (**{MISSING}**)" + (f": {names}." if names else ".")))
        else:
            blocks.append(Table(_COLUMNS, tuple(rows), 11))
    return blocks


_COLUMNS = (
    Column("Biện pháp", 52),
    Column("Đối tượng", 24),
    Column("Cuối kỳ", 24),
    Column("Tỷ lệ đạt", 18, "center"),
    Column("Độ phủ", 17, "center"),
    Column("Không đạt", 25),
)


def _rows(item: Control, facts: Facts) -> list[tuple[str, ...]]:
    name = facts.register.name(item.duty).vi
    if not item.subjects:
        return [(name, "–", WORDS[item.verdict], MISSING, "0%", "–")]
    if item.private:
        whole = Subject(_people(len(item.subjects)), item.verdict, item.coverage, item.sums, item.at_risk_seconds)
        return [_row(name, whole)]
    return [
        _row(name if index == 0 else "", replace(subject, name=facts.register.subject(subject.name)))
        for index, subject in enumerate(item.subjects)
    ]


def _people(count: int) -> str:
    return "không in tên" if count == 1 else f"{count} đối tượng (ghi đối tượng kém nhất)"


def _row(name: str, subject: Subject) -> tuple[str, ...]:
    sums = subject.sums
    ratio = percent(sums.ratio) if sums.ratio is not None else MISSING
    broken = f"{sums.outages} lần, lâu nhất {span(sums.longest_outage_seconds)}" if sums.outages else "không"
    if sums.ratio is None:
        broken = "–"
    return (name, subject.name, WORDS[subject.verdict], ratio, percent(subject.coverage), broken)


def _events(facts: Facts) -> list[Block]:
    lines = facts.breaches
    blocks: list[Block] = []
    if not lines:
        covered = [item for item in facts.controls.values() if item.coverage]
        said = (
            "Hệ thống không ghi nhận lần không đạt nào trong phần thời gian có số liệu."
            if covered
            else (f"Chưa có số liệu giám sát trong kỳ (**{MISSING}**), không kết luận được là có hay không có sự cố.")
        )
        blocks.append(paragraph(said))
    else:
        shown = lines[-EVENTS:]
        rest = f" Bảng dưới ghi {len(shown)} lần gần nhất." if len(shown) < len(lines) else ""
        blocks.append(paragraph(f"Hệ thống ghi nhận {len(lines)} lần một biện pháp chuyển sang không đạt.{rest}"))
        rows = []
        for line in shown:
            subject = "(không in tên)" if facts.private(line.duty) else facts.register.subject(line.subject)
            rows.append(
                (
                    human(unstamp(line.body["from"]) if "from" in line.body else line.time),
                    facts.register.name(line.duty).vi,
                    subject,
                    line.id,
                )
            )
        columns = (Column("Thời điểm", 34), Column("Biện pháp", 66), Column("Đối tượng", 30), Column("Bằng chứng", 30))
        blocks.append(Table(columns, tuple(rows), 11))
    blocks.append(
        paragraph(
            "Sự cố khác do người quản trị ghi nhận, thời điểm phát hiện, khắc phục và báo cáo đã gửi "
            f"(trong 24 giờ, 72 giờ): {BLANK}"
        )
    )
    return blocks


def span(seconds: float) -> str:
    """`3 ngày 4 giờ`, `2 giờ 5 phút`, `40 giây`: the two largest units."""
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(days, "ngày"), (hours, "giờ"), (minutes, "phút"), (left, "giây")]
    said = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(said[:2]) or "dưới 1 giây"
