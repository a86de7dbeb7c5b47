"""Have the disks room?"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from ops import Context, Finding, Site, Verdict, check, minutes, say

FULL_PERCENT = 2.0
"""Room below which a disk is as good as full: databases and logs stop here."""


@check("host.disk", every=minutes(15), clauses=["TN-10.1.a", "LL-6A.2.vh1"])
def disk(site: Site, ctx: Context) -> Iterator[Finding]:
    """Have the disks of this machine room left, in bytes and in inodes?

    One subject for each mount point of the settings. At risk below the threshold, broken below 2 % or read-only.
    """
    floor = ctx.threshold("disk.free_percent", ctx.settings.disk_free_percent)
    for path in ctx.settings.disks:
        yield look(path, floor)


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
