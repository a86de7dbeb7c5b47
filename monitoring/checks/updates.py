"""Do updates, or a restart for one, wait on this machine?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from monitoring import notes
from ops import CannotSee, Command, Context, Finding, MissingTool, Site, Verdict, check, hours, say

_INST = re.compile(r"^Inst (?P<name>\S+) \[(?P<old>[^\]]+)\] \((?P<new>\S+) (?P<origin>[^)]*)\)", re.M)
_LISTS = Path("/var/lib/apt/lists")
_STALE_DAYS = 7.0
_MOST = 50
_KERNEL = re.compile(r"vmlinuz-(\d+\.\d+\.\d+-\d+-\S+)")


@check("host.updates", every=hours(6), clauses=["TN-10.1.a", "LL-6A.2.vh1"])
def updates(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do security updates wait, and does the machine wait for a restart?

    Subjects "packages" (apt, simulated; at risk once security updates have waited longer than `update_days`, or nobody has
    fetched the lists for a week) and "reboot" (a newer kernel is installed than runs, or a package asks).
    """
    path, days = ctx.home / "monitoring" / "updates.json", ctx.settings.host.update_days
    note = notes.read(path)
    try:
        pending = waiting(ctx)
    except CannotSee as trouble:
        yield Finding("packages", Verdict.UNSEEN, trouble.what, next="apt-get -s dist-upgrade")
    else:
        secure = sorted(name for name, security in pending.items() if security)
        note["security"] = _since(note.get("security"), secure, ctx.now)
        yield packages(pending, _oldest(note["security"], ctx.now), lists_age(ctx.now), days)
    asked = restart()
    note["reboot"] = _since(note.get("reboot"), asked, ctx.now)
    notes.write(path, note)
    yield reboot(asked, _oldest(note["reboot"], ctx.now), days)


def waiting(ctx: Context) -> dict[str, bool]:
    """Package -> whether its update comes from a security suite. Raises CannotSee (no apt, broken packages)."""
    argv = ("apt-get", "--simulate", "--quiet", "-o", "Debug::NoLocking=true", "dist-upgrade")
    try:
        result = ctx.ask("here").run(Command(argv, env={"LC_ALL": "C"}, timeout=120))
    except MissingTool:
        raise CannotSee(say("máy này không dùng apt", "this machine does not use apt")) from None
    if not result.ok:
        raise CannotSee(say("apt không trả lời được: {e}", "apt gives no answer: {e}", e=result.trouble[-300:]))
    return {found["name"]: "security" in found["origin"].lower() for found in _INST.finditer(result.text)}


def lists_age(now: datetime) -> float | None:
    """Days since the package lists were fetched; None when that cannot be told."""
    try:
        newest = max((entry.stat().st_mtime for entry in os.scandir(_LISTS) if entry.name.endswith("Release")), default=None)
    except OSError:
        return None
    return None if newest is None else max(0.0, (now.timestamp() - newest) / 86400)


def restart() -> list[str]:
    """Why a restart is asked for: packages that say so, and a kernel newer than the one that runs."""
    asked = []
    if Path("/run/reboot-required").exists():
        asked.append("/run/reboot-required")
    running = os.uname().release
    kernels = [found.group(1) for path in Path("/boot").glob("vmlinuz-*") if (found := _KERNEL.fullmatch(path.name))]
    newest = max(kernels, key=_version, default="")
    if running in kernels and _version(newest) > _version(running):
        asked.append(f"linux {newest}")
    return asked


def _version(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:5])


def packages(pending: Mapping[str, bool], oldest: float, age: float | None, days: float) -> Finding:
    """The finding for these updates. oldest: days that the oldest security update was seen waiting; age: of the lists."""
    secure = sorted(name for name, security in pending.items() if security)
    figures = {"pending_packages": float(len(pending)), "security_packages": float(len(secure)), "oldest_days": round(oldest, 2)}
    if age is not None:
        figures["lists_days"] = round(age, 2)
    facts = {"security": secure[:_MOST]}
    if age is None or age > _STALE_DAYS:
        words = say("đã {d} ngày không lấy danh mục gói: không biết có bản vá hay không",
                    "no package lists were fetched for {d} days: unknown whether there are updates", d="?" if age is None else round(age))
        return Finding("packages", Verdict.AT_RISK, words, figures, facts, "apt-get update && gaccong look host.updates")
    if not secure:
        words = say("không có bản vá bảo mật nào đang chờ ({c} bản cập nhật khác)", "no security update waits ({c} other updates)", c=len(pending))
        return Finding("packages", Verdict.MET, words, figures, facts)
    late = oldest > days
    verdict = Verdict.AT_RISK if late else Verdict.MET
    term = say("quá hạn {d} ngày", "past the {d} days allowed", d=f"{days:g}") if late else \
        say("còn trong hạn {d} ngày", "within the {d} days allowed", d=f"{days:g}")
    words = say("{c} bản vá bảo mật đang chờ, {t_vi} (lâu nhất {o} ngày): {n}",
                "{c} security updates wait, {t_en} (the oldest for {o} days): {n}", c=len(secure), t_vi=term.vi, t_en=term.en,
                o=round(oldest), n=", ".join(secure[:5]))
    return Finding("packages", verdict, words, figures, facts, "apt-get upgrade")


def reboot(asked: list[str], oldest: float, days: float) -> Finding:
    """The finding for a restart that has been asked for since `oldest` days."""
    figures = {"waiting_days": round(oldest, 2), "restart_wanted": float(bool(asked))}
    if not asked:
        return Finding("reboot", Verdict.MET, say("không cần khởi động lại", "no restart is wanted"), figures)
    words = say("cần khởi động lại máy ({w}), đã chờ {d} ngày", "the machine wants a restart ({w}), since {d} days", w=", ".join(asked),
                d=round(oldest))
    verdict = Verdict.AT_RISK if oldest > days else Verdict.MET
    return Finding("reboot", verdict, words, figures, {"asked": asked}, "gaccong maintenance add" if verdict is Verdict.AT_RISK else "")


def _since(before: Any, names: list[str], now: datetime) -> dict[str, str]:
    """Name -> when it was first seen waiting; what waits no more is forgotten."""
    known = before if isinstance(before, dict) else {}
    return {name: str(known.get(name, now.isoformat())) for name in names}


def _oldest(waiting: Mapping[str, str], now: datetime) -> float:
    """Days since the first of these was seen."""
    ages = [timedelta(0)]
    for text in waiting.values():
        try:
            ages.append(now - datetime.fromisoformat(text))
        except ValueError:
            continue
    return max(ages).total_seconds() / 86400
