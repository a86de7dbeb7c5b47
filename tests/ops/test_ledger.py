"""The ledger's arithmetic: canonical bytes, RFC 6962 trees, checkpoints, and the book on disk."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import verifier
from ops.errors import GaccongError, LedgerError
from ops.ledger import (
    BOOK,
    Frontier,
    canonical,
    checkpoint_text,
    leaf_hash,
    node_hash,
    verify_book,
    write_book,
)
from ops.model import Flip, State, Verdict, say
from ops.moment import stamp
from ops.signing import Signer
from ops.store import open_store
from tests.ops import books

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcđ\u0301e", max_size=3), inner, max_size=4),
    max_leaves=12,
)


def test_canonical_is_jcs_in_nfc() -> None:
    body = {"b": 1.0, "a": "to\u0302\u0301t", "é": (True, None), "verdict": Verdict.AT_RISK, "x": 1e21, "z": -0.0}
    assert canonical(body) == '{"a":"tốt","b":1,"verdict":"at_risk","x":1e+21,"z":0,"é":[true,null]}'.encode()


@given(st.dictionaries(st.text("abc", min_size=1), plain, max_size=5))
def test_canonical_reads_back_and_is_its_own_canonical_form(body: dict[str, Any]) -> None:
    try:
        written = canonical(body)
    except GaccongError:
        return  # two keys that are one under NFC
    assert canonical(json.loads(written)) == written
    assert unicodedata.is_normalized("NFC", written.decode()) and b"\n" not in written


@pytest.mark.parametrize(
    ("value", "where"),
    [(float("nan"), "a.b[1]"), (float("-inf"), "a.b[1]"), (2**53, "a.b[1]"), (object(), "a.b[1]"), (b"", "a.b[1]")],
)
def test_what_cannot_be_written_is_named_with_its_place(value: object, where: str) -> None:
    with pytest.raises(GaccongError) as refused:
        canonical({"a": {"b": [0, value]}})
    assert where in refused.value.what.vi


def test_keys_that_fall_together_are_refused() -> None:
    with pytest.raises(GaccongError):
        canonical({"\u00e9": 1, "e\u0301": 2})


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 as it is written."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(slow_root(leaves[:half]), slow_root(leaves[half:]))


def test_roots_are_those_of_rfc_6962() -> None:
    """Frontier and verifier against the definition, and against the test vectors of the CT reference tree."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [leaf_hash(bytes.fromhex(one)) for one in inputs]
    frontier, roots = Frontier(), []
    for leaf in leaves:
        frontier.append(leaf)
        roots.append(frontier.root())
    assert roots[0].hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert roots[2].hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert roots[7].hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert Frontier().root() == slow_root([])
    many = [leaf_hash(str(number).encode()) for number in range(130)]
    frontier = Frontier()
    for size, (leaf, root) in enumerate(zip(many, verifier.roots_of(many), strict=True), 1):
        frontier.append(leaf)
        assert frontier.root() == root == slow_root(many[:size])


@given(st.integers(0, 300))
def test_a_frontier_survives_being_stored(size: int) -> None:
    frontier = Frontier()
    for number in range(size):
        frontier.append(leaf_hash(bytes([number % 256])))
    again = Frontier.from_bytes(frontier.to_bytes())
    again.append(b"x" * 32)
    frontier.append(b"x" * 32)
    assert (again.size, again.root()) == (frontier.size, frontier.root()) == (size + 1, frontier.root())


def test_a_damaged_frontier_is_refused() -> None:
    frontier = Frontier()
    frontier.append(b"x" * 32)
    for stored in (b"", frontier.to_bytes()[:-1], frontier.to_bytes() + b"x" * 32):
        if stored:
            with pytest.raises(LedgerError):
                Frontier.from_bytes(stored)


def test_a_checkpoint_has_the_form_of_c2sp() -> None:
    assert checkpoint_text("gaccong/a/demo", 7, bytes(32)) == f"gaccong/a/demo\n7\n{'A' * 43}=\n"


