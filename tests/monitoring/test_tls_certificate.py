"""Certificates that are wrong in their own ways, each presented by a real nginx: the cause is told, not only "not trusted"."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from monitoring.certificates import old_signature, read_pem
from monitoring.checks.certificate import certificate
from ops import Finding, Verdict
from tests.monitoring.dns_lab import look
from tests.monitoring.lab import Authority, Zone, free_port, name, nginx

MET, RISK, BROKEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN
PLACE = x509.AuthorityInformationAccess([x509.AccessDescription(
    AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.test/trung-gian.crt"))])
STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])


class Branch:
    """An intermediate below the trusted root, good for `days`."""

    def __init__(self, root: Authority, common: str, days: float = 300) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._made(root.certificate.subject, root.key, name(common), self.key, days,
                                      [(x509.BasicConstraints(ca=True, path_length=0), True)])

    @staticmethod
    def _made(issuer: x509.Name, signer: Any, subject: x509.Name, key: Any, days: float, more: list[tuple[Any, bool]]) -> x509.Certificate:
        now = datetime.now(UTC)
        made = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=5))
                .not_valid_after(now + timedelta(days=days))
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))
        for extension, critical in more:
            made = made.add_extension(extension, critical=critical)
        return made.sign(signer, hashes.SHA256())

    def leaf(self, names: list[str], *more: Any, days: float = 90) -> tuple[x509.Certificate, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        given = [(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False), (PLACE, False),
                 *((one, False) for one in more)]
        return self._made(self.certificate.subject, self.key, name(names[0]), key, days, given), key

    def status(self, leaf: x509.Certificate, good: bool = True) -> bytes:
        """An OCSP answer about a leaf."""
        now = datetime.now(UTC)
        said = ocsp.OCSPCertStatus.GOOD if good else ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            leaf, self.certificate, hashes.SHA1(), said, now - timedelta(hours=1), now + timedelta(days=3),
            None if good else now - timedelta(days=1), None if good else x509.ReasonFlags.key_compromise,
        ).responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def pem(one: x509.Certificate) -> str:
    return one.public_bytes(serialization.Encoding.PEM).decode()


def self_signed(folder: Path, digest: str = "sha256") -> tuple[str, str]:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", f"-{digest}", "-keyout",
            str(folder / "s.key"), "-out", str(folder / "s.crt"), "-days", "30", "-subj", "/CN=xamau.test", "-addext",
            "subjectAltName=DNS:xamau.test"]
    subprocess.run(argv, check=True, capture_output=True, timeout=30)
    return (folder / "s.crt").read_text(), (folder / "s.key").read_text()


def sha1(folder: Path, root: Authority) -> tuple[str, str]:
    """A leaf that the trusted root signed with SHA-1: openssl still does what cryptography refuses to."""
    key = root.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "root.key").write_bytes(key)
    (folder / "ext").write_text("subjectAltName=DNS:xamau.test\n")
    for argv in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/o.key", "-out",
         f"{folder}/o.csr", "-subj", "/CN=xamau.test"],
        ["x509", "-req", "-in", f"{folder}/o.csr", "-CA", str(root.path), "-CAkey", f"{folder}/root.key", "-CAserial",
         f"{folder}/srl", "-CAcreateserial", "-sha1", "-days", "30", "-extfile", f"{folder}/ext", "-out", f"{folder}/o.crt"],
    ):
        subprocess.run(["openssl", *argv], check=True, capture_output=True, timeout=30)
    return (folder / "o.crt").read_text(), (folder / "o.key").read_text()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[dict[str, int]]:
    """Ports by kind."""
    folder = tmp_path_factory.mktemp("pki")
    good, ending = Branch(authority, "trung-gian"), Branch(authority, "trung-gian-sap-het", days=6)
    many = [f"x{n:03}.{'rat-dai.' * 2}xamau.test" for n in range(250)]
    made: dict[str, tuple[str, str, str]] = {}

    def add(kind: str, leaf: tuple[x509.Certificate, Any], *above: x509.Certificate, status: bytes = b"") -> None:
        key = leaf[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{kind}.der").write_bytes(status)
        lines = f"ssl_stapling on; ssl_stapling_file {folder}/{kind}.der;" if status else ""
        made[kind] = ("".join(map(pem, (leaf[0], *above))), key.decode(), lines)

    add("whole", good.leaf(["xamau.test"]), good.certificate)
    add("lacking", good.leaf(["xamau.test"]))
    add("ending", ending.leaf(["xamau.test"]), ending.certificate)
    add("crowd", good.leaf([*many, "xamau.test"]), good.certificate)
    add("bare", good.leaf(["xamau.test"], STAPLE), good.certificate)
    for kind, fine in (("stapled", True), ("revoked", False)):
        leaf = good.leaf(["xamau.test"], STAPLE)
        add(kind, leaf, good.certificate, status=good.status(leaf[0], fine))
    made["alone"] = (*self_signed(folder), "")
    made["sha1"] = (*sha1(folder, authority), "ssl_ciphers DEFAULT:@SECLEVEL=0;")
    found, blocks = {}, []
    for kind, (chain, key, lines) in made.items():
        found[kind] = free_port()
        (folder / f"{kind}.crt").write_text(chain)
        (folder / f"{kind}.key").write_text(key)
        blocks.append(f"server {{ listen 127.0.0.1:{found[kind]} ssl; listen [::1]:{found[kind]} ssl ipv6only=on; {lines}\n"
                      f"ssl_certificate {folder}/{kind}.crt; ssl_certificate_key {folder}/{kind}.key; }}")
    with nginx(folder / "n", "\n".join(blocks)):
        yield found


@pytest.fixture
def seen(tmp_path: Path, nameserver: str, zone: Zone, ports: dict[str, int], authority: Authority):
    zone.host("xamau.test")

    def run(kind: str, **more: Any) -> Finding:
        found = look(certificate, tmp_path, nameserver, url=f"https://xamau.test:{ports[kind]}/", authority=authority.path, **more)
        assert found["ipv4"].verdict is found["ipv6"].verdict
        return found["ipv4"]

    return run


def test_leaf_and_chain_end_apart(seen) -> None:
    found = seen("whole")
    assert found.verdict is MET
    assert 89 < found.measures["days_left"] <= 90
    assert 299 < found.measures["chain_days_left"] <= 300
    assert (found.measures["presented_certificates"], found.measures["names"]) == (2.0, 1.0)


@pytest.mark.parametrize(("kind", "reason", "words"), [
    ("lacking", "tls_intermediate", "fullchain.pem"), ("alone", "tls_self_signed", "tự ký"), ("sha1", "tls_weak", "SHA-1"),
    ("bare", "tls_staple", "ssl_stapling"), ("revoked", "tls_staple", "OCSP"),
])
def test_each_fault_has_its_own_cause(seen, kind: str, reason: str, words: str) -> None:
    found = seen(kind)
    assert (found.verdict, found.facts["reason"]) == (BROKEN, reason)
    assert words in found.detail.vi
    assert "days_left" in found.measures
    assert found.next.startswith("openssl s_client")


def test_a_staple_that_is_demanded_and_given(seen) -> None:
    found = seen("stapled")
    assert (found.verdict, found.facts["certificate"]["must_staple"]) == (MET, True)


def test_an_intermediate_that_ends_first(seen) -> None:
    found = seen("ending")
    assert found.verdict is RISK
    assert "trung-gian-sap-het" in found.detail.vi
    assert 5 < found.measures["chain_days_left"] < 6.1 < found.measures["days_left"]
    assert seen("ending", thresholds={"tls.days_left": 3}).verdict is MET


def test_the_last_of_many_names_counts(seen) -> None:
    found = seen("crowd")
    assert (found.verdict, found.measures["names"]) == (MET, 251.0)
    assert len(found.facts["certificate"]["names"]) == 20


def test_an_old_signature_is_seen_where_the_library_lets_it_pass(tmp_path: Path, authority: Authority) -> None:
    made = [read_pem(text.encode()) for text in (sha1(tmp_path, authority)[0], self_signed(tmp_path, "sha1")[0])]
    assert [one.signed_with for one in made if one] == ["sha1", "sha1"]
    assert old_signature([made[0]]) is made[0]
    assert old_signature([made[1]]) is None  # nobody relies on the signature of a root
