"""Puts the site back as its newest proved copy has it, in one moment for each path, keeping what was there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from backup import judge
from backup.copies import Copy, copies, proved, standing
from backup.pick import ID, chosen, doubted, path_in, suspicion, until
from backup.restic import Repository, Snapshot, can, escaped, repository_of, version
from backup.servers.dumping import Dumping
from backup.sources.sqlite import Source as Sqlite
from backup.stage import stage_of
from backup.trouble import ResticTrouble, explain
from ops import Context, Plan, PlanRefused, Proof, Site, Step, Text, change, python, say
from playbooks.parts import databases, notes

if TYPE_CHECKING:
    from backup.settings import BackupSet

_SECONDS = 21600.0
_FILES = ("files", "wordpress")


@dataclass(frozen=True, slots=True)
class Place:
    """One live path: where it is restored to first (`root` stands for "/"), and where the old one is kept."""

    home: Path
    live: Path
    root: Path
    kept: Path

    def swap(self, *more: str) -> tuple[str, ...]:
        """argv of the part that swaps, with further arguments."""
        return python("playbooks.parts.swap", "--home", str(self.home), "--root", str(self.root), "--live",
                      str(self.live), "--kept", str(self.kept), *more)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of one set is to be restored. copy: None where the ledger knows nothing of it; only: one path, "" for all.

    told: what the plan's title must say of the choice, "" for nothing.
    """

    name: str
    snapshot: Snapshot
    copy: Copy | None
    listed: tuple[Snapshot, ...]
    only: str = ""
    told: Text = Text("", "")

    @property
    def size(self) -> int:
        """Bytes of room that it takes, as far as known."""
        return 0 if self.copy is None or self.only else self.copy.bytes

    def stream(self, name: str) -> str:
        """The snapshot with the dump `name` of the same night, or "". Its hash is compared in any case."""
        if self.copy is not None:
            return self.copy.streams.get(name, "")
        before = [one for one in self.listed if one.stream == name and one.tag("set") == self.name
                  and one.time <= self.snapshot.time]
        return before[-1].id if before else ""


@dataclass
class Work:
    """Steps by kind: bringing and checking first, then every exchange, one close after the other, then clearing up."""

    ready: list[Step]
    swaps: list[Step]
    roots: list[Path]
    last: list[Step]


@change("restore_site", settings="backup", clauses=["TN-10.1.b.dr", "TN-10.1.c"], explain=explain)
def restore_site(site: Site, ctx: Context, *, set: str = "", at: str = "", path: str = "") -> Plan:
    """Puts the site's user level back as its newest proved copy has it: files, SQLite, MariaDB, PostgreSQL.

    set: only this set. at: the copy, by id or by a Vietnamese time (the newest proved one not after it). path: only this
    file or folder. Without `at` no copy is taken that an open alarm speaks against.

    Each path and database is restored beside the live one, compared with what the ledger noted, and
    exchanged with it; the old one is kept. What an interrupted restore left is finished first. Raises PlanRefused: no
    such copy or path, repository trouble, not enough room, a database that cannot be exchanged from here.
    """
    repository = repository_of(ctx)
    try:
        wanted = _wanted(site, ctx, repository, set, at, path)
    except ResticTrouble as trouble:
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
    work = Work([*_unfinished(ctx.home), *databases.unfinished(ctx)], [], [], [])
    for one in wanted:
        _set_steps(site, ctx, repository, one, work)
    tidy = Step(say("dọn thư mục tạm", "remove the temporary folders"),
                python("playbooks.parts.tidy", "--home", str(ctx.home), *map(str, work.roots)), expect=(0, 3),
                timeout=3600.0)
    ids = ", ".join(one.snapshot.id[:8] for one in wanted)
    what = wanted[0].only if path else "trang"
    return Plan(say("khôi phục {p} từ bản sao {i}{vi}", "restore {e} from copy {i}{en}", i=ids, p=what,
                    e=wanted[0].only if path else "the site", vi="".join(one.told.vi for one in wanted),
                    en="".join(one.told.en for one in wanted)),
                (*work.ready, *work.swaps, tidy, *work.last), _proofs(site, wanted))