def test_integrity_and_completeness_are_told_apart() -> None:
    lines, notes = books.ledger([2, 3, 1])
    vkey = books.signer().public
    whole = verify_book(lines, notes, vkey)
    assert (whole.ok, whole.intact, whole.complete, whole.anchored, whole.lines) == (True, True, True, 6, 6)
    cut = verify_book(lines[:5], notes, vkey)
    assert (cut.ok, cut.intact, cut.complete, cut.first_bad, cut.anchored) == (False, True, False, 6, 5)
    quiet = verify_book(lines[:5], notes[:2], vkey)
    assert quiet.ok
    kept = verify_book(lines[:5], notes[:2], vkey, f"6:{whole.root}")
    assert (kept.ok, kept.intact, kept.complete, kept.first_bad) == (False, True, False, 6)
    unsigned = verify_book(lines, notes[:2], vkey)
    assert (unsigned.ok, unsigned.intact, unsigned.first_bad, unsigned.anchored) == (False, False, 6, 5)
    rewritten, signed_again = books.ledger([1, 5])
    rewritten[0] = rewritten[0].replace(b"web", b"wob")
    assert verify_book(lines, notes, vkey, f"5:{quiet.root}").ok
    assert not verify_book(lines, notes, vkey, f"5:{whole.root}").ok
    assert not verify_book(rewritten, signed_again, vkey).ok


def test_a_rewritten_chain_is_narrowed_to_the_first_checkpoint_that_fails() -> None:
    lines, notes = books.ledger([3, 4, 3])
    prev = json.loads(lines[4])["prev"]
    for at in range(4, 10):
        lines[at] = books.body(at + 1, prev, said="viết lại")
        prev = leaf_hash(lines[at]).hex()
    found = verify_book(lines, notes, books.signer().public)
    assert (found.ok, found.anchored, found.first_bad) == (False, 3, 4) and "4–7" in found.what.vi


def test_an_empty_ledger_and_a_wrong_key_fail_closed() -> None:
    lines, notes = books.ledger([2])
    assert not verify_book([], [], books.signer().public).ok
    gone = verify_book([], notes, books.signer().public)
    assert not gone.ok and not gone.complete
    other = verify_book(lines, notes, books.signer(2).public)
    assert (other.ok, other.anchored) == (False, 0)
    for vkey, expect in (("not a key", ""), (books.signer().public, "not a head")):
        with pytest.raises(LedgerError):
            verify_book(lines, notes, vkey, expect)


class Ledgers:
    """A store as `write_book` sees it."""

    def __init__(self, **sites: tuple[list[bytes], list[str]]) -> None:
        self.kept = sites

    @contextmanager
    def snapshot(self) -> Iterator[Ledgers]:
        yield self

    def sites(self) -> list[str]:
        return sorted(self.kept)

    def raw_lines(self, site: str) -> Iterator[bytes]:
        return iter(self.kept[site][0])

    def checkpoints(self, site: str) -> list[str]:
        return self.kept[site][1] if site in self.kept else []

    def vkey(self, site: str) -> str:
        return books.signer().public


def test_a_book_is_whole_private_and_replaces_only_a_book(tmp_path: Path) -> None:
    one, target = Ledgers(demo=books.ledger([2])), tmp_path / "a" / "book"
    assert write_book(target, one) == [target]
    assert {place.name for place in target.iterdir()} == set(BOOK)
    assert {stat.S_IMODE(place.stat().st_mode) for place in (target, *target.iterdir())} == {0o700, 0o600}
    assert (target / "ledger.jsonl").read_bytes() == b"".join(line + b"\n" for line in one.kept["demo"][0])
    assert (target / "verifier.py").read_bytes() == Path(verifier.__file__).read_bytes()
    two = Ledgers(xa=books.ledger([1], "xa"), xb=books.ledger([1], "xb"))
    assert write_book(target, two) == [target / "xa", target / "xb"]
    assert write_book(target, two, ["xb"]) == [target] and not (target / "xa").exists()
    (target / "thư của tôi.txt").write_text("đừng xóa")
    with pytest.raises(GaccongError) as refused:
        write_book(target, one)
    assert refused.value.mend.vi and (target / "thư của tôi.txt").exists()
    assert [place.name for place in (tmp_path / "a").iterdir()] == ["book"]


def test_other_targets_are_refused_and_nothing_stays_behind(tmp_path: Path) -> None:
    one = Ledgers(demo=books.ledger([2]))
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "README.txt").write_text("")
    for target in (tmp_path / "file", tmp_path / "full"):
        with pytest.raises(GaccongError):
            write_book(target, one)
    for nothing, sites in ((Ledgers(), []), (one, ["absent"]), (Ledgers(**{"..": books.ledger([1])}), [])):
        with pytest.raises(GaccongError):
            write_book(tmp_path / "new", nothing, sites)
    (tmp_path / "empty").mkdir()
    assert write_book(tmp_path / "empty", one)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["empty", "file", "full"]


