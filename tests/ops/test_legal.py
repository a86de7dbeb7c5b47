"""The table of laws: what held on which day, for which regulation, and how bad tables are refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ops import legal, policy
from ops.policy import PolicyError


@pytest.mark.parametrize(("before", "after"), [
    ("NĐ 42/2022/NĐ-CP", "NĐ 224/2026/NĐ-CP"), ("NĐ 64/2007/NĐ-CP", "NĐ 224/2026/NĐ-CP"),
    ("Luật 86/2015/QH13", "Luật 116/2025/QH15"), ("NĐ 15/2020/NĐ-CP", "NĐ 174/2026/NĐ-CP"),
    ("Luật 67/2006/QH11", "Luật 148/2025/QH15"),
])
def test_the_legal_basis_turns_on_the_first_of_july_2026(before: str, after: str) -> None:
    eve = {law.id for law in policy.legal_basis(date(2026, 6, 30), "thong-nhat")}
    day = {law.id for law in policy.legal_basis(date(2026, 7, 1), "thong-nhat")}
    assert before in eve
    assert after not in eve
    assert after in day
    assert before not in day


def test_the_basis_of_one_regulation_is_not_that_of_another() -> None:
    on = date(2026, 11, 21)
    ours = {law.id for law in policy.legal_basis(on, "thong-nhat")}
    theirs = {law.id for law in policy.legal_basis(on, "kep")}
    assert "QĐ 40/2024/QĐ-UBND" in ours - theirs
    assert "NĐ 147/2024/NĐ-CP" in theirs - ours
    assert {"NĐ 30/2020/NĐ-CP", "NĐ 331/2026/NĐ-CP"} <= ours & theirs


def test_cited_laws_that_ended_are_told_with_what_came_after() -> None:
    gone = {law.id: law.replaced_by for law in policy.lapsed(date(2026, 11, 21), "kep")}
    assert gone == {"NĐ 43/2011/NĐ-CP": ("NĐ 42/2022/NĐ-CP",), "NĐ 72/2013/NĐ-CP": ("NĐ 147/2024/NĐ-CP",)}


def test_the_level_decree_comes_on_the_nineteenth_of_august_2026() -> None:
    assert "NĐ 331/2026/NĐ-CP" not in {law.id for law in policy.legal_basis(date(2026, 8, 18), "lac-long")}
    assert "NĐ 331/2026/NĐ-CP" in {law.id for law in policy.legal_basis(date(2026, 8, 19), "lac-long")}


def test_the_table_of_laws_is_coherent() -> None:
    table = {law.id: law for law in policy.laws()}
    for law in table.values():
        assert set(law.cited_by) <= set(policy.ids()), law.id
        assert law.cited_by or law.binds_all or law.replaces, law.id
        assert set(law.memory) <= {"title", "in_force", "ended", "replaces", "replaced_by"}, law.id
        if law.in_force and law.ended:
            assert law.in_force < law.ended, law.id
        assert law.ended is None or law.replaced_by, law.id
        for after in law.replaced_by:
            assert law.id in table[after].replaces or law.note.vi or law.status != "verified", (law.id, after)
        if law.status == "memory":
            assert law.memory, law.id


def test_a_law_is_named_and_dated_as_papers_do() -> None:
    table = {law.id: law for law in policy.laws()}
    assert table["NĐ 30/2020/NĐ-CP"].formal == "Nghị định số 30/2020/NĐ-CP về công tác văn thư"
    assert table["Luật 116/2025/QH15"].formal == "Luật An ninh mạng số 116/2025/QH15"
    assert table["NĐ 42/2022/NĐ-CP"].validity.vi == "có hiệu lực từ 15/08/2022, hết hiệu lực từ 01/07/2026"
    assert table["NĐ 64/2007/NĐ-CP"].validity.en == "start not recorded, ended on 2026-07-01"


@pytest.mark.parametrize(("text", "says"), [
    ('replaces = ["NĐ 9/1999"]', "unknown or doubled number: NĐ 9/1999"),
    ('status = "rumour"', "status = rumour is not allowed"),
    ('ended = "2026"', "ended is of the wrong type"),
    ('binds_all = "no"', "binds_all is of the wrong type"),
])
def test_a_bad_table_of_laws_is_refused(tmp_path: Path, text: str, says: str) -> None:
    status = "" if text.startswith("status") else 'status = "verified"\n'
    body = f'[[law]]\nid = "NĐ 1/2026"\ntitle = {{ vi = "a", en = "b" }}\n{status}{text}\n'
    path = tmp_path / "legal.toml"
    path.write_text(body, encoding="utf-8")
    with pytest.raises(PolicyError, match=says) as caught:
        legal.read_laws(path)
    assert "NĐ 1/2026" in caught.value.explain("vi")
