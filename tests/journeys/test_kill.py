"""kill -9 in the middle of `gaccong run`: the ledger verifies, and the next run repairs what was left. (Twenty points in one copy: tests/backup.)"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

from tests.journeys.place import Place

POINTS = 8


def test_kill_9_of_the_whole_job(place: Place) -> None:
    for name in ("user", "system"):
        place.allow(name)
    begun = time.monotonic()
    place.gaccong("run", "--all")
    whole = time.monotonic() - begun + 1.0
    killed = 0
    for point in range(POINTS):
        # a moved file, so that the copy has work; the slot is made due again by forgetting that it ran
        (place.root / "www" / "tin-0.html").write_text(f"bản {point}\n")
        _forget_slots(place)
        running = subprocess.Popen(place.argv("run", "--all"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        try:
            running.wait(0.1 + whole * point / POINTS)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(30)
            killed += 1
        verified = place.gaccong("ledger", "verify")
        assert verified.returncode == 0, verified.stdout
    assert killed >= POINTS // 2
    place.gaccong("run", "--all")
    assert _open_intents(place) == 0
    allow = ("apply", place.digest("backup.run", "set=user"), "--by", "Trần Thị Mẫu")
    first = place.gaccong(*allow, "--json")
    if first.returncode == 5 and f"restic -r {place.root / 'kho'} unlock" in first.stdout:
        # killed while `restic check` held the repository for itself: told, and the mend that is printed works
        subprocess.run(["restic", "-r", str(place.root / "kho"), "--password-file", str(place.root / "mat-khau"), "unlock"],
                       check=True, capture_output=True, timeout=60)
        first = place.gaccong(*allow, "--json")
    assert first.returncode == 0, first.stdout
    body = json.loads(first.stdout)
    assert body["outcome"] == "proved" and place.gaccong("ledger", "verify").returncode == 0


def _forget_slots(place: Place) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(place.root / "state" / "gaccong.db", timeout=30)) as database:
        database.execute("DELETE FROM runs WHERE duty = 'backup.run'")
        database.commit()


def _open_intents(place: Place) -> int:
    from ops.store import open_store

    with open_store(f"sqlite:///{place.root}/state/gaccong.db", None, create=False) as store:
        return len(store.open_intents("a"))
