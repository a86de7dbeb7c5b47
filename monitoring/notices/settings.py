"""`[notify]` of the main file: channels, quiet hours, escalation, the dead man's switch."""

from __future__ import annotations

import re
from datetime import time
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field

from ops import Reference, Strict, Word, fault

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _hours(value: str) -> str:
    found = _HOURS.fullmatch(value)
    if value and (found is None or value[:5] == value[6:]):
        raise fault("{value}: viết giờ yên lặng như 22:00-06:00", "{value}: write quiet hours like 22:00-06:00", value=value)
    return value


class Channel(Strict):
    """Where notices go.

    url:           a reference to a file with an Apprise address in its first line (mailtos://…, tgram://…, json://…). The
                   address holds the password: it is never written here.
    sites:         patterns of site names.
    at_risk:       what is only at risk is told too.
    after_minutes: tell only what has lasted so long and nobody has acknowledged: the next one up the ladder.
    quiet:         this channel keeps the quiet hours for all that is not broken.
    """

    url: Reference
    sites: tuple[Word, ...] = ("*",)
    at_risk: bool = True
    after_minutes: Annotated[float, Field(ge=0, le=10080)] = 0.0
    quiet: bool = True

    def wants(self, site: str) -> bool:
        """True for a site of this channel."""
        return any(fnmatchcase(site, pattern) for pattern in self.sites)


class Notify(Strict):
    """channels by name. quiet: hours of Vietnam in which only what is broken is told. heartbeat: a reference to a file with
    an address that is asked (GET) after every round, so that somebody else notices when gaccong itself is silent."""

    channel: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")], Channel] = {}
    quiet: Annotated[str, AfterValidator(_hours)] = ""
    heartbeat: Reference | None = None

    def is_quiet(self, clock: time) -> bool:
        """True within the quiet hours, which may go over midnight."""
        if not self.quiet:
            return False
        begin, end = (time.fromisoformat(part) for part in self.quiet.split("-"))
        return begin <= clock < end if begin < end else clock >= begin or clock < end
