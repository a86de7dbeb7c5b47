"""What the signed tree holds, whatever the tables say: somebody may be able to write the database and still have no key.

One signature covers every line: the newest checkpoint's root is made again from the stored bytes, and only lines that
went into it are believed. No column is asked what a line is, and a line past the signed head is never read.
"""

from __future__ import annotations

import base64
import json
from threading import Lock
from typing import Any, NamedTuple

from ops.errors import LedgerError
from ops.ledger import Frontier, leaf_hash, origin_of
from ops.model import Evidence, say
from ops.moment import unstamp
from ops.signing import parse_vkey, verify_note
from ops.store.doors import Door

_PAGE = 1000
_KINDS = ("approval", "intent", "outcome")
_MARKS = tuple(f'"kind":"{kind}"'.encode() for kind in _KINDS)
"""As canonical bytes say it; a line that merely quotes one of these is sorted out once it is parsed."""


class Head(NamedTuple):
    """A signed head: how many lines, and their Merkle root."""

    size: int
    root: bytes


def unfit(site: str) -> LedgerError:
    """The store's own tables do not fit what was signed."""
    return LedgerError(
        say(
            "đầu sổ chứng cứ trong kho không khớp dấu đã ký",
            "the head of the ledger in the store is not what was signed",
        ),
        say(
            "gaccong ledger verify; rồi lấy kho từ bản sao lưu",
            "gaccong ledger verify; then put the store back from a backup",
        ),
        site=site,
    )


def read_checkpoint(note: str, site: str, vkey: str) -> Head:
    """The head that a checkpoint of this site signs. Raises LedgerError for another key, site or form."""
    lines = verify_note(note, vkey).split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (ValueError, IndexError):
        raise unfit(site) from None
    if origin != origin_of(parse_vkey(vkey).name, site):
        raise unfit(site)
    return Head(size, root)


class Trusted:
    """Approvals and unfinished intents of each site, from verified lines; what was verified once is only continued.

    `vkey` is our own key; "" takes the one that the store noted, by which the store only vouches for itself.
    """

    def __init__(self, vkey: str) -> None:
        self._vkey = vkey
        self._lock = Lock()
        self._books: dict[str, _Book] = {}

    def book(self, door: Door, site: str) -> _Book:
        """The site's book, verified up to its signed head. Raises LedgerError."""
        with self._lock, door.snapshot() as fixed:
            book = self._books.get(site, _Book(site))
            head = self._head(fixed, site)
            if head.size < book.frontier.size:
                raise unfit(site)  # this process has seen more than the store now shows
            if (head.size, head.root) != (book.frontier.size, book.frontier.root()):
                book = book.continued(fixed, head)
            self._books[site] = book
            return book

    def _head(self, door: Door, site: str) -> Head:
        found = door.rows("SELECT lines, vkey FROM heads WHERE site = :site", site=site)
        size, noted = (int(found[0][0]), str(found[0][1])) if found else (0, "")
        notes = door.rows("SELECT size, note FROM checkpoints WHERE site = :site ORDER BY size DESC LIMIT 1", site=site)
        if (int(notes[0][0]) if notes else 0) != size:
            raise unfit(site)
        head = read_checkpoint(str(notes[0][1]), site, self._vkey or noted) if notes else Head(0, Frontier().root())
        if head.size != size:
            raise unfit(site)
        return head


class _Book:
    """How far a site's lines are verified, and what of them is asked for again and again."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.frontier = Frontier()
        self.approvals: dict[str, Evidence] = {}
        self.intents: dict[int, Evidence] = {}

    def continued(self, door: Door, head: Head) -> _Book:
        """This book and the lines up to `head`, as a new one. Raises LedgerError unless they give the signed root."""
        book = _Book(self.site)
        book.frontier = Frontier.from_bytes(self.frontier.to_bytes())
        book.approvals, book.intents = {**self.approvals}, {**self.intents}
        while book.frontier.size < head.size:
            rows = door.rows(
                "SELECT seq, body FROM lines WHERE site = :site AND seq > :after AND seq <= :size ORDER BY seq"
                " LIMIT :page",
                site=self.site,
                after=book.frontier.size,
                size=head.size,
                page=_PAGE,
            )
            if not rows or int(rows[0][0]) != book.frontier.size + 1:
                raise unfit(self.site)
            for seq, stored in rows:
                body = bytes(stored)
                leaf = leaf_hash(body)
                book.frontier.append(leaf)
                if any(mark in body for mark in _MARKS):
                    book._note(int(seq), body, leaf)
        if (book.frontier.size, book.frontier.root()) != head:
            raise unfit(self.site)
        return book

    def _note(self, seq: int, stored: bytes, leaf: bytes) -> None:
        """Takes a line in; it counts only once the root was found right."""
        try:
            body: dict[str, Any] = json.loads(stored)
            kind, duty, subject, time = body["kind"], body["duty"], body["subject"], unstamp(body["time"])
            if (body["seq"], body["site"]) != (seq, self.site):
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise unfit(self.site) from None
        line = Evidence(self.site, seq, time, kind, duty, subject, body, leaf.hex())
        if kind == "approval":
            self.approvals[str(body.get("digest", ""))] = line
        elif kind == "intent":
            self.intents[seq] = line
        elif kind == "outcome":
            self.intents.pop(body.get("intent", 0), None)
