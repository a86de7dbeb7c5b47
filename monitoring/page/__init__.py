"""The page for whoever is on call: `make_app` builds it, `serving.running` serves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from monitoring.page.desk import Desk
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
    desk: Desk | None = None,
    password: Secret | None = None,
    public: Sequence[str] = (),
) -> Starlette:
    """The application: `/`, `/site/{id}`, `/status`, `/metrics`, `/probe`, `/healthz`; read-only but for the login.

    read:    gives the statuses of all sites; called in a worker thread at each request.
    private: duties whose subjects name persons; page and metrics tell only how many.
    token:   asked for as Bearer, or as the password of HTTP Basic with any user name; None only on loopback.
    names:   host names that a browser may use beside localhost, 127.0.0.1 and [::1]; only these are answered when
             there is no token (against DNS rebinding).
    sources: what the exporter tells beside the statuses (the prober's last looks, maintenance, availability).
    desk:    what the page reads beside the statuses: the store, the record of availability; None: statuses alone.
    password: its scrypt hash (`passwords.hashed`); then browsers get a login form. Raises UsageError for anything else.
    public:  ids of the sites that `/status` shows to everybody, "*" for all; empty: there is no `/status`.
    """
    from monitoring.page.app import build

    return build(read, private, version, token, lang, names, sources, desk, password, public)
