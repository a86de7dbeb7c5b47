"""The whole way through the engine: configuration, plan, approval, steps, proof by refusal, evidence without secrets."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from accounts.changes.revoke import revoke
from accounts.checks.census import census
from accounts.checks.leavers import left
from accounts.checks.refused import refused
from accounts.settings import Settings
from ops.act import Actor
from ops.catalog import Catalog
from ops.config import ConfigError, load
from ops.engine import Engine
from ops.model import Outcome
from ops.moment import utcnow
from ops.signing import Signer
from ops.store import open_store
from tests.accounts.rooms import HASH, HEADER, Portal, Tree, blob

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="shadow files and usermod need root")


def test_a_leaver_goes_from_broken_to_proved(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "site", [
        ("man", "Trần Thị Mận", "", "cua-man", 1), ("oi", "", "admin", "cua-oi", 1), ("kiem", "", "", "cua-kiem", 1)])
    tree = Tree(tmp_path / "root")
    tree.add("man", 1001, keys=[blob("mận")])
    tree.add("oi", 1002, groups=["sudo"])
    try:
        actor, site = world(tmp_path, portal, tree)
        engine = actor.engine
        rows = engine.look_now(site, [engine.catalog.check("accounts.leavers"), engine.catalog.check("accounts.census")])
        assert {(row.finding.subject, row.finding.verdict.value) for row in rows} == {
            ("Trần Thị Mận", "broken"), ("all", "broken"), ("trang", "met"), ("may", "met")}
        done = actor.act(actor.plan(site, "accounts.revoke", {"person": "Trần Thị Mận"}), "Lê Ổi")
        assert done.outcome is Outcome.PROVED, done.detail.vi
        said = {proof["check"]: proof for proof in done.proofs}
        assert {one["account"]: one["how"] for one in said["accounts.refused"]["facts"]["trials"]} == {
            "trang:man": "login", "may:man": "readback"}
        assert not actor.plan(site, "accounts.revoke", {"person": "Trần Thị Mận"}).plan.steps
        told = json.dumps([line.body for line in engine.store.evidence("xa")], default=str)
        canary = json.loads(next(tmp_path.rglob("*.canary")).read_text())["password"]
        assert not [word for word in (canary, "cua-kiem", "pbkdf2_sha256$", HASH) if word in told]
        assert portal.rows()[0][4] == 0 and "man:!" in (tree.root / "etc/shadow").read_text()
    finally:
        portal.stop()


def world(tmp_path: Path, portal: Portal, tree: Tree) -> tuple[Actor, object]:
    (tmp_path / "kiem").write_text("cua-kiem")
    (tmp_path / "kiem").chmod(0o600)
    (tmp_path / "roster.csv").write_text(
        HEADER + "Trần Thị Mận,u,r,2024-01-01,2026-01-31,trang:man may:man\n"
        "Lê Ổi,u,r,2024-01-01,,trang:oi may:oi trang:kiem may:root\n", encoding="utf-8")
    settings = portal.settings(control_login="kiem", control_password="file:kiem")
    (tmp_path / "gaccong.toml").write_text(
        '[site.xa]\nname = "Trang A"\npolicy = "thong-nhat"\nurl = "https://a.example/"\n'
        '[site.xa.accounts]\nroster = "roster.csv"\n[site.xa.accounts.system.trang]\n'
        + "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items())
        + '[site.xa.accounts.system.may]\nkind = "linux"\nroot = "root"\n', encoding="utf-8")
    config = load(tmp_path / "gaccong.toml", {"accounts": Settings})
    duties = {duty.name: duty for duty in (census, left, refused, revoke)}
    store = open_store(f"sqlite:///{tmp_path}/s.db", Signer.create(tmp_path / "key", "gaccong/test"))
    engine = Engine(replace(config, state=tmp_path / "state"), store, Catalog(duties), clock=utcnow)
    return Actor(engine, tell=lambda text: None), config.sites["xa"]


def test_a_wrong_setting_is_told_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text(
        '[site.xa]\nname = "A"\npolicy = "thong-nhat"\nurl = "https://a.example/"\n[site.xa.accounts]\nroster = "r.csv"\n'
        '[site.xa.accounts.system.may]\nkind = "windows"\n[site.xa.accounts.system.trang]\nkind = "sql_table"\n'
        'database = "x.db"\ntabel = "t"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "g.toml", {"accounts": Settings})
    told = caught.value.explain("vi")
    assert "g.toml:7" in told and "linux" in told and "g.toml:12" in told and "table" in told
