"""SSH connections that trust nobody unknown: Fabric made strict, and what goes wrong said in words.

Fabric as it comes accepts every host key, and its gateways do even when a subclass does not. Here a connection reads our
own known_hosts file and no other, has one key, and asks no agent, no `~/.ssh` and no ssh_config.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ops.errors import CannotSee, GaccongError
from ops.model import Host, say
from ops.secrets import Secret

CONNECT_SECONDS = 10
LOGIN_SECONDS = 20


def chain(host: Host, secret: Callable[[str], Secret], hosts: Mapping[str, Host]) -> list[Any]:
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


@contextlib.contextmanager
def words(host: Host) -> Iterator[None]:
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
        raise silent(host) from None
    except paramiko.SSHException as error:
        if "not found in known_hosts" in str(error):
            raise _unknown(host) from None
        raise lost(host, error) from None
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


def silent(host: Host) -> CannotSee:
    """CannotSee: no answer in time."""
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


def lost(host: Host, error: BaseException | str) -> CannotSee:
    """CannotSee: the connection broke off."""
    return CannotSee(
        say("mất kết nối với {h}: {e}", "lost the connection to {h}: {e}", h=host.name, e=error),
        say("thử lại; nếu còn, xem nhật ký sshd trên máy đó", "try again; if it stays, read sshd's log there"),
    )
