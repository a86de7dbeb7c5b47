"""Can each set be restored from its newest proved copy, whole or by sample, databases loaded, and how fast?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from backup.blind import blind
from backup.compare import ELSEWHERE, Comparison, compare, restored
from backup.copies import Copy, proved, standing
from backup.hold import remove
from backup.manifest import Entry
from backup.objects import objects_of
from backup.pour import pour_of
from backup.restic import Repository, Snapshot, escaped, repository_of
from backup.sample import Sample, choose
from backup.source import Restored
from backup.stage import MANIFEST
from backup.trouble import trouble_of
from ops import CannotSee, Context, Finding, Site, State, Text, Verdict, check, days, local_day, say

if TYPE_CHECKING:
    from backup.source import BaseSource

_SECONDS = 21600.0
WHOLE = 64
"""Letters of a snapshot's full id; restic before 0.15 told eight."""
_SPARE = 256 << 20
_WINDOW = timedelta(days=7)
_DATABASES = ("sqlite", "mariadb", "postgresql", "wordpress")


@dataclass
class Drill:
    """One drill of one set: what is restored where, and what was seen.

    root stands for "/"; sample is None when everything is restored; loaded: what each source with data of its own is
    called, with the rows that it counted; restoring, loading: seconds.
    """

    name: str
    copy: Copy
    snapshot: Snapshot
    root: Path
    sample: Sample | None = None
    faults: list[Text] = field(default_factory=list)
    more: dict[str, float] = field(default_factory=dict)
    loaded: list[Text] = field(default_factory=list)
    restoring: float = 0.0
    loading: float = 0.0

    @property
    def held(self) -> str:
        """The stage folder as the copy has it, "" when it is not in the copy."""
        return self.snapshot.stage(self.name)

    @property
    def stage(self) -> Path:
        """The restored stage folder."""
        return self.root / self.held.lstrip("/")


@check("backup.drill", every=days(7), clauses=["TN-10.1.c", "TN-10.1.d.rto", "TN-10.1.b.dr"], timeout=_SECONDS + 1800)
def drill(site: Site, ctx: Context) -> Iterator[Finding]:
    """Can each set be restored from its newest proved copy, and how long does it take?

    Restores into the scratch folder (all of it, or a sample with the newest changes: key `drill`), compares every byte
    with the manifest, loads every database and counts again. Where the settings ask for fewer drills than one a week, a
    look in between repeats the last result with its date.
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
    known = [copy for copy in proved(site, ctx) if copy.set == name]
    pairs = _pairs(site, ctx, repository, known)
    again = f"gaccong plan backup.run set={name} --site {site.id}"
    if not pairs:
        verdict = Verdict.BROKEN if known else Verdict.UNSEEN
        return Finding(name, verdict, say("bộ {n}: không có bản sao đã chứng minh nào để diễn tập",
                                          "set {n}: there is no proved copy to drill with", n=name), next=again)
    copy, snapshot = pairs[-1]
    root = ctx.scratch() / name
    one = Drill(name, copy, snapshot, root)
    one.more["rpo_seconds"] = rpo([copy.started for copy, _ in pairs], ctx.now)
    try:
        root.mkdir(mode=0o700)
        if ctx.settings.drill == "sample":
            _restore_sample(ctx, repository, one)
        else:
            _refuse_full(root.parent, copy.bytes)
            _restore(ctx, repository, one)
        seen = _compare(one)
        _load(ctx, repository, one)
        return _finding(site, ctx, repository, one, seen)
    finally:
        _clear(root)


def _pairs(site: Site, ctx: Context, repository: Repository, known: list[Copy]) -> list[tuple[Copy, Snapshot]]:
    """The copies that stand, with their snapshots. By the names of the objects where they can be reached, for to list
    snapshots is to open the repository once more; a copy restored from there still has to hold the noted manifest.
    """
    objects = objects_of(ctx, repository)
    if objects is not None and known and all(len(copy.snapshot) == WHOLE and _staged(copy) for copy in known):
        try:
            there = objects.names("snapshots")
        except OSError as error:
            ctx.log.info("asking restic for the snapshots: %s", error)
        else:
            return [(copy, Snapshot(copy.snapshot, copy.started, site.id, (), (_staged(copy),))) for copy in known
                    if f"snapshots/{copy.snapshot}" in there]
    tags = ("gaccong", f"site={site.id}")
    return standing(known, [found for found in repository.snapshots(ctx, *tags) if not found.stream])


def _staged(copy: Copy) -> str:
    """The stage folder as the copy's own run told it; "" when it did not."""
    end = f"/stage/{copy.set}/{MANIFEST}"
    told = (str(answer.get("path", "")) for answer in copy.answers if "manifest" in answer)
    return next((path.removesuffix(f"/{MANIFEST}") for path in told if path.endswith(end)), "")


