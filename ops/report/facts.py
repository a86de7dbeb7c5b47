"""All that the annual risk report is built from, read once: controls, judged rows, counts. Pure over the view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ops.duty import Check, Duty, View
from ops.model import Evidence, Verdict, worst
from ops.report.period import told, year_of
from ops.risk import Control, RiskRow, control, judge
from ops.risk_data import Band, Named, Register
from ops.status import SiteStatus

MISSING = "thiếu dữ liệu"
NOBODY = "chưa phân công"
BLANK = "……"
WORDS = {
    Verdict.MET: "Đạt",
    Verdict.AT_RISK: "Cảnh báo",
    Verdict.BROKEN: "Không đạt",
    Verdict.UNSEEN: "Chưa kiểm tra được",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """The reading. `rows`: in the order of the register; `worst_first`: by score, then by code."""

    status: SiteStatus
    register: Register
    start: datetime
    end: datetime
    now: datetime
    verified: bool
    controls: Mapping[str, Control]
    rows: tuple[RiskRow, ...]
    breaches: tuple[Evidence, ...]

    @property
    def year(self) -> int:
        """The year by which the period is called."""
        return year_of(self.end)

    @property
    def label(self) -> str:
        """The period in words."""
        return told(self.start, self.end, self.now).vi

    @property
    def worst_first(self) -> list[RiskRow]:
        """Rows by level and score, the worst first; of equals, those that rest on evidence before the unseen ones."""
        order = {row.row.id: index for index, row in enumerate(self.rows)}
        return sorted(self.rows, key=lambda row: (-row.level.lowest, -row.score, row.missing, order[row.row.id]))

    @property
    def lacking(self) -> list[Control]:
        """Controls of which too little was seen, the least seen first."""
        floor = self.register.rule.coverage_floor
        found = [item for item in self.controls.values() if item.coverage < floor]
        return sorted(found, key=lambda item: (item.coverage, item.duty))

    def of_kind(self, kind: Named) -> list[RiskRow]:
        """The rows of one kind."""
        return [row for row in self.rows if row.row.kind == kind.id]

    def at(self, band: Band) -> list[RiskRow]:
        """The rows at one level."""
        return [row for row in self.rows if row.level.id == band.id]

    def cited(self) -> dict[str, Evidence]:
        """Every line that the report cites, by id, in the order of the ledger."""
        lines = {line.id: line for item in self.controls.values() for line in item.evidence}
        lines.update({line.id: line for line in self.breaches})
        return dict(sorted(lines.items(), key=lambda entry: entry[1].seq))

    def private(self, duty: str) -> bool:
        """True when the subjects of a duty name persons and must not be printed."""
        return duty in self.controls and self.controls[duty].private


def gather(
    status: SiteStatus,
    view: View,
    duties: Mapping[str, Duty],
    register: Register,
    now: datetime,
    start: datetime,
    end: datetime,
    verified: bool,
) -> Facts:
    """Reads everything once. Duties that the register does not know are read too: nothing built stays untold."""
    until = min(end, now)
    at_end = replace(status, at=now)
    names = [name for row in register.rows for name in (*row.key, *row.support)]
    names += [name for capability in register.capabilities for name in capability.duties]
    names += sorted(name for name, duty in duties.items() if isinstance(duty, Check))
    controls = {name: control(name, at_end, view, duties, start, until) for name in dict.fromkeys(names)}
    rows = tuple(
        judge(row, [controls[name] for name in row.key], [controls[name] for name in row.support], register)
        for row in register.rows
    )
    flips = view.evidence(status.site.id, kind="flip", since=start, until=until)
    breaches = tuple(line for line in flips if line.body.get("verdict") == Verdict.BROKEN)
    return Facts(at_end, register, start, end, now, verified, controls, rows, breaches)


def verdict_of(facts: Facts, duties: tuple[str, ...]) -> Verdict:
    """The worst verdict of some controls at the end of the period."""
    return worst([facts.controls[name].verdict for name in duties])
