"""Sections IV to VIII: the six kinds, the summary with its map, capabilities, plan, proposals, and who answers."""

from __future__ import annotations

from ops.moment import human
from ops.report.facts import BLANK, MISSING, NOBODY, WORDS, Facts, verdict_of
from ops.report.figure import heat_map
from ops.report.summary import decisions_table
from ops.report.tree import Block, Column, Figure, Heading, Paragraph, Table, paragraph
from ops.risk import RiskRow, percent
from ops.risk_data import Named

SHOWN = 2


def judgement(facts: Facts) -> list[Block]:
    """IV. All six kinds, whether or not anything was seen of them."""
    blocks: list[Block] = [
        Heading(1, "IV. Đánh giá rủi ro"),
        paragraph(
            "Mức dưới đây là mức hiện tại, do hệ thống đề xuất từ bằng chứng. Số trong ngoặc ở cột bằng chứng là số dòng "
            "chưa in ở đây; chi tiết từng rủi ro tại Phụ lục I, mã băm tại Phụ lục II."
        ),
    ]
    for number, kind in enumerate(facts.register.kinds, 1):
        blocks.append(Heading(2, f"{number}. {kind.name.vi}"))
        blocks += _kind(kind, facts)
    number = len(facts.register.kinds) + 1
    blocks.append(Heading(2, f"{number}. Bảng tổng hợp mức độ nghiêm trọng, so với năm trước"))
    return blocks + _overview(facts)


def _kind(kind: Named, facts: Facts) -> list[Block]:
    rows = facts.of_kind(kind)
    if not rows:
        share = max((item.coverage for item in facts.controls.values()), default=0.0)
        return [
            paragraph(
                f"Không ghi nhận rủi ro nào thuộc nhóm này; độ phủ số liệu {percent(share)}"
                + (f" (**{MISSING}**)." if share < facts.register.rule.coverage_floor else ".")
            )
        ]
    table = Table(_COLUMNS, tuple(_cells(row) for row in rows), 11)
    blocks: list[Block] = [table, *(_why(row) for row in rows)]
    if kind.id == "R6":
        rated = tuple(row.row.id.rsplit("-", 1)[0] for row in rows)
        left = [
            f"{item.id} {item.name.vi[:1].lower()}{item.name.vi[1:]}"
            for item in facts.register.subkinds
            if item.id not in rated
        ]
        if left:
            blocks.append(
                paragraph(
                    f"Các nguy cơ chưa có nguồn số liệu tự động, chưa chấm điểm (**{MISSING}**), đề nghị "
                    f"Tổ chuyên trách đánh giá bổ sung: {'; '.join(left)}."
                )
            )
    return blocks


_COLUMNS = (
    Column("Mã", 19),
    Column("Nguy cơ", 47),
    Column("Khả năng", 15, "center"),
    Column("Tác động", 15, "center"),
    Column("Mức độ nghiêm trọng (điểm)", 26, "center"),
    Column("Hiệu quả biện pháp", 17, "center"),
    Column("Bằng chứng", 21),
)


def _cells(row: RiskRow) -> tuple[str, ...]:
    level = f"{row.level.name.vi} ({row.score})" + (f"\n{MISSING}" if row.missing else "")
    return (
        row.row.id,
        row.row.threat.vi,
        str(row.likelihood),
        str(row.impact),
        level,
        row.effectiveness.vi,
        cites(row),
    )


def cites(row: RiskRow, most: int = SHOWN) -> str:
    """The newest evidence of a row, one id a line; the rest is in the appendix."""
    ids = [line.id for line in row.evidence]
    if not ids:
        return MISSING
    more = f"\n(+{len(ids) - most})" if len(ids) > most else ""
    return "\n".join(ids[-most:]) + more


def _why(row: RiskRow) -> Paragraph:
    return paragraph(f"**{row.row.id}:** " + "; ".join(reason.vi for reason in row.reasons) + ".", item=True)


def _overview(facts: Facts) -> list[Block]:
    bands = facts.register.bands
    rows = []
    for kind in facts.register.kinds:
        mine = facts.of_kind(kind)
        counts = [str(sum(row.level.id == band.id for row in mine)) for band in bands]
        top = max(mine, key=lambda row: (row.level.lowest, row.score), default=None)
        lacking = str(sum(row.missing for row in mine)) if mine else MISSING
        rows.append((f"{kind.id}. {kind.name.vi}", *counts, lacking, top.level.name.vi if top else MISSING, "–"))
    columns = (
        Column("Nhóm rủi ro", 58),
        *(Column(band.name.vi, 15, "center") for band in bands),
        Column("Thiếu dữ liệu", 14, "center"),
        Column("Mức cao nhất", 16, "center"),
        Column("Năm trước", 12, "center"),
    )
    told = "; ".join(
        f"{row.row.id}: khả năng {row.likelihood}, tác động {row.impact}, mức {row.level.name.vi.lower()}"
        for row in facts.rows
    )
    caption = "Hình 1. Bản đồ rủi ro; dấu * là rủi ro thiếu dữ liệu"
    return [
        Table(columns, tuple(rows), 11),
        Figure(
            heat_map(facts.rows, facts.register),
            f"Bản đồ rủi ro theo khả năng xảy ra và tác động. {told}.",
            150,
            caption,
        ),
        paragraph(f"So với năm trước: chưa có báo cáo năm trước trong hệ thống ({MISSING})."),
    ]


