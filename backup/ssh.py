"""Starts OpenSSH for programs that bring their own protocol (`python -m backup.ssh --host JSON -- WORDS...`): restic's
SFTP, rsync. As strict as `ops.ssh`: our known_hosts file alone decides, one key, no agent, no ~/.ssh, no ssh_config.

The key comes by descriptor, in the variable that `key_variable` names. ssh closes every descriptor that it inherits; so
this process stays as its parent, holds the key in a memory file of its own, and ssh opens it as /proc/PID/fd/N. (A copy,
because a secret comes without its last newline, and without that OpenSSH reads no key.) A gateway's ssh is started by
the first one and finds its key in the same process. When the program that started us is gone, ssh is ended too.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ops import Host, PlanRefused, Text, python, say

CONNECT_SECONDS = 20
FAILED = 255
"""ssh's own exit code for everything that goes wrong before the far side's program answers."""
_PARENT_MS = 2000
_PR_SET_PDEATHSIG = 1
_OPTIONS = {
    "BatchMode": "yes", "StrictHostKeyChecking": "yes", "GlobalKnownHostsFile": "/dev/null", "UpdateHostKeys": "no",
    "VerifyHostKeyDNS": "no", "CheckHostIP": "no", "IdentitiesOnly": "yes", "IdentityAgent": "none",
    "PreferredAuthentications": "publickey", "ConnectTimeout": str(CONNECT_SECONDS), "ConnectionAttempts": "1",
    "ServerAliveInterval": "15", "ServerAliveCountMax": "4", "TCPKeepAlive": "yes", "ForwardAgent": "no",
    "ForwardX11": "no", "ClearAllForwardings": "yes", "PermitLocalCommand": "no", "ControlMaster": "no",
    "ControlPath": "none", "RequestTTY": "no", "EscapeChar": "none",
}


def key_variable(name: str) -> str:
    """The variable that holds the path of a host's key. One for each name: `web-1` and `web_1` stay apart."""
    return "GACCONG_KEY_" + re.sub(r"[^0-9A-Za-z]", lambda sign: f"_{ord(sign.group()):x}_", name)


def chain(name: str, hosts: Mapping[str, Host]) -> list[Host]:
    """The host of this name and its gateways, target first. Raises PlanRefused: unknown, a circle, no key."""
    found: list[Host] = []
    while name:
        host = hosts.get(name)
        if host is None or host in found or not host.key or host.known_hosts is None:
            raise PlanRefused(
                say("máy {n} không dùng được: chưa khai báo đủ [host.{n}] (address, user, key, known_hosts)",
                    "host {n} cannot be used: [host.{n}] is not whole (address, user, key, known_hosts)", n=name),
                say("khai báo [host.{n}] trong tệp cấu hình chính; `gateway` không được vòng lại",
                    "write [host.{n}] into the main configuration; `gateway` must not lead back", n=name))
        found.append(host)
        name = host.gateway
    return found


def described(hosts: Iterable[Host]) -> str:
    """The chain as one JSON word for argv; no secret in it."""
    return json.dumps([{"name": host.name, "address": host.address, "port": host.port, "user": host.user,
                        "known_hosts": str(host.known_hosts)} for host in hosts], sort_keys=True)


def command(hosts: Iterable[Host], *words: str) -> tuple[str, ...]:
    """argv that runs `ssh ... WORDS`: `-s NAME` for a subsystem, else the words of a remote command line."""
    return python("backup.ssh", "--host", described(hosts), "--", *words)


def secrets_of(hosts: Iterable[Host]) -> dict[str, str]:
    """The secrets that a step needs which runs `command`."""
    return {key_variable(host.name): host.key for host in hosts}


def argv_of(hosts: list[dict[str, Any]], words: list[str], keys: Mapping[str, str]) -> list[str]:
    """ssh's own argv; `keys` gives the path of each host's key by the host's name."""
    host = hosts[0]
    options = {**_OPTIONS, "UserKnownHostsFile": _quoted(host["known_hosts"])}
    if hosts[1:]:
        inner = python("backup.ssh", "--host", json.dumps(hosts[1:]), "--", "-W", f"[{host['address']}]:{host['port']}")
        options["ProxyCommand"] = " ".join("'" + word.replace("'", "'\\''") + "'" for word in inner).replace("%", "%%")
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    before, after = (words[:2], words[2:]) if words[:1] == ["-W"] else (words[:1], words[1:]) \
        if words[:1] == ["-s"] else ([], words)
    # options stand before `--`: no word of the caller's command can become one
    return ["ssh", "-F", "none", *flags, "-i", keys[host["name"]], "-p", str(host["port"]), "-l", host["user"], *before,
            "--", host["address"], *after]


def _quoted(path: str) -> str:
    """A path as ssh's configuration must have it: spaces, and signs that it would expand."""
    if "${" in path or '"' in path or path.startswith("~"):
        raise ValueError(f"{path}: a path that ssh cannot be told")
    return '"' + path.replace("\\", "\\\\").replace("%", "%%") + '"'


def main(arguments: list[str] | None = None) -> int:
    """Runs ssh and leaves with its exit code; 255 also for a key that is absent or locked."""
    parser = argparse.ArgumentParser(prog="backup.ssh")
    parser.add_argument("--host", required=True)
    parser.add_argument("--rsh", action="store_true", help="the first word is a host name to be left out (rsync -e)")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    words = given.words[1:] if given.words[:1] == ["--"] else given.words
    hosts = json.loads(given.host)
    keys: dict[str, str] = {}
    held: list[int] = []
    for host in hosts:
        path = os.environ.get(key_variable(host["name"]), "")
        try:
            keys[host["name"]] = path if path.startswith("/proc/") else _hold(path, held)
        except (OSError, ValueError) as error:
            print(f"key of host {host['name']}: {error}", file=sys.stderr)
            return FAILED
    environment = {**os.environ, **{key_variable(name): path for name, path in keys.items()}}
    return _run(argv_of(hosts, words[1:] if given.rsh else words, keys), environment)


