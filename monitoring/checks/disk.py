"""Have the disks room?"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from monitoring import notes
from ops import Context, Finding, Site, Verdict, check, minutes, say

FULL_PERCENT = 2.0
"""Room below which a disk is as good as full: databases and logs stop here."""
KEPT_SECONDS, EACH_SECONDS, LEAST = 14 * 86400.0, 6 * 3600.0, 6


@check("host.disk", every=minutes(15), clauses=["TN-10.1.a", "LL-6A.2.vh1"])
def disk(site: Site, ctx: Context) -> Iterator[Finding]:
    """Have the disks of this machine room left, in bytes and in inodes, and for how long?

    One subject for each mount point of the settings. At risk below the threshold, or when it will be full within
    `full_days` as it grew in the last two weeks; broken below 2 % or read-only.
    """
    floor = ctx.threshold("disk.free_percent", ctx.settings.disk_free_percent)
    path = ctx.home / "monitoring" / "disks.json"
    note = notes.read(path)
    kept = {}
    for place in ctx.settings.disks:
        found = look(place, floor)
        if "free_bytes" in found.measures:
            kept[place] = remember(note.get(place), ctx.now.timestamp(), found.measures["free_bytes"])
            found = with_pace(found, days_to_full(kept[place]), ctx.settings.host.full_days)
        yield found
    notes.write(path, kept)


def remember(before: Any, now: float, free: float) -> list[list[float]]:
    """[[Unix time, free bytes]], oldest first: one every six hours at most, two weeks of them. A clock that was set back
    forgets what lies ahead."""
    points = [[float(one[0]), float(one[1])] for one in before if isinstance(one, list) and len(one) == 2] \
        if isinstance(before, list) else []
    points = [one for one in points if now - KEPT_SECONDS <= one[0] <= now]
    return points if points and now - points[-1][0] < EACH_SECONDS else [*points, [now, free]]


def days_to_full(points: Sequence[Sequence[float]]) -> float | None:
    """Days until nothing is free, by the median of the slopes between all points (Theil and Sen: a night's dump that comes
    and goes does not bend it); None when it does not shrink, or is known for less than two days."""
    if len(points) < LEAST or points[-1][0] - points[0][0] < 2 * 86400:
        return None
    slopes = [(later[1] - sooner[1]) / (later[0] - sooner[0])
              for at, sooner in enumerate(points) for later in points[at + 1 :] if later[0] > sooner[0]]
    slope = median(slopes) if slopes else 0.0
    return None if slope >= 0 else points[-1][1] / -slope / 86400


def with_pace(found: Finding, days: float | None, floor: float) -> Finding:
    """The finding, with the days that are left as it grows now."""
    if days is None or days > 3650:
        return found
    measures = {**found.measures, "full_days": round(days, 1)}
    if found.verdict is not Verdict.MET or days >= floor:
        return replace(found, measures=measures)
    words = say("{was}; theo đà này đầy sau {d} ngày", "{en}; full in {d} days at this pace", was=found.detail.vi, en=found.detail.en,
                d=round(days))
    return replace(found, verdict=Verdict.AT_RISK, detail=words, measures=measures,
                   next=shlex.join(["du", "-xhd1", found.subject]))


def look(path: str, floor: float) -> Finding:
    """The room on the file system that holds `path`. Free is what a normal user may still write."""
    command = shlex.join(["df", "-h", path])
    try:
        found = os.statvfs(path)
    except OSError as error:
        words = say("không xem được {p}: {why}", "cannot look at {p}: {why}", p=path, why=error.strerror or "")
        return Finding(path, Verdict.UNSEEN, words, next=command)
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    free = 100.0 * found.f_bavail / usable if usable else 0.0
    # btrfs and some network file systems count no inodes: they cannot run out of them.
    inodes = 100.0 * found.f_favail / found.f_files if found.f_files else 100.0
    read_only = bool(found.f_flag & os.ST_RDONLY)
    figures = {
        "free_percent": round(free, 2), "free_bytes": float(found.f_bavail * found.f_frsize),
        "size_bytes": float(found.f_blocks * found.f_frsize), "free_inodes_percent": round(inodes, 2),
    }
    least = min(free, inodes)
    if read_only:
        words = say("{p} chỉ đọc được, không ghi được", "{p} is read-only", p=path)
        return Finding(path, Verdict.BROKEN, words, figures, {"read_only": True}, shlex.join(["findmnt", "-T", path]))
    words = say("{p} còn trống {f} % dung lượng, {i} % số tệp", "{p} has {f} % of room and {i} % of inodes free",
                p=path, f=round(free), i=round(inodes))
    if least >= floor:
        return Finding(path, Verdict.MET, words, figures)
    verdict = Verdict.BROKEN if least < FULL_PERCENT else Verdict.AT_RISK
    if inodes < free:
        command = shlex.join(["du", "--inodes", "-xd1", path])
    return Finding(path, verdict, words, figures, next=command)
