"""Every way in which gaccong can refuse or fail, as one tree.

    GaccongError               (exit 2 unless said otherwise)
    ├── UsageError             2  wrong arguments
    │   └── PlanRefused        2  a change cannot be planned as asked
    ├── ConfigError            2  carries every Problem found, not only the first
    ├── SecretError            2  a secret reference that cannot or must not be read
    ├── MissingTool            2  an outside program is absent or too old
    ├── CannotSee              3  a check could not look; becomes an `unseen` finding
    │   ├── ClockError         3  the clock stands before the last evidence
    │   └── Busy               3  somebody else runs; says who
    ├── LedgerError            4  the evidence does not verify
    └── ChangeFailed           5  a step failed, or what was done is not proved
        └── StaleApproval      5  the plan is no longer the one that was approved

Each error explains itself in Vietnamese and English: what happened, to which site, and what to do next (`mend`).
Only `ops.cli` turns an error into a message and an exit code; a traceback on a terminal is a bug.
"""

from __future__ import annotations

from ops.model import Text, text_of


class GaccongError(Exception):
    """What happened (`what`), where (`site`), and what to do next (`mend`)."""

    exit_code = 2

    def __init__(self, what: Text | str, mend: Text | str = "", *, site: str = "") -> None:
        self.what = text_of(what)
        self.mend = text_of(mend)
        self.site = site
        super().__init__(self.what.en)

    def explain(self, lang: str) -> str:
        """One or two lines for a person: `[site] what` and, where there is one, the mend."""
        where = f"[{self.site}] " if self.site else ""
        mend = self.mend.in_(lang)
        return f"{where}{self.what.in_(lang)}" + (f"\n  → {mend}" if mend else "")


class UsageError(GaccongError):
    """Wrong arguments."""


class PlanRefused(UsageError):
    """A change cannot be planned as asked."""


class SecretError(GaccongError):
    """A secret reference that cannot be read, or must not be trusted."""


class MissingTool(GaccongError):
    """An outside program is absent, or too old for what was asked."""


class CannotSee(GaccongError):
    """A check could not look. The engine turns it into an `unseen` finding; nothing turns it into `met`."""

    exit_code = 3


class ClockError(CannotSee):
    """The clock of this machine stands before the last evidence of a site."""


class Busy(CannotSee):
    """Another gaccong holds the lock; the text says which process and since when."""


class LedgerError(GaccongError):
    """The ledger does not verify."""

    exit_code = 4


class ChangeFailed(GaccongError):
    """A step failed, or what was done could not be proved."""

    exit_code = 5


class StaleApproval(ChangeFailed):
    """The world or the settings moved: the plan made now is not the one that was approved."""