def _hold(path: str, held: list[int]) -> str:
    """Copies a key into a memory file of ours; gives its path for children. Raises OSError, ValueError."""
    with open(path, "rb") as stream:  # noqa: PTH123 - /dev/fd/N
        key = stream.read(1 << 20)
    if _locked(key):
        raise ValueError("the key has a passphrase; make one of gaccong's own: ssh-keygen -t ed25519 -N ''")
    descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
    held.append(descriptor)
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, key.rstrip(b"\n") + b"\n")
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _locked(key: bytes) -> bool:
    """True for a private key behind a passphrase. The OpenSSH form names its cipher first (PROTOCOL.key)."""
    if b"ENCRYPTED" in key:
        return True
    body = re.search(rb"BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", key, re.S)
    if body is None:
        return False
    with suppress(ValueError):
        return not base64.b64decode(body.group(1)).startswith(b"openssh-key-v1\0\0\0\0\4none")
    return False


def _run(argv: list[str], environment: Mapping[str, str]) -> int:
    try:
        child = subprocess.Popen(argv, env=environment, preexec_fn=end_with_parent)  # one thread only
    except FileNotFoundError:
        print("ssh is missing; apt-get install openssh-client", file=sys.stderr)
        return FAILED
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    parent, watched = os.getppid(), os.pidfd_open(child.pid)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    while not poll.poll(_PARENT_MS):
        if os.getppid() != parent:  # whoever wanted the connection is gone: nobody reads its end
            child.kill()
    code = child.wait()
    return code if code >= 0 else FAILED


def end_with_parent() -> None:
    """For `preexec_fn`: the child ends when this process does, however it does."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


_SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("changed", ("REMOTE HOST IDENTIFICATION HAS CHANGED",)),
    ("unknown", ("host key is known for", "Host key verification failed", "no hostkey alg")),
    ("locked", ("the key has a passphrase",)),
    ("key", ("key of host ", "error in libcrypto", "invalid format")),
    ("login", ("Permission denied (", "Too many authentication failures")),
    ("cut", ("client_loop: ", "Read from remote host ")),  # only of a connection that stood: before it would read as "away"
    ("silent", ("timed out", "not responding", "Connection closed by", "banner exchange")),
    ("away", ("Connection refused", "No route to host", "Network is unreachable", "Could not resolve hostname",
              "Connection reset")),
)
_SAYINGS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "changed": (("khóa máy chủ của {n} ĐÃ THAY ĐỔI so với known_hosts: có thể có người đứng giữa; đã từ chối kết nối",
                 "the host key of {n} HAS CHANGED against known_hosts: someone may stand in between; refused to connect"),
                ("hỏi người quản trị máy đó; chỉ sửa known_hosts khi chắc chắn máy đã cài lại",
                 "ask that machine's administrator; change known_hosts only when it was surely reinstalled")),
    "unknown": (("khóa máy chủ của {n} không có trong known_hosts: đã từ chối kết nối",
                 "the host key of {n} is not in known_hosts: refused to connect"),
                ("ssh-keyscan, đối chiếu vân tay tại máy đó, rồi ghi vào known_hosts",
                 "ssh-keyscan, compare the fingerprint at that machine, then write it to known_hosts")),
    "locked": (("khóa SSH của máy {n} có mật khẩu", "the SSH key for host {n} has a passphrase"),
               ("tạo khóa riêng cho gaccong: ssh-keygen -t ed25519 -N ''",
                "make a key of gaccong's own: ssh-keygen -t ed25519 -N ''")),
    "key": (("khóa SSH của máy {n} không đọc được", "the SSH key for host {n} cannot be read"),
            ("kiểm tra tham chiếu `key` của [host.{n}]", "check the reference `key` of [host.{n}]")),
    "login": (("máy {n} không nhận khóa của gaccong", "host {n} does not take gaccong's key"),
              ("thêm khóa công khai vào authorized_keys của tài khoản đó",
               "add the public key to that account's authorized_keys")),
    "cut": (("mất kết nối tới máy {n} giữa chừng", "the connection to host {n} was cut midway"),
            ("kiểm tra mạng giữa hai máy và nhật ký sshd tại đó, rồi chạy lại",
             "check the network in between and that machine's sshd log, then run again")),
    "silent": (("máy {n} không trả lời trong thời hạn", "host {n} did not answer in time"),
               ("kiểm tra mạng, tường lửa và sshd trên máy đó", "check network, firewall and sshd there")),
    "away": (("không kết nối được tới máy {n}", "host {n} cannot be reached"),
             ("kiểm tra địa chỉ, cổng, và sshd có chạy không", "check address, port, and whether sshd runs")),
}


def sign_of(said: str) -> str:
    """One word for what ssh said on standard error: changed, unknown, locked, key, login, cut, silent, away; else ""."""
    return next((word for word, signs in _SIGNS if any(sign in said for sign in signs)), "")


def explained(said: str, name: str, *, stood: bool = False) -> tuple[Text, Text] | None:
    """(what happened, mend) for what ssh said of host `name`; None when it said nothing that is known.

    stood: the far side had answered before. ssh says "Connection reset" of a connection that never was and of one in use.
    """
    word = sign_of(said)
    if stood and word == "away":
        word = "cut"
    if not word:
        return None
    what, mend = _SAYINGS[word]
    return say(*what, n=name), say(*mend, n=name)


if __name__ == "__main__":
    sys.exit(main())
