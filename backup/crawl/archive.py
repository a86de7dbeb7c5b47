"""The archive: WARC 1.1 with one gzip member a record, and its index as CDXJ, one line a page.

Records are written byte for byte as they came (a library that parses headers would write them anew); they are read back
with warcio, so that what is believed of the archive is what an independent reader finds. A page that has not changed is
taken over from the archive before as it lies, member by member: the same bytes again, which restic keeps once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from backup.crawl.addresses import normal, sort_key
from backup.crawl.wire import Reply

MOST_MEMBER = 512 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of the archive. time: when it was fetched; seen: when it was last known to be so, both YYYYMMDDhhmmss UTC.

    offset, length: of the response's member; pair: of it with the request's after it. digest: of the body, as in the WARC.
    """

    url: str
    time: str
    seen: str
    status: int
    digest: str
    offset: int
    length: int
    pair: int
    filename: str
    mime: str = ""
    etag: str = ""
    modified: str = ""
    redirect: str = ""

    def line(self) -> str:
        """The page's line in the index."""
        body = {key: str(value) if key in ("status", "offset", "length") else value for key, value in asdict(self).items()
                if value != "" and key != "time"}
        return f"{sort_key(self.url)} {self.time} {json.dumps(body, ensure_ascii=True, sort_keys=True)}\n"


def read_index(stream: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of an index. Raises ValueError (or its kin) for a line that is none."""
    for line in stream:
        _, time, text = line.decode("ascii").split(" ", 2)
        body: dict[str, Any] = json.loads(text)
        for key in ("status", "offset", "length"):
            body[key] = int(body[key])
        yield Entry(time=time, **body)


def lands(pages: Mapping[str, Entry], address: str) -> bool:
    """Whether an address leads to a page of the archive in the end, over the redirects in it."""
    for _ in range(10):
        entry = pages.get(address)
        if entry is None or not entry.redirect:
            return entry is not None and entry.status == 200
        address = normal(entry.redirect, address)
    return False


def digest_of(body: bytes) -> str:
    """A digest as WARC writes it: `sha256:` and base 32."""
    return "sha256:" + base64.b32encode(hashlib.sha256(body).digest()).decode("ascii")


def stamp(moment: datetime) -> str:
    """YYYYMMDDhhmmss in UTC."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")


class Archive:
    """An archive that is being written."""

    def __init__(self, stream: BinaryIO, filename: str, about: dict[str, str]) -> None:
        self._stream, self._filename = stream, filename
        self.size = 0
        block = "".join(f"{key}: {value}\r\n" for key, value in about.items()).encode()
        self._put(_member("warcinfo", datetime.now(UTC), block, {
            "WARC-Filename": filename, "Content-Type": "application/warc-fields"}))

    def _put(self, member: bytes) -> int:
        self._stream.write(member)
        self.size += len(member)
        return len(member)

    def add(self, address: str, reply: Reply, moment: datetime) -> Entry:
        """Writes answer and request, and gives the page's entry."""
        identity, offset = f"<urn:uuid:{uuid.uuid4()}>", self.size
        shared = {"WARC-Target-URI": address}
        digest = digest_of(reply.body)
        length = self._put(_member("response", moment, reply.head + reply.body, {
            **shared, "WARC-Record-ID": identity, "WARC-IP-Address": reply.address, "WARC-Payload-Digest": digest,
            "Content-Type": "application/http; msgtype=response"}))
        more = self._put(_member("request", moment, reply.request, {
            **shared, "WARC-Concurrent-To": identity, "Content-Type": "application/http; msgtype=request"}))
        return Entry(address, stamp(moment), stamp(moment), reply.status, digest, offset, length, length + more,
                     self._filename, reply.header("content-type")[:200], reply.header("etag")[:500],
                     reply.header("last-modified")[:100], reply.header("location")[:2000])

    def take_over(self, entry: Entry, members: bytes, seen: datetime | None) -> Entry:
        """Writes the members of a page of the archive before, as they are. seen None: it was not seen this time."""
        offset = self.size
        self._put(members)
        body = asdict(entry) | {"offset": offset, "seen": stamp(seen) if seen else entry.seen, "filename": self._filename}
        return Entry(**body)


