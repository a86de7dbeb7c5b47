"""Database trouble in words: what happened, and what to do. Nothing half-written stays behind any of these."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ops.errors import Busy, GaccongError, LedgerError
from ops.model import Text, say

_FULL = ("disk is full", "disk i/o error")
_LOCKED = ("database is locked", "table is locked", "database is busy")
_READONLY = ("readonly database", "read-only", "unable to open database file")
_DAMAGED = ("malformed", "not a database", "corrupt")
_UNREACHED = ("08", "57P", "53300")


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turns the errors of sqlite3 and SQLAlchemy into errors with words. `place`: the store, without a password."""
    try:
        yield
    except sqlite3.Error as error:
        raise _sqlite(error, place) from error
    except Exception as error:
        # A class can only have been raised if its module is loaded: no import for its sake.
        exceptions = sys.modules.get("sqlalchemy.exc")
        if exceptions is None or not isinstance(error, exceptions.SQLAlchemyError):
            raise
        original = getattr(error, "orig", None)
        if isinstance(original, sqlite3.Error):
            raise _sqlite(original, place) from error
        raise _server(original or error, place) from error


def _sqlite(error: sqlite3.Error, place: str) -> GaccongError:
    message = str(error).lower()
    if any(sign in message for sign in _FULL):
        return full(place)
    if any(sign in message for sign in _LOCKED):
        return locked(place)
    if any(sign in message for sign in _READONLY):
        return readonly(place)
    if any(sign in message for sign in _DAMAGED):
        return LedgerError(
            say("tệp kho {p} bị hỏng: {e}", "the store file {p} is damaged: {e}", p=place, e=error),
            say("giữ nguyên tệp, lấy bản sao lưu gần nhất của nó", "keep the file as it is, restore its newest backup"),
        )
    return _other(place, str(error))


def _server(error: BaseException, place: str) -> GaccongError:
    state = str(getattr(error, "sqlstate", "") or "")
    if state in ("53100", "53200", "58030"):
        return full(place)
    if state in ("55P03", "40P01", "57014"):
        return locked(place)
    if state == "25006":
        return readonly(place)
    if not state or state.startswith(_UNREACHED):
        return GaccongError(
            say("không nối được kho {p}: {e}", "cannot reach the store {p}: {e}", p=place, e=_first_line(error)),
            say(
                "xem máy chủ PostgreSQL có chạy không, và địa chỉ trong cấu hình",
                "see whether the PostgreSQL server runs, and the address in the configuration",
            ),
        )
    return _other(place, _first_line(error))


def full(place: str) -> GaccongError:
    """No room: the whole transaction was taken back."""
    return GaccongError(
        say(
            "đĩa chứa kho {p} đã đầy; không ghi gì dở dang",
            "the disk of the store {p} is full; nothing half-written stays",
            p=place,
        ),
        say("dọn chỗ trên đĩa (df -h), rồi chạy lại: gaccong run", "make room (df -h), then again: gaccong run"),
    )


def locked(place: str) -> Busy:
    """Somebody else wrote for longer than we wait."""
    return Busy(
        say(
            "kho {p} đang bị chương trình khác giữ quá 30 giây",
            "the store {p} is held by another program for over 30 seconds",
            p=place,
        ),
        say("chờ lần gaccong kia xong rồi chạy lại", "let the other gaccong finish, then run again"),
    )


def readonly(place: str) -> GaccongError:
    """The file, its folder or the server does not let us write."""
    return GaccongError(
        say(
            "kho {p} không ghi được: tệp hoặc đĩa chỉ đọc",
            "the store {p} cannot be written: file or disk is read-only",
            p=place,
        ),
        say(
            "chạy bằng tài khoản của gaccong; xem quyền của tệp và thư mục",
            "run as the account of gaccong; look at the rights of file and folder",
        ),
    )


def _other(place: str, why: str) -> GaccongError:
    return GaccongError(
        say("kho {p} báo lỗi: {e}", "the store {p} failed: {e}", p=place, e=why),
        say("kiểm tra: gaccong ledger verify", "check: gaccong ledger verify"),
    )


def absent(place: str) -> GaccongError:
    """There is no store yet."""
    run = Text("gaccong run", "gaccong run")
    return GaccongError(
        say(
            "chưa chạy lần nào nên chưa có gì để xem (sổ bằng chứng sẽ nằm ở {p})",
            "nothing ran yet, so there is nothing to see (there is no store {p} yet)",
            p=place,
        ),
        run,
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
