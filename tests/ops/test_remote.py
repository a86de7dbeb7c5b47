"""The runner over SSH against a real sshd on [::1]: trust, limits, quoting, secrets, both exit codes of a feed."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.errors import CannotSee, GaccongError, UsageError
from ops.model import Host
from ops.remote import Remote, command_line, remote
from ops.run import TIMED_OUT, Command
from ops.secrets import Secret, resolve
from tests.accounts.servers import Sshd, free_port, make_key

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="sshd for root needs root")


def slow(seconds: str) -> tuple[str, ...]:
    """A command of two processes that both sleep this long (a number of its own per test, to be found by)."""
    return ("sh", "-c", f"trap '' INT; sleep {seconds} & sleep {seconds}")


def secret(reference: str) -> Secret:
    return resolve(reference, Path("/"))


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def far(sshd: Sshd) -> Iterator[Remote]:
    with remote(sshd.host(), secret, {}) as runner:
        yield runner


def test_the_right_key_gets_in_and_the_environment_is_small(far: Remote) -> None:
    result = far.run(Command(("env",), env={"MOT": "hai ba; $(id)"}))
    lines = dict(line.split("=", 1) for line in result.text.splitlines())
    assert result.ok and lines["MOT"] == "hai ba; $(id)" and lines["LC_ALL"] == "C.UTF-8" and lines["TZ"] == "UTC"
    assert lines.keys() <= {"PATH", "HOME", "LC_ALL", "TZ", "MOT", "PWD"}


def test_argv_arrives_as_it_left(far: Remote) -> None:
    argv = ("printf", "%s\\0", "a b", "'; id; '", '"$HOME"`id`', "dòng\nmới", "-n", "", "\\", "*", "tiếng Việt", "~")
    result = far.run(Command(argv))
    assert result.stdout.decode().split("\0")[:-1] == list(argv[2:])


def test_a_program_with_an_equals_sign_is_a_program(far: Remote, tmp_path: Path) -> None:
    program = tmp_path / "A=B"
    program.write_text("#!/bin/sh\nprintf %s \"$1\"\n")
    program.chmod(0o755)
    assert far.run(Command((str(program), "x y"))).text == "x y"


def test_exit_code_standard_error_stdin_and_folder(far: Remote, tmp_path: Path) -> None:
    folder = tmp_path / "thư mục"
    folder.mkdir()
    result = far.run(Command(("sh", "-c", "pwd; cat; echo hỏng >&2; exit 7"), stdin=b"abc" * 100_000, cwd=folder))
    assert result.code == 7 and not result.ok and "hỏng" in result.trouble
    assert result.stdout == str(folder).encode() + b"\n" + b"abc" * 100_000
    assert far.run(Command(("no-such-program-here",))).code == 127
    assert far.run(Command(("sh", "-c", "kill -9 $$"))).code == 137


def test_the_far_side_may_stop_reading(far: Remote) -> None:
    assert far.run(Command(("true",), stdin=b"x" * 5_000_000)).code == 0


def test_lines_are_handed_on_as_they_come(far: Remote) -> None:
    seen: list[tuple[float, str]] = []
    far.run(Command(("sh", "-c", "echo một; sleep 0.6; echo hai")), lambda line: seen.append((time.monotonic(), line)))
    assert [line for _, line in seen] == ["một", "hai"] and seen[1][0] - seen[0][0] > 0.3


def test_twenty_megabytes_come_quickly_and_whole(far: Remote) -> None:
    result = far.run(Command(("head", "-c", "20000000", "/dev/zero")))
    assert result.ok and len(result.stdout) == 20_000_000 and result.seconds < 5


def test_output_past_the_cap_is_cut_and_said(far: Remote) -> None:
    result = far.run(Command(("head", "-c", "3000000", "/dev/zero"), cap=1000))
    assert result.cut and not result.ok and len(result.stdout) == 1000 and result.code == 0


def test_a_time_limit_ends_the_process_on_the_far_side(far: Remote) -> None:
    result = far.run(Command(slow(f"71.{os.getpid()}"), timeout=1.0))
    assert result.code == TIMED_OUT and result.seconds < 10
    assert subprocess.run(["pgrep", "-f", f"sleep 71[.]{os.getpid()}"], capture_output=True, timeout=10).returncode == 1


def test_code_124_of_the_command_itself_is_no_time_out(far: Remote) -> None:
    assert far.run(Command(("sh", "-c", "exit 124"))).code == 124


def test_both_exit_codes_of_a_feed_come_back(far: Remote) -> None:
    good = far.run(Command(("tr", "a-z", "A-Z"), feed=("printf", "%s", "mot'hai")))
    assert good.ok and good.stdout == b"MOT'HAI"
    broken = far.run(Command(("cat",), feed=("sh", "-c", "echo nửa; exit 3")))
    assert (broken.code, broken.feed_code, broken.ok) == (0, 3, False) and broken.text == "nửa\n"
    other = far.run(Command(("sh", "-c", "cat >/dev/null; echo lỗi >&2; exit 4"), feed=("echo", "x")))
    assert (other.code, other.feed_code) == (4, 0) and other.stderr == b"l\xe1\xbb\x97i\n"
    assert far.run(Command(("cat",), feed=("no-such-program-here",))).feed_code == 127
    assert far.run(Command(("true",), feed=("yes",))).feed_code not in (0, -1)
    late = far.run(Command(("cat",), feed=slow("72.5"), timeout=1.0))
    assert late.code == TIMED_OUT and late.feed_code == TIMED_OUT


def test_a_feed_is_bytes_not_text(far: Remote, tmp_path: Path) -> None:
    data = os.urandom(700_000)
    (tmp_path / "data").write_bytes(data)
    assert far.run(Command(("cat",), feed=("cat", str(tmp_path / "data")))).stdout == data


LOOK = "cat \"$SECRET_FILE\"; echo; echo \"$SECRET_FILE\";" \
    " cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' ' '"


@pytest.mark.parametrize("feed", [(), ("printf", "x")])
def test_a_secret_comes_by_descriptor_and_shows_nowhere(far: Remote, feed: tuple[str, ...]) -> None:
    value = b"hat-giong;'\"$x\xff-" + os.urandom(4).hex().encode()
    result = far.run(Command(("sh", "-c", LOOK), feed=feed, secrets={"SECRET_FILE": Secret(value)}))
    lines = result.stdout.split(b"\n")
    assert result.ok and lines[0] == value and lines[1] == b"/dev/fd/9"
    assert len(b"\n".join(lines[2:])) > 500 and value not in b"\n".join(lines[2:])


def test_a_feed_can_read_the_secret_too(far: Remote) -> None:
    command = Command(("cat",), feed=("sh", "-c", 'cat "$P"'), secrets={"P": Secret(b"kin")})
    assert far.run(command).stdout == b"kin"


def test_what_cannot_be_done_is_refused_before_anything_runs() -> None:
    one = Secret(b"x")
    for command in (
        Command(("true",), secrets={"A": one, "B": one}),
        Command(("true",), secrets={"A": one}, stdin=b"y"),
        Command(("true",), env={"A;id": "x"}),
    ):
        with pytest.raises(UsageError):
            command_line(command, "t")
    line, stdin = command_line(Command(("true",), secrets={"A": Secret(b"bi mat")}), "t")
    assert "bi mat" not in line and stdin == b"bi mat"


def test_files_are_read_or_fail_as_open_would(far: Remote, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "tệp 'lạ'\n").write_bytes(data)
    assert far.read(str(tmp_path / "tệp 'lạ'\n")) == data
    assert far.read(str(tmp_path / "tệp 'lạ'\n"), 10) == data[:10]
    with pytest.raises(FileNotFoundError):
        far.read(str(tmp_path / "không có"))


def test_reading_goes_without_sftp_too(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "s", "-o", "LogLevel=INFO")
    try:
        (tmp_path / "f").write_bytes(b"abcdef")
        with remote(server.host(), secret, {}) as runner:
            assert runner.read(str(tmp_path / "f"), 4) == b"abcd"
            with pytest.raises(FileNotFoundError):
                runner.read(str(tmp_path / "g"))
    finally:
        server.stop()


def refused(host: Host, hosts: dict[str, Host] | None = None) -> GaccongError:
    with remote(host, secret, hosts or {}) as runner, pytest.raises(GaccongError) as caught:
        runner.run(Command(("true",)))
    assert caught.value.mend.vi and caught.value.mend.en
    return caught.value


def test_an_unknown_host_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "kh").write_text("")
    error = refused(sshd.host(known_hosts=tmp_path / "kh"))
    assert isinstance(error, CannotSee) and "không có trong" in error.what.vi
    assert (tmp_path / "kh").read_text() == ""


def test_a_wrong_host_key_on_file_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "kh").write_text(f"[::1]:{sshd.port} {make_key(tmp_path / 'other')}\n")
    error = refused(sshd.host(known_hosts=tmp_path / "kh"))
    assert isinstance(error, CannotSee) and "ĐÃ THAY ĐỔI" in error.what.vi


def test_a_missing_or_odd_known_hosts_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    assert "known_hosts" in refused(sshd.host(known_hosts=None)).what.vi
    assert "kh" in refused(sshd.host(known_hosts=tmp_path / "kh")).what.vi
    (tmp_path / "kh").write_text(f"@cert-authority * {sshd.host_key}\n")
    assert isinstance(refused(sshd.host(known_hosts=tmp_path / "kh")), GaccongError)


def test_a_wrong_key_a_damaged_key_and_a_closed_port_say_so(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    assert "không nhận khóa" in refused(sshd.host(key=f"file:{tmp_path / 'other'}")).what.vi
    (tmp_path / "bad").write_text("rác")
    (tmp_path / "bad").chmod(0o600)
    assert "không đọc được" in refused(sshd.host(key=f"file:{tmp_path / 'bad'}")).what.vi
    assert "không kết nối được" in refused(sshd.host(port=free_port())).what.vi


def test_a_silent_server_is_given_up(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr("ops.ssh.LOGIN_SECONDS", 1)
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen()
        started = time.monotonic()
        refused(sshd.host(port=listener.getsockname()[1]))
        assert time.monotonic() - started < 8


def test_a_gateway_carries_and_is_as_strict(sshd: Sshd, tmp_path: Path) -> None:
    target = Sshd(tmp_path / "target")
    try:
        host = target.host("trong", gateway="cong")
        with remote(host, secret, {"cong": sshd.host("cong")}) as runner:
            assert runner.run(Command(("echo", "qua cổng"))).text == "qua cổng\n"
            assert runner.run(Command(("sh", "-c", "echo lần hai; exit 2"))).code == 2
        (tmp_path / "kh").write_text("")
        assert "cong" in refused(host, {"cong": sshd.host("cong", known_hosts=tmp_path / "kh")}).what.vi
        unknown = target.host("trong", gateway="cong", known_hosts=tmp_path / "kh")
        assert "trong" in refused(unknown, {"cong": sshd.host("cong")}).what.vi
        assert "máy trung gian" in refused(host, {}).what.vi
        refused(host, {"cong": sshd.host("cong", gateway="trong"), "trong": host})
    finally:
        target.stop()


def test_the_users_own_ssh_settings_are_not_read(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host *\n  ProxyCommand false\n  User nobody\n")
    (tmp_path / ".fabric.yaml").write_text("user: nobody\ngateway: nowhere\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with remote(sshd.host(), secret, {}) as runner:
        assert runner.run(Command(("id", "-un"))).text == "root\n"


def test_a_lost_connection_is_said_and_the_next_command_connects_anew(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "s")
    try:
        with remote(server.host(), secret, {}) as runner:
            parent = runner.run(Command(("sh", "-c", "ps -o ppid= -p $PPID"))).text
            assert parent.strip().isdigit()
            threading.Timer(0.7, runner._connections[0].transport.sock.shutdown, (2,)).start()
            with pytest.raises(CannotSee, match="lost|connect"):
                runner.run(Command(("sleep", "20")))
            assert runner.run(Command(("echo", "lại"))).text == "lại\n"
    finally:
        server.stop()


def test_several_threads_share_one_connection(far: Remote) -> None:
    found: dict[int, str] = {}

    def one(number: int) -> None:
        found[number] = far.run(Command(("sh", "-c", f"sleep 0.3; echo {number}"))).text.strip()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == {number: str(number) for number in range(8)} and len(far._connections) == 1
