"""Asks an SSH server whether it would take a public key, without owning the private one (RFC 4252 section 7).

The client sends the public key without a signature; the server answers PK_OK or FAILURE. Nobody logs in. An answer
counts only between two control questions that were accepted: a server that refuses everybody proves nothing.
"""

from __future__ import annotations

import base64
import contextlib
import queue
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accounts.model import Account, Trial
from ops import CannotSee, Text, Verdict, say

SECONDS = 15
MOST_SECONDS = 60
_AT_ONCE = 4
_PK_OK, _FAILURE = 60, 51


def try_keys(
    host: str, port: int, known_hosts: Path, account: Account, publics: list[str], control_login: str, control: str
) -> Trial:
    """met: every key refused and the control accepted before and after. Raises CannotSee when it cannot be asked."""
    door = _Door(host, port, known_hosts)
    facts: dict[str, Any] = {"how": "key_query", "door": f"[{host}]:{port}", "keys": len(publics)}
    before = door.takes(control_login, [control])[0]
    taken: list[str] = []
    until = time.monotonic() + MOST_SECONDS
    for start in range(0, len(publics), _AT_ONCE):
        if time.monotonic() > until:
            raise CannotSee(say("{a}: quá nhiều khóa cũ ({n}), chưa thử hết", "{a}: too many former keys ({n}) to try them all",
                                a=account.words, n=len(publics)))
        some = publics[start : start + _AT_ONCE]
        taken += [public for public, yes in zip(some, door.takes(account.login, some), strict=True) if yes]
    after = door.takes(control_login, [control])[0]
    facts |= {"control_before": before, "control_after": after, "accepted": len(taken)}
    if taken:
        text = say("{a}: máy chủ SSH VẪN nhận {n} khóa cũ", "{a}: the SSH server STILL takes {n} former keys",
                   a=account.words, n=len(taken))
        return Trial(Verdict.BROKEN, "key_query", text, facts)
    if not (before and after):
        text = say("{a}: tài khoản đối chứng không được nhận, nên không kết luận được",
                   "{a}: the control account was not taken either, so nothing is proved", a=account.words)
        return Trial(Verdict.UNSEEN, "key_query", text, facts)
    text = say("{a}: máy chủ SSH từ chối cả {n} khóa cũ, trong khi nhận khóa đối chứng",
               "{a}: the SSH server refuses all {n} former keys while it takes the control key",
               a=account.words, n=len(publics))
    return Trial(Verdict.MET, "key_query", text, facts)


class _Door:
    """One sshd, known by its host key."""

    def __init__(self, host: str, port: int, known_hosts: Path) -> None:
        self.host, self.port, self.known_hosts = host, port, known_hosts

    def takes(self, login: str, publics: list[str]) -> list[bool]:
        """The server's answer to each public key ("type blob"), over one connection."""
        import paramiko

        try:
            with self._transport() as transport:
                asked = _questions(transport)
                return [asked(login, *public.split()[:2]) for public in publics]
        except (paramiko.SSHException, OSError, EOFError, ValueError, queue.Empty) as error:
            raise self._blind(say("{e}", "{e}", e=str(error) or type(error).__name__)) from None

    @contextlib.contextmanager
    def _transport(self) -> Iterator[Any]:
        import paramiko

        name = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
        try:
            keys = paramiko.HostKeys(str(self.known_hosts)).lookup(name)
        except paramiko.hostkeys.InvalidHostKey:
            raise self._blind(say("known_hosts hỏng", "known_hosts is damaged")) from None
        if not keys:
            raise self._blind(say("khóa máy chủ không có trong known_hosts", "the host key is not in known_hosts"))
        with socket.create_connection((self.host, self.port), SECONDS) as stream:
            transport = paramiko.Transport(stream)
            try:
                transport.banner_timeout = transport.handshake_timeout = SECONDS
                options = transport.get_security_options()
                options.key_types = [kind for kind in options.key_types
                                     if kind in keys or (kind.startswith("rsa-sha2") and "ssh-rsa" in keys)]
                transport.start_client(timeout=SECONDS)
                shown = transport.get_remote_server_key()
                if shown not in keys.values():
                    raise self._blind(say("khóa máy chủ KHÁC với known_hosts", "the host key DIFFERS from known_hosts"))
                yield transport
            finally:
                transport.close()

    def _blind(self, why: Text) -> CannotSee:
        return CannotSee(
            say("không hỏi được máy chủ SSH [{h}]:{p}: {vi}", "cannot ask the SSH server [{h}]:{p}: {en}",
                h=self.host, p=self.port, vi=why.vi, en=why.en),
            say("kiểm tra ssh_host, ssh_port và known_hosts; nếu vừa bị chặn thì đợi vài phút",
                "check ssh_host, ssh_port and known_hosts; if it has just been barred, wait some minutes"),
        )


def _questions(transport: Any) -> Any:
    """A function (login, kind, blob) -> bool over an open transport."""
    import paramiko
    from paramiko.auth_handler import AuthHandler
    from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST

    answers: queue.Queue[str] = queue.Queue()

    class Asking(AuthHandler):  # type: ignore[misc]
        """Hears the three answers that matter and signs nothing."""

        @property
        def _client_handler_table(self) -> dict[int, Any]:
            return {6: lambda message: answers.put("ready"), 53: lambda message: None,
                    _PK_OK: lambda message: answers.put("yes"), _FAILURE: lambda message: answers.put("no")}

    def send(*parts: Any) -> str:
        message = paramiko.Message()
        for part in parts:
            if isinstance(part, bool):
                message.add_boolean(part)
            elif isinstance(part, bytes) and len(part) == 1:
                message.add_byte(part)
            else:
                message.add_string(part)
        transport._send_message(message)
        return answers.get(timeout=SECONDS)

    transport.auth_handler = Asking(transport)
    send(cMSG_SERVICE_REQUEST, "ssh-userauth")

    def asked(login: str, kind: str, blob: str) -> bool:
        algorithm = "rsa-sha2-512" if kind == "ssh-rsa" else kind
        request = (cMSG_USERAUTH_REQUEST, login, "ssh-connection", "publickey", False, algorithm)
        return send(*request, base64.b64decode(blob)) == "yes"

    return asked
