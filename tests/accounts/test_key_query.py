"""The public-key question to a real sshd: taken before, refused after, with a control; and Linux accounts over SSH."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accounts.changes.revoke import revoke
from accounts.checks.refused import refused
from accounts.key_query import try_keys
from accounts.model import Account
from accounts.systems import linux
from ops.errors import CannotSee
from ops.model import Verdict
from ops.remote import remote
from ops.secrets import resolve
from ops.steps import Carrier, undo_order
from tests.accounts.rooms import Tree, blob, carry_out, ground, look
from tests.accounts.servers import Sshd, free_port, make_key

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="sshd for root needs root")
ROOT = Account("may", "root", "", True, True, (), None, "")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "sshd")
    yield server
    server.stop()


def ask(sshd: Sshd, publics: list[str], control: str) -> Any:
    return try_keys("::1", sshd.port, sshd.folder / "known_hosts", ROOT, publics, "root", control)


def test_every_kind_of_key_is_taken_then_refused(tmp_path: Path, sshd: Sshd) -> None:
    publics = []
    for kind in ("ed25519", "ecdsa", "rsa"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(tmp_path / kind)], check=True,
                       timeout=60)
        publics.append((tmp_path / f"{kind}.pub").read_text().strip())
    for public in publics:
        (sshd.folder / "auth").write_text(f"{sshd.client_key}\n{public}\n")
        found = ask(sshd, publics, sshd.client_key)
        assert found.verdict is Verdict.BROKEN and found.facts["accepted"] == 1
    (sshd.folder / "auth").write_text(f"{sshd.client_key}\n")
    found = ask(sshd, publics * 3, sshd.client_key)
    assert found.verdict is Verdict.MET and found.facts["keys"] == 9 and found.facts["control_after"] is True


def test_without_a_control_that_is_taken_nothing_is_proved(sshd: Sshd) -> None:
    assert ask(sshd, [blob("a")], blob("b")).verdict is Verdict.UNSEEN


def test_an_unknown_or_changed_server_is_not_asked(tmp_path: Path, sshd: Sshd) -> None:
    for line in ("", f"[::1]:{sshd.port} {make_key(tmp_path / 'other')}\n"):
        (tmp_path / "kh").write_text(line)
        with pytest.raises(CannotSee, match="known_hosts"):
            try_keys("::1", sshd.port, tmp_path / "kh", ROOT, [blob("a")], "root", sshd.client_key)
    port = free_port()
    (tmp_path / "kh").write_text(f"[::1]:{port} {sshd.host_key}\n")
    with pytest.raises(CannotSee):
        try_keys("::1", port, tmp_path / "kh", ROOT, [blob("a")], "root", sshd.client_key)


def machine(tmp_path: Path, sshd: Sshd, **more: Any) -> tuple[Tree, dict[str, Any]]:
    """A tree whose account `root` is asked for at the sshd: the door's account and the tree's bear the same name."""
    tree = Tree(tmp_path / "root")
    tree.passwd[0], tree.shadow[0] = "toor:x:0:0::/root:/bin/bash", "toor:$y$abc:19000:0:99999:7:::"
    tree.add("root", 1001, keys=[blob("cũ")])
    (tmp_path / "control.pub").write_text(sshd.client_key + "\n")
    settings = {"kind": "linux", "root": str(tree.root), "ssh_host": "::1", "ssh_port": sshd.port,
                "known_hosts": str(sshd.folder / "known_hosts"), "control_login": "root",
                "control_key": str(tmp_path / "control.pub"), **more}
    return tree, {"may": settings}


def test_the_check_asks_the_door_for_the_keys_that_were_taken(tmp_path: Path, sshd: Sshd) -> None:
    _, systems = machine(tmp_path, sshd)
    site, ctx = ground(tmp_path, "Cũ Kỹ,u,r,2024-01-01,2025-01-01,may:root\n", systems)
    carry_out(revoke.function(site, ctx, person="Cũ Kỹ"), tmp_path)
    found = look(refused, site, ctx)["Cũ Kỹ"]
    assert found.verdict is Verdict.MET and found.facts["trials"][0]["how"] == "key_query"
    (sshd.folder / "auth").write_text(f"{sshd.client_key}\n{blob('cũ')}\n")
    assert look(refused, site, ctx)["Cũ Kỹ"].verdict is Verdict.BROKEN
    (sshd.folder / "auth").write_text("")
    assert look(refused, site, ctx)["Cũ Kỹ"].verdict is Verdict.UNSEEN
    systems["may"] |= {"control_login": "", "control_key": None}
    site, ctx = ground(tmp_path, "Cũ Kỹ,u,r,2024-01-01,2025-01-01,may:root\n", systems)
    assert look(refused, site, ctx)["Cũ Kỹ"].verdict is Verdict.UNSEEN


def test_accounts_of_another_machine_are_read_shut_and_put_back_over_ssh(
    tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linux, "_FAR_KEEP", str(tmp_path / "far" / "keep"))
    tree, systems = machine(tmp_path, sshd, host="xa", ssh_host="", control_login="", control_key=None)
    tree.add("cu ky", 1002, keys=[blob("x'y")])
    before = tree.state()
    row = "Cũ Kỹ,u,r,2024-01-01,2025-01-01,may:cu%20ky\n"
    site, ctx = ground(tmp_path, row, systems)
    with remote(sshd.host("xa"), lambda reference: resolve(reference, tmp_path), {}) as runner:
        from ops.run import Here

        ctx = replace(ctx, ask=lambda name: runner if name == "xa" else Here(), hosts={"xa": sshd.host("xa")})
        plan = revoke.function(site, ctx, person="Cũ Kỹ")
        assert {step.host for step in plan.steps} == {"here", "xa"}
        carrier = Carrier(ctx.ask, ctx.secret)
        results = [carrier.carry_out(step) for step in plan.steps]
        assert all(result.done for result in results), [result.trouble.en for result in results]
        assert look(refused, site, ctx)["Cũ Kỹ"].verdict is Verdict.MET
        assert not revoke.function(site, ctx, person="Cũ Kỹ").steps
        assert (tmp_path / "far" / "keep").stat().st_mode & 0o777 == 0o700
        assert all(carrier.carry_out(step).done for step in undo_order(results))
    assert tree.state() == before
