"""Does the newest copy of each set hold what it should?"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any

from backup.blind import blind
from backup.compare import Comparison, lossy, microseconds
from backup.compare import listed as by_listing
from backup.copies import copies
from backup.restic import Repository, Snapshot, repository_of
from backup.stage import MANIFEST, stage_of
from backup.trouble import ResticTrouble
from ops import Context, Finding, Site, Text, Verdict, check, hours, say

Entries = dict[str, tuple[str, int, int]]


@check("backup.contents", every=hours(24), clauses=["TN-10.1.d.proc"], timeout=3600.0)
def contents(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the newest copy of each set hold every path that was asked for, with the files of its manifest?

    Reads the copy back: listing and manifest come out of the repository, not from what the run said of itself.
    One subject for each set.
    """
    repository = repository_of(ctx)
    for name in ctx.subjects or sorted(ctx.settings.set):
        if name not in ctx.settings.set:
            continue
        try:
            yield _look(site, ctx, repository, name)
        except ResticTrouble as trouble:
            yield blind(site, ctx, name, trouble)


def _look(site: Site, ctx: Context, repository: Repository, name: str) -> Finding:
    again = f"gaccong plan backup.run set={name} --site {site.id}"
    listed = repository.snapshots(ctx, "gaccong", f"set={name}", f"site={site.id}")
    found = [one for one in listed if not one.stream]
    if not found:
        return Finding(name, Verdict.BROKEN, say("bộ {n}: kho chưa có bản sao nào",
                                                 "set {n}: the repository holds no copy", n=name), next=again)
    newest = found[-1]
    stage = newest.stage(name)
    entries = _entries(ctx, repository, newest)
    manifest = f"{stage}/{MANIFEST}"
    if not stage or manifest not in entries:
        return Finding(name, Verdict.BROKEN, say("bộ {n}: bản sao {s} không có danh mục tệp",
                                                 "set {n}: copy {s} holds no manifest", n=name, s=newest.id[:8]),
                       facts={"snapshot": newest.id}, next=again)
    seen = Comparison(stage)
    judge = by_listing(entries)
    repository.dump(ctx, newest.id, manifest, lambda line: seen.line(line, judge))
    faults = [*_faults(ctx, name, seen, entries, stage), *_not_ours(site, ctx, name, newest, seen)]
    return _finding(name, newest, seen, faults, again)


def _entries(ctx: Context, repository: Repository, snapshot: Snapshot) -> Entries:
    entries: Entries = {}

    def each(entry: dict[str, Any]) -> None:
        entries[entry["path"]] = (entry["type"], entry.get("size", 0), microseconds(entry["mtime"]))

    repository.listing(ctx, snapshot.id, each)
    return entries


def _faults(ctx: Context, name: str, seen: Comparison, entries: Entries, stage: str) -> Iterator[Text]:
    """What makes the copy less than what was asked for."""
    chosen = ctx.settings.set[name]
    asked = [*map(str, chosen.live()), *(f"{stage}/{staged}" for staged in chosen.staged())]
    absent = [path for path in asked if lossy(path.encode()) not in entries]
    head = seen.header
    missing = dict.fromkeys([*absent, *head.get("missing", ())])
    if missing:
        yield say("thiếu {p}", "missing: {p}", p=", ".join(missing))
    if head.get("symlinks"):
        yield say("chỉ là liên kết, không có nội dung: {p}", "only a symbolic link, without its content: {p}",
                  p=", ".join(head["symlinks"]))
    if head.get("empty"):
        yield say("rỗng: {p} (ổ đĩa chưa gắn?)", "empty: {p} (a disk not mounted?)", p=", ".join(head["empty"]))
    for trouble in head.get("troubles", ()):
        yield say("nguồn có lỗi: {t}", "a source had trouble: {t}", t=trouble)
    if seen.count("unreadable"):
        yield say("{n} tệp không đọc được, ví dụ {p}", "{n} files could not be read, for example {p}",
                  n=seen.count("unreadable"), p=seen.names["unreadable"][0])
    if seen.count("lost"):
        yield say("{n} tệp không vào bản sao, ví dụ {p}", "{n} files did not get into the copy, for example {p}",
                  n=seen.count("lost"), p=seen.names["lost"][0])
    if seen.hollow is not None:
        yield seen.hollow
    if seen.files == 0:
        yield say("bản sao không có tệp nào", "the copy holds no file")
    if not seen.whole:
        yield say("danh mục tệp không đầy đủ", "the manifest is not whole")


def _not_ours(site: Site, ctx: Context, name: str, newest: Snapshot, seen: Comparison) -> Iterator[Text]:
    """The manifest must be the one that the run noted: in the ledger, or, right after the run, in the stage."""
    known = next((copy for copy in copies(site, ctx) if copy.is_(newest)), None)
    staged = stage_of(ctx.home, name) / MANIFEST
    here = _digest(staged) if staged.is_file() else ""
    if known is not None and known.manifest != seen.manifest:
        yield say("danh mục tệp khác với danh mục ghi trong sổ bằng chứng {e}",
                  "the manifest is not the one noted in evidence {e}", e=known.evidence)
    if seen.manifest != here and (known is None or ctx.subjects):
        yield say("bản sao mới nhất không do lần chạy này tạo ra", "the newest copy was not made by this run")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _finding(name: str, newest: Snapshot, seen: Comparison, faults: list[Text], again: str) -> Finding:
    measures = {"files": seen.files, "bytes": seen.bytes, "moving_files": seen.count("moving"), "gone_files": seen.count("gone"), "right_files": seen.right,
                "lost_files": seen.count("lost"), "unreadable_files": seen.count("unreadable"),
                "newest_timestamp_seconds": newest.time.timestamp()}
    facts = {"snapshot": newest.id, "manifest": seen.manifest, "asked": seen.header.get("asked", []), **seen.names}
    if faults:
        vi, en = "; ".join(fault.vi for fault in faults), "; ".join(fault.en for fault in faults)
        text = say("bộ {n}, bản sao {s}: {vi_}", "set {n}, copy {s}: {en_}", n=name, s=newest.id[:8], vi_=vi, en_=en)
        return Finding(name, Verdict.BROKEN, text, measures, facts, again)
    unlike = seen.files - seen.right
    if unlike:
        text = say("bộ {n}: bản sao {s} có {r} trên {f} tệp đúng như danh mục; {u} tệp đã đổi hoặc mất trong lúc chép",
                   "set {n}: copy {s} holds {r} of {f} files as its manifest has them; {u} changed or went while copied",
                   n=name, s=newest.id[:8], r=seen.right, f=seen.files, u=unlike)
    else:
        text = say("bộ {n}: bản sao {s} đủ {f} tệp theo danh mục", "set {n}: copy {s} holds all {f} files of its manifest",
                   n=name, s=newest.id[:8], f=seen.files)
    return Finding(name, Verdict.MET, text, measures, facts)
