"""Is what the repository stores still what was stored?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from shlex import quote

from backup import reading
from backup.blind import blind
from backup.damage import names_of
from backup.keyless import GIB, ROTATION_SECONDS, Keyless, look
from backup.objects import objects_of
from backup.restic import Repository, repository_of
from backup.structure import FIRST_NAMES, SECONDS, Seen, check_structure
from backup.trouble import ResticTrouble
from ops import Context, Finding, Site, Text, Verdict, check, days, say

_SIZE_SECONDS = 7 * 86400.0
_STATS_SECONDS = 600.0


@dataclass
class Look:
    """All that one look saw; the sets of a site share it. keyless: None where the objects cannot be reached so."""

    repository: Repository
    was: reading.Reading
    keyless: Keyless | None = None
    structure: Seen = field(default_factory=Seen)


@check("backup.integrity", every=days(1), clauses=["TN-10.1.d.proc"], timeout=SECONDS + 600)
def integrity(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is everything that the repository stores still what was stored, and when was each part last read through?

    Where the repository's files can be reached: names against the inventory, bytes against the names (a share in turn),
    then `restic check` over the structure; as the proof of a copy without restic, and only what is new. Elsewhere
    `restic check` with a share of the data. Once for each look; one subject for each set.
    """
    repository = repository_of(ctx)
    names = [name for name in ctx.subjects or sorted(ctx.settings.set) if name in ctx.settings.set]
    if not names:
        return
    try:
        seen = _look(site, ctx, repository)
    except ResticTrouble as trouble:
        yield from (blind(site, ctx, name, trouble) for name in names)
        return
    yield from (_finding(site, ctx, name, seen) for name in names)


def _look(site: Site, ctx: Context, repository: Repository) -> Look:
    objects = objects_of(ctx, repository)
    if objects is None:
        return _by_restic(ctx, repository)
    if ctx.subjects:
        keyless = look(site, ctx, repository, objects, proof=True)
        return Look(repository, keyless.was, keyless)
    checks: list[Future[Seen]] = []
    # restic derives its key on one core while the other hashes; where an object is missing it is not asked at all (0.14
    # would try again for minutes)
    with ThreadPoolExecutor(1, "restic-check") as pool:
        keyless = look(site, ctx, repository, objects,
                       meanwhile=lambda: checks.append(pool.submit(check_structure, ctx, repository)))
    seen = Look(repository, keyless.was, keyless)
    if checks and not keyless.damage:
        seen.structure = checks[0].result()
    return seen


def _by_restic(ctx: Context, repository: Repository) -> Look:
    path = reading.path_of(ctx.home, repository.at)
    was = _sized(ctx, repository, reading.load(path, ctx.now))
    t = reading.groups(was.size[0], ctx.settings.read_gib_per_look * GIB)
    n = was.group(t)
    share = ("--read-data",) if t == 1 else (f"--read-data-subset={n}/{t}",)
    seen = replace(check_structure(ctx, repository, *share), share=f"{n}/{t}")
    if not seen.damage:
        was = was.after(n, t, ctx.now)
    reading.keep(path, was)
    return Look(repository, was, None, seen)


def _sized(ctx: Context, repository: Repository, was: reading.Reading) -> reading.Reading:
    """The reading with the size of the data, asked for once a week: it costs an opening, and a damaged tree stops it."""
    if was.size[0] and 0 <= ctx.now.timestamp() - was.size[1] < _SIZE_SECONDS:
        return was
    try:
        said = repository.ask(ctx, "stats", "--mode", "raw-data", "--json", timeout=_STATS_SECONDS)
        return replace(was, size=(int(json.loads(said.stdout).get("total_size", 0)), ctx.now.timestamp()))
    except ResticTrouble as trouble:
        if trouble.kind not in ("damaged", "unknown", "timeout") or not was.size[0]:
            raise
        return was


