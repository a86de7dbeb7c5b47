"""Linux accounts: read from real files with hostile names, shut with the real usermod, keys taken out and put back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accounts.changes.revoke import revoke
from accounts.checks.census import census
from accounts.checks.leavers import left
from accounts.checks.refused import refused
from accounts.systems import linux
from ops.errors import CannotSee, PlanRefused
from ops.model import Verdict
from tests.accounts.rooms import HASH, Tree, blob, carry_out, ground, look, take_back

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="shadow files and usermod need root")
GONE = "Mai Văn Cũ,u,r,2024-01-01,2026-01-31,"


def system(tree: Tree, **more: Any) -> dict[str, Any]:
    return {"may": {"kind": "linux", "root": str(tree.root), **more}}


def accounts(tmp: Path, tree: Tree, **more: Any) -> dict[str, Any]:
    (tmp / "rieng").mkdir(exist_ok=True)
    _, ctx = ground(tmp / "rieng", "A B,u,r,2024-01-01,,\n", system(tree, **more))
    return {one.login: one for one in linux.Adapter("may", ctx.settings.system["may"], ctx).accounts()}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "root")


def test_who_is_open(tmp_path: Path, tree: Tree) -> None:
    tree.add("mat", 1001)
    tree.add("khoa", 1002, password="!" + HASH)
    tree.add("chikhoa", 1003, password="!", keys=[blob("a")])
    tree.add("hethan", 1004, keys=[blob("b")], expire="1")
    tree.add("conhan", 1005, expire="99999")
    tree.add("nologin", 1006, shell="/usr/sbin/nologin")
    tree.add("chuyentiep", 1007, shell="/usr/sbin/nologin", keys=[blob("c")])
    tree.add("rong", 1008, password="")
    tree.add("dichvu", 998, password="!", keys=[blob("d")])
    tree.add("dichvu2", 997, password="*")
    found = accounts(tmp_path, tree)
    assert {login: account.enabled for login, account in found.items()} == {
        "root": False, "mat": True, "khoa": False, "chikhoa": True, "hethan": False, "conhan": True, "nologin": False,
        "chuyentiep": True, "rong": True, "dichvu": True}
    assert found["chikhoa"].keys[0].startswith("SHA256:") and found["mat"].last_use is None


def test_hostile_names_are_read_and_shut(tmp_path: Path, tree: Tree) -> None:
    names = ["a b", "x;id", "$(id)", "`id`", "đạt", "'\"", "--help", "*"]
    for number, name in enumerate(names):
        tree.add(name, 1100 + number, keys=[blob(name)])
    found = accounts(tmp_path, tree)
    assert set(names) - set(found) == {"--help"}  # glibc itself knows no account whose name begins with - or +
    logins = " ".join(f"may:{name.replace('%', '%25').replace(' ', '%20')}" for name in names)
    cell = '"' + logins.replace('"', '""') + '"'
    tree.add("quantri", 1200, groups=["sudo"])
    site, ctx = ground(tmp_path, GONE + cell + "\n", system(tree))
    carry_out(revoke.function(site, ctx, person="Mai Văn Cũ"), tmp_path)
    after = accounts(tmp_path, tree)
    assert [name for name, one in after.items() if one.enabled] == ["quantri"]
    assert not revoke.function(site, ctx, person="Mai Văn Cũ").steps


def test_administrators(tmp_path: Path, tree: Tree) -> None:
    for number, login in enumerate(("nhom", "quytac", "bidanh", "motlenh", "tatca nhom", "so", "thuong", "toor")):
        tree.add(login, 0 if login == "toor" else 1001 + number, groups=["sudo"] if login == "nhom" else
                 ["web"] if login == "tatca nhom" else [])
    (tree.root / "etc/sudoers").write_text(
        "# lời dẫn ALL=ALL\nDefaults env_reset\nUser_Alias DOI = bidanh, \\\n  khac\nDOI ALL=(ALL) ALL\n"
        "motlenh ALL=(root) NOPASSWD: /usr/bin/systemctl reload nginx\n#1006 ALL=(ALL:ALL) ALL\n%web ALL = NOPASSWD:ALL\n")
    (tree.root / "etc/sudoers.d/90-x").write_text("quytac ALL=(ALL) NOPASSWD: ALL\n")
    (tree.root / "etc/sudoers.d/thuong.bak").write_text("thuong ALL=(ALL) ALL\n")
    found = accounts(tmp_path, tree)
    assert {login for login, account in found.items() if account.admin} == {
        "root", "toor", "nhom", "quytac", "bidanh", "tatca nhom", "so"}
    assert found["motlenh"].rights == ("sudo:/etc/sudoers",) and "group:sudo" in found["nhom"].rights


@pytest.mark.parametrize("damage", ["passwd", "shadow", "group", "field", "nis"])
def test_what_cannot_be_read_is_unseen_and_never_empty(tmp_path: Path, tree: Tree, damage: str) -> None:
    tree.add("man", 1001, keys=[blob("a")])
    if damage == "field":
        (tree.root / "etc/passwd").write_text("root:x:0:0:root:/root\n")
    elif damage == "nis":
        (tree.root / "etc/passwd").write_text("+::::::\n")
    else:
        (tree.root / "etc" / damage).unlink()
    with pytest.raises(CannotSee):
        accounts(tmp_path, tree)
    site, ctx = ground(tmp_path, GONE + "may:man\n", system(tree))
    assert look(census, site, ctx)["may"].verdict is Verdict.UNSEEN
    assert look(left, site, ctx)["Mai Văn Cũ"].verdict is Verdict.UNSEEN
    assert look(refused, site, ctx)["Mai Văn Cũ"].verdict is Verdict.UNSEEN
    with pytest.raises(CannotSee):
        revoke.function(site, ctx, person="Mai Văn Cũ")


def full(tmp_path: Path, tree: Tree) -> tuple[Any, Any]:
    tree.add("cu", 1001, keys=[f'command="echo \\" ssh-rsa x" {blob("cũ")} cu@may', "# ghi chú", blob("cũ 2")],
             expire="30000", shell="/bin/zsh")
    tree.add("moi", 1002, keys=[blob("mới"), blob("cũ")], groups=["sudo"])
    os.chown(tree.root / "home/u1001/.ssh/authorized_keys", 1001, 1001)
    os.chown(tree.root / "home/u1002/.ssh/authorized_keys", 1002, 1002)
    return ground(tmp_path, GONE + "may:cu\nMới,u,r,2024-01-01,,may:moi may:root\n", system(tree))


def test_a_whole_revocation_and_the_way_back(tmp_path: Path, tree: Tree) -> None:
    site, ctx = full(tmp_path, tree)
    before = tree.state()
    assert look(left, site, ctx)["Mai Văn Cũ"].verdict is Verdict.BROKEN
    plan = revoke.function(site, ctx, person="Mai Văn Cũ")
    assert plan == revoke.function(site, ctx, person="Mai Văn Cũ") and HASH not in repr(plan)
    assert {proof.check for proof in plan.proofs} == {"accounts.leavers", "accounts.refused"}
    results = carry_out(plan, tmp_path)
    keys = (tree.root / "home/u1002/.ssh/authorized_keys")
    assert keys.read_text() == blob("mới") + "\n" and (keys.stat().st_uid, keys.stat().st_mode & 0o777) == (1002, 0o640)
    assert (tree.root / "home/u1001/.ssh/authorized_keys").read_text() == "# ghi chú\n"
    shadow = (tree.root / "etc/shadow").read_text()
    assert f"cu:!{HASH}:19000:0:99999:7::1:" in shadow
    assert look(left, site, ctx)["Mai Văn Cũ"].verdict is Verdict.MET
    found = look(refused, site, ctx)["Mai Văn Cũ"]
    assert found.verdict is Verdict.MET and found.facts["trials"][0]["how"] == "readback"
    assert "đọc lại" in found.detail.vi and found.measures == {"tried": 0, "read_back": 1}
    assert not revoke.function(site, ctx, person="Mai Văn Cũ").steps
    assert HASH not in json.dumps([result.json() for result in results])
    take_back(results, tmp_path)
    assert tree.state() == before
    assert revoke.function(site, ctx, person="Mai Văn Cũ").steps[-1] == plan.steps[-1]


def test_a_key_put_back_elsewhere_is_found(tmp_path: Path, tree: Tree) -> None:
    site, ctx = full(tmp_path, tree)
    carry_out(revoke.function(site, ctx, person="Mai Văn Cũ"), tmp_path)
    with (tree.root / "home/u1002/.ssh/authorized_keys").open("a") as stream:
        stream.write(blob("cũ 2") + "\n")
    found = look(left, site, ctx)["Mai Văn Cũ"]
    assert found.verdict is Verdict.BROKEN and found.facts["key_in_other_accounts"] == ["may:moi"]
    carry_out(revoke.function(site, ctx, person="Mai Văn Cũ"), tmp_path)
    assert look(left, site, ctx)["Mai Văn Cũ"].verdict is Verdict.MET


def test_a_link_set_by_the_leaver_leads_nowhere(tmp_path: Path, tree: Tree) -> None:
    """`~/.ssh` as a link to somebody else's: the lock goes on, the other's file is not touched, the proof says so."""
    tree.add("quantri", 1002, keys=[blob("mới"), blob("mới 2")], groups=["sudo"])
    tree.add("cu", 1001, password="!")
    (tree.root / "home/u1001").mkdir(parents=True)
    (tree.root / "home/u1001/.ssh").symlink_to("../u1002/.ssh")
    site, ctx = ground(tmp_path, GONE + "may:cu\n", system(tree))
    found = look(left, site, ctx)["Mai Văn Cũ"]
    assert found.facts["open"] == ["may:cu"] and not found.facts["key_in_other_accounts"]
    carry_out(revoke.function(site, ctx, person="Mai Văn Cũ"), tmp_path)
    assert "cu:!" in (tree.root / "etc/shadow").read_text()
    assert (tree.root / "home/u1002/.ssh/authorized_keys").read_text().split() == f"{blob('mới')} {blob('mới 2')}".split()
    assert look(left, site, ctx)["Mai Văn Cũ"].verdict is Verdict.MET
    assert look(refused, site, ctx)["Mai Văn Cũ"].verdict is Verdict.BROKEN


def test_a_link_that_comes_between_plan_and_deed_is_refused(tmp_path: Path, tree: Tree) -> None:
    tree.add("quantri", 1002, keys=[blob("cũ"), blob("mới")], groups=["sudo"])
    tree.add("cu", 1001, keys=[blob("cũ")])
    site, ctx = ground(tmp_path, GONE + "may:cu\n", system(tree))
    plan = revoke.function(site, ctx, person="Mai Văn Cũ")
    (tree.root / "home/u1001/.ssh/authorized_keys").unlink()
    (tree.root / "home/u1001/.ssh").rmdir()
    (tree.root / "home/u1001/.ssh").symlink_to("../u1002/.ssh")
    codes = [result.code for result in carry_out(type(plan)(plan.title, plan.steps[:-1]), tmp_path)]
    assert codes == [0, 0, 5] and blob("cũ") in (tree.root / "home/u1002/.ssh/authorized_keys").read_text()


def test_the_only_key_of_another_account_is_left_and_told(tmp_path: Path, tree: Tree) -> None:
    tree.add("cu", 1001, keys=[blob("cũ")])
    tree.add("trien-khai", 1002, password="!", keys=[blob("cũ")])
    site, ctx = ground(tmp_path, GONE + "may:cu\n", system(tree))
    carry_out(revoke.function(site, ctx, person="Mai Văn Cũ"), tmp_path)
    found = look(left, site, ctx)["Mai Văn Cũ"]
    assert found.verdict is Verdict.BROKEN and found.facts["key_in_other_accounts"] == ["may:trien-khai"]
    assert found.facts["shut"] == ["may:cu"] and not revoke.function(site, ctx, person="Mai Văn Cũ").steps


def test_nobody_is_locked_out_for_good(tmp_path: Path, tree: Tree) -> None:
    tree.add("cu", 1001, groups=["sudo"])
    site, ctx = ground(tmp_path, GONE + "may:cu\n", system(tree))
    with pytest.raises(PlanRefused, match="no administrator left"):
        revoke.function(site, ctx, person="Mai Văn Cũ")
    tree.add("moi", 1002, groups=["sudo"])
    assert revoke.function(site, ctx, person="Mai Văn Cũ").steps


def test_our_own_account_is_never_shut(tmp_path: Path) -> None:
    site, ctx = ground(tmp_path, GONE + "may:root\n", {"may": {"kind": "linux"}})
    adapter = linux.Adapter("may", ctx.settings.system["may"], ctx)
    root = next(account for account in adapter.accounts() if account.login == "root")
    assert adapter.own(root)
    with pytest.raises(PlanRefused, match="gaccong itself"):
        revoke.function(site, ctx, person="Mai Văn Cũ")


def test_sessions_are_ended_until_none_is_left() -> None:
    uid = 64213
    again = "trap '' TERM INT HUP; while :; do sleep 97 & sleep 0.3; done"
    child = subprocess.Popen(["setpriv", "--reuid", str(uid), "--clear-groups", "sh", "-c", again], start_new_session=True)
    try:
        done = subprocess.run([sys.executable, "-I", "-m", linux.HAND, "end", "khong-co", str(uid)], timeout=60,
                              capture_output=True)
        assert done.returncode == 0 and json.loads(done.stdout)["ended"] >= 1
        child.wait(5)
        states = subprocess.run(["ps", "-o", "stat=", "-u", str(uid)], timeout=10, capture_output=True, text=True).stdout
        assert set(states.split()) <= {"Z", "Z+", "Zs"}
    finally:
        if child.poll() is None:
            child.kill()
    for number in ("0", str(os.geteuid())):
        assert subprocess.run([sys.executable, "-I", "-m", linux.HAND, "end", "x", number], timeout=20,
                              capture_output=True).returncode == 5


def test_settings_that_are_half(tmp_path: Path, tree: Tree) -> None:
    for half in ({"control_login": "x"}, {"ssh_host": "::1"}):
        with pytest.raises(ValueError, match="control_key|known_hosts"):
            ground(tmp_path, "A B,u,r,2024-01-01,,\n", system(tree, **half))
