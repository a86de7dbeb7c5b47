"""Is what the repository stores still what was stored?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from backup import reading
from backup.blind import blind
from backup.restic import Repository, can, repository_of, version
from backup.trouble import ResticTrouble, trouble_of
from ops import Context, Finding, Result, Site, Text, Verdict, check, days, say

_SECONDS = 21600.0
_UNREAD_DAYS = 92.0
_GIB = 1 << 30
_PACK = re.compile(r"\b[Pp]ack ([0-9a-f]{8,64})\b")
_DAMAGE = re.compile(r"repository contains errors|errors? (?:was|were) found|does not match|error for tree|"
                     r"ciphertext verification failed|error loading|does not exist|invalid data|not found in index", re.I)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run of `restic check` said; `damage` is "" when it found none. `note`: remarks for the reader."""

    damage: str
    packs: tuple[str, ...]
    seconds: float
    share: str
    note: Text = Text("", "")


@check("backup.integrity", every=days(1), clauses=["TN-10.1.d.proc"], timeout=_SECONDS + 600)
def integrity(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is everything that the repository stores still what was stored, and when was each part last read through?

    `restic check` over structure and a rotating share of the data, once for each look. One subject for each set.
    """
    repository = repository_of(ctx)
    names = [name for name in ctx.subjects or sorted(ctx.settings.set) if name in ctx.settings.set]
    if not names:
        return
    path = reading.path_of(ctx.home, repository.at)
    was = reading.load(path, ctx.now)
    try:
        t = reading.groups(_size(ctx, repository), ctx.settings.read_gib_per_look * _GIB)
        n = was.group(t)
        seen = _check(ctx, repository, n, t)
    except ResticTrouble as trouble:
        yield from (blind(site, ctx, name, trouble) for name in names)
        return
    if not seen.damage:
        was = was.after(n, t, ctx.now)
        reading.keep(path, was)
    yield from (_finding(site, ctx, name, repository, seen, was) for name in names)


def _size(ctx: Context, repository: Repository) -> int:
    if repository.local is not None:
        return reading.local_bytes(repository.local)
    said = repository.ask(ctx, "stats", "--mode", "raw-data", "--json")
    return int(json.loads(said.stdout).get("total_size", 0))


def _check(ctx: Context, repository: Repository, n: int, t: int) -> Seen:
    """Runs the check; past a lock whose holder is surely dead it goes without one. Raises ResticTrouble if it cannot."""
    share = ("--read-data",) if t == 1 else (f"--read-data-subset={n}/{t}",)
    patient = ("--retry-lock", "1m") if can("retry_lock", version(ctx, repository.program)) else ()
    result = repository.run(ctx, "check", *share, *patient, timeout=_SECONDS)
    if result.code == 0:
        return Seen("", (), result.seconds, f"{n}/{t}")
    trouble = trouble_of(result, repository.at)
    if trouble.lock is not None and trouble.lock.dead:
        result = repository.run(ctx, "check", *share, "--no-lock", timeout=_SECONDS)
        note = Text(f"{trouble.what.vi} → {trouble.mend.vi}", f"{trouble.what.en} → {trouble.mend.en}")
        if result.code == 0:
            return Seen("", (), result.seconds, f"{n}/{t}", note)
        return replace(_damage(result, repository, f"{n}/{t}"), note=note)
    return _damage(result, repository, f"{n}/{t}")


def _damage(result: Result, repository: Repository, share: str) -> Seen:
    """Tells damage from everything else that makes a check fail; the latter is raised and leaves the look blind."""
    trouble = trouble_of(result, repository.at)
    said = f"{result.text}\n{result.stderr.decode('utf-8', 'backslashreplace')}"
    if trouble.kind not in ("damaged", "unknown", "no_repository") or not _DAMAGE.search(said):
        raise trouble
    if trouble.kind == "no_repository" and not (repository.local and (repository.local / "data").is_dir()):
        raise trouble
    return Seen(result.trouble[-1500:], tuple(dict.fromkeys(_PACK.findall(said)))[:20], result.seconds, share)


def _finding(site: Site, ctx: Context, name: str, repository: Repository, seen: Seen, was: reading.Reading) -> Finding:
    measures: Mapping[str, float] = {"oldest_unread_seconds": was.oldest(ctx.now), "unread_classes": was.never,
                                     "seconds": seen.seconds}
    facts = {"share": seen.share, "packs": list(seen.packs), **({"said": seen.damage} if seen.damage else {})}
    if seen.damage:
        text = say("kho sao lưu {r} có dữ liệu hỏng: {d}", "repository {r} holds damaged data: {d}", r=repository.at,
                   d=seen.damage.splitlines()[-1])
        return Finding(name, Verdict.BROKEN, text, measures, facts, f"restic -r {repository.at} check --read-data")
    unread = was.oldest(ctx.now) / 86400
    verdict = Verdict.AT_RISK if unread > _UNREAD_DAYS else Verdict.MET
    text = say(
        "kho nguyên vẹn; lần này đọc phần {s}, phần lâu chưa đọc nhất: {d} ngày{note_vi}",
        "the repository is whole; read share {s} this time, longest unread: {d} days{note_en}",
        s=seen.share, d=f"{unread:.0f}", note_vi=_dash(seen.note.vi), note_en=_dash(seen.note.en))
    following = f"restic -r {repository.at} unlock" if seen.note.vi else ""
    return Finding(name, verdict, text, measures, facts, following)


def _dash(note: str) -> str:
    return f" — {note}" if note else ""
