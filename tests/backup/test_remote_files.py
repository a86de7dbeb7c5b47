"""Files of another machine: real rsync over our ssh from a real sshd; what is lost, cut, hostile or empty there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backup import fetch, rsync
from backup.checks.contents import contents
from backup.checks.drill import drill
from backup.source import read_note, write_note
from backup.sources.files import Source
from backup.ssh import sign_of
from backup.stage import stage_of
from ops.errors import PlanRefused
from tests.accounts.servers import Sshd, make_key
from tests.backup.far import FarRoom, Way, take_key

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="sshd for root needs root")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


class Far(FarRoom):
    """A room whose set `user` takes `site` and `cau-hinh.conf` from the host `web`; they lie under tmp/xa."""

    def prepare(self, sshd: Sshd, **host: Any) -> Far:
        self.site_folder, self.conf = self.tmp / "xa/srv/trang web", self.tmp / "xa/etc/cau-hinh.conf"
        for folder in (self.site_folder / "anh/2026", self.site_folder / "cache", self.conf.parent):
            folder.mkdir(parents=True)
        (self.site_folder / "index.php").write_text("<?php // Xã mẫu\n")
        for number in range(40):
            (self.site_folder / "anh/2026" / f"ảnh {number}.jpg").write_bytes(os.urandom(3000))
        (self.site_folder / "cache" / "x").write_text("x")
        (self.site_folder / "anh" / "tạm.tmp").write_text("x")
        self.conf.write_text("listen 80\n")
        self.far["web"] = sshd.host("web", **{"key": take_key(sshd, self.tmp / "bi-mat"), **host})
        self.change()
        return self

    def change(self, **more: Any) -> None:
        source = {"kind": "files", "host": "web", "paths": [str(self.site_folder)],
                  "exclude": ["*.tmp", f"{self.site_folder}/cache"], **more}
        user = {"level": "user", "schedule": "30 1 * * *", "source": [source]}
        self.site.settings["backup"] = self.settings(set={"user": user, "system": {**user, "level": "system"}})

    @property
    def mirror(self) -> Path:
        return stage_of(self.tmp / "home", "user") / "web"

    def there(self) -> Path:
        return self.mirror / self.site_folder.relative_to("/")

    def fetch(self) -> Any:
        """The staging step alone, with the stage made ready before it."""
        plan = self.plan()
        step = next(one for one in plan.steps if "backup.fetch" in one.argv)
        return self.carry((plan.steps[0], step))[-1]

    def note(self) -> dict[str, Any]:
        return read_note(self.mirror.with_name("web.note.json"))


@pytest.fixture
def far(tmp_path: Path, template: Path, sshd: Sshd) -> Far:
    return Far(tmp_path, template).prepare(sshd)


def test_a_whole_night_from_another_machine(far: Far) -> None:
    (far.site_folder / "liên kết").symlink_to("/etc/passwd")
    os.link(far.site_folder / "index.php", far.site_folder / "index-2.php")
    os.chown(far.site_folder / "index.php", 12345, 54321)
    with suppress(OSError):
        os.setxattr(far.conf, "user.nguon", b"xa")  # not every file system has them; then the mirror does without
    far.change(paths=[str(far.site_folder), str(far.conf)])
    first = far.plan()
    body = far.night()
    assert body["outcome"] == "proved", body
    assert (far.mirror / str(far.conf).lstrip("/")).read_text() == "listen 80\n"
    assert far.plan() == first
    there = far.there()
    assert (there / "liên kết").readlink() == Path("/etc/passwd")
    assert (there / "index.php").stat().st_uid == 12345 and (there / "index.php").stat().st_gid == 54321
    assert (there / "index.php").stat().st_ino == (there / "index-2.php").stat().st_ino
    assert (there / "index.php").stat().st_mtime_ns == (far.site_folder / "index.php").stat().st_mtime_ns
    assert not (there / "cache").exists() and not (there / "anh/tạm.tmp").exists()
    assert far.mirror.stat().st_mode & 0o777 == 0o700
    found = far.look(drill, "user")["user"]
    assert found.verdict == "met", found.detail
    assert str(far.mirror) in far.look(contents, "user")["user"].facts["asked"]
    # what goes there goes here, what comes there comes here
    (far.site_folder / "anh/2026/ảnh 3.jpg").unlink()
    (far.site_folder / "tin.html").write_text("mới")
    assert far.night()["outcome"] == "proved"
    assert not (there / "anh/2026/ảnh 3.jpg").exists() and (there / "tin.html").read_text() == "mới"


def test_the_restored_mirror_is_looked_at(far: Far) -> None:
    far.change(paths=[str(far.site_folder), str(far.conf)])
    assert far.fetch().code == 0
    source = far.site.settings["backup"].set["user"].source[0]
    assert isinstance(source, Source) and source.live() == () and source.excluded() == ()
    assert source.staged() == ("web", "web.note.json")
    (far.there() / "index.php").rename(far.tmp / "weg")
    (far.mirror / str(far.conf).lstrip("/")).unlink()

    class Copy:
        root, stage = far.tmp, far.mirror.parent

    assert [str(text.en) for text in source.examine(Copy())] == [f"{far.conf} is not in the restored copy"]  # type: ignore[arg-type]


def test_a_far_side_that_lost_all_keeps_the_last_mirror(far: Far) -> None:
    assert far.night()["outcome"] == "proved"
    kept = sorted(str(path) for path in far.there().rglob("*"))
    site = far.site_folder
    site.rename(far.tmp / "xa/weg")
    losses = {
        "không có": lambda: None, "rỗng": site.mkdir, "rỗng (": (site / "index.php").touch,
        "chỉ là liên kết": lambda: ((site / "index.php").unlink(), site.rmdir(), site.symlink_to("/etc")),
        "chỉ còn 1 tệp": lambda: (site.unlink(), site.mkdir(), (site / "index.php").write_text("hacked")),
    }
    for said, lose in losses.items():
        lose()
        assert far.fetch().code == 3 and said in far.note()["trouble"], (said, far.note())
        assert sorted(str(path) for path in far.there().rglob("*")) == kept
    assert (far.there() / "index.php").read_text().startswith("<?php")
    body = far.night()  # nor does another night forget
    assert body["outcome"] == "unproved" and "chỉ còn 1 tệp" in body["proofs"][0][1]
    far.mirror.with_name("web.note.json").unlink()  # a person says: that is right
    assert far.fetch().code == 0
    assert (far.there() / "index.php").read_text() == "hacked" and not (far.there() / "anh").exists()


def test_a_far_side_without_the_path_on_the_first_night(far: Far) -> None:
    far.site_folder.rename(far.tmp / "xa/weg")
    body = far.night()
    assert body["outcome"] == "unproved" and "không có" in body["proofs"][0][1] and "rỗng" in body["proofs"][0][1]


def test_what_cannot_be_read_there_is_told_and_nothing_is_removed(far: Far) -> None:
    assert far.fetch().code == 0
    (far.site_folder / "anh/2026/ảnh 1.jpg").unlink()
    closed = far.site_folder / "đóng"
    closed.mkdir(mode=0)
    # a far account that is bound to one command and may not read all
    weak = Sshd(far.tmp / "weak", keys="x")
    try:
        words = "setpriv --bounding-set=-dac_override,-dac_read_search sh -c \\\"$SSH_ORIGINAL_COMMAND\\\""
        (weak.folder / "auth").write_text(f'restrict,command="{words}" {weak.client_key}\n')
        good = far.far["web"]
        far.far["web"] = weak.host("web", key=take_key(weak, far.tmp / "bi-mat-2"))
        result = far.fetch()
        assert result.code == 3 and "Permission denied" in far.note()["trouble"], far.note()
        assert (far.there() / "anh/2026/ảnh 1.jpg").exists()
    finally:
        weak.stop()
        closed.rmdir()
    far.far["web"] = good
    assert far.fetch().code == 0 and not (far.there() / "anh/2026/ảnh 1.jpg").exists()


@pytest.mark.parametrize("abrupt", [False, True])
def test_a_cut_connection_is_told_and_the_next_fetch_repairs(far: Far, sshd: Sshd, abrupt: bool) -> None:
    """A connection that ends, and one that is reset: in both the host was reached, and nobody waits for a time limit."""
    (far.site_folder / "phim.mp4").write_bytes(os.urandom(6_000_000))
    way = Way(sshd.port, limit=3_000_000, abrupt=abrupt)
    try:
        known = far.tmp / "known_hosts"
        known.write_text(f"[::1]:{way.port} {sshd.host_key}\n[::1]:{sshd.port} {sshd.host_key}\n")
        far.far["web"] = replace(far.far["web"], port=way.port, known_hosts=known)
        result = far.fetch()
        assert result.code == 3 and result.done, result
        assert "mất kết nối" in far.note()["trouble"] and "sshd có chạy không" not in far.note()["trouble"], far.note()
        assert result.seconds < fetch.SILENT_SECONDS / 2, result
        assert not (far.there() / "phim.mp4").exists()
        far.far["web"] = replace(far.far["web"], port=sshd.port)
        if abrupt:
            assert far.fetch().code == 0
        else:
            assert far.night()["outcome"] == "proved"
        assert (far.there() / "phim.mp4").read_bytes() == (far.site_folder / "phim.mp4").read_bytes()
    finally:
        way.close()


def test_what_ssh_says_of_a_connection_that_stood() -> None:
    reset = "Connection reset by peer"
    assert sign_of(f"Read from remote host ::1: {reset}\r\nclient_loop: send disconnect: {reset}") == "cut"
    assert sign_of("client_loop: ssh_packet_write_poll: Connection to ::1 port 22: Broken pipe") == "cut"
    assert sign_of(f"ssh: connect to host ::1 port 22: {reset}") == "away"
    assert sign_of("Timeout, server ::1 not responding.") == "silent"


def test_killed_midway_the_note_says_so_and_nothing_lives_on(far: Far, sshd: Sshd) -> None:
    assert far.fetch().code == 0
    (far.site_folder / "phim.mp4").write_bytes(os.urandom(40_000_000))
    step = next(one for one in far.plan().steps if "backup.fetch" in one.argv)
    with open(sshd.folder / "client", "rb") as key:
        process = subprocess.Popen(
            step.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            pass_fds=[key.fileno()], env={"PATH": os.environ["PATH"], next(iter(step.secrets)): f"/dev/fd/{key.fileno()}"})
        for _ in range(500):
            if list(far.there().glob(".phim.mp4.*")):
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)  # the program alone, not its group
        process.wait(10)
    assert "không chạy hết" in far.note()["trouble"] and far.note()["good"]
    for _ in range(100):
        left = subprocess.run(["pgrep", "-f", f"[r]sync.*{far.tmp}"], capture_output=True, text=True, timeout=10).stdout
        if not left:
            break
        time.sleep(0.1)
    assert not left
    assert far.night()["outcome"] == "proved" and not list(far.there().glob(".phim.mp4.*"))


def test_a_changed_host_key_is_refused(far: Far) -> None:
    assert far.fetch().code == 0
    other = make_key(far.tmp / "other")
    (far.tmp / "kh").write_text(f"[::1]:{far.far['web'].port} {other}\n")
    far.far["web"] = replace(far.far["web"], known_hosts=far.tmp / "kh")
    body = far.night()
    assert body["outcome"] == "unproved" and "ĐÃ THAY ĐỔI" in body["proofs"][0][1], body["proofs"]
    assert (far.there() / "index.php").is_file()


def test_nobody_listens_there(far: Far) -> None:
    with socket.socket(socket.AF_INET6) as closed:
        closed.bind(("::1", 0))
        far.far["web"] = replace(far.far["web"], port=closed.getsockname()[1])
        assert far.fetch().code == 3
    assert "không kết nối được" in far.note()["trouble"]


def test_an_unknown_host_refuses_the_plan(far: Far) -> None:
    far.change(host="la")
    with pytest.raises(PlanRefused):
        far.plan()


def test_old_paths_go_and_a_planted_link_leads_nowhere(far: Far) -> None:
    """The far side once put a link where, since the settings changed, a folder of ours must stand."""
    victim = far.tmp / "victim"
    (victim / "trang web").mkdir(parents=True)
    (victim / "trang web" / "của-ta").write_text("x")
    parent = far.mirror / str(far.site_folder.parent).lstrip("/")
    parent.parent.mkdir(parents=True)
    parent.symlink_to(victim)
    (far.mirror / "cu").mkdir()
    (far.mirror / "cu" / "x").write_text("x")
    assert far.fetch().code == 0
    assert not parent.is_symlink() and (far.there() / "index.php").is_file() and not (far.mirror / "cu").exists()
    assert [path.name for path in (victim / "trang web").iterdir()] == ["của-ta"]


def test_devices_and_pipes_are_not_made(far: Far) -> None:
    os.mkfifo(far.site_folder / "ống")
    os.mknod(far.site_folder / "thiết bị", 0o600 | 0o020000, os.makedev(1, 3))
    assert far.fetch().code == 0
    assert not (far.there() / "ống").exists() and not (far.there() / "thiết bị").exists()


DEBIAN = "3.2.7-1+deb12u1"


@pytest.mark.parametrize(("version", "package", "verdict"), [
    ("3.5.0", "3.5.0+ds1-0+deb12u1", ""), ("v3.4.0", "", ""), ("3.2.7", DEBIAN, ""), ("3.2.7", "3.2.7-1+deb12u6", ""),
    ("3.2.7", "3.2.7-1", "only-upgrade"), ("3.2.7", "3.2.7-1+deb12u0", "only-upgrade"),
    ("3.2.7", "3.2.7-0ubuntu0.22.04.2", "only-upgrade"), ("3.2.7", "3.2.7-0ubuntu0.22.04.4", ""),
    ("3.2.7", "3.2.7-1ubuntu1", "only-upgrade"), ("3.2.7", "3.2.7-1ubuntu1.2", ""), ("3.3.0", "3.3.0-1ubuntu0.1", ""),
    ("3.2.4", "3.2.4-1", "3.2.5"), ("x", "", "3.2.5"), ("3.2.7", "", "?"), ("3.3.0", "3.3.0+ds1-1", "?"),
    ("3.2.7  protocol version 32", "", "")])
def test_which_rsync_may_pull_from_a_stranger(version: str, package: str, verdict: str) -> None:
    """By its own version, or by what its distribution mended without a new one. What nobody knows is told, not hidden."""
    said = f"rsync  version {version}  protocol version 31\n"
    if verdict in ("", "?"):
        assert ("CVE-2024-12086" in rsync.judge(said, package)) == bool(verdict)
    else:
        with pytest.raises(rsync.Unfit, match=verdict):
            rsync.judge(said, package)


def test_an_rsync_of_unknown_build_is_used_and_told_an_old_one_refused(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build in /usr/local is not the package, whatever dpkg knows of the one in /usr/bin."""
    real = shutil.which("rsync")
    assert real and rsync.look() == "" and rsync.package_of(Path(real)).startswith("3.")
    (far.tmp / "bin").mkdir()
    program = far.tmp / "bin/rsync"
    for version, code in (("3.2.7", 0), ("3.1.3", 3)):
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "rsync  version {version}  protocol 31" && exit\n'
                           f'exec {real} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        assert far.fetch().code == code and (far.there() / "index.php").is_file()
        assert ("CVE-2024-12086" in far.note()["doubt"]) if code == 0 else "quá cũ" in far.note()["trouble"], far.note()


