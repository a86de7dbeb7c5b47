"""Policies: what a commune's regulation demands, clause by clause, and who or what answers for each clause.

A policy is one file `ops/policies/<id>.toml`; a new regulation is one new file. It is read strictly: an unknown key, a
missing language or a clause that nobody answers for is a `PolicyError` that names the file, the clause and the mend.
Nothing here knows the time. The laws behind the regulations are in `ops.legal`, bound here under the same names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ops.duty import Duty
from ops.legal import Law, lapsed, laws, legal_basis
from ops.model import NOTHING, Text, say
from ops.tables import PolicyError, Table, parse

FOLDER = Path(__file__).parent / "policies"
CLASSES = ("A", "H", "M")
CADENCES = ("daily", "monthly", "quarterly", "semiannual", "yearly")
SOURCES = ("regulation", "default")
UNITS: Mapping[str, Text] = {
    "days": Text("ngày", "days"),
    "days_per_week": Text("ngày mỗi tuần", "days a week"),
    "hours": Text("giờ", "hours"),
    "items": Text("mục", "items"),
    "items_per_month": Text("tin, bài mỗi người mỗi tháng", "items per person and month"),
    "items_per_week": Text("tin, bài mỗi đơn vị mỗi tuần", "items per unit and week"),
    "items_per_working_day": Text("tin, bài mỗi ngày làm việc", "items per working day"),
    "percent": Text("%", "%"),
    "persons": Text("người", "persons"),
    "working_days": Text("ngày làm việc", "working days"),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_CLAUSE = re.compile(r"[0-9A-Za-zđ.\-]+")
_ISSUED = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_ARTICLE = re.compile(r"(\d+)(?:\.(\d+))?(?:\.([a-zđ]))?")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number, bound on exactly one side. `default`: the regulation gives no number, this one is proposed."""

    name: str
    at_least: float | None
    at_most: float | None
    unit: str
    source: str
    note: Text

    @property
    def number(self) -> float:
        """The bound, whichever side it is on."""
        return self.at_least if self.at_least is not None else self.at_most or 0

    def kept_by(self, value: float) -> bool:
        """True when `value` is no looser than this bound. No number (NaN) keeps none."""
        return value >= self.number if self.at_least is not None else value <= self.number

    @property
    def says(self) -> Text:
        """`ít nhất 3 ngày mỗi tuần` / `at least 3 days a week`."""
        vi, en = ("ít nhất", "at least") if self.at_least is not None else ("không quá", "at most")
        unit = UNITS[self.unit]
        space = "" if self.unit == "percent" else " "
        return say(
            "{b} {n}{s}{u}",
            "{b_en} {n}{s}{u_en}",
            b=vi,
            b_en=en,
            n=f"{self.number:g}",
            s=space,
            u=unit.vi,
            u_en=unit.en,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A paper that the clause asks for. `recipients` is empty when the regulation names none."""

    kind: str
    cadence: str
    recipients: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Attested:
    """What a person confirms because no program can see it, and for how many days that holds."""

    what: Text
    every_days: int


@dataclass(frozen=True, slots=True)
class Clause:
    """One demand. `klass`: A a program sees it, H program and person, M a person only."""

    id: str
    article: str
    duty: Text
    klass: str
    answered_by: tuple[str, ...]
    attested: Attested | None
    thresholds: tuple[Threshold, ...] = ()
    reports: tuple[Report, ...] = ()
    cite: Text = Text("", "")
    """As a paper cites it: `điểm d khoản 1 Điều 10` / `Article 10(1)(d)`."""

    @property
    def slug(self) -> str:
        """The id in ASCII (`đ` as `dd`), for file names and metrics."""
        return self.id.replace("đ", "dd")


@dataclass(frozen=True, slots=True)
class Policy:
    """One regulation. `issued`: ISO 8601, as exact as known (`2025`, `2024-04`, `2019-05-21`).

    defaults: proposed numbers for the checks of the toolkit of which this regulation does not speak.
    """

    id: str
    prefix: str
    name: Text
    number: str
    issued: str
    issuer: Text
    clauses: tuple[Clause, ...]
    defaults: tuple[Threshold, ...] = ()

    def clause(self, wanted: str) -> Clause | None:
        """The clause with this id or slug, or None."""
        return next((clause for clause in self.clauses if wanted in (clause.id, clause.slug)), None)

    def thresholds(self) -> dict[str, tuple[Threshold, Clause | None]]:
        """Every number of the policy by name, with the clause that it stands in (None: a default of the toolkit)."""
        found: dict[str, tuple[Threshold, Clause | None]] = {item.name: (item, None) for item in self.defaults}
        for clause in self.clauses:
            found.update({item.name: (item, clause) for item in clause.thresholds})
        return found

    def thresholds_in_force(self, site_thresholds: Mapping[str, float] = NOTHING) -> dict[str, float]:
        """Name -> number: the site's own where it gives one, else the policy's."""
        return {name: item.number for name, (item, _) in self.thresholds().items()} | dict(site_thresholds)

    def looser(self, site_thresholds: Mapping[str, float]) -> tuple[Text, ...]:
        """A lasting remark for each number of the site that is looser than the policy's, or that no check knows."""
        known = self.thresholds()
        remarks = []
        for name, value in sorted(site_thresholds.items()):
            if name not in known:
                remarks.append(say("ngưỡng lạ, không có tác dụng: {n}", "unknown threshold, no effect: {n}", n=name))
            elif not known[name][0].kept_by(value):
                remarks.append(_remark(*known[name], value))
        return tuple(remarks)

    def reports(self) -> list[tuple[Clause, Report]]:
        """Every paper that the regulation asks for, with its clause."""
        return [(clause, report) for clause in self.clauses for report in clause.reports]


def _remark(item: Threshold, clause: Clause | None, value: float) -> Text:
    if item.source == "regulation" and clause is not None:
        return say(
            "{n} = {v} lỏng hơn quy định tại {c} ({s})",
            "{n} = {v} is looser than {c_en} demands ({s_en})",
            n=item.name,
            v=f"{value:g}",
            c=clause.cite.vi,
            c_en=clause.cite.en,
            s=item.says.vi,
            s_en=item.says.en,
        )
    return say(
        "{n} = {v} lỏng hơn mức đề xuất ({s})",
        "{n} = {v} is looser than the proposed default ({s_en})",
        n=item.name,
        v=f"{value:g}",
        s=item.says.vi,
        s_en=item.says.en,
    )


def ids() -> list[str]:
    """Every policy that can be named in a configuration."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load(policy_id: str) -> Policy:
    """The policy with this id. Raises PolicyError."""
    if policy_id not in ids():
        raise PolicyError(
            say("không có quy chế {p}", "there is no policy {p}", p=policy_id),
            say("các quy chế: {a}", "policies: {a}", a=", ".join(ids())),
        )
    return read(FOLDER / f"{policy_id}.toml")


def read(path: Path) -> Policy:
    """The policy written in this file. Raises PolicyError."""
    table = Table(parse(path), path)
    policy_id, prefix = table.word("id"), table.word("prefix")
    if policy_id != path.stem:
        raise table.refuse(
            say("id khác tên tệp", "the id differs from the file's name"),
            say('viết id = "{s}"', 'write id = "{s}"', s=path.stem),
        )
    policy = Policy(
        policy_id,
        prefix,
        table.text("name"),
        table.word("number", ""),
        table.word("issued", "", _ISSUED),
        table.text("issuer"),
        tuple(_clause(item, prefix) for item in table.tables("clause")),
        tuple(_threshold(item) for item in table.tables("default")),
    )
    table.done()
    _refuse_doubles(policy, table)
    return policy


def _refuse_doubles(policy: Policy, table: Table) -> None:
    if not policy.clauses:
        raise table.refuse(say("không có điều khoản nào", "no clause at all"), say("thêm [[clause]]", "add [[clause]]"))
    slugs = [clause.slug for clause in policy.clauses]
    names = [item.name for clause in policy.clauses for item in clause.thresholds]
    names += [item.name for item in policy.defaults]
    for kind_vi, kind_en, values in (("điều khoản", "clause", slugs), ("ngưỡng", "threshold", names)):
        double = next((value for value in values if values.count(value) > 1), None)
        if double is not None:
            raise table.refuse(
                say("{k} {d} viết hai lần", "{k_en} {d} stands twice", k=kind_vi, k_en=kind_en, d=double),
                say("giữ lại một", "keep one of them"),
            )


def _clause(table: Table, prefix: str) -> Clause:
    table.where = clause_id = table.word("id", pattern=_CLAUSE)
    if not clause_id.startswith(f"{prefix}-"):
        raise table.refuse(
            say("id không bắt đầu bằng {p}-", "the id does not begin with {p}-", p=prefix), say("sửa id", "mend the id")
        )
    article, attested = table.word("article"), None
    if (part := table.table("attested")) is not None:
        attested = Attested(part.text(""), part.count("every_days", 365))
        part.done()
    clause = Clause(
        clause_id,
        article,
        table.text("duty"),
        table.one("class", CLASSES),
        table.words("answered_by", _NAME),
        attested,
        tuple(_threshold(item) for item in table.tables("thresholds")),
        tuple(_report(item) for item in table.tables("reports")),
        table.text("cite") if "cite" in table.data else _cite(article),
    )
    table.done()
    if not clause.answered_by and clause.attested is None:
        raise table.refuse(
            say("không ai trả lời cho điều khoản này", "nobody answers for this clause"),
            say("thêm answered_by hoặc attested", "add answered_by or attested"),
        )
    return clause


def _cite(article: str) -> Text:
    match = _ARTICLE.fullmatch(article)
    if match is None:
        return say("Điều {a}", "Article {a}", a=article)
    number, item, point = match.groups()
    vi = (f"điểm {point} " if point else "") + (f"khoản {item} " if item else "") + f"Điều {number}"
    return Text(vi, f"Article {number}" + (f"({item})" if item else "") + (f"({point})" if point else ""))


def _threshold(table: Table) -> Threshold:
    name = table.word("name", pattern=_NAME)
    table.where = f"{table.where} {name}".strip()
    low, high = table.number("at_least"), table.number("at_most")
    if (low is None) == (high is None):
        raise table.refuse(
            say("cần đúng một cận", "exactly one bound is needed"),
            say("viết at_least hoặc at_most", "write either at_least or at_most"),
        )
    unit, source = table.one("unit", tuple(UNITS)), table.one("source", SOURCES)
    note = table.text("note") if "note" in table.data else Text("", "")
    table.done()
    return Threshold(name, low, high, unit, source, note)


def _report(table: Table) -> Report:
    report = Report(
        table.word("kind", pattern=_NAME),
        table.one("cadence", CADENCES),
        tuple(item.text("", last=True) for item in table.tables("recipients")),
    )
    table.done()
    return report


@dataclass(frozen=True, slots=True)
class Count:
    """One policy in figures. built, unbuilt: duties that its clauses name (or that name them); attested: clauses."""

    policy: str
    clauses: int
    by_class: Mapping[str, int]
    built: int
    unbuilt: int
    attested: int


@dataclass(frozen=True, slots=True)
class Audit:
    """How duties and clauses fit together. `orphans` and `strays` are mistakes, `unbuilt` is work to be done.

    orphans: clause ids with neither duty nor attestation.
    strays:  (duty, clause id that no policy has); the id is "" when the duty answers to no clause at all.
    unbuilt: (duty, the clauses that name it): not built yet, so they read `unseen`, never `met`.
    """

    orphans: tuple[str, ...]
    strays: tuple[tuple[str, str], ...]
    unbuilt: tuple[tuple[str, tuple[str, ...]], ...]
    counts: tuple[Count, ...]

    @property
    def sound(self) -> bool:
        """True when nothing is a mistake."""
        return not self.orphans and not self.strays


def check(policies: Iterable[Policy], duties: Mapping[str, Duty]) -> Audit:
    """Holds every clause against every built duty. Hand in all policies, else their clauses look unknown."""
    audited = tuple(policies)
    names = {clause.id: _names(clause, duties) for policy in audited for clause in policy.clauses}
    orphans = [c.id for p in audited for c in p.clauses if not names[c.id] and c.attested is None]
    named = {name for found in names.values() for name in found}
    strays = {(duty.name, clause) for duty in duties.values() for clause in duty.clauses if clause not in names}
    strays |= {(duty.name, "") for duty in duties.values() if not duty.clauses and duty.name not in named}
    unbuilt = {name: tuple(i for i, found in names.items() if name in found) for name in sorted(named - set(duties))}
    counts = tuple(_count(policy, names, duties) for policy in audited)
    return Audit(tuple(orphans), tuple(sorted(strays)), tuple(unbuilt.items()), counts)


def _names(clause: Clause, duties: Mapping[str, Duty]) -> tuple[str, ...]:
    """Every duty that answers for the clause: those it names and those that name it."""
    return tuple(dict.fromkeys((*clause.answered_by, *(d.name for d in duties.values() if clause.id in d.clauses))))


def _count(policy: Policy, names: Mapping[str, tuple[str, ...]], duties: Mapping[str, Duty]) -> Count:
    named = {name for clause in policy.clauses for name in names[clause.id]}
    by_class = {klass: sum(clause.klass == klass for clause in policy.clauses) for klass in CLASSES}
    attested = sum(clause.attested is not None for clause in policy.clauses)
    built = len(named & set(duties))
    return Count(policy.id, len(policy.clauses), by_class, built, len(named) - built, attested)


__all__ = [
    "Attested",
    "Audit",
    "Clause",
    "Count",
    "Law",
    "Policy",
    "PolicyError",
    "Report",
    "Threshold",
    "check",
    "ids",
    "lapsed",
    "laws",
    "legal_basis",
    "load",
    "read",
]
