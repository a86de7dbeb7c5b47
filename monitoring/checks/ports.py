"""Does this machine listen only where it should?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from monitoring import notes
from monitoring.endpoints import is_loopback
from ops import Context, Finding, Patience, Site, Verdict, check, local_day, minutes, say

SUBJECT = "open"
_MOST = 100


@check("host.ports", every=minutes(15), patience=Patience(times=2, span=minutes(1)), clauses=["TN-10.1.a", "LL-6A.2.vh1"])
def ports(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does anything listen to other machines that is not on the list?

    Subject "open". With `ports` in the settings those may listen. Without, what was open at the first look is remembered
    and only told; what opens later is at risk until it stands on the list: a back door has to listen somewhere.
    """
    found = listening()
    if ctx.settings.host.ports is not None:
        yield judge(found, ctx.settings.host.ports, "")
        return
    path = ctx.home / "monitoring" / "ports.json"
    note = notes.read(path)
    if not isinstance(note.get("ports"), list):
        note = {"ports": sorted(found), "since": ctx.now.isoformat()}
        notes.write(path, note)
    yield judge(found, [str(port) for port in note["ports"]], _day(note))


def listening() -> dict[str, str]:
    """`tcp/443` -> the program that listens there, for whatever is not on loopback alone. "" for one not to be seen."""
    import psutil

    found: dict[str, str] = {}
    for one in psutil.net_connections("inet"):
        tcp = one.type.name == "SOCK_STREAM"
        if not one.laddr or is_loopback(one.laddr.ip) or (one.status != psutil.CONN_LISTEN if tcp else bool(one.raddr)):
            continue
        if not tcp and one.laddr.port >= _EPHEMERAL:
            continue  # a client that waits for an answer looks like a listener
        found[f"{'tcp' if tcp else 'udp'}/{one.laddr.port}"] = _program(one.pid)
    return found


_EPHEMERAL = 32768


def _program(pid: int | None) -> str:
    import psutil

    try:
        return psutil.Process(pid).name() if pid else ""
    except psutil.Error:
        return ""


def judge(found: Mapping[str, str], allowed: Collection[str], since: str) -> Finding:
    """The finding for these listeners. since: the day of the first look when nobody wrote a list, else ""."""
    beyond = sorted(set(found) - set(allowed), key=_order)
    figures = {"open_ports": float(len(found)), "unexpected_ports": float(len(beyond))}
    facts: dict[str, Any] = {"open": sorted(found, key=_order)[:_MOST], "unexpected": beyond[:_MOST], "listed": not since}
    if not beyond:
        shown = ", ".join(sorted(found, key=_order)[:12]) or "–"
        words = say("đang mở: {p}; đúng danh sách", "open: {p}; all of them on the list", p=shown) if not since else \
            say("đang mở: {p}; như lần xem đầu ngày {d} (chưa ai khai báo `ports`)",
                "open: {p}; as at the first look on {d} (nobody has written `ports`)", p=shown, d=since)
        return Finding(SUBJECT, Verdict.MET, words, figures, facts)
    shown = ", ".join(f"{port} ({found[port] or '?'})" for port in beyond[:5])
    words = say("mở thêm: {p}; nếu đúng, ghi vào `ports` của [site.….monitoring.host], nếu không, tìm và tắt",
                "newly open: {p}; if that is right write it into `ports` of [site.….monitoring.host], else find and stop it", p=shown)
    kind, _, port = beyond[0].partition("/")
    return Finding(SUBJECT, Verdict.AT_RISK, words, figures, facts, f"ss -{kind[0]}lnp 'sport = :{port}'")


def _order(port: str) -> tuple[int, str]:
    return int(port.partition("/")[2]), port


def _day(note: Mapping[str, Any]) -> str:
    try:
        return local_day(datetime.fromisoformat(str(note["since"]))).strftime("%d/%m/%Y")
    except (KeyError, ValueError):
        return "?"
