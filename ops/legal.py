"""The dated table of laws behind the regulations (`ops/legal.toml`): which of them held on a given day.

A regulation cites laws that are later replaced, and then the new one applies; so a paper takes its legal basis from
here by date, never from a constant. `status` says how the state of a law was learnt; nothing here is legal advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from ops.model import Text, say
from ops.tables import Table, parse

LEGAL = Path(__file__).parent / "legal.toml"
MARKS = ("verified", "secondary", "memory")
_KINDS = {"NĐ": "Nghị định", "TT": "Thông tư", "QĐ": "Quyết định"}


@dataclass(frozen=True, slots=True)
class Law:
    """One law, decree, circular or standard. `status`: how its state was learnt; `memory`: fields known by heart only.

    binds_all: it applies to every portal, whether or not the regulation cites it.
    """

    id: str
    title: Text
    in_force: date | None
    ended: date | None
    replaces: tuple[str, ...]
    replaced_by: tuple[str, ...]
    status: str
    cited_by: tuple[str, ...]
    topics: tuple[str, ...]
    binds_all: bool
    memory: tuple[str, ...]
    note: Text

    def holds(self, on: date) -> bool:
        """True on every day from `in_force` (unknown: since ever) to the day before `ended`."""
        return (self.in_force is None or self.in_force <= on) and (self.ended is None or on < self.ended)

    @property
    def formal(self) -> str:
        """As a Vietnamese paper names it at first: `Nghị định số 30/2020/NĐ-CP về công tác văn thư`."""
        kind, _, number = self.id.partition(" ")
        if kind == "Luật":
            return f"{self.title.vi.partition(' (')[0]} số {number}"
        if kind not in _KINDS:
            return f"{self.id} ({self.title.vi})"
        return f"{_KINDS[kind]} số {number}{self.title.vi.removeprefix(_KINDS[kind])}"

    @property
    def validity(self) -> Text:
        """`có hiệu lực từ 01/07/2026` / `in force from 2026-07-01`, with the end where it is known."""
        start = say("chưa ghi nhận ngày có hiệu lực", "start not recorded")
        if self.in_force is not None:
            start = say("có hiệu lực từ {d}", "in force from {e}", d=f"{self.in_force:%d/%m/%Y}", e=self.in_force)
        if self.ended is None:
            return start
        end = say("hết hiệu lực từ {d}", "ended on {e}", d=f"{self.ended:%d/%m/%Y}", e=self.ended)
        return Text(f"{start.vi}, {end.vi}", f"{start.en}, {end.en}")


@cache
def laws() -> tuple[Law, ...]:
    """The whole table of laws, as `ops/legal.toml` has it. Raises PolicyError."""
    return read_laws(LEGAL)


def read_laws(path: Path) -> tuple[Law, ...]:
    """The laws written in this file. Raises PolicyError, also for a reference to a law that is not there."""
    top = Table(parse(path), path)
    tables = list(top.tables("law"))
    found = tuple(_law(table) for table in tables)
    top.done()
    known = [law.id for law in found]
    for law, table in zip(found, tables, strict=True):
        lost = [other for other in (*law.replaces, *law.replaced_by) if other not in known]
        if lost or known.count(law.id) > 1:
            raise table.refuse(
                say("số hiệu lạ hoặc viết hai lần: {x}", "unknown or doubled number: {x}", x=", ".join(lost) or law.id),
                say("sửa số hiệu", "mend the number"),
            )
    return found


def _law(table: Table) -> Law:
    table.where = law_id = table.word("id")
    law = Law(
        law_id,
        table.text("title"),
        table.day("in_force"),
        table.day("ended"),
        table.words("replaces"),
        table.words("replaced_by"),
        table.one("status", MARKS),
        table.words("cited_by"),
        table.words("topics"),
        table.flag("binds_all"),
        table.words("memory"),
        table.text("note") if "note" in table.data else Text("", ""),
    )
    table.done()
    return law


def legal_basis(on: date, policy_id: str) -> list[Law]:
    """The laws in force on that day for that policy: cited, succeeding a cited one, or binding all; oldest first."""
    return [law for law in _bearing(policy_id) if law.holds(on)]


def lapsed(on: date, policy_id: str) -> list[Law]:
    """The laws that the regulation itself cites and that had ended by that day; `replaced_by` says what came."""
    return [law for law in laws() if policy_id in law.cited_by and law.ended is not None and law.ended <= on]


def _bearing(policy_id: str) -> list[Law]:
    table = {law.id: law for law in laws()}
    wanted = [law.id for law in laws() if law.binds_all or policy_id in law.cited_by]
    for law_id in wanted:
        after = [*table[law_id].replaced_by, *(law.id for law in laws() if law_id in law.replaces)]
        wanted.extend(other for other in after if other not in wanted)
    return sorted((table[law_id] for law_id in wanted), key=lambda law: (law.in_force or date.min, law.id))
