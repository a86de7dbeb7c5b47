"""The prober's parts: names on the wire, many names at once, whose turn it is."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import wire
from monitoring.endpoints import Family
from monitoring.loop import Loop
from monitoring.names import MOST_ADDRESSES, Lookup, lookup
from monitoring.pace import Pace
from monitoring.reasons import Reason
from monitoring.resolving import Resolver
from tests.monitoring.lab import Zone

FOUR, SIX = Family.IPV4, Family.IPV6
LABEL = st.text("abcxyz0123456789-_", min_size=1, max_size=63)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) < 250)


@given(NAME, st.sampled_from(list(Family)), st.integers(0, 65535))
def test_a_question_reads_as_one(name: str, family: Family, number: int) -> None:
    read = dns.message.from_wire(wire.question(number, wire.name_of(name), wire.KIND[family]))
    assert (read.id, read.edns, read.payload) == (number, 0, 1232)
    assert read.flags & dns.flags.RD
    assert read.question[0].to_text() == f"{name}. IN {family.record}"


@given(st.lists(NAME, min_size=1, max_size=4, unique=True), st.sampled_from(list(Family)), st.data())
@settings(deadline=None, max_examples=40)
def test_an_answer_reads_as_a_full_library_reads_it(chain: list[str], family: Family, data: st.DataObject) -> None:
    kind = wire.KIND[family]
    addresses = data.draw(st.lists(st.ip_addresses(v=family.version).map(str), max_size=20, unique=True))
    ttls = data.draw(st.lists(st.integers(0, 2**31 - 1), min_size=len(chain), max_size=len(chain)))
    query = dns.message.make_query(chain[0], family.record, id=7)
    answer = dns.message.make_response(query)
    for place, target in enumerate(chain[1:]):
        answer.answer.append(dns.rrset.from_text(chain[place] + ".", ttls[place], "IN", "CNAME", target + "."))
    if addresses:
        answer.answer.append(dns.rrset.from_text(chain[-1] + ".", ttls[-1], "IN", family.record, *addresses))
    read = wire.reply(answer.to_wire(), 7, wire.name_of(chain[0]), kind)
    want = {socket.inet_ntop(family_kind(family), socket.inet_pton(family_kind(family), one)) for one in addresses}
    assert {one for _, found in read.addresses.values() for one in found} == want
    assert [wire.text_of(target) for _, target in read.aliases.values()] == chain[1:]
    if addresses:
        assert read.addresses[wire.name_of(chain[-1])][0] == ttls[-1]


def family_kind(family: Family) -> int:
    return socket.AF_INET6 if family is SIX else socket.AF_INET


@given(st.binary(max_size=600))
@settings(max_examples=300)
def test_rubbish_is_malformed_and_nothing_else(message: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.reply(message, 7, (b"x", b"test"), 1)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_bent_answer_never_raises_anything_else(data: st.DataObject) -> None:
    query = dns.message.make_query("a.test", "A", id=7)
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("a.test.", 60, "IN", "CNAME", "b.test."))
    answer.answer.append(dns.rrset.from_text("b.test.", 60, "IN", "A", "192.0.2.1", "192.0.2.2"))
    message = bytearray(answer.to_wire())
    for _ in range(data.draw(st.integers(1, 6))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(wire.Malformed):
        wire.reply(bytes(message), 7, (b"a", b"test"), 1)


def test_pointers_in_a_circle_end() -> None:
    head = wire.question(7, (b"x",), 1)[:12]
    head = head[:2] + b"\x81\x80" + head[4:]
    for name in (b"\xc0\x0c", b"\x01a\xc0\x0c", b"\xc0\x0e\xc0\x0c"):
        with pytest.raises(wire.Malformed):
            wire.reply(head + name + b"\0\1\0\1", 7, (b"x",), 1)


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, ".".join(["x" * 60] * 5), "ế.test"])
def test_names_that_cannot_be_asked(name: str) -> None:
    with pytest.raises(wire.Malformed):
        wire.name_of(name)


def asked(name: str, family: Family, servers: list[str], seconds: float = 5.0, times: int = 1) -> list[Lookup]:
    """The resolver's answers to the same question, put `times` at once."""
    loop = Loop()
    resolver = Resolver(loop)
    found: list[Lookup] = []
    for _ in range(times):
        resolver.ask(name, family, servers, seconds, found.append)
    deadline = time.monotonic() + 15
    while len(found) < times and time.monotonic() < deadline:
        loop.turn()
    loop.close()
    assert len(found) == times
    return found