def test_a_book_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    class Torn(Ledgers):
        def raw_lines(self, site: str) -> Iterator[bytes]:
            yield b"{}"
            raise OSError(28, "No space left on device")

    target = tmp_path / "book"
    write_book(target, Ledgers(demo=books.ledger([2])))
    before = (target / "ledger.jsonl").read_bytes()
    with pytest.raises(GaccongError):
        write_book(target, Torn(demo=books.ledger([3])))
    assert (target / "ledger.jsonl").read_bytes() == before and list(tmp_path.iterdir()) == [target]


def gaccong(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """The installed command over a configuration in `folder`."""
    program = [str(Path(sys.executable).parent / "gaccong"), "--config", str(folder / "gaccong.toml"), "--lang", "en"]
    return subprocess.run([*program, *argv], cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Two sites, each with a subject that broke once, as the engine writes it."""
    folder = tmp_path / "hai trang"
    folder.mkdir()
    site = '[site.{s}]\nname = "Trang {s}"\npolicy = "thong-nhat"\nurl = "https://{s}.example/"\n'
    (folder / "gaccong.toml").write_text("".join(site.format(s=one) for one in ("xa", "xb")), encoding="utf-8")
    signer = Signer.create(folder / "state" / "keys" / "ledger.key", "gaccong/test")
    with open_store(f"sqlite:///{folder}/state/gaccong.db", signer) as store:
        for one, hour in (("xa", 0), ("xb", 0), ("xa", 1)):
            now = datetime(2026, 11, 20, hour, tzinfo=UTC)
            verdict = Verdict.BROKEN if hour else Verdict.MET
            with store.transaction(one, now) as writer:
                line = writer.append("flip", "web.http", "ipv4", {"verdict": verdict.value, "from": stamp(now)})
                writer.add_flip("web.http", "ipv4", Flip(now, verdict))
                writer.put_state(
                    State(one, "web.http", "ipv4", verdict, now, now, say("a", "b"), {}, "", line.seq, 4e9)
                )
    return folder


def test_the_command_that_an_export_prints_verifies_the_book(house: Path) -> None:
    told = gaccong(house, "ledger", "export", "--out", "sổ của tôi")
    assert told.returncode == 0, told.stderr
    printed = shlex.split(told.stdout.strip().splitlines()[-1].partition("verify: ")[2])
    assert [part.partition("=")[0] for part in printed if "=" in part and ":" in part] == ["xa", "xb"]

    def verified() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *printed[1:]], capture_output=True, text=True, timeout=60)

    assert verified().returncode == 0, verified()
    shutil.rmtree(house / "sổ của tôi" / "xa")
    assert verified().returncode == 1
    shutil.copytree(house / "sổ của tôi" / "xb", house / "sổ của tôi" / "xa")
    assert verified().returncode == 1
    one = json.loads(gaccong(house, "--json", "ledger", "export", "--out", "một", "--site", "xb").stdout)
    assert "--expect xb=1:" in one["verify"] and [book["site"] for book in one["books"]] == ["xb"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE states SET verdict = 'met' WHERE verdict = 'broken'",
        "DELETE FROM states WHERE verdict = 'broken'",
        "DELETE FROM flips WHERE verdict = 'broken'",
        "UPDATE lines SET intent = 1 WHERE seq = 2",
    ],
)
def test_a_falsified_table_is_named_by_the_command(house: Path, sql: str) -> None:
    def web(verdict: str) -> bool:
        found = json.loads(gaccong(house, "--json", "status", "--site", "xa").stdout)
        answers = [answer for clause in found["sites"][0]["clauses"] for answer in clause["answers"]]
        return {answer["verdict"] for answer in answers if answer["duty"] == "web.http"} == {verdict}

    assert gaccong(house, "ledger", "verify").returncode == 0 and web("broken")
    with closing(sqlite3.connect(house / "state" / "gaccong.db")) as database:
        assert database.execute(sql).rowcount
        database.commit()
    done = gaccong(house, "ledger", "verify")
    assert done.returncode == 4 and "✗ xa" in done.stdout and "✓ xb" in done.stdout
    assert not web("met")
