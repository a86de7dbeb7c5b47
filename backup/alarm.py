"""Judges the figures that restic gives of each run: is this still the site's own life? Pure; with a test of itself.

One number is never enough: a template release changes many files, but they compress; a day of photos does not
compress, but changes nothing. Both together are what encryption looks like. `fires` puts made-up attacks through the very
same judge at every look: an alarm that cannot ring is worse than none.

Not seen: few files a day (the slow attack), sites of fewer than ten files, a change that still compresses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from backup.copies import Copy
from ops import Text, say

CHANGED = 0.25
"""Share of the former files that changed or went, from which on it is not a day's work."""
PACKED = 0.9
DOUBT = 0.6
"""Packed over added bytes, from which on what is new does not compress: photos, archives, or ciphertext."""
GONE = 0.2
USUAL = 0.6
"""A dump of SQL compresses to well below this; only where it always did is a jump a sign."""
SHORT = 0.7
FEWEST = 10
"""Fewer files than this say nothing: the stage's own notes change every night."""
LEAST_ADDED = 4096
"""Bytes added below which packing says nothing but its own overhead."""
ENTRY = 700
"""Bytes that restic adds for each new or changed file besides its content: names, times, hashes. They pack to half."""
LINE = 250
"""Bytes of a file's line in the manifest, which is written anew each night; half of it is hashes."""
HISTORY = 3
"""So many runs make a median."""


@dataclass(frozen=True, slots=True)
class Figures:
    """restic's summary of one snapshot. packed: None where restic (before 0.16) does not say. blobs: pieces of file data
    that were not in the repository yet.
    """

    new: int = 0
    changed: int = 0
    unmodified: int = 0
    total: int = 0
    bytes: int = 0
    added: int = 0
    packed: int | None = None
    blobs: int | None = None

    @property
    def density(self) -> float | None:
        """Packed over added bytes of content; None where unknown or too little was added to tell.

        What restic and the manifest note of the files themselves always compresses, and on a site of small pages would hide ciphertext: it
        is taken off, by estimate, but never more than half of all.
        """
        if self.packed is None or self.added < LEAST_ADDED:
            return None
        notes = min(ENTRY * (self.new + self.changed) + LINE * self.total, self.added / 2)
        return max(0.0, self.packed - notes / 2) / (self.added - notes)


@dataclass(frozen=True, slots=True)
class Since:
    """What became of the files of the manifest `before`, by their SHA-256, as the run's own manifest tells (`Before.told`).

    files: those of the manifest before. blobs: the most pieces of data that restic can store for what is new or changed.
    """

    before: str
    files: int = 0
    changed: int = 0
    gone: int = 0
    blobs: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a set: the figures of its main snapshot and of each dump, by name.

    manifest: the SHA-256 of its manifest. since: None in the lines of a gaccong that did not count yet.
    """

    evidence: str
    set: str
    started: datetime
    main: Figures
    dumps: Mapping[str, Figures] = field(default_factory=dict)
    files: int = -1
    manifest: str = ""
    since: Since | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """kind: encrypted, mass_change, lost, dump_encrypted, dump_short. certain: False where a figure is missing.

    changed: the share of the former files that changed or went. before: the run that it was compared with.
    """

    evidence: str
    set: str
    started: datetime
    kind: str
    says: Text
    certain: bool = True
    changed: float = 0.0
    before: str = ""


def figures(answer: Mapping[str, Any]) -> Figures:
    """The figures of a summary, or of what a dump's step told; a number that is left out is 0."""

    def number(name: str) -> int:
        value = answer.get(name)
        return int(value) if isinstance(value, int | float) else 0

    added = number("data_added")
    packed = number("data_added_packed") if "data_added_packed" in answer else None
    blobs = number("data_blobs") if "data_blobs" in answer else None
    return Figures(number("files_new"), number("files_changed"), number("files_unmodified"),
                   number("total_files_processed"), number("total_bytes_processed") or number("bytes"), added, packed, blobs)


