"""Reads the store: the `View` that duties and readers get, and a little more for engine, page and ledger.

A ledger line is believed only if its bytes still have the hash that stands beside them and the head reaches it; what
lets something be done (approvals, unfinished intents) only if the signed tree holds it (`trust`). Whether all of it is
what was signed, `audit` tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ops.errors import LedgerError, UsageError
from ops.ledger import leaf_hash
from ops.model import Evidence, Flip, State, Verdict, nfc, say, text_of
from ops.moment import unstamp
from ops.store.doors import Door, Row

if TYPE_CHECKING:
    from ops.store.trust import Trusted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PAGE = 1000
_LINE = "SELECT site, seq, leaf, body FROM lines"
_HEADED = "seq <= (SELECT h.lines FROM heads h WHERE h.site = :site)"
_STATE = """
    SELECT s.site, s.duty, s.subject, s.verdict, s.since, s.seen_at, s.said, s.evidence, s.every_seconds, s.pending,
           s.pending_count, s.pending_since, l.seq, l.leaf, l.body
    FROM states s LEFT JOIN lines l ON l.site = s.site AND l.seq = (
        SELECT f.seq FROM lines f
        WHERE f.site = s.site AND f.duty = s.duty AND f.subject = s.subject AND f.kind = 'flip'
            AND f.seq <= (SELECT h.lines FROM heads h WHERE h.site = s.site)
        ORDER BY f.seq DESC LIMIT 1)
    WHERE s.site = :site
