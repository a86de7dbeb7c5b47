"""Accounts in a site's table: read, proved refused at the site's own login form, and put back exactly."""

from __future__ import annotations

import json
import sqlite3
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.changes.revoke import revoke
from accounts.checks.census import census
from accounts.checks.leavers import left
from accounts.checks.refused import refused
from accounts.systems import _sql_hand
from accounts.web_door import WebDoor
from ops.errors import CannotSee, PlanRefused
from ops.model import Verdict
from tests.accounts.rooms import Portal, carry_out, django, ground, look, take_back

MAN = "Trần Thị Mận"
HOSTILE = "'; DROP TABLE x; --\n\"đạt\""
ROSTER = (f"{MAN},u,biên tập,2024-01-01,2026-01-31,trang:man\nLê Ổi,u,quản trị,2024-01-01,,trang:oi trang:kiem\n")


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    server = Portal(tmp_path / "site", [
        ("man", "Trần Thị Mận", "biên tập", "mat-khau-cua-man", 1), ("oi", "Lê Ổi", "Admin", "cua-oi", 1),
        ("kiem", "gaccong", "", "cua-kiem", 1)])
    (tmp_path / "kiem").write_text("cua-kiem")
    (tmp_path / "kiem").chmod(0o600)
    yield server
    server.stop()


def systems(portal: Portal, **more: Any) -> dict[str, Any]:
    return {"trang": portal.settings(control_login="kiem", control_password="file:kiem", **more)}


