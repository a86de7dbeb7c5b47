"""How far this machine's clock is off: what the kernel says of it, and what time servers say (SNTP, RFC 4330)."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.endpoints import endpoint

ASK_SECONDS = 3.0
_UNSYNCHRONISED = 0x0040
_EPOCH = 2208988800
"""Seconds from 1900 (NTP) to 1970 (Unix)."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """adjtimex(2): whether somebody keeps the clock right, and by how much it may be off at most, in seconds."""

    kept: bool
    most_error: float


class _Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256)]


def kernel() -> Kernel | None:
    """The kernel's word; None where it gives none (another system, a sandbox)."""
    found = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    except (AttributeError, OSError):
        return None
    if state < 0:
        return None
    return Kernel(not found.status & _UNSYNCHRONISED, found.maxerror / 1e6)


def offset(servers: Sequence[str]) -> float | None:
    """This clock minus theirs, in seconds: the answer with the shortest way there and back. None: nobody answered."""
    best: tuple[float, float] | None = None
    for server in servers:
        for found in _asked(server):
            best = min(best, found) if best else found
    return best[1] if best else None


def _asked(server: str) -> list[tuple[float, float]]:
    """[(round trip, offset)] of one server; [] when it gives nothing usable."""
    try:
        host, port = endpoint(server, 123)
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(kind, socket.SOCK_DGRAM) as link:
            link.settimeout(ASK_SECONDS)
            link.connect(address)
            # a number of our own stands where the server copies it back: an answer that lacks it is somebody else's
            mine = os.urandom(8)
            sent, began = time.time(), time.monotonic()
            link.send(b"\x23" + bytes(39) + mine)
            answer = link.recv(512)
            trip = time.monotonic() - began
    except (OSError, ValueError):
        return []
    if len(answer) < 48 or answer[24:32] != mine or answer[0] & 7 != 4 or not 0 < answer[1] < 16 or answer[0] >> 6 == 3:
        return []
    taken, given = (seconds + fraction / 2**32 - _EPOCH for seconds, fraction in
                    (struct.unpack("!II", answer[at : at + 8]) for at in (32, 40)))
    return [(trip, ((sent - taken) + (sent + trip - given)) / 2)]
