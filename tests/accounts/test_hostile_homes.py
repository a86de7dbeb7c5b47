"""Homes belong to people who may mean ill: what they do there hides no key, blinds nobody, and undoes no lock."""

from __future__ import annotations

import base64
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from accounts import key_query
from accounts.changes.revoke import revoke
from accounts.checks.census import census
from accounts.checks.leavers import left
from accounts.checks.refused import refused
from accounts.systems import linux
from accounts.systems._linux_hand import UNKNOWN, key_in
from ops.errors import CannotSee
from ops.model import Outcome, Verdict
from tests.accounts.rooms import Portal, Tree, blob, carry_out, ground, look, take_back
from tests.accounts.servers import Sshd
from tests.accounts.test_engine import world

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="shadow files and usermod need root")
GONE = "Mai Văn Cũ"
ROSTER = f"{GONE},u,r,2024-01-01,2026-01-31,may:cu\nMới,u,r,2024-01-01,,may:moi may:root\n"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "root")
    made.add("cu", 1001, keys=[blob("cũ")])
    made.add("moi", 1002, keys=[blob("mới")], groups=["sudo"])
    return made


def system(tree: Tree) -> dict[str, Any]:
    return {"may": {"kind": "linux", "root": str(tree.root)}}


def ssh(tree: Tree, uid: int) -> Path:
    return tree.root / f"home/u{uid}/.ssh"


def hand(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", "-m", linux.HAND, *map(str, arguments)], timeout=60,
                          capture_output=True, text=True)


def seal(public: str) -> str:
    found = key_in(public.encode())
    assert found
    return found[0]


def hidden(word: str, sign: str = "\v") -> str:
    """A key that sshd takes, with white space inside the blob."""
    kind, text = blob(word).split()
    return f"{kind} {text[:20]}{sign}{text[20:]}"


def written_otherwise(public: str) -> str:
    """The same RSA key with needless zeros before its numbers."""
    kind, text = public.split()[:2]
    raw, parts = base64.b64decode(text), []
    while raw:
        size = struct.unpack(">I", raw[:4])[0]
        parts.append(raw[4:4 + size])
        raw = raw[4 + size:]
    parts[1:] = [b"\0\0" + part for part in parts[1:]]
    return f"{kind} " + base64.b64encode(b"".join(struct.pack(">I", len(part)) + part for part in parts)).decode()


def test_no_key_is_hidden_that_sshd_takes(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "sshd")
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-C", "", "-f", str(tmp_path / "rsa")], check=True, timeout=60)
    rsa = (tmp_path / "rsa.pub").read_text().strip()
    kind, text = server.client_key.split()[:2]

    def lets_in(key: Path) -> bool:
        return subprocess.run(
            ["ssh", "-n", "-F", "none", "-p", str(server.port), "-i", str(key), "-o", "IdentitiesOnly=yes", "-o",
             "BatchMode=yes", "-o", f"UserKnownHostsFile={server.folder / 'known_hosts'}", "root@::1", "true"],
            timeout=30, capture_output=True).returncode == 0

    lines = [(f"{start}{kind} {middle}{end}", server.folder / "client", server.client_key) for start, middle, end in (
        ("", text, ""), ("\t ", text, "\r"), ("", f"{text[:20]}\v{text[20:]}", ""), ("", f"{text[:20]}\f{text[20:]}", ""),
        ("", f"{text[:9]}\r{text[9:]}", " x"), ("", text, "\0x"), ('environment="A=\r" ', text, ""),
        ('environment="A=\x1c\x85\u2028 \\" ssh-rsa AAAA" ', text, ""), ("", text, "\v"))]
    lines += [(f"ED25519 {text}", server.folder / "client", server.client_key), (written_otherwise(rsa), tmp_path / "rsa", rsa)]
    try:
        taken = 0
        for line, key, public in lines:
            (server.folder / "auth").write_bytes(line.encode() + b"\n")
            taken += lets_in(key)
            found = key_in(line.encode())
            assert found == key_in(public.encode()), line
        assert taken >= len(lines) - 2, "most of these open the door, or the test shows nothing"
    finally:
        server.stop()


