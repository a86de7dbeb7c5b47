"""Repositories over SFTP: a real sshd, both restic versions, the key by descriptor, strict host keys, a gateway."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from backup.checks.drill import drill
from backup.restic import repository_of
from backup.ssh import FAILED, argv_of, chain, command, key_variable, sign_of
from backup.trouble import ResticTrouble
from ops.errors import PlanRefused
from ops.model import Host
from ops.run import Command, Here
from ops.secrets import resolve
from tests.accounts.servers import Sshd, make_key
from tests.backup.far import FarRoom, Way, take_key
from tests.backup.room import NEWER

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="sshd for root needs root")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


def sftp_room(tmp: Path, template: Path, sshd: Sshd, program: str = "restic", **host: object) -> FarRoom:
    """A room whose repository lies on the other machine."""
    far = sshd.host("kho", **{"key": take_key(sshd, tmp / "bi-mat"), **host})
    room = FarRoom(tmp, template, program=program, far={"kho": far})
    room.more = {"repository": f"sftp:kho:{room.repository}"}
    room.site.settings["backup"] = room.settings()
    return room


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_a_whole_night_over_sftp(tmp_path: Path, template: Path, sshd: Sshd, program: str) -> None:
    room = sftp_room(tmp_path, template, sshd, program)
    body = room.night(prove=("backup.contents", "backup.integrity"))
    assert body["outcome"] == "proved", body
    found = room.look(drill, "user")["user"]
    assert found.verdict == "met", found.detail
    assert json.loads(room.restic("snapshots", "--json"))[0]["hostname"] == "demo"  # it lies there, plainly
    first = room.plan()
    assert first == room.plan()
    assert "PRIVATE KEY" not in repr(first) and str(tmp_path / "bi-mat") not in " ".join(first.steps[-1].argv)


def test_the_first_night_makes_the_repository(tmp_path: Path, template: Path, sshd: Sshd) -> None:
    room = sftp_room(tmp_path, template, sshd, NEWER)
    (tmp_path / "may-kho").mkdir()
    room.more = {"repository": f"sftp:kho:{tmp_path}/may-kho/moi"}
    room.site.settings["backup"] = room.settings()
    found = next(step for step in room.plan().steps if "backup.found" in step.argv)
    assert room.carry((found,))[0].answer["repository"] == "made"
    assert (tmp_path / "may-kho/moi/config").is_file()
    assert room.carry((found,))[0].answer["repository"] == "there"


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_a_changed_host_key_is_refused_and_told(tmp_path: Path, template: Path, sshd: Sshd, program: str) -> None:
    other = make_key(tmp_path / "other")
    known = tmp_path / "known_hosts"
    known.write_text(f"[::1]:{sshd.port} {other}\n")
    room = sftp_room(tmp_path, template, sshd, program, known_hosts=known)
    with pytest.raises(PlanRefused) as refused:
        room.plan()
    assert "ĐÃ THAY ĐỔI" in refused.value.what.vi and "người quản trị" in refused.value.mend.vi
    known.write_text("")
    with pytest.raises(ResticTrouble) as trouble:
        repository_of(room.ctx()).snapshots(room.ctx())
    assert "không có trong known_hosts" in trouble.value.what.vi and "ssh-keyscan" in trouble.value.mend.vi
    known.write_text(f"[::1]:{sshd.port} {sshd.host_key}\n")
    assert repository_of(room.ctx()).snapshots(room.ctx()) == []


def test_a_key_that_is_not_taken_or_has_a_passphrase(tmp_path: Path, template: Path, sshd: Sshd) -> None:
    make_key(tmp_path / "stranger")
    room = sftp_room(tmp_path, template, sshd, key=f"file:{tmp_path / 'stranger'}")
    with pytest.raises(PlanRefused) as refused:
        room.plan()
    assert "không nhận khóa" in refused.value.what.vi
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "mat-khau", "-f", str(tmp_path / "stranger")], check=True, timeout=20,
                   stdout=subprocess.DEVNULL)
    with pytest.raises(PlanRefused) as refused:
        room.plan()
    assert "có mật khẩu" in refused.value.what.vi and "ssh-keygen" in refused.value.mend.vi


def test_a_host_that_is_not_configured_whole(tmp_path: Path, template: Path, sshd: Sshd) -> None:
    room = sftp_room(tmp_path, template, sshd, gateway="cua")
    with pytest.raises(PlanRefused) as refused:
        room.plan()
    assert "[host.cua]" in refused.value.what.vi
    room.far["cua"] = replace(room.far["kho"], name="cua", gateway="kho")
    with pytest.raises(PlanRefused):
        chain("kho", room.far)


def ssh(hosts: dict[str, Host], name: str, *words: str, timeout: float = 30.0) -> tuple[int, str, str]:
    """Runs our ssh as a step would."""
    way = chain(name, hosts)
    secrets = {key_variable(host.name): resolve(host.key, Path("/")) for host in way}
    done = Here().run(Command(command(way, *words), secrets=secrets, timeout=timeout))
    return done.code, done.text, done.trouble


def test_a_gateway_is_as_strict_as_its_target(tmp_path: Path, sshd: Sshd) -> None:
    inner = Sshd(tmp_path / "trong")
    odd = tmp_path / "kh 50% 'x"  # signs that ssh and a shell each read their own way
    odd.write_bytes((tmp_path / "trong/known_hosts").read_bytes() + (sshd.folder / "known_hosts").read_bytes())
    try:
        far = {"cua": sshd.host("cua", known_hosts=odd), "trong": inner.host("trong", gateway="cua", known_hosts=odd)}
        assert ssh(far, "trong", "echo", "$SSH_CONNECTION")[1].split()[-1] == str(inner.port)
        assert ssh(far, "trong", "exit", "7")[0] == 7
        (tmp_path / "empty").write_text("")
        far["cua"] = replace(far["cua"], known_hosts=tmp_path / "empty")
        code, _, said = ssh(far, "trong", "true")
        assert code == FAILED and sign_of(said) == "unknown"
    finally:
        inner.stop()


def test_the_key_is_never_a_file_nor_in_argv(sshd: Sshd) -> None:
    far = {"cua": sshd.host("cua")}
    key = (sshd.folder / "client").read_text().splitlines()[1]
    code, out, _ = ssh(far, "cua", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
    assert code == 0 and "backup.ssh" in out and "/proc/" in out and key not in out


def test_a_silent_machine_is_given_up(sshd: Sshd) -> None:
    way = Way(0, silent=True)
    try:
        host = {"name": "x", "address": "::1", "port": way.port, "user": "root", "known_hosts": str(sshd.folder / "known_hosts")}
        argv = argv_of([host], ["true"], {"x": str(sshd.folder / "client")})
        assert "ConnectTimeout=20" in argv
        argv[argv.index("ConnectTimeout=20")] = "ConnectTimeout=1"  # nineteen seconds less to wait for
        done = subprocess.run(argv, capture_output=True, text=True, timeout=15)
        assert done.returncode == FAILED and sign_of(done.stderr) == "silent", done.stderr
    finally:
        way.close()


def test_ssh_ends_with_the_program_that_wanted_it(tmp_path: Path, sshd: Sshd) -> None:
    """A restic that was killed must not leave a connection behind for ever."""
    far = chain("cua", {"cua": sshd.host("cua")})
    mark = tmp_path / "pid"
    line = f"exec 3<&0; {' '.join(map(repr, command(far, f'echo $PPID > {mark}; sleep 600')))} <&3 & sleep 600"
    with open(sshd.folder / "client", "rb") as key:
        outer = subprocess.Popen(["sh", "-c", line], stdin=subprocess.PIPE, pass_fds=[key.fileno()],
                                 env={"PATH": os.environ["PATH"], key_variable("cua"): f"/dev/fd/{key.fileno()}"})
        assert outer.stdin
        try:
            for _ in range(200):
                if mark.exists() and mark.read_text().strip():
                    break
                subprocess.run(["sleep", "0.05"], timeout=5)
            session = int(mark.read_text())
        finally:
            outer.kill()
            outer.wait(10)
            outer.stdin.close()
    started = monotonic()
    while os.path.exists(f"/proc/{session}") and monotonic() - started < 10:
        subprocess.run(["sleep", "0.1"], timeout=5)
    assert not os.path.exists(f"/proc/{session}")
