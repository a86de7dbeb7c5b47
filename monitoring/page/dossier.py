"""Everything that one site's page shows, read once: the sheet, and the figures behind it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from monitoring import windows
from monitoring.page import drawing, facts, history
from monitoring.page.desk import Desk
from monitoring.page.rows import Sheet, sheet
from ops import CannotSee, Flip, SiteStatus, Text, say

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
SHOWN = timedelta(days=history.DAYS)


@dataclass(frozen=True, slots=True)
class Dossier:
    """`troubles`: parts that could not be read, in words; the page is shown without them."""

    sheet: Sheet
    lines: Sequence[history.Line]
    plot: drawing.Plot | None
    ends: Sequence[facts.End]
    calendar: Sequence[facts.Level]
    demanded: int
    drills: Sequence[facts.Drill]
    accounts: facts.Accounts | None
    proofs: Sequence[facts.Proof]
    now_planned: windows.Window | None
    ahead: Sequence[windows.Window]
    past: Sequence[windows.Window]
    troubles: Sequence[Text]


def dossier(status: SiteStatus, desk: Desk, private: frozenset[str]) -> Dossier:
    """Reads it. One part that fails costs itself, not the page: at 2 a.m. half a page is worth much."""
    troubles: list[Text] = []
    view, site, now = desk.view, status.site.id, status.at

    def part(name: Text, read: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return read()
        except CannotSee as error:
            troubles.append(Text(error.explain("vi"), error.explain("en")))
        except Exception:
            _log.exception("site %s: %s", site, name.en)
            troubles.append(say("không đọc được {n}; xem nhật ký", "{e} cannot be read; see the log", n=name.vi, e=name.en))
        return otherwise

    def flips(duty: str, subject: str) -> Sequence[Flip]:
        return view.flips(site, duty, subject, now - SHOWN, now) if view is not None else ()

    register = part(say("lịch bảo trì", "the maintenance windows"), lambda: history.planned_of(desk.state, site), windows.Register())
    lines: list[history.Line] = part(say("lịch sử khả dụng", "the availability record"),
                 lambda: history.lines_of(site, now, view, desk.state, register), [])
    found = part(say("lần cuối đạt", "the last good states"), lambda: sheet(status, private, flips if view else None), None)
    troubles += [text for _, text in register.faults[:3]]
    return Dossier(
        found or sheet(status, private), lines, drawing.plot(lines), facts.ends(status.states),
        part(say("lịch sao lưu", "the calendar of copies"), lambda: facts.calendar(status, view) if view else [], []),
        facts.demanded(status), facts.drills(status.states), facts.accounts(status),
        part(say("sổ bằng chứng", "the ledger"), lambda: facts.proofs(
            view.evidence(site, newest=facts.MOST_EVIDENCE), private) if view else [], []),
        windows.in_force(register.windows, now), windows.upcoming(register.windows, now)[:5],
        _past(register.windows, now), troubles,
    )


def _past(every: Sequence[windows.Window], now: datetime) -> list[windows.Window]:
    """Windows of these ninety days that are over, the newest first."""
    over = [one for one in every if one.ends <= now and one.ends > now - SHOWN and one.start < one.ends]
    return sorted(over, key=lambda one: one.start, reverse=True)[:5]