def rpo(times: list[datetime], now: datetime) -> float:
    """Seconds of work that could have been lost at most: the longest time without a copy in the last 7 days."""
    start = now - _WINDOW
    before = [time for time in times if time <= start][-1:]
    marks = [*before, *(time for time in times if time > start), now]
    return max((later - earlier).total_seconds() for earlier, later in zip(marks, marks[1:], strict=False))


def _restore_sample(ctx: Context, repository: Repository, one: Drill) -> None:
    """The stage first, for the manifest in it tells what there is; then what was chosen."""
    if not one.held:
        return  # nothing tells what there is: `_compare` says so
    _restore(ctx, repository, one, "--include", escaped(one.held))
    chosen = ctx.settings.set[one.name]
    one.sample = choose(one.stage / MANIFEST, one.held, f"{one.snapshot.id} {ctx.now.isoformat()}", chosen.live())
    _refuse_full(one.root.parent, one.sample.size)
    needed = [word for source in chosen.source for pattern in source.needed() for word in ("--include", pattern)]
    patterns = [*one.sample.patterns(), *needed]
    if patterns:
        _restore(ctx, repository, one, *patterns)


def _restore(ctx: Context, repository: Repository, one: Drill, *patterns: str) -> None:
    started = monotonic()
    result = repository.run(ctx, "restore", one.snapshot.id, "--target", str(one.root), *patterns, "--no-lock",
                            timeout=_SECONDS)
    one.restoring += monotonic() - started
    if result.code and trouble_of(result, repository.at).kind not in ("damaged", "unknown"):
        raise trouble_of(result, repository.at)
    if result.code:
        said = result.trouble.splitlines()
        one.faults.append(say("restic báo lỗi: {s}", "restic said: {s}", s=said[-1] if said else result.code))


def _clear(root: Path) -> None:
    held = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove(held, root.name)  # a tree of any depth: shutil would stop at a thousand nested folders
    finally:
        os.close(held)


def _refuse_full(folder: Path, size: int) -> None:
    free, needed = shutil.disk_usage(folder).free, size + _SPARE
    if free < needed:
        raise CannotSee(
            say("không đủ chỗ để diễn tập: cần {n} MiB, còn {f} MiB", "no room for a drill: {n} MiB needed, {f} MiB free",
                n=needed >> 20, f=free >> 20),
            say("giải phóng chỗ ở {p}, hoặc đặt `state` sang ổ đĩa khác, hoặc drill = \"sample\"",
                "free room at {p}, or put `state` on another disk, or drill = \"sample\"", p=folder))


def _compare(one: Drill) -> Comparison:
    """Every restored byte against the manifest; in a sample, what was chosen and whatever else came along."""
    seen = Comparison(one.held)
    whole, base, sample = restored(one.root), os.fsencode(one.root), one.sample

    def judge(path: bytes, entry: Entry) -> str:
        chosen = sample is None or path in sample.files or os.path.lexists(base + path)
        return whole(path, entry) if chosen else ELSEWHERE

    manifest = one.stage / MANIFEST
    if not one.held or not manifest.is_file():
        one.faults.append(say("không có danh mục tệp trong bản khôi phục", "there is no manifest in the restored copy"))
        return seen
    try:
        compare(seen, manifest, judge)
    except (ValueError, KeyError, TypeError):
        one.faults.append(say("không đọc hiểu được danh mục tệp", "the manifest cannot be understood"))
        return seen
    one.faults += _compared(seen, one.copy)
    return seen


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


def _load(ctx: Context, repository: Repository, one: Drill) -> None:
    """Each source examines what came back: a database is loaded and counts again."""
    pour = pour_of(ctx, repository, one.copy, one.stage)
    for number, source in enumerate(ctx.settings.set[one.name].source):
        place = one.root.parent / f"s{number}"  # short: a server's socket must fit into 108 letters
        place.mkdir(mode=0o700)
        rows, took, started = one.more.get("rows", 0.0), one.more.get("load_seconds", 0.0), monotonic()
        try:
            one.faults += source.examine(Restored(one.root, one.stage, place, pour, one.more))
        finally:
            _clear(place)
        if source.kind in _DATABASES or source.streams():
            counted = one.more.get("load_seconds", 0.0) - took
            one.loading += counted or monotonic() - started
            one.loaded.append(_called(source, int(one.more.get("rows", 0.0) - rows)))
        if source.kind == "wordpress":
            one.loaded.append(say("trang chủ WordPress mở được", "the WordPress front page opened"))