def test_a_whole_revocation_is_proved_by_refusal(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    before = portal.rows()
    assert look(left, site, ctx)[MAN].verdict is Verdict.BROKEN
    assert look(refused, site, ctx)[MAN].verdict is Verdict.UNSEEN
    plan = revoke.function(site, ctx, person=unicodedata.normalize("NFD", f" {MAN} "))
    assert plan == revoke.function(site, ctx, person=MAN) and portal.rows() == before
    results = carry_out(plan, tmp_path)
    assert results[0].code == 0 and results[0].answer["accepted"] is True and portal.tries == [("man", True)]
    assert portal.rows()[0][4] == 0 and portal.rows()[1:] == before[1:]
    assert look(left, site, ctx)[MAN].verdict is Verdict.MET
    found = look(refused, site, ctx)
    assert found[MAN].verdict is Verdict.MET and found["all"].verdict is Verdict.MET
    trial = found[MAN].facts["trials"][0]
    assert (trial["how"], trial["accepted"], trial["control_before"], trial["control_after"]) == ("login", False, True, True)
    assert portal.tries[1:4] == [("kiem", True), ("man", False), ("kiem", True)]
    assert not revoke.function(site, ctx, person=MAN).steps
    take_back(results, tmp_path)
    assert portal.rows() == before and portal.check("man", "mat-khau-cua-man")
    assert not list(ctx.home.glob("accounts.*"))


def test_nothing_secret_is_told(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    plan = revoke.function(site, ctx, person=MAN)
    results = carry_out(plan, tmp_path)
    findings = [*look(refused, site, ctx).values(), *look(left, site, ctx).values(), *look(census, site, ctx).values()]
    kept = {path.suffix: path for path in ctx.home.glob("accounts.*")}
    assert set(kept) == {".canary", ".password", ".row"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in kept.values())
    canary = json.loads(kept[".canary"].read_text())["password"]
    told = repr(plan) + repr(findings) + json.dumps([result.json() for result in results])
    hashes = {row[5] for row in portal.rows()} | {django("mat-khau-cua-man")}
    assert len(canary) >= 30 and not any(word in told for word in (canary, "cua-kiem", "pbkdf2_sha256$", *hashes))
    made = portal.rows()[0][5]
    assert made.startswith("pbkdf2_sha256$2000$") and made not in hashes - {made}


def test_opened_again_behind_our_back_is_broken(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    with closing(sqlite3.connect(portal.database)) as database, database:
        database.execute('UPDATE "biên tập viên" SET "mở" = 1')
    assert look(refused, site, ctx)[MAN].verdict is Verdict.BROKEN
    assert look(left, site, ctx)[MAN].verdict is Verdict.BROKEN
    assert look(refused, site, ctx)["all"].verdict is Verdict.BROKEN


@pytest.mark.parametrize("fault", ["deaf", "broken"])
def test_refusing_everybody_proves_nothing(tmp_path: Path, portal: Portal, fault: str) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    setattr(portal, fault, True)
    assert look(refused, site, ctx)[MAN].verdict is Verdict.UNSEEN


@pytest.mark.parametrize("fault", ["deaf", "broken"])
def test_a_form_that_fails_does_not_stop_the_shutting(tmp_path: Path, portal: Portal, fault: str) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    before = portal.rows()
    setattr(portal, fault, True)
    results = carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    assert results[0].code == 4 and results[0].answer["accepted"] is False
    assert portal.rows()[0][4] == 0 and portal.rows()[0][5] == before[0][5]
    setattr(portal, fault, False)
    assert look(refused, site, ctx)[MAN].verdict is Verdict.UNSEEN and look(left, site, ctx)[MAN].verdict is Verdict.MET
    take_back(results, tmp_path)
    assert portal.rows() == before


def test_without_a_control_account_the_canary_is_the_control_for_a_quarter_hour(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, {"trang": portal.settings()})
    carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    assert look(refused, site, ctx)[MAN].verdict is Verdict.MET
    site, later = ground(tmp_path, ROSTER, {"trang": portal.settings()}, now=datetime.now(UTC) + timedelta(hours=1))
    found = look(refused, site, later)[MAN]
    assert found.verdict is Verdict.UNSEEN and "đối chứng" in found.detail.vi


def test_without_a_form_it_is_read_back_and_called_so(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, {"trang": portal.settings(try_url="")})
    assert look(refused, site, ctx)[MAN].verdict is Verdict.BROKEN
    plan = revoke.function(site, ctx, person=MAN)
    assert len(plan.steps) == 1
    carry_out(plan, tmp_path)
    found = look(refused, site, ctx)[MAN]
    assert found.verdict is Verdict.MET and found.facts["trials"][0]["how"] == "readback" and "đọc lại" in found.detail.vi
    assert portal.tries == []


def test_an_interrupted_run_keeps_the_true_former_password(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    before = portal.rows()
    carry_out(type(plan := revoke.function(site, ctx, person=MAN))(plan.title, plan.steps[:1]), tmp_path)
    again = revoke.function(site, ctx, person=MAN)
    results = carry_out(again, tmp_path)
    assert look(refused, site, ctx)[MAN].verdict is Verdict.MET
    take_back(results, tmp_path)
    assert portal.rows() == before


def test_the_way_back_does_not_undo_a_new_password(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    results = carry_out(revoke.function(site, ctx, person=MAN), tmp_path)
    with closing(sqlite3.connect(portal.database)) as database, database:
        database.execute('UPDATE "biên tập viên" SET mat_khau = ? WHERE login = ?', (django("moi"), "man"))
    take_back(results, tmp_path)
    assert portal.check("man", "moi")


def test_hostile_and_decomposed_logins(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "mướp")
    portal = Portal(tmp_path / "site", [(HOSTILE, "", "", "a", 1), (nfd, "", "", "b", 1), ("--x", "", "", "c", 1)])
    try:
        cell = '"trang:' + HOSTILE.replace('"', '""').replace(" ", "%20").replace("\n", "%0A") + ' trang:mướp trang:--x"'
        site, ctx = ground(tmp_path, f"Cũ Kỹ,u,r,2024-01-01,2025-01-01,{cell}\n", {"trang": portal.settings()})
        before = portal.rows()
        results = carry_out(revoke.function(site, ctx, person="Cũ Kỹ"), tmp_path)
        assert [row[4] for row in portal.rows()] == [0, 0, 0]
        found = look(refused, site, ctx)["Cũ Kỹ"]
        assert found.verdict is Verdict.MET and found.measures["tried"] == 3 and "\n" not in found.detail.vi
        take_back(results, tmp_path)
        assert portal.rows() == before
    finally:
        portal.stop()


def test_census_names_owners_and_orphans(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    found = look(census, site, ctx)["trang"]
    assert found.verdict is Verdict.MET and found.measures == {
        "accounts": 3, "enabled": 3, "orphans": 0, "admins": 1, "unknown_last_use": 3}
    other = unicodedata.normalize("NFD", f"{MAN},u,r,2024-01-01,,trang:kiem trang:ma\nLê Ổi,u,r,2024-01-01,,trang:oi\n")
    site, ctx = ground(tmp_path, other, systems(portal))
    found = look(census, site, ctx)["trang"]
    orphan = next(line for line in found.facts["accounts"] if line["login"] == "man")
    assert found.verdict is Verdict.AT_RISK and orphan["owners"] == [] and orphan["suggested"] == [MAN]
    assert found.facts["missing"] == ["ma"]
    site, ctx = ground(tmp_path, f"{MAN},u,r,2024-01-01,,trang:man trang:kiem\n", systems(portal))
    found = look(census, site, ctx)["trang"]
    assert found.verdict is Verdict.BROKEN and "oi (quản trị)" in found.detail.vi and found.subject == "trang"


def test_a_broken_roster_judges_nobody(tmp_path: Path, portal: Portal) -> None:
    site, ctx = ground(tmp_path, "X,u,r,sai,,\n", systems(portal))
    assert look(census, site, ctx)["trang"].verdict is Verdict.UNSEEN
    for check in (left, refused):
        with pytest.raises(CannotSee):
            look(check, site, ctx)


@pytest.mark.parametrize("change", [
    {"table": "x"}, {"login": "không có"}, {"login": 'login" --'}, {"enabled": "1"}, {"name": "rowid"},
    {"database": "/nonexistent/x.db"}])
def test_a_table_that_is_not_as_said_is_unseen(tmp_path: Path, portal: Portal, change: dict[str, str]) -> None:
    site, ctx = ground(tmp_path, ROSTER, {"trang": portal.settings(**change)})
    assert look(census, site, ctx)["trang"].verdict is Verdict.UNSEEN
    assert look(left, site, ctx)[MAN].verdict is Verdict.UNSEEN and look(left, site, ctx)["all"].verdict is Verdict.UNSEEN


def test_no_database_file_and_an_empty_table(tmp_path: Path, portal: Portal) -> None:
    (tmp_path / "rác.db").write_bytes(b"not a database at all" * 100)
    site, ctx = ground(tmp_path, ROSTER, {"trang": portal.settings(database=str(tmp_path / "rác.db"))})
    assert look(census, site, ctx)["trang"].verdict is Verdict.UNSEEN
    with closing(sqlite3.connect(portal.database)) as database, database:
        database.execute('DELETE FROM "biên tập viên"')
    site, ctx = ground(tmp_path, ROSTER, systems(portal))
    assert look(census, site, ctx)["trang"].verdict is Verdict.UNSEEN


def test_the_hours_since_leaving_count_on_the_vietnamese_clock(tmp_path: Path, portal: Portal) -> None:
    row = f"{MAN},u,r,2024-01-01,2026-11-19,trang:man\nLê Ổi,u,r,2024-01-01,,trang:oi\n"
    for moment, verdict in (
        (datetime(2026, 11, 19, 16, 59, tzinfo=UTC), None),
        (datetime(2026, 11, 19, 17, 1, tzinfo=UTC), Verdict.AT_RISK),
        (datetime(2026, 11, 20, 16, 59, tzinfo=UTC), Verdict.AT_RISK),
        (datetime(2026, 11, 20, 17, 1, tzinfo=UTC), Verdict.BROKEN),
    ):
        site, ctx = ground(tmp_path, row, systems(portal), now=moment)
        found = look(left, site, ctx).get(MAN)
        assert (found and found.verdict) == verdict
    site, ctx = ground(tmp_path, row, systems(portal), now=moment, thresholds={"accounts.revocation_hours": 48})
    assert look(left, site, ctx)[MAN].verdict is Verdict.AT_RISK
    site, ctx = ground(tmp_path, row, systems(portal), now=moment, subjects=(MAN,))
    assert list(look(left, site, ctx)) == [MAN] and list(look(refused, site, ctx)) == [MAN]


def test_refusals_of_the_plan(tmp_path: Path, portal: Portal) -> None:
    def refused_as(roster: str, person: str, word: str, **more: Any) -> None:
        site, ctx = ground(tmp_path, roster, systems(portal, **more))
        with pytest.raises(PlanRefused, match=word) as caught:
            revoke.function(site, ctx, person=person)
        assert caught.value.mend.vi

    refused_as(ROSTER, "Trần Thị Mạn", "roster has no")
    refused_as(ROSTER, "Lê Ổi", "has not left")
    refused_as("Lê Ổi,u,r,2024-01-01,2025-01-01,trang:oi\n", "Lê Ổi", "no administrator left")
    refused_as("Lê Ổi,u,r,2024-01-01,2025-01-01,trang:kiem\n", "Lê Ổi", "gaccong itself")
    refused_as(ROSTER + "Người Mới,u,r,2024-01-01,,trang:man\n", MAN, "works here")


def test_one_unreadable_system_does_not_hold_up_the_others(tmp_path: Path, portal: Portal) -> None:
    row = ROSTER.replace("trang:man", "trang:man khac:man")
    site, ctx = ground(tmp_path, row, {**systems(portal), "khac": portal.settings(table="mất")})
    plan = revoke.function(site, ctx, person=MAN)
    assert len(plan.steps) == 2 and "khac" in plan.title.vi
    carry_out(plan, tmp_path)
    assert look(left, site, ctx)[MAN].verdict is Verdict.UNSEEN and look(refused, site, ctx)[MAN].verdict is Verdict.UNSEEN
    assert portal.rows()[0][4] == 0


def test_a_door_that_says_neither_is_no_verdict(portal: Portal) -> None:
    door = WebDoor(portal.url, "ten", "mk")
    assert door.lets_in("oi", b"cua-oi") and not door.lets_in("oi", b"sai")
    portal.broken = True
    with pytest.raises(CannotSee, match="502"):
        door.lets_in("oi", b"cua-oi")
    with pytest.raises(CannotSee):
        WebDoor("http://127.0.0.1:9/", "ten", "mk").lets_in("oi", b"x")


def test_what_is_on() -> None:
    assert [value for value in (1, "1", "yes", 2, "t", "bật", 0.5, b"1") if not _sql_hand.is_on(value)] == []
    assert [value for value in (0, None, "", "0", " False ", "n", 0.0, b"0") if _sql_hand.is_on(value)] == []
    assert _sql_hand.iterations_of("pbkdf2_sha256$870000$x$y") == 870_000
    assert _sql_hand.iterations_of("pbkdf2_sha256$999999999999$x$y") == 10_000_000
    assert _sql_hand.iterations_of(None) == _sql_hand.iterations_of("md5$1") == 600_000