def same(name: str, family: Family, servers: list[str], seconds: float = 5.0) -> Lookup:
    """The answer, which must be the blocking lookup's."""
    [one] = asked(name, family, servers, seconds)
    two = lookup(name, family, servers, seconds)
    assert (one.reason, one.ttl, one.count) == (two.reason, two.ttl, two.count)
    assert one.aliases == two.aliases or one.reason is Reason.DNS_LOOP
    assert len(one.addresses) == len(two.addresses)
    if one.count <= MOST_ADDRESSES:  # the lab's server deals them out anew each time
        assert set(one.addresses) == set(two.addresses)
    return one


def test_the_resolver_says_what_the_blocking_one_says(zone: Zone, nameserver: str) -> None:
    zone.host("xamau.test", "192.0.2.7,192.0.2.8", "2001:db8::7")
    zone.host("bon.test", six="")
    zone.host("nhieu.test", ",".join(f"192.0.2.{n}" for n in range(1, 41)))
    zone.records["www.xamau.test", "CNAME"] = ["xamau.test"]
    zone.records["a.test", "CNAME"], zone.records["b.test", "CNAME"] = ["b.test"], ["a.test"]
    zone.records["tu.test", "CNAME"] = ["tu.test"]
    zone.records["mo.test", "CNAME"] = ["khongco.test"]
    zone.failing.add("hong.test")
    names = ["xamau.test", "XaMau.Test.", "bon.test", "nhieu.test", "www.xamau.test", "a.test", "tu.test", "mo.test",
             "hong.test", "khongco.test", "::1", "127.0.0.1", "localhost", "", "a..b", "x" * 64 + ".test"]
    reasons = {same(name, family, [nameserver]).reason for name in names for family in Family}
    assert reasons == {None, Reason.NO_RECORD, Reason.DNS_LOOP, Reason.DNS_FAILED, Reason.NXDOMAIN}
    assert same("nhieu.test", FOUR, [nameserver]).count == 40 > MOST_ADDRESSES


def test_whose_silence_it_is(zone: Zone, nameserver: str) -> None:
    zone.silent.add("im.test")
    assert same("im.test", FOUR, [nameserver], 0.5).reason is Reason.DNS_TIMEOUT
    zone.mute = True
    assert same("im.test", FOUR, [nameserver], 0.5).reason is Reason.RESOLVER_SILENT
    dead = ["127.0.0.1:9"]
    assert same("im.test", FOUR, dead, 0.5).reason is Reason.RESOLVER_SILENT


def test_the_second_server_is_asked(zone: Zone, nameserver: str) -> None:
    zone.host("xamau.test")
    assert asked("xamau.test", FOUR, ["127.0.0.1:9", nameserver])[0].addresses == ("127.0.0.1",)


def test_equal_questions_are_asked_once_and_kept_for_their_ttl(zone: Zone, nameserver: str) -> None:
    zone.host("xamau.test")
    loop = Loop()
    resolver = Resolver(loop)
    found: list[Lookup] = []

    def ask(number: int) -> None:
        before = len(found)
        for _ in range(number):
            resolver.ask("xamau.test", FOUR, [nameserver], 5.0, found.append)
        deadline = time.monotonic() + 5
        while len(found) < before + number and time.monotonic() < deadline:
            loop.turn()

    ask(50)
    ask(50)
    assert (len(found), len(zone.asked)) == (100, 1)
    loop.now += 59
    ask(1)
    assert len(zone.asked) == 1
    key = next(iter(resolver._kept))
    resolver._kept[key] = (loop.now - 1, resolver._kept[key][1])
    ask(1)
    assert len(zone.asked) == 2
    zone.failing.add("xamau.test")
    resolver._kept.clear()
    ask(2)
    ask(1)
    assert len(zone.asked) == 4, "a failure is not kept"
    loop.close()


