"""A MariaDB database, dumped while in use: `kind = "mariadb"  name = "tin"  database = "portal"`.

The dump is one moment's picture for transactional tables (InnoDB). Tables of other engines (MyISAM, Aria) are copied
as they are read; the note names them under `loose`. `lock_tables = true` holds writers off instead, for all tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from backup.servers.database import Database
from backup.servers.dumping import COUNT_SECONDS, Ask
from backup.source import Restored
from ops import Command, Secret, Text

_LOGIN = "GACCONG_LOGIN"
_DATABASE = r"^[^-/\\.\x00-\x1f`][^/\\.\x00-\x1f`]{0,63}$"
_LOOK = """SELECT 'server', VERSION(), default_character_set_name, default_collation_name
 FROM information_schema.schemata WHERE schema_name = DATABASE() UNION ALL
 SELECT 'table', HEX(CONVERT(table_name USING utf8mb4)), table_type, IFNULL(engine, '')
 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT LIKE '%TEMPORARY%'"""
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?:(?:TABLE|PROCEDURE|FUNCTION|PACKAGE|PACKAGE BODY) )?"
                    r"(?P<base>\*|`(?:[^`]|``)*`|\w+)\.(?P<table>\*|`(?:[^`]|``)*`|\w+) TO .*", re.DOTALL)
_HARMLESS = {"USAGE", "SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "LOCK TABLES", "PROCESS", "SHOW DATABASES", "RELOAD",
             "SHOW CREATE ROUTINE", "BINLOG MONITOR", "REPLICATION CLIENT", "SLAVE MONITOR", "REPLICA MONITOR"}
"""What an account may hold on the whole server and still count. TRIGGER and EVENT only tell in a dump: a function makes none."""
_WHOLE_ENGINES = ("", "InnoDB", "VIEW", "SEQUENCE")
_ABSENT = "máy đó thiếu mariadb-client (mariadb-client is missing there) → apt-get install mariadb-client"
_HINTS = (
    ("insufficient privileges to SHOW CREATE", "tài khoản không đọc được thủ tục của người khác: GRANT SELECT ON mysql.proc, hoặc "
     "dùng tài khoản sao lưu riêng (the account may not read others' routines: grant that, or use an account for backups)"),
    ("unknown option '--sandbox'", "mariadb-client quá cũ, không có --sandbox: nâng cấp gói mariadb-client (mariadb-client is too old "
     "and has no --sandbox: upgrade that package)"),
    ("1045", "sai tài khoản hoặc mật khẩu cơ sở dữ liệu (wrong database user or password)"),
    ("1698", "tài khoản này chỉ vào được bằng người dùng hệ thống; đặt `user_here` (this account needs its system user: set `user_here`)"),
    ("1044", "tài khoản không có quyền trên cơ sở dữ liệu (the account has no right to the database)"),
    ("1049", "không có cơ sở dữ liệu này (there is no such database)"),
    ("2002", "không kết nối được: máy chủ cơ sở dữ liệu chưa chạy hoặc sai socket (no connection: server down or wrong socket)"),
    ("2003", "không kết nối được tới máy chủ cơ sở dữ liệu (the database server is not reached)"),
    ("2013", "mất kết nối giữa chừng (the connection was lost midway)"),
    ("ERROR 1370", "có view gọi hàm mà người tạo view không có quyền trong cơ sở dữ liệu tạm; lấy bản kết xuất ra bằng `gaccong backup "
     "restore --to` rồi nạp bằng tay (a view calls a function that its definer may not run in the database beside; bring the dump "
     "out with --to and load it by hand)"),
    ("1969", "truy vấn đếm quá lâu (a counting query took too long)"),
    ("runuser", "không đổi được sang `user_here`; chạy gaccong bằng root (`user_here` needs root)"),
)


class Source(Database):
    """As every database. lock_tables: hold writers off while the dump is made."""

    kind: Literal["mariadb"]
    database: Annotated[str, Field(pattern=_DATABASE)]
    port: Annotated[int, Field(ge=1, le=65535)] = 3306
    lock_tables: bool = False

    programs: ClassVar[tuple[tuple[str, str], ...]] = (("mariadb-dump", "mariadb-client"), ("mariadbd", "mariadb-server-core"))
    hints = _HINTS
    absent = _ABSENT
    tool: ClassVar[tuple[str, ...]] = ("mariadb-dump", "--version")

    @property
    def marker(self) -> str:
        """mariadb-dump's last line."""
        return "-- Dump completed"

    def dump(self, password: bytes) -> Command:
        """All of the database: tables, views, routines, triggers, events; binary columns as hexadecimal digits."""
        hold = ("--lock-tables",) if self.lock_tables else ("--single-transaction",)
        return self._client(password, "mariadb-dump", *hold, "--quick", "--routines", "--triggers", "--events", "--hex-blob",
                            "--skip-dump-date", "--max-allowed-packet=1G", "--", self.database)

    def ask(self, sql: str, password: bytes, *, ours: bool = False) -> Command:
        """One statement, read only, bounded on the server as well: a view of the site owner's could count for ever."""
        return self._client(password, "mariadb", "--batch", "--skip-column-names",
                            f"--init-command=SET SESSION max_statement_time={COUNT_SECONDS:g}, SESSION tx_read_only=ON",
                            f"--execute={sql}", "--", self.database)

    def too_strong(self, ask: Ask) -> str:
        """Whoever may write on the whole server or in its own tables (`mysql`), or take on a role."""
        powers = [power for line in ask("SHOW GRANTS FOR CURRENT_USER") if (power := strong(line))]
        return _TOO_STRONG.format(powers="; ".join(powers[:3]), base=self.database) if powers else ""

    def look(self, ask: Ask) -> dict[str, Any]:
        """Server version, character set, tables, and those of engines without transactions."""
        rows = [row for line in ask(" ".join(_LOOK.split())) if len(row := line.split("\t")) == 4]
        found = [(bytes.fromhex(row[1]).decode("utf-8", "replace"), row[2], row[3]) for row in rows if row[0] == "table"]
        server = next((row for row in rows if row[0] == "server"), [""] * 4)
        loose = sorted(name for name, kind, engine in found if "TABLE" in kind and engine not in _WHOLE_ENGINES)
        return {"server": server[1], "charset": server[2], "collation": server[3], "loose": loose,
                "tables": sorted(name for name, _, _ in found)}

    def rehearse(self, copy: Restored, note: Mapping[str, Any]) -> Iterable[Text]:
        """Loads the dump into a MariaDB of our own and counts."""
        from backup.servers.mariadb import rehearse

        return rehearse(self, copy, note)

    def while_up(self, copy: Restored, note: Mapping[str, Any], socket: Path, user: str) -> Iterable[Text]:
        """What more is wrong, seen while the trial server runs; `user` owns the database there, without a password."""
        return ()

    def _client(self, password: bytes, program: str, *words: str) -> Command:
        """A client program; its password comes from an option file that is a descriptor and must stand first."""
        at = ["--protocol=TCP", f"--host={self.address}", f"--port={self.port}"] if self.address else []
        at += [f"--socket={self.socket}"] if self.socket else []
        at += [f"--user={self.user}"] if self.user else []
        argv = (*at, "--default-character-set=utf8mb4", *words)
        if not password:
            return Command((program, *argv))
        # the descriptor's number is only known where the program starts: the shell there puts it in, and nothing else
        shell = ("sh", "-c", f'exec {program} --defaults-extra-file="${_LOGIN}" "$@"', program)
        return Command((*shell, *argv), secrets={_LOGIN: Secret(options(password))})