def test_what_is_not_understood_is_no_comment_and_not_nothing() -> None:
    for line in (b"", b" \t", b"\r", b"  # ghi", b"#\v", b"\0" + blob("a").encode()):
        assert key_in(line) is None
    for line in (b"la la", b"\v# x", b"ssh-ed25519", b"ssh-ed25519 AAAA", b'command="x ssh-ed25519 ' + blob("a").encode(),
                 b"ssh-ed25519 " + b"A" * 100_000):
        assert key_in(line) == (UNKNOWN, "")
    decoy = f'environment="A {blob("mồi").split()[1]} x" {blob("thật")}'
    assert seal(decoy) == seal(blob("thật"))


def test_hidden_keys_are_counted_taken_out_and_put_back(tmp_path: Path, tree: Tree) -> None:
    mine, others = ssh(tree, 1001) / "authorized_keys", ssh(tree, 1002) / "authorized_keys"
    mine.write_text(f"{hidden('hai')}\nkhông hiểu\n# ghi chú\n")
    others.write_text(f"{blob('mới')}\n{hidden('hai', chr(12))}\nlạ lẫm\n")
    site, ctx = ground(tmp_path, ROSTER, system(tree))
    before = tree.state()
    found = look(left, site, ctx)[GONE]
    assert found.facts["open"] == ["may:cu"] and found.facts["key_in_other_accounts"] == ["may:moi"]
    results = carry_out(revoke.function(site, ctx, person=GONE), tmp_path)
    assert mine.read_text() == "# ghi chú\n" and others.read_text() == f"{blob('mới')}\nlạ lẫm\n"
    found = look(left, site, ctx)[GONE]
    assert found.verdict is Verdict.MET and found.facts["keys_not_understood_in"] == ["may:moi"]
    assert "may:moi" in found.detail.vi and look(refused, site, ctx)[GONE].verdict is Verdict.MET
    assert not revoke.function(site, ctx, person=GONE).steps
    take_back(results, tmp_path)
    assert tree.state() == before


def test_a_line_that_is_not_understood_keeps_a_door_open(tmp_path: Path, tree: Tree) -> None:
    tree.add("la", 1003, password="!", keys=["la la"])
    site, ctx = ground(tmp_path, ROSTER, system(tree))
    found = look(census, site, ctx)["may"]
    line = next(one for one in found.facts["accounts"] if one["login"] == "la")
    assert line["enabled"] and line["keys_not_understood"] == ["/home/u1003/.ssh/authorized_keys"]
    assert found.verdict is Verdict.AT_RISK and "la" in found.detail.vi


@pytest.mark.parametrize("trap", ["folder", "loop", "fifo", "device", "kernel", "large", "many", "name"])
def test_one_home_blinds_nobody_else(tmp_path: Path, tree: Tree, trap: str) -> None:
    tree.add("ac", 1003, password="!", name="Ác\u2028\x85x" if trap == "name" else "")
    place = ssh(tree, 1003) / "authorized_keys2"
    place.parent.mkdir(parents=True)
    if trap == "folder":
        place.mkdir()
    elif trap == "loop":
        place.symlink_to("authorized_keys2")
    elif trap == "fifo":
        os.mkfifo(place)
    elif trap == "device":
        place.symlink_to("/dev/zero")
    elif trap == "kernel":
        place.symlink_to("/proc/self/environ")
    elif trap in ("large", "many"):
        keys = [blob(str(number)) for number in range(2001)] if trap == "many" else ["x" * (1 << 21)]
        place.write_text("\n".join(keys))
    site, ctx = ground(tmp_path, ROSTER + "Ác,u,r,2024-01-01,2026-01-31,may:ac\n", system(tree))
    started = time.monotonic()
    lines = {one["login"]: one for one in look(census, site, ctx)["may"].facts["accounts"]}
    assert time.monotonic() - started < 20 and lines["moi"]["enabled"] and "keys_not_understood" not in lines["moi"]
    if trap != "name":
        assert lines["ac"]["enabled"] and lines["ac"]["keys_not_understood"] == ["/home/u1003/.ssh/authorized_keys2"]
    carry_out(revoke.function(site, ctx, person=GONE), tmp_path)
    assert look(left, site, ctx)[GONE].verdict is Verdict.MET and look(refused, site, ctx)[GONE].verdict is Verdict.MET
    carry_out(revoke.function(site, ctx, person="Ác"), tmp_path)
    assert "ac:!" in (tree.root / "etc/shadow").read_text() and look(left, site, ctx)["Ác"].verdict is Verdict.MET
    if trap not in ("name", "loop", "device", "kernel"):
        assert look(refused, site, ctx)["Ác"].verdict is Verdict.UNSEEN


