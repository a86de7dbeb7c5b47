"""A commune's machine in a folder: configuration, files, database, fast repository; driven by the real command."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.backup.room import PASSWORD

GACCONG = Path(sys.executable).parent / "gaccong"

SITE = """[site.a]
name = "Trang thông tin điện tử xã Hoa Mai"
policy = "thong-nhat"
url = "https://xahoamai.example.gov.vn/"
[site.a.backup]
repository = "../kho"
password = "file:../mat-khau"
[site.a.backup.set.user]
level = "user"
schedule = "30 1 * * *"
[[site.a.backup.set.user.source]]
kind = "files"
paths = ["../www"]
[[site.a.backup.set.user.source]]
kind = "sqlite"
name = "tin"
path = "../tin.db"
queries = { so_bai = "SELECT count(*) FROM bai" }
[site.a.backup.set.system]
level = "system"
schedule = "0 2 * * *"
[[site.a.backup.set.system.source]]
kind = "files"
paths = ["../etc"]
"""


class Place:
    """Everything below `root`; `gaccong(...)` runs the installed command there."""

    def __init__(self, root: Path, template: Path) -> None:
        self.root = root
        self.config = root / "gaccong.toml"
        self.site_file = root / "sites" / "a.toml"
        for name in ("sites", "www", "etc"):
            (root / name).mkdir(parents=True)
        (root / "www" / "index.html").write_text("<h1>Xã Hoa Mai</h1>\n", encoding="utf-8")
        for number in range(20):
            (root / "www" / f"tin-{number}.html").write_text(f"<p>Tin số {number}</p>\n" * 50, encoding="utf-8")
        (root / "etc" / "nginx.conf").write_text("server {}\n")
        with closing(sqlite3.connect(root / "tin.db")) as database:
            database.execute("CREATE TABLE bai (id INTEGER PRIMARY KEY, ten TEXT)")
            database.executemany("INSERT INTO bai (ten) VALUES (?)", [(f"bài {n}",) for n in range(100)])
            database.commit()
        (root / "mat-khau").touch(mode=0o600)
        (root / "mat-khau").write_bytes(PASSWORD + b"\n")
        shutil.copytree(template, root / "kho")
        self.config.write_text('include = ["sites/*.toml"]\nstate = "state"\n', encoding="utf-8")
        self.site_file.write_text(SITE, encoding="utf-8")

    def argv(self, *words: str) -> list[str]:
        """The command as typed."""
        return [str(GACCONG), "--config", str(self.config), *words]

    def gaccong(self, *words: str, wait: float = 120, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end; a traceback is a bug in every case."""
        done = subprocess.run(
            self.argv(*words), capture_output=True, text=True, timeout=wait, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, cwd=self.root)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str, code: int | None = None) -> Any:
        """The one JSON document of a command."""
        done = self.gaccong(*words, "--json")
        if code is not None:
            assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return json.loads(done.stdout)

    def digest(self, change: str, *args: str) -> str:
        """Plans, and gives the digest."""
        return str(self.json("plan", change, *args, code=0)["digest"])

    def allow(self, name: str) -> dict[str, Any]:
        """Approves the backup of a set for good, and does it once."""
        found: dict[str, Any] = self.json("apply", self.digest("backup.run", f"set={name}"), "--standing", "--by",
                                          "Trần Thị Mẫu", code=0)
        return found
