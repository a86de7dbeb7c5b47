"""Which copies stay: a rule as a value that says itself in a sentence, and chooses. Pure.

Days, weeks (ISO), months and years are those of the Vietnamese calendar. Of each the newest copy stays.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from ops import Strict, Text, local, say

_Count = Annotated[int, Field(ge=0, le=10_000)]
_PERIODS: tuple[tuple[str, str, str, Callable[[datetime], Hashable]], ...] = (
    ("days", "{n} ngày gần nhất có bản sao", "the last {n} days that have one", lambda at: local(at).date()),
    ("weeks", "{n} tuần", "{n} weeks", lambda at: local(at).isocalendar()[:2]),
    ("months", "{n} tháng", "{n} months", lambda at: (local(at).year, local(at).month)),
    ("years", "{n} năm", "{n} years", lambda at: local(at).year),
)


class KeepRule(Strict):
    """last: the newest so many, whatever their age. days, weeks, months, years: the newest copy of each of so many."""

    last: Annotated[int, Field(ge=3, le=10_000)] = 7
    days: _Count = 30
    weeks: _Count = 12
    months: _Count = 24
    years: _Count = 5

    def sentence(self) -> Text:
        """The rule as people say it."""
        chosen = [(vi, en, getattr(self, name)) for name, vi, en, _ in _PERIODS if getattr(self, name)]
        vi = ", ".join(one.format(n=n) for one, _, n in chosen)
        en = ", ".join(one.format(n=n) for _, one, n in chosen)
        return say("giữ {last} bản mới nhất{vi}", "keeps the newest {last}{en}", last=self.last,
                   vi=f", và bản cuối của mỗi kỳ trong: {vi}" if vi else "",
                   en=f", and the newest of each of: {en}" if en else "")

    def stays(self, times: Sequence[datetime]) -> list[bool]:
        """For copies made at these times (any order), whether each stays."""
        order = sorted(range(len(times)), key=lambda place: times[place], reverse=True)
        kept = set(order[: self.last])
        for name, _, _, period in _PERIODS:
            seen: set[Hashable] = set()
            for place in order:
                if len(seen) >= getattr(self, name):
                    break
                key = period(times[place])
                if key not in seen:
                    seen.add(key)
                    kept.add(place)
        return [place in kept for place in range(len(times))]
