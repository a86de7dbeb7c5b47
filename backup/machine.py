"""What a machine is made of, beyond its files: packages and where they come from, what is switched on, users, disks.

Asked of this machine by single commands, of another one by one small script over our ssh. Nothing secret is taken: of
users and groups only names and numbers, of package sources no login.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any

from backup.fetch import Kept
from backup.found import handed_on
from backup.ssh import explained
from ops import python

_SECONDS = 120
MOST = 1 << 20
"""Characters of one answer as it stands in the note."""
_MOST_SAID = 32 << 20
_CRON = ("/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly",
         "/var/spool/cron")
_FOLDERS = ("/etc/nginx", "/etc/apache2", "/etc/php", "/etc/mysql", "/etc/postgresql", "/etc/redis", "/etc/letsencrypt",
            "/etc/ssh", "/etc/fail2ban", "/etc/nftables.conf", "/etc/logrotate.d", "/etc/postfix", "/etc/netplan",
            "/etc/network", "/etc/systemd/network", "/usr/local/bin", "/usr/local/etc", "/opt", "/srv", "/var/www")
ITEMS: dict[str, tuple[str, ...]] = {
    "packages": ("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\t${binary:Package}\t${Version}\n"),
    "automatic": ("cat", "/var/lib/apt/extended_states"),
    "os": ("cat", "/etc/os-release"),
    "kernel": ("uname", "-srm"),
    "architectures": ("dpkg", "--print-architecture", ),
    "foreign": ("dpkg", "--print-foreign-architectures"),
    "sources": ("grep", "-rhsE", r"^(deb|deb-src|Types:|URIs:|Suites:|Components:|Signed-By:)", "/etc/apt/sources.list",
                "/etc/apt/sources.list.d"),
    "users": ("cat", "/etc/passwd"),
    "groups": ("cat", "/etc/group"),
    "enabled": ("find", "/etc/systemd/system", "-maxdepth", "2", "-type", "l", "-printf", "%P\t%l\n"),
    "crontabs": ("find", *_CRON, "-type", "f", "-printf", "%p\t%u\t%s\n"),
    "sudoers": ("find", "/etc/sudoers", "/etc/sudoers.d", "-type", "f", "-printf", "%p\n"),
    "listening": ("ss", "-Hlntup"),
    "disks": ("lsblk", "--json", "--output", "NAME,TYPE,SIZE,FSTYPE,LABEL,UUID,MOUNTPOINT"),
    "mounts": ("findmnt", "--json", "--real", "--output", "TARGET,SOURCE,FSTYPE"),
    "folders": ("find", *_FOLDERS, "-maxdepth", "0", "-printf", "%p\n"),
}
Said = Mapping[str, str]
"""What each item said; an item that said nothing is not there."""


def here() -> tuple[dict[str, str], dict[str, str]]:
    """(answers, item -> why there is none) of this machine."""
    said: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for name, argv in ITEMS.items():
        try:
            done = _asked(argv, _SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            unknown[name] = type(error).__name__
            continue
        if done.stdout or done.returncode == 0:  # find names what is there and complains of the rest
            said[name] = done.stdout
        else:
            unknown[name] = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:200]
    return said, unknown


def far(host: str) -> tuple[dict[str, str], dict[str, str]]:
    """The same of another machine, described as for `backup.ssh`. Raises OSError with what ssh said."""
    mark = token_hex(8)
    parts = [f"printf '\\n%s %s\\n' {mark} {name}; {shlex.join(argv)} 2>/dev/null </dev/null" for name, argv in ITEMS.items()]
    script = f"LC_ALL=C; export LC_ALL; PATH=$PATH:/usr/sbin:/sbin; {'; '.join(parts)}; printf '\\n%s end\\n' {mark}"
    done = _asked(python("backup.ssh", "--host", host, "--", f"timeout 300 sh -c {shlex.quote(script)}"), 400, handed_on())
    sections = re.split(rf"\n{mark} (\w+)\n", done.stdout)
    found = dict(zip(sections[1::2], sections[2::2], strict=False))
    if "end" not in found:
        name, error = str(json.loads(host)[0]["name"]), done.stderr.strip()
        told = explained(error, name)
        raise OSError(f"{told[0].vi} ({told[0].en})" if told else f"{name}: {error[-300:] or f'exit {done.returncode}'}")
    said = {name: body for name, body in found.items() if body.strip() and name in ITEMS}
    return said, {name: "no answer" for name in ITEMS if name not in said}


def _asked(argv: Sequence[str], seconds: float, fds: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
    """Runs a program of which no more than `_MOST_SAID` is held, whatever it says. Raises OSError, TimeoutExpired."""
    out, err = Kept(_MOST_SAID), Kept()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          pass_fds=fds) as process:
        readers = [threading.Thread(target=kept.read, args=(stream,), daemon=True)
                   for kept, stream in ((out, process.stdout), (err, process.stderr))]
        for reader in readers:
            reader.start()
        try:
            process.wait(seconds)
        finally:
            process.kill()
            for reader in readers:
                reader.join(5)
    return subprocess.CompletedProcess(argv, process.returncode, out.text, err.text)


def facts(said: Said) -> tuple[dict[str, Any], dict[str, str]]:
    """(what goes into the note, item -> why it does not): read, bounded, without secrets."""
    made: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, read in _READERS.items():
        if name not in said:
            continue
        try:
            value = read(said[name], said)
        except (ValueError, IndexError, KeyError, TypeError) as error:
            unknown[name] = f"cannot be read: {error}"[:200]
            continue
        if len(json.dumps(value)) > MOST:
            unknown[name] = "too long for a note"
            continue
        made |= value
    return made, unknown


def _packages(text: str, said: Said) -> dict[str, Any]:
    """Installed packages with versions; those on hold; those that a person asked for (the rest came along)."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]
    found = {name: version for state, name, version in rows if state[1:2] == "i"}
    blocks = said.get("automatic", "").split("\n\n")
    came = set()
    for block in blocks:
        keys = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if keys.get("Auto-Installed") == "1":
            came.add(keys.get("Package", ""))
    manual = sorted(name for name in found if name.partition(":")[0] not in came)
    return {"packages": found, "held": sorted(name for state, name, _ in rows if state.startswith("hi")),
            "manual": manual if "automatic" in said else []}


