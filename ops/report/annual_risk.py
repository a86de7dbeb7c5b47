"""Builds the annual risk report of a site: all six kinds of danger, each with likelihood, impact, level and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops import risk_data
from ops.duty import Duty, View
from ops.model import Office, Text, nfc
from ops.moment import stamp
from ops.report.appendices import appendices
from ops.report.facts import Facts, gather
from ops.report.judgement import capability, judgement, pledge, proposals, treatment
from ops.report.paper import addressed, closing, letterhead, warnings
from ops.report.period import told
from ops.report.summary import basis, decisions, summary
from ops.report.tree import Block, Document, balanced
from ops.report.year import year
from ops.risk import Control, RiskRow
from ops.risk_data import Register
from ops.status import SiteStatus


def annual_risk(
    status: SiteStatus,
    view: View,
    duties: Mapping[str, Duty],
    now: datetime,
    *,
    start: datetime,
    end: datetime,
    verified: bool,
    register: Register | None = None,
) -> Document:
    """The report over [start, end), or up to `now` while the period is not over. `verified`: the ledger verifies."""
    facts = gather(status, view, duties, register or risk_data.load(), now, start, end, verified)
    body: list[Block] = [
        *summary(facts),
        *basis(facts),
        *year(facts),
        *judgement(facts),
        *capability(facts),
        *treatment(facts),
        *proposals(facts),
        *pledge(facts),
    ]
    office = status.site.office
    what, whose = "Đánh giá rủi ro an toàn thông tin", f"{nfc(status.site.name)} năm {facts.year}"
    title = f"{what} {whose}"
    return Document(
        "annual_risk",
        title,
        office.issuer or office.unit,
        now,
        letterhead(
            office,
            now,
            "BÁO CÁO",
            "BC",
            (what, *balanced(whose, 62)),
            mark="LƯU HÀNH NỘI BỘ",
            addressees=_addressees(office),
        ),
        warnings(verified, "Sổ bằng chứng của trang", "Không sử dụng số liệu trong báo cáo này để kết luận"),
        tuple(body),
        closing(office, ("Như trên",)),
        appendices(facts),
        _data(facts, title),
    )


def _addressees(office: Office) -> tuple[str, ...]:
    """Above the signer: the body's superior, and the head of the board unless it is he who signs."""
    above = addressed(office.parent) if office.parent else "Ủy ban nhân dân xã"
    return (above,) if "TRƯỞNG BAN" in office.title.upper() else ("Trưởng Ban Biên tập", above)


def _data(facts: Facts, title: str) -> dict[str, Any]:
    status, site = facts.status, facts.status.site
    return {
        "version": 1,
        "kind": "annual_risk",
        "site": site.id,
        "policy": status.policy.id,
        "title": title,
        "made": stamp(facts.now),
        "period": {
            "start": stamp(facts.start),
            "end": stamp(facts.end),
            "year": facts.year,
            "open": facts.now < facts.end,
            "label": told(facts.start, facts.end, facts.now).json(),
        },
        "ledger": {"lines": status.lines, "root": status.root, "verified": facts.verified},
        "levels": {band.id: [row.row.id for row in facts.at(band)] for band in facts.register.bands},
        "missing": [row.row.id for row in facts.rows if row.missing],
        "kinds": [
            {"id": kind.id, "name": kind.name.json(), "rows": [row.row.id for row in facts.of_kind(kind)]}
            for kind in facts.register.kinds
        ],
        "rows": [_row(row) for row in facts.rows],
        "controls": {name: _control(item, facts) for name, item in facts.controls.items()},
        "decisions": [{"text": text, "risks": codes.split(", ")} for text, codes in decisions(facts)],
        "clauses": {item.clause.id: item.verdict.value for item in status.clauses},
        "evidence": {
            line.id: {"time": stamp(line.time), "kind": line.kind, "duty": line.duty, "leaf": line.leaf}
            for line in facts.cited().values()
        },
        "matrix": [[facts.register.band(high, wide).id for wide in range(1, 6)] for high in range(1, 6)],
    }


def _row(row: RiskRow) -> dict[str, Any]:
    return {
        "id": row.row.id,
        "kind": row.row.kind,
        "threat": row.row.threat.json(),
        "asset": row.row.asset.json(),
        "likelihood": row.likelihood,
        "impact": row.impact,
        "score": row.score,
        "level": row.level.id,
        "level_name": row.level.name.json(),
        "effectiveness": row.effectiveness.json(),
        "missing": row.missing,
        "coverage": round(row.coverage, 6),
        "reasons": [_text(reason) for reason in row.reasons],
        "evidence": [line.id for line in row.evidence],
        "owner": None,
        "clauses": list(row.row.clauses),
        "measure": row.row.measure.json(),
        "key": list(row.row.key),
        "support": list(row.row.support),
    }


def _text(value: Text) -> dict[str, Any]:
    return value.json()


def _control(item: Control, facts: Facts) -> dict[str, Any]:
    ratio = item.sums.ratio
    return {
        "name": facts.register.name(item.duty).json(),
        "built": item.built,
        "verdict": item.verdict.value,
        "coverage": round(item.coverage, 6),
        "ratio": None if ratio is None else round(ratio, 6),
        "outages": item.sums.outages,
        "longest_outage_seconds": item.sums.longest_outage_seconds,
        "at_risk_seconds": item.at_risk_seconds,
        "subjects": len(item.subjects),
        "evidence": [line.id for line in item.evidence],
    }