def strong(grant: str) -> str:
    """What in one line of SHOW GRANTS is power over the server, or ""."""
    found = _GRANT.fullmatch(grant)
    if found is None:  # a role, whose rights stand elsewhere; GRANT PROXY; whatever else is not known
        return "" if grant.startswith("SET DEFAULT ROLE ") else grant.partition(" IDENTIFIED ")[0][:80]
    what, base, table = found["what"], found["base"], found["table"]
    held = {one.strip().upper() for one in re.sub(r"\([^)]*\)", "", what).split(",")}
    if base == "*":
        more = {"GRANT OPTION"} if grant.endswith(" WITH GRANT OPTION") else set()
        excess = (held | more) - _HARMLESS
    elif _covers(base.strip("`"), "mysql"):
        excess = set() if table.strip("`") == "proc" and held == {"SELECT"} else held
    else:
        return ""
    return f"{', '.join(sorted(excess)[:4])} ON {base}.{table}" if excess else ""


def _covers(pattern: str, name: str) -> bool:
    """Whether a granted database's name, where % and _ stand for others, is this one too."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = "".join({"%": ".*", "_": "."}.get(part, re.escape(part[-1])) for part in parts)
    return re.fullmatch(wild, name, re.IGNORECASE | re.DOTALL) is not None


def options(password: bytes) -> bytes:
    """MariaDB's option file with this password. Raises ValueError for what no line can hold."""
    if b"\n" in password or b"\0" in password:
        raise ValueError("a password of several lines")
    return b'[client]\npassword="' + password.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"\n'


_TOO_STRONG = (
    "không đếm số liệu: tài khoản có quyền trên cả máy chủ ({powers}), mã của chủ cơ sở dữ liệu sẽ chạy với quyền đó. Tạo tài "
    "khoản chỉ đọc, đặt `user` và `password` (nothing was counted: the account has power over the whole server, and the "
    "database owner's code would run with it; make a read-only account, set `user` and `password`): "
    "CREATE USER sao_luu@localhost IDENTIFIED BY '…'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `{base}`.* TO "
    "sao_luu@localhost; GRANT SELECT ON mysql.proc TO sao_luu@localhost;")
