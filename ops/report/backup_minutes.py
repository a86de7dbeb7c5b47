"""Builds the minutes of a backup verification (Biên bản kiểm tra sao lưu, TN-10.1.c and .d) of a month or so.

Every number comes out of the ledger and stands beside the evidence that holds it. What people must say (who came, where,
what else was asked for) is left open. The conclusion is proposed; those who sign confirm or change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops.duty import View
from ops.model import Verdict, nfc
from ops.moment import human, stamp
from ops.report.backup_facts import LEVELS, BackupFacts, Copying, Look, gather
from ops.report.backup_findings import FEW, findings, held, kept, kinds_table
from ops.report.backup_tables import (
    LEVEL,
    SIZE,
    copies_table,
    counted,
    done,
    drills_table,
    looks_table,
    weeks_table,
)
from ops.report.facts import BLANK
from ops.report.paper import letterhead, signed_by, warnings
from ops.report.period import told
from ops.report.tree import Appendix, Block, Column, Document, Heading, Table, balanced, paragraph, plain
from ops.status import SiteStatus

ABOUT = ("backup", "restore_site")
FEW_ACTS = 2
"""Up to so many kinds of acts are told one by one; of more the paper counts, and the annex tells."""
LONGEST = 80
"""Rows of the annex; the JSON has all."""


def backup_minutes(
    status: SiteStatus, view: View, now: datetime, *, start: datetime, end: datetime, name: str, verified: bool
) -> Document:
    """The minutes over [start, end), or up to `now` while it is not over. `name`: the period in words (`tháng 11 năm 2026`).

    verified: the ledger verifies; if not, a frame on page 1 says so.
    """
    facts = gather(status, view, now, start, end, name, verified)
    office = status.site.office
    what, whose = "Kiểm tra sao lưu dữ liệu", f"{nfc(status.site.name)} {name}"
    return Document(
        "backup_minutes",
        f"{what} {whose}",
        office.issuer or office.unit,
        now,
        letterhead(office, now, "BIÊN BẢN", "BB", (what, *balanced(whose, 62))),
        warnings(verified, "Sổ bằng chứng", "Không ký biên bản này"),
        (*_opening(facts), *_body(facts), *_ending(facts)),
        signed_by(office, ("NGƯỜI LẬP BIÊN BẢN", "NGƯỜI KIỂM TRA")),
        annex(facts),
        _data(facts, f"{what} {whose}"),
    )


def _opening(facts: BackupFacts) -> list[Block]:
    site, policy = facts.status.site, facts.status.policy
    cites = _cites(facts)
    period = told(facts.start, facts.end, facts.now).vi.replace("thời điểm lập báo cáo", human(facts.now))
    return [
        plain(
            f"Căn cứ {cites}{' ' if cites else ''}{policy.name.vi}; số liệu sao lưu của {site.url} {period}, do gaccong ghi "
            f"tự động vào sổ bằng chứng có chữ ký số (dấu # là số dòng trong sổ “{site.id}”)."
        ),
        paragraph(f"Thời gian kiểm tra: …… giờ ……, ngày …… tháng …… năm ……. Địa điểm: {BLANK}{BLANK}"),
        paragraph(
            f"Thành phần: người lập {BLANK}{BLANK} (chức vụ {BLANK}); người kiểm tra {BLANK}{BLANK} (chức vụ {BLANK}); "
            f"đại diện lãnh đạo {BLANK}{BLANK} (chức vụ {BLANK})."
        ),
    ]


def _cites(facts: BackupFacts) -> str:
    """The clauses that are about copies and nothing else: `điểm c, điểm d khoản 1 Điều 10`."""
    points: dict[str, list[str]] = {}
    for item in facts.status.clauses:
        duties = {answer.duty for answer in item.answers if not answer.duty.startswith("attest:")}
        if item.clause.cite.vi and duties and all(one.partition(".")[0] in ABOUT for one in duties):
            point, _, rest = item.clause.cite.vi.partition(" khoản ")
            if rest:
                points.setdefault(f"khoản {rest}", []).append(point)
            else:
                points.setdefault(point, [])
    return "; ".join(f"{', '.join(dict.fromkeys(found))} {where}".strip() for where, found in points.items())


def _body(facts: BackupFacts) -> list[Block]:
    due = [run for run in facts.runs if facts.start <= run.started < facts.end]
    runs = [run for run in due if not run.refused]
    proved = sum(run.proved for run in runs)
    counted = (
        f"Trong kỳ có **{len(runs)}** lần chạy sao lưu, **{proved}** lần được chứng minh bằng cách đọc lại"
        + (f", {len(runs) - proved} lần không." if len(runs) > proved else ".")
        if runs
        else "Trong kỳ sổ bằng chứng **không có lần chạy sao lưu nào**."
    ) + (f" Ngoài ra {len(due) - len(runs)} lần đến hạn bị từ chối, không chạy." if len(due) > len(runs) else "")
    programs = list(dict.fromkeys(program for run in runs for program in run.programs))
    blocks: list[Block] = [
        Heading(1, "I. Kết quả sao lưu"),
        paragraph(
            f"{counted} Số ngày có bản sao được chứng minh trong mỗi tuần, so với yêu cầu {facts.demanded} ngày:"
        ),
        weeks_table(facts),
    ]
    if facts.newest:
        with_what = f" (công cụ: {', '.join(programs)})" if programs else ""
        rang = any(run.evidence in facts.alarms for run in facts.newest.values())
        calm = "; bản có báo động ghi “Đáng ngờ” kèm dòng sổ, dưới đó là bản mới nhất không có báo động" if rang else ""
        blocks += [plain(f"Bản sao mới nhất của từng bộ{with_what}{calm}:"), copies_table(facts)]
    return [
        *blocks,
        *_acts(facts),
        Heading(1, "II. Kiểm tra bản sao và diễn tập khôi phục"),
        *looks_table(facts),
        *drills_table(facts),
    ]


def _acts(facts: BackupFacts) -> list[Block]:
    """What else was done to copies."""
    told = done(facts)
    if len(told) > FEW_ACTS:
        return [plain(f"Việc khác đã làm với bản sao: {counted(facts)}. Chi tiết ở Phụ lục.")]
    return [plain(f"Việc khác đã làm với bản sao: {one}") for one in told]


def annex(facts: BackupFacts) -> tuple[Appendix, ...]:
    """What did not fit: every finding and every act, when the paper only counts them."""
    every, acts = held(facts), done(facts)
    blocks: list[Block] = []
    number = (Column("TT", 10, "center"), Column("Nội dung", 150))
    if len(every) > FEW:
        rows = tuple((str(count), one.text) for count, one in enumerate(every[:LONGEST], 1))
        if len(every) > LONGEST:
            rows = (*rows, ("…", f"và {len(every) - LONGEST} điều khác, xem tệp JSON của biên bản hoặc sổ bằng chứng"))
        blocks += [Heading(2, "1. Từng tồn tại"), Table(number, rows, SIZE)]
    if len(acts) > FEW_ACTS:
        rows = tuple((str(count), text) for count, text in enumerate(acts, 1))
        blocks += [Heading(2, f"{2 if blocks else 1}. Từng loại việc đã làm"), Table(number, rows, SIZE)]
    return (Appendix("", "Chi tiết kèm biên bản", tuple(blocks)),) if blocks else ()


def _ending(facts: BackupFacts) -> list[Block]:
    found = held(facts)
    text = {
        Verdict.MET: "việc sao lưu trong kỳ **đạt yêu cầu** của quy chế",
        Verdict.AT_RISK: "số lần sao lưu, kiểm tra và diễn tập trong kỳ đủ theo quy chế, nhưng **còn báo động chưa có người "
        "trả lời**: phải xử lý trước khi kết luận đạt",
        Verdict.BROKEN: "việc sao lưu trong kỳ **chưa đạt yêu cầu** của quy chế",
        Verdict.UNSEEN: "**chưa đủ số liệu để kết luận** việc sao lưu trong kỳ đạt yêu cầu",
    }[kept(facts)]
    blocks: list[Block] = [Heading(1, "III. Tồn tại, kiến nghị, kết luận")]
    if len(found) > FEW:
        blocks += [paragraph(f"Trong kỳ có **{len(found)}** tồn tại, từng lần ở Phụ lục:"), kinds_table(found)]
    else:
        blocks += [plain(f"{one.text}{';' if one is not found[-1] else '.'}", item=True) for one in found]
    if not found:
        blocks.append(paragraph("Sổ bằng chứng không ghi nhận tồn tại nào trong kỳ."))
    blocks.append(paragraph(f"Kiến nghị, thời hạn, người thực hiện: {BLANK}{BLANK}{BLANK}"))
    head = f"{facts.status.lines} dòng, mã gốc {facts.status.root[:16]}…" if facts.status.lines else "chưa có dòng nào"
    state = "đã xác minh toàn vẹn" if facts.verified else "KHÔNG xác minh được"
    blocks.append(
        paragraph(
            f"Kết luận (hệ thống đề xuất, người ký xác nhận hoặc sửa): {text}. Sổ bằng chứng {state}: {head} (gaccong ledger verify). "
            "Biên bản được các bên đọc lại và thống nhất ký./."
        )
    )
    return blocks


# ---------------------------------------------------------------------- for machines


def _data(facts: BackupFacts, title: str) -> dict[str, Any]:
    status = facts.status
    return {
        "version": 1,
        "kind": "backup_minutes",
        "site": status.site.id,
        "policy": status.policy.id,
        "title": title,
        "made": stamp(facts.now),
        "period": {
            "start": stamp(facts.start),
            "end": stamp(facts.end),
            "name": facts.label,
            "open": facts.now < facts.end,
        },
        "ledger": {"lines": status.lines, "root": status.root, "verified": facts.verified},
        "demanded": {"days_per_week": facts.demanded, "levels": {level: LEVEL[level] for level in LEVELS}},
        "verdict": kept(facts).value,
        "weeks": [
            {
                "week": f"{week.monday.isocalendar().year}-W{week.monday.isocalendar().week:02d}",
                "state": week.state,
                "days": dict(week.days),
                "evidence": {level: list(ids) for level, ids in week.evidence.items()},
            }
            for week in facts.weeks
        ],
        "runs": [_run(run) for run in facts.runs if facts.start <= run.started < facts.end],
        "newest": {name: run.evidence for name, run in facts.newest.items()},
        "unsuspected": {name: run.evidence for name, run in facts.unsuspected.items()},
        "alarms": {
            run: {"set": one.set, "evidence": one.evidence, "by": one.by, "reason": one.reason, "cleared": one.cleared}
            for run, one in facts.alarms.items()
        },
        "drills": [_look(look) for look in facts.drills],
        "looks": {
            duty: {subject: _look(looks[-1]) for subject, looks in facts.of(duty).items()}
            for duty in sorted({look.duty for look in facts.looks})
        },
        "other": [
            {"evidence": line.id, "change": line.duty, "outcome": line.body.get("outcome")} for line in facts.other
        ],
        "findings": findings(facts),
    }


def _run(run: Copying) -> dict[str, Any]:
    return {
        "set": run.set,
        "level": run.level or None,
        "started": stamp(run.started),
        "outcome": run.outcome,
        "snapshot": run.snapshot,
        "files": run.files,
        "bytes": run.bytes,
        "evidence": run.evidence,
        "programs": list(run.programs),
    }


def _look(look: Look) -> dict[str, Any]:
    return {
        "subject": look.subject,
        "time": stamp(look.time),
        "verdict": look.verdict.value,
        "detail": look.detail,
        "measures": _finite(look.measures),
        "evidence": look.evidence,
    }


def _finite(measures: Mapping[str, float]) -> dict[str, float]:
    return {
        name: value
        for name, value in measures.items()
        if isinstance(value, int | float) and value == value and abs(value) != float("inf")
    }
