"""Puts the site back as its newest proved copy has it, in one moment for each path, keeping what was there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backup.copies import copies, proved, standing
from backup.restic import Repository, Snapshot, escaped, repository_of
from backup.stage import stage_of
from backup.trouble import ResticTrouble, explain
from ops import Context, Plan, PlanRefused, Proof, Site, Step, change, python, say
from playbooks.parts import notes

if TYPE_CHECKING:
    from backup.settings import BackupSet

_SECONDS = 21600.0


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


@change("restore_site", settings="backup", clauses=["TN-10.1.b.dr", "TN-10.1.c"], explain=explain)
def restore_site(site: Site, ctx: Context, *, snapshot: str = "") -> Plan:
    """Puts the site's user level back as its newest proved copy has it, or as `snapshot` has it.

    Each path is restored beside the live one into a private folder, compared with the manifest that the ledger noted, and
    exchanged with the live one in one moment; the old one is kept as `.NAME.truoc-khoi-phuc-DIGITS`. What an interrupted
    restore left is finished first. Raises PlanRefused: no such copy, repository trouble, not enough room.
    """
    repository = repository_of(ctx)
    try:
        chosen = _chosen(site, ctx, repository, snapshot)
    except ResticTrouble as trouble:
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
    steps: list[Step] = list(_unfinished(ctx.home))
    roots: dict[Path, None] = {}
    for name, found, size in chosen:
        made, used = _set_steps(site, ctx, repository, name, found, size, frozenset(roots))
        steps += made
        roots |= dict.fromkeys(used)
    swaps = [step for step in steps if step.undo is not None and "playbooks.parts.swap" in step.argv]
    others = [step for step in steps if step not in swaps]
    tidy = Step(say("dọn thư mục tạm", "remove the temporary folders"),
                python("playbooks.parts.tidy", "--home", str(ctx.home), *map(str, roots)), expect=(0, 3),
                timeout=3600.0)
    ids = ", ".join(found.id[:8] for _, found, _ in chosen)
    return Plan(say("khôi phục trang từ bản sao {i}", "restore the site from copy {i}", i=ids),
                (*others, *swaps, tidy), (Proof("web.http"),))


def _chosen(site: Site, ctx: Context, repository: Repository, snapshot: str) -> list[tuple[str, Snapshot, int]]:
    """(set, snapshot, bytes) of what is to be restored: the one asked for, or each user set's newest proved copy."""
    listed = repository.snapshots(ctx, "gaccong", f"site={site.id}")
    pairs = standing(proved(site, ctx), listed)
    if snapshot:
        hits = [found for found in listed if found.id.startswith(snapshot)]
        name = hits[0].tag("set") if len(hits) == 1 else ""
        if name not in ctx.settings.set:
            raise PlanRefused(
                say("không có đúng một bản sao {s} của trang này", "there is not exactly one copy {s} of this site",
                    s=snapshot), say("xem: gaccong backup list", "see: gaccong backup list"), site=site.id)
        size = next((copy.bytes for copy, found in pairs if found.id == hits[0].id), 0)
        return [(name, hits[0], size)]
    newest = {copy.set: (copy.set, found, copy.bytes) for copy, found in pairs}
    wanted = sorted(ctx.settings.of_level("user"))
    lacking = [name for name in wanted if name not in newest]
    if lacking or not wanted:
        raise PlanRefused(
            say("chưa có bản sao đã chứng minh của bộ {n}", "there is no proved copy of set {n}",
                n=", ".join(lacking) or "user"),
            say("chọn bản sao bằng snapshot=…, sau khi xem bằng restic", "name a copy with snapshot=…, after a look "
                "with restic"), site=site.id)
    return [newest[name] for name in wanted]


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


def _set_steps(
    site: Site, ctx: Context, repository: Repository, name: str, snapshot: Snapshot, size: int, used: frozenset[Path]
) -> tuple[list[Step], list[Path]]:
    """The steps of one set, and the folders that they restore into; `used`: those of the sets before."""
    chosen: BackupSet = ctx.settings.set[name]
    files = _outermost([path for source in chosen.source if source.kind == "files" for path in source.live()])
    databases = [source for source in chosen.source if source.kind == "sqlite"]
    apart = [source.path for source in databases if not any(source.path.is_relative_to(path) for path in files)]
    places = {path: _place(ctx.home, snapshot, path, used) for path in (*files, *apart)}
    _refuse_full(site, [place.root.parent for place in places.values()], size)
    held = snapshot.stage(name)
    stage_root = _stage_root(ctx.home, snapshot, stage_of(ctx.home, name), used)
    steps = [_restore(repository, snapshot, str(path), places[path].root, places[path]) for path in files]
    steps.append(_restore(repository, snapshot, held, stage_root, Place(ctx.home, Path(), stage_root, Path())))
    steps.append(_compare(site, ctx, snapshot, held, stage_root, [(str(path), places[path].root) for path in files]))
    swaps = [_swap(places[path]) for path in files]
    staged = stage_root / held.lstrip("/")
    for source in databases:
        inside = next((places[path] for path in files if source.path.is_relative_to(path)), None)
        place = inside or places[source.path]
        steps.append(_put(source.name, staged, source.path, place))
        if inside is None:
            swaps.append(_swap(place, *_journals(source.path)))
    roots = [place.root for place in places.values()] + [stage_root]
    return [*steps, *swaps], roots


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


def _restore(repository: Repository, snapshot: Snapshot, path: str, root: Path, place: Place) -> Step:
    ends = ("--live", str(place.live), "--kept", str(place.kept)) if place.live.name else ()
    restic = repository.argv("restore", snapshot.id, "--include", escaped(path), "--no-lock")
    return Step(
        say("khôi phục {p} vào thư mục tạm {r}", "restore {p} into the temporary folder {r}", p=path, r=root),
        python("playbooks.parts.bring", "--home", str(place.home), "--root", str(root), *ends, "--", *restic),
        env=repository.env, secrets=repository.secrets, timeout=_SECONDS,
        undo=_tidy(place.home, root))


def _compare(site: Site, ctx: Context, snapshot: Snapshot, held: str, stage_root: Path,
             parts: list[tuple[str, Path]]) -> Step:
    """What goes live must be what was proved: every byte against the manifest that the ledger noted."""
    noted = next((copy.manifest for copy in copies(site, ctx) if copy.is_(snapshot)), "")
    named = [word for at, root in [(held, stage_root), *parts] for word in ("--part", at, str(root))]
    source = say("sổ bằng chứng đã ghi", "the ledger noted") if noted else \
        say("nằm trong bản sao (sổ bằng chứng không ghi bản này)", "lies in the copy (the ledger knows nothing of it)")
    return Step(
        say("so từng tệp vừa khôi phục với danh mục {vi}", "compare every restored file with the manifest that {en}",
            vi=source.vi, en=source.en),
        python("backup.judge", "--root", str(stage_root), "--stage", held, "--manifest", noted, *named),
        keep=True, timeout=_SECONDS)


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
