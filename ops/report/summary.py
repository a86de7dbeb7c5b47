"""Sections I and II: what the chair must know on one page, and on what it rests."""

from __future__ import annotations

from ops.legal import legal_basis
from ops.moment import local_day
from ops.report.facts import BLANK, MISSING, Facts
from ops.report.tree import Block, Column, Heading, Paragraph, Table, paragraph, plain
from ops.risk import RiskRow, percent

TOPICS = {"security", "levels", "incidents", "personal-data", "documents"}
"""Topics of the table of laws on which an assessment of risks rests."""
DECISIONS = 5
WORST = 5


def summary(facts: Facts) -> list[Block]:
    """I. At most one page."""
    count = len(facts.rows)
    lacking = [row for row in facts.rows if row.missing]
    blocks: list[Block] = [
        Heading(1, "I. Tóm tắt cho lãnh đạo"),
        paragraph(
            f"Báo cáo đánh giá **{count} rủi ro** thuộc sáu nhóm mà quy chế nêu, {facts.label}. "
            f"Kết quả: {_counts(facts)}."
        ),
    ]
    if lacking:
        blocks.append(
            paragraph(
                f"**Còn thiếu số liệu:** {len(lacking)} trên {count} rủi ro được ghi “{MISSING}” {_sources_told(facts)}. Mức của "
                "các rủi ro này là mức tạm tính; thiếu dữ liệu không có nghĩa là đã an toàn."
            )
        )
    else:
        blocks.append(paragraph("Mọi rủi ro đều được đánh giá trên số liệu đủ độ phủ."))
    blocks.append(paragraph(f"**{_heading(facts)}**"))
    worst = facts.worst_first[:WORST]
    blocks += [_worst(row, ";" if row is not worst[-1] else ".") for row in worst]
    blocks.append(paragraph("**So với năm trước:** chưa có báo cáo năm trước trong hệ thống để so sánh."))
    blocks.append(paragraph("**Đề nghị lãnh đạo quyết định** (kinh phí, thời hạn do người trình ghi):"))
    blocks.append(decisions_table(facts))
    return blocks


def _sources_told(facts: Facts) -> str:
    absent = [item for item in facts.lacking if item.coverage == 0.0]
    thin = len(facts.lacking) - len(absent)
    parts = [f"{len(absent)} nguồn chưa có số liệu"] if absent else []
    parts += [f"{thin} nguồn có số liệu chưa đủ"] if thin else []
    return f"({', '.join(parts)} trên {len(facts.controls)} nguồn; xem mục II.4)"


def _heading(facts: Facts) -> str:
    return "Những rủi ro cần quan tâm nhất:" if len(facts.rows) > 1 else "Rủi ro cần quan tâm:"


def _counts(facts: Facts) -> str:
    found = [f"{len(facts.at(band))} rủi ro mức {band.name.vi.lower()}" for band in reversed(facts.register.bands)]
    return ", ".join(found)


def _worst(row: RiskRow, stop: str) -> Paragraph:
    mark = f"; {MISSING}" if row.missing else ""
    return paragraph(f"{row.row.threat.vi} ({row.row.id}): mức **{row.level.name.vi.lower()}**{mark}{stop}", item=True)


def decisions(facts: Facts) -> list[tuple[str, str]]:
    """At most five decisions asked for, with the codes of the risks that they answer, the worst first."""
    found: dict[str, list[str]] = {}
    for row in facts.worst_first:
        if row.level.id != facts.register.bands[0].id:
            found.setdefault(row.row.decision.vi, []).append(row.row.id)
    return [(text, ", ".join(codes)) for text, codes in list(found.items())[:DECISIONS]]


def decisions_table(facts: Facts) -> Table:
    """The decisions, with room for cost and date."""
    rows = [(str(index), text, codes, BLANK, BLANK) for index, (text, codes) in enumerate(decisions(facts), 1)]
    if not rows:
        rows = [("–", "Không có nội dung cần quyết định; đề nghị tiếp tục duy trì các biện pháp", "–", "–", "–")]
    columns = (
        Column("TT", 10, "center"),
        Column("Nội dung", 84),
        Column("Rủi ro", 24),
        Column("Kinh phí", 21, "center"),
        Column("Thời hạn", 21, "center"),
    )
    return Table(columns, tuple(rows), 12)


def basis(facts: Facts) -> list[Block]:
    """II. Legal basis, scope, method, sources and their limits."""
    return [
        Heading(1, "II. Căn cứ, phạm vi và phương pháp"),
        *_legal(facts),
        *_scope(facts),
        *_method(facts),
        *_sources(facts),
    ]


