"""Which copy and which path a person means: "2026-11-20 14:30", "4f1c2a9b", "/srv/www/site/index.php"."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from backup.copies import Copy, proved, standing
from backup.manifest import read_name, shown
from backup.restic import Repository, Snapshot
from backup.stage import MANIFEST
from ops import LOCAL, Context, PlanRefused, Site, local, nfc, say

Pair = tuple[Copy, Snapshot]
_FORMS = (("%Y-%m-%d %H:%M:%S", timedelta()), ("%Y-%m-%d %H:%M", timedelta(minutes=1)),
          ("%Y-%m-%d", timedelta(days=1)), ("%d/%m/%Y %H:%M", timedelta(minutes=1)), ("%d/%m/%Y", timedelta(days=1)))
ID = re.compile(r"[0-9a-f]{8,64}")
"""How a snapshot is named; restic 0.14 shows 8 digits, newer ones take any beginning."""
_NEAR = 4


def until(at: str) -> datetime | None:
    """The end of the moment that is written on the Vietnamese clock: a day ends at midnight. None: it is no time."""
    for form, length in _FORMS:
        try:
            return datetime.strptime(" ".join(at.replace("T", " ").split()), form).replace(tzinfo=LOCAL) + length
        except ValueError:
            continue
    return None


def when(time: datetime) -> str:
    """As people read and `--at` takes it: 2026-11-20 14:30."""
    return f"{local(time):%Y-%m-%d %H:%M}"


def standing_copies(site: Site, ctx: Context, repository: Repository, set_name: str) -> list[Pair]:
    """The proved copies of a set that the repository still lists, oldest first. Raises ResticTrouble."""
    listed = repository.snapshots(ctx, "gaccong", f"set={set_name}", f"site={site.id}")
    return standing([copy for copy in proved(site, ctx) if copy.set == set_name],
                    [found for found in listed if not found.stream])


def picked(site: Site, pairs: Sequence[Pair], set_name: str, at: str) -> Pair:
    """The copy that `at` means: "" the newest proved one, an id that very one, a time the newest one not after it.

    Raises PlanRefused with the nearest ones.
    """
    if not pairs:
        raise PlanRefused(
            say("chưa có bản sao đã chứng minh của bộ {n}", "there is no proved copy of set {n}", n=set_name),
            say("gaccong backup list --site {s}", "gaccong backup list --site {s}", s=site.id), site=site.id)
    if not at:
        return pairs[-1]
    end = until(at)
    if end is not None:
        fit = [pair for pair in pairs if pair[1].time < end or (pair[1].time == end and at.count(":") == 2)]
        if fit:
            return fit[-1]
        raise PlanRefused(
            say("bộ {n} không có bản sao đã chứng minh nào từ {t} trở về trước", "set {n} has no proved copy from {t} or before",
                n=set_name, t=at),
            say("các bản gần nhất sau đó: {k}", "the nearest ones after it: {k}", k=_named(pairs[:_NEAR])), site=site.id)
    hits = [pair for pair in pairs if pair[1].id.startswith(at)] if ID.fullmatch(at) else []
    if len(hits) == 1:
        return hits[0]
    raise PlanRefused(
        say("bộ {n} không có bản sao đã chứng minh {t}", "set {n} has no proved copy {t}", n=set_name, t=at),
        say("viết mã bản sao (8 chữ số trở lên) hoặc giờ Việt Nam (2026-11-20 14:30); mới nhất: {k}",
            "write a copy's id (8 digits or more) or a Vietnamese time (2026-11-20 14:30); the newest: {k}",
            k=_named(pairs[-_NEAR:])), site=site.id)


def _named(pairs: Sequence[Pair]) -> str:
    return ", ".join(f"{found.id[:8]} ({when(found.time)})" for _, found in pairs)


def path_in(site: Site, ctx: Context, repository: Repository, snapshot: Snapshot, set_name: str, asked: str) -> str:
    """The path as the copy has it (its bytes may be composed otherwise). Raises PlanRefused with the nearest names."""
    wanted = nfc(asked).rstrip("/") or "/"
    exact: list[bytes] = []
    names: dict[str, str] = {}  # last part -> one path
    inside = False

    def line(text: str) -> None:
        nonlocal inside
        entry = json.loads(text)
        if "kind" not in entry:
            return
        path = read_name(entry)
        said = nfc(os.fsdecode(path))
        if said == wanted:
            exact.append(path)
        inside = inside or said.startswith(wanted + "/")
        if len(names) < 200_000:
            names.setdefault(said.rpartition("/")[2], shown(path))

    repository.dump(ctx, snapshot.id, f"{snapshot.stage(set_name)}/{MANIFEST}", line)
    if exact:
        return os.fsdecode(exact[0])
    if inside:
        return wanted
    near = difflib.get_close_matches(wanted.rpartition("/")[2], names, n=_NEAR, cutoff=0.6)
    raise PlanRefused(
        say("bản sao {i} không có {p}", "copy {i} does not hold {p}", i=snapshot.id[:8], p=asked),
        say("gần giống: {k}", "similar: {k}", k=", ".join(names[name] for name in near)) if near else
        say("xem: restic ls {i}", "see: restic ls {i}", i=snapshot.id[:8]), site=site.id)
