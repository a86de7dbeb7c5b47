"""Does the newest copy of each set hold what it should?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path

from backup.blind import blind
from backup.compare import Comparison, microseconds
from backup.copies import Copy, copies
from backup.listing import Listing, read
from backup.objects import objects_of
from backup.restic import Repository, repository_of
from backup.source import read_note
from backup.stage import MANIFEST, stage_of
from backup.trouble import ResticTrouble, trouble_of
from ops import Context, Finding, Site, Text, Verdict, check, hours, say

_SECONDS = 1800.0
_DAY = 86_400_000_000


@dataclass
class Look:
    """One set's newest copy. copy: what the ledger knows of this snapshot; known: of all the set's copies.

    stage: the stage folder as the copy has it. seen: the manifest compared with the listing. garbled: a line of it
    could not be understood.
    """

    name: str
    listing: Listing
    stage: str
    copy: Copy | None
    known: list[Copy]
    seen: Comparison = field(default_factory=Comparison)
    garbled: bool = False

    def line(self, text: bytes) -> None:
        """Takes one line of the manifest."""
        try:
            self.seen.line(text.decode("ascii", "backslashreplace"), self.listing.judge)
        except (ValueError, KeyError, TypeError):
            self.garbled = True

    @property
    def manifest(self) -> str:
        """The manifest's path in the copy."""
        return f"{self.stage}/{MANIFEST}"

    @property
    def short(self) -> str:
        """The snapshot's id as people write it."""
        return self.listing.id[:8]


