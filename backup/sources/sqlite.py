"""A SQLite database, copied whole while in use: `kind = "sqlite"  name = "tin"  path = "/srv/www/site/tin.db"`.

The staging step is `backup.sqlite_copy`: the online backup API makes one moment's copy, an integrity check and the given
counting queries are run on that copy, and a note keeps the answers for the drill. The database is its owner's: only
`backup.sqlite_hand` opens it, in a process that is no longer root.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from backup.lean import lean
from backup.notes import PART_DONE, read_note
from backup.source import BaseSource, Desk, Name, Restored
from backup.sqlite_copy import answers
from ops import Place, Step, Text, say

_SECONDS = 10800.0


class Source(BaseSource):
    """name: of the staged copy. path: the live database. queries: name -> SELECT that gives one number."""

    kind: Literal["sqlite"]
    name: Name
    path: Place
    queries: dict[Name, str] = {}

    def staged(self) -> tuple[str, ...]:
        """The copy and its note."""
        return (f"{self.name}.sqlite", f"{self.name}.note.json")

    def stage(self, desk: Desk) -> list[Step]:
        """One step: copy, check, count, note."""
        why = say("chép cơ sở dữ liệu {n} vào nơi tạm và đếm bản ghi", "copy database {n} to the stage and count rows",
                  n=self.name)
        queries = [part for name, sql in sorted(self.queries.items()) for part in ("--query", f"{name}={sql}")]
        argv = lean("backup.sqlite_copy", "--name", self.name, "--path", str(self.path), "--stage", str(desk.folder), *queries)
        return [Step(why, argv, expect=(0, PART_DONE), keep=True, timeout=_SECONDS)]

    def examine(self, copy: Restored) -> Iterable[Text]:
        """The restored copy must open, be sound, and count what it counted when it was made."""
        database, note = copy.stage / f"{self.name}.sqlite", copy.stage / f"{self.name}.note.json"
        try:
            noted = read_note(note)
            sound, counts = answers(database, self.queries)
        except (OSError, ValueError) as error:
            yield say("cơ sở dữ liệu {n} không mở được: {e}", "database {n} cannot be opened: {e}", n=self.name, e=error)
            return
        if sound != "ok":
            yield say("cơ sở dữ liệu {n} hỏng: {e}", "database {n} is damaged: {e}", n=self.name, e=sound)
        counted = sum(int(count) for count in counts.values() if isinstance(count, int | float))
        copy.measures["rows"] = copy.measures.get("rows", 0.0) + counted
        for name, count in counts.items():
            was = noted.get("counts", {}).get(name)
            # a query that was added after the copy was made has nothing to compare with
            if was is not None and was != count:
                yield say("{n}.{q}: lúc sao lưu {was}, khôi phục {now}", "{n}.{q}: {was} when copied, {now} restored",
                          n=self.name, q=name, was=was, now=count)