def since_of(answer: Mapping[str, Any]) -> Since | None:
    """What the answer of a manifest's step tells; None in those of a gaccong that did not count yet."""
    told = answer.get("since")
    if not isinstance(told, Mapping):
        return None
    return Since(str(told.get("before", "")), *(int(told.get(name, 0)) for name in ("files", "changed", "gone", "blobs")))


def run_of(copy: Copy) -> Run:
    """A copy's figures."""
    main, dumps = Figures(), {}
    since = next((since_of(answer) for answer in copy.answers if "manifest" in answer), None)
    for answer in copy.answers:
        if answer.get("stream") and answer.get("snapshot_id"):
            dumps[str(answer["stream"])] = figures(answer)
        elif answer.get("snapshot_id"):
            main = figures(answer)
        elif answer.get("kind") == "sqlite" and not answer.get("trouble"):
            dumps[str(answer.get("name"))] = Figures(bytes=int(answer.get("bytes", 0)))
    return Run(copy.evidence, copy.set, copy.started, main, dumps, copy.files if copy.manifest else -1, copy.manifest, since)


def alarms(runs: Sequence[Run], cleared: Collection[str] = ()) -> list[Alarm]:
    """Every alarm in the runs of one set (oldest first), cleared or not. A suspicious run is learned only once cleared."""
    found: list[Alarm] = []
    learned: list[Run] = []
    before: Run | None = None
    for run in runs:
        mine = list(judge(run, before, learned))
        found += mine
        if not mine or run.evidence in cleared:
            learned.append(run)
        before = run
    return found


def judge(run: Run, before: Run | None, learned: Sequence[Run]) -> Iterator[Alarm]:
    """What is suspicious about a run. before: the run just before it, which restic compared with."""
    changed, gone = shares(run, before)
    common: dict[str, Any] = {"evidence": run.evidence, "set": run.set, "started": run.started, "changed": changed + gone,
              "before": before.evidence if before else ""}
    former = before.main.total if before else 0
    many = (changed + gone) * former >= FEWEST
    stored = before.main if before and _stored_before(run, before) else run.main
    known = stored is run.main and _known_already(run, before)
    density = None if known else stored.density
    if changed + gone >= CHANGED and many and (known or stored.added >= LEAST_ADDED):
        if density is None or DOUBT <= density < PACKED:
            # on a site of small pages restic's own notes blur the figure: a sample of the files themselves decides
            yield Alarm(kind="mass_change", says=_mass(changed + gone), certain=False, **common)
        elif density >= PACKED:
            yield Alarm(kind="encrypted", says=say(
                "{p} số tệp đổi hoặc mất, và dữ liệu mới không nén được ({d}): dấu hiệu bị mã hóa tống tiền",
                "{p} of the files changed or went, and what is new does not compress ({d}): the mark of ransomware",
                p=percent(changed + gone), d=f"{density:.2f}"), **common)
    if (gone >= GONE and (gone * former >= FEWEST or gone >= 0.5)) or run.main.total == 0 or run.files == 0:
        yield Alarm(kind="lost", says=say(
            "{g} số tệp của lần trước không còn ({n} tệp): nguồn bị xóa, hoặc ổ đĩa chưa gắn",
            "{g} of the former files are gone ({n} files left): a source emptied, or a disk not mounted",
            g=percent(gone), n=run.main.total), **common)
    for name, dump in sorted(run.dumps.items()):
        yield from _dump(name, dump, [one.dumps[name] for one in learned if name in one.dumps], common)


def shares(run: Run, before: Run | None) -> tuple[float, float]:
    """(changed, gone) as shares of the files of the run before; 0 where there was none.

    restic calls a file changed when its inode or ctime is another one, as after a restore in place. So how many changed
    is taken from the manifest, if it was compared with the very manifest that the ledger notes of the run before: by the
    files' SHA-256. Each piece of data that restic stored beyond what the manifest explains counts as one more changed
    file, as far as restic saw so many change: what was written between manifest and copy does not slip through, and a
    repository that is new, or was healed, rings for nothing. gone: whichever of the two tells more.
    """
    changed, gone = _by_restic(run, before)
    since = _counted(run, before)
    if since is None or run.main.blobs is None:
        return changed, gone
    unexplained = min(run.main.changed, max(0, run.main.blobs - since.blobs))
    return min(1.0, (since.changed + unexplained) / since.files), max(gone, since.gone / since.files)


