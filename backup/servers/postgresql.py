r"""Rehearses a PostgreSQL dump: a server of our own in a closed room, loaded by a role that owns one database only.

The role is no superuser (no COPY ... PROGRAM, no files), psql obeys no backslash command of the dump, there is no
network. The superuser has a name that no dump can know.
"""

# Names and texts in its SQL are quoted by _name and _text.
# ruff: noqa: S608

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from backup.servers.dumping import COUNT_SECONDS, LOAD_SECONDS, Wrong, judged, poured, program
from backup.servers.room import Room
from backup.source import Restored
from backup.sources.postgresql import TABLES
from ops import CannotSee, MissingTool, Text, python, say

if TYPE_CHECKING:
    from backup.sources.postgresql import Source

_LOADER = "gaccong-load"
_BINARIES = Path("/usr/lib/postgresql")
_SMALL = {"listen_addresses": "", "fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB", "max_connections": "10",
          "autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0", "dynamic_shared_memory_type": "mmap", "jit": "off",
          "max_parallel_workers": "0", "max_wal_size": "256MB", "unix_socket_permissions": "0700"}
_COUNT_ALL_SECONDS = 3600.0


def rehearse(source: Source, copy: Restored, note: Mapping[str, Any]) -> Iterable[Text]:
    """Loads, looks for every table, counts. Yields what is wrong. Raises CannotSee, MissingTool."""
    binaries = binaries_for(str(note.get("server", "")))
    with Room(copy.scratch, source.name) as room:
        server = Server(room, binaries, source.database, note)
        begun = time.monotonic()
        argv = (*python("backup.servers.plain"), "--", *room.wrap(server.loader()))
        result = copy.pour(source.name, argv, env=room.env, timeout=LOAD_SECONDS)
        copy.measures["load_seconds"] = copy.measures.get("load_seconds", 0.0) + time.monotonic() - begun
        yield from poured(source.name, result)
        if result.ok:
            yield from judged(source.name, server, note, source.queries, copy.measures)


def binaries_for(server: str) -> Path:
    """The folder of the newest PostgreSQL that is installed here. Raises MissingTool: none, or older than the site's."""
    wanted = int(re.match(r"\d*", server)[0] or 0)  # type: ignore[index]
    found = {int(path.parent.parent.name): path.parent for path in _BINARIES.glob("*/bin/initdb")
             if path.parent.parent.name.isdigit()}
    mend = say("apt-get install postgresql-{v}", "apt-get install postgresql-{v}", v=wanted or 15)
    if not found:
        return Path(program("initdb", package=f"postgresql-{wanted or 15}")).resolve().parent
    newest = max(found)
    if newest < wanted:
        raise MissingTool(say("thiếu PostgreSQL {w} để diễn tập; ở đây có bản {n}",
                              "PostgreSQL {w} is missing for the drill; here is {n}", w=wanted, n=newest), mend)
    return found[newest]