def _proofs(site: Site, wanted: list[Wanted]) -> tuple[Proof, ...]:
    """The restored trees were right and stand there; and the site answers, where it is watched."""
    answers = (Proof("web.http"),) if site.settings.get("monitoring") is not None else ()
    return Proof("backup.restored", tuple(one.name for one in wanted)), *answers


def _wanted(site: Site, ctx: Context, repository: Repository, set_name: str, at: str, path: str) -> list[Wanted]:
    """What is to be restored: of the set that is named, or of each user set."""
    if set_name and set_name not in ctx.settings.set:
        raise PlanRefused(say("không có bộ sao lưu {n}", "there is no backup set {n}", n=set_name),
                          say("các bộ: {k}", "sets: {k}", k=", ".join(sorted(ctx.settings.set))), site=site.id)
    listed = tuple(repository.snapshots(ctx, "gaccong", f"site={site.id}"))
    doubts = doubted(site, ctx)
    mains = [found for found in listed if not found.stream]
    pairs = standing(proved(site, ctx), mains)
    named = [found for found in mains if found.id.startswith(at)] if ID.fullmatch(at) and until(at) is None else []
    if len(named) == 1:  # an id is taken at its word, also when the ledger that knew of it is lost
        found = named[0]
        if (set_name or found.tag("set")) != found.tag("set") or found.tag("set") not in ctx.settings.set:
            raise PlanRefused(say("bản sao {i} thuộc bộ {n}", "copy {i} belongs to set {n}", i=found.id[:8],
                                  n=found.tag("set")), site=site.id)
        copy = next((copy for copy, one in pairs if one is found), None)
        wanted = [Wanted(found.tag("set"), found, copy, listed, told=suspicion(copy, found, doubts))]
    else:
        names = [set_name] if set_name else sorted(ctx.settings.of_level("user"))
        wanted = []
        for name in names:
            (copy, found), told = chosen(site, [pair for pair in pairs if pair[0].set == name], name, at, doubts)
            wanted.append(Wanted(name, found, copy, listed, told=told))
    return [_narrowed(site, ctx, repository, wanted, path)] if path else wanted


def _narrowed(site: Site, ctx: Context, repository: Repository, wanted: list[Wanted], path: str) -> Wanted:
    """The one set whose paths hold `path`, and the path as the copy has it."""
    for one in wanted:
        if any(isinstance(source, Sqlite) and str(source.path) == path for source in ctx.settings.set[one.name].source):
            return replace(one, only=path)  # its copy lies in the stage, not where the database lives
        if any(Path(path).is_relative_to(live) for live in _live(ctx.settings.set[one.name])):
            return replace(one, only=path_in(site, ctx, repository, one.snapshot, one.name, path))
    known = ", ".join(str(live) for one in wanted for live in _live(ctx.settings.set[one.name]))
    raise PlanRefused(say("{p} không nằm trong nơi nào được sao lưu", "{p} lies in no place that is copied", p=path),
                      say("các nơi: {k}", "the places: {k}", k=known), site=site.id)


def _live(chosen: BackupSet) -> list[Path]:
    files = [path for source in chosen.source if source.kind in _FILES for path in source.live()]
    return [*files, *(source.path for source in chosen.source if isinstance(source, Sqlite))]


def _unfinished(home: Path) -> Iterator[Step]:
    """What a restore that was interrupted left: an exchange to finish, a folder to remove."""
    for note in notes.every(home):
        root = Path(note["root"])
        if not os.path.lexists(root):
            continue
        if note.get("state") != "restored":
            place = Place(home, Path(note["live"]), root, Path(note["kept"]))
            aside = [part for path in note.get("aside", ()) for part in ("--aside", path)]
            yield Step(say("làm nốt việc đổi {p} còn dở của lần khôi phục trước",
                           "finish the exchange of {p} that an earlier restore left half done", p=place.live),
                       place.swap(*aside, "--finish"), timeout=600.0)
        yield Step(say("xóa thư mục tạm {p} của lần khôi phục trước", "remove the folder {p} of an earlier restore",
                       p=root), _tidy(home, root).argv, expect=(0, 3), timeout=3600.0)


