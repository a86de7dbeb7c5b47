"""A tiny authoritative name server for the demo's zone: `python -m ops.cli.demo.nameserver --port N`.

A and AAAA are loopback, SOA and NS at the top of the zone; other names of the zone are NXDOMAIN, other zones REFUSED.
"""

from __future__ import annotations

import argparse
import socketserver
import struct
import threading
from typing import TYPE_CHECKING

from ops.cli.demo.layout import NAMES, ZONE

if TYPE_CHECKING:
    from dns.message import Message

TTL = 60
HOSTS = (*NAMES, f"ns.{ZONE}")
_SOA = f"ns.{ZONE}. vanthu.{NAMES[0]}. 1 3600 600 86400 {TTL}"


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
    name, wanted = asked.question[0].name, asked.question[0].rdtype
    zone = dns.name.from_text(ZONE)
    if asked.question[0].rdclass != dns.rdataclass.IN or not name.is_subdomain(zone):
        answer.set_rcode(dns.rcode.REFUSED)
        return
    answer.flags |= dns.flags.AA
    records = _records(name == zone, name in {dns.name.from_text(host) for host in HOSTS})
    kind = dns.rdatatype.to_text(wanted)
    if kind in records:
        answer.answer.append(dns.rrset.from_text(name, TTL, "IN", kind, records[kind]))
        return
    if not records:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    answer.authority.append(dns.rrset.from_text(zone, TTL, "IN", "SOA", _SOA))


def _records(top: bool, host: bool) -> dict[str, str]:
    if top:
        return {"SOA": _SOA, "NS": f"ns.{ZONE}."}
    return {"A": "127.0.0.1", "AAAA": "::1"} if host else {}


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


def main() -> None:
    """Serves until it is ended."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--port", type=int, required=True)
    port = read.parse_args().port
    with _Tcp(("127.0.0.1", port), _Stream) as stream, _Udp(("127.0.0.1", port), _Datagram) as datagram:
        threading.Thread(target=stream.serve_forever, daemon=True).start()
        datagram.serve_forever()


if __name__ == "__main__":
    main()
