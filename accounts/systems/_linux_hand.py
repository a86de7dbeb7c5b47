"""The hand on a Linux machine: reads its account files, takes keys out, ends sessions. Standard library only.

It runs as `python -m accounts.systems._linux_hand` here and as `python3 -I -c <this file>` elsewhere, so it imports
nothing of ours. Password hashes never leave it. Exit 0: done; 3: cannot be read; 4: sessions are left; 5: keys were
not touched (refused, or the place does not allow it). Homes belong to people who may mean ill: what is wrong there is
told of that login, and never hides the others.
"""
# It works on open folders (dir_fd), which pathlib cannot.
# ruff: noqa: PTH115, PTH104, PTH112, PTH118, PTH120, PTH123, PTH103, PTH202, PTH208

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

_LARGEST = 4 << 20
_LARGEST_KEYS = 1 << 20
_MOST_KEYS = 2000
_LARGEST_BLOB = 8192
_LASTLOG = 292
_END_WITHIN = 60
_KERNEL = ("/proc/", "/sys/", "/dev/")
_WORD = re.compile(rb"[A-Za-z0-9@.+-]{1,64}")
_SPACE = b" \t\r\v\f"
UNKNOWN = "?"


class Refused(Exception):
    """Something about the place makes it unsafe to touch."""


def words(data: bytes) -> str:
    """Bytes as text; what is no UTF-8 comes back unharmed from os.fsencode."""
    return data.decode("utf-8", "surrogateescape")


def slurp(path: str, largest: int = _LARGEST) -> bytes:
    """Bytes of a regular file. What else somebody put there is looked at and never opened: a device or pipe may act."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused(f"{path}: not a regular file")
        if os.readlink(f"/proc/self/fd/{handle}").startswith(_KERNEL) and not path.startswith(_KERNEL):
            raise Refused(f"{path}: leads to the kernel's files")
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(handle)
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(largest + 1)
    if len(data) > largest:
        raise Refused(f"{path}: too large")
    return data


def records(path: str, fields: int) -> Iterator[list[str]]:
    """Lines of a passwd-like file. A damaged line is an error: skipping it could hide an account."""
    for number, data in enumerate(slurp(path).split(b"\n"), 1):
        line = words(data)
        if not line.strip() or line.startswith(("#", "-")):
            continue
        parts = line.split(":")
        if line.startswith("+"):
            raise Refused(f"{path}:{number}: accounts come from elsewhere (NIS)")
        if len(parts) != fields:
            raise Refused(f"{path}:{number}: {len(parts)} fields instead of {fields}")
        yield parts


def collect(root: str, patterns: list[str], day: str) -> None:
    """Everything about accounts below `root`, as JSON on standard output; `day`: days since 1970-01-01."""
    shadow = {parts[0]: parts for parts in records(os.path.join(root, "etc/shadow"), 9)}
    alive = living() if root == "/" else set()
    last = lastlog(os.path.join(root, "var/log/lastlog"))
    accounts = []
    for login, password, uid, gid, gecos, home, shell in records(os.path.join(root, "etc/passwd"), 7):
        expire = shadow[login][7] if login in shadow else ""
        accounts.append({
            "login": login, "uid": int(uid), "gid": int(gid), "name": gecos.split(",")[0], "home": home,
            "shell": shell, "expire": int(expire) if expire else None,
            "expired": bool(expire) and int(day) >= int(expire),
            **password_state(password, shadow.get(login)), "last": last(int(uid)), "alive": int(uid) in alive,
            "keys": list(keys_of(root, patterns, login, home)),
        })
    groups = [[name, int(gid), members.split(",")]
              for name, _, gid, members in records(os.path.join(root, "etc/group"), 4)]
    print(json.dumps({"accounts": accounts, "groups": groups, "sudoers": sudoers(root)}))


def password_state(field: str, entry: list[str] | None) -> dict[str, bool]:
    """Whether the password opens anything, without the hash."""
    value = field if field != "x" else (entry[1] if entry else "*")
    return {"password": not value.startswith(("!", "*")), "empty": not value, "bang": value.startswith("!"),
            "shadow": entry is not None}


def sudoers(root: str) -> list[list[str]]:
    """[path, text] of sudoers and of the files that sudo would read beside it."""
    found = []
    names = ["etc/sudoers"]
    folder = os.path.join(root, "etc/sudoers.d")
    if os.path.isdir(folder):
        names += [f"etc/sudoers.d/{name}" for name in sorted(os.listdir(folder))
                  if "." not in name and not name.endswith("~")]
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            found.append(["/" + name, words(slurp(os.path.join(root, name)))])
    return found


def key_paths(patterns: list[str], login: str, home: str) -> Iterator[str]:
    """Where sshd looks for this login's keys."""
    for pattern in patterns:
        path = pattern.replace("%%", "\0").replace("%h", home).replace("%u", login).replace("\0", "%")
        yield path if path.startswith("/") else os.path.join(home, path)