def _legal(facts: Facts) -> list[Block]:
    policy = facts.status.policy
    number = f", số {policy.number}" if policy.number else ""
    day = local_day(facts.now)
    rows = [(f"{policy.name.vi}{number}", f"{policy.issuer.vi} ban hành")]
    rows += [
        (f"{law.id}: {law.title.vi}", law.validity.vi + ("; cần đối chiếu" if law.memory else ""))
        for law in legal_basis(day, policy.id)
        if TOPICS & set(law.topics)
    ]
    return [
        Heading(2, "1. Căn cứ pháp lý"),
        Table((Column("Văn bản", 110), Column("Hiệu lực", 50)), tuple(rows), 12),
        paragraph(f"Tình trạng hiệu lực xét tại ngày {day:%d/%m/%Y}; người trình đối chiếu với bản gốc trước khi ký."),
    ]


def _scope(facts: Facts) -> list[Block]:
    site = facts.status.site
    assets = list(dict.fromkeys(row.row.asset.vi for row in facts.rows))
    names = ", ".join(site.names)
    return [
        Heading(2, "2. Phạm vi, kỳ số liệu, tài sản"),
        plain(f"Đối tượng: {site.name}, địa chỉ {site.url} (tên miền: {names})."),
        paragraph(f"Kỳ số liệu: {facts.label}, theo giờ Việt Nam."),
        paragraph(
            "Các loại thông tin: tin, bài, văn bản đã công bố; dữ liệu của người gửi câu hỏi, phản ánh; thông tin "
            "tài khoản của cán bộ, cộng tác viên."
        ),
        paragraph(f"Tài sản được đánh giá: {'; '.join(asset[:1].lower() + asset[1:] for asset in assets)}."),
    ]


def _method(facts: Facts) -> list[Block]:
    rule = facts.register.rule
    matrix = "bảng mức tại Phụ lục IV" if facts.register.cells else "điểm bằng khả năng xảy ra nhân với tác động"
    return [
        Heading(2, "3. Phương pháp, thang đo"),
        paragraph(
            f"Mỗi rủi ro được chấm khả năng xảy ra (1 đến 5) và mức độ tác động (1 đến 5); mức độ nghiêm trọng theo "
            f"{matrix}. Thang đo và quy tắc được in đầy đủ tại Phụ lục IV."
        ),
        paragraph(
            f"Thiếu số liệu không làm giảm mức rủi ro: khi độ phủ số liệu dưới {percent(rule.coverage_floor)}, khả "
            f"năng xảy ra ít nhất là {rule.missing_likelihood} và rủi ro được ghi “{MISSING}”. Mức trong báo cáo là "
            "mức hiện tại do hệ thống đề xuất từ bằng chứng; người có trách nhiệm xác nhận hoặc điều chỉnh, ghi rõ "
            "lý do."
        ),
    ]


def _sources(facts: Facts) -> list[Block]:
    status = facts.status
    blocks: list[Block] = [Heading(2, "4. Nguồn số liệu và giới hạn")]
    if status.lines:
        state = (
            "đã xác minh toàn vẹn" if facts.verified else "KHÔNG xác minh được, cần làm rõ trước khi sử dụng báo cáo"
        )
        blocks += [paragraph(f"Sổ bằng chứng {state}. Đầu sổ lúc lập báo cáo:"), ledger_head(facts)]
    else:
        blocks.append(paragraph(f"Sổ bằng chứng chưa có dòng nào ({MISSING})."))
    enough = len(facts.controls) - len(facts.lacking)
    blocks.append(
        paragraph(
            f"{enough} trên {len(facts.controls)} nguồn số liệu có độ phủ từ "
            f"{percent(facts.register.rule.coverage_floor)} trở lên."
            + (" Các nguồn còn thiếu:" if facts.lacking else "")
        )
    )
    if facts.lacking:
        blocks.append(coverage_table(facts))
    blocks.append(
        paragraph(
            "Độ phủ là phần thời gian của kỳ mà hệ thống có kiểm tra và kiểm tra được. Năm đầu áp dụng, khả năng xảy ra chủ "
            "yếu dựa vào tình trạng các biện pháp, chưa có số liệu nhiều năm. Số liệu do đơn vị cung cấp dịch vụ nắm giữ mà "
            "chưa gửi được coi là không rõ, không coi là tốt."
        )
    )
    blocks += [plain(f"Lưu ý về ngưỡng: {note.vi}.") for note in status.notes]
    return blocks


def ledger_head(facts: Facts) -> Table:
    """How many lines the ledger had, and the root over them."""
    columns = (Column("Số dòng", 28, "center"), Column("Mã gốc (SHA-256)", 132, "center"))
    return Table(columns, ((str(facts.status.lines), facts.status.root),), 11)


def coverage_table(facts: Facts) -> Table:
    """The sources of which too little was seen, the least seen first."""
    rows = []
    for item in facts.lacking:
        remark = MISSING
        if not item.built:
            remark = f"{MISSING}: chưa được theo dõi"
        elif not item.subjects:
            remark = f"{MISSING}: chưa có lần kiểm tra nào"
        rows.append((facts.register.name(item.duty).vi, percent(item.coverage), remark))
    columns = (Column("Nguồn số liệu", 76), Column("Độ phủ", 16, "center"), Column("Ghi chú", 68))
    return Table(columns, tuple(rows), 12)