class Server:
    """A running PostgreSQL with one empty database."""

    def __init__(self, room: Room, binaries: Path, database: str, note: Mapping[str, Any]) -> None:
        self.room = room
        self.database = database
        self._admin = f"gaccong-{token_hex(8)}"
        psql = binaries / "psql"
        self._client = str(psql) if psql.exists() else program("psql", package="postgresql-client")
        if room.root:
            raise CannotSee(say("PostgreSQL không chạy bằng root; ở đây không đổi được sang người dùng khác",
                                "PostgreSQL does not run as root, and there is no other user to become here"))
        data = room.inside / "pg"
        made = room.run((str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", self._admin, "--no-sync",
                         "--locale=C.UTF-8", "-E", "UTF8"))
        if made.returncode != 0:
            raise CannotSee(say("không dựng được máy chủ PostgreSQL diễn tập: {e}", "no scratch PostgreSQL could be made: {e}",
                                e=(made.stderr or made.stdout)[-600:].decode("utf-8", "replace")))
        options = tuple(part for name, value in _SMALL.items() for part in ("-c", f"{name}={value}"))
        room.serve((str(binaries / "postgres"), "-D", str(data), "-k", str(room.inside), *options), self._answers)
        self._prepare(note)

    def _answers(self) -> bool:
        return self.room.run(self._argv(self._admin, "template1", "--command=SELECT 1")).returncode == 0

    def _prepare(self, note: Mapping[str, Any]) -> None:
        """Role and database; the site's roles as empty names which the loader may act as; extensions it may not make."""
        admin, base, loader = self._admin, _name(self.database), _name(_LOADER)
        self._do(admin, "postgres", f"CREATE ROLE {loader} LOGIN;")
        if self.database != "postgres":
            self._do(admin, "postgres", f"CREATE DATABASE {base} OWNER {loader} TEMPLATE template0;")
        else:
            self._do(admin, "template1", f"DROP DATABASE postgres; CREATE DATABASE {base} OWNER {loader} TEMPLATE template0;")
        made = ""
        for role in note.get("roles", ()):
            made += f"CREATE ROLE {_name(role)}; GRANT {_name(role)} TO {loader};"
            made += f"GRANT ALL ON DATABASE {base} TO {_name(role)}; GRANT ALL ON SCHEMA public TO {_name(role)};"
        self._do(admin, self.database, f"GRANT ALL ON SCHEMA public TO {loader};{made}")
        for extension in note.get("extensions", ()):
            self._extend(str(extension))

    def _extend(self, extension: str) -> None:
        """Makes an extension that only a superuser may; a trusted one the dump makes itself."""
        asked = f"SELECT count(*), bool_or(trusted) FROM pg_available_extension_versions WHERE name = '{_text(extension)}'"
        count, _, trusted = self._do(self._admin, self.database, asked)[0].partition("\t")
        if count == "0":
            raise MissingTool(
                say("thiếu phần mở rộng PostgreSQL {x} để diễn tập", "PostgreSQL extension {x} is missing for the drill",
                    x=extension),
                say("cài gói Debian có phần mở rộng này (ví dụ postgresql-contrib, postgresql-15-postgis-3)",
                    "install the Debian package that brings it (postgresql-contrib, postgresql-15-postgis-3, …)"))
        if trusted != "t":
            self._do(self._admin, self.database, f"CREATE EXTENSION {_name(extension)} CASCADE;"
                     # the dump comments on it, which is its owner's right
                     f"UPDATE pg_extension SET extowner = '{_name(_LOADER)}'::regrole WHERE extname = '{_text(extension)}'")

    def loader(self) -> tuple[str, ...]:
        """The client that loads, in one transaction, shut against commands of its own by a key that nobody knows."""
        return self._argv(_LOADER, self.database, "--single-transaction", f"--command=\\restrict {token_hex(16)}", "--file=-")

    def settle(self) -> None:
        """Nothing: roles were made before."""

    def tables(self) -> list[str]:
        """Tables and views as `schema.name`."""
        return sorted(bytes.fromhex(line).decode("utf-8", "replace") for line in self.ask(" ".join(TABLES.split())))

    def unsound(self, name: str) -> Iterable[Text]:
        """PostgreSQL checks while it loads; `rows` reads every table."""
        return ()

    def ask(self, sql: str) -> list[str]:
        """One query as the loader."""
        return self._do(_LOADER, self.database, f"SET default_transaction_read_only = on;\n{sql}")

    def rows(self) -> int:
        """Rows of all tables, counted."""
        named = self._do(_LOADER, self.database, _COUNTABLE)
        ask = "".join(f"SELECT count(*) FROM {line};" for line in named)
        return sum(map(int, self._do(_LOADER, self.database, ask, _COUNT_ALL_SECONDS))) if ask else 0

    def _do(self, user: str, database: str, sql: str, timeout: float = COUNT_SECONDS) -> list[str]:
        done = self.room.run(self._argv(user, database, f"--command=\\restrict {token_hex(16)}", "--file=-"),
                             stdin=sql.encode(), timeout=timeout)
        if done.returncode != 0:
            raise Wrong(done.stderr[-600:].decode("utf-8", "replace").strip())
        return [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line]

    def _argv(self, user: str, database: str, *words: str) -> tuple[str, ...]:
        at = (f"PGHOST={self.room.inside}", f"PGUSER={user}", f"PGDATABASE={database}", "PGCLIENTENCODING=UTF8")
        return ("env", *at, self._client, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t",
                "--no-password", "--set=ON_ERROR_STOP=1", *words)


_COUNTABLE = """SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c
 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND NOT c.relispopulated IS FALSE
 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""


def _name(name: str) -> str:
    return '"' + str(name).replace('"', '""') + '"'


def _text(value: str) -> str:
    return value.replace("'", "''")
