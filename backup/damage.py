"""What is wrong with the objects of a repository, and how that is said. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backup.objects import CONFIG
from ops import Text, say

_CALLED = {
    "data": ("gói dữ liệu", "data pack(s)"),
    "index": ("tệp chỉ mục", "index file(s)"),
    "snapshots": ("tệp bản sao (snapshot)", "snapshot(s)"),
    "keys": ("tệp khóa", "key file(s)"),
    CONFIG: ("tệp config", "config"),
}
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Damage:
    """Objects by KIND/NAME, in order. missing: not there although they should be; bad: not the bytes of their name."""

    missing: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.bad)

    def of(self, kind: str) -> tuple[list[str], list[str]]:
        """(missing, bad) of one kind, without the kind."""
        return names_of(self.missing, kind), names_of(self.bad, kind)

    @property
    def words(self) -> Text:
        """Which kind, how many, the first names: "missing: 2 data pack(s) (1a2b3c4d, …); bad: …"."""
        told = [*_told(self.missing, "mất", "missing"), *_told(self.bad, "hỏng", "bad")]
        return Text("; ".join(one.vi for one in told), "; ".join(one.en for one in told))


def kind_of(name: str) -> str:
    """ "data" of "data/12ab…", "config" of "config"."""
    return name.partition("/")[0]


def names_of(objects: Iterable[str], kind: str) -> list[str]:
    """The names of the objects of a kind; config's is "config"."""
    return [name.partition("/")[2] or name for name in objects if kind_of(name) == kind]


def _told(objects: tuple[str, ...], vi: str, en: str) -> Iterable[Text]:
    for kind, (vi_kind, en_kind) in _CALLED.items():
        found = names_of(objects, kind)
        if not found:
            continue
        first = ", ".join(name[:8] for name in found[:_NAMED]) + (", …" if len(found) > _NAMED else "")
        yield say("{vi} {n} {vi_kind} ({f})", "{en}: {n} {en_kind} ({f})", vi=vi, en=en, n=len(found), vi_kind=vi_kind,
                  en_kind=en_kind, f=first)
