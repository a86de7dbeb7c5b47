"""Is what is due published in time? The rules that all `deadline.*` duties share.

A term runs from the day after its trigger and ends with its last working day (Civil Code 2015, art. 147, 148). When a
thing was published is taken, in this order, from the site's feeds, from the page itself, from the register. A sitemap
says only when a page last changed: it can prove that a thing was in time, never that it was late.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from monitoring import register
from monitoring.feeds import Item, key_of
from monitoring.moments import end_of
from monitoring.pages import fold, get, internal, whole
from monitoring.published import Published, date_on_page, gather
from monitoring.reasons import Reason
from monitoring.register import Entry, Ledger
from monitoring.workdays import Calendar, calendar
from ops import CannotSee, Context, Finding, Site, Text, Verdict, local_day, say

MOST_PAGES = 20
TOLD, KEPT = 3, 50
"""Cases that the sentence names, and that the evidence keeps."""


class Stand(StrEnum):
    """How one case stands, worst first."""

    OVERDUE = "overdue"
    LATE = "late"
    NEAR = "near"
    UNKNOWN = "unknown"
    OPEN = "open"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Case:
    """One entry beside its term. done: the day on which it was done, or None. days: late by, or left (working days)."""

    entry: Entry
    due: date
    stand: Stand
    done: date | None = None
    days: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One duty. done: columns that say when it was done; site: it is done by publishing. once: the clause says "at once".

    start: the column from which the term runs instead of the trigger. calendar_days: the term counts every day.
    """

    name: str
    threshold: str
    limit: float
    kinds: tuple[str, ...]
    vi: str
    en: str
    done: tuple[str, ...] = ("ngay_dang",)
    site: bool = True
    once: bool = False
    start: str = ""
    calendar_days: bool = False
    interim: bool = False


def _rules() -> Iterator[Rule]:
    yield Rule("immediate", "immediate_days", 1, ("immediate",), "thông tin phải đăng ngay", "information due at once", once=True)
    yield Rule("legal_document", "legal_document_days", 3, ("legal_document",), "văn bản", "documents")
    yield Rule("policy", "policy_days", 7, ("policy",), "thông tin pháp luật, chính sách", "law and policy information")
    yield Rule("news", "news_days", 1, ("news",), "tin tức, sự kiện", "news and events")
    yield Rule("other", "other_days", 10, ("other",), "thông tin khác", "other information")
    yield Rule("conference", "conference_days", 2, ("conference",), "hội nghị, hội thảo", "conferences")
    yield Rule("statistics", "statistics_days", 0, ("statistics",), "số liệu thống kê", "statistics", once=True)
    yield Rule("effective_date", "effective_days", 0, ("policy", "legal_document"), "hướng dẫn pháp luật",
               "legal guidance", start="ngay_hieu_luc", calendar_days=True)
    yield Rule("qa_answer", "qa_answer_days", 15, ("question",), "câu hỏi", "questions", ("ngay_tra_loi",), site=False,
               interim=True)
    yield Rule("qa_routing", "qa_routing_days", 1, ("question",), "câu hỏi cần chuyển xử lý", "questions to pass on",
               ("ngay_chuyen", "ngay_tra_loi"), site=False, once=True)


RULES = {rule.name: rule for rule in _rules()}


