"""`gaccong watch` as a person runs it: in a terminal of its own, narrow or wide, and into a file."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.cli.watch import fleet_lines, site_lines
from tests.kit import NOW
from tests.monitoring.desk import HOSTILE, night
from tests.monitoring.seeded import PRIVATE, seeded

GACCONG = Path(sys.executable).parent / "gaccong"
SITE = """
[site.xamau]
name = "Xã Suối Trong"
policy = "thong-nhat"
url = "https://xasuoitrong.test/"
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("watch")
    (folder / "state").mkdir(mode=0o700)
    _, store = seeded(folder / "state", datetime.now(UTC).replace(microsecond=0))
    store.close()
    (folder / "gaccong.toml").write_text(f'state = "state"\nstore = "sqlite:///{folder}/state/store.db"\n' + SITE, encoding="utf-8")
    yield folder / "gaccong.toml"


def argv(config: Path, *words: str) -> list[str]:
    return [str(GACCONG), "--config", str(config), "watch", *words]


def _without_size() -> dict[str, str]:
    """The environment without a size that another terminal had: it would go before this one's own."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class Terminal:
    """A real pseudo-terminal with the command in it."""

    def __init__(self, config: Path, columns: int, rows: int, *words: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(argv(config, *words), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env={**_without_size(), "TERM": "xterm-256color"})
        self.seen = b""

    def until(self, words: str, seconds: float = 30) -> str:
        limit = time.monotonic() + seconds
        while words.encode() not in self.seen:
            assert time.monotonic() < limit, self.seen.decode(errors="replace")
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 65536)
        return self.seen.decode(errors="replace")

    def end(self) -> int:
        try:
            limit = time.monotonic() + 15
            while self.process.poll() is None and time.monotonic() < limit:
                if select.select([self.master], [], [], 0.1)[0]:
                    self.seen += os.read(self.master, 65536)
            return self.process.wait(1)
        finally:
            self.process.kill()
            self.process.wait(10)
            os.close(self.master)
            os.close(self.slave)


@pytest.mark.parametrize("columns", [40, 120])
def test_it_lives_in_a_terminal_until_q(config: Path, columns: int) -> None:
    terminal = Terminal(config, columns, 60, "--every", "1")
    seen = terminal.until("q: thôi")
    assert "việc đang hỏng" in seen
    assert "\x1b[?1049h" in seen, "a screen of its own"
    first = len(terminal.seen)
    terminal.until("web.ipv6")
    time.sleep(1.5)
    select.select([terminal.master], [], [], 5)
    terminal.seen += os.read(terminal.master, 65536)
    assert len(terminal.seen) > first, "it is drawn again"
    os.write(terminal.master, b"xq")
    assert terminal.end() == 0
    assert b"\x1b[?1049l" in terminal.seen
    assert b"Traceback" not in terminal.seen


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_terminal_is_put_back_whatever_ends_it(config: Path, kind: signal.Signals) -> None:
    terminal = Terminal(config, 80, 24)
    terminal.until("q: thôi")
    assert termios.tcgetattr(terminal.slave)[3] != terminal.before[3], "single keys are read"
    terminal.process.send_signal(kind)
    limit = time.monotonic() + 15
    while terminal.process.poll() is None and time.monotonic() < limit:
        if select.select([terminal.master], [], [], 0.1)[0]:
            terminal.seen += os.read(terminal.master, 65536)
    assert terminal.process.wait(1) == 0
    assert termios.tcgetattr(terminal.slave)[3] == terminal.before[3]
    terminal.end()
    assert b"\x1b[?25h" in terminal.seen.rpartition(b"\x1b[?25l")[2], "the cursor is back"


def test_what_does_not_fit_is_counted(config: Path) -> None:
    terminal = Terminal(config, 40, 12)
    seen = terminal.until("q: thôi")
    assert "… còn" in seen
    os.write(terminal.master, b"q")
    assert terminal.end() == 0


def test_into_a_file_it_writes_plain_lines(config: Path) -> None:
    done = subprocess.run(argv(config, "--once"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "3 việc đang hỏng, 2 việc sắp hỏng" in done.stdout
    assert "Lần cuối đạt" in done.stdout
    assert "→ curl -6 -sSLv -o /dev/null https://xasuoitrong.test/" in done.stdout
    assert "IPv4 " in done.stdout
    assert "Nguyễn Văn Mẫu" not in done.stdout


def test_into_a_pipe_it_repeats_itself_only_when_something_turned(config: Path) -> None:
    with subprocess.Popen(argv(config, "--every", "1"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        time.sleep(5)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=20)[0]
    assert told.count("việc đang hỏng") == 1
    assert process.returncode == 0


def test_hostile_names_steer_no_terminal(tmp_path: Path) -> None:
    from monitoring.page.dossier import dossier

    found, store = seeded(tmp_path, NOW, name="\x1b[2J[bold red]" + HOSTILE + "\n\nđạt")
    with store:
        made = dossier(found.read("xamau"), found, PRIVATE)
        lines = site_lines(made, "vi", 80, str)
    text = "\n".join(line.plain for line in lines)
    assert "\x1b" not in text
    assert "\\x1b[2J[bold red]<script>" in text
    assert not any(line.plain == "đạt" for line in lines)


def test_a_fleet_shows_the_worst_first() -> None:
    from monitoring.page.board import Fleet, _line

    lines = [_line(night(site=f"xa{number}", name=f"Xã {number}"), PRIVATE) for number in range(3)]
    told = [line.plain for line in fleet_lines(Fleet(lines, 2, NOW - timedelta(1)), "vi")]
    assert told[0] == " ✗ 3 "
    assert "đang đọc lại 2 trang" in told
    assert "✗ Xã 0  3 việc đang hỏng, 2 việc sắp hỏng" in told
