"""Anything that writes to standard output: `kind = "command"  name = "ldap"  argv = ["slapcat"]`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from backup.servers.dumping import LOAD_SECONDS, Dumping, poured
from backup.source import Restored
from ops import Command, Text, say


class Source(Dumping):
    """argv: the program and its words, run without a shell. ends_with: how the last line of a whole output begins.

    at_least_bytes: fewer than these are a failure.
    """

    kind: Literal["command"]
    argv: Annotated[tuple[Annotated[str, Field(pattern=r"^[^\x00]*$")], ...], Field(min_length=1)]
    ends_with: str = ""
    at_least_bytes: Annotated[int, Field(ge=1)] = 1

    suffix = "dump"

    @property
    def marker(self) -> str:
        """As set."""
        return self.ends_with

    @property
    def least(self) -> int:
        """As set."""
        return self.at_least_bytes

    def dump(self, password: bytes) -> Command:
        """The command itself."""
        return Command(self.argv)

    def hint(self, code: int, said: str) -> str:
        """A program that is not there."""
        return f"không có chương trình {self.argv[0]} (no such program)" if code == 127 else ""

    def rehearse(self, copy: Restored, note: Mapping[str, Any]) -> Iterable[Text]:
        """What it means only its owner knows: it must come out whole, byte for byte."""
        result = copy.pour(self.name, ("wc", "-c"), timeout=LOAD_SECONDS)
        yield from poured(self.name, result)
        if result.ok and result.text.strip() != str(note["bytes"]):
            yield say("{n}: ra {a} byte, lúc sao lưu {b}", "{n}: {a} bytes came out, {b} when copied", n=self.name,
                      a=result.text.strip(), b=note["bytes"])