def _set_steps(site: Site, ctx: Context, repository: Repository, one: Wanted, work: Work) -> None:
    """Adds the steps of one set."""
    chosen: BackupSet = ctx.settings.set[one.name]
    used = frozenset(work.roots)
    files, sqlites = _parts(chosen, one.only)
    apart = [source.path for source in sqlites if not any(source.path.is_relative_to(path) for path in files)]
    places = {path: _place(ctx.home, one.snapshot, path, used) for path in (*files, *apart)}
    _refuse_full(site, [place.root.parent for place in places.values()], one.size)
    held = one.snapshot.stage(one.name)
    stage_root = _stage_root(ctx.home, one.snapshot, stage_of(ctx.home, one.name), used)
    told = ("--json",) if can("restore_progress", version(ctx, repository.program)) else ()
    begin, compare = _compare(site, ctx, one, held, stage_root, [(str(path), str(places[path].root)) for path in files])
    work.ready.append(begin)
    work.ready += [_restore(repository, one.snapshot, str(path), places[path], told) for path in files]
    work.ready.append(_restore(repository, one.snapshot, held, Place(ctx.home, Path(), stage_root, Path()), told))
    work.ready.append(compare)
    work.swaps += [_swap(places[path]) for path in files]
    staged = stage_root / held.lstrip("/")
    for source in sqlites:
        inside = next((places[path] for path in files if source.path.is_relative_to(path)), None)
        place = inside or places[source.path]
        work.ready.append(_put(source.name, staged, source.path, place))
        if inside is None:
            work.swaps.append(_swap(place, *_journals(source.path)))
    work.roots += [*(place.root for place in places.values()), stage_root]
    for dumped in () if one.only else chosen.source:
        if isinstance(dumped, Dumping) and dumped.kind in databases.KINDS:
            made = databases.steps(site, ctx, repository, one.snapshot, dumped, one.stream(dumped.name), staged)
            work.ready.append(made[0])
            work.swaps.append(made[1])
            work.last.append(made[2])


def _parts(chosen: BackupSet, only: str) -> tuple[list[Path], list[Sqlite]]:
    """(paths, SQLite sources) to restore: all of the set's, or what `only` names."""
    files = _outermost([path for source in chosen.source if source.kind in _FILES for path in source.live()])
    sqlites = [source for source in chosen.source if isinstance(source, Sqlite)]
    if not only:
        return files, sqlites
    inside = [source for source in sqlites if source.path.is_relative_to(only)]
    return ([] if any(str(source.path) == only for source in inside) else [Path(only)]), inside


def _outermost(paths: list[Path]) -> list[Path]:
    return [path for path in dict.fromkeys(paths) if not any(path != up and path.is_relative_to(up) for up in paths)]


def _place(home: Path, snapshot: Snapshot, live: Path, used: frozenset[Path]) -> Place:
    """A restore folder on the filesystem where the path will live, and a name for keeping the old tree.

    Neither was ever used: a folder that an interrupted restore left may hold the only old tree.
    """
    parent = live.parent
    while not parent.is_dir():
        parent = parent.parent

    def kept(digits: str) -> Path:
        return live.with_name(f".{live.name}.truoc-khoi-phuc-{digits}")

    root = _free(home, snapshot, live, parent, used, lambda digits: os.path.lexists(kept(digits)))
    return Place(home, live, root, kept(root.name.removeprefix(".khoi-phuc-")))


def _stage_root(home: Path, snapshot: Snapshot, stage: Path, used: frozenset[Path]) -> Path:
    return _free(home, snapshot, stage, home, used, lambda digits: False)


