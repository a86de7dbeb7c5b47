"""The page for whoever is on call: `make_app` builds it, `serving.running` serves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from monitoring.watched import Sources
    from ops import Secret, SiteStatus


def make_app(
    read: Callable[[], Sequence[SiteStatus]],
    private: frozenset[str],
    version: str,
    token: Secret | None = None,
    lang: str = "vi",
    names: Sequence[str] = (),
    sources: Sources | None = None,
) -> Starlette:
    """The application: `/`, `/site/{id}`, `/metrics`, `/probe`, `/healthz`, read-only.

    read:    gives the statuses of all sites; called in a worker thread at each request.
    private: duties whose subjects name persons; page and metrics tell only how many.
    token:   asked for as Bearer, or as the password of HTTP Basic with any user name; None only on loopback.
    names:   host names that a browser may use beside localhost, 127.0.0.1 and [::1]; only these are answered when
             there is no token (against DNS rebinding).
    sources: what the exporter tells beside the statuses (the prober's last looks, maintenance, availability).
    """
    from monitoring.page.app import build

    return build(read, private, version, token, lang, names, sources)
