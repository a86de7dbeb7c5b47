"""Somebody may write the database and has no key: nothing forged is signed, acted upon, or shown as kept.

Every forgery is done by plain SQL on a store that gaccong wrote, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.errors import LedgerError
from ops.ledger import Frontier, canonical, checkpoint_text, leaf_hash, origin_of, verify_book
from ops.model import Flip, Verdict
from ops.moment import stamp
from ops.signing import Signer
from ops.store import Store
from ops.store.audit import verify_site
from ops.store.view import micros
from tests.contract.test_store import NOW, ROOT, line, put, spoil, state

Again = Callable[..., Store]
DIGEST = "ab" * 32


def approve(store: Store, by: str, *, standing: bool, digest: str = DIGEST, now: datetime = NOW) -> None:
    with store.transaction("demo", now) as writer:
        writer.append("approval", "backup.run", "", {"digest": digest, "by": by, "standing": standing, "until": ""})


def add(store: Store, seq: int, kind: str, **fields: Any) -> None:
    """A line as somebody without a key can put it into the table: well formed, its hash beside it."""
    told = {"v": 1, "site": "demo", "seq": seq, "prev": "", "time": stamp(NOW), "kind": kind, "duty": "backup.run"}
    body = canonical({**told, "subject": "", **fields})
    spoil(
        store,
        "INSERT INTO lines (site, seq, time, kind, duty, subject, intent, leaf, body)"
        " VALUES ('demo', :seq, :time, :kind, 'backup.run', '', :intent, :leaf, :body)",
        seq=seq,
        time=micros(NOW),
        kind=kind,
        intent=fields.get("intent"),
        leaf=leaf_hash(body).hex(),
        body=body,
    )


def rewrite(store: Store, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrites the lines, chains them again, mends every column and the head, and drops the checkpoints that tell."""
    frontier, prev, first, time = Frontier(), "", 0, 0
    for stored in list(store.raw_lines("demo")):
        body = json.loads(stored)
        change(body)
        body["prev"] = prev
        new = canonical(body)
        leaf = leaf_hash(new)
        frontier.append(leaf)
        prev, time = leaf.hex(), micros(datetime.fromisoformat(body["time"]))
        first = first or (frontier.size if new != stored else 0)
        values = {"seq": frontier.size, "kind": body["kind"], "leaf": prev, "body": new}
        spoil(store, "UPDATE lines SET kind = :kind, leaf = :leaf, body = :body WHERE seq = :seq", **values)
    spoil(store, "DELETE FROM checkpoints WHERE size >= :first", first=first)
    head = {"root": frontier.root().hex(), "leaf": prev, "time": time, "frontier": frontier.to_bytes()}
    spoil(store, "UPDATE heads SET root = :root, leaf = :leaf, time = :time, frontier = :frontier", **head)


def checked(store: Store, key: Path) -> tuple[bool, int | None]:
    """As `gaccong ledger verify` judges."""
    found = verify_site(store, "demo", Signer.load(key).public)
    return found.ok, found.first_bad


# ---------------------------------------------------------------------- what is signed next


def test_a_forged_history_is_not_signed(store: Store, opened: Again, key: Path) -> None:
    for number in range(8):
        put(store, state(Verdict.BROKEN if number == 3 else Verdict.MET, since=NOW + timedelta(hours=number)))
    rewrite(store, lambda body: body.update(verdict="met"))
    assert verify_book(store.raw_lines("demo"), store.checkpoints("demo"), Signer.load(key).public).ok is False
    for again in (store, opened()):
        with pytest.raises(LedgerError) as refused:
            line(again, 9)
        assert refused.value.exit_code == 4 and "ledger verify" in refused.value.mend.vi
    assert len(list(store.raw_lines("demo"))) == 8 and not checked(store, key)[0]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM checkpoints",
        "DELETE FROM checkpoints WHERE size = 3",
        "UPDATE checkpoints SET size = 4 WHERE size = 3",
        "UPDATE checkpoints SET note = (SELECT c.note FROM checkpoints c WHERE c.size = 2) WHERE size = 3",
        "UPDATE checkpoints SET note = 'x' WHERE size = 3",
        "UPDATE heads SET leaf = 'ff'",
        "UPDATE heads SET time = 0",
        "UPDATE heads SET lines = 0",
        "UPDATE heads SET vkey = 'x+00000000+AA=='",
        "DELETE FROM lines WHERE seq = 3",
    ],
)
def test_a_head_that_was_touched_takes_no_line(store: Store, sql: str) -> None:
    for number in range(3):
        line(store, number)
    spoil(store, sql)
    with pytest.raises(LedgerError):
        line(store, 9)
    assert all(b'"number":9' not in stored for stored in store.raw_lines("demo"))