"""
"""Each state beside the newest transition of its subject, which alone says how it stands."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(count: int) -> datetime:
    """The UTC moment that `micros` counted."""
    return _EPOCH + timedelta(microseconds=count)


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan kept for approval. `body` is the JSON text that was digested."""

    digest: str
    site: str
    change: str
    args: dict[str, str]
    body: str
    made: datetime


class StoreView:
    """Reads through a door; fulfils `ops.duty.View`."""

    def __init__(self, door: Door, vkey: str = "") -> None:
        self._door = door
        self._vkey = vkey
        self._trust: Trusted | None = None

    @contextmanager
    def snapshot(self) -> Iterator[StoreView]:
        """The same view onto one unmoving state of the store, for reading several things that must fit together."""
        with self._door.snapshot() as door:
            yield StoreView(door, self._vkey)

    def sites(self) -> list[str]:
        """Every site that has a ledger line or a state, by id."""
        found = self._door.rows("SELECT site FROM heads WHERE lines > 0 UNION SELECT site FROM states ORDER BY 1")
        return sorted(str(row[0]) for row in found)

    def states(self, site: str, duty: str = "") -> list[State]:
        """Current states of a site, or of one of its duties, by duty and subject.

        One that does not say what its subject's newest transition in the ledger says reads `unseen`.
        """
        sql, values = _STATE, {"site": site}
        if duty:
            sql, values = sql + " AND s.duty = :duty", {"site": site, "duty": duty}
        found = [_state(row) for row in self._door.rows(sql, **values)]
        return sorted(found, key=lambda state: (state.duty, state.subject))

    def evidence(
        self,
        site: str,
        *,
        kind: str = "",
        duty: str = "",
        subject: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        newest: int = 0,
    ) -> list[Evidence]:
        """Ledger lines in [since, until), oldest first; with `newest=N` only the last N (still oldest first)."""
        values: dict[str, object] = {"site": site}
        where = ["site = :site", _HEADED]
        for name, value in (("kind", kind), ("duty", duty), ("subject", nfc(subject))):
            if value:
                where.append(f"{name} = :{name}")
                values[name] = value
        if since is not None:
            where.append("time >= :since")
            values["since"] = micros(since)
        if until is not None:
            where.append("time < :until")
            values["until"] = micros(until)
        sql = " WHERE ".join((_LINE, " AND ".join(where)))
        if newest > 0:
            rows = self._door.rows(sql + " ORDER BY seq DESC LIMIT :newest", newest=newest, **values)[::-1]
        else:
            rows = self._door.rows(sql + " ORDER BY seq", **values)
        return [_evidence(row) for row in rows]

    def line(self, site: str, seq: int) -> Evidence | None:
        """The ledger line with this number, or None."""
        rows = self._door.rows(f"{_LINE} WHERE site = :site AND seq = :seq AND {_HEADED}", site=site, seq=seq)
        return _evidence(rows[0]) if rows else None

    def flips(self, site: str, duty: str, subject: str, start: datetime, end: datetime) -> list[Flip]:
        """Transitions in [start, end), led by the one in force at `start` if there is one."""
        values = {"site": site, "duty": duty, "subject": nfc(subject), "start": micros(start)}
        before = self._door.rows(
            "SELECT time, verdict FROM flips WHERE site = :site AND duty = :duty AND subject = :subject"
            " AND time < :start ORDER BY time DESC, id DESC LIMIT 1",
            **values,
        )
        within = self._door.rows(
            "SELECT time, verdict FROM flips WHERE site = :site AND duty = :duty AND subject = :subject"
            " AND time >= :start AND time < :end ORDER BY time, id",
            end=micros(end),
            **values,
        )
        if within and int(within[0][0]) == values["start"]:
            before = []
        return [Flip(moment_of(int(row[0])), Verdict(row[1])) for row in (*before, *within)]

    def head(self, site: str) -> tuple[int, str]:
        """Number of ledger lines and the hex Merkle root over them; (0, "") for a site without any."""
        rows = self._door.rows("SELECT lines, root FROM heads WHERE site = :site AND lines > 0", site=site)
        return (int(rows[0][0]), str(rows[0][1])) if rows else (0, "")

    def heads(self) -> dict[str, int]:
        """Number of ledger lines of every site that has any."""
        return {str(site): int(lines) for site, lines in self._door.rows("SELECT site, lines FROM heads WHERE lines > 0")}

    def last_time(self, site: str) -> datetime | None:
        """The time of the site's last ledger line."""
        rows = self._door.rows("SELECT time FROM heads WHERE site = :site AND lines > 0", site=site)
        return moment_of(int(rows[0][0])) if rows else None

    def vkey(self, site: str) -> str:
        """The public key that signs this site's checkpoints, or ""."""
        rows = self._door.rows("SELECT vkey FROM heads WHERE site = :site", site=site)
        return str(rows[0][0]) if rows else ""

    def ran(self, site: str) -> dict[tuple[str, str], datetime]:
        """(duty, key) -> start of the last run."""
        rows = self._door.rows("SELECT duty, key, at FROM runs WHERE site = :site", site=site)
        return {(str(row[0]), str(row[1])): moment_of(int(row[2])) for row in rows}

    def due(self, site: str) -> dict[tuple[str, str], datetime]:
        """(duty, key) -> when it was last said to come due again; only those of which it was said."""
        rows = self._door.rows("SELECT duty, key, due FROM runs WHERE site = :site AND due IS NOT NULL", site=site)
        return {(str(row[0]), str(row[1])): moment_of(int(row[2])) for row in rows}

    def plan(self, digest: str) -> KeptPlan | None:
        """The kept plan whose digest begins so. Raises UsageError for fewer than 8 hex digits or several matches."""
        start = digest.strip().lower()
        if len(start) < 8 or not set(start) <= set("0123456789abcdef"):
            raise UsageError(
                say(
                    "mã kế hoạch cần ít nhất 8 chữ số hex: {d}",
                    "a plan's digest needs at least 8 hex digits: {d}",
                    d=digest,
                ),
                say("xem mã: gaccong plan …", "see the digest: gaccong plan …"),
            )
        rows = self._door.rows(
            "SELECT digest, site, change, args, body, made FROM plans WHERE digest >= :start AND digest < :end LIMIT 2",
            start=start,
            end=start + "g",
        )
        if len(rows) > 1:
            raise UsageError(
                say("mã {d} ứng với nhiều kế hoạch", "{d} fits several plans", d=digest),
                say("viết thêm chữ số của mã", "write more of its digits"),
            )
        for found, site, change, args, body, made in rows:
            return KeptPlan(found, site, change, json.loads(args), body, moment_of(int(made)))
        return None

    def _trusted(self) -> Trusted:
        from ops.store.trust import Trusted

        if self._trust is None:
            self._trust = Trusted(self._vkey)
        return self._trust

    def approvals(self, site: str) -> dict[str, Evidence]:
        """Digest -> the latest `approval` line about it (whether it still stands is for the reader to judge).

        Raises LedgerError when the site's lines are not what its newest checkpoint signs.
        """
        return {**self._trusted().book(self._door, site).approvals}

    def open_intents(self, site: str) -> list[Evidence]:
        """Intents that have no outcome, oldest first. Raises LedgerError as `approvals` does."""
        return list(self._trusted().book(self._door, site).intents.values())

    def checkpoints(self, site: str) -> list[str]:
        """Every signed checkpoint of a site, smallest first."""
        rows = self._door.rows("SELECT note FROM checkpoints WHERE site = :site ORDER BY size", site=site)
        return [str(row[0]) for row in rows]

    def raw_lines(self, site: str) -> Iterator[bytes]:
        """The stored bytes of every ledger line, oldest first."""
        after = -1
        while True:
            rows = self._door.rows(
                "SELECT seq, body FROM lines WHERE site = :site AND seq > :after ORDER BY seq LIMIT :page",
                site=site,
                after=after,
                page=_PAGE,
            )
            yield from (bytes(row[1]) for row in rows)
            if len(rows) < _PAGE:
                return
            after = int(rows[-1][0])


