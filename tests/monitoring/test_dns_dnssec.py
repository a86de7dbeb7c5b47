"""DNSSEC against a real signer (knot) and real resolvers (unbound), validating and not."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitoring.checks.dnssec import dnssec
from ops import Finding, Verdict
from tests.monitoring.dns_lab import HOST, ZONE, Knot, chain, knot, look, presigned
from tests.monitoring.lab import Zone, free_port

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
WRONG_DS = f"{ZONE}. DS 48150 13 2 a56b9e6d4640876af0f86a6a568aa19f5750eb0ad28e2a1e73f6de787720d32f"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    """knot that signs the zone itself."""
    with knot(tmp_path_factory.mktemp("signer"), signed=True) as made:
        yield made


@pytest.fixture(scope="module")
def validating(tmp_path_factory: pytest.TempPathFactory, signer: Knot) -> Iterator[str]:
    with chain(tmp_path_factory.mktemp("validating"), signer) as place:
        yield place


def seen(tmp: Path, place: str, **settings) -> Finding:
    return look(dnssec, tmp, place, **settings)["zone"]


def test_a_signed_zone_is_met_and_its_days_are_counted(tmp_path: Path, validating: str) -> None:
    found = seen(tmp_path, validating)
    assert (found.verdict, found.facts["zone"], found.facts["authentic"]) == (MET, ZONE, True)
    assert 13 < found.measures["signature_days_left"] < 15
    assert found.next == ""


def test_a_resolver_that_does_not_validate_shows_enough(tmp_path: Path, signer: Knot) -> None:
    with chain(tmp_path / "r", signer, validating=False) as place:
        found = seen(tmp_path, place)
    assert (found.verdict, found.facts["authentic"], found.measures["signed"]) == (MET, False, 1.0)


@pytest.mark.parametrize("validates", [True, False])
def test_a_foreign_key_at_the_parent_is_broken(tmp_path: Path, signer: Knot, validates: bool) -> None:
    with chain(tmp_path / "r", signer, ds=WRONG_DS, validating=validates) as place:
        found = seen(tmp_path, place)
    assert (found.verdict, found.facts["trouble"]) == (BROKEN, "no_key_for_ds")
    assert found.facts["refused"] is validates
    assert shlex.split(found.next) == ["delv", HOST]


def test_no_ds_is_told_and_blamed_only_where_it_is_demanded(tmp_path: Path, signer: Knot) -> None:
    with chain(tmp_path / "r", signer, ds="") as place:
        assert seen(tmp_path, place).verdict is MET
        found = seen(tmp_path, place, dns={"dnssec": True})
    assert found.verdict is BROKEN
    assert "DS" in found.detail.vi


@pytest.mark.parametrize(("begins", "ends", "trouble"), [
    (-20, -3, "signature_expired"), (3, 20, "signature_not_yet_valid"),
])
def test_signatures_out_of_their_days(tmp_path: Path, begins: float, ends: float, trouble: str) -> None:
    text, ds = presigned(begins=begins, ends=ends)
    with knot(tmp_path / "k", text) as served, chain(tmp_path / "r", served, ds=ds) as place:
        found = seen(tmp_path, place)
    assert (found.verdict, found.facts["trouble"], found.facts["refused"]) == (BROKEN, trouble, True)
    assert "hết hạn" in found.detail.vi or "chưa tới ngày" in found.detail.vi


def test_what_one_resolver_still_lets_pass_is_at_risk(tmp_path: Path) -> None:
    text, ds = presigned(begins=-30, ends=-0.2)  # unbound is lenient for a tenth of a signature's life, a day at most
    with knot(tmp_path / "k", text) as served, chain(tmp_path / "r", served, ds=ds) as place:
        found = seen(tmp_path, place)
    assert (found.verdict, found.facts["trouble"], found.facts["authentic"]) == (RISK, "signature_expired", True)


def test_an_address_that_was_changed_after_signing(tmp_path: Path) -> None:
    text, ds = presigned()
    forged = text.replace("xamau 60 IN A 127.0.0.1", "xamau 60 IN A 127.0.0.66")
    assert forged != text
    with knot(tmp_path / "k", forged) as served:
        for validates in (True, False):
            with chain(tmp_path / f"r{validates}", served, ds=ds, validating=validates) as place:
                found = seen(tmp_path, place)
            assert (found.verdict, found.facts["trouble"]) == (BROKEN, "signature_wrong"), validates


@pytest.mark.parametrize(("owner", "kind"), [("xamau ", "RRSIG A "), ("@ ", "RRSIG DNSKEY ")])
def test_signatures_that_were_stripped(tmp_path: Path, owner: str, kind: str) -> None:
    text, ds = presigned()
    kept = [line for line in text.splitlines() if not (line.startswith(owner) and kind in line)]
    assert len(kept) == len(text.splitlines()) - 1
    with knot(tmp_path / "k", "\n".join(kept)) as served, chain(tmp_path / "r", served, ds=ds) as place:
        found = seen(tmp_path, place)
    assert (found.verdict, found.facts["trouble"]) == (BROKEN, "signature_missing")


def test_signatures_that_are_not_renewed(tmp_path: Path) -> None:
    text, ds = presigned(begins=-29, ends=1)
    with knot(tmp_path / "k", text) as served, chain(tmp_path / "r", served, ds=ds) as place:
        found = seen(tmp_path, place)
    assert found.verdict is RISK
    assert 0.9 < found.measures["signature_days_left"] < 1.1


def test_sha1_signatures_are_at_risk(tmp_path: Path) -> None:
    text, ds = presigned(algorithm="RSASHA1")
    with knot(tmp_path / "k", text) as served, chain(tmp_path / "r", served, ds=ds, validating=False) as place:
        found = seen(tmp_path, place)
    assert (found.verdict, found.facts["old"]) == (RISK, ["algorithm 5"])


def test_a_wrong_clock_of_ours_accuses_nobody(tmp_path: Path, validating: str) -> None:
    found = seen(tmp_path, validating, now=datetime.now(UTC) + timedelta(days=60))
    assert (found.verdict, found.next) == (UNSEEN, "timedatectl")
    early = seen(tmp_path, validating, now=datetime.now(UTC) - timedelta(days=60))
    assert (early.verdict, early.next) == (UNSEEN, "timedatectl")


def test_a_resolver_without_dnssec_is_unseen(tmp_path: Path, zone: Zone, nameserver: str) -> None:
    zone.host(HOST)
    zone.records[HOST, "SOA"] = ["ns1.x.test. chu.x.test. 1 1 1 1 1"]
    for demanded in (False, True):
        found = seen(tmp_path, nameserver, dns={"dnssec": demanded})
        assert (found.verdict, found.facts["aware"]) == (UNSEEN, False)
    assert "nameservers" in found.detail.vi


def test_nobody_answers(tmp_path: Path) -> None:
    found = seen(tmp_path, f"127.0.0.1:{free_port()}", timeout_seconds=1)
    assert (found.verdict, found.facts["reason"]) == (UNSEEN, "resolver_silent")


def test_an_address_has_no_zone(tmp_path: Path) -> None:
    assert seen(tmp_path, "127.0.0.1:9", url="https://127.0.0.1/").verdict is UNSEEN
