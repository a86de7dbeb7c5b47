"""Accounts of a Linux machine: passwd, shadow, group, sudoers, authorized_keys; here, below a folder, or over SSH.

An account is open while it is not expired and a usable key or (with a login shell) a usable password is there, or while
its processes live. A `nologin` shell alone shuts nothing: sftp and port forwarding go on with a key. Reading and
stripping is done by `_linux_hand`, which keeps password hashes on the machine; root is needed for shadow.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from accounts.model import Account, Trial, plain
from accounts.systems._linux_hand import UNKNOWN
from ops import CannotSee, Command, Context, FileWrite, Place, PlanRefused, Step, Strict, Verdict, fault, python, say

HAND = "accounts.systems._linux_hand"
NOLOGIN = "/usr/sbin/nologin"
_NO_SHELL = ("nologin", "false")
_NOBODY = 65534
_FAR_KEEP = "/var/lib/gaccong/accounts"
_SPEC = re.compile(r"^(?P<who>(?:\"[^\"]*\"|\\.|[^\s,\"\\])+(?:\s*,\s*(?:\"[^\"]*\"|\\.|[^\s,\"\\])+)*)\s+[^=]+=(?P<what>.*)$")
_NO_RULE = ("Defaults", "Cmnd_Alias", "Host_Alias", "Runas_Alias", "User_Alias", "Cmd_Alias", "@", "#include")


class Settings(Strict):
    """root: folder that holds etc/ and the homes ("/" for the machine itself). keys: where sshd looks, as in
    sshd_config. ssh_*: the door at which keys are tried; control_*: an account whose public key must be taken there."""

    kind: Literal["linux"]
    host: str = "here"
    root: Place = Path("/")
    keys: tuple[str, ...] = ("%h/.ssh/authorized_keys", "%h/.ssh/authorized_keys2")
    admin_groups: tuple[str, ...] = ("sudo", "wheel", "admin")
    ssh_host: str = ""
    ssh_port: Annotated[int, Field(ge=1, le=65535)] = 22
    known_hosts: Place | None = None
    control_login: str = ""
    control_key: Place | None = None

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        if bool(self.control_login) != bool(self.control_key):
            raise fault("control_login và control_key phải đi cùng nhau", "control_login and control_key go together")
        if self.ssh_host and self.known_hosts is None:
            raise fault("có ssh_host thì phải có known_hosts", "ssh_host needs known_hosts")
        return self


class Adapter:
    """One Linux machine, or one folder laid out like one."""

    def __init__(self, name: str, settings: Settings, ctx: Context) -> None:
        self.name = name
        self.settings = settings
        self.ctx = ctx
        self._read: dict[str, Any] | None = None

    @property
    def source(self) -> str:
        """Where the accounts are read."""
        root = str(self.settings.root)
        return root if self.settings.host == "here" else f"{self.settings.host}:{root}"

    def accounts(self) -> list[Account]:
        """People's accounts, and service accounts (uid below 1000) where a door stands open."""
        admins, rights = self._rights()
        found = []
        for raw in self._raw()["accounts"]:
            enabled = is_open(raw)
            if enabled or raw["uid"] == 0 or 1000 <= raw["uid"] != _NOBODY:
                login = raw["login"]
                last = datetime.fromtimestamp(raw["last"], UTC) if raw["last"] else None
                found.append(Account(
                    self.name, login, raw["name"], enabled, login in admins, tuple(sorted(rights.get(login, ()))), last,
                    self.source, tuple(dict.fromkeys(key["print"] for key in _own_keys(raw))),
                    tuple(dict.fromkeys(key["print"] for key in raw["keys"] if key["print"])),
                    tuple(dict.fromkeys(plain(key["path"]) for key in raw["keys"] if not key["print"])),
                ))
        return found

    def own(self, account: Account) -> bool:
        """True for the account under which gaccong works on that machine."""
        if self.settings.host != "here":
            return account.login == self.ctx.hosts[self.settings.host].user
        if str(self.settings.root) != "/":
            return False
        import os
        import pwd

        return account.login == pwd.getpwuid(os.geteuid()).pw_name

    def revoke(self, targets: Sequence[Account]) -> list[Step]:
        """Locks and expires, ends sessions, takes the keys out of every account's file. Deletes nothing."""
        mine = {account.login for account in targets}
        raws = [raw for raw in self._raw()["accounts"] if raw["login"] in mine]
        steps: list[Step] = []
        prints = {found for account in targets for found in (*account.keys, *self.traces(account))}
        for raw in raws:
            steps += [*self._remember(raw), *self._shut(raw), *self._end(raw)]
        for raw in sorted(self._raw()["accounts"], key=lambda raw: raw["login"] not in mine):
            steps += self._strip(raw, prints, own=raw["login"] in mine)
        return steps

    def traces(self, account: Account) -> tuple[str, ...]:
        """Fingerprints of the keys that were taken from this account before."""
        return tuple(self._remembered(account.login))

    def refused(self, account: Account) -> Trial:
        """Asks sshd whether it would still take the account's former keys; without a door, reads back the lock."""
        raw = next(raw for raw in self._raw()["accounts"] if raw["login"] == account.login)
        remembered = self._remembered(account.login)
        if self.settings.ssh_host and remembered:
            return self._query(account, list(remembered.values()))
        shut = not account.enabled and raw["expired"] and not raw["password"] and not raw["keys"]
        facts = {"how": "readback", "expired": raw["expired"], "locked": not raw["password"], "keys": len(raw["keys"])}
        if shut:
            text = say("{a}: đọc lại thấy đã khóa, đã hết hạn, không còn khóa SSH (không thử đăng nhập)",
                       "{a}: read back as locked, expired, without keys (no login was tried)", a=account.words)
            return Trial(Verdict.MET, "readback", text, facts)
        if facts["expired"] and facts["locked"] and not account.enabled and all("unread" in key for key in raw["keys"]):
            text = say("{a}: đã khóa, đã hết hạn, nhưng không đọc được khóa SSH ở {p}",
                       "{a}: locked and expired, but the SSH keys in {p} cannot be read", a=account.words,
                       p=", ".join(account.unproved))
            return Trial(Verdict.UNSEEN, "readback", text, facts)
        text = say("{a}: đọc lại thấy chưa khóa hết", "{a}: read back as not wholly shut", a=account.words)
        return Trial(Verdict.BROKEN, "readback", text, facts)

    def _query(self, account: Account, publics: list[str]) -> Trial:
        from accounts.key_query import try_keys

        settings = self.settings
        if not settings.control_login or settings.control_key is None or settings.known_hosts is None:
            text = say("{a}: chưa có tài khoản đối chứng (control_login, control_key)",
                       "{a}: there is no control account (control_login, control_key)", a=account.words)
            return Trial(Verdict.UNSEEN, "", text, {"how": "none"})
        try:
            control = settings.control_key.read_text()
        except OSError as error:
            raise CannotSee(say("không đọc được {f}: {e}", "cannot read {f}: {e}", f=settings.control_key,
                                e=error.strerror or error)) from None
        return try_keys(settings.ssh_host, settings.ssh_port, settings.known_hosts, account, publics,
                        settings.control_login, control)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _hand(self, *arguments: str) -> tuple[str, ...]:
        if self.settings.host == "here":
            return python(HAND, *arguments)
        source = Path(__file__).with_name("_linux_hand.py").read_text()
        return ("python3", "-I", "-c", source, *arguments)

    def _raw(self) -> dict[str, Any]:
        if self._read is None:
            day = (self.ctx.now.date() - date(1970, 1, 1)).days
            argv = self._hand("collect", str(self.settings.root), json.dumps(self.settings.keys), str(day))
            result = self.ctx.ask(self.settings.host).run(Command(argv, timeout=60))
            if not result.ok:
                raise CannotSee(
                    say("không đọc được tài khoản của {s} ({w}): {e}", "cannot read the accounts of {s} ({w}): {e}",
                        s=self.name, w=self.source, e=plain(result.trouble)),
                    say("cần quyền root và các tệp etc/passwd, etc/shadow, etc/group",
                        "root and the files etc/passwd, etc/shadow, etc/group are needed"),
                )
            self._read = json.loads(result.stdout)
        return self._read

    def _rights(self) -> tuple[set[str], dict[str, set[str]]]:
        """(logins that can become root, login -> rights)."""
        raw = self._raw()
        rights: dict[str, set[str]] = {}
        members: dict[str, set[str]] = {}
        for group, gid, names in raw["groups"]:
            members[group] = {name for name in names if name}
            members[group] |= {account["login"] for account in raw["accounts"] if account["gid"] == gid}
            for login in members[group]:
                rights.setdefault(login, set()).add(f"group:{group}")
        admins = {account["login"] for account in raw["accounts"] if account["uid"] == 0}
        for group in self.settings.admin_groups:
            admins |= members.get(group, set())
        for path, text in raw["sudoers"]:
            for who, everything in sudo_rules(text):
                logins = _logins_of(who, members, raw["accounts"])
                admins |= logins if everything else set()
                for login in logins:
                    rights.setdefault(login, set()).add(f"sudo:{path}")
        return admins, rights

    # --- shutting ----------------------------------------------------------------------------------------------------

    def _kept(self, login: str, what: str) -> Path:
        seal = hashlib.sha256(f"{self.name}\0{login}".encode("utf-8", "surrogateescape")).hexdigest()[:20]
        return self.ctx.home / f"accounts.{self.name}.{seal}.{what}"

    def _remembered(self, login: str) -> dict[str, str]:
        try:
            return dict(json.loads(self._kept(login, "keys").read_bytes()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CannotSee(say("không đọc được {f}: {e}", "cannot read {f}: {e}", f=self._kept(login, "keys"),
                                e=error)) from None

    def _remember(self, raw: dict[str, Any]) -> Iterator[Step]:
        known = self._remembered(raw["login"])
        now = {**known, **{key["print"]: key["public"] for key in _own_keys(raw)}}
        if now != known:
            why = say("Ghi nhớ khóa công khai của {l} để còn thử lại", "Remember the public keys of {l}, to try them later",
                      l=plain(raw["login"]))
            content = json.dumps(dict(sorted(now.items())), indent=1) + "\n"
            yield Step(why, file=FileWrite(str(self._kept(raw["login"], "keys")), content, 0o600))

    def _shut(self, raw: dict[str, Any]) -> Iterator[Step]:
        if raw["expired"] and not raw["password"] and not _has_shell(raw):
            return
        if not raw["shadow"]:
            raise PlanRefused(
                say("{l} không có trong etc/shadow của {s}: không đặt hạn được", "{l} is not in etc/shadow of {s}: it cannot"
                    " be given an end", l=plain(raw["login"]), s=self.name),
                say("chạy pwconv trên máy đó", "run pwconv on that machine"),
            )
        expire = "" if raw["expire"] is None else str(raw["expire"])
        undo = self._usermod(raw, *(() if raw["bang"] or raw["empty"] else ("--unlock",)),
                             "--expiredate", expire, "--shell", raw["shell"])
        yield Step(
            say("Khóa tài khoản {l} trên {s}: khóa mật khẩu, cho hết hạn, bỏ shell",
                "Shut account {l} on {s}: lock the password, expire it, take the shell", l=plain(raw["login"]), s=self.name),
            argv=self._usermod(raw, "--lock", "--expiredate", "1", "--shell", NOLOGIN),
            host=self.settings.host, timeout=60,
            undo=Step(say("Mở lại {l} như cũ", "Open {l} again as it was", l=plain(raw["login"])), argv=undo,
                      host=self.settings.host, timeout=60),
        )

    def _usermod(self, raw: dict[str, Any], *options: str) -> tuple[str, ...]:
        root = str(self.settings.root)
        return ("usermod", *(() if root == "/" else ("--prefix", root)), *options, "--", raw["login"])

    def _end(self, raw: dict[str, Any]) -> Iterator[Step]:
        if str(self.settings.root) != "/" or raw["uid"] == 0 or not is_open(raw):
            return
        yield Step(
            say("Kết thúc mọi phiên và tiến trình của {l}, lặp cho đến khi hết",
                "End every session and process of {l}, until none is left", l=plain(raw["login"])),
            argv=self._hand("end", raw["login"], str(raw["uid"])), host=self.settings.host, expect=(0, 4), keep=True,
            timeout=120,
        )

    def _strip(self, raw: dict[str, Any], prints: set[str], *, own: bool) -> Iterator[Step]:
        """Out of the leaver's own files, and out of others' as long as that leaves a way in: anybody can write
        anybody's public key into his own file, and must not shut others out, nor stop the plan, by doing so."""
        by_path: dict[str, set[str]] = {}
        for key in _own_keys(raw):
            by_path.setdefault(key["path"], set()).add(key["print"])
        if own:
            for key in raw["keys"]:
                if "unknown" in key and not key["linked"]:
                    by_path.setdefault(key["path"], set()).add(UNKNOWN)
            prints = prints | {UNKNOWN}
        if not own and not raw["password"] and not set().union(*by_path.values()) - prints:
            return
        for path, there in by_path.items():
            if there & prints:
                yield self._strip_one(raw, path, sorted(there & prints))

    def _strip_one(self, raw: dict[str, Any], path: str, prints: list[str]) -> Step:
        before = self._kept(f"{raw['login']}\0{path}", "before")
        keep = str(before) if self.settings.host == "here" else f"{_FAR_KEEP}/{before.name}"
        root, host = str(self.settings.root), self.settings.host
        # Exit 5 (a link in the path, no room, a mean folder) must not undo the lock: an expired account's key opens nothing.
        return Step(
            say("Lấy {n} khóa SSH ra khỏi {p} của {l}", "Take {n} SSH keys out of {p} of {l}", n=len(prints), p=plain(path),
                l=plain(raw["login"])),
            argv=self._hand("strip", root, path, keep, *prints), host=host, expect=(0, 5), keep=True, timeout=60,
            undo=Step(say("Trả lại {p} như cũ", "Put {p} back as it was", p=plain(path)),
                      argv=self._hand("restore", root, path, keep), host=host, expect=(0, 5), timeout=60),
        )


def _own_keys(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Understood keys in files that are the account's own, not reached over a link."""
    return [key for key in raw["keys"] if key["print"] and not key["linked"]]


def _has_shell(raw: dict[str, Any]) -> bool:
    return raw["shell"].rpartition("/")[2] not in _NO_SHELL


def is_open(raw: dict[str, Any]) -> bool:
    """Whether some door stands open with what the hand read of an account."""
    if raw["alive"] and 1000 <= raw["uid"] != _NOBODY:
        return True
    return not raw["expired"] and bool(raw["keys"] or (raw["password"] and _has_shell(raw)))


def sudo_rules(text: str) -> Iterator[tuple[list[str], bool]]:
    """(users, may do everything) of each rule of a sudoers text; aliases of users are unfolded."""
    aliases: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#(?!\d|include).*", "", line).strip()
        if line.startswith("User_Alias"):
            for part in line[len("User_Alias"):].split(":"):
                name, _, members = part.partition("=")
                aliases[name.strip()] = _names(members)
        if not line or line.startswith(_NO_RULE):
            continue
        found = _SPEC.match(line)
        if found:
            who = [user for name in _names(found["who"]) for user in aliases.get(name, [name])]
            commands = re.sub(r"\([^)]*\)|\b[A-Z]+:", " ", found["what"])
            yield who, "ALL" in re.split(r"[\s,:]+", commands)


def _names(text: str) -> list[str]:
    parts = re.findall(r'"([^"]*)"|((?:\\.|[^\s,"\\])+)', text)
    return [quoted or re.sub(r"\\(.)", r"\1", word) for quoted, word in parts]


def _logins_of(who: list[str], members: dict[str, set[str]], accounts: list[dict[str, Any]]) -> set[str]:
    found: set[str] = set()
    for name in who:
        if name == "ALL":
            found |= {account["login"] for account in accounts}
        elif name.startswith("%"):
            found |= members.get(name[1:], set())
        elif name.startswith("#"):
            found |= {account["login"] for account in accounts if str(account["uid"]) == name[1:]}
        else:
            found.add(name)
    return found
