"""Is this machine overloaded or short of memory?"""

from __future__ import annotations

from collections.abc import Iterator

from ops import Context, Finding, Site, Verdict, check, minutes, say

MEMORY_RISK, MEMORY_BROKEN = 10.0, 3.0
"""Per cent of memory available (to new programs, caches given back) that worry, and that break."""


@check("host.load", every=minutes(5), clauses=["TN-10.1.a", "LL-6A.2.vh1"])
def load(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is this machine overloaded, or short of memory?

    Subjects "cpu" (average load of five minutes for each core), "memory" (share that is available) and, where there is
    some, "swap" (share in use).
    """
    import psutil

    cores = psutil.cpu_count() or 1
    yield cpu(psutil.getloadavg()[1], cores, ctx.settings.load_per_core)
    found = psutil.virtual_memory()
    yield memory(float(found.available), float(found.total))
    lent = psutil.swap_memory()
    if lent.total:
        yield swap(float(lent.used), float(lent.total), ctx.settings.host.swap_percent)


def cpu(average: float, cores: int, ceiling: float) -> Finding:
    """The finding for a five-minute load average on so many cores. Load alone slows a site, it does not break it."""
    each = average / cores
    words = say("tải 5 phút: {e} mỗi nhân ({c} nhân)", "load of 5 minutes: {e} for each core ({c} cores)",
                e=f"{each:.2f}", c=cores)
    figures = {"average": round(average, 2), "per_core": round(each, 3), "cores": float(cores)}
    if each <= ceiling:
        return Finding("cpu", Verdict.MET, words, figures)
    return Finding("cpu", Verdict.AT_RISK, words, figures, next="ps -eo pid,user,pcpu,etime,comm --sort=-pcpu")


def memory(available: float, total: float) -> Finding:
    """The finding for so many bytes available out of all."""
    percent = 100.0 * available / total if total else 0.0
    words = say("bộ nhớ còn dùng được {p} % ({m} MB)", "{p} % of memory available ({m} MB)", p=round(percent),
                m=round(available / 1e6))
    figures = {"available_percent": round(percent, 2), "available_bytes": available, "size_bytes": total}
    verdict = Verdict.BROKEN if percent < MEMORY_BROKEN else Verdict.AT_RISK if percent < MEMORY_RISK else Verdict.MET
    command = "" if verdict is Verdict.MET else "ps -eo pid,user,rss,etime,comm --sort=-rss"
    return Finding("memory", verdict, words, figures, next=command)


def swap(used: float, total: float, ceiling: float) -> Finding:
    """The finding for so many bytes of swap in use. It slows a site before it stops it: never broken by itself."""
    percent = 100.0 * used / total if total else 0.0
    words = say("bộ nhớ tráo đổi dùng {p} %", "{p} % of swap in use", p=round(percent))
    figures = {"used_percent": round(percent, 2), "size_bytes": total}
    if percent < ceiling:
        return Finding("swap", Verdict.MET, words, figures)
    return Finding("swap", Verdict.AT_RISK, words, figures, next="ps -eo pid,user,rss,etime,comm --sort=-rss")
