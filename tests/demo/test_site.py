"""Making the site: what is new, what stays, what is refused; certificates, people, configuration."""

from __future__ import annotations

import csv
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ops import catalog
from ops.cli.demo import tls
from ops.cli.demo.layout import NAMES, Demo, load
from ops.cli.demo.people import GONE_DAYS, LEAVER
from ops.cli.demo.site import make_demo
from ops.config import load as load_config
from ops.errors import UsageError

TODAY = date(2026, 3, 2)


def _kept(demo: Demo) -> dict[str, bytes]:
    kept = [demo.root / "demo.json", demo.secrets / "restic", *demo.tls.iterdir(), *demo.keys.iterdir()]
    return {str(path.relative_to(demo.root)): path.read_bytes() for path in (*kept, demo.secrets / "ca.key")}


def test_making_it_anew_keeps_keys_and_ports_and_nothing_else(tmp_path: Path) -> None:
    first = make_demo(tmp_path / "site", TODAY)
    before = _kept(first)
    (first.www / "index.html").write_text("hỏng")
    (first.state / "so").write_text("cũ")
    second = make_demo(tmp_path / "site", TODAY)
    assert second == first == load(tmp_path / "site")
    assert _kept(second) == before
    assert "hỏng" not in (second.www / "index.html").read_text()
    assert list(second.state.iterdir()) == []


def test_a_folder_that_holds_something_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "quan-trong.txt").write_text("của tôi")
    with pytest.raises(UsageError):
        make_demo(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["www", "www/quan-trong.txt"]


@pytest.mark.parametrize("name", ['a"b', "a$b", "a\\b", "a\nb"])
def test_a_path_that_nginx_cannot_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        make_demo(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_for_nobody_else(demo: Demo) -> None:
    for folder in (demo.secrets, demo.keys, demo.state):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    private = [*demo.secrets.iterdir(), demo.tls / "server.key", demo.system / "etc/shadow", demo.database]
    private += [path for path in demo.keys.iterdir() if path.suffix != ".pub"]
    assert len(private) >= 9
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_the_certificate_is_for_its_names_and_is_renewed_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "SERVER_DAYS", tls.RENEW_DAYS - 1)
    demo = make_demo(tmp_path / "site", TODAY)
    old, authority = (demo.tls / "server.pem").read_bytes(), demo.authority.read_bytes()
    monkeypatch.undo()
    make_demo(tmp_path / "site", TODAY)
    new = (demo.tls / "server.pem").read_bytes()
    assert new != old
    assert demo.authority.read_bytes() == authority
    read = x509.load_pem_x509_certificate(new)
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(NAMES) <= set(names.get_values_for_type(x509.DNSName))
    assert timedelta(days=89) < read.not_valid_after_utc - datetime.now(UTC) < timedelta(days=91)


def test_a_certificate_without_todays_names_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HOSTS", ("xahoamai.demo.test", "localhost"))
    demo = make_demo(tmp_path / "site", TODAY)
    old = (demo.tls / "server.pem").read_bytes()
    monkeypatch.undo()
    make_demo(tmp_path / "site", TODAY)
    new = (demo.tls / "server.pem").read_bytes()
    assert new != old
    make_demo(tmp_path / "site", TODAY)
    assert (demo.tls / "server.pem").read_bytes() == new


def test_a_demo_of_an_older_version_is_made_anew(tmp_path: Path) -> None:
    import json

    first = make_demo(tmp_path / "site", TODAY)
    kept = json.loads((first.root / "demo.json").read_text())
    del kept["ports"]["phone"]
    (first.root / "demo.json").write_text(json.dumps(kept))
    second = make_demo(tmp_path / "site", TODAY)
    assert second.ports.phone > 0
    assert (second.www / "index.html").exists()


def test_one_has_left_six_weeks_ago_and_still_has_everything(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    demo = make_demo(tmp_path / "site", TODAY)
    with demo.roster.open(encoding="utf-8", newline="") as stream:
        rows = {row["person"]: row for row in csv.DictReader(stream)}
    assert rows[LEAVER.name]["until"] == (TODAY - timedelta(days=GONE_DAYS)).isoformat()
    assert [row["until"] for name, row in rows.items() if name != LEAVER.name] == [""] * (len(rows) - 1)
    etc = demo.system / "etc"
    assert f"\n{LEAVER.login}:x:" in (etc / "passwd").read_text()
    assert f"\n{LEAVER.login}:$6$" in (etc / "shadow").read_text()
    sudo = next(line for line in (etc / "group").read_text().splitlines() if line.startswith("sudo:"))
    assert LEAVER.login in sudo.split(":")[3].split(",")
    assert (etc / "sudoers.d" / LEAVER.login).exists()
    keys = (demo.system / "home" / LEAVER.login / ".ssh/authorized_keys").read_text()
    assert keys.startswith("ssh-ed25519 ")
    with closing(sqlite3.connect(demo.database)) as database:
        assert database.execute("SELECT enabled FROM editors WHERE login = ?", (LEAVER.login,)).fetchone() == (1,)


def test_gaccong_takes_the_configuration(demo: Demo) -> None:
    config = load_config(demo.config, catalog.settings(), catalog.tops())
    site = config.sites["demo"]
    assert site.url == demo.url
    assert site.names == NAMES
    assert config.state == demo.state
    assert set(site.settings) == {"backup", "monitoring", "accounts"}
    assert config.serve.listen == f"127.0.0.1:{demo.ports.page}"
