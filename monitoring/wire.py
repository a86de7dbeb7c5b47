"""A and AAAA questions on the wire (RFC 1035, 3596, 6891): just enough, bounded, and a hundredth of a full library's cost.

The fleet asks thousands of names a minute; `monitoring.names` (dnspython) remains for everything else and for TCP.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

from monitoring.endpoints import Family

A, NS, CNAME, AAAA, OPT = 1, 2, 5, 28, 41
KIND = {Family.IPV4: A, Family.IPV6: AAAA}
NOERROR, NXDOMAIN = 0, 3
PAYLOAD = 1232
MOST_RECORDS = 256
_HEAD, _QUESTION, _RECORD = Struct("!HHHHHH"), Struct("!HH"), Struct("!HHIH")
_EDNS = b"\0" + _RECORD.pack(OPT, PAYLOAD, 0, 0)

Name = tuple[bytes, ...]
"""Labels in lower case, without the root."""


class Malformed(ValueError):
    """A message that is not one, or not an answer to our question."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: its code, whether it was cut, and of its answer section what concerns addresses.

    addresses: owner -> (lowest TTL in seconds, addresses in the server's order); aliases: owner -> (TTL, target).
    """

    code: int
    cut: bool
    addresses: Mapping[Name, tuple[int, tuple[str, ...]]]
    aliases: Mapping[Name, tuple[int, Name]]


def name_of(text: str) -> Name:
    """The labels of an ASCII host name. Raises Malformed for what cannot stand in a question (RFC 1035, 2.3.4)."""
    bare = text.removesuffix(".")
    try:
        labels = tuple(label.encode("ascii").lower() for label in bare.split("."))
    except UnicodeEncodeError:
        raise Malformed(text) from None
    if not all(0 < len(label) < 64 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise Malformed(text)
    return labels


def text_of(name: Name) -> str:
    """A name for people and evidence; a byte that is no plain letter is escaped."""
    return ".".join(
        "".join(chr(byte) if 33 <= byte < 127 and byte not in b".\\" else f"\\{byte:03d}" for byte in label)
        for label in name
    )


def question(number: int, name: Name, kind: int) -> bytes:
    """A recursive question with EDNS0."""
    asked = b"".join(bytes((len(label),)) + label for label in name)
    return _HEAD.pack(number, 0x0100, 1, 0, 0, 1) + asked + b"\0" + _QUESTION.pack(kind, 1) + _EDNS


def reply(message: bytes, number: int, name: Name, kind: int) -> Reply:
    """Reads an answer to `question(number, name, kind)`. Raises Malformed for anything else, whatever it holds."""
    try:
        return _reply(message, number, name, kind)
    except (StructError, IndexError) as error:
        raise Malformed(str(error)) from None


def _reply(message: bytes, number: int, name: Name, kind: int) -> Reply:
    found, flags, questions, answers, _, _ = _HEAD.unpack_from(message)
    if found != number or not flags & 0x8000 or questions != 1 or flags & 0x7800:
        raise Malformed("header")
    asked, at = _name(message, _HEAD.size)
    if asked != name or _QUESTION.unpack_from(message, at) != (kind, 1):
        raise Malformed("question")
    at += _QUESTION.size
    code, cut = flags & 0xF, bool(flags & 0x0200)
    if cut:  # what follows may be cut in the middle, and it is asked again by TCP anyway
        return Reply(code, True, {}, {})
    addresses: dict[Name, tuple[int, tuple[str, ...]]] = {}
    aliases: dict[Name, tuple[int, Name]] = {}
    wanted = {A: 4, AAAA: 16}.get(kind)
    for _ in range(min(answers, MOST_RECORDS)):
        owner, at = _name(message, at)
        type_, class_, ttl, length = _RECORD.unpack_from(message, at)
        at += _RECORD.size
        if at + length > len(message):
            raise Malformed("record")
        ttl = ttl if ttl < 1 << 31 else 0  # RFC 2181, 8
        if class_ == 1 and type_ == kind and length == wanted:
            text = socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, message[at:at + length])
            was = addresses.get(owner, (ttl, ()))
            if text not in was[1]:
                addresses[owner] = min(ttl, was[0]), (*was[1], text)
        elif class_ == 1 and type_ == CNAME:
            aliases.setdefault(owner, (ttl, _name(message, at)[0]))
        at += length
    return Reply(code, False, addresses, aliases)


def _name(message: bytes, at: int) -> tuple[Name, int]:
    """(name, offset behind it). Pointers may only lead backwards, so that no message can hold us (RFC 1035, 4.1.4)."""
    labels: list[bytes] = []
    behind, size, floor = 0, 0, at
    while True:
        length = message[at]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | message[at + 1]
            behind = behind or at + 2
            if target >= floor:
                raise Malformed("pointer")
            at = floor = target
        elif length >= 0x40:
            raise Malformed("label")
        elif length:
            label = message[at + 1:at + 1 + length]
            size += length + 1
            if len(label) < length or size > 254:
                raise Malformed("label")
            labels.append(label.lower())
            at += length + 1
        else:
            return tuple(labels), behind or at + 1