def _counted(run: Run, before: Run | None) -> Since | None:
    """What the manifest counted, if it was compared with the very manifest that the ledger notes of the run before."""
    since = run.since
    known = before is not None and since is not None and before.manifest and since.before == before.manifest and since.files
    return since if known else None


def _stored_before(run: Run, before: Run) -> bool:
    """Whether what changed was stored by the run before already: it was written between that run's manifest and its copy.

    Then that run's density tells of it. A sparse file, or many that are alike, can explain more pieces to the manifest than
    restic stores, and so hide such a change in the night that it happens; in the night after restic sees nothing to store.
    """
    since = _counted(run, before)
    return since is not None and since.changed - run.main.changed - run.main.new >= CHANGED * since.files


def _known_already(run: Run, before: Run | None) -> bool:
    """Whether the repository held most of what changed: an interrupted run brought it, so this run's density says nothing."""
    since = _counted(run, before)
    return since is not None and run.main.blobs is not None and 2 * run.main.blobs < since.changed


def chained(run: Run, before: str, told: Mapping[str, Since]) -> Run:
    """The run with what changed since the manifest `before`, over the manifests of runs whose copy failed in between.

    told: what each manifest that the ledger notes told of the one before it, by SHA-256.
    """
    since = run.since
    for _ in told:
        earlier = told.get(since.before) if since is not None and since.before != before else None
        if since is None or earlier is None:
            break
        since = Since(earlier.before, earlier.files, min(earlier.files, earlier.changed + since.changed),
                      min(earlier.files, earlier.gone + since.gone), earlier.blobs + since.blobs)
    return replace(run, since=since) if since is not None and before and since.before == before else run


def _by_restic(run: Run, before: Run | None) -> tuple[float, float]:
    """Where restic found nothing to compare with (other paths, no parent named), only the fall of the total tells."""
    if before is None or before.main.total == 0:
        return 0.0, 0.0
    former = before.main.total
    if run.main.changed + run.main.unmodified == 0:
        return 0.0, max(0, former - run.main.total) / former
    return run.main.changed / former, max(0, former - run.main.changed - run.main.unmodified) / former


def _mass(share: float) -> Text:
    return say("{p} số tệp đổi hoặc mất; chưa rõ là thay giao diện hay bị mã hóa (độ nén không đủ để biết)",
               "{p} of the files changed or went; how well they compress does not tell whether they were rewritten or "
               "encrypted", p=percent(share))


def _dump(name: str, dump: Figures, former: Sequence[Figures], common: Mapping[str, Any]) -> Iterator[Alarm]:
    densities = [one.density for one in former if one.density is not None]
    sizes = [one.bytes for one in former if one.bytes]
    if dump.density is not None and dump.density >= PACKED and len(densities) >= HISTORY and median(densities) < USUAL:
        yield Alarm(kind="dump_encrypted", says=say(
            "bản kết xuất {n} bỗng không nén được ({d}; thường là {m}): dữ liệu trong đó đã bị mã hóa?",
            "dump {n} suddenly does not compress ({d}; usually {m}): was the data in it encrypted?",
            n=name, d=f"{dump.density:.2f}", m=f"{median(densities):.2f}"), **common)
    if len(sizes) >= HISTORY and dump.bytes < SHORT * median(sizes):
        yield Alarm(kind="dump_short", says=say(
            "bản kết xuất {n} chỉ còn {p} so với thường lệ ({b} byte): bị cắt cụt hoặc bị xóa dữ liệu",
            "dump {n} has only {p} of its usual size ({b} bytes): cut short, or data deleted",
            n=name, p=percent(dump.bytes / median(sizes)), b=dump.bytes), **common)


