"""Starting and stopping: what was started ends, what was not started lives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from ops.cli.demo import processes
from ops.cli.demo.layout import Demo, load
from ops.cli.demo.site import make_demo
from ops.errors import GaccongError

ALL = ("nameserver", "app", "phone", "nginx")


@pytest.fixture
def fresh(tmp_path: Path) -> Demo:
    return make_demo(tmp_path / "site")


def _group(demo: Demo, name: str) -> int:
    return int(json.loads((demo.run / f"{name}.json").read_text())["pid"])


def _members(group: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def test_stop_leaves_nothing_and_may_be_repeated(fresh: Demo) -> None:
    processes.start(fresh)
    groups = [_group(fresh, name) for name in ALL]
    try:
        assert processes.running(fresh) == ALL
        assert len(_members(groups[3])) >= 2  # nginx' master and worker
    finally:
        processes.stop(fresh)
    assert [_members(group) for group in groups] == [[], [], [], []]
    assert processes.running(fresh) == ()
    assert list(fresh.run.glob("*.json")) == []
    processes.stop(fresh)


def test_a_second_start_changes_nothing_and_heals_what_died(fresh: Demo) -> None:
    processes.start(fresh)
    try:
        groups = [_group(fresh, name) for name in ALL]
        processes.start(fresh)
        assert [_group(fresh, name) for name in ALL] == groups
        os.killpg(groups[1], signal.SIGKILL)
        psutil.wait_procs([psutil.Process(groups[1])] if psutil.pid_exists(groups[1]) else [], timeout=5)
        assert processes.running(fresh) == ("nameserver", "phone", "nginx")
        processes.start(fresh)
        assert processes.running(fresh) == ALL
        assert _group(fresh, "app") != groups[1]
    finally:
        processes.stop(fresh)


def test_a_stranger_with_the_same_id_is_left_alone(fresh: Demo) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        kept = {"pid": stranger.pid, "started": psutil.Process(stranger.pid).create_time() - 3600}
        (fresh.run / "app.json").write_text(json.dumps(kept))
        assert processes.running(fresh) == ()
        processes.stop(fresh)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_taken_port_is_told_with_the_services_own_words_and_nothing_stays(fresh: Demo) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", fresh.ports.app))
        taken.listen()
        with pytest.raises(GaccongError) as caught:
            processes.start(fresh)
    assert "app" in caught.value.what.vi
    assert "Address already in use" in caught.value.what.vi
    assert processes.running(fresh) == ()


def test_another_process_can_stop_it(fresh: Demo) -> None:
    import sys

    processes.start(fresh)
    group = _group(fresh, "nginx")
    try:
        subprocess.run([sys.executable, "-m", "ops.cli.demo.serve", "--stop", str(fresh.root)], timeout=60, check=True)
        assert _members(group) == []
        assert processes.running(load(fresh.root) or fresh) == ()
    finally:
        processes.stop(fresh)
