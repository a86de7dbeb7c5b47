"""Starts OpenSSH for programs that bring their own protocol (`python -m backup.ssh --host JSON -- WORDS...`): restic's
SFTP, rsync. As strict as `ops.ssh`: our known_hosts file alone decides, one key, no agent, no ~/.ssh, no ssh_config.

The key comes by descriptor, in the variable that `key_variable` names. ssh closes every descriptor that it inherits; so
this process stays as its parent, and ssh opens the key as /proc/PID/fd/N.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ops import Host, PlanRefused, python, say


def key_variable(name: str) -> str:
    """The variable that holds the path of a host's key."""
    return "GACCONG_KEY_" + re.sub(r"\W", "_", name)


def chain(name: str, hosts: Mapping[str, Host]) -> list[Host]:
    """The host of this name and its gateways, target first. Raises PlanRefused: unknown, a circle, no key."""
    found: list[Host] = []
    while name:
        host = hosts.get(name)
        if host is None or host in found or not host.key or host.known_hosts is None:
            raise PlanRefused(
                say("máy {n} không dùng được: chưa khai báo đủ [host.{n}] (địa chỉ, key, known_hosts)",
                    "host {n} cannot be used: [host.{n}] is not whole (address, key, known_hosts)", n=name))
        found.append(host)
        name = host.gateway
    return found


def described(hosts: Iterable[Host]) -> str:
    """The chain as one JSON word for argv; no secret in it."""
    return json.dumps([{"name": host.name, "address": host.address, "port": host.port, "user": host.user,
                        "known_hosts": str(host.known_hosts)} for host in hosts], sort_keys=True)


def command(hosts: Iterable[Host], *words: str) -> tuple[str, ...]:
    """argv that runs `ssh ... WORDS`; the words may stand before or after the target (`-s sftp`, a remote command)."""
    return python("backup.ssh", "--host", described(hosts), "--", *words)


def secrets_of(hosts: Iterable[Host]) -> dict[str, str]:
    """The secrets that a step needs which runs `command`."""
    return {key_variable(host.name): host.key for host in hosts}


def argv_of(hosts: list[dict[str, Any]], words: list[str]) -> list[str]:
    """ssh's own argv. `--` keeps a word from being read as an option only where the caller put it."""
    host = hosts[0]
    key = os.environ.get(key_variable(host["name"]), "").replace("/dev/fd/", f"/proc/{os.getpid()}/fd/")
    options = {"BatchMode": "yes", "StrictHostKeyChecking": "yes", "UserKnownHostsFile": host["known_hosts"],
               "GlobalKnownHostsFile": "/dev/null", "IdentitiesOnly": "yes", "IdentityAgent": "none",
               "ConnectTimeout": "20", "ServerAliveInterval": "15", "ServerAliveCountMax": "4", "ForwardAgent": "no"}
    if hosts[1:]:
        inner = python("backup.ssh", "--host", json.dumps(hosts[1:]), "--", "-W", "[%h]:%p")
        options["ProxyCommand"] = " ".join("'" + word.replace("'", "'\\''") + "'" for word in inner)
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    before, after = (words, []) if words[:1] == ["-W"] else ([], words)
    return ["ssh", "-F", "none", *flags, "-i", key, "-p", str(host["port"]), "-l", host["user"], *before,
            host["address"], *after]


def main(arguments: list[str] | None = None) -> int:
    """Runs ssh and leaves with its exit code."""
    parser = argparse.ArgumentParser(prog="backup.ssh")
    parser.add_argument("--host", required=True)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    words = given.words[1:] if given.words[:1] == ["--"] else given.words
    return subprocess.call(argv_of(json.loads(given.host), words), close_fds=True)


if __name__ == "__main__":
    sys.exit(main())