def _evidence(row: Row) -> Evidence:
    """A line from its bytes; columns only found it. Raises LedgerError when bytes and hash part."""
    site, seq, leaf, stored = str(row[0]), int(row[1]), str(row[2]), bytes(row[3])
    body: Any = json.loads(stored) if leaf_hash(stored).hex() == leaf else None
    if not isinstance(body, dict) or body.get("seq") != seq or body.get("site") != site:
        raise LedgerError(
            say("dòng {n} của sổ chứng cứ đã bị sửa", "line {n} of the ledger was changed", n=seq),
            say("gaccong ledger verify", "gaccong ledger verify"),
            site=site,
        )
    return Evidence(site, seq, unstamp(body["time"]), body["kind"], body["duty"], body["subject"], body, leaf)


def _state(row: Row) -> State:
    site, duty, subject, verdict, since, seen_at, said, evidence, every, pending, count, pending_since = row[:12]
    told = json.loads(said)
    state = State(
        site,
        duty,
        subject,
        Verdict(verdict),
        moment_of(int(since)),
        moment_of(int(seen_at)),
        text_of(told["detail"]),
        told["measures"],
        told["next"],
        int(evidence),
        float(every),
        Verdict(pending) if pending else None,
        int(count),
        moment_of(int(pending_since)) if pending_since is not None else None,
    )
    return state if _founded(state, row[12:]) else _unfounded(state)


def _founded(state: State, line: Row) -> bool:
    """True when the state says what the line says that it cites, and that line is the subject's newest transition."""
    seq, leaf, stored = line
    if seq is None or int(seq) != state.evidence or leaf_hash(bytes(stored)).hex() != leaf:
        return False
    body = json.loads(bytes(stored))
    told = (state.site, state.duty, state.subject, state.verdict.value)
    return (body["site"], body["duty"], body["subject"], body.get("verdict")) == told


def _unfounded(state: State) -> State:
    detail = say("bảng trạng thái không khớp sổ bằng chứng", "the table of states does not fit the ledger")
    return State(
        state.site,
        state.duty,
        state.subject,
        Verdict.UNSEEN,
        state.since,
        state.seen_at,
        detail,
        {},
        "gaccong ledger verify",
        state.evidence,
        state.every_seconds,
    )
