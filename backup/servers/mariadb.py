"""Rehearses a MariaDB dump: a server of our own in a closed room, loaded by an account that owns one database only.

No network, no files (secure_file_priv is an empty folder, local_infile off, no plugin folder), no events; the client
obeys no command of its own that stands in the dump. The administrator's account has a name that no dump can know.
"""

# Names and texts in its SQL are quoted by _name and _text.
# ruff: noqa: S608

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from backup.servers.dumping import COUNT_SECONDS, LOAD_SECONDS, Wrong, judged, poured, program
from backup.servers.room import Room
from backup.source import Restored
from ops import CannotSee, Text, say

if TYPE_CHECKING:
    from backup.sources.mariadb import Source

PACKAGES = "mariadb-server-core mariadb-client"
_LOADER = "gaccong-load"
_SMALL = ("--innodb-log-file-size=32M", "--innodb-buffer-pool-size=64M", "--key-buffer-size=1M",
          "--aria-pagecache-buffer-size=8M", "--performance-schema=OFF")
_SHUT = ("--skip-networking", "--skip-log-bin", "--local-infile=OFF", "--skip-symbolic-links", "--event-scheduler=OFF",
         "--skip-name-resolve", "--max-connections=8", "--max-allowed-packet=1G", "--innodb-flush-log-at-trx-commit=0",
         "--innodb-doublewrite=OFF", "--character-set-server=utf8mb4")
_CHECK_SECONDS = 3600.0


def rehearse(source: Source, copy: Restored, note: Mapping[str, Any]) -> Iterable[Text]:
    """Loads, looks for every table, checks each, counts. Yields what is wrong. Raises CannotSee, MissingTool."""
    with Room(copy.scratch, source.name) as room:
        server = Server(room, source.database, note)
        begun = time.monotonic()
        result = copy.pour(source.name, room.wrap(server.loader()), env=room.env, timeout=LOAD_SECONDS)
        copy.measures["load_seconds"] = copy.measures.get("load_seconds", 0.0) + time.monotonic() - begun
        yield from poured(source.name, result)
        if not result.ok:
            return
        yield from judged(source.name, server, note, source.counted, copy.measures)
        yield from source.while_up(copy, note, room.folder / "s", _LOADER)


