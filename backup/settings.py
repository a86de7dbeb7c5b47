"""The settings of `[site.X.backup]`: where copies go, and what is copied, at which level, when.

Kinds of sources are the files of `backup/sources/`; a new file there is a new kind here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from backup.places import FIRST, Second, Where
from backup.source import BaseSource, Name
from ops import LOCAL, DomainSettings, Problem, Strict, fault, leaves, say

LEVELS = ("user", "system")
_WEEKS = 53
_MONDAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a wall-clock Monday; cron lines are read on the Vietnamese clock

if TYPE_CHECKING:
    AnySource = BaseSource
else:
    _KINDS = tuple(module.Source for module in leaves("backup.sources"))
    AnySource = Annotated[reduce(or_, _KINDS), Field(discriminator="kind")]


@lru_cache(maxsize=256)
def run_days(cron: str) -> frozenset[date]:
    """The Vietnamese days of 53 sample weeks (from a Monday on) on which a cron line fires.

    Raises ValueError for a line that cannot be read or never fires.
    """
    from cronsim import CronSim, CronSimError

    start = _MONDAY.replace(tzinfo=LOCAL)
    # a line that names neither day nor month is the same every week: one week tells all (this runs at every start)
    weekly = cron.split()[2:4] == ["*", "*"]
    end = start + timedelta(weeks=1 if weekly else _WEEKS)
    days: set[date] = set()
    try:
        hits = CronSim(cron, start - timedelta(minutes=1))
        while (hit := next(hits)) < end:
            if hit.date() in days:  # more than once a day: go on with the next day
                midnight = (hit + timedelta(days=1)).replace(hour=0, minute=0)
                hits = CronSim(cron, midnight - timedelta(minutes=1))
            days.add(hit.date())
    except StopIteration:
        pass
    except CronSimError as error:
        raise ValueError(str(error)) from None
    if weekly:
        return frozenset(day + timedelta(weeks=week) for day in days for week in range(_WEEKS))
    return frozenset(days)


def fewest_days(schedules: Iterable[str]) -> int:
    """Of all sample weeks, the fewest distinct weekdays on which at least one of the schedules fires."""
    days = frozenset[date]().union(*(run_days(cron) for cron in schedules))
    monday = _MONDAY.date()
    weeks = [0] * _WEEKS
    for day in days:
        weeks[(day - monday).days // 7] += 1
    return min(weeks)


def _cron(value: str) -> str:
    try:
        run_days(value)
    except ValueError as error:
        raise fault("dòng lịch {c} không đúng: {e} (mẫu: 30 1 * * *)", "schedule {c} cannot be read: {e} (30 1 * * *)",
                    c=value, e=error) from None
    return value


class BackupSet(Strict):
    """What is copied together: one level, one schedule, some sources."""

    level: Literal["user", "system"]
    schedule: Annotated[str, AfterValidator(_cron)]
    source: Annotated[tuple[AnySource, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [name for source in self.source for name in source.staged()]
        double = next((name for name in names if names.count(name) > 1), "")
        if double:
            raise fault("hai nguồn cùng tên ({n}); đặt `name` khác nhau", "two sources of one name ({n}); name them apart",
                        n=double.partition(".")[0])
        return self

    def live(self) -> list[Path]:
        """Paths that restic reads where they lie, each once."""
        return list(dict.fromkeys(path for source in self.source for path in source.live()))

    def streams(self) -> list[str]:
        """Names of the dumps that go into snapshots of their own."""
        return [name for source in self.source for name in source.streams()]

    def staged(self) -> list[str]:
        """Names that the stage must hold."""
        return [name for source in self.source for name in source.staged()]

    def excluded(self) -> list[str]:
        """restic's exclusion patterns of all sources, each once."""
        return list(dict.fromkeys(pattern for source in self.source for pattern in source.excluded()))


class SecondPlace(Second):
    """A further place, with a schedule that can be read."""

    schedule: Annotated[str, AfterValidator(_cron)]