def test_a_head_emptied_by_hand_begins_no_second_history(store: Store) -> None:
    line(store, 1)
    empty = Frontier()
    values = {"root": empty.root().hex(), "frontier": empty.to_bytes()}
    spoil(store, "DELETE FROM lines")
    spoil(store, "UPDATE heads SET lines = 0, leaf = '', root = :root, frontier = :frontier", **values)
    with pytest.raises(LedgerError):
        line(store, 2)


def test_a_checkpoint_of_another_site_or_key_is_none(store: Store, tmp_path: Path, key: Path) -> None:
    line(store, 1)
    line(store, 1, site="other")
    ours, stranger = Signer.load(key), Signer.create(tmp_path / "stranger", "gaccong/test")
    root = bytes.fromhex(store.head("demo")[1])
    for signer, site in ((stranger, "demo"), (ours, "other")):
        note = signer.sign_note(checkpoint_text(origin_of(signer.name, site), 1, root))
        spoil(store, "UPDATE checkpoints SET note = :note WHERE site = 'demo'", note=note)
        with pytest.raises(LedgerError):
            line(store, 2)
        with pytest.raises(LedgerError):
            store.approvals("demo")


# ---------------------------------------------------------------------- what is acted upon


def test_a_forged_approval_is_not_believed(store: Store, opened: Again, key: Path) -> None:
    approve(store, "Bà A", standing=True)
    add(store, 900_000, "approval", digest="cd" * 32, by="Chủ tịch", standing=True, until="")
    add(store, 2, "approval", digest="ef" * 32, by="Chủ tịch", standing=True, until="")
    for again in (store, opened()):
        assert list(again.approvals("demo")) == [DIGEST]
        assert again.line("demo", 2) is None and [found.seq for found in again.evidence("demo")] == [1]
    assert checked(store, key) == (False, 2)
    spoil(store, "UPDATE heads SET lines = 2")
    for again in (store, opened()):
        with pytest.raises(LedgerError):
            again.approvals("demo")


def test_an_approval_that_was_changed_into_another_is_not_believed(store: Store, opened: Again) -> None:
    approve(store, "Bà A", standing=True)
    approve(store, "Bà A", standing=False, now=NOW + timedelta(hours=1))
    rewrite(store, lambda body: body.update(standing=True))
    with pytest.raises(LedgerError) as refused:
        opened().approvals("demo")
    assert refused.value.site == "demo"
    with pytest.raises(LedgerError):
        store.approvals("demo")


def test_an_approval_taken_back_stays_taken_back(store: Store, opened: Again, key: Path) -> None:
    """Hidden by its columns, the line that ends an approval still counts: the bytes are asked, not the columns."""
    approve(store, "Bà A", standing=True)
    approve(store, "Bà A", standing=False)
    spoil(store, "UPDATE lines SET kind = 'hidden', duty = 'x' WHERE seq = 2")
    assert opened().approvals("demo")[DIGEST].body["standing"] is False
    assert checked(store, key) == (False, 2)


def test_intents_are_read_from_the_signed_lines(store: Store, opened: Again, key: Path) -> None:
    with store.transaction("demo", NOW) as writer:
        done = writer.append("intent", "backup.run", "", {"digest": "aa"})
        left = writer.append("intent", "backup.run", "", {"digest": "bb", "plan": {"kind": "approval"}})
        writer.append("outcome", "backup.run", "", {"intent": done.seq, "outcome": "proved"})
    assert checked(store, key) == (True, None)
    spoil(store, "UPDATE lines SET intent = NULL WHERE seq = 3")
    assert opened().open_intents("demo") == [left] and checked(store, key) == (False, 3)
    spoil(store, "UPDATE lines SET intent = 2 WHERE seq = 3")
    assert opened().open_intents("demo") == [left] and checked(store, key) == (False, 3)
    spoil(store, "UPDATE lines SET intent = 1 WHERE seq = 3")
    add(store, 4, "outcome", intent=left.seq, outcome="proved")
    assert opened().open_intents("demo") == [left] and not checked(store, key)[0]


