"""`./setup`: what it says, what it refuses, and what it names where it cannot install."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def _run(program: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run([str(program), *words], capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_print_only_prints_the_line_for_people_who_install_by_hand(checkout: Path) -> None:
    done = _run(checkout / "setup", "core", "--print")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("apt-get install --no-install-recommends restic nginx-light ")
    everything = _run(checkout / "setup", "test", "--print").stdout
    assert set(done.stdout.split()) < set(everything.split())


@pytest.mark.parametrize("words", [("tất-cả",), ("core", "--in")])
def test_unknown_words_are_refused(checkout: Path, words: tuple[str, ...]) -> None:
    done = _run(checkout / "setup", *words)
    assert done.returncode == 2
    assert "[core|test|restic]" in done.stderr


def test_on_another_system_it_names_what_is_missing_and_stops(checkout: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("sh", "dirname", "cat", "cksum", "id", "env", "mktemp", "rm"):
        found = shutil.which(tool)
        assert found
        (bare / tool).symlink_to(found)
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("requirements.lock", "requirements-test.lock", "pyproject.toml"):
        shutil.copy(checkout / name, tree)
    # without the system folders that the script adds, this machine looks like one without any of the programs
    script = (checkout / "setup").read_text()
    added = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n"
    assert script.count(added) == 1
    (tree / "setup").write_text(script.replace(added, ""))
    (tree / "setup").chmod(0o755)
    done = _run(tree / "setup", path=str(bare))
    assert done.returncode == 2
    assert "restic nginx-light openssh-client" in done.stderr
    assert not (tree / ".venv").exists()


def test_a_second_time_it_says_and_changes_nothing(checkout: Path) -> None:
    kept = {path: path.read_bytes() for path in (checkout / ".venv").glob("stamp-*")}
    if not kept:
        pytest.skip("this .venv was not made by ./setup")
    done = _run(checkout / "setup", "core")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path: path.read_bytes() for path in kept} == kept
