"""Runs commands on another machine over SSH with the promises of `ops.run`; an unknown host key is never accepted.

Fabric, in a strict subclass: our own known_hosts file and nothing else decides whom we talk to, one key, no agent, no
`~/.ssh`, no ssh_config; a gateway is as strict as its target. argv stays a tuple up to this edge and is joined once,
by `shlex.join`. The time limit is kept on the far side as well (`timeout -k 5 N`), for closing a channel ends nothing.

What the far side must have: a POSIX shell, coreutils. Exit codes there are a shell's: 128 + n for signal n.
"""

from __future__ import annotations

import contextlib
import errno
import re
import select
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from secrets import token_hex
from types import TracebackType
from typing import Any

from ops.errors import UsageError
from ops.model import Host, say
from ops.run import CAP, TIMED_OUT, Command, OnLine, Result, _Stream
from ops.secrets import Secret
from ops.ssh import LOGIN_SECONDS, chain, lost, silent, words

KEEPALIVE_SECONDS = 15
GRACE_SECONDS = 15.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CHUNK = 1 << 16


def remote(host: Host, secret: Callable[[str], Secret], hosts: Mapping[str, Host]) -> Remote:
    """A runner for `host`; connects on first use. `hosts`: where its gateway is looked up, by name."""
    return Remote(host, secret, hosts)


class Remote:
    """`Runner` over SSH. Several threads may run commands at once over the one connection."""

    def __init__(self, host: Host, secret: Callable[[str], Secret], hosts: Mapping[str, Host]) -> None:
        self.host = host
        self._secret = secret
        self._hosts = hosts
        self._lock = threading.Lock()
        self._connections: list[Any] = []

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and those of its gateways, nearest last."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            with contextlib.suppress(Exception):
                connection.close()

    def run(self, command: Command, on_line: OnLine | None = None) -> Result:
        """Runs a command there. Raises CannotSee when the machine is not reached, not trusted, or lost midway."""
        token = token_hex(8)
        line, stdin = command_line(command, token)
        started = time.monotonic()
        with words(self.host):
            channel = self._transport().open_session(timeout=LOGIN_SECONDS)
        with contextlib.closing(channel), words(self.host):
            channel.exec_command(line)
            return _Exchange(channel, command, token, on_line, self.host).result(stdin, started)

    def read(self, path: str, cap: int = CAP) -> bytes:
        """A file's bytes there, at most `cap`, by SFTP, or by `head` where the server has no SFTP."""
        import paramiko

        with words(self.host):
            transport = self._transport()
            try:
                client = paramiko.SFTPClient.from_transport(transport)
            except paramiko.SSHException:
                client = None
        if client is None:
            return self._read_plainly(path, cap)
        with contextlib.closing(client):
            client.get_channel().settimeout(30.0)
            try:
                with client.open(path, "rb") as stream:
                    size = min(stream.stat().st_size or 0, cap)
                    if size > 1 << 20:
                        stream.prefetch(size)
                    return bytes(stream.read(cap))
            except TimeoutError:
                raise silent(self.host) from None
            except (paramiko.SSHException, EOFError) as error:
                raise lost(self.host, error) from None

    def _read_plainly(self, path: str, cap: int) -> bytes:
        found = self.run(Command(("head", "-c", str(cap), "--", path), cap=cap))
        if found.code == 0:
            return found.stdout
        number = errno.ENOENT if b"No such file" in found.stderr else errno.EACCES
        raise OSError(number, found.trouble, path)

    def _transport(self) -> Any:
        with self._lock:
            if self._connections:
                transport = self._connections[0].transport
                if transport is not None and transport.is_active():
                    return transport
            for connection in self._connections:
                with contextlib.suppress(Exception):
                    connection.close()
            self._connections = chain(self.host, self._secret, self._hosts)
            try:
                for connection in reversed(self._connections):
                    with words(_host_of(connection, self.host)):
                        connection.open()
                    connection.transport.set_keepalive(KEEPALIVE_SECONDS)
            except BaseException:
                for connection in self._connections:
                    with contextlib.suppress(Exception):
                        connection.close()
                self._connections = []
                raise
            return self._connections[0].transport


def _host_of(connection: Any, fallback: Host) -> Host:
    return getattr(connection, "gaccong_host", fallback)


# --- one command -----------------------------------------------------------------------------------------------------


