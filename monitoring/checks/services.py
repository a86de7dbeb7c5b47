"""Does what must run on this machine run: systemd units and programs?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ops import CannotSee, Command, Context, Finding, MissingTool, Patience, Site, Verdict, check, minutes, say

_WORST = ("failed", "inactive", "deactivating")


@check("host.services", every=minutes(5), patience=Patience(times=2, span=minutes(1)), clauses=["TN-10.1.a", "LL-6A.2.vh1"])
def services(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do the units and programs run that the settings name?

    Subjects: each unit and each program; "all" where none is named: then the units that failed are told, at risk.
    """
    wanted = ctx.settings.host
    if wanted.services:
        yield from (unit(name, state, since) for name, state, since in _states(ctx, wanted.services))
    if wanted.processes:
        running = _running()
        yield from (program(name, running.get(name, 0)) for name in wanted.processes)
    if not wanted.services and not wanted.processes:
        yield _failed(ctx)


def unit(name: str, state: str, result: str) -> Finding:
    """The finding for one unit. state: as `systemctl show` tells ActiveState; "" for a unit that nobody knows."""
    if state == "active" or state == "reloading":
        return Finding(name, Verdict.MET, say("{n} đang chạy", "{n} runs", n=name), facts={"state": state})
    command = shlex.join(["journalctl", "-u", name, "-n", "50", "--no-pager"])
    if not state:
        return Finding(name, Verdict.BROKEN, say("không có dịch vụ {n} trên máy này", "there is no unit {n} on this machine", n=name),
                       facts={"state": "not-found"}, next=shlex.join(["systemctl", "list-unit-files", f"*{name.partition('.')[0]}*"]))
    if state == "activating":
        return Finding(name, Verdict.AT_RISK, say("{n} đang khởi động", "{n} is starting", n=name), facts={"state": state},
                       next=command)
    words = say("{n} không chạy ({s}, {r})", "{n} does not run ({s}, {r})", n=name, s=state, r=result or "-")
    return Finding(name, Verdict.BROKEN, words, facts={"state": state, "result": result}, next=command)


def program(name: str, count: int) -> Finding:
    """The finding for a program of which `count` processes live."""
    figures = {"processes": float(count)}
    if count:
        return Finding(name, Verdict.MET, say("{n} đang chạy ({c} tiến trình)", "{n} runs ({c} processes)", n=name, c=count), figures)
    return Finding(name, Verdict.BROKEN, say("không có tiến trình {n} nào", "no process {n} runs", n=name), figures,
                   next=shlex.join(["pgrep", "-a", name]))


def _running() -> dict[str, int]:
    """Program name -> living processes; zombies do no work."""
    import psutil

    found: dict[str, int] = {}
    for process in psutil.process_iter(["name", "status"]):
        if process.info["name"] and process.info["status"] != psutil.STATUS_ZOMBIE:
            found[process.info["name"]] = found.get(process.info["name"], 0) + 1
    return found


def _systemctl(ctx: Context, *words: str) -> str:
    """systemctl's answer. Raises MissingTool, CannotSee."""
    mend = say("dùng `processes` thay cho `services` trong [site.….monitoring.host]",
               "use `processes` in place of `services` in [site.….monitoring.host]")
    try:
        result = ctx.ask("here").run(Command(("systemctl", *words), timeout=20))
    except MissingTool:
        raise CannotSee(say("máy này không có systemd", "this machine has no systemd"), mend) from None
    if not result.ok:
        raise CannotSee(say("systemd không trả lời: {e}", "systemd does not answer: {e}", e=result.trouble[-200:]), mend)
    return result.text


def _states(ctx: Context, names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    told = _systemctl(ctx, "show", "--property=Id,LoadState,ActiveState,Result", "--", *names)
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in told.strip().split("\n\n")]
    for name, block in zip(names, blocks, strict=False):
        yield name, block.get("ActiveState", "") if block.get("LoadState") not in ("not-found", None) else "", block.get("Result", "")


def _failed(ctx: Context) -> Finding:
    told = _systemctl(ctx, "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", "--full")
    names = [line.split()[0] for line in told.splitlines() if line.strip()]
    figures = {"failed_units": float(len(names))}
    if not names:
        return Finding("all", Verdict.MET, say("không có dịch vụ nào hỏng", "no unit has failed"), figures)
    words = say("{c} dịch vụ hỏng: {n}", "{c} units failed: {n}", c=len(names), n=", ".join(names[:5]))
    return Finding("all", Verdict.AT_RISK, words, figures, {"units": names[:50]},
                   shlex.join(["systemctl", "status", "--no-pager", names[0]]))