def test_a_far_side_that_recurses_by_its_own_will_is_refused(far: Far) -> None:
    """CVE-2024-12087 needs incremental recursion, which a hostile sender switches on unasked."""
    hostile = Sshd(far.tmp / "hostile", keys="x")
    try:
        (hostile.folder / "rsync").write_text('#!/bin/sh\nset -- $(echo "$SSH_ORIGINAL_COMMAND" | sed "s/ -\\([a-zA-Z]*\\)e\\./ -\\1e.i/")\nexec "$@"\n')
        (hostile.folder / "rsync").chmod(0o755)
        (hostile.folder / "auth").write_text(f'restrict,command="{hostile.folder}/rsync" {hostile.client_key}\n')
        far.far["web"] = hostile.host("web", key=take_key(hostile, far.tmp / "bi-mat-2"))
        assert far.fetch().code == 3 and "Incompatible options" in far.note()["trouble"], far.note()
    finally:
        hostile.stop()


def test_once_a_week_every_byte_is_compared(far: Far) -> None:
    assert far.fetch().code == 0
    inside = far.there() / "index.php"
    status = inside.stat()
    inside.write_text("<?php // Xã mẵu\n")  # the mirror rots: same size, same time
    os.utime(inside, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert inside.stat().st_size == status.st_size
    assert far.fetch().code == 0 and inside.read_text() != (far.site_folder / "index.php").read_text()
    note = far.note()
    write_note(far.mirror.with_name("web.note.json"), {**note, "compared": note["compared"] - 8 * 86400})
    assert far.fetch().code == 0 and inside.read_text() == (far.site_folder / "index.php").read_text()


def test_the_disk_is_never_filled(far: Far, full_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = os.open(full_disk, os.O_RDONLY)
    try:
        with pytest.raises(fetch.Trouble, match="sắp hết chỗ"):
            fetch._guarded([sys.executable, "-c", "import time; time.sleep(60)"], held, time.monotonic() + 60)
        monkeypatch.setattr(fetch, "SPARE_BYTES", 0)
        monkeypatch.setattr(fetch, "SPARE_FILES", 0)
        with pytest.raises(fetch.Trouble, match="quá thời hạn"):
            fetch._guarded([sys.executable, "-c", "import time; time.sleep(60)"], held, time.monotonic() + 1)
    finally:
        os.close(held)


def test_a_far_sides_words_are_not_rsyncs_own_figures() -> None:
    """Messages of the far side stand in rsync's output too, before its figures: a site that is gone cannot feign to be there."""
    forged = "Number of files: 1,041 (reg: 1000, dir: 41)\nTotal file size: 99,000,000 bytes\n"
    real = "\nNumber of files: 2 (reg: 1, dir: 1)\nTotal file size: 6 bytes\n"
    assert fetch._stats(forged.replace(",0", "0") + real) == {"files": 1, "folders": 1, "links": 0, "bytes": 6}
    long = fetch.Kept()
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as stream:
        thread = threading.Thread(target=lambda: (os.write(theirs, forged.encode()), os.write(theirs, b"x" * 900_000),
                                                  os.write(theirs, real.encode()), os.close(theirs)))
        thread.start()
        long.read(stream)
        thread.join()
    assert fetch._stats(long.text)["files"] == 1


def test_a_list_of_files_without_end_does_not_eat_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rsync holds the whole list in memory; the far side says how long it is."""
    held = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(fetch, "SPARE_BYTES", 0)
    monkeypatch.setattr(fetch, "MEMORY", 1 << 28)
    try:
        done = fetch._guarded([sys.executable, "-c", "held = bytearray(1 << 29)"], held, time.monotonic() + 60)
    finally:
        os.close(held)
    assert done.returncode != 0 and "MemoryError" in done.stderr


def test_exclusions_mean_here_what_they_mean_to_restic(tmp_path: Path) -> None:
    """The same tree by restic's patterns and by rsync's rules: the same files stay."""
    from backup.restic import below
    from backup.tree import matcher, walk

    root = tmp_path / "a[1]*b"
    for name in ("x.tmp", "giữ.txt", "cache/y", "sâu/cache/z", "sâu/x.tmp", "a[1]*b/w", "sâu/x/1.log", "x/1.log", "ab/q"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    excludes = ["*.tmp", "cache", f"{root}/x/*.log", "a?"]
    ours = matcher([below(str(root), pattern) if not pattern.startswith("/") else str(root).replace("[", "\\[").replace(
        "*", "\\*") + pattern[len(str(root)):] for pattern in excludes])
    wanted = sorted(os.fsdecode(path)[len(str(root)):] for path, _, _ in walk([os.fsencode(root)], ours))
    (tmp_path / "to").mkdir()
    subprocess.run(["rsync", "-a", *(f"--filter={rule}" for rule in fetch.rules_for(root, excludes)), "--", str(root),
                    f"{tmp_path}/to/"], check=True, timeout=30)
    got = sorted(str(path)[len(str(tmp_path / "to" / root.name)):] for path in (tmp_path / "to").rglob("*"))
    assert got == wanted and "/giữ.txt" in got and "/cache" not in got


def test_settings_of_far_paths() -> None:
    with pytest.raises(ValidationError, match=r"must not hold"):
        Source.model_validate({"kind": "files", "host": "web", "paths": ["/srv/w[1]"]})
    two = [Source.model_validate({"kind": "files", "host": "web", "paths": ["/srv/a"], **more}) for more in ({}, {"name": "b"})]
    assert [source.staged()[0] for source in two] == ["web", "b"]
    assert fetch.outermost([Path("/a/b"), Path("/a"), Path("/a-b")]) == [Path("/a"), Path("/a-b")]
