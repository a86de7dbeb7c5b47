"""Reads what a server presented, also when it did not verify, and says what is wrong: expired, foreign, misnamed."""

from __future__ import annotations

import ipaddress
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from monitoring.endpoints import is_literal
from monitoring.reasons import Reason
from ops import local_day, nfc

if TYPE_CHECKING:
    from cryptography import x509

MOST_NAMES = 4000
"""A bound for memory only: a name that is cut off would be called missing. All the names of 64 kB fit."""
FOREIGN = frozenset({2, 3, 7, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 62, 69, 79, 85, 86, 87, 88})
"""OpenSSL verify results (X509_V_ERR_*) that mean: no trusted chain, or a link of it that must not sign."""
SELF_SIGNED, NO_ISSUER, WEAK = 18, frozenset({2, 20, 21}), frozenset({66, 67, 68})
OLD_HASHES = frozenset({"md5", "sha1"})
EXPIRED, NOT_YET = 10, 9


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate as presented. Moments in UTC; `names` are the DNS names and addresses that it is good for.

    signed_with: hash of its signature ("sha256"), "" where the algorithm has none of its own. must_staple: it demands
    a stapled OCSP answer (RFC 7633). fetchable: it says where its issuer's certificate lies (a public issuer does).
    """

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    serial: str
    sha256: str
    self_signed: bool
    signed_with: str = ""
    must_staple: bool = False
    fetchable: bool = False

    def facts(self) -> Mapping[str, Any]:
        """What evidence keeps of it."""
        return {
            "subject": self.subject, "issuer": self.issuer, "names": list(self.names[:20]),
            "not_before": self.not_before.isoformat(), "not_after": self.not_after.isoformat(), "sha256": self.sha256,
            "signed_with": self.signed_with, "must_staple": self.must_staple,
        }


def read_chain(presented: Sequence[Sequence[tuple[str, str]]]) -> tuple[Certificate, ...]:
    """Certificates out of libcurl's CERTINFO, leaf first. What cannot be parsed is left out."""
    found = []
    for fields in presented:
        for key, value in fields:
            if key == "Cert":
                parsed = read_pem(value.encode())
                if parsed is not None:
                    found.append(parsed)
    return tuple(found)


def read_pem(pem: bytes) -> Certificate | None:
    """One certificate, or None when it is too odd to parse; a hostile server must not stop the look."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = x509.load_pem_x509_certificate(pem)
            return Certificate(
                subject=_short(found.subject), issuer=_short(found.issuer), not_before=found.not_valid_before_utc,
                not_after=found.not_valid_after_utc, names=_names(found), serial=format(found.serial_number, "x"),
                sha256=found.fingerprint(SHA256()).hex(), self_signed=found.subject == found.issuer,
                signed_with=_signed_with(found), must_staple=_must_staple(found), fetchable=_fetchable(found),
            )
    except (ValueError, TypeError, OverflowError):
        return None


def _signed_with(certificate: x509.Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return used.name if used is not None else ""


def _must_staple(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        wanted = certificate.extensions.get_extension_for_class(x509.TLSFeature).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return False
    return x509.TLSFeatureType.status_request in wanted


def _fetchable(certificate: x509.Certificate) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID

    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return False
    return any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in found)


def _short(name: x509.Name) -> str:
    """Common name, else organisation, else everything; at most 120 letters."""
    from cryptography.x509.oid import NameOID

    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        values = name.get_attributes_for_oid(oid)
        if values:
            return nfc(str(values[0].value))[:120]
    return nfc(name.rfc4514_string())[:120]


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return ()
    dns = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    return tuple(dns + [str(address) for address in san.get_values_for_type(x509.IPAddress)])[:MOST_NAMES]


def covers(names: Sequence[str], host: str) -> bool:
    """Whether a certificate for `names` is good for `host` (RFC 6125: `*` stands for one leftmost label)."""
    if is_literal(host):
        wanted = ipaddress.ip_address(host)
        return any(is_literal(name) and ipaddress.ip_address(name) == wanted for name in names)
    host = host.rstrip(".").lower()
    parent = host.partition(".")[2]
    return any(name == host or (name.startswith("*.") and "." in parent and name[2:] == parent) for name in names)


def faults(chain: Sequence[Certificate], host: str, verify_result: int, now: datetime) -> tuple[Reason, ...]:
    """Everything that is wrong with a chain that did not verify, the worst first; never empty.

    A foreign issuer comes first: whoever signed that certificate may have written any date and any name into it.
    """
    found = []
    if verify_result == SELF_SIGNED:
        found.append(Reason.TLS_SELF_SIGNED)
    if verify_result in WEAK:
        found.append(Reason.TLS_WEAK)
    if verify_result in FOREIGN:
        found.append(Reason.TLS_INTERMEDIATE if _lacks_link(chain, verify_result) else Reason.TLS_CHAIN)
    if verify_result == EXPIRED or any(link.not_after < now for link in chain[:1]):
        found.append(Reason.TLS_EXPIRED)
    if verify_result == NOT_YET or any(link.not_before > now for link in chain[:1]):
        found.append(Reason.TLS_NOT_YET_VALID)
    if chain and not covers(chain[0].names, host):
        found.append(Reason.TLS_NAME)
    return tuple(found) or (Reason.TLS_CHAIN,)


def _lacks_link(chain: Sequence[Certificate], verify_result: int) -> bool:
    """Whether the chain ends before any root, at a certificate that says where its issuer's could be fetched.

    Only such a one is called incomplete: a private issuer that nobody trusts publishes no such place.
    """
    return bool(chain) and verify_result in NO_ISSUER and not chain[-1].self_signed and chain[-1].fetchable


def old_signature(chain: Sequence[Certificate]) -> Certificate | None:
    """The first certificate with a signature of SHA-1 or MD5; that of a root does not matter, nobody relies on it."""
    return next((link for link in chain if link.signed_with in OLD_HASHES and not link.self_signed), None)


def days_left(certificate: Certificate, now: datetime) -> float:
    """Days until it expires, negative after."""
    return (certificate.not_after - now).total_seconds() / 86400


def day(moment: datetime) -> str:
    """The Vietnamese calendar day, for people."""
    return local_day(moment).strftime("%d/%m/%Y")
