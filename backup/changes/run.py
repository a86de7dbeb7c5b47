"""Copies one set of the site into its repository: stage, manifest, restic; proved by reading the copy back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from backup import inventory
from backup.copies import copies, tags_of
from backup.copying import note_of
from backup.found import mark_of
from backup.lean import lean
from backup.restic import DONE, Repository, repository_of, version
from backup.source import Desk
from backup.stage import stage_of
from backup.trouble import ResticTrouble, explain
from ops import Context, Occasion, Plan, PlanRefused, Proof, Site, Step, change, say

if TYPE_CHECKING:
    from backup.settings import BackupSet


def nights(site: Site) -> Iterator[Occasion]:
    """One occasion for each set, by its own schedule."""
    settings = site.settings.get("backup")
    if settings is not None:
        for name, found in sorted(settings.set.items()):
            yield Occasion({"set": name}, found.schedule)


@change("backup.run", clauses=["TN-10.1.d.freq", "TN-10.1.d.lvl"], occasions=nights, explain=explain)
def run(site: Site, ctx: Context, *, set: str) -> Plan:
    """Copies one set of the site into its repository, and proves the copy.

    The plan is the same every night, the first included, so that one standing approval serves. Raises PlanRefused: unknown set, a source on another host, a repository that is gone or does not open.
    """
    chosen = ctx.settings.set.get(set)
    if chosen is None:
        known = ", ".join(sorted(ctx.settings.set))
        raise PlanRefused(say("không có bộ sao lưu {n}", "there is no backup set {n}", n=set),
                          say("các bộ: {k}", "sets: {k}", k=known), site=site.id)
    _refuse_remote(site, set, chosen)
    repository = repository_of(ctx)
    version(ctx, repository.program)
    stage = stage_of(ctx.home, set)
    desk = Desk(stage, ctx.hosts, repository, tags_of(site, set, chosen.level), site.id)
    steps = [
        _ready(str(stage), chosen.staged()),
        _found(site, ctx, repository),
        *(step for source in chosen.source for step in source.stage(desk)),
        _manifest(str(stage), repository, chosen),
        _copy(site, str(stage), repository, set, chosen),
        *inventory.step(ctx.home, repository),
    ]
    title = say("sao lưu bộ {n} (mức {level}) vào {r}", "back up set {n} (level {level}) into {r}", n=set,
                level=chosen.level, r=repository.at)
    return Plan(title, tuple(steps), (Proof("backup.contents", (set,)), Proof("backup.integrity", (set,))))


def _refuse_remote(site: Site, name: str, chosen: BackupSet) -> None:
    away = next((source.host for source in chosen.source if source.host != "here" and not source.reaches), "")
    if away:
        raise PlanRefused(
            say("bộ {n} lấy dữ liệu từ máy {h}; loại nguồn này chỉ sao lưu được máy đang chạy gaccong",
                "set {n} takes from host {h}; this kind of source copies only the machine that gaccong runs on", n=name,
                h=away),
            say("chạy gaccong trên {h}, hoặc bỏ khóa `host` của nguồn này",
                "run gaccong on {h}, or take the key `host` from that source", h=away), site=site.id)


def _ready(stage: str, staged: list[str]) -> Step:
    kept = [part for name in staged for part in ("--keep", name)]
    return Step(say("dọn nơi tạm {p}", "make the stage {p} ready", p=stage),
                lean("backup.stage", "--stage", stage, *kept), timeout=600.0)


def _found(site: Site, ctx: Context, repository: Repository) -> Step:
    """The step that makes sure of the repository; refused now where it is plainly gone or does not open."""
    try:
        there = repository.exists(ctx)
    except ResticTrouble as trouble:
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
    if not there:
        _refuse_gone(site, ctx, repository)
    mark = mark_of(ctx.home, repository.at)
    return Step(
        say("kho sao lưu {r}: có thì dùng, chưa từng có thì tạo", "repository {r}: use it; if there never was one, make it",
            r=repository.at),
        lean("backup.found", "--at", repository.at, "--mark", str(mark), "--", *repository.argv()),
        env=repository.env, secrets=repository.secrets, keep=True, timeout=900.0)


def _refuse_gone(site: Site, ctx: Context, repository: Repository) -> None:
    """Raises PlanRefused when the ledger knows copies in a repository that is not there, or its folder is another's."""
    gone = [copy for copy in copies(site, ctx) if copy.repository in (repository.at, "")]
    if gone:
        raise PlanRefused(
            say("kho sao lưu {r} không còn, dù sổ bằng chứng ghi {n} bản sao trong đó (mới nhất: {e})",
                "repository {r} is gone, though the ledger knows {n} copies in it (newest: {e})",
                r=repository.at, n=len(gone), e=gone[-1].evidence),
            say("gắn lại ổ đĩa hoặc bật máy chứa kho; nếu kho đã mất hẳn: đặt `repository` sang nơi mới rồi duyệt lại",
                "mount its disk or start its machine; if it is lost for good, set `repository` to a new place and "
                "approve again"), site=site.id)
    folder = repository.local
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise PlanRefused(
            say("{r} không rỗng mà cũng không phải kho sao lưu", "{r} is not empty and is no repository", r=folder),
            say("chọn thư mục rỗng hoặc chưa có", "choose a folder that is empty or not there yet"), site=site.id)


def _manifest(stage: str, repository: Repository, chosen: BackupSet) -> Step:
    given: list[str] = []
    for flag, values in (("--live", map(str, chosen.live())), ("--staged", chosen.staged()),
                         ("--exclude", chosen.excluded())):
        given += [part for value in values for part in (flag, value)]
    return Step(say("lập danh mục tệp kèm mã băm", "write the manifest with every file's hash"),
                lean("backup.manifest", "--stage", stage, "--repository", repository.at, *given),
                keep=True, timeout=21600.0)


def _copy(site: Site, stage: str, repository: Repository, name: str, chosen: BackupSet) -> Step:
    tags = [part for tag in tags_of(site, name, chosen.level) for part in ("--tag", tag)]
    excludes = [part for pattern in chosen.excluded() for part in ("--exclude", pattern)]
    why = say("chép vào kho bằng restic", "copy into the repository with restic")
    words = repository.argv("backup", "--json", "--host", site.id, *tags, *excludes, "--", *map(str, chosen.live()), stage)
    note = note_of(Path(stage).parent.parent, name, repository.at)
    return Step(why, lean("backup.copying", "--note", str(note), "--at", repository.at, "--", *words), env=repository.env,
                secrets=repository.secrets, expect=DONE, keep=True, timeout=21600.0)