class Desk:
    """What all rules need for one look: register, calendar, what the site published (asked once, when first needed)."""

    def __init__(self, site: Site, ctx: Context) -> None:
        self.site, self.ctx = site, ctx
        chosen = ctx.settings.content
        self.today = local_day(ctx.now)
        self.calendar: Calendar = calendar(chosen.days_off, chosen.working_days)
        self.ledger: Ledger = register.read(chosen.deadlines, ctx.now)
        self.blind: Text | None = None
        self._published: Published | None = None
        self._index: dict[str, Item] = {}
        self._titles: list[tuple[str, Item]] = []
        self._pages = MOST_PAGES

    @property
    def published(self) -> Published:
        """What the site tells; empty, with the reason in `blind`, when it tells nothing."""
        if self._published is None:
            try:
                self._published = gather(self.site, self.ctx)
            except CannotSee as trouble:
                self._published, self.blind = Published((), ()), trouble.what
            self._index = {key_of(one.url): one for one in self._published.items if one.url}
            self._titles = [(fold(one.title), one) for one in self._published.items if one.title]
        return self._published

    def item(self, entry: Entry) -> Item | None:
        """The published item of an entry: by address, by whole title, by its number within a title."""
        _ = self.published
        if entry.link:
            return self._index.get(key_of(whole(self.site, entry.link)))
        title, number = fold(entry.title), fold(entry.number)
        if title:
            for words, one in self._titles:
                if words == title:
                    return one
        # "5/QĐ-UBND" must not be found in "15/QĐ-UBND"
        if len(number) >= 4 and any(sign.isdigit() for sign in number):
            shape = re.compile(r"(?<![\w/])" + r"\s*".join(map(re.escape, number.replace(" ", ""))) + r"(?![\w/-])")
            return next((one for words, one in self._titles if shape.search(words)), None)
        return None

    def page(self, entry: Entry) -> tuple[date | None, bool]:
        """(day that the entry's page gives for itself, whether the page is surely absent)."""
        url = whole(self.site, entry.link) if entry.link else ""
        if not url or not internal(self.site, url) or self._pages <= 0:
            return None, False
        self._pages -= 1
        sight = get(self.site, self.ctx, url)
        if sight.reason is Reason.HTTP_STATUS and sight.status in (404, 410):
            return None, True
        found = date_on_page(sight) if sight.reason is None else None
        return (local_day(found) if found is not None and found <= self.ctx.now + timedelta(days=1) else None), False


def due_of(rule: Rule, entry: Entry, limit: float, days: Calendar) -> date | None:
    """The last day of the entry's term, or None when the column that starts it is empty."""
    start = entry.days.get(rule.start) if rule.start else entry.trigger
    if start is None:
        return None
    return start + timedelta(days=int(limit)) if rule.calendar_days else days.due(start, int(limit))


def cases(rule: Rule, limit: float, desk: Desk) -> list[Case]:
    """Every entry that the rule speaks of, beside its term."""
    found = []
    for entry in desk.ledger.entries:
        due = due_of(rule, entry, limit, desk.calendar) if entry.kind in rule.kinds else None
        if due is not None:
            found.append(_case(rule, limit, entry, due, desk))
    return found


def _case(rule: Rule, limit: float, entry: Entry, due: date, desk: Desk) -> Case:
    due, done, source, doubt = _done(rule, entry, due, desk)
    if done is not None:
        late = _late(rule, done, due, desk)
        return Case(entry, due, Stand.LATE if late > 0 else Stand.KEPT, done, max(0, late), source)
    over = _late(rule, desk.today, due, desk)
    if over > 0:
        return Case(entry, due, Stand.UNKNOWN if doubt else Stand.OVERDUE, None, over, source)
    left = (due - desk.today).days if rule.calendar_days else desk.calendar.between(desk.today, due)
    near = left <= (3 if rule.calendar_days else min(1, max(0, int(limit) - 1)))
    return Case(entry, due, Stand.NEAR if near else Stand.OPEN, None, left, source)


def _late(rule: Rule, day: date, due: date, desk: Desk) -> int:
    """By how many days `day` lies after `due`, counted as the rule counts; 0 or less when it does not."""
    if rule.calendar_days:
        return (day - due).days
    between = desk.calendar.between(due, day)
    # Saturday is after Friday, though no working day lies between
    return between or (1 if day > due else 0)


