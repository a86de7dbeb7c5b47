"""Real database servers of a site, for tests: in folders of their own, on sockets of their own, ended by process number."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres, lacking, running

_CLIENT = ("mariadb", "--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4", "--user=root")
_PLACE: list[Path] = []


class MariaDB:
    """A running MariaDB; root has no password. `down` and `up` stop and start it, `kill` is kill -9."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "s"
        self.process: subprocess.Popen[bytes] | None = None
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder / 'db'}", "--skip-test-db",
                   "--auth-root-authentication-method=normal", "--innodb-log-file-size=16M", *self._who()]
        subprocess.run(install, check=True, capture_output=True, timeout=120)
        self.up()

    @staticmethod
    def _who() -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def up(self) -> None:
        """Starts it and waits for its first answer."""
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={self.folder / 'db'}", f"--socket={self.socket}",
             f"--pid-file={self.folder / 'pid'}", "--skip-networking", "--skip-log-bin", "--innodb-buffer-pool-size=32M",
             "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF", *self._who()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(300):
            if subprocess.run([*_CLIENT, f"--socket={self.socket}", "--execute=SELECT 1"], capture_output=True,
                              timeout=30).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("MariaDB did not start")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> None:
        """Ends it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def sql(self, text: str, database: str = "") -> list[str]:
        """Runs statements as root; the lines of their answers."""
        done = subprocess.run([*_CLIENT, f"--socket={self.socket}", "--binary-mode", *([database] if database else [])],
                              input=text.encode(), capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().splitlines()

    def processes(self) -> list[str]:
        """What other connections do."""
        return self.sql("SELECT CONCAT(command, ' ', IFNULL(info, '')) FROM information_schema.processlist "
                        "WHERE id <> CONNECTION_ID() AND command <> 'Daemon'")


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB of the site's."""
    if shutil.which("mariadb-install-db") is None:
        lacking("mariadb-server-core is not installed")
    folder = Path(tempfile.mkdtemp(prefix="ma-", dir="/tmp"))
    server = None
    try:
        server = MariaDB(folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Postgres]:
    """A PostgreSQL of the site's."""
    with running() as server:
        yield server


def psql(server: Postgres, text: str, database: str = "postgres") -> list[str]:
    """Runs statements as the superuser; the lines of their answers."""
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(server.folder), "-U", "postgres", "-d", database],
                          input=text.encode(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


PORTAL_MARIADB = """
DROP DATABASE IF EXISTS portal; CREATE DATABASE portal CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; USE portal;
CREATE USER IF NOT EXISTS bientap@'%'; GRANT ALL ON portal.* TO bientap@'%';
CREATE USER IF NOT EXISTS doc@localhost; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON portal.* TO doc@localhost;
GRANT SELECT ON mysql.proc TO doc@localhost;
CREATE TABLE bai (id INT AUTO_INCREMENT PRIMARY KEY, ten VARCHAR(200) NOT NULL, anh LONGBLOB,
  dai INT GENERATED ALWAYS AS (CHAR_LENGTH(ten)) STORED, UNIQUE KEY (ten)) ENGINE=InnoDB;
CREATE TABLE `nhật ký` (id INT AUTO_INCREMENT PRIMARY KEY, viec TEXT) ENGINE=Aria;
INSERT INTO bai (ten, anh) VALUES ('Xã Thống Nhất — thông báo số 1', x'00ff0a0d5c27221a'), ('😀 ảnh đẹp "nhất" \\\\ ''', NULL),
  ('\\\\! touch /tmp/gaccong-pwned\\n\\\\. /etc/passwd', x'');
CREATE DEFINER=`bientap`@`%` SQL SECURITY DEFINER VIEW moi AS SELECT id, ten FROM bai WHERE id > 1;
DELIMITER //
CREATE TRIGGER ghi AFTER INSERT ON bai FOR EACH ROW BEGIN INSERT INTO `nhật ký` (viec) VALUES (CONCAT('thêm ', NEW.ten)); END//
CREATE PROCEDURE dem(OUT n INT) BEGIN SELECT COUNT(*) INTO n FROM bai; END//
CREATE EVENT don ON SCHEDULE EVERY 1 DAY DO DELETE FROM `nhật ký` WHERE id < 0//
DELIMITER ;
INSERT INTO bai (ten) VALUES ('Bài có trigger');
"""
PORTAL_POSTGRESQL = """
DO $$ BEGIN IF to_regrole('doc') IS NULL THEN CREATE ROLE doc LOGIN; GRANT pg_read_all_data TO doc; END IF; END $$;
CREATE TABLE bai (id serial PRIMARY KEY, ten text NOT NULL UNIQUE, anh bytea, dai int GENERATED ALWAYS AS (length(ten)) STORED);
CREATE SCHEMA "nội bộ";
CREATE TABLE "nội bộ"."nhật ký" (id serial PRIMARY KEY, viec text);
INSERT INTO bai (ten, anh) VALUES ('Xã Thống Nhất — thông báo số 1', '\\x00ff0a0d5c27221a'), ('😀 ảnh đẹp "nhất" \\ ''', NULL),
  (E'\\\\! touch /tmp/gaccong-pwned\\n\\\\.\\n\\\\restrict x\\r\\n', '');
CREATE VIEW moi AS SELECT id, ten FROM bai WHERE id > 1;
CREATE MATERIALIZED VIEW gom AS SELECT count(*) AS n FROM bai;
CREATE FUNCTION ghi() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "nội bộ"."nhật ký" (viec) VALUES (NEW.ten); RETURN NEW; END $$;
CREATE TRIGGER ghi AFTER INSERT ON bai FOR EACH ROW EXECUTE FUNCTION ghi();
CREATE EXTENSION pg_trgm; CREATE EXTENSION dblink;
INSERT INTO bai (ten) VALUES ('Bài có trigger');
"""
