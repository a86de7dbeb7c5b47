"""Appendices I to IV: the register, the evidence with its hashes, the clauses, the scales."""

from __future__ import annotations

from ops.moment import human
from ops.report.facts import BLANK, MISSING, NOBODY, WORDS, Facts
from ops.report.judgement import cites
from ops.report.summary import ledger_head
from ops.report.tree import Appendix, Block, Column, Heading, Note, Table, first_upper, paragraph, plain
from ops.risk import Control, RiskRow, percent
from ops.risk_data import Degree

KINDS = {
    "flip": "chuyển trạng thái",
    "daily": "dòng hằng ngày",
    "attestation": "xác nhận",
    "outcome": "kết quả thực hiện",
    "intent": "ý định thực hiện",
    "approval": "phê duyệt",
}


def appendices(facts: Facts) -> tuple[Appendix, ...]:
    """All four, numbered in Roman."""
    return (
        Appendix("I", "Sổ đăng ký rủi ro", (_register(facts),), landscape=True),
        Appendix("II", "Bằng chứng và mã băm", tuple(_evidence(facts))),
        Appendix("III", "Bảng đối chiếu với quy chế", tuple(_clauses(facts))),
        Appendix("IV", "Thang đo và cấu hình", tuple(_scales(facts))),
    )


def _register(facts: Facts) -> Table:
    columns = (
        Column("Mã", 17),
        Column("Tài sản", 26),
        Column("Nguy cơ; điểm yếu; điều khoản", 47),
        Column("Biện pháp hiện có; hiệu quả", 47),
        Column("Bằng chứng", 24),
        Column("KN", 8, "center"),
        Column("TĐ", 8, "center"),
        Column("Điểm; mức", 19, "center"),
        Column("Biện pháp bổ sung; người phụ trách; thời hạn", 44),
        Column("Ghi chú", 17),
    )
    return Table(columns, tuple(_entry(row, facts) for row in facts.rows), 10)


def _entry(row: RiskRow, facts: Facts) -> tuple[str, ...]:
    known = {clause.id for clause in facts.status.policy.clauses}
    clauses = [clause for clause in row.row.clauses if clause in known]
    controls = [f"{facts.register.name(item.duty).vi}: {_short(item)}" for item in (*row.key, *row.support)]
    return (
        row.row.id,
        row.row.asset.vi,
        f"{row.row.threat.vi}\nĐiểm yếu: {row.row.weakness.vi}"
        + (f"\nĐiều khoản: {', '.join(clauses)}" if clauses else ""),
        "\n".join((*controls, f"Hiệu quả: {row.effectiveness.vi}")),
        cites(row, 8),
        str(row.likelihood),
        str(row.impact),
        f"{row.score}\n{row.level.name.vi}",
        f"Giảm: {row.row.measure.vi}\n{first_upper(NOBODY)}\n{row.level.due.vi}\nMức còn lại: {BLANK}",
        (MISSING + "\n" if row.missing else "") + "Năm trước: –",
    )


def _short(item: Control) -> str:
    if not item.subjects:
        return MISSING
    return f"{WORDS[item.verdict].lower()}, độ phủ {percent(item.coverage)}"


def _evidence(facts: Facts) -> list[Block]:
    status = facts.status
    blocks: list[Block] = []
    if not facts.verified:
        blocks.append(Note("Sổ bằng chứng không xác minh được; các mã băm dưới đây chưa có giá trị chứng minh."))
    if status.lines:
        blocks += [paragraph("Đầu sổ bằng chứng lúc lập báo cáo:"), ledger_head(facts)]
    lines = facts.cited()
    if not lines:
        return [*blocks, paragraph(f"Không có bằng chứng nào được viện dẫn (**{MISSING}**).")]
    blocks.append(
        paragraph(
            "Mỗi dòng được viện dẫn có mã băm lá SHA-256 theo RFC 6962; kiểm tra lại bằng lệnh “gaccong ledger verify”."
        )
    )
    rows = []
    for line in lines.values():
        subject = "" if facts.private(line.duty) or not line.subject else f" ({facts.register.subject(line.subject)})"
        name = facts.register.name(line.duty or f"attest:{line.subject}").vi
        rows.append(
            (
                line.id,
                human(line.time),
                f"{KINDS.get(line.kind, line.kind)}: {name}{subject}",
                line.leaf[:32] + "\n" + line.leaf[32:],
            )
        )
    columns = (Column("Mã", 24), Column("Thời điểm", 26), Column("Nội dung", 50), Column("Mã băm SHA-256", 60))
    return [*blocks, Table(columns, tuple(rows), 10)]


