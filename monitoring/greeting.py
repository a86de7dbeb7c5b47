"""A TLS ClientHello written by hand, and the first words of the answer: which versions and ciphers a server accepts.

The TLS library of this machine refuses to speak the old versions that we must hear a server refuse, so it cannot be
asked. Nothing secret is sent and no handshake is finished. RFC 6101 (SSL 3.0), 2246, 4346, 5246, 8996; 8446 appendix D.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass
from enum import IntEnum, StrEnum

MOST_BYTES = 1 << 14


class Version(IntEnum):
    """Versions as they stand on the wire."""

    SSL30 = 0x0300
    TLS10 = 0x0301
    TLS11 = 0x0302
    TLS12 = 0x0303

    @property
    def label(self) -> str:
        """As people write it."""
        return {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2"}[self]


class Heard(StrEnum):
    """What became of a hello. `odd`: something that is no TLS; `dropped`: connected, then silence; `silent`: no connection."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    ODD = "odd"
    DROPPED = "dropped"
    SILENT = "silent"


WEAK = (
    0x0000, 0x0001, 0x0002, 0x003B, 0xC006, 0xC010, 0xC001, 0xC00B,  # NULL: not encrypted
    0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014, 0x0017, 0x0019,  # EXPORT: 40 bits
    0x0004, 0x0005, 0xC007, 0xC011, 0xC002, 0xC00C, 0x0018, 0xC016,  # RC4 (RFC 7465)
    0x0009, 0x000C, 0x000F, 0x0012, 0x0015, 0x001A,  # DES
    0x000A, 0x000D, 0x0010, 0x0013, 0x0016, 0x001B, 0xC008, 0xC012, 0xC003, 0xC00D, 0xC017,  # 3DES (Sweet32)
    0x0034, 0x003A, 0x006C, 0x006D, 0x00A6, 0x00A7, 0xC018, 0xC019,  # anonymous: anybody may answer
)
SOUND = (
    0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC023, 0xC027, 0xC024, 0xC028, 0xC009, 0xC013, 0xC00A, 0xC014,
    0x009E, 0x009F, 0x0033, 0x0039, 0x0067, 0x006B, 0x009C, 0x009D, 0x003C, 0x003D, 0x002F, 0x0035, 0x0041, 0x0084,
)
FORWARD = frozenset(SOUND[:20])
"""Those with a fresh key for each visit (ECDHE, DHE)."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server answered; `suite`: the cipher that it chose (its number), 0 when none."""

    heard: Heard
    suite: int = 0


def greet(
    address: str, port: int, host: str, version: Version, suites: tuple[int, ...] = SOUND, seconds: float = 3.0
) -> Greeting:
    """Offers exactly one version with these ciphers. Never raises for what a server or a network does."""
    until = time.monotonic() + seconds
    try:
        link = socket.create_connection((address, port), timeout=seconds)
    except OSError:
        return Greeting(Heard.SILENT)
    with link:
        try:
            link.sendall(hello(host, version, suites))
            return _heard(_record(link, until), version)
        except (ConnectionResetError, BrokenPipeError, EOFError):
            return Greeting(Heard.REFUSED)  # connected, then cut: some refuse without a word
        except OSError:
            return Greeting(Heard.DROPPED)


def hello(host: str, version: Version, suites: tuple[int, ...]) -> bytes:
    """The record with the ClientHello. SSL 3.0 knows no extensions."""
    listed = b"".join(struct.pack("!H", suite) for suite in (*suites, 0x00FF))
    body = struct.pack("!H", version) + os.urandom(32) + b"\0" + _sized(listed, 2) + b"\x01\0"
    if version is not Version.SSL30:
        body += _sized(_extensions(host, version), 2)
    shake = b"\x01" + _sized(body, 3)
    return b"\x16" + struct.pack("!H", min(version, Version.TLS10)) + _sized(shake, 2)


def _sized(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def _extensions(host: str, version: Version) -> bytes:
    """Server name, curves, and (TLS 1.2) signature algorithms with SHA-1 among them, so that an old server may answer."""
    from monitoring.endpoints import is_literal

    found = b""
    if not is_literal(host):
        found += b"\0\0" + _sized(_sized(b"\0" + _sized(host.encode("ascii", "ignore"), 2), 2), 2)
    found += b"\0\x0a" + _sized(_sized(bytes.fromhex("001d00170018001900160015"), 2), 2)
    found += b"\0\x0b" + _sized(_sized(b"\0", 1), 2)
    if version is Version.TLS12:
        found += b"\0\x0d" + _sized(_sized(bytes.fromhex("0403050306030804080508060401050106010203020107080707"), 2), 2)
    return found


def _record(link: socket.socket, until: float) -> bytes:
    """The first record, header included, at most `MOST_BYTES`. EOFError when the server hangs up before it is whole."""
    data = b""
    while len(data) < 5 or len(data) < 5 + min(MOST_BYTES, int.from_bytes(data[3:5], "big")):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
        piece = link.recv(4096)
        if not piece:
            raise EOFError
        data += piece
        if data[:1] not in (b"\x15", b"\x16"):
            break
    return data


def _heard(record: bytes, version: Version) -> Greeting:
    """Alert: refused. ServerHello: accepted when it settles on the very version that was offered."""
    if record[:1] == b"\x15":
        return Greeting(Heard.REFUSED)
    if record[:1] != b"\x16" or record[5:6] != b"\x02" or len(record) < 46:
        return Greeting(Heard.ODD)
    chosen = int.from_bytes(record[9:11], "big")
    at = 44 + record[43]
    suite = int.from_bytes(record[at:at + 2], "big")
    if chosen != version:
        return Greeting(Heard.REFUSED)  # a higher or lower one than offered: no client would go on
    return Greeting(Heard.ACCEPTED, suite)
