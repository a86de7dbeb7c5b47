"""Runs commands on another machine over SSH with the promises of `ops.run`; an unknown host key is never accepted.

Fabric, in a strict subclass: our own known_hosts file and nothing else decides whom we talk to, one key, no agent, no
`~/.ssh`, no ssh_config; a gateway is as strict as its target. argv stays a tuple up to this edge and is joined once,
by `shlex.join`. The time limit is kept on the far side as well (`timeout -k 5 N`), for closing a channel ends nothing.

What the far side must have: a POSIX shell, coreutils. Exit codes there are a shell's: 128 + n for signal n.
"""

from __future__ import annotations

import contextlib
import errno
import io
import re
import select
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from secrets import token_hex
from types import TracebackType
from typing import Any

from ops.errors import CannotSee, GaccongError, UsageError
from ops.model import Host, say
from ops.run import CAP, TIMED_OUT, Command, OnLine, Result, _Stream
from ops.secrets import Secret

CONNECT_SECONDS = 10
LOGIN_SECONDS = 20
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
        with _words(self.host):
            channel = self._transport().open_session(timeout=LOGIN_SECONDS)
        with contextlib.closing(channel), _words(self.host):
            channel.exec_command(line)
            return _Exchange(channel, command, token, on_line, self.host).result(stdin, started)

    def read(self, path: str, cap: int = CAP) -> bytes:
        """A file's bytes there, at most `cap`, by SFTP, or by `head` where the server has no SFTP."""
        import paramiko  # type: ignore[import-untyped]

        with _words(self.host):
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
                raise _silent(self.host) from None
            except (paramiko.SSHException, EOFError) as error:
                raise _lost(self.host, error) from None

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
            self._connections = _chain(self.host, self._secret, self._hosts)
            try:
                for connection in reversed(self._connections):
                    with _words(_host_of(connection, self.host)):
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


# --- the strict connection -------------------------------------------------------------------------------------------


def _chain(host: Host, secret: Callable[[str], Secret], hosts: Mapping[str, Host]) -> list[Any]:
    """Connections, not yet open: the target first, then its gateway, the gateway's gateway..."""
    names, wanted = [host.name], host.gateway
    ways = [host]
    while wanted:
        if wanted in names or wanted not in hosts:
            raise GaccongError(
                say(
                    "máy trung gian {g} của {h} không có hoặc vòng lại chính nó",
                    "gateway {g} of {h} does not exist or leads back to itself",
                    g=wanted,
                    h=host.name,
                ),
                say("sửa host.{h}.gateway", "mend host.{h}.gateway", h=host.name),
            )
        ways.append(hosts[wanted])
        names.append(wanted)
        wanted = hosts[wanted].gateway
    connections: list[Any] = []
    for way in reversed(ways):
        connections.insert(0, _connection(way, secret, connections[0] if connections else None))
    return connections


def _connection(host: Host, secret: Callable[[str], Secret], gateway: Any) -> Any:
    """One strict Fabric connection: RejectPolicy, our known_hosts, one key, no files of the user's."""
    import fabric
    import paramiko

    class Strict(fabric.Connection):  # type: ignore[misc]
        """Fabric as it comes trusts every host key; this does not, nor does a gateway that it makes by itself."""

        def get_gateway(self) -> None:
            return None

    config = fabric.Config(overrides={"load_ssh_configs": False, "run": {"in_stream": False, "hide": True}}, lazy=True)
    connection = Strict(
        host=host.address,
        port=host.port,
        user=host.user,
        config=config,
        gateway=gateway,
        connect_timeout=CONNECT_SECONDS,
        forward_agent=False,
        connect_kwargs={
            "pkey": _private_key(host, secret),
            "allow_agent": False,
            "look_for_keys": False,
            "banner_timeout": LOGIN_SECONDS,
            "auth_timeout": LOGIN_SECONDS,
            "channel_timeout": LOGIN_SECONDS,
        },
    )
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    _load_known_hosts(client, host)
    connection.client = client
    connection._set(gaccong_host=host)
    return connection


def _load_known_hosts(client: Any, host: Host) -> None:
    import paramiko

    mend = say(
        "ssh-keyscan -p {p} {a}, đối chiếu vân tay tại máy đó, rồi ghi vào known_hosts",
        "ssh-keyscan -p {p} {a}, compare the fingerprint at that machine, then write it to known_hosts",
        p=host.port,
        a=host.address,
    )
    if host.known_hosts is None:
        raise CannotSee(say("máy {h} chưa có tệp known_hosts", "host {h} has no known_hosts file", h=host.name), mend)
    try:
        client.load_system_host_keys(str(host.known_hosts))
        with host.known_hosts.open("rb"):
            return
    except OSError as error:
        what = say("không đọc được {f}: {e}", "cannot read {f}: {e}", f=host.known_hosts, e=error.strerror or error)
    except (paramiko.SSHException, paramiko.hostkeys.InvalidHostKey, ValueError):
        what = say(
            "{f}: có dòng không hiểu được (@cert-authority, @revoked và khóa hỏng không dùng ở đây)",
            "{f}: a line is not understood (@cert-authority, @revoked and damaged keys are not for this file)",
            f=host.known_hosts,
        )
    raise CannotSee(what, mend)


