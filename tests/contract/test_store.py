"""What a store promises, on SQLite and on a real PostgreSQL alike."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.errors import Busy, ClockError, GaccongError, LedgerError, UsageError
from ops.ledger import verify_book, write_book
from ops.model import Flip, State, Verdict, say
from ops.moment import stamp
from ops.signing import Signer, verify_note
from ops.store import Store, core, doors, open_store
from tests.postgres import Postgres, lacking

NOW = datetime(2026, 11, 20, 3, 0, 0, 123456, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
Again = Callable[..., Store]


def line(store: Store, number: int, now: datetime = NOW, site: str = "demo", **more: Any) -> None:
    with store.transaction(site, now, **more) as writer:
        writer.append("flip", "web.http", "ipv4", {"number": number})


def state(verdict: Verdict = Verdict.MET, **changes: Any) -> State:
    values: dict[str, Any] = {
        "site": "demo",
        "duty": "web.http",
        "subject": "ipv4",
        "verdict": verdict,
        "since": NOW,
        "seen_at": NOW,
        "detail": say("Tốt", "Good"),
        "measures": {"seconds": 0.25},
        "next": "gaccong look web.http",
        "evidence": 1,
        "every_seconds": 60.0,
    }
    return State(**{**values, **changes})


def holds(store: Store, key: Path, site: str = "demo") -> int:
    found = verify_book(store.raw_lines(site), store.checkpoints(site), Signer.load(key).public)
    assert found.ok, found
    assert store.head(site) == (found.lines, found.root)
    return found.lines


def start(url: str, key: Path, site: str, how: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.contract.writer", url, str(key), site, how]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)


# ---------------------------------------------------------------------- writing


def test_a_line_comes_back_as_written(store: Store, key: Path) -> None:
    decomposed = "to\u0302\u0301t"
    with store.transaction("demo", NOW) as writer:
        given = writer.append(
            "flip", "web.http", decomposed, {"verdict": "met", "detail": {"vi": decomposed}, "n": 1.5}
        )
    assert (given.seq, given.time, given.subject, given.id) == (1, NOW, "tốt", "demo#1")
    assert given.body["prev"] == "" and given.body["detail"]["vi"] == "tốt"
    assert store.line("demo", 1) == given and store.line("demo", 2) is None
    assert store.evidence("demo", subject=decomposed) == [given]
    assert verify_note(store.checkpoints("demo")[0], Signer.load(key).public).startswith("gaccong/test/demo\n1\n")
    assert holds(store, key) == 1 and store.vkey("demo") == Signer.load(key).public


def test_lines_are_chained_and_one_checkpoint_ends_each_transaction(store: Store, key: Path) -> None:
    for batch in range(4):
        with store.transaction("demo", NOW + timedelta(hours=batch)) as writer:
            for number in range(batch):
                writer.append("flip", "web.http", "ipv4", {"number": number})
    lines = store.evidence("demo")
    assert [found.seq for found in lines] == [1, 2, 3, 4, 5, 6]
    assert [found.body["prev"] for found in lines] == ["", *(found.leaf for found in lines[:-1])]
    sizes = [int(note.split("\n")[1]) for note in store.checkpoints("demo")]
    assert sizes == [1, 3, 6]
    assert holds(store, key) == 6 and store.last_time("demo") == NOW + timedelta(hours=3)


def test_sites_have_ledgers_of_their_own(store: Store, key: Path) -> None:
    for number in range(3):
        line(store, number, site="xa-a")
    line(store, 0, site="xa-b")
    assert store.sites() == ["xa-a", "xa-b"]
    assert (holds(store, key, "xa-a"), holds(store, key, "xa-b")) == (3, 1)
    swapped = verify_book(store.raw_lines("xa-a"), store.checkpoints("xa-b"), Signer.load(key).public)
    assert not swapped.ok


def test_a_transaction_that_fails_leaves_no_trace(store: Store, opened: Again, key: Path) -> None:
    line(store, 1)
    before = store.head("demo")
    with pytest.raises(ZeroDivisionError), store.transaction("demo", NOW) as writer:
        writer.append("flip", "web.http", "ipv4", {"lost": True})
        writer.put_state(state())
        writer.add_flip("web.http", "ipv4", Flip(NOW, Verdict.BROKEN))
        writer.mark_ran("web.http", "look", NOW)
        writer.lay_down()
        raise ZeroDivisionError
    again = opened()
    assert again.head("demo") == before and again.states("demo") == [] and again.ran("demo") == {}
    assert again.flips("demo", "web.http", "ipv4", NOW, NOW + timedelta(days=1)) == []
    line(again, 2)
    assert holds(again, key) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, object(), "\ud800", {1: "a"}, b"x"])
def test_what_is_no_evidence_is_refused(store: Store, value: Any) -> None:
    with pytest.raises(GaccongError), store.transaction("demo", NOW) as writer:
        writer.append("flip", "web.http", "ipv4", {"measures": {"x": value}})
    assert store.head("demo") == (0, "")


def test_a_duty_may_not_write_the_ledgers_own_fields(store: Store) -> None:
    for fields, subject in (({"seq": 7}, "ipv4"), ({}, "ip\0v4")):
        with pytest.raises(ValueError), store.transaction("demo", NOW) as writer:
            writer.append("flip", "web.http", subject, fields)


def test_nothing_appended_means_no_checkpoint(store: Store) -> None:
    with store.transaction("demo", NOW) as writer:
        writer.put_state(state())
        writer.mark_ran("web.http", "look", NOW, NOW + timedelta(minutes=1))
    assert store.checkpoints("demo") == [] and store.head("demo") == (0, "")
    assert store.ran("demo") == {("web.http", "look"): NOW}
    assert store.due("demo") == {("web.http", "look"): NOW + timedelta(minutes=1)}


def test_without_a_key_states_can_be_kept_but_no_evidence(opened: Again) -> None:
    store = opened(signer=None)
    with store.transaction("demo", NOW) as writer:
        writer.put_state(state())
    with pytest.raises(GaccongError), store.transaction("demo", NOW) as writer:
        writer.append("flip", "web.http", "ipv4", {})
    assert len(store.states("demo")) == 1


def test_another_key_is_refused(store: Store, opened: Again, tmp_path: Path, key: Path) -> None:
    line(store, 1)
    stranger = opened(signer=Signer.create(tmp_path / "other", "gaccong/test"))
    with pytest.raises(LedgerError):
        line(stranger, 2)
    assert holds(store, key) == 1


# ---------------------------------------------------------------------- the clock


def test_a_clock_set_back_is_refused_until_accepted(store: Store, key: Path) -> None:
    line(store, 1)
    back = NOW - timedelta(seconds=6)
    with pytest.raises(ClockError) as refused:
        line(store, 2, back)
    assert "--accept-clock" in refused.value.mend.vi and refused.value.site == "demo" and refused.value.exit_code == 3
    assert store.head("demo")[0] == 1
    line(store, 3, back, accept_clock=True)
    assert [found.time for found in store.evidence("demo")] == [NOW, back]
    assert holds(store, key) == 2


def test_looks_side_by_side_keep_the_order_of_the_chain(store: Store) -> None:
    """Asked the clock first, came to the lock second: no error, and time never runs backwards in the ledger."""
    line(store, 1)
    line(store, 2, NOW - timedelta(seconds=3))
    assert [found.time for found in store.evidence("demo")] == [NOW, NOW]


def test_a_clock_given_as_a_function_is_asked_under_the_lock(store: Store) -> None:
    asked: list[int] = []

    def clock() -> datetime:
        asked.append(1)
        return NOW

    with store.transaction("demo", clock) as writer:
        assert writer.append("flip", "web.http", "ipv4", {}).time == NOW
    assert asked == [1]
    with pytest.raises(ValueError), store.transaction("demo", datetime(2026, 1, 1)):
        raise AssertionError("a naive moment was taken")


# ---------------------------------------------------------------------- reading


def put(store: Store, *states: State, turned: bool = True) -> list[State]:
    """Puts states as the engine does: a verdict that turned has its line first; gives them as they must come back."""
    given = []
    with store.transaction("demo", NOW) as writer:
        for one in states:
            if turned:
                fields = {"verdict": one.verdict.value, "from": stamp(one.since)}
                one = replace(one, evidence=writer.append("flip", one.duty, one.subject, fields).seq)
                writer.add_flip(one.duty, one.subject, Flip(one.since, one.verdict))
            writer.put_state(one)
            given.append(one)
    return given


def test_states_are_replaced_dropped_and_given_in_order(store: Store) -> None:
    pending = {"pending": Verdict.BROKEN, "pending_count": 2, "pending_since": NOW - timedelta(minutes=3)}
    first, second = state(subject="ipv6", **pending), state(duty="dns.address", subject="A", measures={}, next="")
    first, second, third = put(store, first, second, state())
    assert store.states("demo") == [second, third, first]
    assert store.states("demo", "web.http") == [third, first] and store.states("other") == []
    [broken] = put(store, state(Verdict.BROKEN, since=NOW + timedelta(hours=1)))
    with store.transaction("demo", NOW) as writer:
        writer.drop_state("dns.address", "A")
        writer.put_state(second)
        writer.drop_state("web.http", "ipv6")
    assert store.states("demo") == [second, broken]


def test_evidence_is_found_by_kind_duty_subject_and_time(store: Store) -> None:
    for hour in range(6):
        with store.transaction("demo", NOW + timedelta(hours=hour)) as writer:
            writer.append("daily" if hour % 3 else "flip", f"duty.{hour % 2}", f"s{hour}", {"hour": hour})

    def hours(**wanted: Any) -> list[int]:
        return [found.body["hour"] for found in store.evidence("demo", **wanted)]

    assert hours() == [0, 1, 2, 3, 4, 5] and hours(newest=2) == [4, 5] and hours(newest=99) == hours()
    assert hours(kind="daily") == [1, 2, 4, 5] and hours(kind="daily", newest=3) == [2, 4, 5]
    assert hours(duty="duty.1") == [1, 3, 5] and hours(duty="duty.1", kind="flip") == [3]
    assert hours(subject="s4") == [4] and hours(subject="s") == []
    assert hours(since=NOW + timedelta(hours=2), until=NOW + timedelta(hours=4)) == [2, 3]
    assert store.evidence("other") == []


def test_flips_in_a_period_are_led_by_the_one_in_force(store: Store) -> None:
    at = [NOW + timedelta(hours=hour) for hour in range(4)]
    with store.transaction("demo", NOW) as writer:
        for moment, verdict in zip(at, ("met", "broken", "unseen", "met"), strict=True):
            writer.add_flip("web.http", "ipv4", Flip(moment, Verdict(verdict)))
        writer.add_flip("web.http", "ipv4", Flip(at[3], Verdict.AT_RISK))
        writer.add_flip("web.http", "ipv6", Flip(at[0], Verdict.BROKEN))

    def seen(start: datetime, end: datetime) -> list[tuple[datetime, str]]:
        return [(flip.time, flip.verdict.value) for flip in store.flips("demo", "web.http", "ipv4", start, end)]

    minute = timedelta(minutes=1)
    assert seen(at[0] - minute, at[0]) == []
    assert seen(at[0] + minute, at[0] + 2 * minute) == [(at[0], "met")]
    assert seen(at[0] + minute, at[3]) == [(at[0], "met"), (at[1], "broken"), (at[2], "unseen")]
    assert seen(at[1], at[2]) == [(at[1], "broken")]
    assert seen(at[2] + minute, at[3] + minute) == [(at[2], "unseen"), (at[3], "met"), (at[3], "at_risk")]
    assert seen(at[3] + minute, at[3] + 2 * minute) == [(at[3], "at_risk")]


def test_plans_are_found_by_the_beginning_of_their_digest(store: Store) -> None:
    one, two = "ab12" * 16, "ab12" * 15 + "ffff"
    store.keep_plan(one, "demo", "backup.run", {"set": "người dùng"}, '{"v":1}', NOW)
    found = store.plan("AB12AB12")
    assert found is not None and (found.digest, found.args, found.body) == (one, {"set": "người dùng"}, '{"v":1}')
    store.keep_plan(one, "demo", "backup.run", {"set": "user"}, '{"v":1}', NOW + timedelta(days=1))
    renewed = store.plan(one)
    assert renewed is not None and renewed.made == NOW + timedelta(days=1)
    store.keep_plan(two, "demo", "backup.run", {}, "{}", NOW)
    assert store.plan(two) is not None and store.plan("cd" * 8) is None
    for bad in ("ab12ab12", "ab12", "zz" * 8, "ab12ab1%"):
        with pytest.raises(UsageError):
            store.plan(bad)


def test_approvals_and_intents(store: Store) -> None:
    with store.transaction("demo", NOW) as writer:
        writer.append("approval", "backup.run", "", {"digest": "aa", "by": "Bà A", "standing": True})
        writer.append("approval", "backup.run", "", {"digest": "bb", "by": "Ông B", "standing": False})
        writer.append("approval", "backup.run", "", {"digest": "aa", "by": "Ông C", "standing": False})
        done = writer.append("intent", "backup.run", "", {"digest": "aa"})
        left = writer.append("intent", "backup.run", "", {"digest": "bb"})
        writer.append("outcome", "backup.run", "", {"intent": done.seq, "outcome": "proved"})
        writer.append("outcome", "backup.run", "", {"intent": 0, "outcome": "undone"})
    assert {digest: found.body["by"] for digest, found in store.approvals("demo").items()} == {
        "aa": "Ông C",
        "bb": "Ông B",
    }
    assert store.open_intents("demo") == [left] and store.open_intents("other") == []


def test_a_snapshot_does_not_move(store: Store, opened: Again, key: Path) -> None:
    line(store, 1)
    with store.snapshot() as fixed:
        before = fixed.head("demo")
        line(opened(), 2)
        assert fixed.head("demo") == before and len(list(fixed.raw_lines("demo"))) == 1
    assert holds(store, key) == 2


def test_many_lines_are_read_in_pages(store: Store, key: Path) -> None:
    with store.transaction("demo", NOW) as writer:
        for number in range(2500):
            writer.append("flip", "web.http", "ipv4", {"number": number})
    assert holds(store, key) == 2500


# ---------------------------------------------------------------------- tampering


def spoil(store: Store, sql: str, **values: object) -> None:
    from sqlalchemy import text

    with store._begun() as connection:
        connection.execute(text(sql), values)


def test_a_changed_line_is_not_believed(store: Store, key: Path) -> None:
    for number in range(3):
        line(store, number)
    body = next(iter(store.raw_lines("demo"))).replace(b'"number":0', b'"number":9')
    spoil(store, "UPDATE lines SET body = :body WHERE seq = 1", body=body)
    with pytest.raises(LedgerError) as refused:
        store.evidence("demo")
    assert refused.value.exit_code == 4 and "1" in refused.value.what.vi
    found = verify_book(store.raw_lines("demo"), store.checkpoints("demo"), Signer.load(key).public)
    assert (found.ok, found.first_bad, found.anchored) == (False, 1, 0)


def test_nothing_is_appended_to_a_head_that_does_not_fit(store: Store) -> None:
    line(store, 1)
    spoil(store, "UPDATE heads SET root = :root", root="00" * 32)
    with pytest.raises(LedgerError):
        line(store, 2)


# ---------------------------------------------------------------------- opening


def test_an_absent_store_is_told_with_what_to_run(url: str) -> None:
    with pytest.raises(GaccongError) as refused:
        open_store(url, create=False)
    assert refused.value.mend.vi == "gaccong run"


def test_the_migrations_make_what_the_code_writes_to(store: Store, opened: Again) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from ops.store.migrate import config
    from ops.store.schema import metadata

    with store._begun() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert ScriptDirectory.from_config(config()).get_heads() == [core.NEWEST]
    line(store, 1)
    assert opened(create=False).head("demo")[0] == 1


def test_a_store_of_a_newer_gaccong_is_left_alone(store: Store, url: str) -> None:
    spoil(store, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(GaccongError) as refused:
        open_store(url)
    assert "9999" in refused.value.what.vi and refused.value.mend.vi


def test_three_processes_may_make_the_store_at_once(url: str, key: Path, opened: Again) -> None:
    racers = [start(url, key, "demo", "3") for _ in range(3)]
    assert [racer.communicate(timeout=60) and racer.returncode for racer in racers] == [0] * 3
    assert holds(opened(), key) == 3 * (1 + 2 + 3)


# ---------------------------------------------------------------------- several writers, dead writers


def test_two_processes_never_fork_the_chain(store: Store, url: str, key: Path) -> None:
    racers = [start(url, key, "demo", "30") for _ in range(2)]
    assert [racer.communicate(timeout=120) and racer.returncode for racer in racers] == [0, 0]
    assert holds(store, key) == 2 * 60
    assert len(store.checkpoints("demo")) == 60
    assert sorted(found.body["number"] for found in store.evidence("demo")) == sorted(
        number for number in range(30) for _ in range(2 * (1 + number % 3))
    )


@pytest.mark.parametrize("after", [1, 4, 11])
def test_a_killed_writer_leaves_a_whole_ledger(store: Store, url: str, key: Path, after: int, opened: Again) -> None:
    writer = start(url, key, "demo", "100000")
    assert writer.stdout is not None
    while int(writer.stdout.readline()) < after:
        pass
    time.sleep(0.003 * after)
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate(timeout=20)
    again = opened()
    kept = holds(again, key)
    assert kept >= after
    with again.transaction("demo", lambda: datetime.now(UTC)) as one:
        one.append("flip", "web.http", "ipv4", {"after": "the crash"})
    assert holds(again, key) == kept + 1


def test_a_writer_killed_inside_a_transaction_leaves_nothing_and_no_lock(store: Store, url: str, key: Path) -> None:
    writer = start(url, key, "demo", "hang")
    assert writer.stdout is not None and writer.stdout.readline() == "inside\n"
    assert store.head("demo") == (0, "")
    writer.kill()
    writer.communicate(timeout=20)
    line(store, 1)
    assert holds(store, key) == 1 and store.line("demo", 1).body["number"] == 1  # type: ignore[union-attr]


def test_a_writer_waits_only_so_long(url: str, key: Path, opened: Again, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "WAIT_SECONDS", 0.3)
    first, second = opened(), opened()
    with first.transaction("demo", NOW) as writer:
        writer.append("flip", "web.http", "ipv4", {})
        with pytest.raises(Busy) as refused:
            line(second, 2)
        assert refused.value.mend.vi
    assert holds(first, key) == 1


# ---------------------------------------------------------------------- one database only


def test_only_the_owner_may_read_the_file(tmp_path: Path, key: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/new/deep/store.db", Signer.load(key)) as store:
        line(store, 1)
        folder = tmp_path / "new" / "deep"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(found.stat().st_mode) for found in folder.iterdir()} == {0o600}
        pragmas = [store._door.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
        assert pragmas == ["wal", 2, 1]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:geheim@x/y",
        "mysql://user@x/y?password=geheim",
        "mysql://user:ge/heim:geheim@x/y",
        "postgresql+psycopg://user:geheim@x:geheim/y",
        "geheim@x",
        "sqlite://",
        "sqlite:///:memory:",
        "nonsense",
    ],
    ids=str,
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_store(url)
    assert "geheim" not in refused.value.explain("vi") + refused.value.explain("en")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("đây không phải kho dữ liệu " * 200)
    with pytest.raises(LedgerError) as refused:
        open_store(f"sqlite:///{tmp_path}/store.db")
    assert refused.value.mend.vi


def test_reading_needs_none_of_the_heavy_libraries(tmp_path: Path, key: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with open_store(url, Signer.load(key)) as store:
        line(store, 1)
    script = (
        "import sys; from ops.store import open_store; s = open_store(sys.argv[1], create=False);"
        "assert s.head('demo')[0] == 1 and s.evidence('demo') and not s.states('demo'); s.close();"
        "print({'sqlalchemy', 'alembic', 'cryptography', 'rfc8785'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script, url], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_full_and_a_read_only_disk_leave_a_ledger_that_verifies(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, timeout=20).returncode:
        lacking("a tmpfs of our own needs root")
    argv = ["unshare", "-m", sys.executable, "-m", "tests.contract.hard_disk", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("held"), done.stderr


def test_a_read_only_server_and_a_dead_one_are_told(postgres: Postgres, key: Path) -> None:
    url = postgres.url()
    with open_store(url, Signer.load(key)) as store:
        spoil(store, f"ALTER DATABASE {url.split('/')[3].split('?')[0]} SET default_transaction_read_only = on")
    with open_store(url, Signer.load(key)) as store:
        with pytest.raises(GaccongError) as refused:
            line(store, 1)
        assert "read-only" in refused.value.what.en and refused.value.mend.vi
    for secret in ("postgres:geheim@/x?host=/nowhere", "/x?host=/nowhere&user=geheim&password=geheim&application_name=geheim"):
        with pytest.raises(GaccongError) as refused:
            open_store(f"postgresql+psycopg://{secret}")
        assert refused.value.mend.vi and "geheim" not in refused.value.explain("vi") + refused.value.explain("en")
        assert "postgresql:///nowhere/x" in refused.value.what.en


def test_a_book_of_the_store_verifies(store: Store, tmp_path: Path, key: Path) -> None:
    for number in range(3):
        line(store, number, site="xa-a")
    assert write_book(tmp_path / "book", store) == [tmp_path / "book"]
    line(store, 1, site="xa-b")
    assert write_book(tmp_path / "book", store) == [tmp_path / "book" / "xa-a", tmp_path / "book" / "xa-b"]
    argv = [sys.executable, str(tmp_path / "book" / "verifier.py"), str(tmp_path / "book")]
    done = subprocess.run([*argv, "--key", Signer.load(key).public], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout.count("ĐẠT / OK") == 2, done
