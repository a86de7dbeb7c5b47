"""A real WordPress of Debian's packages on a real MariaDB, small enough to be made for a test."""

from __future__ import annotations

import http.cookiejar
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "Trang tin xã Hoa Mai & bạn"
ADMIN, WORD = "bien-tap", "Mat-khau-thu-0"
_PACKAGE = Path("/usr/share/wordpress")
_BULK = ("wp-includes/js/tinymce", "wp-includes/js/codemirror", "wp-includes/js/mediaelement", "wp-includes/js/jcrop",
         "wp-includes/js/swfupload", "wp-includes/js/crop", "wp-includes/sodium_compat/lib/x", "wp-includes/fonts")
"""Left out: weight that neither the front page nor the administrator's needs."""
_CONFIG = """<?php
define('DB_NAME', '%(database)s');
define('DB_USER', '%(user)s');
define('DB_PASSWORD', '%(password)s');
define('DB_HOST', 'localhost:%(socket)s');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT',
          'NONCE_SALT'] as $name) { define($name, 'khong-bi-mat-' . $name); }
$table_prefix = 'wp_';
define('WP_DEBUG', false);
if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }
require_once ABSPATH . 'wp-settings.php';
"""
_INSTALL = """<?php
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = '%(host)s'; $_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1'; $_SERVER['REQUEST_METHOD'] = 'GET';
require '%(site)s/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('%(name)s', '%(admin)s', 'bien-tap@xahoamai.example.gov.vn', true, '', '%(word)s', '');
switch_theme('twentytwentyone');
update_option('home', 'http://%(host)s'); update_option('siteurl', 'http://%(host)s');
for ($i = 0; $i < 40; $i++) {
    wp_insert_post(['post_title' => "Thông báo số $i", 'post_content' => str_repeat("Nội dung $i. ", 50), 'post_status' => 'publish']);
}
"""


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as stream:
        stream.bind(("127.0.0.1", 0))
        return int(stream.getsockname()[1])


class Server:
    """A MariaDB of one's own below a short path, on a socket only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wp", dir="/tmp"))
        self.socket = self.folder / "s"
        self.process: subprocess.Popen[bytes] | None = None
        root = ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'db'}", "--skip-test-db",
                        "--auth-root-authentication-method=normal", *root], check=True, capture_output=True, timeout=120)
        self._root = root
        self.start()

    def start(self) -> None:
        """Starts, and waits for the first right answer."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.folder / 'db'}", f"--socket={self.socket}",
                 f"--pid-file={self.folder / 'pid'}", "--skip-networking", "--skip-log-bin", "--innodb-buffer-pool-size=16M",
                 "--innodb-flush-log-at-trx-commit=0", *self._root],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        for _ in range(1500):
            with suppress(subprocess.CalledProcessError):
                self.sql("SELECT 1")
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def sql(self, statement: str, database: str = "") -> str:
        """Runs statements as the server's root; gives the rows."""
        done = subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch",
                               "--skip-column-names", *([database] if database else [])], input=statement, text=True,
                              capture_output=True, timeout=60)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, statement, done.stdout, done.stderr)
        return done.stdout

    def stop(self) -> None:
        """Ends it and removes its 115 MB."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class WordPress:
    """A site in `site` with the database `tin` of a server, its user `tin`, and an administrator."""

    def __init__(self, site: Path, server: Server, *, host: str = "xahoamai.example.gov.vn") -> None:
        self.site, self.server, self.host = site, server, host
        self.database, self.user, self.password = "tin", "tin", "mat-khau-cua-trang"
        site.parent.mkdir(parents=True, exist_ok=True)
        # its .htaccess may be a link to nothing, of which cp complains after all else is copied
        subprocess.run(["cp", "-rL", str(_PACKAGE), str(site)], check=False, timeout=120, stderr=subprocess.DEVNULL)
        assert (site / "wp-includes" / "version.php").is_file(), "the package wordpress is not here"
        for bulk in _BULK:
            shutil.rmtree(site / bulk, ignore_errors=True)
        (site / "wp-content" / "uploads").mkdir(exist_ok=True)
        (site / "wp-content" / "uploads" / "anh.jpg").write_bytes(os.urandom(20_000))
        server.sql(f"CREATE DATABASE {self.database} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;"
                   f"CREATE USER '{self.user}'@'localhost' IDENTIFIED BY '{self.password}';"
                   f"GRANT ALL ON {self.database}.* TO '{self.user}'@'localhost'")
        (site / "wp-config.php").unlink(missing_ok=True)
        (site / "wp-config.php").write_text(_CONFIG % {"database": self.database, "user": self.user,
                                                       "password": self.password, "socket": server.socket})
        script = site.parent / "install.php"
        script.write_text(_INSTALL % {"site": site, "name": NAME, "admin": ADMIN, "word": WORD, "host": host})
        done = subprocess.run(["php", "-d", "sendmail_path=/bin/true", "-d", "display_errors=1", str(script)],
                              capture_output=True, text=True, timeout=120)
        script.unlink()
        assert done.returncode == 0 and "error" not in done.stdout.lower(), done.stdout + done.stderr

    def destroy(self) -> None:
        """Every file and the whole database, gone."""
        shutil.rmtree(self.site)
        self.server.sql(f"DROP DATABASE {self.database}")

    @contextmanager
    def served(self) -> Iterator[str]:
        """PHP's own server at the address that the site has in its database (`host` must be 127.0.0.1 and a port)."""
        front = self.server.folder / "front.php"
        front.write_text(
            "<?php $path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);\n"
            "if (str_ends_with($path, '/')) { $path .= 'index.php'; }\n"
            "clearstatcache(); $file = $_SERVER['DOCUMENT_ROOT'] . $path;\n"
            "if (!is_file($file)) { http_response_code(404); exit('not found'); }\n"
            "if (!str_ends_with($path, '.php')) { return false; }\n"
            "$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $path; chdir(dirname($file)); require $file;\n")
        process = subprocess.Popen(["php", "-d", "sendmail_path=/bin/true", "-d", "opcache.enable=0", "-S", self.host, "-t",
                                    str(self.site), str(front)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            for _ in range(500):
                with suppress(OSError), socket.create_connection(("127.0.0.1", int(self.host.rpartition(":")[2])), 1):
                    break
                time.sleep(0.02)
            yield f"http://{self.host}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def page(address: str) -> tuple[int, str]:
    """(status, text) of a page."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")


def admin(address: str, word: str = WORD) -> tuple[int, str, str]:
    """Signs in as a person does (cookie, form, redirect); gives (status, final address, page) of /wp-admin/."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    with browser.open(f"{address}/wp-login.php", timeout=60) as answer:
        answer.read()
    form = urllib.parse.urlencode({"log": ADMIN, "pwd": word, "wp-submit": "Log In", "testcookie": "1",
                                   "redirect_to": f"{address}/wp-admin/"}).encode()
    with browser.open(f"{address}/wp-login.php", form, timeout=60) as answer:
        return answer.status, answer.url, answer.read().decode("utf-8", "replace")
