"""Names: one family at a time, with the reason, within the time."""

from __future__ import annotations

import time

import pytest

from monitoring.endpoints import Family, endpoint, is_public
from monitoring.endpoints import nameserver as nameserver_of
from monitoring.names import MOST_ADDRESSES, lookup
from monitoring.reasons import Reason
from tests.monitoring.lab import Zone

FOUR, SIX = Family.IPV4, Family.IPV6


def test_each_family_by_itself(zone: Zone, nameserver: str) -> None:
    zone.host("xamau.test", "192.0.2.7,192.0.2.8", "2001:db8::7")
    assert set(lookup("xamau.test", FOUR, [nameserver]).addresses) == {"192.0.2.7", "192.0.2.8"}
    assert lookup("xamau.test", SIX, [nameserver]).addresses == ("2001:db8::7",)
    assert ("xamau.test", "AAAA") in zone.asked


def test_no_record_is_not_nxdomain(zone: Zone, nameserver: str) -> None:
    zone.host("motnua.test", six="")
    assert lookup("motnua.test", SIX, [nameserver]).reason is Reason.NO_RECORD
    assert lookup("motnua.test", FOUR, [nameserver]).reason is None
    assert lookup("khongco.test", SIX, [nameserver]).reason is Reason.NXDOMAIN


def test_an_alias_is_followed_and_told(zone: Zone, nameserver: str) -> None:
    zone.records["www.xamau.test", "CNAME"] = ["may.xamau.test"]
    zone.host("may.xamau.test", "192.0.2.9")
    found = lookup("www.xamau.test", FOUR, [nameserver])
    assert (found.addresses, found.aliases, found.ttl) == (("192.0.2.9",), ("may.xamau.test",), 60)


def test_aliases_in_a_circle_end(zone: Zone, nameserver: str) -> None:
    zone.records["a.test", "CNAME"], zone.records["b.test", "CNAME"] = ["b.test"], ["a.test"]
    assert lookup("a.test", FOUR, [nameserver]).reason is Reason.DNS_LOOP


def test_answers_are_capped_but_counted(zone: Zone, nameserver: str) -> None:
    zone.host("nhieu.test", ",".join(f"192.0.2.{n}" for n in range(1, 41)))
    found = lookup("nhieu.test", FOUR, [nameserver])
    assert len(found.addresses) == MOST_ADDRESSES
    assert found.count == 40


def test_silence_about_one_name_is_the_names_fault(zone: Zone, nameserver: str) -> None:
    zone.silent.add("im.test")
    started = time.monotonic()
    assert lookup("im.test", FOUR, [nameserver], 1.0).reason is Reason.DNS_TIMEOUT
    assert time.monotonic() - started < 4


def test_silence_about_everything_is_the_resolvers(zone: Zone, nameserver: str) -> None:
    zone.mute = True
    assert lookup("im.test", FOUR, [nameserver], 1.0).reason is Reason.RESOLVER_SILENT


def test_an_error_answer_is_told_apart(zone: Zone, nameserver: str) -> None:
    zone.failing.add("hong.test")
    assert lookup("hong.test", FOUR, [nameserver]).reason is Reason.DNS_FAILED


def test_the_second_server_is_asked_when_the_first_is_dead(zone: Zone, nameserver: str) -> None:
    zone.host("xamau.test")
    assert lookup("xamau.test", FOUR, ["127.0.0.1:9", nameserver], 5.0).addresses == ("127.0.0.1",)


def test_literals_and_localhost_ask_nobody(zone: Zone, nameserver: str) -> None:
    assert lookup("::1", SIX, [nameserver]).addresses == ("::1",)
    assert lookup("::1", FOUR, [nameserver]).reason is Reason.NO_RECORD
    assert lookup("localhost", SIX, [nameserver]).addresses == ("::1",)
    assert zone.asked == []


@pytest.mark.parametrize("name", ["", "a..b.test", "x" * 64 + ".test"])
def test_odd_names_do_not_raise(name: str, nameserver: str) -> None:
    assert lookup(name, FOUR, [nameserver]).reason is not None


def test_endpoints() -> None:
    assert nameserver_of("192.0.2.1") == ("192.0.2.1", 53)
    assert nameserver_of("[2001:db8::1]:5353") == ("2001:db8::1", 5353)
    assert nameserver_of("2001:db8::1") == ("2001:db8::1", 53)
    assert endpoint("doichieu.test:443") == ("doichieu.test", 443)
    for bad in ("x", "x:0", "x:99999", "[::1]", ":53", "a b:1", "-a:1", "[a]:1"):
        with pytest.raises(ValueError):
            endpoint(bad)



def test_public_addresses() -> None:
    assert is_public("9.9.9.9")
    assert is_public("2620:fe::fe")
    for inner in ("127.0.0.1", "10.1.2.3", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "169.254.169.254", "0.0.0.0"):
        assert not is_public(inner), inner


def test_an_address_within_an_address_is_looked_at() -> None:
    for inner in (
        "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::9.9.9.9", "2002:7f00:1::", "2002:0a00:0001::1",
        "::127.0.0.1", "::10.0.0.1", "::ffff:169.254.169.254", "2001:0:7f00:1::", "2001:0:909:909:0:0:f5ff:fffe", "::",
    ):
        assert not is_public(inner), inner
    for outer in ("64:ff9b::9.9.9.9", "2002:909:909::1", "::ffff:9.9.9.9"):
        assert is_public(outer), outer
