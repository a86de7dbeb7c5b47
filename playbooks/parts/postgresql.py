r"""How a PostgreSQL database is exchanged: two renames in one transaction, everyone else sent away for that moment.

What belongs to the database itself and not to its content (owner, privileges to connect, settings) is taken from the
live one, for no dump of its content holds it. The loading psql is shut against backslash commands of the dump. The role
that loads may be no superuser: a constraint's function in the dump runs while rows are copied in, with that role's powers.
"""

# Names and texts in its SQL are quoted by _name and _text.
# ruff: noqa: S608

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from backup.sources.postgresql import OURS, STRONG, TABLES, Source
from backup.stream import Origin, failure
from ops import Command, python
from playbooks.parts.database import Deal, Note, Refused

if TYPE_CHECKING:
    from playbooks.parts.database import Engine

_SECONDS = 3600.0
_TRIES = 40
_BUSY = "being accessed by other users"
_OWN = r"""SELECT format('ALTER DATABASE %%I OWNER TO %%I', '{new}', pg_get_userbyid(datdba)) FROM pg_database WHERE datname = '{old}' \gexec
SELECT format('REVOKE ALL ON DATABASE %%I FROM PUBLIC', '{new}') FROM pg_database WHERE datname = '{old}' AND datacl IS NOT NULL \gexec
SELECT format('GRANT %%s ON DATABASE %%I TO %%s', a.privilege_type, '{new}',
  CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
 FROM pg_database, aclexplode(datacl) AS a WHERE datname = '{old}' \gexec
SELECT format('ALTER DATABASE %%I SET %%I = %%s', '{new}', split_part(c, '=', 1), CASE WHEN split_part(c, '=', 1) = 'search_path'
  THEN substr(c, strpos(c, '=') + 1) ELSE quote_literal(substr(c, strpos(c, '=') + 1)) END)
 FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS c WHERE d.datname = '{old}'
 AND s.setrole = 0 AND (split_part(c, '=', 1) <> 'search_path' OR c ~ '{path}') \gexec
""".replace("%%", "%")


_PATH = r'^search_path=("([^"]|"")*"|[[:alnum:]_]+)(, *("([^"]|"")*"|[[:alnum:]_]+))*$'
"""A search path that can stand in SQL as it is: its owner may have set any text (`SET search_path FROM CURRENT`)."""


