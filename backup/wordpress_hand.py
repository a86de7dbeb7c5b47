"""Starts a restored WordPress and fetches its front page (`unshare … python -m backup.wordpress_hand …`).

The site's PHP is its owner's and is trusted with nothing. It runs
* in namespaces of its own: no network but loopback, no process of the machine in sight;
* in a root of its own (pivot_root): the machine's programs read-only, the restored files read-only at the path where they
  live, one database socket, an empty /tmp. No other path of the machine exists there, the live database's socket included;
* as nobody without any capability, with bounds on time, memory and file sizes.

The constants of the database are defined before `wp-config.php` is read; there the first definition wins. Prints one
JSON line: {"status": 200, "bytes": n, "found": true, "wrong": "", "said": "..."}. Only to be run as process 1 of fresh
namespaces (`argv`): it mounts, and its end ends everything that it started.
"""

from __future__ import annotations

import argparse
import ctypes
import encodings.idna  # noqa: F401 - no module can be read any more once the root is exchanged
import fcntl
import html
import http.client
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from backup.hold import NOBODY, can_drop
from ops import python

PORT = 8080
_START_SECONDS = 20.0
_PAGE_SECONDS = 90.0
_PAGE_BYTES = 8 << 20
_REDIRECTS = 4
_DETACH = 2
_IFF_UP, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 1, 0x8913, 0x8914
_GIVEN = ("/usr", "/etc/php", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types")
"""What of the machine is there, read-only: the programs, PHP's own settings, nothing with a secret."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_BROKEN = ("Error establishing a database connection", "Lỗi kết nối cơ sở dữ liệu", "Lỗi khi kết nối với cơ sở dữ liệu")
FRONT = """<?php
$gaccong = json_decode(file_get_contents('/gaccong/front.json'), true);
foreach ($gaccong['constants'] as $name => $value) { define($name, $value); }
if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') { $_SERVER['HTTPS'] = 'on'; $_SERVER['SERVER_PORT'] = '443'; }
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $gaccong['base'] . '/index.php';
$_SERVER['DOCUMENT_ROOT'] = $gaccong['site'];
$_SERVER['SCRIPT_FILENAME'] = $gaccong['site'] . '/index.php';
chdir($gaccong['site']);
unset($gaccong, $name, $value);
require getcwd() . '/index.php';
"""
_SETTINGS = {"display_errors": "0", "display_startup_errors": "0", "log_errors": "1", "error_log": "/tmp/php.log",  # noqa: S108 - in its own root
             "max_execution_time": "60", "memory_limit": "512M", "sendmail_path": "/bin/true", "auto_prepend_file": "",
             "auto_append_file": "", "session.save_path": "/tmp", "sys_temp_dir": "/tmp", "opcache.enable": "0",  # noqa: S108
             "expose_php": "0", "file_uploads": "0", "mysqli.default_socket": "/gaccong/s", "open_basedir": ""}


def argv(work: Path, site: Path, live: Path, database_socket: Path) -> tuple[str, ...]:
    """The command, in fresh namespaces. work: an empty folder of ours; site: the restored tree of `live`.

    Its standard input is one JSON object with `database`, `user`, `password` (of the scratch server), `home` (the site's
    address) and `name` (to be found on its page).
    """
    mapped = () if os.geteuid() == 0 else ("--map-root-user",)
    return ("unshare", *mapped, "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--",
            *python("backup.wordpress_hand", "--work", str(work), "--site", str(site), "--live", str(live),
                    "--socket", str(database_socket)))


class Cannot(Exception):
    """The site cannot be started here; says nothing of the site."""


def build(work: Path, site: Path, live: Path, database_socket: Path) -> Path:
    """Makes the private root in `work`; gives where the site lies in it. Raises Cannot."""
    _do("mount", "-t", "tmpfs", "-o", "size=256m,mode=0755,nosuid,nodev", "gaccong", str(work))
    for name in ("dev", "etc", "gaccong", "tmp", ".old", "proc", "run", "var"):
        (work / name).mkdir()
    (work / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        (work / name).symlink_to(f"usr/{name}")
    for given in _GIVEN:
        if Path(given).exists():
            _bind(Path(given), work / given.lstrip("/"), "ro,nosuid,nodev")
    for device in _DEVICES:
        _bind(Path(device), work / device.lstrip("/"), "")
    inside = live if live.parts[1:2] not in (("usr",), ("dev",), ("gaccong",), ("etc",)) else Path("/site")
    _bind(site, work / str(inside).lstrip("/"), "ro,nosuid,nodev")
    _bind(database_socket, work / "gaccong" / "s", "")
    cache = work / str(inside).lstrip("/") / "wp-content" / "object-cache.php"
    if cache.is_file() and not cache.is_symlink():  # it would ask for a cache server that is not there; empty, WordPress does without
        (work / "gaccong" / "empty").touch()
        _do("mount", "--bind", str(work / "gaccong" / "empty"), str(cache))
    return inside


def enter(work: Path) -> None:
    """Makes `work` the root of everything in this namespace; nothing else of the machine remains reachable."""
    os.chdir(work)
    _do("pivot_root", ".", ".old")
    os.chdir("/")
    # the program would look for /proc, which is not here
    if ctypes.CDLL(None, use_errno=True).umount2(b"/.old", _DETACH) != 0:
        raise Cannot(f"umount: {os.strerror(ctypes.get_errno())}")
    Path("/.old").rmdir()


def _bind(source: Path, target: Path, options: str) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _do("mount", "--bind", str(source), str(target))
    if options:
        _do("mount", "-o", f"remount,bind,{options}", str(target))


def _do(*words: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Cannot(f"{words[0]}: {done.stderr.strip()[-300:]}")


def loopback() -> None:
    """Turns the namespace's loopback on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(held, _SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(held, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def serve(inside: Path, lower: bool) -> subprocess.Popen[bytes]:
    """Starts PHP's own server in the private root, as nobody, bounded. Raises Cannot when it does not come up."""
    who = ("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups") if lower else ()
    words = [word for name, value in _SETTINGS.items() for word in ("-d", f"{name}={value}")]
    started = subprocess.Popen(
        ("setpriv", *who, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "php", *words, "-S",
         f"127.0.0.1:{PORT}", "-t", str(inside), "/gaccong/front.php"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, close_fds=True, preexec_fn=_bound,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/tmp"}, cwd="/")  # noqa: S108
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if started.poll() is not None:
            raise Cannot((started.stderr.read() if started.stderr else b"").decode("utf-8", "replace")[-300:])
        with suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
            return started
        time.sleep(0.02)
    raise Cannot("php did not start")


def _bound() -> None:
    for what, limit in ((resource.RLIMIT_CPU, 120), (resource.RLIMIT_AS, 2 << 30), (resource.RLIMIT_FSIZE, 64 << 20),
                        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 512)):
        resource.setrlimit(what, (limit, limit))


def fetch(home: str) -> tuple[int, str, str]:
    """(status, page, trouble) of the front page. Redirects are followed by their path and name, always to our server."""
    address = urlsplit(home)
    deadline = time.monotonic() + _PAGE_SECONDS
    for _ in range(_REDIRECTS):
        left = deadline - time.monotonic()
        if left <= 0:
            return 0, "", "no answer in time"
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=left)
        path = address.path or "/"
        try:
            connection.request("GET", f"{path}?{address.query}" if address.query else path, headers={
                "Host": address.netloc, "X-Forwarded-Proto": address.scheme, "Connection": "close",
                "User-Agent": "gaccong-drill"})
            answer = connection.getresponse()
            page = answer.read(_PAGE_BYTES).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, "", f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        where = answer.getheader("Location")
        if answer.status not in (301, 302, 303, 307, 308) or not where:
            return answer.status, page, ""
        address = urlsplit(where) if "://" in where else address._replace(path=urlsplit(where).path, query=urlsplit(where).query)
    return 0, "", "redirects without end"


def look(given: argparse.Namespace) -> dict[str, object]:
    """Builds, starts, fetches, judges. Raises Cannot."""
    asked = json.load(sys.stdin)
    loopback()
    lower = can_drop()
    if lower:  # a scratch copy, compared before: nobody must be able to read it whatever its modes were
        for folder, names, files in os.walk(given.site):
            for name in ("", *names, *files):
                os.chown(os.path.join(folder, name), NOBODY, NOBODY, follow_symlinks=False)  # noqa: PTH118 - many
    inside = build(given.work, given.site, given.live, given.socket)
    constants = {"DB_NAME": asked["database"], "DB_USER": asked["user"], "DB_PASSWORD": asked["password"],
                 "DB_HOST": "localhost:/gaccong/s", "WP_HTTP_BLOCK_EXTERNAL": True, "DISABLE_WP_CRON": True,
                 "AUTOMATIC_UPDATER_DISABLED": True, "DISALLOW_FILE_MODS": True, "WP_CACHE": False, "WP_DEBUG": False,
                 "WP_DEBUG_DISPLAY": False, "WP_MEMORY_LIMIT": "256M"}
    front = {"constants": constants, "site": str(inside), "base": urlsplit(asked["home"]).path.rstrip("/")}
    (given.work / "gaccong" / "front.json").write_text(json.dumps(front), "utf-8")
    (given.work / "gaccong" / "front.php").write_text(FRONT, "utf-8")
    enter(given.work)
    serve(inside, lower)
    status, page, trouble = fetch(asked["home"] if urlsplit(asked["home"]).path else asked["home"] + "/")
    plain = html.unescape(html.unescape(page))
    wrong = next((sign for sign in _BROKEN if sign in plain), "")
    log = Path("/tmp/php.log")  # noqa: S108 - in its own root
    lines = log.read_bytes()[-8000:].decode("utf-8", "replace").splitlines() if log.is_file() and not log.is_symlink() else []
    said = "\n".join(line for line in lines if "already defined" not in line)  # our own definitions came first, as they should
    return {"status": status, "bytes": len(page), "found": html.unescape(asked["name"]) in plain, "wrong": wrong or trouble,
            "said": said[-500:]}


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: looked, one JSON line; 3: the site cannot be started here, the reason on stderr."""
    parser = argparse.ArgumentParser(prog="backup.wordpress_hand")
    for name in ("--work", "--site", "--live", "--socket"):
        parser.add_argument(name, required=True, type=Path)
    given = parser.parse_args(arguments)
    if os.getpid() != 1:
        print("only in fresh namespaces", file=sys.stderr)
        return 2
    try:
        told = look(given)
    except (Cannot, OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3
    print(json.dumps(told))
    return 0


def able() -> str:
    """The program that is missing here for starting a site, or ""."""
    return next((tool for tool in ("unshare", "setpriv", "pivot_root", "mount", "php")
                 if shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin") is None), "")


if __name__ == "__main__":
    sys.exit(main())
