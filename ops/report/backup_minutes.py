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
from ops.report.annual_risk import parent_lines
from ops.report.backup_facts import LEVELS, BackupFacts, Copying, Look, gather
from ops.report.backup_findings import findings, kept
from ops.report.backup_tables import LEVEL, copies_table, drills_table, elsewhere, looks_table, weeks_table
from ops.report.facts import BLANK
from ops.report.period import paper_date, told
from ops.report.tree import (
    Block,
    Closing,
    Document,
    Heading,
    Letterhead,
    Note,
    Signature,
    balanced,
    paragraph,
    plain,
)
from ops.status import SiteStatus

ABOUT = ("backup", "restore_site")


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
        _letterhead(facts, (what, *balanced(whose, 62))),
        _warnings(facts),
        (*_opening(facts), *_body(facts), *_ending(facts)),
        _closing(facts),
        (),
        _data(facts, f"{what} {whose}"),
    )


def _letterhead(facts: BackupFacts, subject: tuple[str, ...]) -> Letterhead:
    office = facts.status.site.office
    return Letterhead(
        parent=parent_lines(nfc(office.parent or "ỦY BAN NHÂN DÂN ……").upper()),
        issuer=balanced(nfc(office.issuer or "BAN BIÊN TẬP").upper(), 22),
        number=f"Số:      /BB-{office.symbol}",
        place_date=f"{nfc(office.place) or '……'}, {paper_date(facts.now)}",
        mark="",
        kind="BIÊN BẢN",
        subject=subject,
        addressees=(),
    )


def _warnings(facts: BackupFacts) -> tuple[Note, ...]:
    if facts.verified:
        return ()
    return (
        Note(
            "CẢNH BÁO: Sổ bằng chứng không xác minh được (có dòng bị sửa, mất hoặc sai chữ ký). Không ký biên bản này "
            "trước khi làm rõ nguyên nhân."
        ),
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
        paragraph(f"{counted} Số ngày có bản sao được chứng minh trong mỗi tuần, so với yêu cầu {facts.demanded} ngày:"),
        weeks_table(facts),
    ]
    if facts.newest:
        with_what = f" (công cụ: {', '.join(programs)})" if programs else ""
        rang = any(run.evidence in facts.alarms for run in facts.newest.values())
        calm = "; bản có báo động ghi “Đáng ngờ” kèm dòng sổ, dưới đó là bản mới nhất không có báo động" if rang else ""
        blocks += [plain(f"Bản sao mới nhất của từng bộ{with_what}{calm}:"), copies_table(facts)]
    return [
        *blocks,
        Heading(1, "II. Tính toàn vẹn, sẵn sàng và diễn tập khôi phục"),
        *looks_table(facts),
        *drills_table(facts),
        Heading(1, "III. Nơi cất thứ hai, bất thường, việc đã làm"),
        *elsewhere(facts),
    ]


def _ending(facts: BackupFacts) -> list[Block]:
    found = findings(facts)
    text = {
        Verdict.MET: "việc sao lưu trong kỳ **đạt yêu cầu** của quy chế",
        Verdict.BROKEN: "việc sao lưu trong kỳ **chưa đạt yêu cầu** của quy chế",
        Verdict.UNSEEN: "**chưa đủ số liệu để kết luận** việc sao lưu trong kỳ đạt yêu cầu",
    }[kept(facts)]
    blocks: list[Block] = [Heading(1, "IV. Tồn tại, kiến nghị, kết luận")]
    blocks += [plain(f"{one}{';' if one is not found[-1] else '.'}", item=True) for one in found]
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


def _closing(facts: BackupFacts) -> Closing:
    office = facts.status.site.office
    leader = tuple(word for word in (office.authority, office.title) if word) or ("LÃNH ĐẠO",)
    filed = () if any(name.startswith("Lưu") for name in office.recipients) else (f"Lưu: VT, {office.unit or 'Tổ chuyên trách'}",)
    return Closing(
        (*office.recipients, *filed),
        signatures=(
            Signature(("NGƯỜI LẬP BIÊN BẢN",)),
            Signature(("NGƯỜI KIỂM TRA",)),
            Signature(leader, office.signer),
        ),
    )


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
        "period": {"start": stamp(facts.start), "end": stamp(facts.end), "name": facts.label, "open": facts.now < facts.end},
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
        "alarms": {run: {"set": one.set, "evidence": one.evidence, "by": one.by, "reason": one.reason, "cleared": one.cleared}
                   for run, one in facts.alarms.items()},
        "drills": [_look(look) for look in facts.drills],
        "looks": {
            duty: {subject: _look(looks[-1]) for subject, looks in facts.of(duty).items()}
            for duty in sorted({look.duty for look in facts.looks})
        },
        "other": [{"evidence": line.id, "change": line.duty, "outcome": line.body.get("outcome")} for line in facts.other],
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
    return {name: value for name, value in measures.items() if isinstance(value, int | float) and value == value
            and abs(value) != float("inf")}


