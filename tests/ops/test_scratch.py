"""Scratch folders: nothing stays behind, also after kill -9, and nobody's living folder is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ops.scratch import take

KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from ops.scratch import take
made = take(Path(sys.argv[1]), "a")
(made.path / "deep").mkdir()
(made.path / "deep" / "file").write_text("x")
left = subprocess.Popen(["tail", "-f", str(made.path / "deep" / "file")], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(left.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    root = tmp_path / "scratch"
    living = take(root, "b")
    (living.path / "mine").write_text("x")
    stranger = subprocess.Popen(["sleep", "60"])
    done = subprocess.run([sys.executable, "-c", KILLED, str(root)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    left = int(done.stdout)
    assert len(list(root.iterdir())) == 2 and Path(f"/proc/{left}").exists()
    made = take(root, "a")
    assert sorted(path.name for path in root.iterdir()) == sorted([living.path.name, made.path.name])
    assert made.path.stat().st_mode & 0o777 == 0o700 and (living.path / "mine").exists()
    for _ in range(100):
        if not Path(f"/proc/{left}/cmdline").exists() or not Path(f"/proc/{left}/cmdline").read_bytes():
            break
        time.sleep(0.05)
    else:
        raise AssertionError("what it left running still runs")
    stranger.kill()
    stranger.wait(10)
    made.give_back()
    living.give_back()
    assert list(root.iterdir()) == []


def test_a_tree_deeper_than_shutil_can_is_removed(tmp_path: Path) -> None:
    made = take(tmp_path / "s", "a")
    here = os.getcwd()
    try:
        os.chdir(made.path)
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    made.give_back()
    assert list((tmp_path / "s").iterdir()) == []
