"""Secrets are references in every file, plan and log; the value exists only for the moment of its use.

    file:PATH                   a file that nobody else may read (0600 or stricter)
    command:ARGV                standard output of a command (split like a shell would, run without one)
    systemd-credential:NAME     $CREDENTIALS_DIRECTORY/NAME (systemd.exec(5), LoadCredential=)
    env:NAME                    an environment variable, for containers

A trailing newline is cut, as the tools do that write such files.

Two kinds are made by code and are refused in a configuration: `url-login:REFERENCE URL` is the URL with the secret, a
`name:password`, put in; `aws-login:REFERENCE` is the same pair as a shared credentials file of AWS.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from pathlib import Path

from ops.errors import SecretError
from ops.model import say

KINDS = ("file", "command", "systemd-credential", "env")
_COMPOSED = ("url-login", "aws-login")
_COMMAND_SECONDS = 30


class Secret:
    """Bytes that do not print: `str`, `repr`, f-strings and tracebacks show `***`."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes. Call it at the edge, never keep the result."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not to be serialised")


def kind_of(reference: str) -> str:
    """The kind of a reference; raises SecretError when it is none (a value pasted in place of a reference)."""
    kind, colon, rest = reference.partition(":")
    if kind not in KINDS or not colon or not rest:
        raise SecretError(
            say(
                "đây không phải tham chiếu bí mật (giá trị không được in ra)",
                "this is not a secret reference (the value is not printed)",
            ),
            say("viết một trong: {kinds}", "write one of: {kinds}", kinds=", ".join(f"{k}:…" for k in KINDS)),
        )
    return kind


def resolve(reference: str, base: Path) -> Secret:
    """The secret behind `reference`; a relative `file:` is taken from `base`. Raises SecretError."""
    if reference.partition(":")[0] in _COMPOSED:
        return _composed(reference, base)
    kind = kind_of(reference)
    rest = reference.partition(":")[2]
    if kind == "file":
        return _from_file(base / Path(rest).expanduser(), reference)
    if kind == "systemd-credential":
        folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
        if not folder or "/" in rest:
            raise _unreadable(reference, "CREDENTIALS_DIRECTORY")
        return _from_file(Path(folder) / rest, reference)
    if kind == "env":
        if rest not in os.environ:
            raise _unreadable(reference, "env")
        return _checked(os.environb[os.fsencode(rest)], reference)
    return _from_command(rest, reference)


def url_login(reference: str, url: str) -> str:
    """The reference of a `rest:https://host/path` URL with the name and password behind `reference` put in."""
    return f"url-login:{reference} {url}"


def aws_login(reference: str) -> str:
    """The reference of an AWS shared credentials file made of the `key:secret` behind `reference`."""
    return f"aws-login:{reference}"


def _composed(reference: str, base: Path) -> Secret:
    from urllib.parse import quote

    kind, _, rest = reference.partition(":")
    inner, _, url = rest.partition(" ") if kind == "url-login" else (rest, "", "")
    name, colon, password = resolve(inner, base).reveal().partition(b":")
    if not (name and colon and password) or b"\n" in password:
        raise _unreadable(inner, "not name:password")
    if kind == "aws-login":
        return Secret(b"[default]\naws_access_key_id = " + name + b"\naws_secret_access_key = " + password + b"\n")
    head, _, tail = url.partition("://")
    return Secret(f"{head}://{quote(name, safe='')}:{quote(password, safe='')}@{tail}".encode())


def _from_file(path: Path, reference: str) -> Secret:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(reference, error.strerror or str(error)) from None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            raise SecretError(
                say(
                    "tệp bí mật {path} có quyền {mode:o}: người khác đọc được".replace("{mode:o}", f"{mode:04o}"),
                    "secret file {path} has mode {mode:o}: others can read it".replace("{mode:o}", f"{mode:04o}"),
                    path=path,
                ),
                say("chmod 600 {path}", "chmod 600 {path}", path=path),
            )
        if status.st_uid not in (0, os.geteuid()):
            raise SecretError(
                say("tệp bí mật {path} thuộc người dùng khác", "secret file {path} belongs to another user", path=path),
                say("chown cho tài khoản chạy gaccong", "chown it to the account that runs gaccong"),
            )
        return _checked(stream.read(1 << 20), reference)


def _from_command(line: str, reference: str) -> Secret:
    try:
        done = subprocess.run(
            shlex.split(line),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=False,
            # a small environment: the command of one secret has no business with another's variable
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _unreadable(reference, type(error).__name__) from None
    if done.returncode != 0:
        raise _unreadable(reference, f"exit {done.returncode}")
    return _checked(done.stdout, reference)


def _checked(value: bytes, reference: str) -> Secret:
    value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value:
        raise _unreadable(reference, "empty")
    return Secret(value)


def _unreadable(reference: str, why: str) -> SecretError:
    return SecretError(
        say(
            "không đọc được bí mật {reference}: {why}",
            "cannot read secret {reference}: {why}",
            reference=reference,
            why=why,
        ),
        say(
            "kiểm tra tham chiếu trong cấu hình. Tệp đã mất: chép lại từ nơi cất (phong bì); đừng tạo mật khẩu kho mới, nó không mở "
            "được kho cũ",
            "check the reference in the configuration. If its file is lost: bring it back from where it is kept safe; do not make"
            " a new password for a repository, it does not open the old one",
        ),
    )