def command_line(command: Command, token: str) -> tuple[str, bytes]:
    """The line for the far shell, and the bytes for its standard input. Pure; the one place where argv is joined.

    token: marks the line on standard error by which the feeding command's exit code comes back.
    Raises UsageError for what cannot be done over there: two secrets, or a secret beside other standard input.
    """
    if len(command.secrets) > 1 or (command.secrets and command.stdin):
        raise UsageError(
            say(
                "qua SSH mỗi lệnh chỉ nhận một bí mật, và không kèm dữ liệu stdin",
                "over SSH a command takes one secret at most, and no stdin data beside it",
            ),
        )
    argv = ["env", "-i", f"PATH={_PATH}", "LC_ALL=C.UTF-8", "TZ=UTC"]
    if command.cwd is not None:
        argv.insert(2, f"--chdir={command.cwd}")
    for name, value in command.env.items():
        if not _NAME.fullmatch(name):
            raise UsageError(say("tên biến {n} không hợp lệ", "variable name {n} is not valid", n=repr(name)))
        argv.append(f"{name}={value}")
    argv += [f"{name}=/dev/fd/9" for name in command.secrets]
    small = shlex.join(argv) + ' HOME="$HOME" '
    main = small + _target(command.argv)
    if command.feed:
        main = _PIPELINE.format(feed=small + _target(command.feed), main=main, token=token)
    limited = f"timeout -k 5 {command.timeout:.3f} sh -c {shlex.quote(main)}"
    if command.secrets:
        # A pipe of cat's own, because sshd may hand over a socket, which /dev/fd/9 cannot open again.
        limited = f"cat | {{ exec 9<&0 </dev/null; {limited}; }}"
        return f"sh -c {shlex.quote(limited)}", next(iter(command.secrets.values())).reveal()
    return limited, command.stdin


def _target(argv: tuple[str, ...]) -> str:
    """argv for env(1), which would read a program name with `=` as a variable."""
    return ("sh -c 'exec \"$@\"' sh " if "=" in argv[0] else "") + shlex.join(argv)


# $( ) takes both exit codes while the output goes past it over 3; the main one leaves as the shell's own.
_PIPELINE = (
    "exec 3>&1; codes=$( {{ {{ {feed} 3>&- 4>&- </dev/null 2>/dev/null; echo $? >&4; }} |"
    ' {{ {main} >&3 3>&- 4>&-; echo "m$?" >&4; }}; }} 4>&1 );'
    ' main=${{codes##*m}}; main=${{main%%[!0-9]*}}; feed=$(printf "%s\\n" "$codes" | grep -v m);'
    ' printf "\\n%s %s\\n" {token} "${{feed:-none}}" >&2; exit "${{main:-125}}"'
)


class _Exchange:
    """The bytes of one command over one channel: bounded, timed, never deadlocked."""

    def __init__(self, channel: Any, command: Command, token: str, on_line: OnLine | None, host: Host) -> None:
        self.channel = channel
        self.command = command
        self.token = token.encode()
        self.host = host
        self.out = _Stream(command.cap, on_line, command.sink)
        self.err = _Stream(command.cap, None)
        self.tail = b""

    def result(self, stdin: bytes, started: float) -> Result:
        """Pumps until the far side is done or the limit has passed."""
        deadline = time.monotonic() + self.command.timeout + GRACE_SECONDS
        self.channel.settimeout(0.2)
        left = memoryview(stdin)
        sending = True
        ended = False
        while not ended and time.monotonic() < deadline:
            if sending:
                left, sending = self._send(left)
            ended = self.channel.exit_status_ready() and self.channel.eof_received
            if not self._drain() and not ended:
                select.select([self.channel], [], [], 0.01 if sending else 0.2)
                ended = self.channel.closed
        while self._drain():
            pass
        return self._judge(ended, time.monotonic() - started)

    def _send(self, left: memoryview) -> tuple[memoryview, bool]:
        try:
            while left and self.channel.send_ready():
                left = left[self.channel.send(bytes(left[:_CHUNK])) :]
            if left:
                return left, True
            self.channel.shutdown_write()
        except OSError:
            return left, False  # the far side no longer reads; its exit code will say what that means
        return left, False

    def _drain(self) -> bool:
        got = False
        if self.channel.recv_ready():
            self.out.take(self.channel.recv(_CHUNK))
            got = True
        if self.channel.recv_stderr_ready():
            chunk = self.channel.recv_stderr(_CHUNK)
            self.tail = (self.tail + chunk)[-200:]
            self.err.take(chunk)
            got = True
        return got

    def _judge(self, ended: bool, seconds: float) -> Result:
        code = self.channel.recv_exit_status() if ended and self.channel.exit_status_ready() else -1
        past = seconds >= self.command.timeout
        if (not ended) or (past and code in (124, 137)):
            code = TIMED_OUT
        elif code < 0:
            raise lost(self.host, "exit status")
        feed_code, stderr = self._feed_code(code)
        return Result(code, bytes(self.out.data), stderr, seconds, feed_code, self.out.cut or self.err.cut)

    def _feed_code(self, code: int) -> tuple[int, bytes]:
        if not self.command.feed:
            return 0, bytes(self.err.data)
        stderr, mark, _ = bytes(self.err.data).rpartition(b"\n" + self.token + b" ")
        said = self.tail.rpartition(self.token + b" ")[2].strip() if self.token in self.tail else b""
        kept = stderr if mark else bytes(self.err.data)
        if said.isdigit():
            return int(said), kept
        return (TIMED_OUT if code == TIMED_OUT else -1), kept


__all__ = ["Remote", "command_line", "remote"]
