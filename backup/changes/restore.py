"""Restores a proved copy of one set into an empty folder, and compares every byte with its manifest."""

from __future__ import annotations

from pathlib import Path

from backup.copies import proved, standing
from backup.restic import repository_of
from backup.trouble import explain
from ops import Context, Plan, PlanRefused, Proof, Site, Step, change, python, say


@change("backup.restore", clauses=["TN-10.1.c"], settings="backup", explain=explain)
def restore(site: Site, ctx: Context, *, to: str, set: str = "user", snapshot: str = "") -> Plan:
    """Restores a proved copy of one set into the empty folder `to`, and compares every byte with its manifest.

    snapshot: its id (8 digits or more); without it the newest proved copy. Raises PlanRefused: unknown set or copy, a
    folder that is not empty. The site itself is not touched; for that see `restore_site`.
    """
    if set not in ctx.settings.set:
        raise PlanRefused(say("không có bộ sao lưu {n}", "there is no backup set {n}", n=set), site=site.id)
    target = Path(to)
    if not target.is_absolute() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise PlanRefused(
            say("{t} phải là thư mục trống (đường dẫn đầy đủ)", "{t} must be an empty folder (full path)", t=to),
            say("chọn thư mục khác", "choose another folder"),
            site=site.id,
        )
    repository = repository_of(ctx)
    known = [copy for copy in proved(site, ctx) if copy.set == set]
    pairs = standing(known, repository.snapshots(ctx, "gaccong", f"set={set}", f"site={site.id}"))
    chosen = [pair for pair in pairs if pair[1].id.startswith(snapshot)] if snapshot else pairs
    if not chosen or 0 < len(snapshot) < 8:
        raise PlanRefused(
            say("không có bản sao đã chứng minh {s} của bộ {n}", "no proved copy {s} of set {n}", s=snapshot, n=set),
            say("gaccong backup list --site {s}", "gaccong backup list --site {s}", s=site.id),
            site=site.id,
        )
    copy, found = chosen[-1]
    bring = repository.step(
        say("khôi phục bản {i} vào {t}", "restore copy {i} into {t}", i=found.id[:8], t=to),
        "restore",
        found.id,
        "--target",
        to,
    )
    compare = Step(
        say("so từng tệp với danh mục đã ghi trong sổ", "compare every file with the manifest that the ledger noted"),
        python("backup.judge", "--root", to, "--stage", found.stage(set), "--manifest", copy.manifest),
        keep=True,
        timeout=21600.0,
    )
    title = say("khôi phục bộ {n} vào {t}", "restore set {n} into {t}", n=set, t=to)
    return Plan(title, (bring, compare), (Proof("backup.contents", (set,)),))
