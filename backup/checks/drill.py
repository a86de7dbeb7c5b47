"""Can each set be restored, whole, from its newest proved copy?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from backup.blind import blind
from backup.compare import Comparison, restored
from backup.copies import Copy, proved, standing
from backup.hold import remove
from backup.restic import Repository, Snapshot, repository_of
from backup.source import Restored
from backup.stage import MANIFEST
from backup.trouble import trouble_of
from ops import CannotSee, Context, Finding, Result, Site, State, Text, Verdict, check, days, local_day, say

_SECONDS = 21600.0
_SPARE = 256 << 20


@check("backup.drill", every=days(7), clauses=["TN-10.1.c", "TN-10.1.d.rto", "TN-10.1.b.dr"], timeout=_SECONDS + 1800)
def drill(site: Site, ctx: Context) -> Iterator[Finding]:
    """Can each set be restored whole from its newest proved copy, and how long does it take?

    Restores into the scratch folder, compares every byte with the manifest, opens every database and counts again.
    Where the settings ask for fewer drills than one a week, a look in between repeats the last result with its date.
    """
    repository = repository_of(ctx)
    for name in ctx.subjects or sorted(ctx.settings.set):
        if name not in ctx.settings.set:
            continue
        last = None if ctx.subjects else _still_good(site, ctx, name)
        if last is not None:
            yield last
            continue
        try:
            yield _drill(site, ctx, repository, name)
        except CannotSee as trouble:
            yield blind(site, ctx, name, trouble)


def _still_good(site: Site, ctx: Context, name: str) -> Finding | None:
    """The last real drill, if it went well and the settings do not ask for another yet."""
    rest = timedelta(days=ctx.settings.drill_every_days)
    if rest <= timedelta(days=7):
        return None
    state: State | None = next((one for one in ctx.view.states(site.id, "backup.drill") if one.subject == name), None)
    stamp = state.measures.get("drilled_timestamp_seconds") if state else None
    if state is None or stamp is None or state.verdict is not Verdict.MET:
        return None
    when = datetime.fromtimestamp(stamp, UTC)
    if ctx.now - when >= rest:
        return None
    text = say("bộ {n}: lần diễn tập gần nhất {d} đạt; lần tới sau {r} ngày",
               "set {n}: the latest drill, on {d}, went well; the next after {r} days", n=name, d=local_day(when),
               r=(when + rest - ctx.now).days)
    return Finding(name, Verdict.MET, text, state.measures)


def _drill(site: Site, ctx: Context, repository: Repository, name: str) -> Finding:
    tags = ("gaccong", f"set={name}", f"site={site.id}")
    known = [copy for copy in proved(site, ctx) if copy.set == name]
    pairs = standing(known, repository.snapshots(ctx, *tags))
    again = f"gaccong plan backup.run set={name} --site {site.id}"
    if not pairs:
        verdict = Verdict.BROKEN if known else Verdict.UNSEEN
        return Finding(name, verdict, say("bộ {n}: không có bản sao đã chứng minh nào để diễn tập",
                                          "set {n}: there is no proved copy to drill with", n=name), next=again)
    copy, snapshot = pairs[-1]
    root = ctx.scratch() / name
    _refuse_full(root.parent, copy)
    started = monotonic()
    try:
        root.mkdir(mode=0o700)
        result = repository.run(ctx, "restore", snapshot.id, "--target", str(root), "--no-lock", timeout=_SECONDS)
        took = monotonic() - started
        said = result.trouble if result.code else ""
        if result.code and trouble_of(result, repository.at).kind not in ("damaged", "unknown"):
            raise trouble_of(result, repository.at)
        return _judge(ctx, name, copy, snapshot, root, took, said)
    finally:
        _clear(root)


def _clear(root: Path) -> None:
    held = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove(held, root.name)  # a tree of any depth: shutil would stop at a thousand nested folders
    finally:
        os.close(held)


def _refuse_full(folder: Path, copy: Copy) -> None:
    free, needed = shutil.disk_usage(folder).free, copy.bytes + _SPARE
    if free < needed:
        raise CannotSee(
            say("không đủ chỗ để diễn tập: cần {n} MiB, còn {f} MiB", "no room for a drill: {n} MiB needed, {f} MiB free",
                n=needed >> 20, f=free >> 20),
            say("giải phóng chỗ ở {p}, hoặc đặt `state` sang ổ đĩa khác", "free room at {p}, or put `state` on another disk",
                p=folder))


def _judge(ctx: Context, name: str, copy: Copy, snapshot: Snapshot, root: Path, took: float, said: str) -> Finding:
    stage = root / snapshot.stage(name).lstrip("/")
    manifest = stage / MANIFEST
    seen = Comparison(snapshot.stage(name))
    judge = restored(root)
    faults: list[Text] = []
    more: dict[str, float] = {}
    if said:
        faults.append(say("restic báo lỗi: {s}", "restic said: {s}", s=said.splitlines()[-1]))
    if not snapshot.stage(name) or not manifest.is_file():
        faults.append(say("không có danh mục tệp trong bản khôi phục", "there is no manifest in the restored copy"))
    else:
        with manifest.open(encoding="ascii", newline="\n") as stream:
            for line in stream:
                seen.line(line.removesuffix("\n"), judge)
        faults += _compared(seen, copy)
    for source in ctx.settings.set[name].source:
        faults += source.examine(Restored(root, stage, root.parent, _no_pour, more))
    unlike = seen.files - seen.right
    measures = {**more, "seconds": took, "files": seen.right, "bytes": seen.bytes, "wrong_files": seen.count("wrong"),
                "lost_files": seen.count("lost"), "moving_files": seen.count("moving"),
                "gone_files": seen.count("gone"), "unlike_files": unlike,
                "drilled_timestamp_seconds": ctx.now.timestamp()}
    facts = {"snapshot": snapshot.id, "manifest": seen.manifest, "evidence": copy.evidence, **seen.names}
    if faults:
        vi, en = "; ".join(fault.vi for fault in faults), "; ".join(fault.en for fault in faults)
        text = say("diễn tập khôi phục bộ {n} không đạt: {vi_}", "the drill of set {n} failed: {en_}", n=name, vi_=vi,
                   en_=en)
        return Finding(name, Verdict.BROKEN, text, measures, facts, f"gaccong look backup.integrity --site {copy.evidence.partition('#')[0]}")
    done = {"n": name, "f": seen.right, "s": f"{took:.1f}", "id": snapshot.id[:8], "u": unlike, "t": seen.files}
    if unlike:
        text = say("bộ {n}: {f} trên {t} tệp khôi phục đúng từng byte trong {s} giây (bản sao {id}); {u} tệp không so được "
                   "vì đã đổi hoặc mất trong lúc chép",
                   "set {n}: {f} of {t} files restored, right to the byte, in {s} seconds (copy {id}); {u} could not be "
                   "compared, for they changed or went while copied", **done)
    else:
        text = say("bộ {n}: khôi phục đủ {f} tệp, đúng từng byte, trong {s} giây (bản sao {id})",
                   "set {n}: all {f} files restored, right to the byte, in {s} seconds (copy {id})", **done)
    return Finding(name, Verdict.MET, text, measures, facts)


def _no_pour(name: str, *_: object, **__: object) -> Result:
    raise CannotSee(say("chưa nạp được bản kết xuất {n}", "dump {n} cannot be loaded yet", n=name))


def _compared(seen: Comparison, copy: Copy) -> Iterator[Text]:
    if seen.manifest != copy.manifest:
        yield say("danh mục tệp khác với danh mục ghi trong sổ bằng chứng {e}",
                  "the manifest is not the one noted in evidence {e}", e=copy.evidence)
    if not seen.whole or not seen.files:
        yield say("danh mục tệp không đầy đủ", "the manifest is not whole")
    if seen.hollow is not None:
        yield seen.hollow
    for kind, vi, en in (("wrong", "sai nội dung", "wrong content"), ("lost", "không có", "absent")):
        if seen.count(kind):
            yield say("{n} tệp {what_vi}, ví dụ {p}", "{n} files: {what_en}, for example {p}", n=seen.count(kind),
                      what_vi=vi, what_en=en, p=seen.names[kind][0])