def _member(kind: str, moment: datetime, block: bytes, headers: dict[str, str]) -> bytes:
    lines = {"WARC-Type": kind, "WARC-Record-ID": f"<urn:uuid:{uuid.uuid4()}>",
             "WARC-Date": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **headers,
             "WARC-Block-Digest": digest_of(block), "Content-Length": str(len(block))}
    head = "WARC/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value) + "\r\n"
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(head.encode("utf-8") + block + b"\r\n\r\n") + packer.flush()


class Before:
    """The archive before, to take pages over from. What is damaged in it is simply not there."""

    def __init__(self, stream: BinaryIO | None, index: BinaryIO | None) -> None:
        self._stream = stream
        self.entries: dict[str, Entry] = {}
        try:
            for entry in read_index(index or ()):
                self.entries[entry.url] = entry
        except (ValueError, TypeError, KeyError):
            self.entries = {}  # an index that cannot be read: everything is fetched anew

    def members(self, entry: Entry) -> tuple[bytes, bytes] | None:
        """(members as they lie, the body) of a page, or None when its digest is no longer right."""
        if self._stream is None or not 0 < entry.length <= entry.pair <= MOST_MEMBER:
            return None
        members = os.pread(self._stream.fileno(), entry.pair, entry.offset)
        found = next(records(BytesIO(members)), None) if len(members) == entry.pair else None
        if found is None or found.fault or (found.url, found.digest) != (entry.url, entry.digest):
            return None
        return members, found.body


@dataclass(frozen=True, slots=True)
class Found:
    """A response that warcio read. fault: "" or why it cannot be believed."""

    url: str
    status: int
    digest: str
    offset: int
    body: bytes
    fault: str


def records(stream: BinaryIO, *, keep: bool = True) -> Iterator[Found]:
    """The responses of an archive as warcio reads them, each digest checked. A damaged archive ends with a Found that has
    nothing but its fault. keep: with the bodies."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    found = ArchiveIterator(stream, check_digests=True)
    try:
        for record in found:
            kind = record.rec_type
            body, digest = bytearray(), hashlib.sha256()
            while block := record.raw_stream.read(1 << 16):
                digest.update(block)
                if keep:
                    body += block
            offset = found.get_record_offset()  # not before: it reads the record to its end
            fault = "" if record.digest_checker.passed else "; ".join(record.digest_checker.problems) or "no digest"
            if kind != "response":
                if fault:
                    yield Found("", 0, "", offset, b"", f"{kind}: {fault}")
                continue
            made = "sha256:" + base64.b32encode(digest.digest()).decode("ascii")
            yield Found(record.rec_headers.get_header("WARC-Target-URI") or "",
                        int(record.http_headers.get_statuscode() or 0), made, offset, bytes(body), fault)
    except (ArchiveLoadFailed, EOFError, OSError, ValueError, AttributeError, zlib.error) as error:
        yield Found("", 0, "", -1, b"", f"{type(error).__name__}: {error}"[:300])


def faults(archive: Path, index: Path) -> Iterator[str]:
    """Why archive and index do not agree; nothing when they do."""
    try:
        with index.open("rb") as stream:
            listed = {entry.offset: entry for entry in read_index(stream)}
    except (OSError, ValueError, TypeError, KeyError) as error:
        yield f"index: {error}"
        return
    if not listed:
        yield "the index is empty"
    try:
        with archive.open("rb") as stream:
            for found in records(stream, keep=False):
                entry = listed.pop(found.offset, None)
                if found.fault:
                    yield f"{found.url or 'record'} at {found.offset}: {found.fault}"
                elif entry is not None and (entry.url, entry.digest, entry.status) != (found.url, found.digest, found.status):
                    yield f"{entry.url}: the record is not what the index says"
    except OSError as error:
        yield f"archive: {error}"
    if listed:
        yield f"{len(listed)} pages of the index are not in the archive, for example {next(iter(listed.values())).url}"
