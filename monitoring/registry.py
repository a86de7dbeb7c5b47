"""The day on which a domain ends, as its registry tells it: RDAP (RFC 9083) or WHOIS (RFC 3912), both bounded.

.vn has neither in public (the registry's own search page only), so both are asked only where the settings name them.
"""

from __future__ import annotations

import json
import re
import socket
import time
from datetime import date, datetime
from urllib.parse import quote

from monitoring.endpoints import Family, endpoint
from monitoring.names import lookup
from monitoring.probe import Aim, probe
from ops import Context, local_day

MOST_BYTES = 1 << 17
_LINE = re.compile(
    r"^[ \t]*(?:registry expiry date|registrar registration expiration date|expir(?:y|ation)(?: date)?|expires(?: on)?|"
    r"paid-till|renewal date|ngày hết hạn)[ \t.]*:[ \t]*([0-9A-Za-z:.+/-]{8,40})", re.I | re.M,
)
_FORMS = ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%Y.%m.%d", "%d-%b-%Y", "%Y/%m/%d")


def from_rdap(base: str, domain: str, ctx: Context) -> date | None:
    """The day of the "expiration" event; None when the service does not answer or does not say."""
    chosen = ctx.settings
    url = f"{base.rstrip('/')}/domain/{quote(domain)}"
    for family in Family:
        aim = Aim(url, family, chosen.nameservers, chosen.reference, chosen.authority, chosen.timeout_seconds, MOST_BYTES)
        sight = probe(aim)
        if sight.reason is None:
            return _expiration(sight.body)
    return None


def _expiration(body: bytes) -> date | None:
    try:
        events = json.loads(body)["events"]
        for event in events[:100]:
            if event["eventAction"] == "expiration":
                return _day(str(event["eventDate"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return None


def from_whois(place: str, domain: str, ctx: Context) -> date | None:
    """The day that a WHOIS answer names; None when there is no answer or no day that can be read without guessing."""
    host, port = endpoint(place, 43)
    until = time.monotonic() + ctx.settings.timeout_seconds
    for family in Family:
        for address in lookup(host, family, ctx.settings.nameservers, 5.0).addresses[:2]:
            text = _whois(address, port, domain, until)
            found = {day for day in map(_day, _LINE.findall(text)) if day is not None}
            if found:
                return min(found)
    return None


def _whois(address: str, port: int, domain: str, until: float) -> str:
    """What the server says, at most `MOST_BYTES`, until the time is up."""
    data = b""
    try:
        with socket.create_connection((address, port), timeout=max(0.1, until - time.monotonic())) as link:
            link.sendall(domain.encode("ascii") + b"\r\n")
            while len(data) < MOST_BYTES and (left := until - time.monotonic()) > 0:
                link.settimeout(left)
                piece = link.recv(4096)
                if not piece:
                    break
                data += piece
    except (OSError, UnicodeError):
        pass
    return data[:MOST_BYTES].decode("utf-8", "replace")


def _day(text: str) -> date | None:
    """The Vietnamese calendar day of a moment, or the day as written. Day before month, as registries here write it."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
        return local_day(moment) if moment.tzinfo is not None else moment.date()
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return datetime.strptime(text[:11].rstrip("T"), form).date()  # noqa: DTZ007 # a day has no zone
        except ValueError:
            continue
    return None


