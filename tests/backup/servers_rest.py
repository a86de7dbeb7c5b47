"""Real rest-servers, and servers that fail: for the tests of further places.

`rest_server` starts restic's own server (TLS, login, append-only, IPv6). `FaultProxy` stands before it and hangs or cuts
the line after so many bytes; `Wrong` answers every request with one status.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import ipaddress
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = str(Path(sys.executable).parent / "rest-server")
NAME, LOGIN = "xamau", "xamau:bi-mat-thu"


def free_port(host: str) -> int:
    """A port that the kernel says is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """(ca, certificate, key) for loopback, from an authority of its own."""
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = dt.datetime.now(dt.UTC)
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def signed(subject: str, public: ec.EllipticCurvePublicKey, is_ca: bool) -> x509.Certificate:
        made = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("thu nghiem"))
                .public_key(public).serial_number(x509.random_serial_number())
                .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=2))
                .add_extension(x509.BasicConstraints(is_ca, None), critical=True))
        if not is_ca:
            made = made.add_extension(x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address(one)) for one in ("::1", "127.0.0.1")]), critical=False)
        return made.sign(authority, hashes.SHA256())

    ca, leaf = signed("thu nghiem", authority.public_key(), True), signed("kho", key.public_key(), False)
    paths = folder / "ca.pem", folder / "kho.pem", folder / "kho.key"
    paths[0].write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return paths


@dataclass
class Rest:
    """A running rest-server. data: where it stores. ca: its authority's PEM, or None without TLS."""

    host: str
    port: int
    data: Path
    ca: Path | None = None
    path: str = "kho"

    @property
    def url(self) -> str:
        """restic's address of the repository."""
        return self.through(self.port)

    def through(self, port: int) -> str:
        """The same repository by another port (a proxy)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rest:{'https' if self.ca else 'http'}://{host}:{port}/{self.path}/"


@contextmanager
def rest_server(folder: Path, *, tls: bool = False, append_only: bool = False, host: str = "127.0.0.1") -> Iterator[Rest]:
    """Starts a rest-server; with TLS it also asks for the login `LOGIN` and keeps users apart."""
    folder.mkdir(parents=True, exist_ok=True)
    data, port = folder / "data", free_port(host)
    data.mkdir(exist_ok=True)
    found = Rest(host, port, data)
    listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    argv = [PROGRAM, "--listen", listen, "--path", str(data), *(["--append-only"] if append_only else [])]
    if tls:
        found.ca, leaf, key = certificate(folder)
        found.path = f"{NAME}/kho"
        (folder / "ht").write_text(
            f"{NAME}:{{SHA}}{base64.b64encode(hashlib.sha1(LOGIN.partition(':')[2].encode()).digest()).decode()}\n")
        argv += ["--tls", "--tls-cert", str(leaf), "--tls-key", str(key), "--private-repos", "--htpasswd-file",
                 str(folder / "ht")]
    else:
        argv += ["--no-auth"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                   env={"PATH": os.environ["PATH"], "HOME": str(folder)})
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        yield found
    finally:
        process.terminate()
        process.wait(10)


class FaultProxy:
    """A TCP proxy that hangs at once (`after=0`) or cuts the line once the client sent `after` bytes in all."""

    def __init__(self, target: tuple[str, int], *, after: int | None = None, hang: bool = False) -> None:
        self.target, self.after, self.hang = target, after, hang
        self.sent = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # wakes accept(); closing alone would let it take one more
        self._thread.join(5)
        self._server.close()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._open.append(client)
            if self._over():
                if not self.hang:
                    client.close()
                continue  # hanging: taken, and never answered
            upstream = socket.create_connection(self.target, 10)
            self._open.append(upstream)
            threading.Thread(target=self._pump, args=(client, upstream, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(upstream, client, False), daemon=True).start()

    def _over(self) -> bool:
        return self.after is not None and self.sent >= self.after

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if counted:
                    with self._lock:
                        self.sent += len(data)
                if self._over():
                    if self.hang:
                        return  # nothing goes on, and nobody is told
                    break
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def wrong(status: int) -> Iterator[int]:
    """A server that answers everything with one status; gives its port."""

    class Answer(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_POST = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
