"""The hand in a site's database: read, canary, disable, and both ways back. Run as `python -m accounts.systems._sql_hand`.

Its one argument is the order as JSON, without anything secret; what is secret is made here, kept in files 0600, and
printed nowhere. Exit 0: done; 3: could not, nothing was changed; 4: the canary could not be shown to work (the old
password is back in place, or the answer says that it is not). The database itself is only opened by `_sql_file`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accounts.systems._sql_file import Row, Trouble, packed, rows, unpacked
from ops import GaccongError

_OFF = ("", "0", "false", "no", "off", "f", "n")
_FEWEST, _DEFAULT, _MOST = 1_000, 600_000, 10_000_000


class Order:
    """What to do, to which row, and where the former state is kept."""

    def __init__(self, text: str) -> None:
        values = json.loads(text)
        self.database = Path(values["database"])
        self.table: str = values["table"]
        self.columns: list[str] = values.get("columns", [])
        self.login: str = values.get("login", "")
        self.keep = Path(values.get("keep", ""))
        self.values: dict[str, str] = values

    def file(self, what: str) -> Path:
        """The file beside `keep` for one sort of memory."""
        return self.keep.with_name(f"{self.keep.name}.{what}")


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


def row_of(order: Order, target: str) -> Row:
    """The order's row, with the column that the order has under this name."""
    return Row(order.database, order.table, (order.values["login_column"], order.login), order.values[target])


def read(order: Order) -> None:
    """Prints every row of the order's columns, as the database's owner."""
    print(json.dumps({"rows": rows(order.database, order.table, order.columns)}))


def disable(order: Order) -> None:
    """Sets enabled to 0; the former value is kept first. Already off: nothing is kept or changed."""
    with row_of(order, "enabled_column") as row:
        former = row.value
        if is_on(former):
            _save(order.file("row"), {"enabled": packed(former)})
            row.set(0)
    print(json.dumps({"disabled": True, "was_on": is_on(former)}))


def enable(order: Order) -> None:
    """Puts back the kept value."""
    kept = _load(order.file("row"))
    if kept is not None:
        with row_of(order, "enabled_column") as row:
            row.set(unpacked(kept["enabled"]))
        order.file("row").unlink()


def canary(order: Order) -> int:
    """Sets a one-time password and tries it at the login form. The former hash is kept, and back when anything fails:
    whatever form or database may do, it must not stop the shutting that comes next."""
    try:
        now = _canary(order)
        print(json.dumps({"accepted": True, "at": now}))
        return 0
    except GaccongError as error:
        why = error.what.en
    except Exception as error:  # a hostile site may bring about anything
        why = f"{type(error).__name__}: {error}"
    restored = True
    try:
        uncanary(order)
    except (Trouble, OSError, ValueError) as error:
        restored, why = False, f"{why}; not put back: {error}"
    print(json.dumps({"accepted": False, "restored": restored, "why": why}))
    return 4


def _canary(order: Order) -> str:
    from accounts.web_door import WebDoor

    with row_of(order, "password_column") as row:
        former = row.value
        earlier = _load(order.file("password"))
        if earlier is not None and earlier["set"] == former:
            former = unpacked(earlier["password"])  # an interrupted run: what it kept is the true former one
        password = secrets.token_urlsafe(24)
        made = hash_of(password, iterations_of(former))
        _save(order.file("password"), {"password": packed(former), "set": made})
        row.set(made)
    values = order.values
    authority = Path(values["authority"]) if values["authority"] else None
    door = WebDoor(values["url"], values["login_field"], values["password_field"], values["accepted"], authority)
    if not door.lets_in(order.login, password.encode()):
        raise Trouble("refused")
    now = datetime.now(UTC).isoformat()
    _save(order.file("canary"), {"password": password, "accepted_at": now})
    return now


def uncanary(order: Order) -> None:
    """Puts back the former hash, unless somebody has set another password since."""
    kept = _load(order.file("password"))
    if kept is not None:
        with row_of(order, "password_column") as row:
            if row.value == kept["set"]:
                row.set(unpacked(kept["password"]))
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


def main(arguments: list[str]) -> int:
    """Carries out one verb."""
    verbs = {"read": read, "canary": canary, "uncanary": uncanary, "disable": disable, "enable": enable}
    try:
        return verbs[arguments[0]](Order(arguments[1])) or 0
    except Trouble as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.strerror}: {error.filename}", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
