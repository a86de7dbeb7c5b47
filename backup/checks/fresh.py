"""Are there enough proved copies of each level, and is the newest young enough?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from backup.copies import Copy, Key, proved, standing
from backup.locked import lock_age
from backup.objects import objects_of, trouble
from backup.restic import repository_of
from backup.scrub import scrub
from backup.trouble import ResticTrouble, lost
from backup.vouched import removed
from ops import Context, Finding, Site, Text, Verdict, check, hours, local_day, say

WEEK = 7
_LOOK_BACK = timedelta(days=400)


@check("backup.fresh", every=hours(1), clauses=["TN-10.1.d.freq", "TN-10.1.d.lvl"])
def fresh(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does each level have proved copies on enough days of the week, the newest young enough?

    Counts distinct Vietnamese days of proved runs whose snapshot the repository still holds. One subject for each level.
    A snapshot's file is named by its id: where the files can be reached, nothing has to be opened to know.
    """
    known = [copy for copy in proved(site, ctx, since=ctx.now - _LOOK_BACK)
             if copy.started <= ctx.now + timedelta(hours=1)]  # one of 2037, from a wrong clock, would be young for years
    try:
        there = _standing(site, ctx, known)
    except ResticTrouble as error:
        if error.kind != "no_repository":
            raise
        for level in ("user", "system"):
            yield _gone(site, ctx, level, error, known)
        return
    locked = lock_age(repository_of(ctx).local, ctx.now)
    taken = removed(site, ctx)  # what went by the keep rule is not missed
    for level in ("user", "system"):
        sets = ctx.settings.of_level(level)
        mine = [copy for copy in known if copy.set in sets]
        vanished = [copy.snapshot for copy in mine
                    if copy.key not in there and not any(one.startswith(copy.snapshot) for one in taken)]
        young = not mine or mine[0].started > ctx.now - timedelta(days=WEEK)
        found = judge(site, ctx, level, [copy for copy in mine if copy.key in there], vanished, young)
        yield replace(found, measures={**found.measures, **locked})


def _standing(site: Site, ctx: Context, known: Sequence[Copy]) -> set[Key]:
    """The keys of those copies whose snapshot is still there, dumps that belong to them included.

    In a folder of this machine a snapshot whose bytes are no longer what its name says counts as gone.
    """
    repository = repository_of(ctx)
    objects = objects_of(ctx, repository)
    if objects is None:
        listed = repository.snapshots(ctx, "gaccong", f"site={site.id}")
        return {copy.key for copy, _ in standing(known, listed)}
    try:
        names = set(objects.names("snapshots"))
        if repository.local is not None:
            names -= set(scrub(objects, names).bad)
    except OSError as error:
        raise trouble(error, repository.at) from None
    ids = {name.partition("/")[2] for name in names}
    short = {name[:8] for name in ids}  # before 0.15 restic told eight digits
    return {copy.key for copy in known
            if all(one in ids or (len(one) == 8 and one in short) for one in (copy.snapshot, *copy.streams.values()))}


@dataclass(frozen=True, slots=True)
class Weeks:
    """The rhythm of some copies: days with a copy this ISO week, in the best full rolling week, longest gap, age."""

    this_week: int
    rolling: int
    gap: timedelta
    age: timedelta


def rhythm(times: Sequence[datetime], now: datetime) -> Weeks:
    """Reads the rhythm off the times of copies (UTC, oldest first, at least one). Days are Vietnamese days.

    The rolling week is the better of the seven days before today and the seven days with today: today's copy may be
    still to come, or may just have mended a hole.
    """
    today = local_day(now)
    days = {local_day(time) for time in times}
    monday = today - timedelta(days=today.weekday())
    recent = [time for time in times if time >= now - timedelta(days=WEEK)]
    before = [time for time in times if time < now - timedelta(days=WEEK)][-1:]
    points = [*before, *recent, now]
    gap = max(later - earlier for earlier, later in zip(points, points[1:], strict=False))
    return Weeks(sum(day >= monday for day in days), max(_within(days, today), _within(days, today - timedelta(days=1))),
                 gap, now - times[-1])


def _within(days: Iterable[date], last: date) -> int:
    return sum(last - timedelta(days=WEEK) < day <= last for day in days)