def percent(share: float) -> str:
    """0.58 -> 58%."""
    return f"{share * 100:.0f}%"


# ---------------------------------------------------------------------- the alarm's test of itself

_START = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = Figures(0, 13, 1987, 2000, 100_000_000, 2_000_000, 640_000)
_DUMP = Figures(0, 1, 0, 1, 20_000_000, 1_500_000, 450_000)
_TOUCHED = Figures(0, 2000, 0, 2000, 100_000_000, 1_400_000, None, 1)
"""Every file bears another inode and ctime (restored in place), seen by a restic that tells no packed size."""
_ATTACKS: Mapping[str, tuple[str, Figures, Figures, Since | None]] = {
    "in_place": ("encrypted", Figures(0, 1200, 800, 2000, 100_000_000, 60_000_000, 58_800_000), _DUMP, None),
    "renamed": ("encrypted", Figures(1200, 1, 799, 2000, 100_000_000, 60_000_000, 58_800_000), _DUMP, None),
    "unmounted": ("lost", Figures(0, 2, 0, 2, 10_000, 5_000, 350), _DUMP, None),
    "nothing": ("lost", Figures(), _DUMP, None),
    "dump_encrypted": ("dump_encrypted", _DAY, replace(_DUMP, added=20_000_000, packed=20_000_000), None),
    "dump_short": ("dump_short", _DAY, replace(_DUMP, bytes=3_000_000), None),
    "unknown": ("mass_change", Figures(0, 1200, 800, 2000, 100_000_000, 60_000_000, None), _DUMP, None),
    "counted": ("encrypted", Figures(0, 1200, 800, 2000, 100_000_000, 60_000_000, 58_800_000, 1201), _DUMP,
                Since("before", 2000, 1200, 0, 1201)),
    "no_parent": ("mass_change", Figures(2000, 0, 0, 2000, 100_000_000, 60_000_000, None, 1201), _DUMP,
                  Since("before", 2000, 1200, 0, 1201)),
    "after_manifest": ("mass_change", replace(_TOUCHED, added=60_000_000, blobs=1201), _DUMP, Since("before", 2000, blobs=1)),
    "other_manifest": ("mass_change", _TOUCHED, _DUMP, Since("forged", 2000, blobs=1)),
}
_QUIET: Mapping[str, tuple[Figures, Since | None]] = {
    "template": (Figures(0, 1200, 800, 2000, 100_000_000, 30_000_000, 15_000_000), None),
    "photos": (Figures(60, 0, 2000, 2060, 160_000_000, 60_000_000, 60_000_000), None),
    "chown": (Figures(0, 1950, 50, 2000, 100_000_000, 1_400_000, 714_000), None),
    "restored": (_TOUCHED, Since("before", 2000, blobs=1)),
    "stored_anew": (Figures(2000, 0, 0, 2000, 100_000_000, 100_000_000, 99_000_000, 2001), Since("before", 2000, blobs=1)),
}


def fires() -> list[str]:
    """The test: names of the made-up attacks that the judge passes over, and of the harmless days that it rings for."""
    wrong = [name for name, (kind, main, dump, since) in _ATTACKS.items() if kind not in _made_up(main, dump, since)]
    return wrong + [name for name, (main, since) in _QUIET.items() if _made_up(main, _DUMP, since)]


def _made_up(main: Figures, dump: Figures, since: Since | None) -> set[str]:
    """The kinds of alarm that a run with these figures raises after four usual days."""
    usual = [Run(f"test#{day}", "test", _START + timedelta(days=day), _DAY, {"db": _DUMP}, manifest="before")
             for day in range(4)]
    run = Run("test#9", "test", _START + timedelta(days=9), main, {"db": dump}, since=since)
    return {alarm.kind for alarm in alarms([*usual, run]) if alarm.evidence == run.evidence}