def _os(text: str, _: Said) -> dict[str, Any]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    body = {key: value.strip("'\"") for key, _, value in pairs}
    return {"os": {key: body[key] for key in ("PRETTY_NAME", "ID", "VERSION_ID", "VERSION_CODENAME") if key in body}}


def _sources(text: str, _: Said) -> dict[str, Any]:
    return {"sources": list(dict.fromkeys(re.sub(r"//[^/@\s]*@", "//***@", line) for line in text.splitlines()))}


def _users(text: str, _: Said) -> dict[str, Any]:
    rows = [line.split(":") for line in text.splitlines() if line.count(":") == 6]
    return {"users": [[row[0], int(row[2]), int(row[3]), row[5], row[6]] for row in rows]}


def _groups(text: str, _: Said) -> dict[str, Any]:
    rows = [line.split(":") for line in text.splitlines() if line.count(":") == 3]
    return {"groups": [[row[0], int(row[2]), [name for name in row[3].split(",") if name]] for row in rows]}


def _enabled(text: str, _: Said) -> dict[str, Any]:
    """Units that are switched on are links in NAME.wants or NAME.requires; so it reads without a running systemd."""
    links = [line.split("\t") for line in text.splitlines() if line.count("\t") == 1]
    on = sorted({path.rpartition("/")[2] for path, _ in links if re.search(r"\.(wants|requires)/", path)})
    return {"enabled": [name for name in on if not name.endswith(".timer")],
            "timers": [name for name in on if name.endswith(".timer")],
            "masked": sorted(path for path, target in links if target == "/dev/null")}


def _listening(text: str, _: Said) -> dict[str, Any]:
    """Protocol, address, program; process ids change with every start and say nothing."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5:
            names = sorted(set(re.findall(r'"([^"]+)"', line)))
            found.append([words[0], words[4], ",".join(names)])
    return {"listening": sorted(found)}


def _lines(name: str) -> Callable[[str, Said], dict[str, Any]]:
    return lambda text, _: {name: sorted(line for line in text.splitlines() if line)}


def _json(name: str, key: str) -> Callable[[str, Said], dict[str, Any]]:
    return lambda text, _: {name: json.loads(text)[key]}


_READERS: dict[str, Callable[[str, Said], dict[str, Any]]] = {
    "packages": _packages, "os": _os, "kernel": lambda text, _: {"kernel": text.strip()}, "sources": _sources,
    "architectures": lambda text, said: {"architectures": (text + said.get("foreign", "")).split()},
    "users": _users, "groups": _groups, "enabled": _enabled, "crontabs": _lines("crontabs"), "sudoers": _lines("sudoers"),
    "listening": _listening, "disks": _json("disks", "blockdevices"), "mounts": _json("mounts", "filesystems"),
    "folders": _lines("folders"),
}


def names_in(passwd: str) -> set[str]:
    """The user names of a passwd file."""
    with suppress(ValueError):
        return {str(row[0]) for row in _users(passwd, {})["users"]}
    return set()
