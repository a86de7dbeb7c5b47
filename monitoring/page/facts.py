"""The other figures of one site: certificate and contracts, the calendar of copies, drills, accounts, evidence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ops import Evidence, SiteStatus, State, Text, Verdict, View, local_day

WEEKS, MOST_EVIDENCE, DEMANDED = 6, 12, 3
LEVELS = (("user", Text("Mức người dùng", "User level")), ("system", Text("Mức hệ thống", "System level")))
_ENDS = (("tls.certificate", Text("Chứng thư", "Certificate")), ("renewal.domain", Text("Tên miền", "Domain")),
         ("renewal.hosting", Text("Thuê máy chủ", "Hosting")))
_LEAVERS = "accounts.leavers"


@dataclass(frozen=True, slots=True)
class End:
    """Something that runs out. days: None when nobody knows."""

    words: Text
    days: int | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Square:
    """One day of one level. kind: `proved`, `failed` (tried, not proved), `idle`, `ahead` (not yet), `before` (no ledger)."""

    day: date
    kind: str


@dataclass(frozen=True, slots=True)
class Week:
    """An ISO week: Monday to Sunday. enough: None while it is not over and may still come right."""

    monday: date
    squares: tuple[Square, ...]
    days: int
    enough: bool | None


@dataclass(frozen=True, slots=True)
class Level:
    """One level's weeks, the newest first."""

    words: Text
    weeks: tuple[Week, ...]


@dataclass(frozen=True, slots=True)
class Drill:
    """The last restore drill of a set, in seconds; None where it told nothing."""

    set: str
    at: datetime | None
    rto: float | None
    rpo: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Accounts:
    """People who left and still have accounts: how many, overdue among them, logins. Nobody is named."""

    people: int
    overdue: int
    logins: int
    unread: int
    command: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A ledger line as the page may show it; `subject` is empty where it could name a person."""

    seq: int
    id: str
    time: datetime
    kind: str
    duty: str
    subject: str
    verdict: str
    leaf: str


def ends(states: Sequence[State]) -> list[End]:
    """What runs out, in the order of `_ENDS`; a duty that has not looked is left out."""
    found = []
    for duty, words in _ENDS:
        mine = [one for one in states if one.duty == duty]
        if mine:
            left = [one.measures["days_left"] for one in mine if "days_left" in one.measures]
            worst = max((one.verdict for one in mine), key=lambda verdict: verdict.weight)
            found.append(End(words, int(min(left) // 1) if left else None, worst))
    return found


def drills(states: Sequence[State]) -> list[Drill]:
    """The newest drill of each set."""
    found = []
    for one in states:
        if one.duty == "backup.drill":
            when = one.measures.get("drilled_timestamp_seconds")
            found.append(Drill(one.subject, datetime.fromtimestamp(when, UTC) if when else None,
                               one.measures.get("rto_seconds"), one.measures.get("rpo_seconds"), one.verdict))
    return found


def accounts(status: SiteStatus) -> Accounts | None:
    """The count of what is to be revoked; None when nobody has looked."""
    mine = [one for one in status.states if one.duty == _LEAVERS]
    people = [one for one in mine if one.subject != "all"]
    opened = [one for one in people if one.verdict in (Verdict.BROKEN, Verdict.AT_RISK)]
    if not mine:
        return None
    return Accounts(len(opened), sum(one.verdict is Verdict.BROKEN for one in opened),
                    int(sum(one.measures.get("open_accounts", 0) for one in opened)),
                    sum(one.verdict is Verdict.UNSEEN for one in mine), f"gaccong look {_LEAVERS} --site {status.site.id}")


def demanded(status: SiteStatus) -> int:
    """Days with a copy that each level must have a week."""
    found = status.policy.thresholds_in_force(status.site.thresholds).get("backup.days_per_week", DEMANDED)
    return max(1, min(7, int(found)))


def calendar(status: SiteStatus, view: View) -> list[Level]:
    """The last weeks of `backup.run`, by the day on which a run began (Vietnamese days)."""
    today, site = local_day(status.at), status.site.id
    newest = today - timedelta(days=today.weekday())
    oldest = newest - timedelta(days=7 * (WEEKS - 1))
    lines = view.evidence(site, kind="outcome", duty="backup.run", since=status.at - timedelta(days=7 * WEEKS + 1))
    first = view.line(site, 1) or view.line(site, 0)
    began = local_day(first.time) if first else today
    levels: dict[str, str] = {}
    done: dict[tuple[str, date], bool] = {}
    for line in lines:
        if line.body.get("outcome") == "undone" and not line.body.get("intent"):
            continue  # it came due and waits for approval: nothing was tried
        name = str(line.body.get("args", {}).get("set", ""))
        level = levels.get(name) or levels.setdefault(name, _level(line, name, view))
        started = line.body.get("started")
        day = local_day(datetime.fromisoformat(str(started)) if started else line.time)
        done[level, day] = done.get((level, day), False) or line.body.get("outcome") == "proved"
    if not lines and not any(one.duty == "backup.fresh" for one in status.states):
        return []
    needed = demanded(status)
    return [Level(words, tuple(_week(newest - timedelta(days=7 * back), key, done, today, began, needed)
                               for back in range(WEEKS) if newest - timedelta(days=7 * back) >= oldest))
            for key, words in LEVELS]


def _level(line: Evidence, name: str, view: View) -> str:
    """The level, as the plan that was carried out tags its snapshot; else by the set's own name."""
    intent = view.line(line.site, int(line.body.get("intent", 0) or 0))
    steps = intent.body.get("plan", {}).get("steps", ()) if intent is not None else ()
    tags = (str(word) for step in steps for word in step.get("argv", ()))
    return next((tag.removeprefix("level=") for tag in tags if tag.startswith("level=")), name)


def _week(monday: date, level: str, done: dict[tuple[str, date], bool], today: date, began: date, needed: int) -> Week:
    squares = []
    for step in range(7):
        day = monday + timedelta(days=step)
        tried = done.get((level, day))
        kind = "proved" if tried else "failed" if tried is False else "idle"
        if tried is None and day > today:
            kind = "ahead"
        elif tried is None and day < began:
            kind = "before"
        squares.append(Square(day, kind))
    count = sum(one.kind == "proved" for one in squares)
    left = sum(one.kind == "ahead" or (one.day == today and one.kind != "proved") for one in squares)
    young = any(one.kind == "before" for one in squares)
    enough = True if count >= needed else None if count + left >= needed or young else False
    return Week(monday, tuple(squares), count, enough)


def proofs(lines: Sequence[Evidence], private: frozenset[str]) -> list[Proof]:
    """Lines for the page, the newest first."""
    return [proof(line, private) for line in reversed(lines)]


def proof(line: Evidence, private: frozenset[str]) -> Proof:
    """A line as it may be shown: the subject only of a transition of a check that names nobody."""
    open_ = line.kind == "flip" and line.duty not in private and not line.duty.startswith("accounts.")
    said = line.body.get("verdict") or line.body.get("outcome") or line.body.get("says") or ""
    return Proof(line.seq, line.id, line.time, line.kind, line.duty, line.subject if open_ else "", str(said)[:20], line.leaf)
