"""The trial start of a restored WordPress: a real one answers; a hostile one sees nothing and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup import hold, wordpress_hand
from tests.backup.wordpress import NAME, Server, WordPress

HOSTILE = """<?php
$tries = [
    'uid' => posix_getuid(),
    'victim' => @file_get_contents('%(victim)s') !== false,
    'passwd' => @file_get_contents('/etc/passwd') !== false,
    'live' => @stream_socket_client('unix://%(live)s') !== false,
    'network' => @stream_socket_client('tcp://127.0.0.1:%(port)d', $a, $b, 2) !== false,
    'write' => @file_put_contents(__DIR__ . '/dropped', 'x') !== false,
    'usr' => @file_put_contents('/usr/dropped', 'x') !== false,
    'old' => @scandir('/.old') !== false || @scandir('/proc/1') !== false,
    'mount' => @shell_exec('mount -t tmpfs x /tmp 2>&1 && echo yes') === "yes\\n",
    'chroot' => function_exists('chroot') && @chroot('/tmp'),
];
exec('sleep 397 > /dev/null 2>&1 &');
error_log('TRIES ' . json_encode($tries));
define('DB_NAME', 'mine');
echo '<title>xã Hoa Mai</title>', DB_NAME, DB_HOST;
"""


def asked(**more: str) -> str:
    return json.dumps({"database": "tin", "user": "tin", "password": "mat-khau-cua-trang", "name": "xã Hoa Mai",
                       "home": "https://xahoamai.example.gov.vn", **more})


def started(work: Path, site: Path, live: Path, place: Path, words: str) -> dict[str, object]:
    work.mkdir(mode=0o700)
    done = subprocess.run(wordpress_hand.argv(work, site, live, place), input=words, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert list(work.iterdir()) == []
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_a_hostile_site_sees_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    victim, live, site = tmp_path / "bi-mat", tmp_path / "live.sock", tmp_path / "goc/srv/www/trang"
    victim.write_text("bí mật")
    site.mkdir(parents=True)
    (site / "link").symlink_to(victim)
    with socket.socket(socket.AF_UNIX) as other, socket.socket() as net:
        other.bind(str(live))
        other.listen()
        net.bind(("127.0.0.1", 0))
        net.listen()
        scratch = tmp_path / "s"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(scratch))
            (site / "index.php").write_text(HOSTILE % {"victim": victim, "live": live, "port": net.getsockname()[1]})
            (site / "index.php").chmod(0o600)
            reached = (f"var_export([is_readable('{victim}'), is_readable('/etc/passwd'), (bool) stream_socket_client('unix://{live}'),"
                       f"(bool) stream_socket_client('tcp://127.0.0.1:{net.getsockname()[1]}')]);")
            plain = subprocess.run(["php", "-r", reached], capture_output=True, text=True, timeout=30, check=True)
            assert plain.stdout.count("true") == 4  # all of it is there for a program that is not shut in
            seen = started(tmp_path / "w", site, Path("/srv/www/trang"), scratch, asked())
    tries = json.loads(str(seen["said"]).partition("TRIES ")[2].splitlines()[0])
    assert tries.pop("uid") == (hold.NOBODY if hold.can_drop() else 0)
    assert tries == dict.fromkeys(tries, False) and len(tries) == 9
    assert seen["status"] == 200 and seen["found"] is True
    assert not (site / "dropped").exists() and victim.read_text() == "bí mật" and victim.stat().st_uid == os.geteuid()
    time.sleep(0.1)
    assert not [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\0" + b"397" in _read(entry)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_page_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, place = tmp_path / "www", tmp_path / "s"
    site.mkdir()
    (site / "index.php").write_text("<?php while (true) { echo str_repeat('x', 1 << 16); }")
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        seen = started(tmp_path / "w", site, Path("/srv/www"), place, asked())
    assert time.monotonic() - begun < 60 and int(str(seen["bytes"])) <= 8 << 20 and seen["found"] is False


@pytest.fixture(scope="module")
def wordpress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WordPress]:
    """A real one, for reading only."""
    server = Server()
    folder = tmp_path_factory.mktemp("wordpress")
    try:
        yield WordPress(folder / "trang", server)
    finally:
        server.stop()
        shutil.rmtree(folder)


def test_a_real_one_answers_where_it_lives_and_is_judged_by_its_name(wordpress: WordPress, tmp_path: Path) -> None:
    site = tmp_path / "trang"
    subprocess.run(["cp", "-a", str(wordpress.site), str(site)], check=True, timeout=60)
    (site / "wp-content" / "object-cache.php").write_text("<?php die('no cache server');")
    (site / "wp-config.php").chmod(0o640)
    begun = (site / "wp-config.php").read_text()
    (site / "wp-config.php").write_text(begun.replace("<?php", "<?php define('WP_CACHE', true); define('WP_DEBUG', true);", 1))
    words = asked(name=NAME, user=wordpress.user)
    seen = started(tmp_path / "1", site, Path("/srv/www/trang"), wordpress.server.socket, words)
    assert seen["status"] == 200 and seen["found"] is True and seen["wrong"] == "", seen
    seen = started(tmp_path / "2", site, Path("/usr/share/trang"), wordpress.server.socket, asked(name="Xã khác"))
    assert seen["status"] == 200 and seen["found"] is False
    seen = started(tmp_path / "3", site, Path("/srv/www/trang"), wordpress.server.socket, asked(password="sai"))
    assert seen["status"] != 200 and seen["wrong"]
