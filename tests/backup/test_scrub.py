"""The keyless scrub: every byte of every object, in a folder and over HTTP from a real rest-server."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backup.checks.fresh import fresh
from backup.checks.integrity import integrity
from backup.objects import Folder, Objects, digest, objects_at, reachable
from backup.scrub import scrub
from tests.backup.room import NEWER, Room

SERVER = str(Path(NEWER).parent / "rest-server")


def store(root: Path, kind: str, body: bytes) -> str:
    """Puts an object where restic would; gives its name."""
    name = hashlib.sha256(body).hexdigest()
    place = root / kind / name[:2] / name if kind == "data" else root / kind / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(body)
    return f"{kind}/{name}"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A repository's outside: three packs (one past a buffer), an index, config."""
    root = tmp_path / "kho"
    for body in (b"", b"a" * 10, os.urandom(3 << 20)):
        store(root, "data", body)
    store(root, "index", b"{}")
    (root / "config").write_bytes(b"config")
    return root


def test_all_is_right(few: Path) -> None:
    objects = Folder(str(few))
    names = objects.names()
    assert sorted(names.values()) == [0, 2, 10, 3 << 20]
    done = scrub(objects, names, hashlib.sha256(b"config").hexdigest())
    assert done.right == {*names, "config"} and not done.bad and not done.gone and done.left == 0
    assert done.bytes == (3 << 20) + 18


def test_bad_gone_and_unreadable_are_told_apart(few: Path) -> None:
    objects = Folder(str(few))
    names = sorted(objects.names(), key=lambda name: objects.path(name).stat().st_size)
    objects.path(names[0]).write_bytes(b"x")
    objects.path(names[1]).unlink()
    objects.path(names[2]).unlink()
    objects.path(names[2]).mkdir()  # no file where one must be: the medium gives nothing back
    done = scrub(objects, names, "0" * 64)
    assert done.bad == sorted([names[0], names[2], "config"]) and done.gone == [names[1]] and done.right == {names[3]}


def test_it_ends_in_time(few: Path) -> None:
    """A time limit leaves the rest unread instead of calling it right."""
    done = scrub(Folder(str(few)), Folder(str(few)).names(), seconds=0.0)
    assert done.left == 4 and not done.right and not done.bad


def test_only_what_is_a_plain_place_is_reachable() -> None:
    assert reachable("/srv/kho") and reachable("rest:https://kho.test/") and reachable("rest:http://[::1]:8000/x")
    assert not any(map(reachable, ("sftp:kho:/x", "s3:https://s3.test/x", "b2:x", "rest:unix:/run/x")))
    assert objects_at("sftp:kho:/x") is None


class Server:
    """A real rest-server on loopback, with a login."""

    def __init__(self, root: Path, program: str = SERVER) -> None:
        self.port = _free()
        sealed = base64.b64encode(hashlib.sha1(b"bi:mat").digest()).decode()  # the kind that rest-server reads
        (root / ".htpasswd").write_text(f"ai:{{SHA}}{sealed}\n")
        self.process = subprocess.Popen([program, "--listen", f"127.0.0.1:{self.port}", "--path", str(root)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("rest-server did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(room: Room) -> Iterator[Server]:
    """The room's repository behind a rest-server that asks for a login."""
    (room.tmp / "srv-rest").mkdir()
    os.rename(room.repository, room.tmp / "srv-rest/demo")
    room.repository = room.tmp / "srv-rest/demo"
    server = Server(room.tmp / "srv-rest")
    (room.tmp / "login").write_text("ai:bi:mat")
    (room.tmp / "login").chmod(0o600)
    room.more = {"repository": f"rest:http://127.0.0.1:{server.port}/demo/", "login": "file:login"}
    room.site.settings["backup"] = room.settings()  # type: ignore[index]
    yield server
    server.stop()


def remote(server: Server, login: str = "ai:bi%3Amat@") -> Objects:
    found = objects_at(f"rest:http://127.0.0.1:{server.port}/demo/", f"rest:http://{login}127.0.0.1:{server.port}/demo/")
    assert found is not None
    return found


def test_a_rest_server_gives_the_same_names_and_bytes_as_the_folder(room: Room, served: Server) -> None:
    assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
    here, there = Folder(str(room.repository)), remote(served)
    assert there.names() == here.names() and digest(there, "config") == digest(here, "config")
    names = here.names()
    assert scrub(there, names).right == set(names)
    with pytest.raises(FileNotFoundError):
        digest(there, "data/" + "0" * 64)
    with pytest.raises(PermissionError):
        remote(served, "").names()


def test_damage_behind_a_rest_server_is_found(room: Room, served: Server) -> None:
    for _ in range(3):
        room.night()
    assert room.look(fresh)["user"].verdict == "met"
    assert room.look(integrity)["user"].verdict == "met"
    assert "bi:mat" not in repr(room.plan()) and "bi%3Amat" not in repr(room.plan())
    here = Folder(str(room.repository))
    spoilt, lost = sorted(here.names("data"))[:2]
    here.path(spoilt).chmod(0o600)
    here.path(spoilt).write_bytes(here.path(spoilt).read_bytes()[:-1] + b"?")
    here.path(lost).unlink()
    finding = room.look(integrity)["user"]
    assert finding.verdict == "broken" and finding.facts["bad"] == [spoilt] and finding.facts["missing"] == [lost]
    served.stop()
    assert room.look(integrity)["user"].verdict == "unseen"


def test_an_answer_that_is_cut_off_is_no_damage(tmp_path: Path) -> None:
    """A server that dies in the middle: an error of the network, never a bad object."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def half() -> None:
            with suppress(OSError):  # until the listener is closed
                while True:
                    link, _ = listener.accept()
                    link.recv(65536)
                    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                    link.close()

        thread = threading.Thread(target=half, daemon=True)
        thread.start()
        found = objects_at(f"rest:http://127.0.0.1:{listener.getsockname()[1]}/")
        assert found is not None
        with pytest.raises(OSError, match="cut off"):
            scrub(found, ["data/" + "0" * 64])
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        thread.join(10)
