"""Asks one address for a stapled OCSP answer (RFC 6066) and has libcurl verify it."""

from __future__ import annotations

from pathlib import Path

from monitoring.endpoints import bracketed
from monitoring.fetch import bundle_path

INVALID_STATUS = 91
"""CURLE_SSL_INVALIDCERTSTATUS: no answer was stapled, or one that is old, forged or says "revoked"."""


def stapled(host: str, port: int, address: str, authority: Path | None, timeout: float) -> bool:
    """False when the handshake fails for its status alone. Any other trouble is not this question's and counts as true.

    timeout: seconds. Raises CannotSee when this machine has no certificate bundle.
    """
    import pycurl

    handle = pycurl.Curl()
    try:
        place = f"{bracketed(host)}:{port}"
        trusted = Path(bundle_path()).read_bytes() + (b"\n" + authority.read_bytes() if authority else b"")
        options: list[tuple[int, object]] = [
            (pycurl.URL, f"https://{place}/"), (pycurl.CONNECT_TO, [f"{place}:{bracketed(address)}:{port}"]),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS), (pycurl.PROXY, ""), (pycurl.NOPROXY, "*"), (pycurl.NOSIGNAL, 1),
            (pycurl.TIMEOUT_MS, max(1, int(timeout * 1000))), (pycurl.SSL_SESSIONID_CACHE, 0), (pycurl.CONNECT_ONLY, 1),
            (pycurl.SSL_VERIFYPEER, 1), (pycurl.SSL_VERIFYHOST, 2), (pycurl.SSL_VERIFYSTATUS, 1),
            (pycurl.CAINFO_BLOB, trusted),
        ]
        for option, value in options:
            handle.setopt(option, value)
        handle.perform()
    except pycurl.error as error:
        return int(error.args[0]) != INVALID_STATUS
    except OSError:
        return True
    finally:
        handle.close()
    return True
