"""Writes one transaction of one site: lines, states, transitions and one signed checkpoint, all or nothing.

What is written is gathered first and laid down at the end, while the site's head is locked; so a duty that fails in
the middle costs nothing, and no second writer can ever fork the chain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ops.errors import ClockError, GaccongError, LedgerError
from ops.ledger import EMPTY_ROOT, Frontier, canonical, checkpoint_text, leaf_hash, origin_of
from ops.model import Evidence, Flip, State, nfc, say
from ops.moment import human, stamp, unstamp
from ops.store import schema
from ops.store.trouble import told
from ops.store.trust import read_checkpoint, unfit
from ops.store.view import micros, moment_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from ops.signing import Signer

VERSION = 1
SLACK = timedelta(seconds=5)
"""So much earlier than the last line a `now` may be without meaning that the clock was set back (a small correction by
the time service; two looks that asked the clock in one order and came to the lock in another). The line then takes the
last line's time."""
_OWN = frozenset({"v", "site", "seq", "prev", "time", "kind", "duty", "subject"})


class Writer:
    """Gathers what one transaction writes. Made by `Store.transaction`."""

    def __init__(
        self,
        connection: Connection,
        site: str,
        now: datetime | Callable[[], datetime],
        signer: Signer | None,
        accept_clock: bool,
    ) -> None:
        self._connection = connection
        self._signer = signer
        self._accept_clock = accept_clock
        self._lines: list[dict[str, Any]] = []
        self._flips: list[dict[str, Any]] = []
        self._states: dict[tuple[str, str], dict[str, Any] | None] = {}
        self._runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.site = nfc(site)
        self._read_head()
        moment = now() if callable(now) else now
        if moment.tzinfo is None:
            raise ValueError("times are aware")
        self.now = moment.astimezone(UTC)

    def _read_head(self) -> None:
        """Locks the site's head (made if absent) and reads it."""
        from sqlalchemy import select

        heads = schema.heads
        start = {"lines": 0, "root": EMPTY_ROOT.hex(), "leaf": "", "time": 0, "frontier": Frontier().to_bytes()}
        self._put(heads, {"site": self.site, **start, "vkey": ""}, replace=False)
        query = select(heads).where(heads.c.site == self.site).with_for_update()
        row = self._connection.execute(query).one()
        self._frontier = Frontier.from_bytes(bytes(row.frontier))
        self._leaf = str(row.leaf)
        self._last = moment_of(int(row.time)) if row.lines else None
        self._vkey = str(row.vkey)
        if self._frontier.size != row.lines or self._frontier.root().hex() != row.root:
            raise unfit(self.site)
        if self._signer is not None and self._vkey in ("", self._signer.public):
            self._refuse_forged_head(self._signer)

    def _refuse_forged_head(self, signer: Signer) -> None:
        """What we sign next vouches for all that stands before it: so the head must be the one that we signed last."""
        from sqlalchemy import select

        notes, lines, size = schema.checkpoints.c, schema.lines.c, self._frontier.size
        newest = select(notes.size, notes.note).where(notes.site == self.site).order_by(notes.size.desc()).limit(1)
        found = self._connection.execute(newest).first()
        if (found.size if found else 0) != size:
            raise unfit(self.site)
        if found is None:
            return
        if read_checkpoint(found.note, self.site, signer.public) != (size, self._frontier.root()):
            raise unfit(self.site)
        last = select(lines.body).where(lines.site == self.site, lines.seq == size)
        stored = bytes(self._connection.execute(last).scalar() or b"")
        if leaf_hash(stored).hex() != self._leaf or unstamp(json.loads(stored)["time"]) != self._last:
            raise unfit(self.site)

    def append(self, kind: str, duty: str, subject: str, fields: Mapping[str, Any]) -> Evidence:
        """Adds a ledger line at `now`. Raises ClockError, or GaccongError for what cannot be written as evidence."""
        self._signing()
        if _OWN & fields.keys() or "\0" in f"{self.site}{kind}{duty}{subject}":
            raise ValueError(f"a NUL in a name, or fields of the ledger's own: {sorted(_OWN & fields.keys())}")
        seq, time = self._frontier.size + 1, self._time()
        stored = canonical(
            {
                **fields,
                "v": VERSION,
                "site": self.site,
                "seq": seq,
                "prev": self._leaf,
                "time": stamp(time),
                "kind": kind,
                "duty": duty,
                "subject": subject,
            }
        )
        body = json.loads(stored)
        leaf = leaf_hash(stored)
        self._lines.append(
            {
                "site": self.site,
                "seq": seq,
                "time": micros(time),
                "kind": kind,
                "duty": duty,
                "subject": body["subject"],
                "intent": fields.get("intent") if kind == "outcome" else None,
                "leaf": leaf.hex(),
                "body": stored,
            }
        )
        self._frontier.append(leaf)
        self._leaf, self._last = leaf.hex(), time
        return Evidence(self.site, seq, time, kind, duty, body["subject"], body, leaf.hex())

    def _signing(self) -> Signer:
        signer = self._signer
        if signer is None:
            raise GaccongError(
                say("chưa có khóa ký nên không ghi được sổ chứng cứ", "no signing key: the ledger cannot be written"),
                say("gaccong run", "gaccong run"),
                site=self.site,
            )
        if self._vkey and self._vkey != signer.public:
            raise LedgerError(
                say("sổ này do khóa khác ký: {k}", "this ledger is signed by another key: {k}", k=self._vkey),
                say(
                    "đặt lại đúng tệp khóa ký; nếu mất khóa, giữ kho cũ làm chứng cứ và mở kho mới",
                    "put the right key file back; if it is lost, keep this store as evidence and begin a new one",
                ),
                site=self.site,
            )
        return signer

    def _time(self) -> datetime:
        last = self._last
        if last is None or self.now >= last or self._accept_clock:
            return self.now
        if last - self.now <= SLACK:
            return last
        raise ClockError(
            say(
                "đồng hồ máy ({n}) chạy trước dòng chứng cứ cuối ({t})",
                "this machine's clock ({n}) stands before the last evidence ({t})",
                n=human(self.now),
                t=human(last),
            ),
            say(
                "sửa đồng hồ; nếu giờ bây giờ mới đúng: gaccong run --accept-clock",
                "mend the clock; if it is right now: gaccong run --accept-clock",
            ),
            site=self.site,
        )

    def put_state(self, state: State) -> None:
        """How a subject stands from now on."""
        said = {"detail": state.detail.json(), "measures": dict(state.measures), "next": state.next}
        subject = nfc(state.subject)
        self._states[state.duty, subject] = {
            "site": self.site,
            "duty": state.duty,
            "subject": subject,
            "verdict": state.verdict.value,
            "since": micros(state.since),
            "seen_at": micros(state.seen_at),
            "said": _json(said),
            "evidence": state.evidence,
            "every_seconds": state.every_seconds,
            "pending": state.pending.value if state.pending else None,
            "pending_count": state.pending_count,
            "pending_since": micros(state.pending_since) if state.pending_since else None,
        }

    def drop_state(self, duty: str, subject: str) -> None:
        """The subject is no more."""
        self._states[duty, nfc(subject)] = None

    def add_flip(self, duty: str, subject: str, flip: Flip) -> None:
        """A transition, for availability sums."""
        self._flips.append(
            {
                "site": self.site,
                "duty": duty,
                "subject": nfc(subject),
                "time": micros(flip.time),
                "verdict": flip.verdict.value,
            }
        )

    def mark_ran(self, duty: str, key: str, at: datetime, due: datetime | None = None) -> None:
        """The last start of a duty under `key`, and when it comes due again if that is known."""
        self._runs[duty, key] = {
            "site": self.site,
            "duty": duty,
            "key": key,
            "at": micros(at),
            "due": micros(due) if due else None,
        }

    # ------------------------------------------------------------------ laying down

    def lay_down(self) -> None:
        """Writes what was gathered. The caller commits."""
        execute = self._connection.execute
        if self._lines:
            execute(schema.lines.insert(), self._lines)
            self._sign()
        if self._flips:
            execute(schema.flips.insert(), self._flips)
        for (duty, subject), row in self._states.items():
            if row is not None:
                self._put(schema.states, row)
                continue
            here = schema.states.c
            execute(schema.states.delete().where(here.site == self.site, here.duty == duty, here.subject == subject))
        for row in self._runs.values():
            self._put(schema.runs, row)

    def _sign(self) -> None:
        """One checkpoint over all lines, and the head that it speaks of."""
        signer, size, root = self._signing(), self._frontier.size, self._frontier.root()
        note = signer.sign_note(checkpoint_text(origin_of(signer.name, self.site), size, root))
        time = self._lines[-1]["time"]
        execute = self._connection.execute
        execute(schema.checkpoints.insert(), {"site": self.site, "size": size, "time": time, "note": note})
        values = {"lines": size, "root": root.hex(), "leaf": self._leaf, "time": time, "vkey": signer.public}
        head = schema.heads.update().where(schema.heads.c.site == self.site)
        execute(head.values(**values, frontier=self._frontier.to_bytes()))

    def _put(self, table: Table, row: Mapping[str, Any], *, replace: bool = True) -> None:
        put(self._connection, table, row, replace=replace)


def put(connection: Connection, table: Table, row: Mapping[str, Any], *, replace: bool = True) -> None:
    """Inserts a row, or replaces (or leaves) the one with its primary key."""
    from sqlalchemy.dialects import postgresql, sqlite

    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    keys = [column.name for column in table.primary_key]
    insert = make(table).values(**row)
    if replace:
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=keys, set_={name: value for name, value in row.items() if name not in keys}
            )
        )
    else:
        connection.execute(insert.on_conflict_do_nothing(index_elements=keys))


@contextmanager
def writing(
    connection: Connection,
    place: str,
    site: str,
    now: datetime | Callable[[], datetime],
    signer: Signer | None,
    accept_clock: bool,
) -> Iterator[Writer]:
    """A writer whose gathered rows are laid down when the block ends well. The caller owns begin and commit."""
    with told(place):
        writer = Writer(connection, site, now, signer, accept_clock)
    yield writer
    with told(place):
        writer.lay_down()


def _json(value: Mapping[str, Any]) -> str:
    return canonical(value).decode()