def capability(facts: Facts) -> list[Block]:
    """V. The four capabilities as the controls show them."""
    rows = []
    for item in facts.register.capabilities:
        verdict = verdict_of(facts, item.duties)
        lacking = [name for name in item.duties if facts.controls[name].coverage < facts.register.rule.coverage_floor]
        broken = [name for name in item.duties if facts.controls[name].verdict == "broken"]
        gaps = [f"không đạt: {facts.register.name(name).vi}" for name in broken]
        gaps += [f"{MISSING}: {facts.register.name(name).vi}" for name in lacking if name not in broken]
        state = WORDS[verdict] if not lacking or broken else MISSING.capitalize()
        rows.append(
            (
                item.name.vi,
                f"{len(item.duties) - len(lacking)}/{len(item.duties)}",
                state,
                "\n".join(gaps) or "chưa thấy",
            )
        )
    columns = (
        Column("Năng lực", 26),
        Column("Biện pháp đủ số liệu", 24, "center"),
        Column("Tình trạng", 28, "center"),
        Column("Khoảng trống", 82),
    )
    return [
        Heading(1, "V. Năng lực phòng ngừa, phát hiện, ứng phó, khắc phục"),
        Table(columns, tuple(rows), 11),
        paragraph(f"Nhân lực, tập huấn, diễn tập (do Tổ chuyên trách bổ sung): {BLANK}"),
    ]


def treatment(facts: Facts) -> list[Block]:
    """VI. What will be done about every risk above the lowest level."""
    rows = [
        (row.row.id, row.level.name.vi, row.row.measure.vi, NOBODY, row.level.due.vi, BLANK, BLANK)
        for row in facts.worst_first
        if row.level.id != facts.register.bands[0].id
    ]
    columns = (
        Column("Mã", 19),
        Column("Mức", 17, "center"),
        Column("Biện pháp", 52),
        Column("Người phụ trách", 22, "center"),
        Column("Thời hạn", 20, "center"),
        Column("Kinh phí", 15, "center"),
        Column("Mức còn lại", 15, "center"),
    )
    blocks: list[Block] = [Heading(1, "VI. Kế hoạch xử lý rủi ro")]
    if not rows:
        return [*blocks, paragraph("Các rủi ro đều ở mức thấp: chấp nhận và tiếp tục theo dõi.")]
    return [
        *blocks,
        paragraph("Thời hạn tính từ ngày Trưởng Ban Biên tập phê duyệt kế hoạch."),
        Table(columns, tuple(rows), 11),
    ]


def proposals(facts: Facts) -> list[Block]:
    """VII. Decisions asked for, and what the owner of the platform must do."""
    return [
        Heading(1, "VII. Kiến nghị, đề xuất"),
        Heading(2, "1. Kiến nghị với Ủy ban nhân dân xã"),
        decisions_table(facts),
        Heading(2, "2. Kiến nghị với đơn vị quản lý nền tảng, đơn vị cung cấp dịch vụ"),
        paragraph(
            "Cung cấp định kỳ bằng chứng về sao lưu, nhật ký truy cập, vá lỗi và quét mã độc đối với phần hạ tầng do "
            f"đơn vị quản lý. Nội dung khác: {BLANK}"
        ),
        Heading(2, "3. Đề xuất nâng cấp"),
        paragraph(f"Phương án bảo đảm hạ tầng, biện pháp kỹ thuật và nâng cấp trong năm tới: {BLANK}"),
    ]


def pledge(facts: Facts) -> list[Block]:
    """VIII. Who measured, who reviewed; they must be different people."""
    when = facts.now
    unit = facts.status.site.office.unit or "Tổ chuyên trách giúp việc Ban Biên tập"
    return [
        Heading(1, "VIII. Cam kết về số liệu"),
        paragraph(
            f"Số liệu do hệ thống gaccong thu thập tự động và lập báo cáo lúc {human(when)}; mỗi kết luận kèm mã bằng "
            "chứng trong sổ chỉ ghi thêm, không sửa được (Phụ lục II). Phần để trống (……) do người có trách nhiệm ghi."
        ),
        Table(
            (Column("Nội dung", 50), Column("Người thực hiện", 60), Column("Ngày, ký tên", 50)),
            (
                (f"Đo, lập báo cáo: {unit}", BLANK, BLANK),
                ("Rà soát độc lập (không phải người lập, không vận hành trang)", BLANK, BLANK),
            ),
            12,
        ),
        paragraph(
            "Báo cáo mô tả điểm yếu của hệ thống, chỉ lưu hành nội bộ, không đăng tải công khai. Trên đây là báo cáo "
            f"đánh giá rủi ro an toàn thông tin năm {facts.year}./."
        ),
    ]
