"""The objects of a repository on a rest-server, over plain HTTP(S).

Its protocol: https://restic.readthedocs.io/en/stable/REST_backend.html. Nothing is written; every answer is bounded in
time (60 s of silence) and its early end is an error.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from backup.objects import BLOCK, CONFIG, KINDS, NAME, Names, Stream

_SECONDS = 60.0
_LISTING_BYTES = 64 << 20
"""Some 700,000 objects of one kind: more than ten terabytes in packs of 16 MiB."""
_LARGEST = (1 << 63) - 1
_VERSION_2 = "application/vnd.x.restic.rest.v2"


class Rest:
    """A repository on a rest-server. One connection for each thread; `address`: the URL with login, never shown."""

    def __init__(self, at: str, address: str, ca: str = "") -> None:
        self.at = at
        parts = urlsplit(address.removeprefix("rest:"))
        self._host, self._port = parts.hostname or "", parts.port
        self._path = parts.path.rstrip("/")
        self._headers = {"Accept": _VERSION_2}
        if parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._tls = ssl.create_default_context(cafile=ca or None) if parts.scheme == "https" else None
        self._local = threading.local()
        self._links: list[http.client.HTTPConnection] = []
        self._sockets: dict[int, socket.socket] = {}
        self._is_cut = False

    def __del__(self) -> None:
        for link in self._links:
            link.close()

    def cut(self, done: bool = True) -> None:
        """Ends every answer that is still being read, so that no thread waits on a server that never ends; False: over."""
        self._is_cut = done
        for held in list(self._sockets.values()) if done else ():
            with suppress(OSError):
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    def names(self, *kinds: str) -> Names:
        """Asks the server for its lists."""
        found: Names = {}
        for kind in kinds or KINDS:
            try:
                with self.open(f"{kind}/") as stream:
                    body = _all(stream)
            except FileNotFoundError:
                continue
            found |= {f"{kind}/{name}": size for name, size in _listed(body) if NAME.fullmatch(name)}
        if not found:
            self.open(CONFIG).__exit__(None, None, None)  # raises FileNotFoundError: there is no repository
        return found

    def open(self, name: str) -> AbstractContextManager[Stream]:
        """Asks for an object; a connection that the server closed meanwhile is made anew once."""
        try:
            return self._get(name)
        except (http.client.HTTPException, BrokenPipeError, ConnectionResetError):
            self._drop()
        try:
            return self._get(name)
        except http.client.HTTPException as error:
            self._drop()
            raise OSError(5, f"the server's answer cannot be read: {type(error).__name__}") from None

    def _get(self, name: str) -> AbstractContextManager[Stream]:
        link = self._link()
        try:
            link.request("GET", f"{self._path}/{name}", headers=self._headers)
            answer = link.getresponse()
        except OSError:
            self._drop()
            raise
        if answer.status == 200:
            return closing(_Answer(answer, self._drop))
        self._drop()
        if answer.status == 404:
            raise FileNotFoundError(2, "not there", name)
        if answer.status in (401, 403):
            raise PermissionError(13, f"permission denied (HTTP {answer.status})", name)
        raise OSError(5, f"HTTP {answer.status}", name)

    def _link(self) -> http.client.HTTPConnection:
        link: http.client.HTTPConnection | None = getattr(self._local, "link", None)
        if self._is_cut:
            raise TimeoutError(110, "the time for reading is over")
        if link is None:
            if self._tls is not None:
                link = http.client.HTTPSConnection(self._host, self._port, timeout=_SECONDS, context=self._tls)
            else:
                link = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
            link.connect()
            self._sockets[threading.get_ident()] = link.sock
            self._local.link = link
            self._links.append(link)
        return link

    def _drop(self) -> None:
        link = getattr(self._local, "link", None)
        if link is not None:
            link.close()
        self._local.link = None


class _Answer:
    """A response whose early end is an error, and that gives its connection up when it was not read to the end."""

    def __init__(self, answer: http.client.HTTPResponse, drop: Callable[[], None]) -> None:
        self._answer, self._drop = answer, drop

    def readinto(self, buffer: Any, /) -> int:
        try:
            count = self._answer.readinto(buffer)
        except http.client.HTTPException as error:
            raise OSError(5, f"the answer was cut off: {type(error).__name__}") from None
        if not count and self._answer.length:
            raise OSError(5, "the answer was cut off")
        return count

    def close(self) -> None:
        if not self._answer.isclosed():
            self._drop()


def _all(stream: Stream) -> bytes:
    body, block = bytearray(), bytearray(BLOCK)
    while count := stream.readinto(block):
        body += memoryview(block)[:count]
        if len(body) > _LISTING_BYTES:
            raise OSError(27, f"the server's list is longer than {_LISTING_BYTES >> 20} MiB, which no repository's is")
    return bytes(body)


def _listed(body: bytes) -> list[tuple[str, int]]:
    # an entry has some 80 bytes and three of these signs; nothing but signs would become gigabytes of empty values
    if sum(map(body.count, (b",", b"[", b"{"))) > len(body) // 12 + 64:
        raise OSError(5, "the server's list cannot be read")
    try:
        made = json.loads(body or b"[]") or []
        listed = [(one, -1) if isinstance(one, str) else (str(one["name"]), int(one["size"])) for one in made]
        if not all(-1 <= size <= _LARGEST for _, size in listed):
            raise ValueError("no size of a file")
        return listed
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        raise OSError(5, "the server's list cannot be read") from None