class Server:
    """A running MariaDB with one empty database."""

    def __init__(self, room: Room, database: str, note: Mapping[str, Any]) -> None:
        self.room = room
        self.database = database
        self._client = program("mariadb", package="mariadb-client")
        self._admin = f"gaccong-{token_hex(8)}"
        install, daemon = program("mariadb-install-db", package=PACKAGES), program("mariadbd", package=PACKAGES)
        data, inside = room.inside / "db", room.inside
        who = ("--user=root",) if room.root else ()
        made = room.run((install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
                         "--skip-test-db", "--skip-name-resolve", *who, *_SMALL))
        if made.returncode != 0:
            raise CannotSee(say("không dựng được máy chủ MariaDB diễn tập: {e}", "no scratch MariaDB could be made: {e}",
                                e=(made.stderr or made.stdout)[-600:].decode("utf-8", "replace")))
        room.serve((daemon, "--no-defaults", f"--datadir={data}", f"--socket={inside / 's'}", f"--pid-file={inside / 'pid'}",
                    f"--tmpdir={inside / 'tmp'}", f"--secure-file-priv={inside / 'files'}",
                    f"--plugin-dir={inside / 'files'}", *who, *_SMALL, *_SHUT), self._answers)
        self._prepare(note)

    def _answers(self) -> bool:
        return self.room.run(self._argv("root", "--execute=SELECT 1")).returncode == 0

    def _prepare(self, note: Mapping[str, Any]) -> None:
        charset = _word(note.get("charset"), "utf8mb4")
        collation = _word(note.get("collation"), "")
        base = _name(self.database)
        self._do("root",
                 f"CREATE DATABASE {base} CHARACTER SET {charset}{f' COLLATE {collation}' if collation else ''};"
                 f"CREATE USER '{_LOADER}'@localhost; GRANT ALL ON {base}.* TO '{_LOADER}'@localhost;"
                 # views and triggers name their definers, who do not exist here
                 f"GRANT SET USER ON *.* TO '{_LOADER}'@localhost; RENAME USER root@localhost TO '{self._admin}'@localhost;")

    def loader(self) -> tuple[str, ...]:
        """The client that loads: no command of the client's own is obeyed, the first error ends it."""
        return self._argv(_LOADER, "--binary-mode", "--loose-sandbox", "--batch", "--", self.database)

    def settle(self) -> None:
        """Gives the accounts that views and routines run as a being, with rights on this database only."""
        wanted = "UNION".join(f" SELECT definer FROM information_schema.{table} WHERE {schema} = '{_text(self.database)}' "
                              for table, schema in (("views", "table_schema"), ("routines", "routine_schema"),
                                                    ("triggers", "trigger_schema")))
        made = ""
        for line in self._do(self._admin, f"SELECT HEX(definer) FROM ({wanted}) AS d"):
            user, _, host = bytes.fromhex(line).decode("utf-8", "replace").rpartition("@")
            if user and user not in (_LOADER, self._admin):
                account = f"'{_text(user)}'@'{_text(host)}'"
                made += f"CREATE USER IF NOT EXISTS {account}; GRANT ALL ON {_name(self.database)}.* TO {account};"
        if made:
            self._do(self._admin, made)

    def tables(self) -> list[str]:
        """Names of tables and views."""
        return self._names("table_type NOT LIKE '%TEMPORARY%'")

    def unsound(self, name: str) -> Iterator[Text]:
        """What CHECK TABLE complains of; a view that can no longer be read is among it."""
        listed = ", ".join(map(_name, self.tables()))
        if not listed:
            return
        for line in self._do(_LOADER, f"CHECK TABLE {listed}", _CHECK_SECONDS):
            table, _, kind, said = (line.split("\t") + [""] * 4)[:4]
            if kind.lower() == "error" or (kind == "status" and said.lower() not in ("ok", "table is already up to date")):
                yield say("{n}: bảng {t} hỏng: {e}", "{n}: table {t} is damaged: {e}", n=name, t=table, e=said)

    def ask(self, sql: str) -> list[str]:
        """One of the site's queries, asked of the restored database."""
        return self._do(_LOADER, sql)

    def rows(self) -> int:
        """Rows of all tables, counted."""
        ask = "".join(f"SELECT COUNT(*) FROM {_name(table)};" for table in self._names("table_type = 'BASE TABLE'"))
        return sum(map(int, self._do(_LOADER, ask, _CHECK_SECONDS))) if ask else 0

    def _names(self, which: str) -> list[str]:
        rows = self._do(_LOADER, "SELECT HEX(CONVERT(table_name USING utf8mb4)) FROM information_schema.tables "
                                 f"WHERE table_schema = DATABASE() AND {which}")
        return sorted(bytes.fromhex(row).decode("utf-8", "replace") for row in rows)

    def _do(self, user: str, sql: str, timeout: float = COUNT_SECONDS) -> list[str]:
        """Lines of the answer. Raises Wrong when the server refuses."""
        base = ("--", self.database) if user == _LOADER else ()
        done = self.room.run(self._argv(user, "--batch", "--skip-column-names", "--binary-mode", *base),
                             stdin=sql.encode(), timeout=timeout)
        if done.returncode != 0:
            raise Wrong(done.stderr[-600:].decode("utf-8", "replace").strip())
        return done.stdout.decode("utf-8", "replace").splitlines()

    def _argv(self, user: str, *words: str) -> tuple[str, ...]:
        return (self._client, "--no-defaults", f"--socket={self.room.inside / 's'}", f"--user={user}",
                "--default-character-set=utf8mb4", "--max-allowed-packet=1G", *words)


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _word(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) and value.isascii() and value.replace("_", "").isalnum() else otherwise


__all__ = ["Server", "rehearse"]
