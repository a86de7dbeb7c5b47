"""The configuration refuses in plain words: every mistake at once, with file, line and the nearest right key."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import catalog
from ops.config import Config, ConfigError, load, schema
from ops.locate import lines_of

MAIN = 'include = ["sites/*.toml"]\nstate = "state"\n'
SITE = """[site.a]
name = "Trang A"
policy = "thong-nhat"
url = "https://a.example.gov.vn/"
"""
BACKUP = """
[site.a.backup]
repository = "repo"
password = "file:pw"
[site.a.backup.set.user]
level = "user"
schedule = "30 1 * * 1,3,5"
[[site.a.backup.set.user.source]]
kind = "files"
paths = ["www"]
[site.a.backup.set.system]
level = "system"
schedule = "0 2 * * 1,3,5"
[[site.a.backup.set.system.source]]
kind = "system"
paths = ["etc"]
"""


def write(tmp: Path, site: str = SITE, main: str = MAIN) -> Path:
    (tmp / "sites").mkdir(exist_ok=True)
    (tmp / "sites" / "a.toml").write_text(site, encoding="utf-8")
    (tmp / "gaccong.toml").write_text(main, encoding="utf-8")
    return tmp / "gaccong.toml"


def read(path: Path) -> Config:
    return load(path, catalog.settings())


def refused(path: Path) -> list[tuple[str, int, str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert caught.value.exit_code == 2
    return [(m.file.name, m.line, m.path, m.what.en, m.mend.en) for m in caught.value.mistakes]


def test_a_right_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    secret = tmp_path / "sites" / "pw"
    secret.touch(mode=0o600)
    secret.write_text("x\n")
    config = read(write(tmp_path, SITE + BACKUP))
    site = config.sites["a"]
    assert site.names == ("a.example.gov.vn",) and site.settings["backup"].repository
    assert config.store_url == f"sqlite:///{tmp_path}/state/gaccong.db"


def test_no_file(tmp_path: Path) -> None:
    [(_, line, _, what, mend)] = refused(tmp_path / "none.toml")
    assert (line, what, mend) == (0, "there is no configuration file", "gaccong init")


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    found = refused(write(tmp_path, 'x = "\n', MAIN))
    assert found[0][0] == "a.toml" and found[0][1] == 1 and "TOML" in found[0][3]


def test_every_mistake_at_once_with_line_and_nearest_key(tmp_path: Path) -> None:
    bad = SITE.replace("thong-nhat", "thong-nhut").replace("name =", "nmae =") + (
        "\n[site.a.monitoring]\ntimeout_second = 3\ncertificate_days = \"x\"\n")
    found = refused(write(tmp_path, bad, MAIN + 'langage = "vi"\n'))
    by_path = {path: (file, line, what, mend) for file, line, path, what, mend in found}
    assert by_path["langage"] == ("gaccong.toml", 3, "unknown key", "did you mean language?")
    assert by_path["site.a.nmae"] == ("a.toml", 2, "unknown key", "did you mean name?")
    assert by_path["site.a.name"][2] == "a required key is missing"
    assert by_path["site.a.policy"][1] == 3 and "thong-nhat" in by_path["site.a.policy"][3]
    assert by_path["site.a.monitoring.timeout_second"] == ("a.toml", 7, "unknown key", "did you mean timeout_seconds?")
    assert by_path["site.a.monitoring.certificate_days"][1] == 8


def test_fewer_than_three_days_a_week_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "pw").touch(mode=0o600)
    (tmp_path / "sites" / "pw").write_text("x")
    bad = SITE + BACKUP.replace('"0 2 * * 1,3,5"', '"0 2 * * 1,3"')
    found = refused(write(tmp_path, bad))
    assert len(found) == 1 and found[0][2].startswith("site.a.backup.set") and "3" in found[0][3]


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "pw").touch(mode=0o644)
    (tmp_path / "sites" / "pw").write_text("hunter2")
    found = refused(write(tmp_path, SITE + BACKUP))
    assert found[0][2] == "site.a.backup.password" and "0644" in found[0][3] and "chmod 600" in found[0][3]
    assert "hunter2" not in str(found)


def test_a_pasted_secret_is_not_printed(tmp_path: Path) -> None:
    found = refused(write(tmp_path, SITE + BACKUP.replace("file:pw", "hunter2")))
    assert found[0][2] == "site.a.backup.password" and "hunter2" not in str(found)


def test_the_same_site_twice(tmp_path: Path) -> None:
    found = refused(write(tmp_path, SITE, MAIN + SITE))
    assert any("already" in what for *_, what, _ in found)


def test_not_utf8(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(b'language = "\xff"\n')
    assert "UTF-8" in refused(path)[0][3]


def test_schema_is_for_editors() -> None:
    made = schema(catalog.settings())
    assert {"include", "language", "state", "site", "serve"} <= made["properties"].keys()
    assert made["additionalProperties"] is False


def test_lines_of_follows_tables_arrays_and_long_values() -> None:
    text = 'a = """\n[x]\nb = 1\n"""\nc = [\n 1,\n]\n[t."q.r"]\nk = {m = 1, n = 2}\n[[u]]\nz = 1\n[[u]]\nz = 2\n[u.v]\nw = 1\n'
    found = lines_of(text)
    assert found["a",] == 1 and found["c",] == 5 and ("x",) not in found and ("b",) not in found
    assert found["t", "q.r"] == 8 and found["t", "q.r", "k", "n"] == 9
    assert found["u", 0, "z"] == 11 and found["u", 1, "z"] == 13 and found["u", 1, "v", "w"] == 15


def test_a_host_twice_and_odd_names_and_includes_outside(tmp_path: Path) -> None:
    host = '[host.web]\naddress = "::1"\nuser = "u"\nkey = "command:true"\nknown_hosts = "k"\n'
    found = refused(write(tmp_path, SITE + host, MAIN + host))
    assert any(path == "host.web" and "already" in what or "somewhere" in what for _, _, path, what, _ in found)
    found = refused(write(tmp_path, SITE.replace("[site.a]", '[site."-rf"]')))
    assert any("letter or digit" in what for *_, what, _ in found)
    found = refused(write(tmp_path, SITE.replace("[site.a]", '[site.""]')))
    assert any("letter or digit" in what for *_, what, _ in found)
    found = refused(write(tmp_path, SITE, 'include = ["../x/*.toml", "sites/*.toml"]\n'))
    assert any("below this folder" in what for *_, what, _ in found)


@pytest.mark.parametrize("sign", ["\\u001b]0;x\\u0007", "\\u202e", "\\u200b"])
def test_a_name_that_steers_the_terminal_is_refused(tmp_path: Path, sign: str) -> None:
    found = refused(write(tmp_path, SITE.replace("Trang A", f"Trang {sign} A")))
    assert any("control or invisible" in what for *_, what, _ in found)


def test_no_password_in_the_stores_query(tmp_path: Path) -> None:
    found = refused(write(tmp_path, SITE, MAIN + 'store = "postgresql+psycopg:///db?user=g&password=S3CRET"\n'))
    assert any("pgpass" in what for *_, what, _ in found) and "S3CRET" not in str(found)
