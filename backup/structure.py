"""What `restic check` says of a repository: damage, or why it could not look."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from backup.restic import Repository, can, version
from backup.trouble import trouble_of
from ops import Context, Result, Text

SECONDS = 21600.0
FIRST_NAMES = 20
_PACK = re.compile(r"\b[Pp]ack ([0-9a-f]{8,64})\b")
_DAMAGE = re.compile(r"repository contains errors|errors? (?:was|were) found|does not match|error for tree|"
                     r"ciphertext verification failed|error loading|does not exist|invalid data|not found in index", re.I)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run of `restic check` said; `damage` is "" when it found none. `note`: remarks for the reader."""

    damage: str = ""
    packs: tuple[str, ...] = ()
    seconds: float = 0.0
    share: str = ""
    note: Text = Text("", "")


def check_structure(ctx: Context, repository: Repository, *share: str) -> Seen:
    """Runs the check; past a lock whose holder is surely dead it goes without one. Raises ResticTrouble if it cannot."""
    patient = ("--retry-lock", "1m") if can("retry_lock", version(ctx, repository.program)) else ()
    result = repository.run(ctx, "check", *share, *patient, timeout=SECONDS)
    if result.code == 0:
        return Seen(seconds=result.seconds)
    trouble = trouble_of(result, repository.at)
    if trouble.lock is not None and trouble.lock.dead:
        result = repository.run(ctx, "check", *share, "--no-lock", timeout=SECONDS)
        note = Text(f"{trouble.what.vi} → {trouble.mend.vi}", f"{trouble.what.en} → {trouble.mend.en}")
        if result.code == 0:
            return Seen(seconds=result.seconds, note=note)
        return replace(_damage(result, repository), note=note)
    return _damage(result, repository)


def _damage(result: Result, repository: Repository) -> Seen:
    """Tells damage from everything else that makes a check fail; the latter is raised and leaves the look blind."""
    trouble = trouble_of(result, repository.at)
    said = f"{result.text}\n{result.stderr.decode('utf-8', 'backslashreplace')}"
    if trouble.kind not in ("damaged", "unknown", "no_repository") or not _DAMAGE.search(said):
        raise trouble
    if trouble.kind == "no_repository" and not (repository.local and (repository.local / "data").is_dir()):
        raise trouble
    return Seen(result.trouble[-1500:], tuple(dict.fromkeys(_PACK.findall(said)))[:FIRST_NAMES], result.seconds)
