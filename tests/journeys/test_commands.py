"""The commands as a person types them: words, exit codes, one JSON document, nothing lost."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.journeys.place import Place


def test_the_main_job_from_nothing_to_a_verified_book(place: Place, tmp_path: Path) -> None:
    first = place.json("run", code=1)
    waiting = [row for row in first["rows"] if row["duty"] == "backup.run"]
    assert {row["subject"] for row in waiting} == {"set=user", "set=system"}
    assert all("--standing" in row["next"] for row in waiting)
    for name in ("user", "system"):
        acted = place.allow(name)
        assert acted["outcome"] == "proved" and {p["check"] for p in acted["proofs"]} == {"backup.contents", "backup.integrity"}
    assert len(place.json("backup", "list")["snapshots"]) == 2
    drill = place.json("backup", "drill", code=0)
    assert {row["verdict"] for row in drill["rows"]} == {"met"}
    status = place.json("status")["sites"][0]
    clauses = {clause["id"]: clause for clause in status["clauses"]}
    assert len(clauses) > 70 and clauses["TN-10.1.c"]["evidence"]
    unbuilt = [c for c in clauses.values() if any(not a["built"] for a in c["answers"])]
    assert unbuilt and all(clause["verdict"] != "met" for clause in unbuilt)
    assert place.gaccong("ledger", "verify").returncode == 0
    book = tmp_path / "book"
    place.json("ledger", "export", "--out", str(book), code=0)
    verifier = ["python3", str(book / "verifier.py"), str(book)]
    assert subprocess.run(verifier, capture_output=True, timeout=60, check=False).returncode == 0
    lines = book / "ledger.jsonl"
    data = bytearray(lines.read_bytes())
    data[len(data) // 2] ^= 1
    lines.write_bytes(data)
    assert subprocess.run(verifier, capture_output=True, timeout=60, check=False).returncode == 1


def test_raw_restic_lists_and_restores(place: Place, tmp_path: Path) -> None:
    place.allow("user")
    restic = ["restic", "-r", str(place.root / "kho"), "--password-file", str(place.root / "mat-khau")]
    listed = subprocess.run([*restic, "snapshots", "--json"], capture_output=True, timeout=60, check=True)
    assert len(json.loads(listed.stdout)) == 1
    target = tmp_path / "ra"
    subprocess.run([*restic, "restore", "latest", "--target", str(target)], capture_output=True, timeout=60, check=True)
    assert (target / str(place.root).lstrip("/") / "www" / "index.html").read_text() == "<h1>Xã Hoa Mai</h1>\n"


def test_restore_elsewhere(place: Place, tmp_path: Path) -> None:
    place.allow("user")
    target = tmp_path / "ra"
    done = place.gaccong("backup", "restore", "--to", str(target), "--by", "Trần Thị Mẫu")
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = target.rglob("index.html")
    assert found.read_text(encoding="utf-8") == "<h1>Xã Hoa Mai</h1>\n"
    again = place.gaccong("backup", "restore", "--to", str(target), "--by", "Trần Thị Mẫu")
    assert again.returncode == 2  # a folder that is not empty is not touched


def test_a_missing_source_is_a_failed_backup(place: Place) -> None:
    place.allow("user")
    shutil.rmtree(place.root / "www")
    acted = place.json("apply", place.digest("backup.run", "set=user"), "--by", "Trần Thị Mẫu", code=5)
    assert acted["outcome"] == "unproved"
    assert place.gaccong("ledger", "verify").returncode == 0


def test_wrong_password_and_repository_gone_are_told(place: Place) -> None:
    place.allow("user")
    (place.root / "mat-khau").write_text("sai\n")
    wrong = place.gaccong("backup", "verify", "--lang", "en")
    assert wrong.returncode == 3 and "password" in wrong.stdout
    shutil.rmtree(place.root / "kho")
    gone = place.gaccong("plan", "backup.run", "set=user", "--lang", "en")
    assert gone.returncode == 2 and "gone" in gone.stderr


def test_bad_configuration_is_exit_2_with_every_place(place: Place) -> None:
    place.site_file.write_text(place.site_file.read_text().replace("policy =", "polisy =").replace("schedule", "shedule"))
    done = place.gaccong("status", "--lang", "en")
    assert done.returncode == 2 and done.stdout == ""
    assert "did you mean policy?" in done.stderr and done.stderr.count("did you mean schedule?") == 2
    assert re.search(r"a\.toml:\d+: site\.a\.polisy", done.stderr)


def test_restic_absent_is_told_with_the_mend(place: Place) -> None:
    text = place.site_file.read_text().replace('password = ', 'restic = "restic-khong-co"\npassword = ')
    place.site_file.write_text(text)
    done = place.gaccong("plan", "backup.run", "set=user", "--lang", "en")
    assert done.returncode == 2 and "restic-khong-co" in done.stderr and "apt-get install restic" in done.stderr


def test_reading_before_anything_was_recorded(place: Place) -> None:
    done = place.gaccong("status", "--lang", "en")
    assert done.returncode == 2 and f"gaccong --config {place.config} run" in done.stderr


def test_the_clock_before_the_last_evidence(place: Place) -> None:
    from ops.signing import Signer
    from ops.store import open_store

    place.gaccong("run", "--only", "host.*")
    ahead = datetime.now(UTC) + timedelta(days=30)
    store = open_store(f"sqlite:///{place.root}/state/gaccong.db", Signer.load(place.root / "state/keys/ledger.key"))
    with store.transaction("a", ahead) as writer:
        writer.append("attestation", "x", "x", {"by": "x", "says": "met", "detail": {"vi": "x", "en": "x"},
                                                "until": "2027-01-01T00:00:00.000000Z", "file": None})
    store.close()
    refused = place.gaccong("run", "--all", "--lang", "en")
    assert refused.returncode == 3 and "--accept-clock" in refused.stderr
    assert "clock" in place.gaccong("doctor", "--lang", "en").stdout
    accepted = place.gaccong("run", "--all", "--accept-clock", "Trần Thị Mẫu")
    assert accepted.returncode in (1, 3) and place.gaccong("ledger", "verify").returncode == 0


def test_two_runs_at_once_the_second_says_who(place: Place) -> None:
    from ops.locks import held

    with held(place.root / "state" / "locks" / "run", "run", 0):
        done = place.gaccong("run", "--wait", "0.3", "--lang", "en")
    assert done.returncode == 3 and "another gaccong is running (run, process" in done.stderr


def test_two_runs_at_once_the_second_waits(place: Place) -> None:
    one = subprocess.Popen(place.argv("run", "--all"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    two = place.gaccong("run", "--all")
    one.wait(120)
    assert two.returncode in (1, 3) and place.gaccong("ledger", "verify").returncode == 0


def hears_ctrl_c() -> None:
    """Undoes what a shell did that started the tests in the background: there SIGINT is ignored, and so inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_is_130_and_leaves_a_whole_ledger(place: Place) -> None:
    place.gaccong("run", "--only", "host.*")
    digest = place.digest("backup.run", "set=user")
    running = subprocess.Popen(place.argv("apply", digest, "--by", "Trần Thị Mẫu"), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c)
    deadline = time.monotonic() + 30
    assert running.stderr is not None
    while "[1/" not in running.stderr.readline() and time.monotonic() < deadline:
        pass
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert place.gaccong("ledger", "verify").returncode == 0
    body = place.json("run", "--only", "host.*")
    assert body["rows"] is not None


