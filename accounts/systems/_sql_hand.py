"""The hand in a site's database: canary, disable, and both ways back. Run as `python -m accounts.systems._sql_hand`.

Its one argument is the order as JSON, without anything secret; what is secret is made here, kept in files 0600, and
printed nowhere. Exit 0: done; 3: could not, nothing was changed; 4: the canary could not be shown to work (the old
password is back in place).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ops import GaccongError

_OFF = ("", "0", "false", "no", "off", "f", "n")
_FEWEST, _DEFAULT, _MOST = 1_000, 600_000, 10_000_000


class Trouble(Exception):
    """The database is not as the settings say, or cannot be used; says why in English."""


class Order:
    """What to do, to which row, and where the former state is kept."""

    def __init__(self, text: str) -> None:
        values = json.loads(text)
        self.database = Path(values["database"])
        self.table: str = values["table"]
        self.login: str = values["login"]
        self.keep = Path(values["keep"])
        self.values: dict[str, str] = values

    def file(self, what: str) -> Path:
        """The file beside `keep` for one sort of memory."""
        return self.keep.with_name(f"{self.keep.name}.{what}")


def quoted(name: str) -> str:
    """An identifier for SQL; only for names that were found in the database."""
    return '"' + name.replace('"', '""') + '"'


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """The database, which must exist. Raises Trouble."""
    database = None
    try:
        database = sqlite3.connect(f"file:{quote(str(path))}?mode={'rw' if write else 'ro'}", uri=True, timeout=10,
                                   isolation_level=None)
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        if database is not None:
            database.close()
        raise Trouble(f"{path}: {error}") from None
    return database


def column(database: sqlite3.Connection, table: str, name: str) -> str:
    """The quoted name of a column that really is there, letter by letter. Raises Trouble."""
    try:
        columns = [row[0] for row in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    except sqlite3.Error as error:
        raise Trouble(str(error)) from None
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    if table not in tables:
        raise Trouble(f"there is no table {table!r}; tables: {', '.join(sorted(tables))}")
    if name not in columns:
        raise Trouble(f"table {table!r} has no column {name!r}; columns: {', '.join(columns)}")
    return quoted(name)


def is_on(value: object) -> bool:
    """Whether a value of the `enabled` column means that the account is on; what is not understood counts as on."""
    if value is None or isinstance(value, int | float):
        return bool(value)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip().casefold() not in _OFF


def canary_of(keep: Path) -> tuple[bytes, datetime] | None:
    """(password, when it was let in) of the canary kept beside `keep`, or None."""
    try:
        values = json.loads(keep.with_name(f"{keep.name}.canary").read_bytes())
        return values["password"].encode(), datetime.fromisoformat(values["accepted_at"])
    except (OSError, ValueError, KeyError):
        return None


def _save(path: Path, values: dict[str, Any]) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as stream:
        json.dump(values, stream)
        stream.flush()
        os.fsync(stream.fileno())
    Path(temporary).replace(path)


def _load(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None


class Row:
    """The one row of the order's login, inside a transaction that ends with the `with` block."""

    def __init__(self, order: Order, target: str) -> None:
        self.order = order
        self.database = connect(order.database, write=True)
        try:
            self.target = column(self.database, order.table, order.values[target])
            self.login = column(self.database, order.table, order.values["login_column"])
        except Trouble:
            self.database.close()
            raise
        self.table = quoted(order.table)

    def __enter__(self) -> Row:
        self.database.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with closing(self.database):
            self.database.execute("COMMIT" if kind is None else "ROLLBACK")

    @property
    def value(self) -> Any:
        """The target column's value. Raises Trouble unless the login names exactly one row."""
        rows = self.database.execute(
            f"SELECT {self.target} FROM {self.table} WHERE {self.login} = ?", (self.order.login,)  # noqa: S608
        ).fetchall()
        if len(rows) != 1:
            raise Trouble(f"{len(rows)} rows have this login instead of one")
        return rows[0][0]

    def set(self, value: Any) -> None:
        """Writes the target column and reads it back."""
        self.database.execute(
            f"UPDATE {self.table} SET {self.target} = ? WHERE {self.login} = ?", (value, self.order.login)  # noqa: S608
        )
        if self.value != value:
            raise Trouble("the database did not keep what was written (a trigger?)")


