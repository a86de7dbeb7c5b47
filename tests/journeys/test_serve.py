"""`gaccong serve` for real: page and metrics answer, a poisoned site delays nobody, SIGTERM ends it cleanly."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.journeys.place import Place

POISONED = """
[site.b]
name = "Trang hỏng"
policy = "kep"
url = "https://127.0.0.1:1/"
[site.b.backup]
repository = "/dev/null/khong"
password = "command:false"
[site.b.backup.set.user]
level = "user"
schedule = "30 1 * * *"
[[site.b.backup.set.user.source]]
kind = "files"
paths = ["/khong-co"]
[site.b.backup.set.system]
level = "system"
schedule = "30 1 * * *"
[[site.b.backup.set.system.source]]
kind = "files"
paths = ["/khong-co"]
[site.b.monitoring]
timeout_seconds = 1
"""


@contextmanager
def serving(place: Place, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(place.argv("--lang", "en", "serve", "--listen", "127.0.0.1:0", *words), text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        seen = ""
        for line in process.stderr:
            seen += line
            if found := re.search(r"page: (http://\S+)/ ", line):
                yield process, found.group(1)
                break
        else:
            raise AssertionError(seen)
    finally:
        process.kill()
        process.communicate(timeout=30)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def series(site: str, duty: str) -> str:
    """What a series of that duty looks like, in whatever order its labels stand."""
    return rf'(?m)^gaccong_verdict\{{(?=[^}}]*\bsite="{site}")(?=[^}}]*\bduty="{re.escape(duty)}")'


def wait_for(url: str, pattern: str, seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        text = fetch(url)
        if re.search(pattern, text):
            return text
        time.sleep(0.3)
    raise AssertionError(f"{pattern} never came at {url}:\n{text[-3000:]}")


def test_page_metrics_and_a_clean_stop(place: Place) -> None:
    quick = "[site.a.monitoring]\ntimeout_seconds = 2\nnameservers = ['127.0.0.1:9']\n"
    place.site_file.write_text(place.site_file.read_text() + quick)
    with serving(place) as (process, url):
        wait_for(f"{url}/metrics", r'gaccong_\w+\{.*site="a"')
        page = fetch(f"{url}/")
        assert "xã Hoa Mai" in page and "<script" not in page
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
        assert process.returncode == 0 and time.monotonic() - started < 30
    assert place.gaccong("ledger", "verify").returncode == 0


def test_a_poisoned_site_stops_nobody(place: Place) -> None:
    for name in ("user", "system"):
        place.allow(name)
    (place.root / "sites" / "b.toml").write_text(POISONED)
    with serving(place) as (process, url):
        wait_for(f"{url}/metrics", series("a", "backup.fresh"))
        wait_for(f"{url}/metrics", series("b", "web.http"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
        assert process.returncode == 0
    status = {one["site"]: one for one in place.json("status")["sites"]}
    assert status["b"]["verdict"] == "broken"
    fresh = [a for c in status["a"]["clauses"] for a in c["answers"] if a["duty"] == "backup.fresh"]
    assert fresh and {a["verdict"] for a in fresh} <= {"met", "at_risk"}
    assert place.gaccong("ledger", "verify").returncode == 0


def test_beyond_loopback_a_token_is_demanded(place: Place) -> None:
    done = place.gaccong("serve", "--listen", "0.0.0.0:0", "--lang", "en")
    assert done.returncode == 2 and "token" in done.stderr
    assert place.gaccong("serve", "--listen", "nonsense").returncode == 2


def test_it_catches_up_after_downtime(place: Place) -> None:
    import sqlite3
    from contextlib import closing

    place.allow("user")
    with closing(sqlite3.connect(place.root / "state" / "gaccong.db")) as database:
        # as if the last backup had been three days ago
        database.execute("DELETE FROM runs WHERE duty = 'backup.run'")
        database.commit()
    with serving(place) as (process, url):
        deadline = time.monotonic() + 60
        while len(place.json("backup", "list")["snapshots"]) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
    assert len(place.json("backup", "list")["snapshots"]) == 2
