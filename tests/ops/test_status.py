"""How a change answers for a clause: by its latest outcome for each of its arguments."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ops import Change, Evidence, Verdict
from tests.kit import NOW
from tests.monitoring.desk import clause, policy, read

A_FILE, ALL, OTHER = {"set": "user", "path": "/srv/a"}, {"set": "user"}, {"set": "system"}


def line(seq: int, outcome: str, args: dict[str, str]) -> Evidence:
    return Evidence("xamau", seq, NOW - timedelta(hours=99 - seq), "outcome", "restore_site", "", {"outcome": outcome, "args": args})


@pytest.mark.parametrize(("lines", "verdict"), [
    ([line(1, "unproved", A_FILE), line(2, "proved", ALL)], Verdict.MET),
    ([line(1, "unproved", ALL), line(2, "proved", A_FILE)], Verdict.BROKEN),
    ([line(1, "unproved", OTHER), line(2, "proved", ALL)], Verdict.BROKEN),
    ([line(1, "proved", ALL), line(2, "unproved", A_FILE)], Verdict.BROKEN),
    ([line(1, "unproved", A_FILE), line(2, "proved", A_FILE)], Verdict.MET),
])
def test_what_was_asked_for_less_narrowly_covers_what_came_before(lines: list[Evidence], verdict: Verdict) -> None:
    change = Change("restore_site", (), lambda site, ctx: None, 10.0)
    found = read([], policy(clause("TN-10.1.c", "Khôi phục được", "restore_site")), [change], lines=lines)
    [answer] = found.clauses[0].answers
    assert answer.verdict is verdict
    assert verdict is Verdict.MET or f"xamau#{next(one.seq for one in lines if one.body['outcome'] != 'proved')}" in answer.detail.vi
