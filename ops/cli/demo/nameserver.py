"""A tiny name server for the demo: `python -m ops.cli.demo.nameserver --port N`, on 127.0.0.1 and ::1.

It holds the invented province's zone (SOA, NS, MX, A and AAAA; every address is loopback) and is all of DNS that the demo
knows: a name of any other zone is NXDOMAIN, so that no look at the demo ever asks, or reaches, the world outside.
"""

from __future__ import annotations

import argparse
import socket
import socketserver
import struct
import threading
from typing import TYPE_CHECKING

from ops.cli.demo.layout import ALIAS, NAME, NEIGHBOURS, ZONE

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name

TTL = 60
SERVERS = (f"ns1.{ZONE}", f"ns2.{ZONE}")
MAIL = f"mail.{ZONE}"
HOSTS = (NAME, ALIAS, *NEIGHBOURS, *SERVERS, MAIL)
_SOA = f"{SERVERS[0]}. quantri.{ZONE}. 1 3600 600 86400 {TTL}"
_ADDRESSES = {"A": ("127.0.0.1",), "AAAA": ("::1",)}
_MAIL = {"MX": (f"10 {MAIL}.",)}
_TOP = {"SOA": (_SOA,), "NS": tuple(f"{server}." for server in SERVERS)}


def reply(wire: bytes, *, tcp: bool) -> bytes | None:
    """The answer to one question as it came over the wire; None for what is no DNS question at all."""
    import dns.exception
    import dns.message

    try:
        asked = dns.message.from_wire(wire)
        answer = dns.message.make_response(asked)
    except (dns.exception.DNSException, ValueError):
        return None
    _fill(asked, answer)
    return answer.to_wire(max_size=65535 if tcp else max(512, min(asked.payload, 1232)))


def _fill(asked: Message, answer: Message) -> None:
    import dns.flags
    import dns.name
    import dns.opcode
    import dns.rcode
    import dns.rdataclass
    import dns.rdatatype
    import dns.rrset

    if asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
        answer.set_rcode(dns.rcode.NOTIMP)
        return
    name, kind = asked.question[0].name, dns.rdatatype.to_text(asked.question[0].rdtype)
    if asked.question[0].rdclass != dns.rdataclass.IN:
        answer.set_rcode(dns.rcode.REFUSED)
        return
    zone = dns.name.from_text(ZONE)
    answer.flags |= dns.flags.AA
    records = _records(name, zone)
    if kind in records:
        answer.answer.append(dns.rrset.from_text(name, TTL, "IN", kind, *records[kind]))
        return
    if not records and not zone.is_subdomain(name):  # above the zone there is something: the zone
        answer.set_rcode(dns.rcode.NXDOMAIN)
    if name.is_subdomain(zone):
        answer.authority.append(dns.rrset.from_text(zone, TTL, "IN", "SOA", _SOA))


def _records(name: Name, zone: Name) -> dict[str, tuple[str, ...]]:
    """What stands at a name, by type; {} where there is nothing."""
    import dns.name

    top = _TOP if name == zone else {}
    mail = _MAIL if name in (zone, dns.name.from_text(NAME)) else {}
    addresses = _ADDRESSES if name in {dns.name.from_text(host) for host in HOSTS} else {}
    return {**top, **mail, **addresses}


class _Datagram(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, door = self.request
        answer = reply(wire, tcp=False)
        if answer:
            door.sendto(answer, self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        while len(head := self.rfile.read(2)) == 2:
            answer = reply(self.rfile.read(struct.unpack("!H", head)[0]), tcp=True)
            if answer is None:
                return
            self.wfile.write(struct.pack("!H", len(answer)) + answer)


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Udp6(_Udp):
    address_family = socket.AF_INET6


class _Tcp6(_Tcp):
    address_family = socket.AF_INET6


def main() -> None:
    """Serves until it is ended."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--port", type=int, required=True)
    port = read.parse_args().port
    doors = (
        _Tcp(("127.0.0.1", port), _Stream),
        _Tcp6(("::1", port), _Stream),
        _Udp6(("::1", port), _Datagram),
        _Udp(("127.0.0.1", port), _Datagram),
    )
    for door in doors[:-1]:
        threading.Thread(target=door.serve_forever, daemon=True).start()
    doors[-1].serve_forever()


if __name__ == "__main__":
    main()
