"""The phone of the demo: real notices arrive, nonsense does not."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ops.cli.demo import phone
from ops.cli.demo.layout import Demo


def _post(demo: Demo, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", demo.ports.phone, timeout=10)
    try:
        connection.request("POST", "/", body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_letter_of_gaccong_arrives(demo: Demo) -> None:
    before = set(demo.letters.glob("*.txt"))
    words = [str(Path(sys.executable).with_name("gaccong")), "--config", str(demo.config), "notify", "test"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [new] = set(demo.letters.glob("*.txt")) - before
    assert "truc-ban" in new.read_text(encoding="utf-8")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"title": "x"}', b"\xff", b"[" * 5000])
def test_nonsense_is_refused(demo: Demo, body: bytes) -> None:
    before = sorted(demo.letters.glob("*.txt"))
    assert _post(demo, body) == 400
    assert sorted(demo.letters.glob("*.txt")) == before


def test_a_long_letter_is_refused(demo: Demo) -> None:
    text = json.dumps({"title": "x", "message": "x" * phone.BODY_LIMIT}).encode()
    assert _post(demo, text) == 413
