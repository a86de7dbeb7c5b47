"""The demo's name server: loopback for its names, a clear no for all others: nothing of the demo asks outside."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import pytest

from ops.cli.demo import nameserver
from ops.cli.demo.layout import ALIAS, NAME, NEIGHBOURS, ZONE, Demo


def _ask(demo: Demo, name: str, kind: str, *, tcp: bool = False, server: str = "127.0.0.1") -> dns.message.Message:
    question = dns.message.make_query(name, kind, use_edns=0)
    how = dns.query.tcp if tcp else dns.query.udp
    return how(question, server, timeout=5, port=demo.ports.dns)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("server", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("name", [NAME, ALIAS, NAME.upper(), *NEIGHBOURS])
@pytest.mark.parametrize(("kind", "address"), [("A", "127.0.0.1"), ("AAAA", "::1")])
def test_addresses(demo: Demo, name: str, kind: str, address: str, server: str, tcp: bool) -> None:
    answer = _ask(demo, name, kind, tcp=tcp, server=server)
    assert [item.address for item in answer.answer[0]] == [address]
    assert answer.flags & dns.flags.AA
    assert not answer.flags & dns.flags.RA


@pytest.mark.parametrize(
    ("name", "kind", "code", "answers", "authority"),
    [
        (ZONE, "SOA", dns.rcode.NOERROR, 1, 0),
        (ZONE, "NS", dns.rcode.NOERROR, 1, 0),
        (ZONE, "MX", dns.rcode.NOERROR, 1, 0),
        (NAME, "MX", dns.rcode.NOERROR, 1, 0),
        (ALIAS, "MX", dns.rcode.NOERROR, 0, 1),
        (NAME, "SOA", dns.rcode.NOERROR, 0, 1),
        (ZONE, "DS", dns.rcode.NOERROR, 0, 1),
        ("gov.vn", "A", dns.rcode.NOERROR, 0, 0),
        (".", "NS", dns.rcode.NOERROR, 0, 0),
        (f"khong-co.{ZONE}", "A", dns.rcode.NXDOMAIN, 0, 1),
        (f"x.{NAME}", "A", dns.rcode.NXDOMAIN, 0, 1),
        ("khac.gov.vn", "A", dns.rcode.NXDOMAIN, 0, 0),
        ("example.com", "A", dns.rcode.NXDOMAIN, 0, 0),
    ],
)
def test_other_questions(demo: Demo, name: str, kind: str, code: int, answers: int, authority: int) -> None:
    answer = _ask(demo, name, kind)
    assert (answer.rcode(), len(answer.answer), len(answer.authority)) == (code, answers, authority)


@pytest.mark.parametrize("wire", [b"", b"\x00", b"x" * 11, bytes(range(64))])
def test_junk_gets_no_answer_and_does_no_harm(wire: bytes) -> None:
    assert nameserver.reply(wire, tcp=False) is None


def test_an_answer_is_not_answered() -> None:
    question = dns.message.make_query(NAME, "A")
    assert nameserver.reply(dns.message.make_response(question).to_wire(), tcp=False) is None


def test_both_name_servers_stand_in_the_zone(demo: Demo) -> None:
    servers = [str(item.target) for item in _ask(demo, ZONE, "NS").answer[0]]
    assert len(servers) == 2
    assert all(_ask(demo, server, "A").answer for server in servers)


def test_other_operations_are_not_implemented() -> None:
    wire = dns.message.make_query(NAME, "A")
    wire.set_opcode(dns.opcode.UPDATE)
    answer = nameserver.reply(wire.to_wire(), tcp=False)
    assert answer is None or dns.message.from_wire(answer).rcode() == dns.rcode.NOTIMP
