"""Commands: no deadlock, bounded output and time, secrets by descriptor only, a small environment."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ops.errors import MissingTool
from ops.run import STOPPED, TIMED_OUT, Command, Here
from ops.secrets import Secret

HERE = Here()


def test_much_on_both_streams_does_not_deadlock() -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' a >&2; head -c 3000000 /dev/zero | tr '\\0' b; cat >/dev/null"
    result = HERE.run(Command(("sh", "-c", script), stdin=b"x" * 3_000_000))
    assert result.ok and len(result.stdout) == len(result.stderr) == 3_000_000


def test_output_beyond_the_cap_is_cut_and_said() -> None:
    result = HERE.run(Command(("sh", "-c", "head -c 100000 /dev/zero"), cap=1000))
    assert result.cut and not result.ok and len(result.stdout) == 1000


def test_the_time_limit_ends_the_whole_group() -> None:
    started = time.monotonic()
    result = HERE.run(Command(("sh", "-c", "sleep 30 & echo $!; wait"), timeout=0.5))
    assert result.code == TIMED_OUT and time.monotonic() - started < 8
    child = int(result.stdout)
    time.sleep(0.2)
    stat = Path(f"/proc/{child}/stat")  # gone, or a zombie that its new parent has not buried yet
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_being_told_to_stop_ends_it_too() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    assert Here(stop).run(Command(("sleep", "30"))).code == STOPPED and time.monotonic() - started < 8


def test_a_secret_comes_by_descriptor_and_nothing_else() -> None:
    script = 'cat "$P"; tr "\\0" " " </proc/$$/cmdline; tr "\\0" " " </proc/$$/environ'
    result = HERE.run(Command(("sh", "-c", script), secrets={"P": Secret(b"hush-hush")}))
    assert result.text.count("hush-hush") == 1 and result.text.startswith("hush-hush")
    assert "hush" not in repr(Command(("x",), secrets={"P": Secret(b"hush-hush")}))


def test_the_environment_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEBODYS_TOKEN", "t")
    names = {line.partition("=")[0] for line in HERE.run(Command(("env",), env={"A": "b"})).text.splitlines()}
    assert {"PATH", "HOME", "LC_ALL", "TZ", "A"} >= names - {"PWD", "SHLVL", "_"}


def test_the_current_folder_is_never_searched_for_programs(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    evil = tmp_path / "restic-made-up"
    evil.write_text("#!/bin/sh\necho evil\n")
    evil.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for path in ("", ".", ":/usr/bin"):
        monkeypatch.setenv("PATH", path)
        with pytest.raises(MissingTool):
            HERE.run(Command(("restic-made-up",)))


def test_a_failing_feed_is_not_success() -> None:
    result = HERE.run(Command(("cat",), feed=("sh", "-c", "echo half; exit 3")))
    assert result.code == 0 and result.feed_code == 3 and not result.ok


def test_a_sink_takes_the_bytes_as_they_come_and_may_end_it() -> None:
    got = bytearray()
    result = Here().run(Command((sys.executable, "-c", "import os; os.write(1, bytes(range(256)) * 40000)"),
                                sink=got.extend))
    assert result.ok and bytes(got) == bytes(range(256)) * 40000 and result.stdout == b""

    def full(chunk: bytes) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        Here().run(Command(("sh", "-c", "echo x; sleep 977"), sink=full))
    assert not subprocess.run(["pgrep", "-f", "sleep 977"], capture_output=True, timeout=10).stdout


def test_what_holds_a_secret_is_nobody_elses_to_read() -> None:
    told = Here().run(Command(("sh", "-c", 'stat -L -c %a "$WORD"; cat "$WORD"; cat "$WORD"'),
                              secrets={"WORD": Secret(b"kin")}))
    assert told.text == "600\nkinkin"  # ssh, libpq and MariaDB's programs refuse anything wider
