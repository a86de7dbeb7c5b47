"""Patience, gaps and availability, against a brute-force count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ops.duty import Patience, minutes
from ops.flips import Fold, availability, fold
from ops.model import Finding, Flip, State, Verdict, say

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = minutes(5)


def see(old: State | None, verdict: Verdict, at: datetime, patience: Patience = Patience()) -> Fold:
    finding = Finding("x", verdict, say("v", "e"))
    return fold(old, finding, site="s", duty="d", every=EVERY, patience=patience, now=at)


def test_the_first_verdict_is_believed_at_once() -> None:
    result = see(None, Verdict.BROKEN, START, Patience(3, minutes(10)))
    assert result.state.verdict is Verdict.BROKEN and result.flips == (Flip(START, Verdict.BROKEN),)


def test_patience_waits_and_then_counts_from_the_first_sight() -> None:
    patience = Patience(2, minutes(5))
    one = see(None, Verdict.MET, START, patience).state
    two = see(one, Verdict.BROKEN, START + EVERY, patience)
    assert two.state.verdict is Verdict.MET and two.flips == ()
    three = see(two.state, Verdict.BROKEN, START + 2 * EVERY, patience)
    assert three.flips == (Flip(START + EVERY, Verdict.BROKEN),) and three.state.since == START + EVERY


def test_a_blip_is_forgotten() -> None:
    patience = Patience(2)
    state = see(see(None, Verdict.MET, START, patience).state, Verdict.BROKEN, START + EVERY, patience).state
    state = see(state, Verdict.MET, START + 2 * EVERY, patience).state
    assert state.pending is None
    assert see(state, Verdict.BROKEN, START + 3 * EVERY, patience).flips == ()


def test_nobody_looking_is_unseen_not_uptime() -> None:
    state = see(None, Verdict.MET, START).state
    back = see(state, Verdict.MET, START + timedelta(hours=10))
    assert [flip.verdict for flip in back.flips] == [Verdict.UNSEEN, Verdict.MET]
    flips = [Flip(START, Verdict.MET), *back.flips]
    found = availability(flips, START, START + timedelta(hours=11))
    assert found.unseen_seconds == 10 * 3600 - 300 and found.ratio == 1.0


VERDICTS = st.sampled_from(list(Verdict))


@given(
    st.lists(st.tuples(st.integers(0, 500), VERDICTS), max_size=20, unique_by=lambda pair: pair[0]),
    st.integers(0, 200),
    st.integers(201, 500),
)
def test_availability_equals_a_brute_force_count(points: list[tuple[int, Verdict]], start: int, end: int) -> None:
    points.sort()
    flips = [Flip(START + timedelta(seconds=at), verdict) for at, verdict in points]
    found = availability(flips, START + timedelta(seconds=start), START + timedelta(seconds=end))
    good = bad = unseen = longest = run = outages = 0
    for second in range(start, end):
        verdict = next((v for at, v in reversed(points) if at <= second), Verdict.UNSEEN)
        if verdict is Verdict.BROKEN:
            bad += 1
            outages += run == 0
            run += 1
            longest = max(longest, run)
        else:
            run = 0
            good += verdict in (Verdict.MET, Verdict.AT_RISK)
            unseen += verdict is Verdict.UNSEEN
    assert (found.good_seconds, found.valid_seconds, found.unseen_seconds) == (good, good + bad, unseen)
    assert (found.outages, found.longest_outage_seconds) == (outages, longest)


def test_not_having_seen_is_believed_at_once_and_protects_nothing() -> None:
    patience = Patience(3, minutes(30))
    state = see(None, Verdict.MET, START, patience).state
    blind = see(state, Verdict.UNSEEN, START + EVERY, patience)
    assert blind.state.verdict is Verdict.UNSEEN and blind.flips == (Flip(START + EVERY, Verdict.UNSEEN),)
    assert see(blind.state, Verdict.BROKEN, START + 2 * EVERY, patience).state.verdict is Verdict.BROKEN
