"""What persons cleared: alarms that they looked into and answered for, read from the signed ledger.

As a program (`python -m backup.cleared`) it is the one step of `backup.clear`: it says back what is being cleared, so
that the outcome line holds it. The approval that the change needs names the person.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass

from ops import Context, Site


@dataclass(frozen=True, slots=True)
class Clearing:
    """set, run: the alarm (an outcome `site#seq`, or a snapshot's full id). by, reason: who says so, and why."""

    set: str
    run: str
    by: str
    reason: str
    evidence: str

    def json(self) -> dict[str, str]:
        """As facts keep it."""
        return {"set": self.set, "run": self.run, "by": self.by, "reason": self.reason, "evidence": self.evidence}


def clearings(site: Site, ctx: Context) -> list[Clearing]:
    """Every clearing that holds, oldest first: carried out, or being carried out right now (its proof looks already)."""
    outcomes = {line.body.get("intent"): line for line in
                ctx.view.evidence(site.id, kind="outcome", duty="backup.clear")}
    found = []
    for intent in ctx.view.evidence(site.id, kind="intent", duty="backup.clear"):
        done = outcomes.get(intent.seq)
        if done is None or done.body.get("outcome") in ("proved", "unproved"):
            args = intent.body.get("args", {})
            found.append(Clearing(str(args.get("set", "")), str(args.get("run", "")), str(intent.body.get("by", "")),
                                  str(args.get("reason", "")), (done or intent).id))
    return found


def main(arguments: list[str] | None = None) -> int:
    """The step: prints what is cleared as one JSON line."""
    parser = argparse.ArgumentParser(prog="backup.cleared")
    for name in ("--set", "--run", "--reason"):
        parser.add_argument(name, required=True)
    given = parser.parse_args(arguments)
    print(json.dumps({"cleared": given.run, "set": given.set, "reason": given.reason}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
