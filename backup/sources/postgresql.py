"""A PostgreSQL database, dumped while in use: `kind = "postgresql"  name = "tin"  database = "portal"`.

pg_dump in its plain form, one moment's picture, with owners and privileges. With `queries`, the account may be no
superuser: a table that is counted may be a view, and its function's commands would run with the superuser's powers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from backup.servers.database import Database
from backup.servers.dumping import COUNT_SECONDS, Ask
from backup.source import Restored
from ops import Command, Secret, Text

OURS = "-c search_path=pg_catalog -c role=none"
"""Server settings of a connection that asks our own questions: no function or operator of the database's can slip in."""
TABLES = """SELECT pg_catalog.encode(pg_catalog.convert_to(n.nspname || '.' || c.relname, 'UTF8'), 'hex')
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relpersistence <> 't'
 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_catalog.pg_class'::regclass
 AND d.deptype = 'e')"""
STRONG = """SELECT DISTINCT r.rolname FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
 AND (r.rolsuper OR r.rolcreaterole OR r.rolname IN ('pg_execute_server_program', 'pg_write_server_files',
 'pg_read_server_files')) ORDER BY 1 LIMIT 5"""
"""Roles with powers over the server that this session has or may take on. The session's role, for a database may set `role`."""
_HEX = "pg_catalog.encode(pg_catalog.convert_to({}, 'UTF8'), 'hex')"
_LOOK = f"""SELECT 'tables', found.* FROM ({TABLES}) AS found UNION ALL
 SELECT 'roles', {_HEX.format("rolname")} FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' UNION ALL
 SELECT 'extensions', {_HEX.format("extname")} FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' UNION ALL
 SELECT 'server', {_HEX.format("pg_catalog.current_setting('server_version')")}"""  # noqa: S608 - constants
_ABSENT = "máy đó thiếu postgresql-client (postgresql-client is missing there) → apt-get install postgresql-client"
_HINTS = (
    ("password authentication failed", "sai tài khoản hoặc mật khẩu cơ sở dữ liệu (wrong database user or password)"),
    ("no password supplied", "máy chủ đòi mật khẩu: đặt `password` hoặc `user_here` (a password is wanted: set `password` or `user_here`)"),
    ("Peer authentication failed", "đặt `user_here` là người dùng hệ thống của tài khoản này (set `user_here` to this account's system user)"),
    ("server version mismatch", "pg_dump cũ hơn máy chủ; cài postgresql-client cùng phiên bản (pg_dump is older than the server: install its client)"),
    ("role \"", "không có tài khoản cơ sở dữ liệu này (there is no such database user)"),
    ("database \"", "không có cơ sở dữ liệu này (there is no such database)"),
    ("could not connect", "không kết nối được tới máy chủ cơ sở dữ liệu (the database server is not reached)"),
    ("connection to server", "không kết nối được tới máy chủ cơ sở dữ liệu (the database server is not reached)"),
    ("statement timeout", "truy vấn đếm quá lâu (a counting query took too long)"),
    ("runuser", "không đổi được sang `user_here`; chạy gaccong bằng root (`user_here` needs root)"),
)


class Source(Database):
    """As every database; `socket` is the folder of the server's socket."""

    kind: Literal["postgresql"]
    database: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f]*$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 5432

    programs: ClassVar[tuple[tuple[str, str], ...]] = (("pg_dump", "postgresql-client"),)
    hints = _HINTS
    absent = _ABSENT
    tool: ClassVar[tuple[str, ...]] = ("pg_dump", "--version")

    @property
    def marker(self) -> str:
        """pg_dump's last line of its own."""
        return "-- PostgreSQL database dump complete"

    def dump(self, password: bytes) -> Command:
        """All of the database as SQL."""
        return self._client(password, "pg_dump", "--format=plain", "--encoding=UTF8")

    def ask(self, sql: str, password: bytes, *, ours: bool = False) -> Command:
        """One statement, read only, bounded on the server as well; one of ours sees the system's catalogue alone."""
        bounds = f"-c default_transaction_read_only=on -c statement_timeout={COUNT_SECONDS * 1000:.0f}"
        bounds += f" {OURS}" if ours else ""
        return self._client(password, "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
                            "--field-separator=\t", "--set=ON_ERROR_STOP=1", f"--command={sql}", more={"PGOPTIONS": bounds})

    def too_strong(self, ask: Ask) -> str:
        """A superuser, or one who may become one, or run programs or reach files of the server."""
        powers = [row for row in ask(" ".join(STRONG.split())) if row]
        return _TOO_STRONG.format(powers=", ".join(powers)) if powers else ""

    def look(self, ask: Ask) -> dict[str, Any]:
        """Server version, tables and views; roles and extensions, which a trial load needs before it begins."""
        found: dict[str, list[str]] = {"tables": [], "roles": [], "extensions": [], "server": []}
        for line in ask(" ".join(_LOOK.split())):
            kind, _, name = line.partition("\t")
            found.setdefault(kind, []).append(bytes.fromhex(name).decode("utf-8", "replace"))
        return {**{kind: sorted(names) for kind, names in found.items()}, "server": "".join(found["server"])}

    def rehearse(self, copy: Restored, note: Mapping[str, Any]) -> Iterable[Text]:
        """Loads the dump into a PostgreSQL of our own and counts."""
        from backup.servers.postgresql import rehearse

        return rehearse(self, copy, note)

    def _client(self, password: bytes, program: str, *words: str, more: Mapping[str, str] | None = None) -> Command:
        """A client program. What it connects to stands in variables, where no name can be read as a connection string;
        the password in a service file that is a descriptor (a PGPASSFILE may not be a pipe, which it is over SSH).
        """
        env = {"PGDATABASE": self.database, "PGHOST": self.socket or self.address, "PGPORT": str(self.port),
               "PGUSER": self.user, "PGCONNECT_TIMEOUT": "20", "PGCLIENTENCODING": "UTF8", **(more or {})}
        secrets = {}
        if password:
            env["PGSERVICE"] = "gaccong"
            secrets["PGSERVICEFILE"] = Secret(service(password))
        return Command((program, "--no-password", *words), env={name: value for name, value in env.items() if value},
                       secrets=secrets)


def service(password: bytes) -> bytes:
    """libpq's service file with this password. Raises ValueError for what no line can hold."""
    if b"\n" in password or b"\0" in password or password != password.strip():
        raise ValueError("a password of several lines, or with a blank at an end")
    return b"[gaccong]\npassword=" + password + b"\n"


_TOO_STRONG = (
    "không đếm bằng `queries`: tài khoản có quyền trên cả máy chủ ({powers}), mã của chủ cơ sở dữ liệu sẽ chạy với quyền đó. "
    "Tạo tài khoản chỉ đọc, đặt `user` và `password`, bỏ `user_here` (the `queries` were not run: the account has power over "
    "the whole server, and the database owner's code would run with it; make a read-only account, set `user` and `password`, "
    "drop `user_here`): CREATE ROLE sao_luu LOGIN PASSWORD '…'; GRANT pg_read_all_data TO sao_luu; (PostgreSQL 14+; cũ hơn thì "
    "dùng tài khoản của chính trang web — older: use the site's own account)")