class Settings(Where, DomainSettings):
    """The first place (`places.Where`), and: restic: the program. second: further places by name. set: what is copied.

    drill_every_days: a real restore drill at least this often (the drill looks every 7 days, so 7 or more).
    drill: "all" restores everything; "sample" the newest changes and a random share. read_gib_per_look: how much of the
    repository each integrity look reads through; all is read in turn.
    """

    restic: Annotated[str, Field(min_length=1)] = "restic"
    drill_every_days: Annotated[int, Field(ge=7)] = 7
    drill: Literal["all", "sample"] = "all"
    read_gib_per_look: Annotated[float, Field(gt=0)] = 4.0
    set: Annotated[dict[Name, BackupSet], Field(min_length=1)]
    second: dict[Name, SecondPlace] = {}

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if FIRST in self.second:
            raise fault("tên {n} đã dành cho kho thứ nhất", "the name {n} is taken by the first place", n=FIRST)
        held = [where.repository for where in self.places().values()]
        for name, found in self.set.items():
            for path in found.live():
                inside = next((at for at in held if at == str(path) or at.startswith(f"{path}/")), "")
                if inside:
                    raise fault("kho sao lưu nằm trong {p} mà bộ {n} sao chép: kho sẽ tự chép chính nó",
                                "the repository lies in {p}, which set {n} copies: it would copy itself", p=path, n=name)
        double = next((at for at in held if held.count(at) > 1), "")
        if double:
            raise fault("hai kho cùng một nơi: {a}", "two places are one: {a}", a=double)
        return self

    def places(self) -> dict[str, Where]:
        """Every place by name, the first one first."""
        return {FIRST: self, **self.second}

    def of_level(self, level: str) -> dict[str, BackupSet]:
        """The sets of one level."""
        return {name: found for name, found in self.set.items() if found.level == level}

    def against(self, thresholds: Mapping[str, float]) -> Iterable[Problem]:
        """A level that is missing or whose schedules reach too few days a week; a drill rarer than demanded."""
        if "backup.days_per_week" in thresholds:
            for level in LEVELS:
                yield from self._too_rare(level, thresholds["backup.days_per_week"])
        rarest = thresholds.get("backup.drill_days")
        if rarest is not None and self.drill_every_days > rarest:
            yield "drill_every_days", say(
                "diễn tập khôi phục {f} ngày một lần; quy chế đòi không quá {w:g} ngày".replace("{w:g}", f"{rarest:g}"),
                "a drill every {f} days; the policy demands at least every {w:g}".replace("{w:g}", f"{rarest:g}"),
                f=self.drill_every_days)

    def _too_rare(self, level: str, demanded: float) -> Iterator[Problem]:
        chosen = self.of_level(level)
        called: dict[str, Any] = {"level": level, "muc": {"user": "người dùng", "system": "hệ thống"}[level],
                                  "want": f"{demanded:g}"}
        if not chosen:
            yield "set", say(
                "thiếu bộ sao lưu mức {muc}; quy chế đòi cả hai mức, mỗi mức {want} ngày mỗi tuần → thêm "
                "[site.….backup.set.{level}] với level = \"{level}\"",
                "no set of level {level}; the policy demands both levels, {want} days a week each → add "
                "[site.….backup.set.{level}] with level = \"{level}\"", **called)
            return
        found = fewest_days(one.schedule for one in chosen.values())
        if found < demanded:
            names = ", ".join(chosen)
            yield f"set.{next(iter(chosen))}.schedule", say(
                "mức {muc} (bộ {names}): lịch chỉ đạt {found} ngày mỗi tuần; quy chế đòi {want} → ví dụ \"30 1 * * *\"",
                "level {level} (set {names}): the schedule reaches {found} days a week; the policy demands {want} "
                "→ for example \"30 1 * * *\"", names=names, found=found, **called)
