"""No single change to a book goes unseen, by the kernel or by the stand-alone verifier, and the right line is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops import verifier
from ops.ledger import leaf_hash, verify_book
from tests.ops import books

GROUPS = st.lists(st.integers(1, 4), min_size=1, max_size=6)
SEVERAL = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def differing(old: list[bytes], new: list[bytes]) -> int:
    """The first line (from 1) at which two ledgers part."""
    return next(
        (at for at, pair in enumerate(zip(old, new, strict=False), 1) if pair[0] != pair[1]),
        min(len(old), len(new)) + 1,
    )


def check(tmp: Path, lines: list[bytes], notes: list[str], new: list[bytes], *, known: bool = True) -> Any:
    """Both judges find the change and name the same line; if it can be `known` from the book, the right one."""
    vkey = books.signer().public
    found = verify_book(new, notes, vkey)
    folder = books.write(tmp / "book", new, notes)
    assert verifier.main([str(folder), "--key", vkey]) == 1
    judged = verifier.read_book(folder, vkey, {})
    assert not found.ok and (judged.first_bad, judged.anchored) == (found.first_bad, found.anchored)
    first = differing(lines, new)
    assert found.anchored < first
    if known:
        assert found.first_bad == first, found
    else:
        assert found.first_bad == found.anchored + 1 <= first, found
    return found


def last_alone(groups: list[int], at: int) -> bool:
    """True unless `at` is the last of several lines of the last transaction: there is no later line to tell which of
    them was changed, so only the range since the last good checkpoint can be named."""
    return at < sum(groups) or groups[-1] == 1


@SEVERAL
@given(groups=GROUPS, data=st.data())
def test_a_flipped_bit_is_found(groups: list[int], data: st.DataObject, tmp_path: Path) -> None:
    lines, notes = books.ledger(groups)
    stored = bytearray(b"".join(line + b"\n" for line in lines))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= 1 << data.draw(st.integers(0, 7))
    vkey, folder = books.signer().public, books.write(tmp_path / "book", lines, notes)
    (folder / "ledger.jsonl").write_bytes(stored)
    judged = verifier.read_book(folder, vkey, {})
    assert not judged.intact and verifier.main([str(folder), "--key", vkey]) == 1
    line = bytes(stored[:at]).count(b"\n") + 1
    if last_alone(groups, line) or verifier.read_line(bytes(stored).split(b"\n")[line - 1])[0] != line:
        assert judged.first_bad == line, judged
    else:
        assert judged.anchored < judged.first_bad <= line, judged


@SEVERAL
@given(groups=GROUPS, data=st.data())
def test_a_rewritten_line_is_found(groups: list[int], data: st.DataObject, tmp_path: Path) -> None:
    lines, notes = books.ledger(groups)
    at = data.draw(st.integers(1, len(lines)))
    prev = data.draw(st.sampled_from([books.prev_of(lines[at - 1]), "0" * 64, ""]))
    new = [*lines]
    new[at - 1] = books.body(at, prev, said="tất cả đều đạt")
    kept = prev == books.prev_of(lines[at - 1])
    check(tmp_path, lines, notes, new, known=not kept or last_alone(groups, at))


@SEVERAL
@given(groups=GROUPS, data=st.data())
def test_a_dropped_line_is_found(groups: list[int], data: st.DataObject, tmp_path: Path) -> None:
    lines, notes = books.ledger(groups)
    at = data.draw(st.integers(1, len(lines)))
    new = lines[: at - 1] + lines[at:]
    if new:
        found = check(tmp_path, lines, notes, new)
        assert found.complete is False and found.intact is (at == len(lines))
    assert not verify_book(new, notes, books.signer().public).ok


@SEVERAL
@given(groups=GROUPS, data=st.data())
def test_swapped_lines_are_found(groups: list[int], data: st.DataObject, tmp_path: Path) -> None:
    lines, notes = books.ledger([*groups, 1])
    one, two = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
    new = [*lines]
    new[one], new[two] = new[two], new[one]
    check(tmp_path, lines, notes, new)


@SEVERAL
@given(groups=GROUPS, data=st.data())
def test_an_inserted_line_is_found(groups: list[int], data: st.DataObject, tmp_path: Path) -> None:
    lines, notes = books.ledger(groups)
    at = data.draw(st.integers(1, len(lines) + 1))
    before = leaf_hash(lines[at - 2]).hex() if at > 1 else ""
    forged = st.sampled_from(
        [
            books.body(at, before, said="chen vào"),
            books.body(at, "f" * 64),
            books.body(at + 1, before),
            books.body(at, before, "other"),
            b"",
            b"{",
            b"[" * 100_000,
            b"[1]",
            b"null",
            b'{"seq":1}',
            b"\xff\xfe",
        ]
    )
    line = data.draw(forged | st.sampled_from(lines))
    check(tmp_path, lines, notes, [*lines[: at - 1], line, *lines[at - 1 :]])


@SEVERAL
@given(groups=GROUPS, data=st.data())
def test_a_cut_tail_is_found_and_is_not_called_a_change(groups: list[int], data: st.DataObject, tmp_path: Path) -> None:
    lines, notes = books.ledger([*groups, 1])
    left = data.draw(st.integers(1, len(lines) - 1))
    found = check(tmp_path, lines, notes, lines[:left])
    assert (found.intact, found.complete, found.first_bad) == (True, False, left + 1)


@SEVERAL
@given(groups=GROUPS, data=st.data())
def test_a_spoiled_checkpoint_or_key_is_found(groups: list[int], data: st.DataObject, tmp_path: Path) -> None:
    lines, notes = books.ledger(groups)
    folder = books.write(tmp_path / "book", lines, notes)
    path = folder / data.draw(st.sampled_from(["checkpoints.txt", "key.txt"]))
    stored = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["flip", "cut", "swap", "double", "other key"]))
    if how == "flip":
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(stored)
    elif how == "cut":
        path.write_bytes(stored[: data.draw(st.integers(0, len(stored) - 1))])
    else:
        at = data.draw(st.integers(0, len(notes) - 1))
        stranger = books.ledger(groups, key=books.signer(2))[1][at]
        new = {
            "swap": [*notes[1:], notes[0]],
            "double": [*notes[:at], notes[at], *notes[at:]],
            "other key": [*notes[:at], stranger, *notes[at + 1 :]],
        }[how]
        if new == notes:
            return
        books.write(folder, lines, new)
    assert verifier.main([str(folder)]) == 1


@SEVERAL
@given(garbage=st.lists(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), min_size=3, max_size=3))
def test_garbage_never_ends_in_a_traceback(garbage: list[bytes], tmp_path: Path) -> None:
    for name, content in zip(("ledger.jsonl", "checkpoints.txt", "key.txt"), garbage, strict=True):
        (tmp_path / name).write_bytes(content)
    assert verifier.main([str(tmp_path)]) == 1


# ---------------------------------------------------------------------- as a program of its own


def run(*argv: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The verifier, copied away from gaccong, run by an interpreter that sees no folder of ours."""
    program = folder / "elsewhere" / "verifier.py"
    program.parent.mkdir(exist_ok=True)
    shutil.copy(verifier.__file__, program)
    return subprocess.run(
        [sys.executable, "-P", str(program), *argv], cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_it_stands_alone_and_says_what_it_trusts(tmp_path: Path) -> None:
    lines, notes = books.ledger([2, 3])
    book, vkey = books.write(tmp_path / "book", lines, notes), books.signer().public
    root = verify_book(lines, notes, vkey).root
    alone = run(str(book), folder=tmp_path)
    assert alone.returncode == 0 and "CẢNH BÁO" in alone.stdout and "WARNING" in alone.stdout
    sure = run(str(book), "--key", vkey, "--expect", f"5:{root}", folder=tmp_path)
    assert (sure.returncode, sure.stderr) == (0, "") and "WARNING" not in sure.stdout and f"5:{root}" in sure.stdout
    for argv in (
        ["--key", books.signer(2).public],
        ["--expect", f"6:{root}"],
        ["--expect", f"4:{root}"],
        ["--expect", "0:"],
        ["--expect", ""],
        ["--expect", f"demo=6:{root}"],
        ["--expect", "demo="],
        ["--expect", f"-7:{root}"],
        ["--expect", "x"],
        ["--expect", ":"],
        ["--key", "x"],
        ["--odd"],
        ["more"],
    ):
        done = run(str(book), *argv, folder=tmp_path)
        assert done.returncode == 1 and "Traceback" not in done.stderr, (argv, done)
        assert "OK" not in done.stdout
    assert run(folder=tmp_path).returncode == 1 and run("--help", folder=tmp_path).returncode == 0


def test_it_names_the_bad_line_in_both_languages(tmp_path: Path) -> None:
    lines, notes = books.ledger([1, 1, 1])
    lines[1] = lines[1].replace(b"web", b"wob")
    done = run(str(books.write(tmp_path / "book", lines, notes)), folder=tmp_path)
    assert done.returncode == 1 and "dòng 2" in done.stdout and "line 2" in done.stdout


def test_several_sites_are_all_checked(tmp_path: Path) -> None:
    for site in ("xa-a", "xa-b"):
        books.write(tmp_path / "all" / site, *books.ledger([2], site))
    assert run(str(tmp_path / "all"), folder=tmp_path).returncode == 0
    (tmp_path / "all" / "xa-a" / "ledger.jsonl").unlink()
    done = run(str(tmp_path / "all"), folder=tmp_path)
    assert done.returncode == 1 and done.stdout.count("ĐẠT / OK") == 1


def test_it_says_whose_book_it_is(tmp_path: Path) -> None:
    """A book of two sites, one of which is handed out in the other's place, or left out."""
    roots = {}
    for site in ("xa-a", "xa-b"):
        lines, notes = books.ledger([2], site)
        books.write(tmp_path / "all" / site, lines, notes)
        roots[site] = verify_book(lines, notes, books.signer().public).root
    heads = [part for site, root in roots.items() for part in ("--expect", f"{site}=2:{root}")]
    known = ["--key", books.signer().public, *heads]
    whole = run(str(tmp_path / "all"), *known, folder=tmp_path)
    assert whole.returncode == 0 and "'xa-a'" in whole.stdout and "'xa-b'" in whole.stdout
    shutil.rmtree(tmp_path / "all" / "xa-a")
    lacking = run(str(tmp_path / "all"), *known, folder=tmp_path)
    assert lacking.returncode == 1 and "not in the book" in lacking.stdout and lacking.stdout.count("OK") == 1
    shutil.copytree(tmp_path / "all" / "xa-b", tmp_path / "all" / "xa-a")
    for argv in ([], known):
        swapped = run(str(tmp_path / "all"), *argv, folder=tmp_path)
        assert swapped.returncode == 1 and "another site" in swapped.stdout
    alone = run(str(tmp_path / "all" / "xa-a"), folder=tmp_path)
    assert alone.returncode == 0 and "'xa-b'" in alone.stdout
    for wrong in (heads[:2], ["--expect", f"xa-a=2:{roots['xa-b']}"]):
        assert run(str(tmp_path / "all" / "xa-a"), *wrong, folder=tmp_path).returncode == 1
    assert run(str(tmp_path / "all" / "xa-a"), *heads[2:], folder=tmp_path).returncode == 0


def test_a_ledger_under_another_sites_checkpoints_is_refused(tmp_path: Path) -> None:
    lines, _ = books.ledger([2], "xa-a")
    assert not verify_book(lines, books.ledger([2], "xa-b")[1], books.signer().public).ok
    both = [*books.ledger([1], "xa-b")[1], books.ledger([2], "xa-a")[1][0]]
    assert not verify_book(lines, both, books.signer().public).ok


@pytest.mark.parametrize("missing", ["ledger.jsonl", "checkpoints.txt", "key.txt", ""])
def test_a_missing_part_or_an_empty_book_fails_closed(
    tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = books.write(tmp_path / "book", *books.ledger([2]))
    if missing:
        (folder / missing).unlink()
    else:
        for path in folder.iterdir():
            path.write_bytes(b"")
    assert verifier.main([str(folder)]) == 1
    assert "KHÔNG ĐẠT" in capsys.readouterr().out
    (tmp_path / "nothing").mkdir()
    assert verifier.main([str(tmp_path / "nothing")]) == verifier.main([str(tmp_path / "absent")]) == 1


def test_it_is_short_enough_to_be_read_whole_and_imports_nothing_of_ours() -> None:
    source = Path(verifier.__file__).read_text(encoding="utf-8")
    assert len(source.splitlines()) < 150
    assert "ops" not in source and json.dumps("from backup") not in source
