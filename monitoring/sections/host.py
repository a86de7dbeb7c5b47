"""`[site.NAME.monitoring.host]`: what must run and listen on this machine, and which figures start to worry."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from ops import Strict, Word, fault

_PORT = re.compile(r"(tcp|udp)/([1-9]\d{0,4})")


def _port(value: str) -> str:
    found = _PORT.fullmatch(value)
    if found is None or int(found.group(2)) > 65535:
        raise fault("{value}: viết cổng như tcp/443 hay udp/123", "{value}: write a port like tcp/443 or udp/123", value=value)
    return value


Port = Annotated[Word, AfterValidator(_port)]
Unit = Annotated[Word, Field(pattern=r"^[A-Za-z0-9@_.:\\-]+\.(service|socket|timer|target)$")]


class Machine(Strict):
    """What must run and listen here.

    services:      systemd units that must be active (`nginx.service`).
    processes:     programs that must run, by the name that the kernel shows (`mariadbd`).
    ports:         ports that may listen to other machines (`tcp/443`); unsaid, what was open at the first look may stay.
    ntp:           time servers to ask (`host` or `host:port`); without any, only the kernel's word is taken.
    clock_seconds: offset from which on the clock worries; ten times of it breaks.
    full_days:     a disk that will be full in fewer days, as it grows now, is at risk.
    swap_percent:  swap in use from which on it worries.
    update_days:   so long a security update, or a reboot that is asked for, may wait.
    """

    services: tuple[Unit, ...] = ()
    processes: tuple[Word, ...] = ()
    ports: tuple[Port, ...] | None = None
    ntp: tuple[Word, ...] = ()
    clock_seconds: float = Field(default=2.0, gt=0, le=60)
    full_days: float = Field(default=7.0, ge=0)
    swap_percent: float = Field(default=80.0, gt=0, le=100)
    update_days: float = Field(default=7.0, ge=0)
