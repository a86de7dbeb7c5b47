"""Real name servers on loopback: knot (authoritative, signs), unbound (resolves, validates), each with files of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query

from monitoring.settings import Settings
from ops import Check, Finding, Site
from tests.kit import make_context
from tests.monitoring.lab import free_port

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
RECORDS = """@ 60 SOA ns1 chu 7 3600 600 86400 60
@ 60 NS ns1
@ 60 NS ns2
@ 60 MX 10 thu
ns1 60 A 127.0.0.1
ns1 60 AAAA ::1
ns2 60 A 127.0.0.1
ns2 60 AAAA ::1
thu 60 A 127.0.0.1
xamau 60 A 127.0.0.1
xamau 60 AAAA ::1
www 60 CNAME xamau
"""
ZONE, PARENT = "tinhmau.gov.vn", "gov.vn"
HOST = f"xamau.{ZONE}"
ABOVE = """@ 60 SOA ns1.{zone}. chu 1 3600 600 86400 60
@ 60 NS ns1.{zone}.
{label} 60 NS ns1.{zone}.
ns1.{label} 60 A 127.0.0.1
{ds}
"""


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found, f"{name} is not installed (apt-get install {package})"
    return found


@contextlib.contextmanager
def running(argv: list[str], log: Path, port: int, zone: str) -> Iterator[None]:
    """A daemon in the foreground, until the context ends; ready when it answers (with `zone` in it) on `port`."""
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + 20
        question = dns.message.make_query(zone or "khong-co.test", "SOA")
        while True:
            with contextlib.suppress(dns.exception.DNSException, OSError):
                if dns.query.udp(question, "127.0.0.1", 0.05, port).answer or not zone:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(errors="replace")[-2000:])
            time.sleep(0.01)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@dataclass
class Knot:
    """A running knot with one zone. `place` is `127.0.0.1:port`, `six` the same over IPv6."""

    folder: Path
    zone: str
    port: int

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def six(self) -> str:
        return f"[::1]:{self.port}"

    def control(self, *words: str) -> None:
        """knotc."""
        argv = [program("knotc", "knot"), "-c", str(self.folder / "knot.conf"), *words]
        subprocess.run(argv, check=True, capture_output=True, timeout=20)

    def edit(self, *edits: tuple[str, ...]) -> None:
        """`("set", owner, ttl, type, value)` and `("unset", owner, type)`, committed at once; the serial goes up."""
        self.control("zone-begin", self.zone)
        for verb, *rest in edits:
            self.control(f"zone-{verb}", self.zone, *rest)
        self.control("zone-commit", self.zone)

    def answer(self, name: str, kind: str, dnssec: bool = True) -> dns.message.Message:
        question = dns.message.make_query(name, kind, want_dnssec=dnssec)
        return dns.query.udp(question, "127.0.0.1", 5, self.port)

    def delegation(self) -> str:
        """The DS record as keymgr gives it, with SHA-256."""
        argv = [program("keymgr", "knot"), "-c", str(self.folder / "knot.conf"), self.zone, "ds"]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20)
        return next(line for line in done.stdout.splitlines() if line.split()[-2] == "2" or " 2 " in line)


POLICY = """policy:
  - id: ky
    algorithm: {algorithm}
    single-type-signing: on
    rrsig-lifetime: {life}
    rrsig-refresh: {refresh}
    rrsig-pre-refresh: 1
    dnskey-ttl: 60
    zone-max-ttl: 60
    propagation-delay: 0
