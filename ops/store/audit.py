"""Judges a site's whole record: the signed ledger, and the tables beside it, which must say what its lines say.

The tables (columns of `lines`, `flips`, `states`) are not signed, but page and reports read them; each of them can be
made again from the lines, so each is held against them here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import zip_longest
from typing import Any, NamedTuple

from ops.ledger import Verification, leaf_hash, verify_book
from ops.model import Text, nfc, say
from ops.moment import unstamp
from ops.store.doors import Door
from ops.store.view import StoreView, micros

_PAGE = 1000


class Doubt(NamedTuple):
    """Where the tables part from the ledger: a line's number (0: none can be named), and words."""

    line: int
    what: Text


class _Turn(NamedTuple):
    """A transition as ledger and table both tell it."""

    duty: str
    subject: str
    time: int
    verdict: str


class _Told(NamedTuple):
    """What the lines say: each transition with its line, in order."""

    turns: list[tuple[int, _Turn]]

    def newest(self) -> dict[tuple[str, str], tuple[int, _Turn]]:
        """(duty, subject) -> the last transition."""
        return {(turn.duty, turn.subject): (seq, turn) for seq, turn in self.turns}


def verify_site(store: StoreView, site: str, vkey: str) -> Verification:
    """The ledger by its signatures and, when that holds, the tables by the ledger. Raises LedgerError for no key."""
    with store.snapshot() as fixed:
        found = verify_book(fixed.raw_lines(site), fixed.checkpoints(site), vkey)
        doubt = doubtful(fixed, site) if found.ok else None
    if doubt is None:
        return found
    return replace(found, ok=False, first_bad=doubt.line or None, what=doubt.what)


def doubtful(store: StoreView, site: str) -> Doubt | None:
    """The first thing that the tables say otherwise than the lines, or None. The lines themselves must be verified."""
    door = store._door
    told = _Told([])
    misfiled = _columns(door, site, told)
    if misfiled:
        words = say(
            "dòng {n} bị sửa cột trong cơ sở dữ liệu (byte đã ký vẫn nguyên)",
            "line {n} was altered in its database columns (the signed bytes are whole)",
            n=misfiled,
        )
        return Doubt(misfiled, words)
    head = door.rows("SELECT lines FROM heads WHERE site = :site", site=site)
    if head and int(head[0][0]) != (_count(door, site)):
        return Doubt(0, say("đầu sổ trong kho không khớp sổ", "the head in the store does not fit the ledger"))
    return _flips(door, site, told) or _states(door, site, told)


def _count(door: Door, site: str) -> int:
    return int(door.rows("SELECT count(*) FROM lines WHERE site = :site", site=site)[0][0])


def _columns(door: Door, site: str, told: _Told) -> int:
    """The first line whose columns do not say what its signed bytes say (0: none); gathers the transitions.

    Filters go by the columns, so a falsified one would hide a line from every reader although its bytes verify.
    """
    after = 0
    while True:
        rows = door.rows(
            "SELECT seq, time, kind, duty, subject, intent, leaf, body FROM lines WHERE site = :site AND seq > :after"
            " ORDER BY seq LIMIT :page",
            site=site,
            after=after,
            page=_PAGE,
        )
        for seq, time, kind, duty, subject, intent, leaf, stored in rows:
            body: dict[str, Any] = json.loads(bytes(stored))
            meant = body.get("intent") if body["kind"] == "outcome" else None
            said = (body["seq"], micros(unstamp(body["time"])), body["kind"], body["duty"], body["subject"], meant)
            if (seq, time, kind, duty, subject, intent) != said or leaf_hash(bytes(stored)).hex() != leaf:
                return int(seq)
            if kind == "flip":
                since = micros(unstamp(body.get("from") or body["time"]))
                told.turns.append((int(seq), _Turn(duty, subject, since, str(body.get("verdict", "")))))
        if len(rows) < _PAGE:
            return 0
        after = int(rows[-1][0])


def _flips(door: Door, site: str, told: _Told) -> Doubt | None:
    """The table of transitions, in the order in which both were written."""
    rows = door.rows("SELECT duty, subject, time, verdict FROM flips WHERE site = :site ORDER BY id", site=site)
    kept = [_Turn(str(row[0]), nfc(str(row[1])), int(row[2]), str(row[3])) for row in rows]
    for line, turn in zip_longest(told.turns, kept):
        if line is None or line[1] != turn:
            words = say(
                "bảng chuyển trạng thái (flips) không khớp sổ bằng chứng; dòng sổ: {n}",
                "the table of transitions (flips) does not fit the ledger; its line: {n}",
                n=line[0] if line else "–",
            )
            return Doubt(line[0] if line else 0, words)
    return None


def _states(door: Door, site: str, told: _Told) -> Doubt | None:
    """Each state against its subject's newest transition; a subject that is not unseen must have one."""
    newest = told.newest()
    rows = door.rows("SELECT duty, subject, verdict, since, evidence FROM states WHERE site = :site", site=site)
    for duty, subject, verdict, since, evidence in rows:
        if newest.pop((duty, subject), None) != (int(evidence), _Turn(duty, subject, int(since), verdict)):
            return _state_doubt(int(evidence), duty, subject)
    for (duty, subject), (seq, turn) in newest.items():
        if turn.verdict not in ("", "unseen"):  # a subject that is no more ends in `unseen`
            return _state_doubt(seq, duty, subject)
    return None


def _state_doubt(line: int, duty: str, subject: str) -> Doubt:
    words = say(
        "bảng trạng thái không khớp sổ bằng chứng: {d} {s}; dòng sổ: {n}",
        "the table of states does not fit the ledger: {d} {s}; its line: {n}",
        d=duty,
        s=subject,
        n=line,
    )
    return Doubt(line, words)
