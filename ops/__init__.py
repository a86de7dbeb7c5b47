"""The shelf: all that a domain folder may take from the kernel (`from ops import check, Finding, ...`).

Names are bound on first use, so that `import ops` costs nothing and a reader of one name does not load the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.duty import Change, Check, Context, Occasion, Patience, View, change, check, days, hours, minutes
    from ops.errors import CannotSee, ChangeFailed, GaccongError, MissingTool, PlanRefused, UsageError
    from ops.flips import availability
    from ops.leaf import leaves
    from ops.model import (
        Evidence,
        FileWrite,
        Finding,
        Flip,
        Host,
        Office,
        Outcome,
        Plan,
        Proof,
        Site,
        State,
        Step,
        Text,
        Verdict,
        nfc,
        say,
        worst,
    )
    from ops.moment import LOCAL, local, local_day
    from ops.remote import Remote
    from ops.run import STOPPED, TIMED_OUT, Command, Here, Result, Runner, python
    from ops.secrets import Secret, aws_login, url_login
    from ops.settings import DomainSettings, Place, Problem, Reference, Strict, Word, fault
    from ops.status import Answer, ClauseStatus, SiteStatus
    from ops.steps import write_file

_SHELF = {
    "ops.duty": "Change Check Context Occasion Patience View change check days hours minutes",
    "ops.errors": "CannotSee ChangeFailed GaccongError MissingTool PlanRefused UsageError",
    "ops.flips": "availability",
    "ops.leaf": "leaves",
    "ops.model": "Evidence FileWrite Finding Flip Host Office Outcome Plan Proof Site State Step Text Verdict"
    " nfc say worst",
    "ops.moment": "LOCAL local local_day",
    "ops.remote": "Remote",
    "ops.run": "STOPPED TIMED_OUT Command Here Result Runner python",
    "ops.secrets": "Secret aws_login url_login",
    "ops.status": "Answer ClauseStatus SiteStatus",
    "ops.steps": "write_file",
    "ops.settings": "DomainSettings Place Problem Reference Strict Word fault",
}
_HOME = {name: module for module, names in _SHELF.items() for name in names.split()}
__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'ops' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
