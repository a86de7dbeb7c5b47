"""Looks at a repository without its key: are the objects there that must be, and are their bytes what they were?

Names and sizes against the inventory that the ledger vouches for, snapshots also against the copies that the ledger
knows, bytes against the names. No command of restic is run: nothing is opened, no lock is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from backup import inventory, reading
from backup.copies import Copy, proved
from backup.damage import Damage, kind_of
from backup.inventory import Inventory, Note
from backup.objects import CONFIG, Names, Objects, trouble
from backup.restic import Repository
from backup.scrub import Scrubbed, scrub
from ops import Context, Site, Text, Verdict, say

GIB = 1 << 30
ROTATION_SECONDS = 92 * 86400.0
_TRIES = 3


@dataclass
class Keyless:
    """What a look without the key saw. remarks: other things to tell, each with the verdict that it alone would give.

    share: of all bytes, those that were read within the last 92 days. busy: objects are missing, but a change of ours is
    at work on the repository just now.
    """

    damage: Damage = field(default_factory=Damage)
    remarks: list[tuple[Verdict, Text]] = field(default_factory=list)
    was: reading.Reading = field(default_factory=lambda: reading.Reading(0.0))
    done: Scrubbed = field(default_factory=Scrubbed)
    objects: int = 0
    share: float = 1.0
    busy: bool = False


def look(site: Site, ctx: Context, repository: Repository, objects: Objects, *, proof: bool = False,
         meanwhile: Callable[[], object] = lambda: None, seconds: float = 21600.0) -> Keyless:
    """Compares names, reads what is due (as a proof only what is new), and keeps what was read. Raises ResticTrouble.

    meanwhile: called once names and sizes are known to be right, before the reading. seconds: the reading ends after them.
    """
    seen = Keyless()
    try:
        kept, there, missing, resized = _named(site, ctx, repository, objects, seen)
        if not missing and not resized:
            meanwhile()
        _read(ctx, repository, objects, there, resized, kept.config if kept else "", seen, proof, seconds)
    except OSError as error:
        raise trouble(error, repository.at) from None
    seen.damage = _damage(kept, missing, resized, seen.done)
    seen.objects = len(there)
    seen.busy = bool(missing) and not seen.damage.bad and not proof and _at_work(site, ctx)
    return seen


def examine(site: Site, ctx: Context, repository: Repository, objects: Objects, *, everything: bool) -> Damage:
    """The damage for a plan that heals it; keeps nothing. Without `everything` packs are read only where damage is
    known from an earlier look, or where they were never read. Raises ResticTrouble.
    """
    try:
        kept, there, missing, resized = _named(site, ctx, repository, objects, Keyless())
        path = reading.path_of(ctx.home, repository.at)
        was, known = reading.load(path, ctx.now), reading.load_known(reading.known_of(path))
        chosen = {name for name in there if everything or kind_of(name) != "data" or name not in known or name in was.bad}
        return _damage(kept, missing, resized, scrub(objects, chosen, kept.config if kept else "", sizes=there))
    except OSError as error:
        raise trouble(error, repository.at) from None


def _named(site: Site, ctx: Context, repository: Repository, objects: Objects,
           seen: Keyless) -> tuple[Inventory | None, Names, set[str], set[str]]:
    """(inventory, what is there, missing, resized). The ledger is read first: what it notes later is not held against us."""
    noted, known = inventory.notes(site, ctx, repository.at), proved(site, ctx)
    kept, there = _listed(ctx, repository, objects)
    missing, resized = _against(kept, there)
    told = set(there) | ({*kept.expected, *(f"snapshots/{name}" for name in kept.removed)} if kept else set())
    missing |= set(_unlisted(known, noted, told, repository.at))
    seen.remarks += _doubts(kept, noted)
    return kept, there, missing, resized


def _damage(kept: Inventory | None, missing: set[str], resized: set[str], done: Scrubbed) -> Damage:
    expected = kept.expected if kept else {}
    gone = {name for name in done.gone if name in expected or name == CONFIG}
    return Damage(tuple(sorted(missing | gone)), tuple(sorted({*resized, *done.bad})))


def _listed(ctx: Context, repository: Repository, objects: Objects) -> tuple[Inventory | None, Names]:
    """Inventory first, then names: a copy that ends in between adds names. A removal in between is read again."""
    path = inventory.path_of(ctx.home, repository.at)
    for _ in range(_TRIES):
        kept = inventory.load(path)
        there = objects.names()
        if kept is None or kept.expected.keys() <= there.keys() or inventory.load(path) == kept:
            break
    return kept, there


def _against(kept: Inventory | None, there: Names) -> tuple[set[str], set[str]]:
    """(missing, of another size than noted)."""
    if kept is None:
        return set(), set()
    expected = kept.expected
    resized = {name for name, size in expected.items() if name in there and -1 not in (size, there[name])
               and there[name] != size}
    return expected.keys() - there.keys(), resized


def _unlisted(known: list[Copy], noted: list[Note], told: Collection[str], at: str) -> Iterator[str]:
    """Snapshots of proved copies that are neither there nor in the inventory (`told`), though no change of ours took them
    away. A second line: it holds even when the inventory was lost. Copies from before the first one are not asked for.
    """
    if not noted:
        return
    names = {name.partition("/")[2] for name in told if kind_of(name) == "snapshots"}
    fine = {*names, *(name for note in noted for name in note.removed)}
    short = {name[:8] for name in fine}
    for copy in known:
        if copy.repository == at and (copy.started >= noted[0].time or copy.evidence == noted[0].evidence):
            for one in (copy.snapshot, *copy.streams.values()):
                if one not in fine and not (len(one) < 64 and one[:8] in short):
                    yield f"snapshots/{one}"


def _doubts(kept: Inventory | None, noted: list[Note]) -> Iterator[tuple[Verdict, Text]]:
    """The inventory must be the file that the ledger noted last, or one written after it."""
    if not noted:
        return
    last = noted[-1]
    if kept is None:
        yield Verdict.AT_RISK, say(
            "danh mục kho (ghi ở {e}) đã mất: đồ bị xóa khỏi kho có thể không bị phát hiện; lần sao lưu tới lập lại",
            "the inventory noted in {e} is lost, so what was deleted may go unseen; the next copy makes a new one",
            e=last.evidence)
    elif not kept.follows(last.sha256):
        yield Verdict.BROKEN, say(
            "danh mục kho không phải bản ghi ở bằng chứng {e}: đã bị thay hoặc đưa về bản cũ",
            "the inventory is not the one noted in evidence {e}: exchanged, or put back to an old state", e=last.evidence)
    elif not last.previous and len(noted) > 1:
        yield Verdict.AT_RISK, say(
            "danh mục kho phải lập lại từ đầu ở {e}; đồ mất trước đó có thể không bị phát hiện",
            "the inventory was begun anew in {e}; what was lost before may go unseen", e=last.evidence)


def _read(ctx: Context, repository: Repository, objects: Objects, there: Names, resized: set[str], config: str,
          seen: Keyless, proof: bool, seconds: float) -> None:
    """Scrubs what is due and keeps what was read."""
    path = reading.path_of(ctx.home, repository.at)
    was = reading.load(path, ctx.now)
    known = reading.load_known(reading.known_of(path)) & there.keys()
    budget = ctx.settings.read_gib_per_look * GIB
    chosen = _chosen(was, known, there, budget, proof)
    seen.done = scrub(objects, chosen, config, sizes=there, seconds=seconds)
    known = (known | seen.done.right & there.keys()) - set(seen.done.bad)
    read = seen.done.right | set(seen.done.bad)
    unread = {_class(name) for name in there if kind_of(name) == "data" and name not in read}
    bad = tuple(sorted({*resized, *seen.done.bad}))
    was = replace(was.having(set(range(reading.CLASSES)) - unread, ctx.now), bad=bad)
    reading.keep(path, was)
    reading.keep_known(reading.known_of(path), known)
    seen.was, seen.share = was, _share(was, known, there, ctx.now.timestamp())


def _chosen(was: reading.Reading, known: set[str], there: Names, budget: float, proof: bool) -> set[str]:
    """Snapshots, keys, what was bad before and what was never read; in a daily look also indexes and the due classes."""
    chosen = {name for name in there if kind_of(name) in ("snapshots", "keys")} | (there.keys() & set(was.bad))
    packs = {name: size for name, size in there.items() if kind_of(name) == "data"}
    if not proof:
        sizes: Counter[int] = Counter()
        for name, size in packs.items():
            sizes[_class(name)] += max(0, size)
        due = was.due(sizes, budget)
        chosen |= {name for name in there if kind_of(name) == "index"} | {name for name in packs if _class(name) in due}
    left = budget - sum(max(0, packs.get(name, 0)) for name in chosen)
    for name in there.keys() - known - chosen:
        size = max(0, there[name])
        if size <= left or kind_of(name) == "index":
            chosen.add(name)
            left -= size
    return chosen


def _share(was: reading.Reading, known: set[str], there: Mapping[str, int], now: float) -> float:
    fresh = {byte for byte, stamp in enumerate(was.read) if stamp is not None and now - stamp <= ROTATION_SECONDS}
    total = sum(max(0, size) for size in there.values())
    sound = sum(max(0, size) for name, size in there.items()
                if name in known and (kind_of(name) != "data" or _class(name) in fresh))
    return sound / total if total else 1.0


def _class(name: str) -> int:
    """The class of a pack: the first byte of its name."""
    return int(name[5:7], 16)


def _at_work(site: Site, ctx: Context) -> bool:
    """Whether a change of backup's is being carried out: its intent is the newest and has no outcome yet."""
    begun = [line for line in ctx.view.evidence(site.id, kind="intent", newest=5) if line.duty.startswith("backup.")]
    if not begun:
        return False
    ended = ctx.view.evidence(site.id, kind="outcome", since=begun[-1].time)
    return not any(line.body.get("intent") == begun[-1].seq for line in ended)