def test_ctrl_c_in_the_middle_of_run_takes_back_and_tells(place: Place) -> None:
    from ops.store import open_store
    from tests.journeys.test_kill import _forget_slots

    place.allow("user")
    _forget_slots(place)
    running = subprocess.Popen(place.argv("run"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=hears_ctrl_c)
    assert running.stderr is not None
    for line in running.stderr:
        if "[1/" in line:
            break
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    with open_store(f"sqlite:///{place.root}/state/gaccong.db", None, create=False) as store:
        assert store.open_intents("a") == []
        assert store.evidence("a", kind="outcome", newest=1)[0].body["outcome"] == "undone"
    assert place.gaccong("ledger", "verify").returncode == 0


def test_a_plan_file_that_was_edited_is_refused(place: Place, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    place.gaccong("plan", "backup.run", "set=user", "--out", str(plan))
    assert plan.stat().st_mode & 0o777 == 0o600
    plan.write_text(plan.read_text().replace("backup", "bakcup", 1))
    done = place.gaccong("apply", str(plan), "--by", "Trần Thị Mẫu", "--lang", "en")
    assert done.returncode == 2 and "plan" in done.stderr


def test_attesting_with_a_file(place: Place, tmp_path: Path) -> None:
    paper = tmp_path / "quyết định.pdf"
    paper.write_bytes(b"%PDF-1.4")
    body = place.json("attest", "TN-9.1", "--by", "Trần Thị Mẫu", "--file", str(paper), code=0)
    assert body["file"]["sha256"] and body["evidence"] == "a#1"
    clause = next(c for c in place.json("status")["sites"][0]["clauses"] if c["id"] == "TN-9.1")
    assert clause["evidence"] == ["a#1"]
    assert place.gaccong("attest", "TN-10.1.d.lvl", "--by", "X").returncode == 2


def test_init_writes_what_config_check_accepts(tmp_path: Path) -> None:
    from tests.journeys.place import GACCONG

    folder = tmp_path / "moi"
    done = subprocess.run(
        [GACCONG, "init", str(folder), "--site", "hoa-mai", "--name", "Trang xã Hoa Mai", "--policy", "thong-nhat",
         "--url", "https://xahoamai.example.gov.vn/", "--files", "/srv/www", "--repository", "/srv/kho"],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert (folder / "secrets" / "restic").stat().st_mode & 0o777 == 0o600
    checked = subprocess.run([GACCONG, "--config", str(folder / "gaccong.toml"), "config", "check"], capture_output=True,
                             text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr
    again = subprocess.run([GACCONG, "init", str(folder), "--site", "x"], capture_output=True, text=True, timeout=60,
                           check=False, stdin=subprocess.DEVNULL)
    assert again.returncode == 2


def test_a_line_hidden_by_its_column_is_found(place: Place) -> None:
    import sqlite3
    from contextlib import closing

    place.gaccong("run", "--only", "host.*")
    assert place.gaccong("ledger", "verify").returncode == 0
    with closing(sqlite3.connect(place.root / "state" / "gaccong.db")) as database:
        database.execute("UPDATE lines SET kind = 'hidden' WHERE seq = 2")
        database.commit()
    body = place.json("ledger", "verify", code=4)
    assert body["ledgers"][0]["first_bad"] == 2


def test_a_password_in_the_store_address_is_refused_and_not_printed(place: Place) -> None:
    text = place.config.read_text(encoding="utf-8")
    place.config.write_text(text + 'store = "postgresql+psycopg://u:hunter2@/x"\n', encoding="utf-8")
    done = place.gaccong("status")
    assert done.returncode == 2 and "hunter2" not in done.stderr + done.stdout
