"""`gaccong notify` and `gaccong maintenance` as a person types them, with a real web hook that receives."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.journeys.place import Place


class Hook(http.server.ThreadingHTTPServer):
    """Keeps the letters that it is sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(http.server.BaseHTTPRequestHandler):
    """200 for everything."""

    server: Hook

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def channel(place: Place, hook: Hook, *, port: int = 0) -> None:
    """A channel of this machine; its address is a secret file."""
    (place.root / "kenh").touch(mode=0o600)
    (place.root / "kenh").write_text(f"json://127.0.0.1:{port or hook.server_port}/bi-mat-9c1\n")
    with place.config.open("a") as config:
        config.write('\n[notify]\nquiet = ""\n[notify.channel.may]\nurl = "file:kenh"\n')


def test_from_a_broken_duty_to_a_letter_and_its_acknowledgement(place: Place, hook: Hook) -> None:
    bare = place.gaccong("notify", "test")
    assert bare.returncode == 2 and "[notify.channel" in bare.stderr
    channel(place, hook)
    assert place.gaccong("notify", "test", "khong-co").returncode == 2
    assert place.json("notify", "test", code=0) == {"sent": ["may"], "failed": {}}
    assert hook.got[0]["title"] == "[gaccong] tin thử" and "may" in hook.got[0]["message"]
    place.gaccong("run", "--only", "backup.fresh")  # nothing was ever copied; run sends by itself
    assert len(hook.got) == 2 and "Hoa Mai" in hook.got[1]["title"]
    assert "backup.fresh" in hook.got[1]["message"] and "gaccong notify ack a backup.fresh" in hook.got[1]["message"]
    assert place.json("notify", "send", code=0)["sent"] == 0
    told = place.json("notify", "status", code=0)
    assert {one["duty"] for one in told["open"]} == {"backup.fresh"} and told["waiting"] == []
    assert place.gaccong("notify", "ack", "a", "backup.fresh", "--by", "Trần Thị Mẫu").returncode == 0
    assert all("Trần Thị Mẫu" in one["acknowledged"] for one in place.json("notify", "status", code=0)["open"])
    wrong = place.gaccong("notify", "ack", "a", "web.http")
    assert wrong.returncode == 2 and "gaccong" in wrong.stderr
    kept = "".join(path.read_text() for path in (place.root / "state" / "notices").iterdir())
    assert "bi-mat-9c1" not in kept + bare.stderr + json.dumps(told)


def test_a_dead_channel_changes_no_exit_code_of_run_and_is_told(place: Place, hook: Hook) -> None:
    channel(place, hook, port=1)
    calm = place.gaccong("run", "--only", "backup.contents", "--all")
    place.gaccong("run", "--only", "backup.fresh", "--all")
    told = place.gaccong("run", "--only", "backup.contents", "--all")
    assert told.returncode == calm.returncode
    failed = place.gaccong("notify", "test")
    assert failed.returncode == 1 and "bi-mat-9c1" not in failed.stdout + failed.stderr
    waiting = place.json("notify", "status", code=1)["waiting"]
    assert waiting and waiting[0]["tries"] >= 1 and "bi-mat-9c1" not in json.dumps(waiting)


def test_planned_work_is_entered_listed_called_off_and_hushes_notices(place: Place, hook: Hook) -> None:
    channel(place, hook)
    now = datetime.now(UTC) + timedelta(hours=7)

    def at(hours: float) -> str:
        return (now + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M")

    by = ("--reason", "nâng cấp", "--by", "Trần Thị Mẫu")
    wrong = place.gaccong("maintenance", "add", "a", "--start", "mai", "--end", at(2), *by)
    assert wrong.returncode == 2 and "2026-12-01 22:00" in wrong.stderr
    assert place.gaccong("maintenance", "add", "a", "--start", at(3), "--end", at(2), *by).returncode == 2
    made = place.json("maintenance", "add", "a", "--start", at(1), "--end", at(2), *by, code=0)
    assert not made["late"]
    late = place.gaccong("maintenance", "add", "a", "--start", at(-1), "--end", at(2), *by)
    assert late.returncode == 0 and "đã bắt đầu trước khi ghi" in late.stderr
    listed = place.json("maintenance", "list", code=0)["windows"]
    assert [one["late"] for one in listed] == [True, False]
    place.gaccong("run", "--only", "backup.fresh")
    assert len(hook.got) == 1  # entered late: it hushes nothing
    place.json("maintenance", "cancel", "a", made["id"], "--reason", "hoãn", "--by", "Trần Thị Mẫu", code=0)
    assert place.gaccong("maintenance", "cancel", "a", made["id"], "--reason", "hoãn", "--by", "x").returncode == 2
    assert "(đã hủy)" in place.gaccong("maintenance", "list").stdout
