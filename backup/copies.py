"""The copies that the ledger vouches for: outcome lines of `backup.run` and `backup.heal`, read back. Pure over the view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backup.restic import Snapshot
from ops import Context, Evidence, Site

HEAL = "backup.heal"
Key = tuple[str, str]
"""(evidence, set)."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One run that made a snapshot of a set: of `backup.run`, or of `backup.heal`, which copies every set anew.

    snapshot: its id as restic told it (8 digits before 0.15, else 64). manifest: SHA-256 of the manifest inside it.
    started: when the run began, UTC. evidence: `site#seq` of the outcome. streams: name of a dump -> the snapshot that
    holds it alone. answers: what the steps said of themselves (restic's summaries, the notes of dumps).
    """

    set: str
    snapshot: str
    manifest: str
    files: int
    bytes: int
    repository: str
    proved: bool
    started: datetime
    evidence: str
    streams: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[Mapping[str, Any], ...] = ()

    @property
    def key(self) -> Key:
        """Names this copy among all of the site's: one outcome of `backup.heal` holds copies of several sets."""
        return self.evidence, self.set

    def is_(self, snapshot: Snapshot) -> bool:
        """True for the very snapshot that this run made."""
        return bool(self.snapshot) and snapshot.id.startswith(self.snapshot)


def copies(site: Site, ctx: Context, *, since: datetime | None = None) -> list[Copy]:
    """Every copy of the site that the ledger knows, proved or not, oldest first."""
    lines = [line for duty in ("backup.run", HEAL) for line in ctx.view.evidence(site.id, kind="outcome", duty=duty, since=since)]
    names = renamed(site, ctx)
    return [_under(copy, names) for line in sorted(lines, key=lambda line: line.seq) for copy in _made(line)]


def renamed(site: Site, ctx: Context) -> dict[str, str]:
    """Old id -> present id of the snapshots that `backup.heal` brought back from a second place."""
    names: dict[str, str] = {}
    for line in ctx.view.evidence(site.id, kind="outcome", duty=HEAL):
        for step in line.body.get("steps", ()):
            answer = step.get("answer")
            new = answer.get("renamed", {}) if isinstance(answer, dict) else {}
            names = {old: str(new.get(now, now)) for old, now in names.items()} | {str(old): str(now) for old, now in new.items()}
    return names


def rewritten(site: Site, ctx: Context) -> dict[str, str]:
    """Old id -> new id of the old copies out of which `backup.heal give_up=yes` took files whose data was lost; "" for one
    of which nothing was left. What is new is work of ours, and no whole copy."""
    names: dict[str, str] = {}
    for line in ctx.view.evidence(site.id, kind="outcome", duty=HEAL):
        for step in line.body.get("steps", ()):
            answer = step.get("answer")
            if isinstance(answer, dict):
                names |= dict.fromkeys(map(str, answer.get("dropped", ())), "")
                names |= {str(old): str(new) for old, new in answer.get("rewritten", {}).items()}
    return names


def _under(copy: Copy, names: Mapping[str, str]) -> Copy:
    """The copy with the ids that its snapshots bear now."""
    if not names:
        return copy

    def now(was: str) -> str:
        return next((new for old, new in names.items() if was and old.startswith(was)), was)

    return replace(copy, snapshot=now(copy.snapshot), streams={name: now(one) for name, one in copy.streams.items()})


def proved(site: Site, ctx: Context, *, since: datetime | None = None) -> list[Copy]:
    """The proved ones, oldest first."""
    return [copy for copy in copies(site, ctx, since=since) if copy.proved]


def standing(known: Iterable[Copy], snapshots: Iterable[Snapshot]) -> list[tuple[Copy, Snapshot]]:
    """Those copies whose snapshot the repository still lists, in the order of `known`."""
    listed = list(snapshots)
    pairs = ((copy, next((found for found in listed if copy.is_(found)), None)) for copy in known)
    return [(copy, found) for copy, found in pairs if found is not None]


def tags_of(site: Site, set_name: str, level: str) -> tuple[str, ...]:
    """The tags that every snapshot of a set carries."""
    return ("gaccong", f"level={level}", f"set={set_name}", f"site={site.id}")


def _made(line: Evidence) -> Iterator[Copy]:
    """The copies of one outcome: what the steps said up to each main snapshot."""
    told: list[Mapping[str, Any]] = []
    for step in line.body.get("steps", ()):
        answer = step.get("answer")
        if isinstance(answer, dict):
            told.append(answer)
            if line.duty == HEAL and answer.get("snapshot_id") and not answer.get("stream"):
                yield _copy(line, told)
                told = []
    if line.duty != HEAL and any(answer.get("snapshot_id") and not answer.get("stream") for answer in told):
        yield _copy(line, told)


def _copy(line: Evidence, told: list[Mapping[str, Any]]) -> Copy:
    body: Any = line.body
    made = [answer for answer in told if answer.get("snapshot_id")]
    snapshot = next(str(answer["snapshot_id"]) for answer in made if not answer.get("stream"))
    manifest = next((answer for answer in told if "manifest" in answer), {})
    started = datetime.fromisoformat(body["started"]).astimezone(UTC) if body.get("started") else line.time
    named = body.get("args", {}).get("set", "") or Path(str(manifest.get("path", ""))).parent.name
    return Copy(
        str(named), snapshot, str(manifest.get("manifest", "")),
        int(manifest.get("files", 0)), int(manifest.get("bytes", 0)), str(manifest.get("repository", "")),
        body.get("outcome") == "proved", started, line.id,
        {str(answer["stream"]): str(answer["snapshot_id"]) for answer in made if answer.get("stream")}, tuple(told),
    )
