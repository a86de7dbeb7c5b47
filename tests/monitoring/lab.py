"""Real small servers on loopback: nginx, a name server with faults, raw sockets that misbehave, a certificate authority."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_GIVEN: set[int] = set()


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    """A port that was free a moment ago, on both families, and that nobody here was given before."""
    for _ in range(200):
        with socket.socket(socket.AF_INET6) as six, socket.socket(socket.AF_INET) as four:
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            six.bind(("::1", 0))
            port = int(six.getsockname()[1])
            with contextlib.suppress(OSError):
                four.bind(("127.0.0.1", port))
                if port not in _GIVEN:
                    _GIVEN.add(port)
                    return port
    raise RuntimeError("no free port")


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """A certificate authority of its own."""

    def __init__(self, folder: Path, common: str) -> None:
        self.folder, self.common = folder, common
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder().subject_name(name(common)).issuer_name(name(common))
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400)).not_valid_after(now + timedelta(days=400))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.path = folder / f"{common}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, stem: str, names: list[str], days: float = 90, begins: float = -60) -> tuple[Path, Path]:
        """(certificate, key) for names and addresses; `days` and `begins` counted from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        alternatives = [x509.IPAddress(ip_address(one)) if one[0].isdigit() or ":" in one else x509.DNSName(one)
                        for one in names]
        made = (
            x509.CertificateBuilder().subject_name(name(names[0])).issuer_name(self.certificate.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begins)).not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        certificate, secret = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption()))
        return certificate, secret


@contextlib.contextmanager
def nginx(folder: Path, servers: str) -> Iterator[None]:
    """nginx with these server blocks, until the context ends."""
    binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert binary, "nginx is not installed (apt-get install nginx-light)"
    folder.mkdir(parents=True, exist_ok=True)
    temps = "".join(f"{kind}_temp_path {folder}/t_{kind};" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "n.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/err.log;\n"
        f"events {{ worker_connections 64; }}\nhttp {{ access_log off; default_type text/html; charset utf-8; {temps}\n"
        f"{servers}\n}}\n", encoding="utf-8",
    )
    process = subprocess.Popen([binary, "-p", str(folder), "-e", f"{folder}/err.log", "-c", str(config)],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        deadline = time.monotonic() + 15
        while not (folder / "pid").exists() or not (folder / "pid").read_text().strip():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((process.stderr.read() if process.stderr else b"").decode()[-2000:])
            time.sleep(0.02)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
        if process.stderr:
            process.stderr.close()


@dataclass
class Zone:
    """What the name server knows: (name, type) -> values. Types A, AAAA, CNAME; faults by name."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    mute: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def host(self, label: str, four: str = "127.0.0.1", six: str = "::1") -> str:
        """A name with these addresses ("" for none of that family)."""
        for kind, value in (("A", four), ("AAAA", six)):
            if value:
                self.records[label, kind] = value.split(",")
            else:
                self.records.setdefault((label, "TXT"), ["x"])
        return label


class NameServer:
    """An authoritative answerer over UDP, with thread, on 127.0.0.1 and a port of the kernel's choice."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        answer = self._answer

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                reply = answer(data)
                if reply is not None:
                    sock.sendto(reply, self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.text = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, data: bytes) -> bytes | None:
        question = dns.message.from_wire(data)
        asked = question.question[0]
        label, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        self.zone.asked.append((label, kind))
        if self.zone.mute or label in self.zone.silent:
            return None
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.AA
        if label in self.zone.failing:
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply.to_wire()
        if (label, "CNAME") in self.zone.records:
            target = self.zone.records[label, "CNAME"][0]
            reply.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "CNAME", target + "."))
        elif (label, kind) in self.zone.records:
            reply.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *self.zone.records[label, kind]))
        elif label and not any(known == label for known, _ in self.zone.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None], family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """A TCP server that hands each connection to `talk`; yields its port."""
    stop = threading.Event()
    listener = socket.socket(family)
    listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    listener.listen(8)
    listener.settimeout(0.1)

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            talk(connection)

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        stop.set()
        thread.join()
        listener.close()
