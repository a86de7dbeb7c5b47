"""What follows an act: its slot is served, and what it may have changed is looked at again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ops.duty import Change
from ops.engine import Engine
from ops.model import Outcome, Verdict
from ops.planning import Prepared
from ops.store import Writer

QUICK = 300.0
"""Checks with at most this time limit are looked at again right after a change; slower ones become due."""
LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


def served(writer: Writer, engine: Engine, prepared: Prepared, started: datetime, outcome: Outcome) -> None:
    """Notes that a scheduled slot was served, whoever asked for it."""
    change = engine.catalog.duties[prepared.change]
    key = occasion_key(prepared.args)
    occasions = change.occasions if isinstance(change, Change) else None
    if occasions and any(occasion_key(one.args) == key for one in occasions(prepared.site)):
        # an unproved copy was made all the same: trying again each hour would only pile up more of its kind
        done = outcome in (Outcome.PROVED, Outcome.UNPROVED)
        writer.mark_ran(change.name, key if done else f"tried {key}", started)


def look_again(engine: Engine, prepared: Prepared) -> None:
    """The world has moved: looks at once with the quick checks of the same clauses, and makes the slow ones due."""
    change, site = engine.catalog.duties[prepared.change], prepared.site
    proofs = {proof.check for proof in prepared.plan.proofs}
    checks = [one for one in engine.catalog.checks if one.name not in proofs]
    near = [one for one in checks if set(one.clauses) & set(change.clauses)]
    quick = [one for one in near if one.timeout <= QUICK]
    engine.look_now(site, quick)
    section = getattr(change, "settings", "") or change.domain
    stale = {state.duty for state in engine.store.states(site.id) if state.verdict is not Verdict.MET}
    # a change that lives on another folder's settings (a playbook) moves the whole site: every check becomes due
    everything = section != change.domain
    near_by = [one for one in checks if one.name in stale and (one.settings or one.domain) == section]
    slow = [one for one in (checks if everything else near_by) if one not in quick]
    if slow:
        with engine.transaction(site) as writer:
            for one in slow:
                writer.mark_ran(one.name, "look", LONG_AGO)


def occasion_key(args: Mapping[str, str]) -> str:
    """Arguments as one stable word: `set=user`."""
    return " ".join(f"{name}={args[name]}" for name in sorted(args)) or "-"
