"""`[site.NAME.monitoring.probing]`: the look of every minute, of which availability is counted."""

from __future__ import annotations

from ops import Strict


class Probing(Strict):
    """How the prober looks at one site.

    enabled: look at all.
    every_address: look at each address of the name (16 at most), not only the first; one that fails is a failure.
    """

    enabled: bool = True
    every_address: bool = False