def keys_of(root: str, patterns: list[str], login: str, home: str) -> Iterator[dict[str, object]]:
    """Every key in the files that open this login; an empty print for lines that are not understood (`unknown`: how
    many) and for a file that cannot be read (`unread`: why). Neither is "no key"."""
    for path in key_paths(patterns, login, home):
        linked, known, unknown = is_linked(root, path), {}, 0
        try:
            for line in slurp(os.path.join(root, path.lstrip("/")), _LARGEST_KEYS).split(b"\n"):
                seal, public = key_in(line) or ("", "")
                unknown += seal == UNKNOWN
                if public:
                    known[seal] = public
            if len(known) > _MOST_KEYS:
                raise Refused(f"{path}: more than {_MOST_KEYS} keys")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, Refused) as error:
            yield {"path": path, "print": "", "public": "", "linked": linked, "unread": str(error)}
            continue
        for seal, public in known.items():
            yield {"path": path, "print": seal, "public": public, "linked": linked}
        if unknown:
            yield {"path": path, "print": "", "public": "", "linked": linked, "unknown": unknown}


def is_linked(root: str, path: str) -> bool:
    """True when a link leads to the file: sshd follows it, but the keys there may be somebody else's."""
    try:
        folder, name = folder_of(root, path)
    except Refused:
        return True
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return True
    finally:
        os.close(folder)


def key_in(line: bytes) -> tuple[str, str] | None:
    """(fingerprint, "type blob") of an authorized_keys line, (UNKNOWN, "") of one that is not understood, or None of a
    blank or a comment. Read as sshd reads it: up to a NUL; type and blob at the start, or else after the options."""
    line = line.split(b"\0", 1)[0].lstrip(b" \t")
    if not line.strip(_SPACE) or line.startswith(b"#"):
        return None
    return typed(line) or typed(after_options(line)) or (UNKNOWN, "")


def after_options(line: bytes) -> bytes:
    """What follows the options; a quoted option may hold blanks."""
    place, quoted = 0, False
    while place < len(line) and (quoted or line[place] not in b" \t"):
        if line.startswith(b'\\"', place):
            place += 1
        elif line[place] == 34:
            quoted = not quoted
        place += 1
    return line[place:].lstrip(b" \t")


def typed(text: bytes) -> tuple[str, str] | None:
    """(fingerprint, "type blob") of "type blob comment", or None. As sshd does, white space in a blob is passed over and
    needless zeros before a number are dropped, so that one key has one fingerprint however it is written."""
    kind, blob = (*re.split(rb"[ \t]+", text, maxsplit=2), b"")[:2]
    if not _WORD.fullmatch(kind) or len(blob) > 2 * _LARGEST_BLOB:
        return None
    try:
        raw = base64.b64decode(blob.translate(None, _SPACE), validate=True)
    except ValueError:
        return None
    parts, place = [], 0
    while place < len(raw):
        size = int.from_bytes(raw[place:place + 4], "big")
        parts.append(raw[place + 4:place + 4 + size])
        place += 4 + size
    if place != len(raw) or len(parts) < 2 or not _WORD.fullmatch(parts[0]):
        return None
    if parts[0] in (b"ssh-rsa", b"ssh-dss"):
        plain = [part.lstrip(b"\0") for part in parts[1:]]
        parts[1:] = [b"\0" + part if part[:1] >= b"\x80" else part for part in plain]
    raw = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    seal = base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    return f"SHA256:{seal}", f"{parts[0].decode()} {base64.b64encode(raw).decode()}"


def lastlog(path: str) -> Callable[[int], int | None]:
    """uid -> seconds since 1970, or None. Sessions without a terminal are not in that file."""
    try:
        data = slurp(path) if os.path.getsize(path) <= _LARGEST else None
    except OSError:
        return lambda uid: None

    def at(uid: int) -> int | None:
        if data is None:
            with open(path, "rb") as stream:  # sparse and large when a high uid logged in
                stream.seek(uid * _LASTLOG)
                return int.from_bytes(stream.read(4), sys.byteorder) or None
        return int.from_bytes(data[uid * _LASTLOG : uid * _LASTLOG + 4], sys.byteorder) or None

    return at


def living() -> set[int]:
    """uids that have a process which is more than a zombie."""
    return {uid for uid, _ in processes()}


