"""Accounts in one table of a SQLite database: editors of a site that keeps its own logins.

The file is opened read-only and as its owner, in a process of its own (`_sql_file`). Names of table and columns must be the database's own, letter by letter; values are
bound. Shutting an account sets `enabled` to 0. Before that, where the site's login form is known (`try_url`), a random
one-time password (*canary*) is set and must be let in; afterwards the same one must be refused: so refusal is proved
without anybody knowing the person's password. The deeds themselves are in `_sql_hand`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from accounts.model import Account, Trial, plain
from accounts.systems import _sql_hand
from accounts.systems._sql_file import unpacked
from accounts.web_door import WebDoor
from ops import CannotSee, Command, Context, Place, Reference, Step, Strict, Verdict, Word, fault, nfc, python, say

HAND = "accounts.systems._sql_hand"
_IN_CLEAR = re.compile(r"http://(?!(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?([/?]|$))")
FRESH = timedelta(minutes=15)
"""How long a canary's own acceptance serves as the control, where no control account is configured."""


class Settings(Strict):
    """database, table and the names of its columns; role, last_use, password may be left out where there is none.

    try_url: the login form. login_field, password_field: its fields. accepted: text that only shows after a login.
    control_*: an account of gaccong's own that must be let in at the same moment.
    """

    kind: Literal["sql_table"]
    database: Place
    table: str
    login: str = "login"
    name: str = ""
    role: str = ""
    enabled: str = "enabled"
    password: str = ""
    last_use: str = ""
    hash: Literal["pbkdf2_sha256"] = "pbkdf2_sha256"
    admin_roles: tuple[Word, ...] = ("admin", "administrator")
    try_url: Annotated[str, Field(pattern=r"^(https?://[^\s]+)?$")] = ""
    authority: Place | None = None
    login_field: str = "login"
    password_field: str = "password"  # noqa: S105 - the name of a form field
    accepted: Word = ""
    control_login: str = ""
    control_password: Reference | None = None

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        if bool(self.control_login) != bool(self.control_password):
            raise fault("control_login và control_password phải đi cùng nhau",
                        "control_login and control_password go together")
        if _IN_CLEAR.match(self.try_url):
            raise fault("try_url phải là https: mật khẩu sẽ đi qua mạng mà không mã hóa",
                        "try_url must be https: passwords would cross the network in clear")
        if self.try_url and not self.password:
            raise fault("có try_url thì phải có password (cột mật khẩu)", "try_url needs password (the column)")
        return self