class Server:
    """The server that a source describes."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def unfit(self) -> str:
        """See Engine: a superuser, or one who may become one, or run programs or reach files of the server."""
        powers = self._run(" ".join(STRONG.split()))
        if not powers:
            return ""
        live = self._source("").database
        rows = self._run(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {_text(live)}")
        owner = _name(rows[0]) if rows else "…"
        return (f"không nạp bằng tài khoản có quyền trên cả máy chủ ({', '.join(powers)}): mã trong bản kết xuất sẽ chạy với quyền "
                "đó. Tạo tài khoản khôi phục riêng, đặt `restore_user` (và `restore_password`) (an account with power over the "
                "whole server must not load: code in the dump would run with it; make one for restoring, set `restore_user`): "
                f"CREATE ROLE khoi_phuc LOGIN CREATEDB PASSWORD '…'; GRANT {owner} TO khoi_phuc;")

    def exists(self, name: str) -> bool:
        """See Engine."""
        return bool(self._run(f"SELECT 1 FROM pg_database WHERE datname = {_text(name)}"))

    def create(self, name: str, note: Mapping[str, Any]) -> None:
        """See Engine. In the live one's locale where it is still there."""
        live = self._source("").database
        rows = self._run("SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database "
                         f"WHERE datname = {_text(live)}")
        how = ""
        if rows:
            encoding, collate, ctype = rows[0].split("\t")
            how = f" ENCODING {_text(encoding)} LC_COLLATE {_text(collate)} LC_CTYPE {_text(ctype)}"
        self._run(f"CREATE DATABASE {_name(name)} TEMPLATE template0{how}")
        if rows:
            self._run(_OWN.format(new=_inner(name), old=_inner(live), path=_inner(_PATH)))
            return
        owners = self._run("SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = "
                           "(SELECT oid FROM pg_roles WHERE rolname = session_user) AND r.rolname !~ '^pg_'")
        if len(owners) == 1:  # the live one is gone: it belonged to the only role that we may act as
            self._run(f"ALTER DATABASE {_name(name)} OWNER TO {_name(owners[0])}")

    def drop(self, name: str) -> None:
        """See Engine."""
        self._run(f"{_away(name)} DROP DATABASE IF EXISTS {_name(name)}")

    def client(self, name: str) -> Command:
        """See Engine."""
        return self._psql(name, "--single-transaction", f"--command=\\restrict {token_hex(16)}", "--file=-")

    def shield(self) -> tuple[str, ...]:
        """See Engine: takes the dump's own `\\restrict` lines out, which the key above would refuse."""
        return (*python("backup.servers.plain"), "--")

    def tables(self, name: str) -> list[str]:
        """See Engine."""
        rows = self._run(" ".join(TABLES.split()), name)
        return sorted(bytes.fromhex(row).decode("utf-8", "replace") for row in rows if row)

    def obstacle(self, name: str) -> str:
        """See Engine: whatever is in it comes along."""
        return ""

    def ask(self, name: str, sql: str) -> list[str]:
        """See Engine."""
        return self._lines(self._source(name).ask(sql, self.origin.password))

    def forward(self, deal: Deal, note: Note) -> None:
        """See Engine."""
        if not self.exists(deal.beside):
            return  # it is live already
        moves = [(deal.beside, deal.live)]
        if self.exists(deal.live):
            moves.insert(0, (deal.live, deal.kept))
        self._rename(moves)

    def backward(self, deal: Deal, note: Note) -> None:
        """See Engine."""
        if self.exists(deal.beside):
            return  # nothing had moved yet
        moves = [(deal.live, deal.beside)]
        if self.exists(deal.kept):
            moves.append((deal.kept, deal.live))
        self._rename(moves)

    def _rename(self, moves: list[tuple[str, str]]) -> None:
        away = " ".join(_away(name) for move in moves for name in move)
        words = "; ".join(f"ALTER DATABASE {_name(one)} RENAME TO {_name(other)}" for one, other in moves)
        for left in range(_TRIES, -1, -1):  # the site comes back at once: between sending away and renaming
            try:
                self._run(f"{away} BEGIN; {words}; COMMIT;")
                return
            except Refused as error:
                if _BUSY not in str(error) or not left:
                    raise
                time.sleep(0.1)

    def _source(self, name: str) -> Source:
        source = self.origin.source
        assert isinstance(source, Source)
        return source.model_copy(update={"database": name}) if name else source

    def _psql(self, name: str, *words: str) -> Command:
        return self._source(name)._client(self.origin.password, "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
                                          "--field-separator=\t", "--set=ON_ERROR_STOP=1", *words, more={"PGOPTIONS": OURS})

    def _run(self, sql: str, name: str = "") -> list[str]:
        """Statements, in a database that every server has. Raises Refused with the server's words."""
        return self._lines(replace(self._psql(name or "template1"), stdin=sql.encode() + b"\n"))

    def _lines(self, command: Command) -> list[str]:
        result = self.origin.run(replace(command, timeout=_SECONDS))
        if not result.ok:
            raise Refused(failure(self.origin.source, result))
        return [line for line in result.text.splitlines() if line]


def _away(name: str) -> str:
    """Ends everybody else's session in a database, without a word."""
    return ("SELECT FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = {_text(name)} AND pid <> pg_backend_pid()) AS gone;")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _inner(value: str) -> str:
    return value.replace("'", "''")


def _text(value: str) -> str:
    return f"'{_inner(value)}'"


if TYPE_CHECKING:
    _: type[Engine] = Server
