"""A WordPress, files and database together: `kind = "wordpress"  name = "tin"  path = "/srv/www/tin"  database = "tin"`.

Copied as the kinds `files` and `mariadb` copy (all of their keys are taken here as well, but for `paths`). What it adds
is the drill: the restored site is started on the restored database, in a closed room, and its front page fetched.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from backup import wordpress_hand
from backup.restic import escaped
from backup.source import Restored
from backup.sources import files, mariadb
from ops import CannotSee, MissingTool, Place, Text, say

_SECONDS = 180.0
_PROGRAMS = ("*.php", "wp-admin", "wp-includes", "wp-content/*.php", "wp-content/themes", "wp-content/plugins",
             "wp-content/mu-plugins", "wp-content/languages")
NAME, HOME = "ten-trang", "dia-chi-trang"
"""The queries that note the site's name and address when it is copied."""


class Source(mariadb.Source):
    """path: the folder with wp-config.php. exclude: as for files. prefix: of the tables' names ($table_prefix).

    The rest as for `mariadb`.
    """

    programs: ClassVar[tuple[tuple[str, str], ...]] = (
        *mariadb.Source.programs, ("php", "php-cli"), ("unshare", "util-linux"))

    kind: Literal["wordpress"]  # type: ignore[assignment]
    path: Place
    exclude: tuple[str, ...] = ()
    prefix: Annotated[str, Field(pattern=r"^\w{0,40}$")] = "wp_"

    @model_validator(mode="after")
    def _as_files(self) -> Self:
        self._files()
        return self

    def _files(self) -> files.Source:
        return files.Source(kind="files", paths=(self.path,), exclude=self.exclude)

    def live(self) -> tuple[Path, ...]:
        """The folder."""
        return (self.path,)

    def excluded(self) -> tuple[str, ...]:
        """As for files."""
        return self._files().excluded()

    def needed(self) -> tuple[str, ...]:
        """The programs; what people uploaded is left to the sample."""
        return tuple(f"{escaped(str(self.path))}/{name}" for name in _PROGRAMS)

    @property
    def counted(self) -> Mapping[str, str]:
        """The site's queries, and its name and address: the restored page must bear the name that was noted."""
        ask = f"SELECT option_value FROM {self.prefix}options WHERE option_name = "  # noqa: S608 - a plain word, see prefix
        return {**self.queries, NAME: ask + "'blogname'", HOME: ask + "'home'"}

    def examine(self, copy: Restored) -> Iterable[Text]:
        """The files must be there, the dump must load, and the two together must be a site that answers."""
        yield from self._files().examine(copy)
        yield from super().examine(copy)

    def while_up(self, copy: Restored, note: Mapping[str, Any], socket: Path, user: str) -> Iterable[Text]:
        """Starts the restored site on the loaded database and fetches its front page. Raises CannotSee, MissingTool."""
        site = copy.root / self.path.relative_to("/")
        if not (site / "index.php").is_file():
            yield say("{p} không có index.php: không phải WordPress", "{p} has no index.php: it is no WordPress", p=self.path)
            return
        counts = note.get("counts", {})
        name, home = (str((counts.get(key) or ["", ""])[-1] or "") for key in (NAME, HOME))
        if not name or not home:
            yield say("{n}: không có tên trang trong bảng {t}options (khóa `prefix` đúng chưa?)",
                      "{n}: no site name in table {t}options (is the key `prefix` right?)", n=self.name, t=self.prefix)
            return
        seen = self._started(copy, site, socket, {"database": self.database, "user": user, "password": "", "home": home,
                                                  "name": name})
        copy.measures["page_bytes"] = float(seen.get("bytes", 0))
        if seen.get("wrong") or seen.get("status") != 200:
            yield say("trang WordPress đã khôi phục trả lời {s}: {w}", "the restored WordPress answers {s}: {w}",
                      s=seen.get("status"), w=seen.get("wrong") or str(seen.get("said", ""))[-300:] or "–")
        elif not seen.get("found"):
            yield say("trang chủ đã khôi phục không có tên trang “{t}”", "the restored front page lacks the site's name “{t}”",
                      t=name)

    def _started(self, copy: Restored, site: Path, socket: Path, asked: dict[str, str]) -> dict[str, Any]:
        missing = wordpress_hand.able()
        if missing:
            raise MissingTool(say("thiếu {t} để chạy thử WordPress", "{t} is missing for starting WordPress", t=missing),
                              say("apt-get install php-cli php-mysql util-linux", "apt-get install php-cli php-mysql util-linux"))
        work = copy.scratch / "web"
        work.mkdir(mode=0o700)
        try:
            done = subprocess.run(wordpress_hand.argv(work, site, self.path, socket), input=json.dumps(asked), text=True,
                                  capture_output=True, timeout=_SECONDS, check=False, start_new_session=True)
        except subprocess.TimeoutExpired:
            return {"status": 0, "wrong": f"{_SECONDS:g} s"}
        if done.returncode != 0:
            raise CannotSee(
                say("không chạy thử được WordPress: {e}", "WordPress cannot be started here: {e}", e=done.stderr.strip()[-400:]),
                say("cần PHP có mysqli và quyền lập vùng riêng (unshare)", "PHP with mysqli and the right to unshare are needed"))
        told = json.loads(done.stdout.splitlines()[-1])
        return told if isinstance(told, dict) else {}