def processes() -> Iterator[tuple[int, int]]:
    """(uid, pid) for the real and the effective uid of every process that is more than a zombie."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            status = words(slurp(f"/proc/{name}/status")).split("\n")
        except (OSError, Refused):
            continue
        facts = dict(line.split(":", 1) for line in status if ":" in line)
        if not facts.get("State", "Z").strip().startswith("Z"):
            for uid in {int(found) for found in facts["Uid"].split()[:2]}:
                yield uid, int(name)


def folder_of(root: str, path: str) -> tuple[int, str]:
    """(open folder, file name), reached without following a link: the folders below may belong to the leaver."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *parents, name = [part for part in path.split("/") if part]
    for part in parents:
        try:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        except OSError as error:
            raise Refused(f"{path}: {part}: {error.strerror}") from None
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor, name


def held(folder: int, name: str) -> tuple[bytes, os.stat_result]:
    """(bytes, stat) of a regular file in an open folder; a link is refused."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{name}: not a regular file")
        data = stream.read(_LARGEST_KEYS + 1)
    if len(data) > _LARGEST_KEYS:
        raise Refused(f"{name}: too large")
    return data, status


def put(folder: int, name: str, data: bytes, uid: int, gid: int, mode: int) -> None:
    """A file whole, by rename, with its owner and mode."""
    temporary = f".{name}.gaccong-{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600,
                         dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchown(stream.fileno(), uid, gid)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def strip(root: str, path: str, keep: str, *prints: str) -> None:
    """Takes the keys with these fingerprints (UNKNOWN: lines not understood) out of a file; the file as it was goes to
    `keep` first. What an earlier time kept is no longer a state to go back to."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(keep)
    folder, name = folder_of(root, path)
    data, status = held(folder, name)
    lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
    left = [line for line in lines if (key_in(line.rstrip(b"\n")) or [""])[0] not in prints]
    if len(left) != len(lines):
        before = {"data": base64.b64encode(data).decode(), "uid": status.st_uid, "gid": status.st_gid,
                  "mode": stat.S_IMODE(status.st_mode), "left": hashlib.sha256(b"".join(left)).hexdigest()}
        save(keep, json.dumps(before).encode())
        put(folder, name, b"".join(left), status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    print(json.dumps({"path": path, "removed": len(lines) - len(left), "left": len(left)}))


def save(keep: str, data: bytes) -> None:
    """Keeps bytes in a private file, by rename."""
    os.makedirs(os.path.dirname(keep), mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(keep))
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, keep)


def restore(root: str, path: str, keep: str) -> None:
    """Puts back what `strip` kept, if the file is as `strip` left it; nothing kept, nothing to put back."""
    try:
        before = json.loads(slurp(keep))
    except FileNotFoundError:
        return
    folder, name = folder_of(root, path)
    if hashlib.sha256(held(folder, name)[0]).hexdigest() != before["left"]:
        raise Refused(f"{path}: changed since; left as it is")
    put(folder, name, base64.b64decode(before["data"]), before["uid"], before["gid"], before["mode"])
    os.unlink(keep)


def end(login: str, uid: str) -> None:
    """Ends every session and process of a uid, again and again until none is left."""
    number = int(uid)
    if number in (0, os.geteuid()):
        raise Refused(f"uid {number} is never ended")
    with contextlib.suppress(OSError):
        if "/" not in login:
            os.unlink(f"/var/lib/systemd/linger/{login}")
    if os.path.isdir("/run/systemd/system") and shutil.which("systemctl"):
        for argv in (["loginctl", "terminate-user", uid], ["systemctl", "stop", f"user@{number}.service"]):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    ended: set[int] = set()
    until = time.monotonic() + _END_WITHIN
    while time.monotonic() < until:
        mine = [pid for found, pid in processes() if found == number]
        if not mine:
            print(json.dumps({"ended": len(ended)}))
            return
        for pid in mine:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended.add(pid)
        time.sleep(0.1)
    print(f"processes of uid {number} keep coming back", file=sys.stderr)
    sys.exit(4)


def main(arguments: list[str]) -> None:
    """Carries out one verb."""
    verb, *rest = arguments
    try:
        if verb == "collect":
            collect(rest[0], json.loads(rest[1]), rest[2])
        else:
            deeds: dict[str, Callable[..., None]] = {"strip": strip, "restore": restore, "end": end}
            deeds[verb](*rest)
    except Refused as error:
        print(error, file=sys.stderr)
        sys.exit(3 if verb == "collect" else 5)
    except (OSError, ValueError, KeyError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(5 if verb in ("strip", "restore") and isinstance(error, OSError) else 3)


if __name__ == "__main__":
    main(sys.argv[1:])