def _done(rule: Rule, entry: Entry, due: date, desk: Desk) -> tuple[date, date | None, str, bool]:
    """(due, when it was done, who says so, whether the absence of a date proves nothing)."""
    noted = min((entry.days[name] for name in rule.done if name in entry.days), default=None)
    if not rule.site:
        promised = entry.days.get("ngay_hen")
        told = entry.days.get("ngay_bao_tien_do")
        # a note of progress counts when it came in time and names the day of the answer
        if rule.interim and promised is not None and told is not None and told <= due:
            due = max(due, promised)
        return due, noted, "register", False
    item = desk.item(entry)
    if item is not None and item.published is not None:
        return due, max(local_day(item.published), entry.trigger), "feed", False
    if item is not None and item.updated is not None and local_day(item.updated) <= due:
        return due, max(local_day(item.updated), entry.trigger), "sitemap", False
    if noted is not None:
        return due, noted, "register", False
    if desk.today <= due and item is None:
        return due, None, "", False
    shown, absent = desk.page(entry)
    if shown is not None:
        return due, max(shown, entry.trigger), "page", False
    if absent:
        return due, None, "page", False
    seen = desk.blind is None and desk.published.reaches(end_of(entry.trigger) - timedelta(days=1))
    # on the site, but since when? or not in feeds that do not reach back so far, or beside which a title may differ
    return due, None, "", item is not None or bool(entry.link) or not seen


def findings(name: str, site: Site, ctx: Context) -> Iterator[Finding]:
    """The findings of one rule: how its cases stand, and which lines of the register cannot be believed."""
    rule = RULES[name]
    desk = Desk(site, ctx)
    limit = ctx.threshold(f"deadline.{rule.threshold}", rule.limit)
    yield judged(rule, limit, cases(rule, limit, desk), desk)
    faults = [one for one in desk.ledger.faults if one.kind in ("", *rule.kinds)]
    if faults:
        yield register_finding(faults, ctx)


def judged(rule: Rule, limit: float, found: list[Case], desk: Desk) -> Finding:
    """One finding for all cases of a rule. What was late is told for a while, then only counted."""
    oldest = desk.today - timedelta(days=desk.ctx.settings.content.remember_days)
    late = [one for one in found if one.stand is Stand.LATE and one.done is not None and one.done >= oldest]
    groups = {stand: [one for one in found if one.stand is stand] for stand in Stand} | {Stand.LATE: late}
    figures = {f"{stand.value}": float(len(cases)) for stand, cases in groups.items()}
    figures["entries"] = float(len(found))
    figures["limit_workdays" if not rule.calendar_days else "limit_days"] = float(limit)
    told = [*groups[Stand.OVERDUE], *late, *groups[Stand.NEAR], *groups[Stand.UNKNOWN]]
    kept: dict[str, Any] = {"cases": [_fact(one) for one in told[:KEPT]], "at_once": rule.once}
    if desk.blind is not None:
        kept["feeds"] = desk.blind.vi
    make = partial(Finding, rule.name, measures=figures, facts=kept)
    if groups[Stand.OVERDUE] or late:
        worst = sorted([*groups[Stand.OVERDUE], *late], key=lambda one: (one.stand is Stand.LATE, -one.days))
        return make(Verdict.BROKEN, _told(rule, limit, worst, desk), next=_open(desk))
    if groups[Stand.NEAR]:
        return make(Verdict.AT_RISK, _told(rule, limit, sorted(groups[Stand.NEAR], key=lambda one: one.days), desk),
                    next=_open(desk))
    if groups[Stand.UNKNOWN]:
        return make(Verdict.UNSEEN, _told(rule, limit, groups[Stand.UNKNOWN], desk), next=_open(desk))
    quiet = _quiet(found, rule, desk)
    if quiet is not None:
        return make(Verdict.UNSEEN, quiet, next=_open(desk))
    words = say("{n} {w} đều đúng hạn ({l})", "{n} {e}, all in time ({m})", n=len(found), w=rule.vi, e=rule.en,
                l=_limit(rule, limit).vi, m=_limit(rule, limit).en)
    return make(Verdict.MET, words)


def _quiet(found: list[Case], rule: Rule, desk: Desk) -> Text | None:
    """Why silence is no proof: the register has nothing of this kind, or nobody has written in it for long."""
    if not found:
        label = register.LABELS[rule.kinds[0]]
        column = say(" có {c}", " with {c}", c=rule.start) if rule.start else Text("", "")
        return say("sổ chưa có dòng nào loại “{k}”{c}", "the register has no line of the kind “{k}”{d}", k=label,
                   c=column.vi, d=column.en)
    newest = desk.ledger.newest
    age = (desk.today - newest).days if newest is not None else 0
    if age <= desk.ctx.settings.content.quiet_days:
        return None
    return say("sổ đã {n} ngày không ghi thêm dòng nào; nếu không phát sinh thì ghi một dòng để xác nhận",
               "nobody has added a line to the register for {n} days; add one to confirm that it is kept", n=age)