def test_what_was_verified_is_continued_and_never_goes_back(store: Store, opened: Again) -> None:
    reader = opened()
    for number in range(4):
        approve(store, f"Bà {number}", standing=True, digest=f"{number}" * 64)
        assert len(reader.approvals("demo")) == number + 1
        assert reader.approvals("demo") == opened().approvals("demo")
    spoil(store, "UPDATE lines SET body = :body WHERE seq = 1", body=b"{}")
    assert len(reader.approvals("demo")) == 4, "what was verified is kept"
    with pytest.raises(LedgerError):
        opened().approvals("demo")
    approve(store, "Bà 5", standing=True, digest="5" * 64)
    assert len(reader.approvals("demo")) == 5
    spoil(store, "DELETE FROM checkpoints WHERE size = 5")
    spoil(store, "UPDATE heads SET lines = 4")
    with pytest.raises(LedgerError):
        reader.approvals("demo")


# ---------------------------------------------------------------------- what is shown


def test_a_state_that_its_line_does_not_bear_out_reads_unseen(store: Store, key: Path) -> None:
    turned = [Verdict.MET, Verdict.BROKEN]
    for number, verdict in enumerate(turned):
        put(store, state(verdict, since=NOW + timedelta(hours=number)))
    assert [one.verdict for one in store.states("demo")] == [Verdict.BROKEN] and checked(store, key) == (True, None)
    for sql in (
        "UPDATE states SET verdict = 'met'",
        "UPDATE states SET verdict = 'met', evidence = 1",
        "UPDATE states SET verdict = 'met', evidence = 900000",
    ):
        spoil(store, sql)
        [shown] = store.states("demo")
        assert (shown.verdict, shown.measures) == (Verdict.UNSEEN, {})
        assert "không khớp sổ" in shown.detail.vi and shown.next == "gaccong ledger verify"
        assert not checked(store, key)[0]
    body = canonical({"site": "demo", "duty": "web.http", "subject": "ipv4", "verdict": "met", "seq": 900_000})
    add(store, 900_000, "flip", verdict="met")
    values = {"leaf": leaf_hash(body).hex(), "body": body}
    spoil(
        store,
        "UPDATE lines SET duty = 'web.http', subject = 'ipv4', leaf = :leaf, body = :body WHERE seq > 9",
        **values,
    )
    assert [one.verdict for one in store.states("demo")] == [Verdict.UNSEEN]


def test_a_state_from_nowhere_reads_unseen(store: Store, key: Path) -> None:
    put(store, state())
    spoil(store, "UPDATE states SET subject = 'ipv6'")
    assert [one.verdict for one in store.states("demo")] == [Verdict.UNSEEN]
    assert checked(store, key)[0] is False


def test_pending_and_dropped_states_are_borne_out(store: Store, key: Path) -> None:
    [kept, gone] = put(store, state(), state(subject="ipv6"))
    pending = {"pending": Verdict.BROKEN, "pending_count": 1, "pending_since": NOW}
    put(store, state(evidence=kept.evidence, **pending), turned=False)
    with store.transaction("demo", NOW + timedelta(hours=1)) as writer:
        writer.append("flip", "web.http", "ipv6", {"verdict": "unseen", "was": "met", "from": stamp(writer.now)})
        writer.add_flip("web.http", "ipv6", Flip(writer.now, Verdict.UNSEEN))
        writer.drop_state("web.http", gone.subject)
    assert [one.verdict for one in store.states("demo")] == [Verdict.MET] and checked(store, key) == (True, None)
    spoil(store, "DELETE FROM states")
    assert checked(store, key) == (False, kept.evidence), "a subject that is not shown any more"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("DELETE FROM flips WHERE verdict = 'broken'", 2),
        ("UPDATE flips SET verdict = 'met'", 2),
        ("UPDATE flips SET time = time + 1 WHERE verdict = 'broken'", 2),
        ("INSERT INTO flips (site, duty, subject, time, verdict) VALUES ('demo', 'web.http', 'ipv4', 1, 'met')", None),
    ],
)
def test_falsified_transitions_are_found(store: Store, key: Path, sql: str, named: int | None) -> None:
    for number, verdict in enumerate((Verdict.MET, Verdict.BROKEN, Verdict.MET)):
        put(store, state(verdict, since=NOW + timedelta(hours=number)))
    assert checked(store, key) == (True, None)
    spoil(store, sql)
    assert checked(store, key) == (False, named)


def test_states_need_none_of_the_heavy_libraries(tmp_path: Path, key: Path) -> None:
    from ops.store import open_store

    url = f"sqlite:///{tmp_path}/light.db"
    with open_store(url, Signer.load(key)) as store:
        put(store, state())
    script = (
        "import sys; from ops.store import open_store; s = open_store(sys.argv[1], create=False);"
        "assert s.states('demo')[0].verdict.value == 'met'; s.close();"
        "print({'sqlalchemy', 'alembic', 'cryptography', 'rfc8785'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script, url], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("set()\n", "")
