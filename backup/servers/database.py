"""What the kinds have in common whose dump comes from a database server: how it is reached, as whom, what is counted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from backup.servers.dumping import Ask, Dumping
from backup.source import Name
from ops import Command, Reference, fault

_PLAIN = r"^[^\x00-\x1f]*$"
Account = Annotated[str, Field(pattern=_PLAIN)]
"""The name of a database's user; "" is the client's own default."""


class Database(Dumping):
    """database: its name. socket, or address and port: where the server listens; unsaid, the client's own default.

    user, password: of the database; unsaid, the system's user by its socket. queries: name -> SELECT that gives one number.
    restore_user, restore_password: who may write, for putting it back in place; unsaid, the same user.
    """

    hints: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(what the client says, what that means for the person on duty); the first that is found counts."""
    absent: ClassVar[str] = ""
    """What to say where the client program is missing."""

    database: str
    socket: Annotated[str, Field(pattern=r"^(/.*)?$")] = ""
    address: Annotated[str, Field(pattern=r"^[\w.:-]*$")] = ""
    port: Annotated[int, Field(ge=1, le=65535)]
    user: Account = ""
    password: Reference | None = None
    restore_user: Account = ""
    restore_password: Reference | None = None
    queries: dict[Name, str] = {}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.socket and self.address:
            raise fault("chỉ đặt `socket` hoặc `address`, không đặt cả hai", "set `socket` or `address`, not both")
        if self.user_here and self.password:
            raise fault("`user_here` vào bằng người dùng hệ thống, không dùng `password`",
                        "`user_here` logs in as a system user and takes no `password`")
        return self

    @property
    def counted(self) -> Mapping[str, str]:
        """The site's queries."""
        return self.queries

    @property
    def login(self) -> str:
        """The password's reference."""
        return self.password or ""

    @abstractmethod
    def ask(self, sql: str, password: bytes, *, ours: bool = False) -> Command:
        """The command that runs one statement and prints its rows. ours: of this program, not one of the site's queries."""

    @abstractmethod
    def too_strong(self, ask: Ask) -> str:
        """Why this account must not run the site's queries, with the mend; "" when it may.

        A counted table may be a view over the site owner's function, which runs with the powers of whoever counts.
        """

    @abstractmethod
    def look(self, ask: Ask) -> dict[str, Any]:
        """What the note tells of the database; `tables` is a list of names."""

    def hint(self, code: int, said: str) -> str:
        """What the client's words mean for the person on duty."""
        return next((words for sign, words in self.hints if sign in said), self.absent if code == 127 else "")
