"""How a MariaDB database is exchanged: tables are renamed from one database into another, all in one statement.

`RENAME TABLE a TO b, c TO d, ...` is one atomic deed of the server (10.6 and newer also when it crashes): at no moment is
the site without a table. Views, triggers, routines and events cannot be renamed into another database; a database that
has some is refused before anything was touched, with words how to go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backup.sources.mariadb import Source
from backup.stream import Origin, failure
from ops import Command
from playbooks.parts.database import Deal, Note, Refused

if TYPE_CHECKING:
    from playbooks.parts.database import Engine

_SECONDS = 3600.0
_NAME = re.compile(r"\w+")
_KINDS = {"view": "views", "trigger": "triggers", "routine": "routines", "event": "events"}
_TABLES = """SELECT HEX(CONVERT(table_name USING utf8mb4)) FROM information_schema.tables
 WHERE table_schema = {0} ORDER BY 1"""
_COUNTS = """SELECT 'view', COUNT(*) FROM information_schema.views WHERE table_schema = {0} UNION ALL
 SELECT 'trigger', COUNT(*) FROM information_schema.triggers WHERE trigger_schema = {0} UNION ALL
 SELECT 'routine', COUNT(*) FROM information_schema.routines WHERE routine_schema = {0} UNION ALL
 SELECT 'event', COUNT(*) FROM information_schema.events WHERE event_schema = {0}"""


class Server:
    """The server that a source describes."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def unfit(self) -> str:
        """See Engine. Nothing that a table of MariaDB holds (defaults, generated columns, constraints) can call a function of
        the owner's, and a database with views, triggers or routines is refused before anything is asked of it.
        """
        return ""

    def exists(self, name: str) -> bool:
        """See Engine."""
        ask = f"SELECT 1 FROM information_schema.schemata WHERE schema_name = {_text(name)}"  # noqa: S608 - hexadecimal
        return bool(self._run(ask))

    def create(self, name: str, note: Mapping[str, Any]) -> None:
        """See Engine."""
        how = [f"{word} {note[key]}" for key, word in (("charset", "CHARACTER SET"), ("collation", "COLLATE"))
               if _NAME.fullmatch(str(note.get(key) or ""))]
        self._run(" ".join([f"CREATE DATABASE {_name(name)}", *how]))

    def drop(self, name: str) -> None:
        """See Engine."""
        self._run(f"DROP DATABASE IF EXISTS {_name(name)}")

    def client(self, name: str) -> Command:
        """See Engine. The client obeys no command of its own that a dump may hold, such as `\\!`, and hands out no file.

        One that does not know --sandbox fails here, and `hint` tells what to install.
        """
        return self._source(name)._client(self.origin.password, "mariadb", "--sandbox", "--binary-mode", "--local-infile=0",
                                          "--batch", "--max-allowed-packet=1G", "--", name)

    def shield(self) -> tuple[str, ...]:
        """See Engine."""
        return ()

    def tables(self, name: str) -> list[str]:
        """See Engine."""
        rows = self._run(_TABLES.format(_text(name)))
        return [bytes.fromhex(row).decode("utf-8", "replace") for row in rows if row]

    def obstacle(self, name: str) -> str:
        """See Engine."""
        rows = [row.split("\t") for row in self._run(" ".join(_COUNTS.format(_text(name)).split()))]
        found = [f"{count} {_KINDS[kind]}" for kind, count in rows if int(count)]
        if not found:
            return ""
        return (f"cơ sở dữ liệu {name} có {', '.join(found)}, không đổi chỗ được; lấy ra bằng `gaccong backup restore --to`, "
                f"rồi nạp bằng tay (cannot be exchanged: bring the dump out with --to and load it by hand)")

    def ask(self, name: str, sql: str) -> list[str]:
        """See Engine."""
        return self._lines(self._source(name).ask(sql, self.origin.password))  # a site's query

    def forward(self, deal: Deal, note: Note) -> None:
        """See Engine. What is still to move is what still lies in the old place."""
        if not self.exists(deal.live):
            self.create(deal.live, note.get("note") or {})
        coming = self.tables(deal.beside)
        old = self.tables(deal.live) if not self.exists(deal.kept) else self._left(deal, coming)
        if old and not self.exists(deal.kept):
            self.create(deal.kept, note.get("note") or {})
        self._rename([*((deal.live, deal.kept, name) for name in old),
                      *((deal.beside, deal.live, name) for name in coming)])

    def _left(self, deal: Deal, coming: list[str]) -> list[str]:
        """Old tables that are still live where an exchange had begun: those that are not kept yet.

        Where the new tables have all left, what is live is new, and nothing is old.
        """
        kept = set(self.tables(deal.kept))
        return [name for name in self.tables(deal.live) if name not in kept] if coming else []

    def backward(self, deal: Deal, note: Note) -> None:
        """See Engine."""
        kept = self.tables(deal.kept) if self.exists(deal.kept) else []
        if not kept and note.get("was") == "there" and self.exists(deal.beside) and self.tables(deal.beside):
            return  # nothing had moved yet
        if not self.exists(deal.beside):
            self.create(deal.beside, note.get("note") or {})
        new = [name for name in self.tables(deal.live) if name not in self.tables(deal.beside)]
        self._rename([*((deal.live, deal.beside, name) for name in new), *((deal.kept, deal.live, name) for name in kept)])
        if self.exists(deal.kept):
            self.drop(deal.kept)
        if note.get("was") == "absent" and not self.tables(deal.live):
            self.drop(deal.live)

    def _rename(self, moves: list[tuple[str, str, str]]) -> None:
        if moves:
            words = ", ".join(f"{_name(one)}.{_name(table)} TO {_name(other)}.{_name(table)}" for one, other, table in moves)
            self._run(f"SET SESSION lock_wait_timeout=120, foreign_key_checks=0; RENAME TABLE {words}")

    def _source(self, name: str) -> Source:
        source = self.origin.source
        assert isinstance(source, Source)
        return source.model_copy(update={"database": name})

    def _run(self, sql: str) -> list[str]:
        """Statements, in no database. Raises Refused with the server's words."""
        command = self._source("")._client(self.origin.password, "mariadb", "--batch", "--skip-column-names")
        return self._lines(Command(command.argv, stdin=sql.encode(), secrets=command.secrets))

    def _lines(self, command: Command) -> list[str]:
        result = self.origin.run(Command(command.argv, stdin=command.stdin, env=command.env, secrets=command.secrets,
                                         timeout=_SECONDS))
        if not result.ok:
            raise Refused(failure(self.origin.source, result))
        return result.text.splitlines()


def _name(name: str) -> str:
    """A name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"


def _text(value: str) -> str:
    """A text as SQL has it, whatever its signs and whatever the server's mode."""
    return f"CONVERT(X'{value.encode().hex()}' USING utf8mb4)"


if TYPE_CHECKING:
    _: type[Engine] = Server
