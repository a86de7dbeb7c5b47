"""The tour: the whole of it as a person runs it, and as a normal user; and that it stops when something is not as told."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cli.demo import layout, processes, tour
from ops.cli.demo.layout import Demo
from ops.cli.demo.site import make_demo


@pytest.mark.timeout(480)
def test_the_whole_tour_over_a_leftover_that_still_runs(tmp_path: Path) -> None:
    left = make_demo(tmp_path / ".demo")
    processes.start(left)
    (left.www / "index.html").write_text("hỏng từ lần trước")
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli.demo.tour"], cwd=tmp_path, capture_output=True, text=True, timeout=460, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "tệp trở lại giống hệt từng byte" in done.stdout
    assert "không dòng nào bị sửa" in done.stdout
    assert layout.load(tmp_path / ".demo") == left
    assert processes.running(left) == ()
    assert {path.suffix for path in (left.root / "reports").iterdir()} >= {".docx", ".pdf", ".json"}
    assert [path.name for path in tmp_path.iterdir()] == [".demo"]


def test_an_exit_code_that_was_not_announced_stops_it(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    running = tour.Tour(demo)
    with pytest.raises(tour.Halted, match="mã 2, mong đợi 0"):
        running.visit(1, 1, tour.Stop("sai", ("look", "khong.co")))
    assert "khong.co" in capsys.readouterr().out
    with pytest.raises(tour.Halted, match="digest"):
        running.visit(1, 1, tour.Stop("sai", ("apply", "{digest}", "--by", "x")))
    with pytest.raises(tour.Halted, match="xuất sổ"):
        running.visit(1, 1, tour.Stop("sai", ("verifier",)))


def test_what_an_intruder_broke_and_nobody_mended_is_not_told_as_proved(tmp_path: Path) -> None:
    broken = make_demo(tmp_path / "site")
    before = tour.tree(broken.www)
    tour.break_site(broken)
    with pytest.raises(tour.Halted, match="khôi phục chưa đủ"):
        tour.summary(tour.Tour(broken), before)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that `nobody` owns and reaches; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="demo-nobody-"))
    shutil.chown(folder, "nobody")
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _as_nobody(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["runuser", "-u", "nobody", "--", *argv], cwd=cwd, capture_output=True, text=True, timeout=230, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def _readable(source: Path, copy: Path) -> Path:
    """The folder itself, or a copy where it lies in somebody's closed home (root's, say)."""
    if _as_nobody("test", "-r", str(source / "."), cwd=copy.parent).returncode == 0:
        return source
    shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".git", ".demo", "__pycache__"))
    return copy


def _interpreter(public: Path, checkout: Path) -> str:
    """A Python with our libraries that `nobody` may run; skips where there is none."""
    if os.geteuid() != 0 or _as_nobody("true", cwd=public).returncode:
        pytest.skip("only root can become another user")
    if _as_nobody(sys.executable, "-c", "import ops.cli", cwd=public).returncode == 0:
        return sys.executable
    # this interpreter lies in somebody's closed home: the system's own of the same version takes its place
    made = public / "venv"
    done = _as_nobody("/usr/bin/python3", "-m", "venv", "--without-pip", str(made), cwd=public)
    folder = made / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    if done.returncode or not folder.is_dir():
        pytest.skip("no Python of this version that another user may run")
    code = _readable(checkout, public / "code")
    libraries = _readable(Path(sysconfig.get_path("purelib")), public / "libraries")
    paths = [str(code), str(libraries), *site.getsitepackages()]
    (folder / "all.pth").write_text("\n".join(dict.fromkeys(paths)) + "\n")
    if _as_nobody(str(made / "bin/python"), "-I", "-c", "import ops.cli, psutil", cwd=public).returncode:
        pytest.skip("another user cannot read this checkout")
    return str(made / "bin/python")


_STORY = """
import sys
from pathlib import Path
from ops.cli.demo import processes
from ops.cli.demo.site import make_demo
made = make_demo(Path("site"))
processes.start(made)
try:
    print(*processes.running(made))
finally:
    processes.stop(made)
print(len(processes.running(made)))
"""


def test_a_normal_user_can_make_and_run_it(public: Path, checkout: Path) -> None:
    python = _interpreter(public, checkout)
    done = _as_nobody(python, "-I", "-c", _STORY, cwd=public)
    assert (done.returncode, done.stdout) == (0, "nameserver app phone nginx\n0\n"), done.stderr
    owners = {path.lstat().st_uid for path in (public / "site").rglob("*")}
    assert owners == {public.stat().st_uid}
