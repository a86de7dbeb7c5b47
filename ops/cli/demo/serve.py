"""`python -m ops.cli.demo.serve`: the demo site with gaccong's page and metrics, until Ctrl-C. --stop ends a leftover."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from ops.cli.demo import layout, processes
from ops.cli.demo.site import make_demo
from ops.errors import GaccongError


def main() -> int:
    """Starts the site, runs `gaccong serve` in the foreground, ends the site."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("root", nargs="?", type=Path, default=Path(".demo"))
    read.add_argument("--stop", action="store_true")
    given = read.parse_args()
    demo = layout.load(given.root)
    if given.stop:
        if demo:
            processes.stop(demo)
        return 0
    try:
        demo = demo if demo and all(astuple(demo.ports)) else make_demo(given.root)  # an older one lacks a port
        processes.start(demo)
    except GaccongError as error:
        print(error.explain("vi"), file=sys.stderr)
        return error.exit_code
    print(f"trang mẫu: {demo.near}\ngác cổng:  http://127.0.0.1:{demo.ports.page}/  (số đo: /metrics; Ctrl-C để dừng)")
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # also where a shell started us in the background and had it ignored
    gaccong = str(Path(sys.executable).with_name("gaccong"))
    child = None
    try:
        child = subprocess.Popen((gaccong, "--config", str(demo.config), "serve"))
        return child.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        if child is not None and child.poll() is None:
            with suppress(KeyboardInterrupt):
                child.terminate()
                child.wait(40)
        processes.stop(demo)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