def _clauses(facts: Facts) -> list[Block]:
    rows = []
    for item in facts.status.clauses:
        ids = list(dict.fromkeys(found for answer in item.answers for found in answer.evidence))
        shown = "\n".join(ids[:3]) + (f"\n(+{len(ids) - 3})" if len(ids) > 3 else "")
        rows.append((item.clause.id, item.clause.article, item.clause.duty.vi, WORDS[item.verdict], shown or MISSING))
    columns = (
        Column("Mã", 27),
        Column("Điều khoản", 20, "center"),
        Column("Yêu cầu", 63),
        Column("Tình trạng", 25, "center"),
        Column("Bằng chứng", 25),
    )
    told = f"Tình trạng tại thời điểm {human(facts.status.at)} theo {facts.status.policy.name.vi}."
    return [plain(told), Table(columns, tuple(rows), 10)]


def _scales(facts: Facts) -> list[Block]:
    register, rule = facts.register, facts.register.rule
    bands = [(band.name.vi, f"{band.lowest}–{band.highest}", first_upper(band.treat.vi)) for band in register.bands]
    matrix = [
        (f"{degree.value}. {degree.name.vi}", *(_cell(facts, degree.value, impact.value) for impact in register.impact))
        for degree in reversed(register.likelihood)
    ]
    return [
        Heading(2, "1. Khả năng xảy ra"),
        _scale(register.likelihood),
        Heading(2, "2. Mức độ tác động (lấy dòng cao nhất đúng với tình huống)"),
        _scale(register.impact),
        Heading(2, "3. Mức độ nghiêm trọng và cách xử lý"),
        Table((Column("Mức", 40), Column("Điểm", 30, "center"), Column("Cách xử lý", 90)), tuple(bands), 12),
        Heading(2, "4. Ma trận (hàng: khả năng xảy ra; cột: tác động)"),
        Table(
            (Column("", 35), *(Column(f"{item.value}. {item.name.vi}", 25, "center") for item in register.impact)),
            tuple(matrix),
            11,
        ),
        Heading(2, "5. Quy tắc"),
        *[
            paragraph(text, item=True)
            for text in (
                f"Độ phủ dưới {percent(rule.coverage_floor)}: thiếu dữ liệu, khả năng xảy ra ít nhất {rule.missing_likelihood};",
                f"Khả năng xảy ra bằng 1 chỉ khi mọi biện pháp đều đạt suốt kỳ và độ phủ từ {percent(rule.coverage_full)};",
                f"Từ {rule.events_high} lần không đạt trong kỳ trở lên, hoặc cuối kỳ còn không đạt: khả năng ít nhất 4;",
                f"Không đạt hoặc cảnh báo cộng dồn trên {rule.long_days:g} ngày: khả năng ít nhất 3;",
                f"Tác động từ {rule.floor_impact} mà có biện pháp chính không đạt: mức ít nhất "
                f"{register.named(rule.floor_band).name.vi.lower()}.",
            )
        ],
        Heading(2, "6. Biện pháp dùng để chấm từng rủi ro"),
        Table(
            (Column("Mã", 20), Column("Biện pháp chính", 75), Column("Biện pháp hỗ trợ", 65)),
            tuple(
                (
                    row.id,
                    "\n".join(register.name(name).vi for name in row.key),
                    "\n".join(register.name(name).vi for name in row.support) or "–",
                )
                for row in register.rows
            ),
            11,
        ),
    ]


def _scale(degrees: tuple[Degree, ...]) -> Table:
    return Table(
        (Column("Mức", 12, "center"), Column("Tên", 30), Column("Dấu hiệu", 118)),
        tuple((str(item.value), item.name.vi, item.anchor.vi) for item in degrees),
        11,
    )


def _cell(facts: Facts, likelihood: int, impact: int) -> str:
    return f"{facts.register.band(likelihood, impact).name.vi} ({likelihood * impact})"
