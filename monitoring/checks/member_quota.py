"""Has each member of the Editorial Board written enough this month?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from monitoring import register
from monitoring.feeds import key_of
from monitoring.moments import end_of
from monitoring.pages import fold, whole
from monitoring.published import Published, gather
from monitoring.register import Ledger
from monitoring.workdays import Calendar, calendar
from ops import CannotSee, Context, Finding, Site, Verdict, check, hours, local_day, say

LAST_DAYS = 5
"""Working days before the month's end from which a member without enough items is at risk."""


@check("content.member_quota", every=hours(12), clauses=["KP-6.1"], private=True, timeout=300)
def member_quota(site: Site, ctx: Context) -> Iterator[Finding]:
    """Has each member of the Editorial Board written enough items in the last whole month, and in this one?

    One subject for each member of the settings. Items are counted by their author in feeds and in the register (column
    tac_gia), each once. Feeds that do not reach back to the month's beginning prove enough, never too few.
    """
    members = ctx.settings.content.members
    if not members:
        raise CannotSee(
            say("chưa có danh sách thành viên Ban Biên tập", "there is no list of the Editorial Board's members"),
            say("ghi tên như tên ký dưới tin, bài vào content.members", "write the names as items are signed into "
                "content.members"), site=site.id)
    found, ledger = _sources(site, ctx)
    least = int(ctx.threshold("content.member_items_per_month", 2))
    days = calendar(ctx.settings.content.days_off, ctx.settings.content.working_days)
    for name in members:
        if not ctx.subjects or name in ctx.subjects:
            yield _member(name, _items_of(name, site, found, ledger), found, least, days, local_day(ctx.now))


def _sources(site: Site, ctx: Context) -> tuple[Published, Ledger]:
    """Feeds and register; one of them is enough."""
    ledger = Ledger()
    if ctx.settings.content.deadlines is not None:
        ledger = register.read(ctx.settings.content.deadlines, ctx.now)
    try:
        return gather(site, ctx), ledger
    except CannotSee:
        if not any(entry.author for entry in ledger.entries):
            raise
        return Published((), ()), ledger


def _items_of(name: str, site: Site, found: Published, ledger: Ledger) -> list[date]:
    """The days on which something of that author came out."""
    wanted = fold(name)
    days: dict[str, date] = {}
    for item in found.items:
        if item.published is not None and fold(item.author) == wanted:
            days[key_of(item.url) or fold(item.title)] = local_day(item.published)
    for entry in ledger.entries:
        if fold(entry.author) == wanted:
            key = key_of(whole(site, entry.link)) if entry.link else fold(entry.title) or entry.label
            known = {fold(item.title) for item in found.items if key_of(item.url) in days}
            if fold(entry.title) not in known or not entry.title:
                days.setdefault(key, entry.days.get("ngay_dang", entry.trigger))
    return list(days.values())


def _member(name: str, written: list[date], found: Published, least: int, days: Calendar, today: date) -> Finding:
    this = today.replace(day=1)
    last = (this - timedelta(days=1)).replace(day=1)
    before = sum(last <= day < this for day in written)
    now = sum(this <= day for day in written)
    figures = {"last_month_items": float(before), "this_month_items": float(now), "least_items": float(least)}
    month = last.strftime("%m/%Y")
    if before < least and not found.reaches(end_of(last - timedelta(days=1))):
        words = say("nguồn tin không đi xa đến đầu tháng {m} nên chưa đếm đủ ({n} tin); ghi cột tac_gia vào sổ",
                    "the feeds do not reach back to the start of {m} ({n} items seen); keep the column tac_gia", m=month, n=before)
        return Finding(name, Verdict.UNSEEN, words, figures)
    if before < least:
        words = say("tháng {m} có {n} tin, bài; cần ít nhất {l}", "{n} items in {m}; {l} are needed", m=month, n=before, l=least)
        return Finding(name, Verdict.BROKEN, words, figures)
    ends = (this + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    left = days.between(today, ends)
    if now < least and left < LAST_DAYS:
        words = say("tháng này mới có {n} tin, bài; cần {l}, còn {d} ngày làm việc",
                    "{n} items this month; {l} are needed, {d} working days are left", n=now, l=least, d=left)
        return Finding(name, Verdict.AT_RISK, words, figures)
    words = say("tháng {m} có {n} tin, bài; tháng này {t}", "{n} items in {m}; {t} this month", m=month, n=before, t=now)
    return Finding(name, Verdict.MET, words, figures)
