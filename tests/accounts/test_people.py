"""The roster: every mistake at once, each at its place; legal CSV stays legal; who is gone, and when."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.model import Account, bare
from accounts.people import RosterError, read_roster, suggestions
from ops.errors import CannotSee
from tests.accounts.rooms import HEADER

SYSTEMS = ("site", "may")


def write(tmp: Path, text: str, encoding: str = "utf-8") -> Path:
    (tmp / "r.csv").write_bytes(text.encode(encoding))
    return tmp / "r.csv"


def mistakes(tmp: Path, text: str, encoding: str = "utf-8") -> list[tuple[int, str]]:
    with pytest.raises(RosterError) as caught:
        read_roster(write(tmp, text, encoding), SYSTEMS)
    assert all(m.what.vi and m.what.en and m.mend.vi and m.mend.en for m in caught.value.mistakes)
    assert all(m.line_of("vi").startswith(f"{tmp / 'r.csv'}:{m.line}: ") for m in caught.value.mistakes)
    return [(m.line, m.column) for m in caught.value.mistakes]


def test_a_person_may_leave_and_come_back(tmp_path: Path) -> None:
    people = read_roster(write(tmp_path, HEADER + (
        "Trần Thị Mận,Văn phòng,biên tập,2024-01-01,2025-06-30,site:man\n"
        "Trần Thị Mận,Văn phòng,biên tập,2026-01-01,,site:man may:man\n"
        "Lê Văn Ổi,Kỹ thuật,quản trị,2024-01-01,2026-11-20,may:oi\n"), "utf-8-sig"), SYSTEMS)
    oi, man = people
    assert man.logins == (("site", "man"), ("may", "man")) and len(man.stays) == 2
    assert not man.gone(date(2026, 11, 21))
    assert not oi.gone(date(2026, 11, 20)) and oi.gone(date(2026, 11, 21))
    assert oi.left_at().astimezone(UTC) == datetime(2026, 11, 20, 17, tzinfo=UTC)


def test_quotes_commas_and_newlines_are_legal(tmp_path: Path) -> None:
    text = HEADER + '"Ngô ""Tí"", Út",Tổ 1,r,2024-01-01,,site:a\n\n"Hai\nDòng",u,"a\r\nb",2024-01-01,,\n,,,,,\nX Y,,,sai,,\n'
    assert mistakes(tmp_path, text) == [(8, "from")]
    people = read_roster(write(tmp_path, text.rsplit("X Y", 1)[0]), SYSTEMS)
    assert [person.name for person in people] == ["Hai Dòng", 'Ngô "Tí", Út']


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = HEADER + (
        "A B,u,r,2024-13-01,,\n"
        "A C,u,r,2024-05-01,2024-04-30,\n"
        "A D,u,r,2024-05-01,,\n"
        "A D,u,r,2024-05-01,,\n"
        "A E,u,r,2024-05-01,,mail:x site\n"
        ",u,r,01/02/2024,mai,site:\n"
        "A F,u,r,2024-05-01\n"
        "all,u,r,2024-05-01,,\n"
    )
    assert mistakes(tmp_path, text) == [
        (2, "from"), (3, "until"), (5, "person"), (6, "logins"), (6, "logins"), (7, "person"), (7, "from"), (7, "until"),
        (7, "logins"), (8, ""), (9, "person")]


@pytest.mark.parametrize(("text", "found"), [
    ("", [(1, column) for column in ("person", "unit", "role", "from", "until", "logins")]),
    ("person,unit,role,from,unti,logins\nA,,,2024-01-01,,\n", [(1, "until"), (1, "unti")]),
    ("person,unit,role,from,until,logins,unit\n", [(1, "unit")]),
    ("person;unit;role;from;until;logins\n", [(1, "")]),
    (HEADER, [(1, "")]),
    (HEADER + 'A B,u,r,2024-01-01,,\n"A C,u\n', [(3, "")]),
    (HEADER + 'A B,u,r,2024-01-01,,\n"A"C,u,r,2024-01-01,,\n', [(3, "")]),
])
def test_form(tmp_path: Path, text: str, found: list[tuple[int, str]]) -> None:
    assert mistakes(tmp_path, text) == found


def test_bytes_that_are_no_utf8_and_a_missing_file(tmp_path: Path) -> None:
    assert mistakes(tmp_path, HEADER + "A\nB\nLê,u", "latin-1") == [(4, "")]
    with pytest.raises(CannotSee):
        read_roster(tmp_path / "không có.csv", SYSTEMS)


def test_logins_may_hold_odd_signs(tmp_path: Path) -> None:
    text = HEADER + "A B,u,r,2024-01-01,,may:x;id site:a%20b; may:c;site:d  may:50%25\n"
    assert read_roster(write(tmp_path, text), SYSTEMS)[0].logins == (
        ("may", "x;id"), ("site", "a b"), ("may", "c"), ("site", "d"), ("may", "50%"))


def test_text_is_composed(tmp_path: Path) -> None:
    text = unicodedata.normalize("NFD", HEADER + "Đỗ Thị Mướp,u,r,2024-01-01,,site:mướp\n")
    person = read_roster(write(tmp_path, text), SYSTEMS)[0]
    assert person.name == "Đỗ Thị Mướp" and person.logins == (("site", "mướp"),)


@pytest.mark.parametrize(("name", "login", "yes"), [
    ("", "mantt", True), ("", "ttman", True), ("", "man.tran", True), ("TRAN THI MAN", "x1", True),
    ("Trần Thị Mận", "x", True), ("", "tranthiman", True), ("", "man", False), ("Trần Thị", "tran", False), ("", "", False),
])
def test_suggestions_know_no_marks_and_never_match_too_much(tmp_path: Path, name: str, login: str, yes: bool) -> None:
    people = read_roster(write(tmp_path, HEADER + "Trần Thị Mận,u,r,2024-01-01,,\n"), SYSTEMS)
    account = Account("site", login, name, True, False, (), None, "")
    assert suggestions(account, people) == (["Trần Thị Mận"] if yes else [])


def test_bare() -> None:
    assert bare("  Đặng-Ngọc  ÁNH ") == "dang ngoc anh"


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("r") / "r.csv"
    file.write_bytes((HEADER + text).encode("utf-8", "surrogatepass"))
    try:
        assert read_roster(file, SYSTEMS)
    except RosterError as error:
        assert error.mistakes
