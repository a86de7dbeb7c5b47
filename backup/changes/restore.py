"""Restores a proved copy of one set, or one path of it, into an empty folder, and compares every byte with its manifest."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from backup import judge
from backup.copies import Copy
from backup.pick import chosen, doubted, path_in, standing_copies
from backup.restic import Repository, Snapshot, can, escaped, repository_of, version
from backup.servers.dumping import Dumping
from backup.sources.sqlite import Source as Sqlite
from backup.stage import MANIFEST
from backup.trouble import ResticTrouble, explain
from ops import Context, Plan, PlanRefused, Proof, Site, Step, change, python, say

_SECONDS = 21600.0


@change("backup.restore", clauses=["TN-10.1.c"], settings="backup", explain=explain)
def restore(site: Site, ctx: Context, *, to: str, set: str = "", at: str = "", path: str = "") -> Plan:
    """Restores a proved copy of one set into the empty folder `to`, and compares every byte with its manifest.

    set: without it the only set of the user level. at: a copy's id, or a Vietnamese time (the newest proved copy not after
    it); without it the newest proved copy that no open alarm of `backup.anomaly` speaks against, as the title says.
    path: only this file or folder. Databases of the set come out as files of their own. Raises PlanRefused: unknown set,
    copy or path, a folder that is not empty. The site itself is not touched; for that see `restore_site`.
    """
    set = set or _only_set(site, ctx, to, at, path)
    if set not in ctx.settings.set:
        raise PlanRefused(say("không có bộ sao lưu {n}", "there is no backup set {n}", n=set),
                          say("các bộ: {k}", "sets: {k}", k=", ".join(sorted(ctx.settings.set))), site=site.id)
    target = Path(to)
    if not target.is_absolute() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise PlanRefused(
            say("{t} phải là thư mục trống (đường dẫn đầy đủ)", "{t} must be an empty folder (full path)", t=to),
            say("chọn thư mục khác", "choose another folder"), site=site.id)
    repository = repository_of(ctx)
    try:
        pairs = standing_copies(site, ctx, repository, set, at)
        (copy, found), told = chosen(site, pairs, set, at, doubted(site, ctx))
        name = _database_at(ctx, set, path)
        wanted = f"{found.stage(set)}/{name}" if name else path
        only = path_in(site, ctx, repository, found, set, wanted) if path else ""
    except ResticTrouble as trouble:
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
    held = found.stage(set)
    begin, compare = judge.steps(
        judge.note_of(ctx.home, set), found.id, to, held, copy.manifest, [(only, to)] if only else [],
        say("so từng tệp với danh mục đã ghi trong sổ", "compare every file with the manifest that the ledger noted"))
    steps = [begin, _bring(ctx, repository, found, to, (only, f"{held}/{MANIFEST}") if only else ()), compare]
    steps += _databases(ctx, repository, copy, target, target / held.lstrip("/"), name if only else "*")
    title = say("khôi phục {p} bộ {n} vào {t}{vi}", "restore {p} of set {n} into {t}{en}", p=only or "*", n=set, t=to,
                vi=told.vi, en=told.en)
    return Plan(title, tuple(steps), (Proof("backup.restored", (set,)),))


def _only_set(site: Site, ctx: Context, to: str, at: str, path: str) -> str:
    """The one set of the user level. Raises PlanRefused with the exact command for each set where that is not clear."""
    names = sorted(ctx.settings.of_level("user"))
    if len(names) == 1:
        return str(names[0])
    more = [word for name, value in (("--at", at), ("--path", path)) if value for word in (name, value)]
    lines = "; ".join(shlex.join(["gaccong", "backup", "restore", "--site", site.id, "--to", to, "--set", name, *more])
                      for name in names or sorted(ctx.settings.set))
    raise PlanRefused(
        say("phải nói khôi phục bộ nào: có {k} bộ mức người dùng", "say which set to restore: there are {k} of the user level",
            k=len(names)),
        say("một trong: {l}", "one of: {l}", l=lines), site=site.id)


def _bring(ctx: Context, repository: Repository, found: Snapshot, to: str, only: tuple[str, ...]) -> Step:
    told = ("--json",) if can("restore_progress", version(ctx, repository.program)) else ()
    patterns = [word for path in only for word in ("--include", escaped(path))]
    return repository.step(say("khôi phục bản {i} vào {t}", "restore copy {i} into {t}", i=found.id[:8], t=to),
                           "restore", *told, found.id, "--target", to, *patterns, "--no-lock")


def _database_at(ctx: Context, set_name: str, path: str) -> str:
    """The staged copy of the SQLite database that lives at `path`, or "": what lies there itself was caught in use."""
    found = (source for source in ctx.settings.set[set_name].source if isinstance(source, Sqlite) and str(source.path) == path)
    return next((f"{source.name}.sqlite" for source in found), "")


def _databases(ctx: Context, repository: Repository, copy: Copy, target: Path, stage: Path, which: str) -> Iterator[Step]:
    """Each dump and each SQLite copy as a file right in the target; which: "*" for all, else one staged name."""
    chosen = ctx.settings.set[copy.set]
    files = {source.name: source.file for source in chosen.source if isinstance(source, Dumping)}
    for name, snapshot in sorted(copy.streams.items()) if which == "*" else ():
        file = files.get(name, f"/{name}.sql")
        out = target / file.lstrip("/")
        yield Step(say("đưa bản kết xuất {n} ra {t}", "bring dump {n} out to {t}", n=name, t=out),
                   python("backup.out", "stream", "--note", str(stage / f"{name}.note.json"), "--to", str(out), "--",
                          *repository.argv("dump", "--no-lock", snapshot, file)),
                   env=repository.env, secrets=repository.secrets, keep=True, timeout=_SECONDS)
    for name in chosen.staged():
        if name.endswith(".sqlite") and which in ("*", name):
            yield Step(say("đưa cơ sở dữ liệu {n} ra {t}", "bring database {n} out to {t}", n=name, t=target / name),
                       python("backup.out", "file", "--from", str(stage / name), "--to", str(target / name)),
                       keep=True, timeout=_SECONDS)