def test_a_linked_file_that_opens_with_the_leavers_key_is_named(tmp_path: Path, tree: Tree) -> None:
    (ssh(tree, 1002) / "them").write_text(blob("cũ") + "\n")
    (ssh(tree, 1002) / "authorized_keys2").symlink_to("them")
    site, ctx = ground(tmp_path, ROSTER, system(tree))
    carry_out(revoke.function(site, ctx, person=GONE), tmp_path)
    assert look(left, site, ctx)[GONE].facts["key_in_other_accounts"] == ["may:moi"]


def test_names_taken_beforehand_undo_nothing(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "site", [
        ("man", "Trần Thị Mận", "", "cua-man", 1), ("oi", "", "admin", "cua-oi", 1), ("kiem", "", "", "cua-kiem", 1)])
    try:
        tree = Tree(tmp_path / "root")
        tree.add("man", 1001, keys=[blob("mận")])
        tree.add("oi", 1002, groups=["sudo"], keys=[blob("oi"), blob("mận")])
        actor, site = world(tmp_path, portal, tree)
        for number in range(os.getpid(), os.getpid() + 3000):
            (ssh(tree, 1002) / f".authorized_keys.gaccong-{number}").touch()
        done = actor.act(actor.plan(site, "accounts.revoke", {"person": "Trần Thị Mận"}), "Lê Ổi")
        assert done.outcome is Outcome.PROVED, done.detail.vi
        assert (ssh(tree, 1002) / "authorized_keys").read_text() == blob("oi") + "\n"
    finally:
        portal.stop()


def test_a_strip_that_the_place_does_not_allow_exits_five(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "keep").write_text("a file where a folder is wanted")
    path, keep = "/home/u1001/.ssh/authorized_keys", tmp_path / "keep/x"
    assert hand("strip", tree.root, path, keep, seal(blob("cũ"))).returncode == 5
    assert hand("restore", tree.root, path, keep).returncode == 5
    assert (tree.root / path[1:]).read_text() == blob("cũ") + "\n"
    site, ctx = ground(tmp_path, ROSTER, system(tree))
    strip = revoke.function(site, ctx, person=GONE).steps[-1]
    assert 5 in strip.expect and strip.undo and 5 in strip.undo.expect


def test_what_an_earlier_time_kept_does_not_come_back(tmp_path: Path, tree: Tree) -> None:
    path, keep, public = "/home/u1001/.ssh/authorized_keys", tmp_path / "keep/x", blob("cũ")
    file = tree.root / path[1:]
    for removed in (1, 0):
        done = hand("strip", tree.root, path, keep, seal(public))
        assert done.returncode == 0 and json.loads(done.stdout)["removed"] == removed
    assert hand("restore", tree.root, path, keep).returncode == 0 and file.read_text() == ""
    file.write_text(public + "\n")
    hand("strip", tree.root, path, keep, seal(public))
    file.write_text(blob("khác") + "\n")
    assert hand("restore", tree.root, path, keep).returncode == 5 and file.read_text() == blob("khác") + "\n"


def test_two_logins_with_one_home_are_put_back(tmp_path: Path, tree: Tree) -> None:
    tree.add("cu2", 1004, home="/home/u1001")
    site, ctx = ground(tmp_path, ROSTER.replace("may:cu\n", "may:cu may:cu2\n"), system(tree))
    before = tree.state()
    results = carry_out(revoke.function(site, ctx, person=GONE), tmp_path)
    assert (ssh(tree, 1001) / "authorized_keys").read_text() == ""
    take_back(results, tmp_path)
    assert tree.state() == before


def test_keys_without_end_do_not_hold_the_check_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.accounts.test_key_query import ask

    server = Sshd(tmp_path / "sshd")
    try:
        monkeypatch.setattr(key_query, "MOST_SECONDS", -1)
        with pytest.raises(CannotSee, match="too many"):
            ask(server, [blob(str(number)) for number in range(50)], server.client_key)
        with pytest.raises(CannotSee):
            monkeypatch.undo()
            ask(server, ["ssh-\udcff AAAA"], server.client_key)
    finally:
        server.stop()