def _finding(site: Site, ctx: Context, name: str, seen: Look) -> Finding:
    heal = f"gaccong plan backup.heal --site {site.id}"
    measures, facts = _measures(ctx, seen), _facts(seen)
    at, keyless, structure = seen.repository.at, seen.keyless, seen.structure
    if keyless is not None and keyless.busy:
        text = say("đang có thay đổi trên kho {r}; xem lại sau", "a change is at work on repository {r}; look again later",
                   r=at)
        return Finding(name, Verdict.UNSEEN, text, measures, facts, f"gaccong look backup.integrity --site {site.id}")
    if keyless is not None and keyless.damage:
        words = keyless.damage.words
        text = say("kho sao lưu {r}: {vi_}. Đừng xóa gì, đừng prune", "repository {r}: {en_}. Delete nothing, do not prune",
                   r=at, vi_=words.vi, en_=words.en)
        return Finding(name, Verdict.BROKEN, text, measures, facts, heal)
    if structure.damage:
        text = say("kho sao lưu {r} có dữ liệu hỏng: {d}", "repository {r} holds damaged data: {d}", r=at,
                   d=structure.damage.splitlines()[-1])
        return Finding(name, Verdict.BROKEN, text, measures, facts, heal)
    return _sound(site, ctx, name, seen, measures, facts)


def _sound(site: Site, ctx: Context, name: str, seen: Look, measures: Mapping[str, float],
           facts: Mapping[str, object]) -> Finding:
    """No damage: the verdict of the remarks, or of what was not read for too long."""
    unread = seen.was.oldest(ctx.now)
    remarks = list(seen.keyless.remarks) if seen.keyless is not None else []
    if unread > ROTATION_SECONDS:
        remarks.append((Verdict.AT_RISK, say("có phần {d} ngày chưa đọc", "some of it was not read for {d} days",
                                             d=f"{unread / 86400:.0f}")))
    verdict = max((verdict for verdict, _ in remarks), key=lambda one: one.weight, default=Verdict.MET)
    text = _whole(seen, unread)
    lock = seen.structure.note
    said = [text, *(remark for _, remark in remarks), *([lock] if lock.vi else [])]
    text = Text(" — ".join(one.vi for one in said), " — ".join(one.en for one in said))
    following = f"restic -r {quote(seen.repository.at)} unlock" if lock.vi else ""
    if verdict is Verdict.BROKEN:
        following = f"gaccong plan backup.run set={name} --site {site.id}"
    return Finding(name, verdict, text, measures, facts, following)


def _whole(seen: Look, unread: float) -> Text:
    old = f"{unread / 86400:.0f}"
    if seen.keyless is None:
        return say("kho nguyên vẹn; lần này đọc phần {s}, phần lâu chưa đọc nhất: {d} ngày",
                   "the repository is whole; read share {s} this time, longest unread: {d} days",
                   s=seen.structure.share, d=old)
    done = seen.keyless.done
    return say("kho nguyên vẹn: đủ {n} tệp theo danh mục; lần này đọc {m} MiB, phần lâu chưa đọc nhất: {d} ngày",
               "the repository is whole: all {n} objects of the inventory; read {m} MiB this time, longest unread: {d} days",
               n=seen.keyless.objects, m=f"{done.bytes / (1 << 20):.1f}", d=old)


def _measures(ctx: Context, seen: Look) -> dict[str, float]:
    measures: dict[str, float] = {"oldest_unread_seconds": seen.was.oldest(ctx.now), "unread_classes": seen.was.never}
    keyless, seconds = seen.keyless, seen.structure.seconds
    if keyless is None:
        return {**measures, "seconds": seconds, "bad_objects": len(seen.structure.packs)}
    return {**measures, "seconds": seconds + keyless.done.seconds, "read_bytes": keyless.done.bytes,
            "verified_share": round(keyless.share, 4), "bad_objects": len(keyless.damage.bad),
            "missing_objects": len(keyless.damage.missing)}


def _facts(seen: Look) -> dict[str, object]:
    said = {"said": seen.structure.damage} if seen.structure.damage else {}
    if seen.keyless is None:
        return {"share": seen.structure.share, "packs": list(seen.structure.packs), **said}
    damage = seen.keyless.damage
    packs = [*names_of(damage.bad, "data"), *seen.structure.packs][:FIRST_NAMES]
    return {"packs": packs, "missing": list(damage.missing[:FIRST_NAMES]), "bad": list(damage.bad[:FIRST_NAMES]), **said}