def judge(
    site: Site, ctx: Context, level: str, copies: Sequence[Copy], vanished: list[str], young: bool
) -> Finding:
    """The finding of one level. `vanished`: proved snapshots that the repository no longer lists.

    young: the first copy ever is not a week old, so that days cannot be counted against the site yet.
    """
    name = next(iter(ctx.settings.of_level(level)), level)
    again = f"gaccong plan backup.run set={name} --site {site.id}"
    called = _called(level)
    if not copies:
        text = say("mức {vi_level}: chưa có bản sao nào được chứng minh{v}",
                   "level {en_level}: no proved copy{v}", v=_lost(vanished), **called)
        return Finding(level, Verdict.BROKEN, text, facts={"vanished": vanished}, next=again)
    demanded = ctx.threshold("backup.days_per_week", 3)
    longest = timedelta(hours=ctx.threshold("backup.longest_gap_hours", 84))
    week = rhythm([copy.started for copy in copies], ctx.now)
    late = (week.age if young else week.gap) > longest
    verdict = Verdict.MET
    if week.rolling < demanded:
        # in the first week the count cannot be held against the site, but nor has it been shown
        verdict = Verdict.AT_RISK if young else Verdict.BROKEN
    elif late or (vanished and copies[-1].started < ctx.now - longest):
        verdict = Verdict.AT_RISK
    # a second copy of the same day would not count as another day
    waits = young and not late and not vanished and local_day(copies[-1].started) == local_day(ctx.now)
    calm = say("; không phải làm gì, chờ đủ ngày", "; nothing to do but wait for the days") if waits else Text("", "")
    text = say(
        "mức {vi_level}: {r} ngày có bản sao trong 7 ngày (cần {n}); bản mới nhất {age} giờ trước; "
        "khoảng trống dài nhất {gap} giờ (tối đa {most}){young_vi}{v}",
        "level {en_level}: copies on {r} days of the last 7 (needed: {n}); newest {age} hours old; "
        "longest gap {gap} hours (at most {most}){young_en}{v}",
        r=week.rolling, n=f"{demanded:g}", age=_hours(week.age), gap=_hours(week.gap), most=_hours(longest),
        young_vi=" — mới chạy chưa đủ 7 ngày nên chưa tính đủ" + calm.vi if young else "",
        young_en=" — not yet 7 days of history, so the count is not complete" + calm.en if young else "", v=_lost(vanished),
        **called)
    return Finding(level, verdict, text, _measures(week, copies[-1]), _facts(copies, vanished),
                   "" if verdict is Verdict.MET or waits else again)


def _measures(week: Weeks, newest: Copy) -> dict[str, float]:
    return {"days_this_week": week.this_week, "days_rolling_7": week.rolling,
            "longest_gap_seconds": week.gap.total_seconds(), "newest_age_seconds": week.age.total_seconds(),
            "newest_timestamp_seconds": newest.started.timestamp()}


def _facts(copies: Sequence[Copy], vanished: list[str]) -> dict[str, object]:
    weeks: dict[str, set[date]] = {}
    for copy in copies:
        day = local_day(copy.started)
        year, number, _ = day.isocalendar()
        weeks.setdefault(f"{year}-W{number:02d}", set()).add(day)
    counted = {week: len(days) for week, days in sorted(weeks.items())[-6:]}
    return {"snapshots": [copy.snapshot for copy in copies[-WEEK:]], "evidence": [copy.evidence for copy in copies[-WEEK:]],
            "days_by_week": counted, "vanished": vanished[-WEEK:]}


def _gone(site: Site, ctx: Context, level: str, trouble: ResticTrouble, known: Sequence[Copy]) -> Finding:
    """No repository: with nothing ever copied that is only the beginning, else a loss; in both cases no copy exists."""
    text = say("mức {vi_level}: chưa có bản sao nào", "level {en_level}: no copy", **_called(level))
    if known:
        trouble = lost(repository_of(ctx).at)
        text = say("{vi_}; {what_vi}", "{en_}; {what_en}", vi_=text.vi, en_=text.en, what_vi=trouble.what.vi,
                   what_en=trouble.what.en)
        text = Text(f"{text.vi}. {trouble.mend.vi}", f"{text.en}. {trouble.mend.en}")
    name = next(iter(sorted(ctx.settings.of_level(level))), level)
    # a run is refused while a repository that was there is not
    again = "gaccong doctor" if known else f"gaccong plan backup.run set={name} --site {site.id}"
    return Finding(level, Verdict.BROKEN, text, next=again)


def _called(level: str) -> dict[str, str]:
    return {"vi_level": {"user": "người dùng", "system": "hệ thống"}[level], "en_level": level}


def _lost(vanished: list[str]) -> str:
    return f" (!{len(vanished)} snapshot ✗: {', '.join(vanished[-3:])})" if vanished else ""


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.0f}"