class Adapter:
    """One table of accounts."""

    def __init__(self, name: str, settings: Settings, ctx: Context) -> None:
        self.name = name
        self.settings = settings
        self.ctx = ctx

    def accounts(self) -> list[Account]:
        """Every row. Raises CannotSee when file, table or a column is not there."""
        settings = self.settings
        columns = [settings.login, settings.enabled, settings.name, settings.role, settings.last_use]
        order = json.dumps({"database": str(settings.database), "table": settings.table, "columns": columns})
        result = self.ctx.ask("here").run(Command(python(HAND, "read", order), timeout=30))
        if not result.ok:
            raise CannotSee(
                say("không đọc được tài khoản của {s}: {e}", "cannot read the accounts of {s}: {e}", s=self.name,
                    e=plain(result.trouble)),
                say("kiểm tra database, table và tên các cột", "check database, table and the names of the columns"),
            )
        return [self._account([unpacked(value) for value in row]) for row in json.loads(result.stdout)["rows"]]

    def _account(self, row: list[Any]) -> Account:
        login, enabled, name, role, last = row
        if not isinstance(login, str):
            raise CannotSee(say("{s}: có dòng mà tên đăng nhập không phải chữ", "{s}: a row's login is no text", s=self.name))
        role = nfc(str(role)) if role is not None else ""
        admin = role.casefold() in {word.casefold() for word in self.settings.admin_roles}
        return Account(self.name, login, nfc(str(name or "")), _sql_hand.is_on(enabled), admin,
                       (f"role:{plain(role)}",) if role else (), _moment(last),
                       f"{self.settings.database.name}:{self.settings.table}")

    def own(self, account: Account) -> bool:
        """True for the control account: it must stay open for proofs to be possible."""
        return bool(self.settings.control_login) and nfc(account.login) == nfc(self.settings.control_login)

    def traces(self, account: Account) -> tuple[str, ...]:
        """A table holds no keys."""
        return ()

    def revoke(self, targets: Sequence[Account]) -> list[Step]:
        """For each account that is on: the canary (where there is a login form), then off."""
        steps: list[Step] = []
        for account in targets:
            if account.enabled:
                steps += self._steps(account)
        return steps

    def _steps(self, account: Account) -> list[Step]:
        login = plain(account.login)
        steps = []
        if self.settings.try_url:
            # Exit 4, the door did not answer as it should, must not stop the shutting: then there is no proof, only that.
            steps.append(Step(
                say("Đặt mật khẩu dùng một lần cho {l} và thử vào {u}: phải vào được (đối chứng)",
                    "Set a one-time password for {l} and try it at {u}: it must be let in (control)",
                    l=login, u=self.settings.try_url),
                argv=self._deed("canary", account), expect=(0, 4), keep=True, timeout=120,
                undo=Step(say("Trả lại mật khẩu cũ của {l}", "Put back the former password of {l}", l=login),
                          argv=self._deed("uncanary", account), timeout=60),
            ))
        steps.append(Step(
            say("Khóa tài khoản {l} trong {t} của {s}", "Shut account {l} in {t} of {s}", l=login, t=self.settings.table,
                s=self.name),
            # 3, could not: what was shut elsewhere stays shut, and the proof tells that this one is still open
            argv=self._deed("disable", account), expect=(0, 3), keep=True, timeout=60,
            undo=Step(say("Mở lại {l} như cũ", "Open {l} again as it was", l=login),
                      argv=self._deed("enable", account), timeout=60),
        ))
        return steps

    def _deed(self, verb: str, account: Account) -> tuple[str, ...]:
        settings = self.settings
        order = {"database": str(settings.database), "table": settings.table, "login_column": settings.login,
                 "enabled_column": settings.enabled, "login": account.login, "keep": str(self._kept(account))}
        if verb in ("canary", "uncanary"):
            order["password_column"] = settings.password
        if verb == "canary":
            order |= {"url": settings.try_url, "login_field": settings.login_field,
                      "password_field": settings.password_field, "accepted": settings.accepted,
                      "authority": str(settings.authority or "")}
        return python(HAND, verb, json.dumps(order, ensure_ascii=False, sort_keys=True))

    def _kept(self, account: Account) -> Path:
        seal = hashlib.sha256(f"{self.name}\0{account.login}".encode("utf-8", "surrogatepass")).hexdigest()[:20]
        return self.ctx.home / f"accounts.{self.name}.{seal}"

    # --- the proof ---------------------------------------------------------------------------------------------------

    def refused(self, account: Account) -> Trial:
        """Tries the canary at the login form between two control logins; without a form, reads back `enabled`."""
        if not self.settings.try_url:
            return self._read_back(account)
        canary = _sql_hand.canary_of(self._kept(account))
        if canary is None:
            text = say("{a}: không có mật khẩu dùng một lần để thử ({vi})", "{a}: there is no one-time password to try ({en})",
                       a=account.words, vi="chưa khóa" if account.enabled else "bị khóa ngoài gaccong",
                       en="not shut yet" if account.enabled else "it was shut outside gaccong")
            return Trial(Verdict.UNSEEN, "", text, {"how": "none", "enabled": account.enabled})
        door = WebDoor(self.settings.try_url, self.settings.login_field, self.settings.password_field,
                       self.settings.accepted, self.settings.authority)
        password, accepted_at = canary
        before = self._control(door)
        let_in = door.lets_in(account.login, password)
        after = self._control(door)
        facts = {"how": "login", "door": self.settings.try_url, "accepted": let_in,
                 "control": "account" if before is not None else "canary", "canary_accepted_at": accepted_at.isoformat()}
        if let_in:
            text = say("{a}: trang VẪN cho đăng nhập", "{a}: the site STILL lets it in", a=account.words)
            return Trial(Verdict.BROKEN, "login", text, facts)
        if before is None:
            return self._without_control(account, accepted_at, facts)
        facts |= {"control_before": before, "control_after": bool(after)}
        if before and after:
            text = say("{a}: trang từ chối đăng nhập, trong khi tài khoản đối chứng vẫn vào được",
                       "{a}: the site refuses the login while the control account is let in", a=account.words)
            return Trial(Verdict.MET, "login", text, facts)
        text = say("{a}: tài khoản đối chứng cũng không vào được, nên không kết luận được",
                   "{a}: the control account is not let in either, so nothing is proved", a=account.words)
        return Trial(Verdict.UNSEEN, "login", text, facts)

    def _control(self, door: WebDoor) -> bool | None:
        if self.settings.control_password is None:
            return None
        return door.lets_in(self.settings.control_login, self.ctx.secret(self.settings.control_password).reveal())

    def _without_control(self, account: Account, accepted_at: datetime, facts: dict[str, Any]) -> Trial:
        """The canary was let in at this very door a moment ago: that is a control too, but not for long."""
        if abs(self.ctx.now - accepted_at) <= FRESH:
            text = say("{a}: trang từ chối chính mật khẩu mà ít phút trước đã cho vào",
                       "{a}: the site refuses the very password that it let in minutes ago", a=account.words)
            return Trial(Verdict.MET, "login", text, facts)
        text = say("{a}: bị từ chối, nhưng không có tài khoản đối chứng (control_login, control_password)",
                   "{a}: refused, but there is no control account (control_login, control_password)", a=account.words)
        return Trial(Verdict.UNSEEN, "login", text, facts)

    def _read_back(self, account: Account) -> Trial:
        facts = {"how": "readback", "enabled": account.enabled}
        if account.enabled:
            text = say("{a}: đọc lại thấy vẫn mở", "{a}: read back as still on", a=account.words)
            return Trial(Verdict.BROKEN, "readback", text, facts)
        text = say("{a}: đọc lại thấy đã khóa (không thử đăng nhập)", "{a}: read back as off (no login was tried)",
                   a=account.words)
        return Trial(Verdict.MET, "readback", text, facts)


def _moment(value: object) -> datetime | None:
    """A last login as seconds since 1970 or as ISO text (taken as UTC when it names no zone); else unknown."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