def _free(home: Path, snapshot: Snapshot, path: Path, parent: Path, used: frozenset[Path],
          taken: Callable[[str], bool]) -> Path:
    """The first restore folder's name that nothing stands under, no note tells of, and this plan does not use yet."""
    for number in range(1, 1000):
        again = f" {number}" if number > 1 else ""
        digits = hashlib.sha256(f"{snapshot.id} {path}{again}".encode()).hexdigest()[:8]
        root = parent / f".khoi-phuc-{digits}"
        if not (os.path.lexists(root) or os.path.lexists(notes.path_of(home, root)) or root in used or taken(digits)):
            return root
    raise PlanRefused(say("quá nhiều thư mục khôi phục cũ cạnh {p}", "too many old restore folders beside {p}", p=path))


def _refuse_full(site: Site, folders: list[Path], size: int) -> None:
    """Both trees stand side by side for a while. The whole set is reckoned for each filesystem: rather too much."""
    for folder in dict.fromkeys(folders):
        free = shutil.disk_usage(folder).free
        if free < size:
            raise PlanRefused(
                say("không đủ chỗ ở {p}: cần {n} MiB, còn {f} MiB", "no room at {p}: {n} MiB needed, {f} MiB free",
                    p=folder, n=(size >> 20) + 1, f=free >> 20),
                say("giải phóng chỗ rồi lập lại kế hoạch", "free some room, then plan again"), site=site.id)


def _tidy(home: Path, root: Path) -> Step:
    return Step(say("xóa thư mục tạm {p}", "remove the temporary folder {p}", p=root),
                python("playbooks.parts.tidy", "--home", str(home), str(root)), timeout=3600.0)


def _restore(repository: Repository, snapshot: Snapshot, path: str, place: Place, told: tuple[str, ...]) -> Step:
    root = place.root
    ends = ("--live", str(place.live), "--kept", str(place.kept)) if place.live.name else ()
    restic = repository.argv("restore", *told, snapshot.id, "--include", escaped(path), "--no-lock")
    return Step(
        say("khôi phục {p} vào thư mục tạm {r}", "restore {p} into the temporary folder {r}", p=path, r=root),
        python("playbooks.parts.bring", "--home", str(place.home), "--root", str(root), *ends, "--", *restic),
        env=repository.env, secrets=repository.secrets, timeout=_SECONDS,
        undo=_tidy(place.home, root))


def _compare(site: Site, ctx: Context, one: Wanted, held: str, stage_root: Path,
             parts: list[tuple[str, str]]) -> tuple[Step, Step]:
    """What goes live must be what was proved: every byte against the manifest that the ledger noted."""
    noted = next((copy.manifest for copy in copies(site, ctx) if copy.is_(one.snapshot)), "")
    source = say("sổ bằng chứng đã ghi", "the ledger noted") if noted else \
        say("nằm trong bản sao (sổ bằng chứng không ghi bản này)", "lies in the copy (the ledger knows nothing of it)")
    why = say("so từng tệp vừa khôi phục với danh mục {vi}", "compare every restored file with the manifest that {en}",
              vi=source.vi, en=source.en)
    return judge.steps(judge.note_of(ctx.home, one.name), one.snapshot.id, str(stage_root), held, noted,
                       [(held, str(stage_root)), *parts], why, in_place=True)


def _put(name: str, staged: Path, to: Path, place: Place) -> Step:
    return Step(
        say("đặt cơ sở dữ liệu {n} vào chỗ", "put database {n} in its place", n=name),
        python("playbooks.parts.place", "--home", str(place.home), "--root", str(place.root), "--to", str(to), "--copy",
               str(staged / f"{name}.sqlite"), "--note", str(staged / f"{name}.note.json")),
        timeout=3600.0, undo=_tidy(place.home, place.root))


def _swap(place: Place, *more: str) -> Step:
    return Step(
        say("đổi {p} sang bản khôi phục; bản cũ giữ ở {k}", "exchange {p} for the restored one; the old one stays at {k}",
            p=place.live, k=place.kept),
        place.swap(*more), timeout=600.0,
        undo=Step(say("đổi {p} về như cũ", "exchange {p} back", p=place.live), place.swap(*more, "--back"),
                  timeout=600.0))


def _journals(database: Path) -> Iterator[str]:
    for end in ("-wal", "-shm"):
        yield from ("--aside", str(database.with_name(database.name + end)))
