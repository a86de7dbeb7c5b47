"""The nouns of this room: Person and Account, and what came of trying a door."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol

from ops import LOCAL, Context, Step, Text, Verdict, nfc


@dataclass(frozen=True, slots=True)
class Stay:
    """One row of the roster: a person in a role, from a day until a day (the last day of work), or still here."""

    unit: str
    role: str
    start: date
    until: date | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the roster, with every stay and every login of all rows. `logins`: (system, login), NFC."""

    name: str
    stays: tuple[Stay, ...]
    logins: tuple[tuple[str, str], ...]

    def gone(self, today: date) -> bool:
        """True when every stay has ended before `today`; on the last day of work the person is still here."""
        return all(stay.until is not None and stay.until < today for stay in self.stays)

    def left_at(self) -> datetime:
        """The first moment after the last day of work, on the Vietnamese clock. Only for one who is gone."""
        last = max(stay.until or date.max for stay in self.stays)
        return datetime.combine(last + timedelta(days=1), time(), LOCAL)


@dataclass(frozen=True, slots=True)
class Account:
    """A login in a system.

    login:    as the system stores it; compare with `key`.
    enabled:  True while some door stands open with it (the system's own file says which).
    admin:    it may do everything there, or give itself the right to.
    rights:   what it may do, in the system's own words.
    last_use: last login, or None where the system does not tell.
    source:   where this was read (a path, or host:path).
    keys:     SHA256 fingerprints of the public keys in its own files.
    opens:    those of every key that opens it, links followed.
    unproved: files of keys that cannot be read, or hold lines that are not understood: whose keys are there is unknown.
    """

    system: str
    login: str
    name: str
    enabled: bool
    admin: bool
    rights: tuple[str, ...]
    last_use: datetime | None
    source: str
    keys: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """(system, login in NFC): what a roster names it by."""
        return self.system, nfc(self.login)

    @property
    def words(self) -> str:
        """`system:login` for people; control characters are shown, not obeyed."""
        return f"{self.system}:{plain(self.login)}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying to get in. `how`: login, key_query, readback, or "" when nothing could be tried."""

    verdict: Verdict
    how: str
    detail: Text
    facts: dict[str, Any]


class System(Protocol):
    """One thing that has logins. `accounts/systems/<kind>.py` exports it as `Adapter`, with its `Settings`."""

    name: str

    def __init__(self, name: str, settings: Any, ctx: Context) -> None: ...

    def accounts(self) -> list[Account]:
        """Every account that can log in or belongs to a person. Raises CannotSee; never an empty list for a failure."""

    def own(self, account: Account) -> bool:
        """True for the account under which gaccong itself works there."""

    def revoke(self, targets: Sequence[Account]) -> list[Step]:
        """Steps that shut these accounts, each with its undo; none when nothing is left. Reads, touches nothing."""

    def traces(self, account: Account) -> tuple[str, ...]:
        """Fingerprints of every key that this account was ever seen to have here."""

    def refused(self, account: Account) -> Trial:
        """Tries to get in as this account, with a control at the same moment."""


def plain(text: str) -> str:
    """`text` without anything that a terminal would obey."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in nfc(text))


def bare(text: str) -> str:
    """Lower case without Vietnamese marks, letters and digits only, words parted by one blank: for suggestions."""
    flat = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    letters = (sign for sign in flat if not unicodedata.combining(sign))
    kept = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in letters)
    return " ".join(kept.split())