def liar(answers: Callable[[bytes], list[bytes]]) -> tuple[socket.socket, str]:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        try:
            data, peer = server.recvfrom(4096)
            for answer in answers(data):
                server.sendto(answer, peer)
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    return server, f"127.0.0.1:{server.getsockname()[1]}"


def test_an_answer_to_another_question_is_not_taken() -> None:
    """A wrong number, another name, rubbish; then the right one."""

    def answers(data: bytes) -> list[bytes]:
        query = dns.message.from_wire(data)

        def made(message: dns.message.Message, address: str) -> bytes:
            reply = dns.message.make_response(message)
            reply.answer.append(dns.rrset.from_text(message.question[0].name, 60, "IN", "A", address))
            return reply.to_wire()

        other = dns.message.make_query("khac.test", "A", id=query.id)
        guessed = dns.message.make_query("xamau.test", "A", id=(query.id + 1) % 65536)
        return [b"", b"rubbish", data, made(guessed, "192.0.2.66"), made(other, "192.0.2.66"), made(query, "192.0.2.1")]

    server, text = liar(answers)
    with server:
        assert asked("xamau.test", FOUR, [text], 2.0)[0].addresses == ("192.0.2.1",)


def test_an_answer_that_was_cut_is_fetched_by_tcp() -> None:
    def answers(data: bytes) -> list[bytes]:
        reply = dns.message.make_response(dns.message.from_wire(data))
        reply.flags |= dns.flags.TC
        return [reply.to_wire()]

    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    port = server.getsockname()[1]
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        for _ in range(2):  # the blocking lookup begins with UDP, too
            data, peer = server.recvfrom(4096)
            server.sendto(answers(data)[0], peer)
        connection, _ = listener.accept()
        with connection:
            query = dns.message.from_wire(connection.recv(4096)[2:])
            reply = dns.message.make_response(query)
            reply.answer.append(dns.rrset.from_text("to.test.", 60, "IN", "A", *[f"192.0.2.{n}" for n in range(1, 201)]))
            message = reply.to_wire(max_size=65535)
            connection.sendall(len(message).to_bytes(2, "big") + message)

    threading.Thread(target=serve, daemon=True).start()
    with server, listener:
        [found] = asked("to.test", FOUR, [f"127.0.0.1:{port}"], 4.0)
    assert (found.count, len(found.addresses)) == (200, MOST_ADDRESSES)


@given(st.sets(NAME, max_size=40), st.integers(1, 120), st.lists(st.floats(0, 400), min_size=1, max_size=40))
@settings(deadline=None, max_examples=30)
def test_everybody_has_one_turn_in_each_interval(names: set[str], interval: int, steps: list[float]) -> None:
    pace = Pace(float(interval))
    pace.place(names)
    now = 5000.0
    first = int(now / pace.batch)
    list(pace.due(now))
    started = 0
    for step in steps:
        now += step
        turn = list(pace.due(now))
        assert len(turn) == len(set(turn)), "nobody is due twice at once"
        started += len(turn)
    last = int(now / pace.batch)
    count = round(interval / 0.025)
    should = sum((last - pace.slot_of(name)) // count - (first - pace.slot_of(name)) // count for name in names)
    assert started + pace.missed == should


def test_starts_are_spread() -> None:
    pace = Pace(60.0)
    pace.place(f"xa{number}/ipv4" for number in range(13_260))
    list(pace.due(1000.0))
    assert max(map(len, pace._slots)) <= 20
    assert sum(len(list(pace.due(1000.0 + 0.025 * turn))) for turn in range(1, 2401)) == 13_260
