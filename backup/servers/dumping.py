"""What the kinds have in common whose copy is a dump: MariaDB, PostgreSQL, any command.

A kind says how the dump is made (`dump`), by which last line it is known to be whole (`marker`), and how it is rehearsed
(`rehearse`); a database also how it is asked (`backup.servers.database`). `backup.stream` carries it into the repository.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import Field

from backup.servers.intake import PASSWORD
from backup.source import PART_DONE, BaseSource, Desk, Name, Restored, read_note
from backup.ssh import chain, described, secrets_of
from ops import CannotSee, Command, MissingTool, Step, Text, python, say

Ask = Callable[[str], list[str]]
"""Runs one SQL statement at the source and gives the lines of its answer. Raises SourceTrouble."""

LOAD_SECONDS = 10800.0
COUNT_SECONDS = 60.0
"""How long one counting query may take."""
STREAM_SECONDS = 21600.0
_SPARE = 512 << 20
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?")
_NOT_TOLD = {"password", "restore_user", "restore_password"}


class SourceTrouble(Exception):
    """The source could not be had; the text is for the note, Vietnamese with English in brackets."""


class Wrong(Exception):
    """The restored database refuses what it was asked; the text is its own."""


class Rehearsal(Protocol):
    """A scratch server with a dump loaded into it. Its methods raise Wrong."""

    def settle(self) -> None:
        """What must be done after loading, before anything is asked."""

    def tables(self) -> list[str]:
        """Names of tables and views, as the note has them."""

    def unsound(self, name: str) -> Iterable[Text]:
        """Tables that are damaged."""

    def ask(self, sql: str) -> list[str]:
        """One of the site's queries."""

    def rows(self) -> int:
        """Rows of all tables."""