"""


@contextlib.contextmanager
def knot(folder: Path, records: str = RECORDS, *, zone: str = ZONE, signed: bool = False, life: int = 14 * 86400,
         refresh: int = 0, algorithm: str = "ecdsap256sha256", wrapper: tuple[str, ...] = ()) -> Iterator[Knot]:
    """knot with one zone, signed on the fly when wanted; `life` of signatures in seconds."""
    (folder / "db").mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "zone").write_text(f"$ORIGIN {zone}.\n{records}", encoding="utf-8")
    signing = "\n    dnssec-signing: on\n    dnssec-policy: ky" if signed else ""
    policy = POLICY.format(life=life, refresh=refresh or max(2, life // 2), algorithm=algorithm) if signed else ""
    (folder / "knot.conf").write_text(
        f"server:\n    rundir: {folder}\n    listen: [ 127.0.0.1@{port}, ::1@{port} ]\n    udp-workers: 1\n"
        f"    tcp-workers: 1\n    background-workers: 1\n"
        f"control:\n    listen: {folder}/c.sock\ndatabase:\n    storage: {folder}/db\n{policy}"
        f"zone:\n  - domain: {zone}\n    file: {folder}/zone\n    zonefile-sync: -1\n    zonefile-load: whole\n"
        f"    journal-content: none{signing}\n",
        encoding="utf-8",
    )
    argv = [*wrapper, program("knotd", "knot"), "-c", str(folder / "knot.conf")]
    with running(argv, folder / "log", port, zone):
        yield Knot(folder, zone, port)


@contextlib.contextmanager
def unbound(folder: Path, *sources: Knot, anchor: str = "") -> Iterator[str]:
    """`127.0.0.1:port` of an unbound that knows only the zones of `sources`; validates when it is given an anchor (DS)."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    modules = "validator iterator" if anchor else "iterator"
    trust = ""
    if anchor:
        (folder / "anchor").write_text(anchor + "\n", encoding="utf-8")
        trust = f"    trust-anchor-file: {folder}/anchor\n"
    open_zones = "".join(f"    local-zone: \"{one.zone}.\" transparent\n" for one in sources)
    stubs = "".join(f"stub-zone:\n    name: {one.zone}\n    stub-addr: 127.0.0.1@{one.port}\n" for one in sources)
    (folder / "unbound.conf").write_text(
        f"server:\n    username: \"\"\n    chroot: \"\"\n    do-daemonize: no\n    use-syslog: no\n    directory: {folder}\n"
        f"    pidfile: {folder}/pid\n    interface: 127.0.0.1@{port}\n    port: {port}\n    num-threads: 1\n"
        f"    do-not-query-localhost: no\n    module-config: \"{modules}\"\n    ede: yes\n    target-fetch-policy: \"0 0 0 0 0\"\n"
        f"    cache-max-ttl: 0\n    cache-max-negative-ttl: 0\n    local-zone: \".\" refuse\n"
        f"{open_zones}{trust}remote-control:\n    control-enable: no\n{stubs}",
        encoding="utf-8",
    )
    with running([program("unbound", "unbound"), "-d", "-p", "-c", str(folder / "unbound.conf")], folder / "log", port, ""):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def chain(folder: Path, child: Knot, *, ds: str | None = None, validating: bool = True) -> Iterator[str]:
    """A resolver over `child` and a signed gov.vn above it, which holds the child's DS (`ds`: another one, "" for none)."""
    link = (child.delegation() if ds is None else ds).replace(f"{ZONE}.", "tinhmau 60", 1)
    records = ABOVE.format(zone=ZONE, label="tinhmau", ds=link)
    with (knot(folder / "above", records, zone=PARENT, signed=True) as above,
          unbound(folder / "resolver", above, child, anchor=above.delegation() if validating else "") as place):
        yield place


def presigned(records: str = RECORDS, *, begins: float = -20, ends: float = 10, algorithm: str = "ECDSAP256SHA256") -> tuple[str, str]:
    """(zone text with signatures, DS line), signed here for `begins` to `ends` days from now; for a server that only serves."""
    import dns.dnssec
    import dns.zone
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    chosen = dns.dnssec.Algorithm[algorithm]
    private = ec.generate_private_key(ec.SECP256R1()) if algorithm.startswith("ECDSA") else rsa.generate_private_key(65537, 2048)
    key = dns.dnssec.make_dnskey(private.public_key(), chosen, flags=257)
    made = dns.zone.from_text(f"$ORIGIN {ZONE}.\n{records}", ZONE, relativize=False)
    now = datetime.now(UTC)
    with made.writer() as writer:
        dns.dnssec.sign_zone(made, writer, keys=[(private, key)], add_dnskey=True, dnskey_ttl=60,
                             inception=now + timedelta(days=begins), expiration=now + timedelta(days=ends),
                             policy=dns.dnssec.allow_all_policy)
    ds = dns.dnssec.make_ds(f"{ZONE}.", key, "SHA256")
    return made.to_text(), f"{ZONE}. DS {ds.to_text()}"


def look(check: Check, tmp: Path, place: str = "", *, url: str = f"https://{HOST}/", names: tuple[str, ...] = (),
         now: datetime | None = None, view: Any = None, thresholds: dict[str, float] | None = None,
         **settings: Any) -> dict[str, Finding]:
    """The findings of a check, by subject, asking the resolver at `place`."""
    if place:
        settings["nameservers"] = (place,)
    chosen = Settings(**{"timeout_seconds": 4, **settings})
    site = Site("xamau", "Xã mẫu", "thong-nhat", url, names)
    context = make_context(tmp, chosen, now=now or datetime.now(UTC), view=view, thresholds=thresholds)
    return {found.subject: found for found in check.function(site, context)}
