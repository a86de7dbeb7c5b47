"""`[site.NAME.monitoring.renewal]`: contracts that end."""

from __future__ import annotations

import datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from monitoring.sections.dns import HostName
from ops import Strict, Word, fault


def _day(value: datetime.date) -> datetime.date:
    if not 2000 <= value.year <= 2100:
        raise fault("{value}: năm không hợp lý", "{value}: that year cannot be meant", value=value)
    return value


def _rdap(value: str) -> str:
    try:
        split = urlsplit(value)
        good = split.scheme == "https" and bool(split.hostname) and split.username is None and split.port != 0
    except ValueError:
        good = False
    if value and (not good or split.query or split.fragment):
        raise fault(
            "{value}: phải là địa chỉ https, như https://rdap.example/", "{value}: must be an https address, like https://rdap.example/",
            value=value,
        )
    return value


def _whois(value: str) -> str:
    from monitoring.endpoints import endpoint

    try:
        if value:
            endpoint(value, 43)
    except ValueError:
        raise fault("{value}: không phải máy hay máy:cổng", "{value}: neither host nor host:port", value=value) from None
    return value


Day = Annotated[datetime.date, AfterValidator(_day)]


class Renewal(Strict):
    """When domain and hosting end. There is no public RDAP or WHOIS service for .vn: write the days of the contracts.

    domain:        the registered name; "" for the one that the site's host lies under.
    domain_until:  last day of the domain (2027-03-31); hosting_until: last day for which the server is paid.
    rdap:          base of an RDAP service that knows the name (RFC 9082), where there is one.
    whois:         `host` or `host:port` of a WHOIS server that knows the name (RFC 3912), where there is one.
    days_left:     days left below which a contract is at risk, where the policy sets no number.
    """

    domain: HostName | None = None
    domain_until: Day | None = None
    hosting_until: Day | None = None
    rdap: Annotated[Word, AfterValidator(_rdap)] = ""
    whois: Annotated[Word, AfterValidator(_whois)] = ""
    days_left: float = Field(default=30.0, ge=0, le=730)
