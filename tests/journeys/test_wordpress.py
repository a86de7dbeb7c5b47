"""A WordPress with MariaDB: backed up at both levels, drilled, destroyed, brought back by one command, and it works again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.wordpress import NAME, Server, WordPress, admin, free_port, page
from tests.journeys.place import Place

SITE = """[site.a]
name = "Trang thông tin điện tử xã Hoa Mai"
policy = "thong-nhat"
url = "http://{host}/"
[site.a.monitoring]
expect = "xã Hoa Mai"
[site.a.backup]
repository = "../kho"
password = "file:../mat-khau"
[site.a.backup.set.user]
level = "user"
schedule = "30 1 * * *"
[[site.a.backup.set.user.source]]
kind = "wordpress"
name = "trang"
path = "../www/trang"
database = "tin"
socket = "{socket}"
user = "sao_luu"
password = "file:../mat-khau-csdl"
restore_user = "root"
queries = {{ so_bai = "SELECT COUNT(*) FROM wp_posts WHERE post_status = 'publish'" }}
[site.a.backup.set.system]
level = "system"
schedule = "0 2 * * *"
[[site.a.backup.set.system.source]]
kind = "system"
paths = ["../etc"]
packages = true
"""


@pytest.fixture
def wordpress(place: Place) -> Iterator[WordPress]:
    """The site of the place is a WordPress; its backup account may only read."""
    server = Server()
    try:
        shutil.rmtree(place.root / "www")
        made = WordPress(place.root / "www" / "trang", server, host=f"127.0.0.1:{free_port()}")
        server.sql("CREATE USER sao_luu@localhost IDENTIFIED BY 'chi-doc';"
                   "GRANT SELECT, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER ON tin.* TO sao_luu@localhost")
        (place.root / "mat-khau-csdl").touch(mode=0o600)
        (place.root / "mat-khau-csdl").write_text("chi-doc\n")
        place.site_file.write_text(SITE.format(host=made.host, socket=server.socket), encoding="utf-8")
        yield made
    finally:
        server.stop()


def files(root: Path) -> dict[str, bytes]:
    """Every file below root."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_destroyed_and_brought_back_by_one_command(place: Place, wordpress: WordPress, tmp_path: Path) -> None:
    for name in ("user", "system"):
        assert place.allow(name)["outcome"] == "proved"
    good = files(wordpress.site)
    drilled = {row["subject"]: row for row in place.json("look", "backup.drill", code=0)["rows"]}
    assert {row["verdict"] for row in drilled.values()} == {"met"}
    user = drilled["user"]
    assert user["measures"]["rows"] > 100 and user["measures"]["page_bytes"] > 10_000 and user["measures"]["rto_seconds"] > 0
    assert "cơ sở dữ liệu trang" in user["detail"]["vi"] and "trang chủ" in user["detail"]["vi"]
    assert list((place.root / "state" / "scratch").iterdir()) == []
    with wordpress.served() as address:
        assert page(f"{address}/")[0] == 200
        wordpress.destroy()
        assert page(f"{address}/")[0] == 404
        assert {row["verdict"] for row in place.json("look", "web.http")["rows"]} == {"broken"}
        shown = place.gaccong("backup", "restore", "--in-place")
        assert shown.returncode == 0 and not wordpress.site.exists()  # without --by only the plan
        done = place.gaccong("backup", "restore", "--in-place", "--by", "Trần Thị Mẫu", "--json")
        body = json.loads(done.stdout)
        assert done.returncode == 0 and body["outcome"] == "proved", done.stdout[-3000:] + done.stderr[-2000:]
        assert files(wordpress.site) == good
        status, text = page(f"{address}/")
        assert status == 200 and "Thông báo số 39" in text and NAME.partition(" &")[0] in text
        status, where, text = admin(address)
        assert status == 200 and where == f"{address}/wp-admin/" and "wpadminbar" in text
        status, where, text = admin(address, "sai")
        assert "wp-login.php" in where and "wpadminbar" not in text
    assert wordpress.server.sql("SHOW DATABASES LIKE 'tin%'").split() == ["tin"]
    assert [path for path in place.root.rglob("*") if ".khoi-phuc-" in path.name] == []
    assert "chi-doc" not in done.stdout + shown.stdout and place.gaccong("ledger", "verify").returncode == 0


def test_a_drill_that_was_killed_is_cleared_by_the_next(place: Place) -> None:
    (place.root / "www" / "to.bin").write_bytes(os.urandom(30_000_000))
    place.allow("user")
    scratch = place.root / "state" / "scratch"
    running = subprocess.Popen(place.argv("backup", "drill", "--set", "user"), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(scratch.glob("a-*/user/*")) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.005)
    running.kill()
    running.wait(30)
    left = [path.name for path in scratch.iterdir()]
    assert len(left) == 1
    assert place.json("backup", "drill", "--set", "user", "--sample", code=0)["rows"][0]["verdict"] == "met"
    assert list(scratch.iterdir()) == []
    assert not [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if left[0].encode() in read(entry)]


def read(path: Path) -> bytes:
    """A file's bytes; none when it has gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
