"""Repositories, mirrors and servers that belong to somebody hostile, while gaccong runs as root."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from backup import machine, mend
from backup.crawl.addresses import public
from backup.fetch import Kept
from backup.hold import Refused
from backup.objects import Folder
from backup.objects_rest import Rest, _listed
from backup.scrub import scrub

BODY = b"* * * * * root touch /tmp/owned\n"
NAME = hashlib.sha256(BODY).hexdigest()
OTHER = 12345
"""A user id that is not ours."""


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """(repository, mirror that holds one object which the repository lacks)."""
    for name in ("kho", "guong"):
        (tmp_path / name / "data").mkdir(parents=True)
    (tmp_path / "guong" / "data" / NAME[:2]).mkdir()
    (tmp_path / "guong" / "data" / NAME[:2] / NAME).write_bytes(BODY)
    return tmp_path / "kho", tmp_path / "guong"


@pytest.mark.parametrize("linked", ["data", f"data/{NAME[:2]}"])
def test_a_linked_folder_in_a_repository_is_refused(two: tuple[Path, Path], tmp_path: Path, linked: str) -> None:
    repository, mirror = two
    elsewhere = tmp_path / "cron.d"
    (elsewhere / NAME[:2]).mkdir(parents=True)
    (elsewhere / NAME[:2] / NAME).write_bytes(b"dear")
    if linked == "data":
        (repository / "data").rmdir()
    (repository / linked).symlink_to(elsewhere if linked == "data" else elsewhere / NAME[:2])
    for deed in (lambda: mend.fetch(Folder(str(mirror)), Folder(str(repository)), [f"data/{NAME}"]),
                 lambda: mend.aside(Folder(str(repository)), tmp_path, [f"data/{NAME}"])):
        with pytest.raises(Refused, match="link"):
            deed()
    assert (elsewhere / NAME[:2] / NAME).read_bytes() == b"dear" and len(list(elsewhere.rglob("*"))) == 2
    argv = [sys.executable, "-m", "backup.mend", "fetch", "--from", str(mirror), "--to", str(repository), "--", f"data/{NAME}"]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 1 and "is a link" in said.stderr and "Traceback" not in said.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_is_put_back_belongs_to_the_owner_of_the_repository(two: tuple[Path, Path]) -> None:
    repository, mirror = two
    os.chown(repository, OTHER, OTHER)
    assert mend.fetch(Folder(str(mirror)), Folder(str(repository)), [f"data/{NAME}"]) == 1
    made = repository / "data" / NAME[:2] / NAME
    assert made.read_bytes() == BODY and made.stat().st_uid == made.parent.stat().st_uid == OTHER
    assert made.stat().st_mode & 0o777 == 0o400


def test_a_link_under_the_temporary_name_is_not_written_through(two: tuple[Path, Path], tmp_path: Path) -> None:
    repository, mirror = two
    (repository / "data" / NAME[:2]).mkdir()
    (tmp_path / "dear").write_bytes(b"dear")
    (repository / "data" / NAME[:2] / f"{NAME}-tmp-heal").symlink_to(tmp_path / "dear")
    mend.fetch(Folder(str(mirror)), Folder(str(repository)), [f"data/{NAME}"])
    assert (tmp_path / "dear").read_bytes() == b"dear" and (repository / "data" / NAME[:2] / NAME).read_bytes() == BODY


@contextmanager
def server(trickle: bool) -> Iterator[str]:
    """A rest-server whose one object, 5 bytes by its list, never ends."""

    class Endless(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_GET(self) -> None:
            body = json.dumps([{"name": "a" * 64, "size": 5}]).encode() if self.path.endswith("/data/") else b""
            if not self.path.endswith("a" * 64):
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"1\r\nx\r\n" if trickle else b"10000\r\n" + b"x" * 65536 + b"\r\n")
                    time.sleep(0.1 if trickle else 0)
            except OSError:
                self.close_connection = True

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    serving.daemon_threads = True
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"rest:http://127.0.0.1:{serving.server_port}/x/"
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join(10)


def test_an_object_that_goes_on_past_its_size_is_bad() -> None:
    with server(trickle=False) as at:
        rest = Rest(at, at)
        done = scrub(rest, rest.names(), seconds=60)
    assert done.bad == [f"data/{'a' * 64}"] and done.left == 0 and done.seconds < 30


def test_an_object_that_trickles_for_ever_is_left_unread_when_the_time_is_over() -> None:
    with server(trickle=True) as at:
        rest = Rest(at, at)
        done = scrub(rest, rest.names(), seconds=1)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("scrub-")]
        assert rest.names()  # it can be asked again
    assert (done.left, done.bad, done.right) == (1, [], set()) and done.seconds < 15


@pytest.mark.parametrize("body", [b"[" * 200_000, b"[" + b"{}," * 100_000 + b"{}]", b"[1]",
                                  b'[{"name": "a", "size": 1e999}]', b'[{"name": "a", "size": 1' + b"0" * 400 + b"}]",
                                  b'[{"name": "a", "size": -7}]', b"7", b"\xff"],
                         ids=["deep", "empty", "number", "endless", "beyond", "negative", "no-list", "no-text"])
def test_a_hostile_list_is_an_error(body: bytes) -> None:
    with pytest.raises(OSError, match="cannot be read"):
        _listed(body)


def test_a_long_list_is_read() -> None:
    names = [{"name": f"{number:064x}", "size": 17_000_000} for number in range(1000)]
    assert _listed(json.dumps(names, separators=(",", ":")).encode()) == [(one["name"], one["size"]) for one in names]
    assert len(_listed(json.dumps([one["name"] for one in names], separators=(",", ":")).encode())) == 1000


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", b"\r\n" * 9,
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[]",
                                  b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                  b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n"],
                         ids=["ssh", "long", "blank", "short", "chunk", "many"])
def test_what_is_no_http_is_an_error_of_the_place(said: bytes, tmp_path: Path) -> None:
    """A broken proxy, another service on the port: told in words, and the inventory before stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as one:
                        one.recv(65536)
                        one.sendall(said)
        threading.Thread(target=answer, daemon=True).start()
        at = f"rest:http://127.0.0.1:{listener.getsockname()[1]}/x/"
        with pytest.raises(OSError, match=r"cannot be read|cut off|closed"):
            Rest(at, at).names()
        argv = [sys.executable, "-m", "backup.inventory", "--at", at, "--file", str(tmp_path / "kiem-ke.json")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        listener.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 3 and "Traceback" not in done.stderr and not (tmp_path / "kiem-ke.json").exists(), done.stderr


def test_a_mirror_whose_object_never_ends_does_not_fill_the_repository(two: tuple[Path, Path], full_disk: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    repository = two[0]
    with server(trickle=False) as at:
        monkeypatch.setattr(mend, "MOST_BYTES", 3 << 20)
        with pytest.raises(ValueError, match="does not end"):
            mend.fetch(Rest(at, at), Folder(str(repository)), [f"data/{'a' * 64}"])
        monkeypatch.setattr(mend, "MOST_BYTES", 1 << 40)
        (full_disk / "data").mkdir()
        with pytest.raises(OSError, match="nearly full"):
            mend.fetch(Rest(at, at), Folder(str(full_disk)), [f"data/{'a' * 64}"])
    assert not [path for place in (repository, full_disk) for path in place.rglob("*") if path.is_file()]


def test_of_endless_words_only_a_little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["sh", "-c", "echo first; head -c 50000000 /dev/zero; echo; echo last"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        kept = Kept()
        kept.read(process.stdout)
    assert kept.text.startswith("first\n") and kept.text.endswith("\nlast\n") and len(kept.text) < 400_000
    monkeypatch.setattr(machine, "_MOST_SAID", 1 << 20)
    done = machine._asked(argv, 60)
    assert done.returncode == 0 and len(done.stdout) < 1_200_000
    with pytest.raises(subprocess.TimeoutExpired):
        machine._asked(["sleep", "60"], 0.2)


def test_only_addresses_of_the_internet_are_public() -> None:
    for address in ("64:ff9b:1::7f00:1", "::ffff:0:7f00:1", "::127.0.0.1", "::8.8.8.8", "fec0::1", "5f00::1", "::", "fe80::1%1",
                    "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fd00::1", "ff02::1"):
        assert not public(address), address
    for address in ("2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "8.8.8.8", "2002:808:808::"):
        assert public(address), address
