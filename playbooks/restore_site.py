"""Puts the site back as its newest proved copy has it, in one moment for each path, keeping what was there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backup.copies import proved, standing
from backup.restic import Repository, Snapshot, escaped, repository_of
from backup.stage import stage_of
from backup.trouble import ResticTrouble
from ops import Context, Plan, PlanRefused, Proof, Site, Step, change, python, say

if TYPE_CHECKING:
    from backup.settings import BackupSet

_SECONDS = 21600.0


@dataclass(frozen=True, slots=True)
class Place:
    """One live path: where it is restored to first (`root` stands for "/"), and where the old one is kept."""

    live: Path
    root: Path
    kept: Path

    @property
    def new(self) -> Path:
        """The restored path, beside the live one on the same filesystem."""
        return self.root / self.live.relative_to("/")

    def swap(self, *more: str) -> tuple[str, ...]:
        """argv of the part that swaps, with further arguments."""
        return python("playbooks.parts.swap", "--new", str(self.new), "--live", str(self.live), "--kept",
                      str(self.kept), *more)


@change("restore_site", settings="backup", clauses=["TN-10.1.b.dr", "TN-10.1.c"])
def restore_site(site: Site, ctx: Context, *, snapshot: str = "") -> Plan:
    """Puts the site's user level back as its newest proved copy has it, or as `snapshot` has it.

    Each path is restored beside the live one and exchanged with it in one moment; the old one is kept as
    `.NAME.truoc-khoi-phuc-DIGITS`. Raises PlanRefused: no such copy, repository trouble, not enough room.
    """
    repository = repository_of(ctx)
    try:
        chosen = _chosen(site, ctx, repository, snapshot)
    except ResticTrouble as trouble:
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
    steps: list[Step] = []
    roots: dict[Path, None] = {}
    for name, found, size in chosen:
        made, used = _set_steps(site, ctx, repository, name, found, size)
        steps += made
        roots |= dict.fromkeys(used)
    swaps = [step for step in steps if "playbooks.parts.swap" in step.argv]
    others = [step for step in steps if "playbooks.parts.swap" not in step.argv]
    tidy = Step(say("dọn thư mục tạm", "remove the temporary folders"),
                python("playbooks.parts.tidy", *map(str, roots)), expect=(0, 3), timeout=3600.0)
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


def _set_steps(
    site: Site, ctx: Context, repository: Repository, name: str, snapshot: Snapshot, size: int
) -> tuple[list[Step], list[Path]]:
    """The steps of one set, and the folders that they restore into."""
    chosen: BackupSet = ctx.settings.set[name]
    files = _outermost([path for source in chosen.source if source.kind == "files" for path in source.live()])
    databases = [source for source in chosen.source if source.kind == "sqlite"]
    places = {path: _place(snapshot, path) for path in (*files, *(source.path for source in databases))}
    _refuse_full(site, [place.root.parent for place in places.values()], size)
    stage_root = ctx.home / f".khoi-phuc-{_digits(snapshot, stage_of(ctx.home, name))}"
    held = snapshot.stage(name)
    steps = [_restore(repository, snapshot, str(path), places[path].root) for path in files]
    if databases:
        steps.append(_restore(repository, snapshot, held, stage_root))
    swaps = [_swap(places[path]) for path in files]
    staged = stage_root / held.lstrip("/")
    for source in databases:
        inside = next((places[path] for path in files if source.path.is_relative_to(path)), None)
        place = inside or places[source.path]
        steps.append(_put(source.name, staged, place.root / source.path.relative_to("/"), place.root))
        if inside is None:
            swaps.append(_swap(place, *_journals(source.path)))
    roots = [place.root for place in places.values()] + [stage_root]
    return [*steps, *swaps], roots


def _outermost(paths: list[Path]) -> list[Path]:
    return [path for path in dict.fromkeys(paths) if not any(path != up and path.is_relative_to(up) for up in paths)]


def _place(snapshot: Snapshot, live: Path) -> Place:
    """The first free name for keeping the old tree, and a restore folder on the filesystem where the path will live."""
    digits = _digits(snapshot, live)
    parent = live.parent
    while not parent.is_dir():
        parent = parent.parent
    kept = live.with_name(f".{live.name}.truoc-khoi-phuc-{digits}")
    number = 2
    while os.path.lexists(kept):
        kept = live.with_name(f".{live.name}.truoc-khoi-phuc-{digits}-{number}")
        number += 1
    return Place(live, parent / f".khoi-phuc-{digits}", kept)


def _digits(snapshot: Snapshot, path: Path) -> str:
    return hashlib.sha256(f"{snapshot.id} {path}".encode()).hexdigest()[:8]


def _refuse_full(site: Site, folders: list[Path], size: int) -> None:
    """Both trees stand side by side for a while. The whole set is reckoned for each filesystem: rather too much."""
    for folder in dict.fromkeys(folders):
        free = shutil.disk_usage(folder).free
        if free < size:
            raise PlanRefused(
                say("không đủ chỗ ở {p}: cần {n} MiB, còn {f} MiB", "no room at {p}: {n} MiB needed, {f} MiB free",
                    p=folder, n=(size >> 20) + 1, f=free >> 20),
                say("giải phóng chỗ rồi lập lại kế hoạch", "free some room, then plan again"), site=site.id)


def _tidy(root: Path) -> Step:
    return Step(say("xóa thư mục tạm {p}", "remove the temporary folder {p}", p=root),
                python("playbooks.parts.tidy", str(root)), timeout=3600.0)


def _restore(repository: Repository, snapshot: Snapshot, path: str, root: Path) -> Step:
    return repository.step(
        say("khôi phục {p} vào thư mục tạm {r}", "restore {p} into the temporary folder {r}", p=path, r=root),
        "restore", snapshot.id, "--target", str(root), "--include", escaped(path), "--no-lock", timeout=_SECONDS,
        undo=_tidy(root))


def _put(name: str, staged: Path, to: Path, root: Path) -> Step:
    return Step(
        say("đặt cơ sở dữ liệu {n} vào chỗ", "put database {n} in its place", n=name),
        python("playbooks.parts.place", "--copy", str(staged / f"{name}.sqlite"), "--note",
               str(staged / f"{name}.note.json"), "--to", str(to)),
        timeout=3600.0, undo=_tidy(root))


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