def _limit(rule: Rule, limit: float) -> Text:
    if rule.start:
        return say("muộn nhất là ngày có hiệu lực", "no later than the effective date")
    once = say("quy chế ghi “ngay”, mức áp dụng ", "the clause says “at once”, target ") if rule.once else Text("", "")
    return say("{o}{n} ngày làm việc", "{p}{n} working days", o=once.vi, p=once.en, n=f"{limit:g}")


def _told(rule: Rule, limit: float, found: list[Case], desk: Desk) -> Text:
    """`3 văn bản (hạn 3 ngày làm việc): 15/QĐ-UBND quá hạn 2 ngày; …`."""
    lines = [_line(one, rule) for one in found[:TOLD]]
    more = len(found) - TOLD
    rest = say("; và {n} mục nữa", "; and {n} more", n=more) if more > 0 else Text("", "")
    blind = desk.blind or Text("", "")
    why = say(" ({v})", " ({e})", v=blind.vi, e=blind.en) if blind.vi else Text("", "")
    term = _limit(rule, limit)
    return say("{w} ({l}): {t}{r}{y}", "{e} ({m}): {u}{s}{z}", w=rule.vi, e=rule.en, l=term.vi, m=term.en,
               t="; ".join(one.vi for one in lines), u="; ".join(one.en for one in lines), r=rest.vi, s=rest.en, y=why.vi,
               z=why.en)


def _line(case: Case, rule: Rule) -> Text:
    unit = say("ngày", "days") if rule.calendar_days else say("ngày làm việc", "working days")
    values = {"w": case.entry.label, "n": case.days, "d": case.due.strftime("%d/%m/%Y"), "u": unit.vi, "v": unit.en}
    match case.stand:
        case Stand.OVERDUE:
            return say("{w} quá hạn {n} {u} (hạn {d})", "{w} overdue by {n} {v} (due {d})", **values)
        case Stand.LATE:
            return say("{w} làm muộn {n} {u} (hạn {d})", "{w} done {n} {v} late (due {d})", **values)
        case Stand.UNKNOWN:
            return say("{w} đã qua hạn {d} mà chưa biết đăng ngày nào; ghi ngay_dang hoặc duong_dan vào sổ",
                       "{w} was due {d} and nobody knows when it was published; write ngay_dang or duong_dan", **values)
        case _:
            return say("{w} còn {n} {u} (hạn {d})", "{w} has {n} {v} left (due {d})", **values)


def _fact(case: Case) -> dict[str, Any]:
    return {"line": case.entry.line, "number": case.entry.number, "trigger": case.entry.trigger.isoformat(),
            "due": case.due.isoformat(), "done": case.done.isoformat() if case.done else "", "stand": case.stand.value,
            "days": case.days, "source": case.source, "unit": case.entry.unit}


def _open(desk: Desk) -> str:
    return f"${{EDITOR:-nano}} {shlex.quote(str(desk.ctx.settings.content.deadlines))}"


def register_finding(faults: Iterable[register.Fault], ctx: Context) -> Finding:
    """The lines of the register that cannot be believed, with the mend: what they hide is not known."""
    told = sorted(faults, key=lambda one: one.line)
    more = len(told) - TOLD
    rest = say("; và {n} dòng nữa", "; and {n} more lines", n=more) if more > 0 else Text("", "")
    words = say("sổ theo dõi: {v}{r}", "register: {e}{s}", v="; ".join(one.what.vi for one in told[:TOLD]), r=rest.vi,
                e="; ".join(one.what.en for one in told[:TOLD]), s=rest.en)
    path = shlex.quote(str(ctx.settings.content.deadlines))
    return Finding("register", Verdict.UNSEEN, words, {"bad_lines": float(len(told))},
                   {"lines": [one.line for one in told[:KEPT]]}, f"${{EDITOR:-nano}} +{told[0].line} {path}")
