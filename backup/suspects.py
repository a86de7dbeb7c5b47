"""The alarms of a site as they stand now: judged anew from the ledger, with what persons cleared. Prune and the check ask.

Nothing is kept of an alarm but the ledger's own lines: it cannot be lost, and only a person's clearing ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from backup.alarm import PACKED, Alarm, Run, Since, alarms, chained, run_of, since_of
from backup.cleared import Clearing
from backup.copies import HEAL, copies
from backup.places import FIRST
from backup.restic import READ_SECONDS, Repository, Snapshot, repository_of
from backup.squeeze import density
from backup.vouched import Holding, holding, pairs, twins
from ops import Context, Site, say

AHEAD = timedelta(hours=1)
"""A snapshot dated further ahead than this was not made by a machine whose clock is right."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """The alarms of one set. open: nobody answered for them yet."""

    runs: tuple[Run, ...]
    open: tuple[Alarm, ...]
    cleared: tuple[Clearing, ...]


def runs_of(site: Site, ctx: Context) -> dict[str, list[Run]]:
    """Every run that made a snapshot, by set, oldest first."""
    found: dict[str, list[Run]] = {}
    told = _told(site, ctx)
    for copy in copies(site, ctx):
        runs = found.setdefault(copy.set, [])
        runs.append(chained(run_of(copy), runs[-1].manifest if runs else "", told))
    return found


def _told(site: Site, ctx: Context) -> dict[str, Since]:
    """What every manifest told of the one before it, those of runs that made no copy too."""
    answers = (step.get("answer") for duty in ("backup.run", HEAL) for line in ctx.view.evidence(site.id, kind="outcome", duty=duty)
               for step in line.body.get("steps", ()))
    known = ((str(one["manifest"]), since_of(one)) for one in answers if isinstance(one, dict) and one.get("manifest"))
    return {manifest: since for manifest, since in known if since is not None}


def suspects(site: Site, ctx: Context, answered: Iterable[Clearing], repository: Repository | None = None,
             held: Holding | None = None) -> dict[str, Suspects]:
    """Alarms by set. With a repository and its listing, a missing figure is made good from the copy itself."""
    known = list(answered)
    found = {}
    for name, runs in runs_of(site, ctx).items():
        mine = [one for one in known if one.set == name]
        cleared = {one.run for one in mine}
        rung = [alarm for alarm in alarms(runs, cleared) if alarm.evidence not in cleared]
        if repository is not None and held is not None:
            rung = [told for alarm in rung for told in _looked_into(ctx, repository, held, alarm)]
        found[name] = Suspects(tuple(runs), tuple(rung), tuple(mine))
    return found


def _looked_into(ctx: Context, repository: Repository, held: Holding, alarm: Alarm) -> Iterator[Alarm]:
    """The alarm itself, or, where a figure was missing, what a look at the changed files makes of it."""
    mains = {lot.key: lot.main for lot in held.lots}
    newer = mains.get((alarm.evidence, alarm.set))
    if alarm.certain or newer is None:
        yield alarm
        return
    told = density(ctx, repository, f"{alarm.evidence} {alarm.set}", newer, mains.get((alarm.before, alarm.set)))
    if told is None:
        yield alarm
    elif told >= PACKED:
        yield replace(alarm, kind="encrypted", certain=True, says=say(
            "{p} số tệp đổi hoặc mất, và các tệp mới lấy mẫu không nén được ({d}): dấu hiệu bị mã hóa tống tiền",
            "{p} of the files changed or went, and a sample of them does not compress ({d}): the mark of ransomware",
            p=f"{alarm.changed * 100:.0f}%", d=f"{told:.2f}"))


def stands(site: Site, ctx: Context, place: str, *, timeout: float = READ_SECONDS) -> Holding:
    """What a place holds of the site, as the ledger knows it. Raises ResticTrouble. timeout: seconds for each listing."""
    listed = repository_of(ctx, place).snapshots(ctx, "gaccong", f"site={site.id}", timeout=timeout)
    if place == FIRST:
        return holding(site, ctx, listed)
    known = pairs(site, ctx, place)
    if any(found.id not in known for found in listed):
        first = repository_of(ctx).snapshots(ctx, "gaccong", f"site={site.id}", timeout=timeout)
        known = {**twins(first, listed), **known}
    return holding(site, ctx, listed, place, known)


def ahead(found: Iterable[Snapshot], ctx: Context) -> list[Snapshot]:
    """Snapshots from the future."""
    return [one for one in found if one.time > ctx.now + AHEAD]


def planted(held: Holding, answered: Iterable[Clearing]) -> list[Snapshot]:
    """Snapshots with our tags that the ledger does not know and nobody answered for."""
    cleared = {one.run for one in answered}
    return [found for found in held.strangers if found.id not in cleared]