def _called(source: BaseSource, rows: int) -> Text:
    name = getattr(source, "name", source.kind)
    what = ("cơ sở dữ liệu", "database") if source.kind in _DATABASES else ("dữ liệu", "data")
    if not rows:
        return say("{vi} {n}", "{en} {n}", vi=what[0], en=what[1], n=name)
    return say("{vi} {n} ({r} dòng)", "{en} {n} ({r} rows)", vi=what[0], en=what[1], n=name, r=grouped(rows))


def grouped(number: int) -> str:
    """1204 -> "1 204", as people read it."""
    return f"{number:,}".replace(",", " ")


def _finding(site: Site, ctx: Context, repository: Repository, one: Drill, seen: Comparison) -> Finding:
    rto = one.restoring + one.loading
    compared = seen.files - seen.elsewhere
    unlike = compared - seen.right
    measures = {"rows": 0.0, **one.more, "seconds": one.restoring, "rto_seconds": rto, "restored_bytes": seen.compared_bytes,
                "files": seen.right, "all_files": seen.files, "bytes": seen.bytes, "wrong_files": seen.count("wrong"),
                "lost_files": seen.count("lost"), "moving_files": seen.count("moving"),
                "gone_files": seen.count("gone"), "unlike_files": unlike,
                "drilled_timestamp_seconds": ctx.now.timestamp()}
    facts = {"snapshot": one.snapshot.id, "manifest": seen.manifest, "evidence": one.copy.evidence,
             "drill": "all" if one.sample is None else "sample", **seen.names}
    if one.faults:
        vi, en = "; ".join(fault.vi for fault in one.faults), "; ".join(fault.en for fault in one.faults)
        text = say("diễn tập khôi phục bộ {n} không đạt: {vi_}", "the drill of set {n} failed: {en_}", n=one.name, vi_=vi,
                   en_=en)
        return Finding(one.name, Verdict.BROKEN, text, measures, facts, f"gaccong look backup.integrity --site {site.id}")
    if one.sample is None and repository.local is not None:
        measures["whole_restore_timestamp_seconds"] = ctx.now.timestamp()  # every live pack of this copy was read
    return Finding(one.name, Verdict.MET, _met(one, seen, unlike, rto), measures, facts)


def _met(one: Drill, seen: Comparison, unlike: int, rto: float) -> Text:
    compared = seen.files - seen.elsewhere
    data = Text("".join(f", {text.vi}" for text in one.loaded), "".join(f", {text.en}" for text in one.loaded))
    done = {"n": one.name, "f": grouped(seen.right), "s": f"{rto:.1f}" if rto < 10 else f"{rto:.0f}",
            "id": one.snapshot.id[:8], "u": grouped(unlike), "t": grouped(compared), "all": grouped(seen.files),
            "vi_": data.vi, "en_": data.en}
    moved = say("; {u} tệp không so được vì đã đổi hoặc mất trong lúc chép",
                "; {u} could not be compared, for they changed or went while copied", **done) if unlike else Text("", "")
    if one.sample is not None:
        text = say("bộ {n}: khôi phục thử {f} trên {all} tệp, đúng từng byte{vi_}, trong {s} giây (bản sao {id})",
                   "set {n}: a sample of {f} of {all} files restored, right to the byte{en_}, in {s} seconds (copy {id})",
                   **done)
    elif unlike:
        text = say("bộ {n}: khôi phục {f} trên {t} tệp, đúng từng byte{vi_}, trong {s} giây (bản sao {id})",
                   "set {n}: {f} of {t} files restored, right to the byte{en_}, in {s} seconds (copy {id})", **done)
    else:
        text = say("bộ {n}: khôi phục đủ {f} tệp, đúng từng byte{vi_}, trong {s} giây (bản sao {id})",
                   "set {n}: all {f} files restored, right to the byte{en_}, in {s} seconds (copy {id})", **done)
    return Text(text.vi + moved.vi, text.en + moved.en)
