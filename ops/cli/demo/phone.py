"""The phone of whoever is on call, for the demo: `python -m ops.cli.demo.phone --port N --folder DIR`.

Takes letters as Apprise's `json://` sends them (POST, JSON with title and message) and writes each to a file of its own,
0001.txt and so on. GET / answers that it is there. Loopback only; bounded in length and number.
"""

from __future__ import annotations

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BODY_LIMIT = 64 << 10
MOST_LETTERS = 500


class Phone(ThreadingHTTPServer):
    """Keeps what it is sent, in the order in which it came."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._one = threading.Lock()
        super().__init__(("127.0.0.1", port), Take)

    def keep(self, title: str, message: str) -> bool:
        """Writes one letter; False when there are too many already."""
        with self._one:
            number = sum(1 for _ in self.folder.glob("*.txt")) + 1
            if number > MOST_LETTERS:
                return False
            (self.folder / f"{number:04d}.txt").write_text(f"{title}\n\n{message.strip()}\n", encoding="utf-8")
        return True


class Take(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Phone
    timeout = 15
    server_version = "demo"
    sys_version = ""

    def do_GET(self) -> None:
        """It is there."""
        self._answer(200)

    def do_POST(self) -> None:
        """A letter."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_LIMIT:
            self._answer(413)
            return
        try:
            given = json.loads(self.rfile.read(int(length)))
            title, message = str(given["title"]), str(given["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            self._answer(400)
            return
        self._answer(200 if self.server.keep(title, message) else 507)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    """Serves until it is ended."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--port", type=int, required=True)
    read.add_argument("--folder", type=Path, required=True)
    given = read.parse_args()
    given.folder.mkdir(mode=0o700, exist_ok=True)
    Phone(given.folder, given.port).serve_forever()


if __name__ == "__main__":
    main()