@check("backup.contents", every=hours(24), clauses=["TN-10.1.d.proc"], timeout=3600.0)
def contents(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the newest copy of each set hold every path that was asked for, with the files of its manifest?

    Reads the copy's listing back out of the repository, with one opening of it: the manifest is taken from the stage
    where that is the very one in the copy, else out of the copy as well. One subject for each set.
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
    listing = _newest(site, ctx, repository, name)
    if not listing.id:
        return Finding(name, Verdict.BROKEN, say("bộ {n}: kho chưa có bản sao nào",
                                                 "set {n}: the repository holds no copy", n=name), next=again)
    stage = next((path for path in listing.head.get("paths") or () if path.endswith(f"/stage/{name}")), "")
    known = [copy for copy in copies(site, ctx) if copy.set == name and copy.repository in (repository.at, "")]
    mine = next((copy for copy in known if listing.id.startswith(copy.snapshot)), None)
    one = Look(name, listing, stage, mine, known, Comparison(stage))
    if not stage or one.manifest not in listing.kept:
        return Finding(name, Verdict.BROKEN, say("bộ {n}: bản sao {s} không có danh mục tệp",
                                                 "set {n}: copy {s} holds no manifest", n=name, s=one.short),
                       facts={"snapshot": listing.id}, next=again)
    _compare(ctx, repository, one)
    faults = [*_faults(ctx, one), *_not_ours(ctx, one), *_streams(ctx, repository, one)]
    return _finding(one, faults, again)


def _newest(site: Site, ctx: Context, repository: Repository, name: str) -> Listing:
    """The newest main snapshot of the set. Dumps lie in snapshots of their own, which do not have the stage's path.

    A copy that was made when the site's home lay elsewhere is looked for in the list: one more opening.
    """
    tags, end = ("gaccong", f"set={name}", f"site={site.id}"), f"/stage/{name}/{MANIFEST}"

    def wanted(path: str) -> bool:
        return path.endswith(end)

    stage = str(stage_of(ctx.home, name))
    listing = read(ctx, repository, "latest", "--tag", ",".join(tags), "--path", stage, keep=wanted)
    bound = _latest_possible(stage_of(ctx.home, name) / MANIFEST)
    if listing.id and _time(listing) <= bound:
        return listing
    found = [snapshot for snapshot in repository.snapshots(ctx, *tags) if not snapshot.stream]
    found = [one for one in found if one.time.timestamp() * 1e6 <= bound] or found
    return read(ctx, repository, found[-1].id, keep=wanted) if found else listing


def _time(listing: Listing) -> int:
    return microseconds(str(listing.head.get("time", "1970-01-01T00:00:00Z")))


def _latest_possible(staged: Path) -> float:
    """No copy of this machine's can be later than its newest manifest by more than a day: one that says so was planted,
    or made under a wrong clock, and must not stand before the true ones for ever. Microseconds since 1970.
    """
    try:
        return staged.stat().st_mtime_ns / 1000 + _DAY
    except OSError:
        return float("inf")


def _compare(ctx: Context, repository: Repository, one: Look) -> None:
    """Compares with the manifest in the stage if it is the copy's (hash noted, or size and time equal), else dumps it."""
    staged = stage_of(ctx.home, one.name) / MANIFEST
    if _is_copied(staged, one):
        with staged.open("rb") as stream:
            for line in stream:
                one.line(line.removesuffix(b"\n"))
        return
    rest = b""

    def take(chunk: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            one.line(line)

    result = repository.run(ctx, "dump", one.listing.id, one.manifest, "--no-lock", timeout=_SECONDS, sink=take)
    if result.code != 0:
        raise trouble_of(result, repository.at)


def _is_copied(staged: Path, one: Look) -> bool:
    """Whether the stage's manifest is the one in the copy."""
    try:
        status = staged.stat()
    except OSError:
        return False
    if one.copy is not None:
        return _digest(staged) == one.copy.manifest
    body = one.listing.kept[one.manifest]
    return (body.get("size", 0), microseconds(body["mtime"])) == (status.st_size, status.st_mtime_ns // 1000)


def _faults(ctx: Context, one: Look) -> Iterator[Text]:
    """What makes the copy less than what was asked for."""
    chosen, seen = ctx.settings.set[one.name], one.seen
    asked = [*map(str, chosen.live()), *(f"{one.stage}/{staged}" for staged in chosen.staged())]
    absent = [path for path in asked if not one.listing.holds(path)]
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
    if not seen.whole or one.garbled:
        yield say("danh mục tệp không đầy đủ", "the manifest is not whole")


def _not_ours(ctx: Context, one: Look) -> Iterator[Text]:
    """The manifest must be the one that the run noted: in the ledger, or, right after the run, in the stage."""
    staged, seen, copy = stage_of(ctx.home, one.name) / MANIFEST, one.seen, one.copy
    here = _digest(staged) if staged.is_file() else ""
    if copy is not None and copy.manifest != seen.manifest:
        yield say("danh mục tệp khác với danh mục ghi trong sổ bằng chứng {e}",
                  "the manifest is not the one noted in evidence {e}", e=copy.evidence)
    if seen.manifest != here and (copy is None or ctx.subjects):
        yield say("bản sao mới nhất không do lần chạy này tạo ra", "the newest copy was not made by this run")
    last = one.known[-1] if one.known else None
    if copy is not None and last is not None and last is not copy and last.proved:
        yield say("bản sao mới nhất trong sổ ({s}, {e}) không còn trong kho",
                  "the newest copy that the ledger knows ({s}, {e}) is not in the repository", s=last.snapshot[:8],
                  e=last.evidence)


def _streams(ctx: Context, repository: Repository, one: Look) -> Iterator[Text]:
    """Each dump that goes into a snapshot of its own must be there: as the ledger knows it, or, right after the run, as
    its note in the stage tells.
    """
    wanted = ctx.settings.set[one.name].streams()
    if not wanted:
        return
    told = dict(one.copy.streams) if one.copy is not None else {}
    if one.copy is None:
        for name in wanted:
            try:
                told[name] = str(read_note(stage_of(ctx.home, one.name) / f"{name}.note.json").get("snapshot_id", ""))
            except (OSError, ValueError):
                continue  # told as missing below, and by the manifest as the source's trouble
    there = _snapshots(ctx, repository) if any(told.values()) else set()
    for name in wanted:
        snapshot = told.get(name, "")
        if not snapshot:
            yield say("không có bản kết xuất {n}", "dump {n} was not made", n=name)
        elif snapshot not in there and not (len(snapshot) < 64 and any(one.startswith(snapshot) for one in there)):
            yield say("bản kết xuất {n} ({s}) không có trong kho", "dump {n} ({s}) is not in the repository", n=name,
                      s=snapshot[:8])


def _snapshots(ctx: Context, repository: Repository) -> set[str]:
    """The ids of all snapshots; from the names of the objects where they can be reached, else with one more opening."""
    objects = objects_of(ctx, repository)
    if objects is not None:
        try:
            return {name.partition("/")[2] for name in objects.names("snapshots")}
        except OSError as error:
            ctx.log.info("asking restic for the snapshots: %s", error)
    return {found.id for found in repository.snapshots(ctx, "gaccong")}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _finding(one: Look, faults: list[Text], again: str) -> Finding:
    seen, name, short = one.seen, one.name, one.short
    measures = {"files": seen.files, "bytes": seen.bytes, "moving_files": seen.count("moving"), "gone_files": seen.count("gone"), "right_files": seen.right,
                "lost_files": seen.count("lost"), "unreadable_files": seen.count("unreadable"),
                "newest_timestamp_seconds": microseconds(one.listing.head["time"]) / 1e6}
    facts = {"snapshot": one.listing.id, "manifest": seen.manifest, "asked": seen.header.get("asked", []), **seen.names}
    if faults:
        vi, en = "; ".join(fault.vi for fault in faults), "; ".join(fault.en for fault in faults)
        text = say("bộ {n}, bản sao {s}: {vi_}", "set {n}, copy {s}: {en_}", n=name, s=short, vi_=vi, en_=en)
        return Finding(name, Verdict.BROKEN, text, measures, facts, again)
    unlike = seen.files - seen.right
    if unlike:
        text = say("bộ {n}: bản sao {s} có {r} trên {f} tệp đúng như danh mục; {u} tệp đã đổi hoặc mất trong lúc chép",
                   "set {n}: copy {s} holds {r} of {f} files as its manifest has them; {u} changed or went while copied",
                   n=name, s=short, r=seen.right, f=seen.files, u=unlike)
    else:
        text = say("bộ {n}: bản sao {s} đủ {f} tệp theo danh mục", "set {n}: copy {s} holds all {f} files of its manifest",
                   n=name, s=short, f=seen.files)
    return Finding(name, Verdict.MET, text, measures, facts)