def disable(order: Order) -> None:
    """Sets enabled to 0; the former value is kept first. Already off: nothing is kept or changed."""
    with Row(order, "enabled_column") as row:
        former = row.value
        if is_on(former):
            _save(order.file("row"), {"enabled": _packed(former)})
            row.set(0)
    print(json.dumps({"disabled": True, "was_on": is_on(former)}))


def enable(order: Order) -> None:
    """Puts back the kept value."""
    kept = _load(order.file("row"))
    if kept is not None:
        with Row(order, "enabled_column") as row:
            row.set(_unpacked(kept["enabled"]))
        order.file("row").unlink()


def canary(order: Order) -> int:
    """Sets a one-time password and tries it at the login form. The former hash is kept, and back when it fails."""
    from accounts.web_door import WebDoor

    password = secrets.token_urlsafe(24)
    with Row(order, "password_column") as row:
        former = row.value
        earlier = _load(order.file("password"))
        if earlier is not None and earlier["set"] == former:
            former = _unpacked(earlier["password"])  # an interrupted run: what it kept is the true former one
        made = hash_of(password, iterations_of(former))
        _save(order.file("password"), {"password": _packed(former), "set": made})
        row.set(made)
    values = order.values
    authority = Path(values["authority"]) if values["authority"] else None
    door = WebDoor(values["url"], values["login_field"], values["password_field"], values["accepted"], authority)
    why = "refused"
    try:
        let_in = door.lets_in(order.login, password.encode())
    except GaccongError as error:
        let_in, why = False, error.what.en
    if not let_in:
        uncanary(order)
        print(json.dumps({"accepted": False, "why": why}))
        return 4
    now = datetime.now(UTC).isoformat()
    _save(order.file("canary"), {"password": password, "accepted_at": now})
    print(json.dumps({"accepted": True, "at": now}))
    return 0


def uncanary(order: Order) -> None:
    """Puts back the former hash, unless somebody has set another password since."""
    kept = _load(order.file("password"))
    if kept is not None:
        with Row(order, "password_column") as row:
            if row.value == kept["set"]:
                row.set(_unpacked(kept["password"]))
        order.file("password").unlink()
    order.file("canary").unlink(missing_ok=True)


def hash_of(password: str, iterations: int) -> str:
    """`pbkdf2_sha256$iterations$salt$base64`, as Django writes it."""
    salt = secrets.token_hex(11)
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations)
    return f"pbkdf2_sha256${iterations}${salt}${base64.b64encode(digest).decode()}"


def iterations_of(former: object) -> int:
    """The number of rounds of the former hash, within reason; of anything else the default."""
    parts = former.split("$") if isinstance(former, str) else []
    if len(parts) == 4 and parts[0] == "pbkdf2_sha256" and parts[1].isascii() and parts[1].isdigit():
        return max(_FEWEST, min(int(parts[1]), _MOST))
    return _DEFAULT


def _packed(value: Any) -> dict[str, Any]:
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"value": value}


def _unpacked(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["bytes"]) if "bytes" in value else value["value"]


def main(arguments: list[str]) -> int:
    """Carries out one verb."""
    verbs = {"canary": canary, "uncanary": uncanary, "disable": disable, "enable": enable}
    try:
        return verbs[arguments[0]](Order(arguments[1])) or 0
    except Trouble as error:
        print(error, file=sys.stderr)
    except sqlite3.Error as error:
        print(f"database: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{error.strerror}: {error.filename}", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
