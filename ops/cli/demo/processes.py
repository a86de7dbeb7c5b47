"""Starts and stops the demo's services: web server, application, name server, and the phone that takes the notices.

Each runs in a process group of its own with a process file (id and start time), so that a stranger that was given the
same id later is never ended. A service counts as started when it has answered a question in its own protocol.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.cli.demo import nginx
from ops.cli.demo.layout import NAME, Demo
from ops.errors import GaccongError, MissingTool
from ops.model import say

if TYPE_CHECKING:
    import psutil

READY_SECONDS = 30.0
STOP_SECONDS = 5.0
_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Those started by this very process: kept, so that they are reaped when they end."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its name, what runs it, and the question that it must answer."""

    name: str
    argv: tuple[str, ...]
    answers: Callable[[Demo], bool]


def services(demo: Demo) -> tuple[Service, ...]:
    """The services in the order in which they start."""
    module = (sys.executable, "-I", "-m")
    return (
        Service("nameserver", (*module, "ops.cli.demo.nameserver", "--port", str(demo.ports.dns)), _name_known),
        Service(
            "app",
            (
                *(*module, "ops.cli.demo.app", "--db", str(demo.database), "--port", str(demo.ports.app)),
                *("--addresses", demo.outside.base, demo.outside.portal, demo.outside.services),
            ),
            _form_shown,
        ),
        Service(
            "phone",
            (*module, "ops.cli.demo.phone", "--port", str(demo.ports.phone), "--folder", str(demo.letters)),
            _phone_there,
        ),
        Service("nginx", nginx.argv(demo), _page_shown),
    )


def start(demo: Demo) -> None:
    """Starts what does not run yet, waits for first answers. Raises GaccongError with the service's last words."""
    demo.run.mkdir(exist_ok=True)
    demo.logs.mkdir(exist_ok=True)
    fresh = [service for service in services(demo) if _process(demo, service.name) is None]
    try:
        for service in fresh:
            _spawn(demo, service)
        for service in fresh:
            _await(demo, service)
    except BaseException:
        for service in fresh:
            _end(demo, service.name)
        raise


def stop(demo: Demo) -> None:
    """Ends the services, by the ids that they were started with; what does not run is no error."""
    for service in reversed(services(demo)):
        _end(demo, service.name)


def running(demo: Demo) -> tuple[str, ...]:
    """The names of the services that run now."""
    return tuple(service.name for service in services(demo) if _process(demo, service.name) is not None)


def _spawn(demo: Demo, service: Service) -> None:
    import psutil

    path = f"{os.environ.get('PATH', '')}:{_PATH}"
    program = shutil.which(service.argv[0], path=path)
    if program is None:
        raise MissingTool(
            say("thiếu chương trình {t}", "program {t} is missing", t=service.argv[0]),
            say("chạy ./setup core", "run ./setup core"),
        )
    with (demo.logs / f"{service.name}.out").open("wb") as log:
        process = subprocess.Popen(
            (program, *service.argv[1:]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=demo.root,
            env={"PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(demo.run)},
            start_new_session=True,
        )
    _CHILDREN[process.pid] = process
    with suppress(psutil.NoSuchProcess):
        kept = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        _file(demo, service.name).write_text(json.dumps(kept) + "\n")


def _file(demo: Demo, name: str) -> Path:
    return demo.run / f"{name}.json"


def _process(demo: Demo, name: str) -> psutil.Process | None:
    """The service's living process, or None: no file, ended, or the id now belongs to somebody else."""
    import psutil

    try:
        kept = json.loads(_file(demo, name).read_text())
        process = psutil.Process(int(kept["pid"]))
        same = abs(process.create_time() - float(kept["started"])) < 1.0 and os.getpgid(process.pid) == process.pid
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None


def _await(demo: Demo, service: Service) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while (process := _process(demo, service.name)) is None or not service.answers(demo):
        if process is None or time.monotonic() > deadline:
            raise GaccongError(
                say(
                    "không khởi động được {n}:\n{log}",
                    "{n} did not start:\n{log}",
                    n=service.name,
                    log=_last_words(demo, service.name),
                ),
                say("xem {d}", "look into {d}", d=demo.logs),
            )
        time.sleep(0.02)


def _last_words(demo: Demo, name: str) -> str:
    said = b""
    for path in (demo.logs / f"{name}.out", demo.logs / f"{name}.log"):
        if path.exists():
            said += path.read_bytes()[-2048:]
    return said.decode("utf-8", "backslashreplace").strip()


def _end(demo: Demo, name: str) -> None:
    process = _process(demo, name)
    if process is not None:
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
            if _gone(process, STOP_SECONDS):
                break
    child = _CHILDREN.pop(process.pid, None) if process else None
    if child:
        child.wait(STOP_SECONDS)
    _file(demo, name).unlink(missing_ok=True)


def _gone(process: psutil.Process, seconds: float) -> bool:
    """Whether it ends in time. Somebody else's child may stay behind as a zombie: that has ended too."""
    import psutil

    child = _CHILDREN.get(process.pid)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if (child and child.poll() is not None) or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def _page_shown(demo: Demo) -> bool:
    import http.client
    import ssl

    trusted = ssl.create_default_context(cafile=str(demo.authority))
    connection = http.client.HTTPSConnection("127.0.0.1", demo.ports.https, timeout=2, context=trusted)
    try:
        connection.request("GET", "/", headers={"Host": f"{NAME}:{demo.ports.https}"})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _form_shown(demo: Demo) -> bool:
    return _answers(demo.ports.app, "/dang-nhap")


def _phone_there(demo: Demo) -> bool:
    return _answers(demo.ports.phone, "/")


def _answers(port: int, path: str) -> bool:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _name_known(demo: Demo) -> bool:
    import dns.exception
    import dns.message
    import dns.query

    try:
        asked = dns.message.make_query(NAME, "A")
        return bool(dns.query.udp(asked, "127.0.0.1", timeout=1, port=demo.ports.dns).answer)
    except (OSError, dns.exception.DNSException):
        return False
