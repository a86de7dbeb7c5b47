"""The demo's own certificate authority and the server certificate that it signs. Kept while they are good."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ops.cli.demo.layout import NAMES, NEIGHBOURS, Demo

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SERVER_DAYS = 90
AUTHORITY_DAYS = 3650
RENEW_DAYS = 30
HOSTS = (*NAMES, *NEIGHBOURS, "localhost")


def ensure(demo: Demo) -> None:
    """Makes authority and server certificate, or keeps those that are good for more than RENEW_DAYS days."""
    demo.tls.mkdir(exist_ok=True)
    authority_key = demo.secrets / "ca.key"
    if not _good(demo.authority, authority_key):
        _authority(demo.authority, authority_key)
        (demo.tls / "server.pem").unlink(missing_ok=True)
    if not _good(demo.tls / "server.pem", demo.tls / "server.key", HOSTS):
        _server(demo, authority_key)


def _good(certificate: Path, key: Path, hosts: tuple[str, ...] = ()) -> bool:
    """Whether both are there, it is good for long enough, and for all these hosts: names change from version to version."""
    from cryptography import x509

    if not (certificate.exists() and key.exists()):
        return False
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
        if hosts:
            names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            if not set(hosts) <= set(names.get_values_for_type(x509.DNSName)):
                return False
    except (ValueError, x509.ExtensionNotFound):
        return False
    return read.not_valid_after_utc - datetime.now(UTC) > timedelta(days=RENEW_DAYS)


def _authority(certificate: Path, key_file: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Demo authority - Xã Hoa Mai")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    _write(certificate, key_file, builder, key, key)


def _server(demo: Demo, authority_key: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority = x509.load_pem_x509_certificate(demo.authority.read_bytes())
    signer = load_pem_private_key(authority_key.read_bytes(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the demo authority's key is not an elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in HOSTS]
    names += [x509.IPAddress(ip_address(address)) for address in ("127.0.0.1", "::1")]
    builder = (
        _builder(_name(NAMES[0]), authority.subject, key, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    _write(demo.tls / "server.pem", demo.tls / "server.key", builder, key, signer)


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _write(
    certificate: Path,
    key_file: Path,
    builder: x509.CertificateBuilder,
    key: EllipticCurvePrivateKey,
    signer: EllipticCurvePrivateKey,
) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))


def private(path: Path, content: bytes) -> None:
    """Writes a file that nobody else can read, not even for a moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