class Dumping(BaseSource):
    """name: of the dump. host: the machine where it is made. user_here: the system user as which it is made there."""

    reaches: ClassVar[bool] = True
    suffix: ClassVar[str] = "sql"
    tool: ClassVar[tuple[str, ...]] = ()
    """argv that makes the dump program tell its version."""

    name: Name
    user_here: Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_-]{0,31})?$")] = ""

    @property
    def file(self) -> str:
        """The dump's path in its snapshot."""
        return f"/{self.name}.{self.suffix}"

    @property
    def marker(self) -> str:
        """How the last line of a whole dump begins; "" when the dump has no such line."""
        return ""

    @property
    def least(self) -> int:
        """The fewest bytes that a dump can have."""
        return 1

    @property
    def login(self) -> str:
        """The reference of the password, or ""."""
        return ""

    @abstractmethod
    def dump(self, password: bytes) -> Command:
        """The command whose standard output is the dump."""

    def hint(self, code: int, said: str) -> str:
        """A cause in plain words for a failure of the kind's programs, or ""."""
        return ""

    @abstractmethod
    def rehearse(self, copy: Restored, note: Mapping[str, Any]) -> Iterable[Text]:
        """Loads the restored dump somewhere and says what is wrong with it."""

    def streams(self) -> tuple[str, ...]:
        """The dump's name."""
        return (self.name,)

    def staged(self) -> tuple[str, ...]:
        """The note; the dump never touches the disk."""
        return (f"{self.name}.note.json",)

    def stage(self, desk: Desk) -> list[Step]:
        """One step: the dump, streamed into a snapshot of its own."""
        hosts = () if self.host == "here" else tuple(chain(self.host, desk.hosts))
        return [Step(
            say("kết xuất {n} thẳng vào kho sao lưu", "stream dump {n} into the repository", n=self.name),
            python("backup.stream", "--source", self.told(), "--stage", str(desk.folder), "--host-name", desk.identity,
                   *(part for tag in desk.tags for part in ("--tag", tag)), *(("--from", described(hosts)) if hosts else ()),
                   "--", *desk.repository.argv()),
            env=desk.repository.env,
            secrets={**desk.repository.secrets, **secrets_of(hosts), **({PASSWORD: self.login} if self.login else {})},
            expect=(0, PART_DONE), keep=True, timeout=STREAM_SECONDS)]

    def told(self) -> str:
        """The settings as one JSON word for argv, without the passwords' references; the same every night."""
        body = self.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_TOLD)
        return json.dumps({**body, "kind": self.kind}, ensure_ascii=False, sort_keys=True)

    def examine(self, copy: Restored) -> Iterable[Text]:
        """The dump must come out whole, load, and count what it counted when it was made."""
        try:
            note = read_note(copy.stage / f"{self.name}.note.json")
            size = int(note["bytes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield say("không có ghi chú dùng được của bản kết xuất {n}: {e}", "dump {n} has no note that can be used: {e}",
                      n=self.name, e=error)
            return
        if note.get("trouble"):
            yield say("bản kết xuất {n} có lỗi từ lúc sao lưu: {t}", "dump {n} had trouble when it was made: {t}",
                      n=self.name, t=note["trouble"])
        if self.marker and note.get("ends_with") != self.marker:
            yield say("bản kết xuất {n} không được kiểm dấu kết thúc lúc sao lưu",
                      "the end marker of dump {n} was not watched for when it was made", n=self.name)
        if shutil.disk_usage(copy.scratch).free < 3 * size + _SPARE:
            raise CannotSee(
                say("không đủ chỗ để nạp thử bản kết xuất {n}", "no room to load dump {n} on trial", n=self.name),
                say("giải phóng {m} MiB ở {p}", "free {m} MiB at {p}", m=(3 * size + _SPARE) >> 20, p=copy.scratch))
        yield from self.rehearse(copy, note)


def poured(name: str, result: Any) -> Iterator[Text]:
    """The faults that a Result of `Restored.pour` tells."""
    if result.feed_code:
        yield say("bản kết xuất {n} không lấy ra được nguyên vẹn từ kho: {e}",
                  "dump {n} does not come out of the repository whole: {e}", n=name, e=result.trouble)
    elif result.code:
        yield say("bản kết xuất {n} không nạp được: {e}", "dump {n} does not load: {e}", n=name, e=result.trouble)


def judged(name: str, server: Rehearsal, note: Mapping[str, Any], queries: Mapping[str, str],
           measures: dict[str, float]) -> Iterator[Text]:
    """What is wrong with a loaded dump; adds `tables` and `rows` to the measures."""
    try:
        server.settle()
        tables = server.tables()
        yield from lacking(name, note.get("tables", ()), tables)
        yield from server.unsound(name)
        for query, sql in queries.items():
            yield from _asked(name, server, query, sql, note.get("counts", {}))
        rows = server.rows()
    except Wrong as error:
        yield _says(name, error)
        return
    measures["tables"] = measures.get("tables", 0) + len(tables)
    measures["rows"] = measures.get("rows", 0) + rows


def _asked(name: str, server: Rehearsal, query: str, sql: str, noted: Mapping[str, Any]) -> Iterator[Text]:
    try:
        yield from compared(name, noted, {query: value_of(server.ask(sql))})
    except Wrong as error:
        yield _says(f"{name}.{query}", error)


def _says(name: str, error: Wrong) -> Text:
    return say("{n}: cơ sở dữ liệu đã khôi phục báo lỗi: {e}", "{n}: the restored database says: {e}", n=name, e=error)


def compared(name: str, noted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Text]:
    """A restored count must lie between those before and after the dump, for a live site writes meanwhile."""
    for query, value in found.items():
        was = noted.get(query)
        if not isinstance(was, list) or len(was) != 2:
            continue  # the query was added after the copy was made: nothing to compare with
        if all(isinstance(one, int | float) for one in (*was, value)):
            right = min(was) <= value <= max(was)
        else:
            right = value in was
        if not right:
            yield say("{n}.{q}: lúc sao lưu {was}, khôi phục {now}", "{n}.{q}: {was} when copied, {now} restored",
                      n=name, q=query, was=" – ".join(map(str, dict.fromkeys(was))), now=value)


def lacking(name: str, noted: Iterable[str], found: Iterable[str]) -> Iterator[Text]:
    """Tables that were there when the dump was made and are not in what was loaded."""
    gone = sorted(set(noted) - set(found))
    if gone:
        yield say("{n}: thiếu {k} bảng sau khi nạp, ví dụ {t}", "{n}: {k} tables are missing after loading, such as {t}",
                  n=name, k=len(gone), t=", ".join(gone[:3]))


def value_of(lines: list[str]) -> int | float | str | None:
    """The first value of an answer, as a number where it is one."""
    if not lines:
        return None
    first = lines[0].split("\t")[0].strip()
    if not _NUMBER.fullmatch(first):
        return first[:500]
    return float(first) if "." in first else int(first)


def program(*names: str, package: str) -> str:
    """The path of the first of these programs that is here. Raises MissingTool with the package to install."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise MissingTool(say("thiếu {t} để diễn tập", "{t} is missing for the drill", t=names[0]),
                      say("apt-get install {p}", "apt-get install {p}", p=package))


__all__ = ["Ask", "Dumping", "Rehearsal", "SourceTrouble", "Wrong", "compared", "judged", "lacking", "poured", "program",
           "value_of"]