def _private_key(host: Host, secret: Callable[[str], Secret]) -> Any:
    """The host's one key, read from its secret; no disk, no agent."""
    import paramiko

    text = secret(host.key).reveal().decode("ascii", "replace") + "\n"
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException:
            break
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise GaccongError(
        say(
            "khóa SSH của máy {h} không đọc được (hỏng, loại lạ, hoặc có mật khẩu)",
            "the SSH key for host {h} cannot be read (damaged, of an unknown kind, or with a passphrase)",
            h=host.name,
        ),
        say(
            "tạo khóa riêng cho gaccong: ssh-keygen -t ed25519 -N ''",
            "make a key of gaccong's own: ssh-keygen -t ed25519 -N ''",
        ),
    )


# --- errors in words -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _words(host: Host) -> Iterator[None]:
    """Turns what paramiko and the network say into CannotSee with the mend."""
    import paramiko

    try:
        yield
    except GaccongError:
        raise
    except paramiko.BadHostKeyException:
        raise _changed(host) from None
    except paramiko.AuthenticationException:
        raise CannotSee(
            say(
                "máy {h} không nhận khóa của tài khoản {u}",
                "host {h} does not take the key of account {u}",
                h=host.name,
                u=host.user,
            ),
            say(
                "thêm khóa công khai vào ~{u}/.ssh/authorized_keys trên máy đó",
                "add the public key to ~{u}/.ssh/authorized_keys there",
                u=host.user,
            ),
        ) from None
    except TimeoutError:
        raise _silent(host) from None
    except paramiko.SSHException as error:
        if "not found in known_hosts" in str(error):
            raise _unknown(host) from None
        raise _lost(host, error) from None
    except (OSError, EOFError) as error:
        raise _unreachable(host, error) from None


def _unknown(host: Host) -> CannotSee:
    return CannotSee(
        say(
            "khóa máy chủ của {h} ({a}:{p}) không có trong {f}: đã từ chối kết nối",
            "the host key of {h} ({a}:{p}) is not in {f}: refused to connect",
            h=host.name,
            a=host.address,
            p=host.port,
            f=host.known_hosts,
        ),
        say(
            "ssh-keyscan -p {p} {a}, đối chiếu vân tay tại máy đó, rồi ghi vào tệp trên",
            "ssh-keyscan -p {p} {a}, compare the fingerprint at that machine, then write it to that file",
            p=host.port,
            a=host.address,
        ),
    )


def _changed(host: Host) -> CannotSee:
    return CannotSee(
        say(
            "khóa máy chủ của {h} ({a}:{p}) ĐÃ THAY ĐỔI so với {f}: có thể có người đứng giữa; đã từ chối kết nối",
            "the host key of {h} ({a}:{p}) HAS CHANGED against {f}: someone may stand in between; refused to connect",
            h=host.name,
            a=host.address,
            p=host.port,
            f=host.known_hosts,
        ),
        say(
            "hỏi người quản trị máy đó; chỉ sửa tệp khi chắc chắn máy đã cài lại",
            "ask that machine's administrator; change the file only when it was surely reinstalled",
        ),
    )


def _silent(host: Host) -> CannotSee:
    return CannotSee(
        say(
            "máy {h} ({a}:{p}) không trả lời trong thời hạn",
            "host {h} ({a}:{p}) did not answer in time",
            h=host.name,
            a=host.address,
            p=host.port,
        ),
        say("kiểm tra mạng, tường lửa và sshd trên máy đó", "check network, firewall and sshd there"),
    )


def _unreachable(host: Host, error: BaseException) -> CannotSee:
    return CannotSee(
        say(
            "không kết nối được tới {h} ({a}:{p}): {e}",
            "cannot connect to {h} ({a}:{p}): {e}",
            h=host.name,
            a=host.address,
            p=host.port,
            e=getattr(error, "strerror", None) or error,
        ),
        say("kiểm tra địa chỉ, cổng, và sshd có chạy không", "check address, port, and whether sshd runs"),
    )


def _lost(host: Host, error: BaseException | str) -> CannotSee:
    return CannotSee(
        say("mất kết nối với {h}: {e}", "lost the connection to {h}: {e}", h=host.name, e=error),
        say("thử lại; nếu còn, xem nhật ký sshd trên máy đó", "try again; if it stays, read sshd's log there"),
    )


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
        self.out = _Stream(command.cap, on_line)
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
            raise _lost(self.host, "exit status")
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
