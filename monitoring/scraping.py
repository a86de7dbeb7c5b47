"""What Prometheus asks of us over HTTP: `/metrics`, and `/probe?site=NAME` by the multi-target convention.

Scrapes that come together get one and the same exposition: ten Prometheuses cost what one does, and the interpreter is
held by one of them at a time. `/probe` looks itself, at once: whoever asks it wants Prometheus to set the rhythm and to
share the sites out; the prober's own last looks are on `/metrics`. Only sites of the configuration are probed, at most
eight at once, and an answer is good for ten seconds, so that nobody can make us knock at a door again and again. It
records nothing: the ledger and the availability that is answered for come from `gaccong`'s own rhythm alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from monitoring.endpoints import Family
from monitoring.exporter import Exposition, families
from monitoring.exposition import OPENMETRICS, TEXT, Renderer, packed, takes_gzip, wants_openmetrics
from monitoring.exposition import Family as Metric
from monitoring.looking import grain, with_expected
from monitoring.probe import Aim, Sight, both
from monitoring.reasons import Reason
from monitoring.uptime.judging import State
from monitoring.watched import STANDING
from ops import Site, Text, say

log = logging.getLogger(__name__)
MOST_PROBES, GOOD_SECONDS, SPARE_SECONDS = 8, 10.0, 0.5
_FAMILY = ("ip_family",)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Scrapes:
    """The two endpoints. Called from worker threads; never from the event loop."""

    def __init__(self, read: Callable[[], Exposition], sites: Callable[[], Mapping[str, Site]]) -> None:
        self._read, self._sites = read, sites
        self._renderer = Renderer()
        self._one = threading.Lock()
        self._state = threading.Lock()
        self._wanted: dict[bool, Future[bytes]] = {}
        self._probed: dict[str, tuple[float, list[Metric]]] = {}
        self._probing: dict[str, Future[list[Metric]]] = {}

    def metrics(self, headers: Mapping[str, str]) -> Answer:
        """Everything. 503 when the statuses cannot be read: half an exposition would pass for the whole."""
        openmetrics = wants_openmetrics(headers.get("accept", ""))
        try:
            body = self._shared(openmetrics)
        except Exception:
            log.exception("metrics")
            return _plain(503, say("không đọc được tình trạng", "status cannot be read"))
        return _answer(body, openmetrics, headers)

    def _shared(self, openmetrics: bool) -> bytes:
        """One exposition for all who wait for it. Who comes while one is being made gets the next, not an old one."""
        with self._state:
            future = self._wanted.get(openmetrics)
            mine = future is None
            if future is None:
                future = self._wanted[openmetrics] = Future()
        if mine:
            with self._one:
                with self._state:
                    del self._wanted[openmetrics]
                try:
                    future.set_result(self._renderer.render(families(self._read()), openmetrics=openmetrics))
                except BaseException as error:
                    future.set_exception(error)
        return future.result()

    def probe(self, name: str, headers: Mapping[str, str]) -> Answer:
        """One site over both families, now. 400 without a name, 404 for a site that is not configured, 503 when busy."""
        if not name:
            return _plain(400, say("thiếu tên trang: /probe?site=TÊN", "no site named: /probe?site=NAME"))
        site = self._sites().get(name)
        if site is None:
            return _plain(404, say("cấu hình không có trang này", "the configuration has no such site"))
        found = self._probe(site, _limit(headers))
        if found is None:
            return _plain(503, say("đang kiểm tra quá nhiều trang", "too many sites are being probed"))
        openmetrics = wants_openmetrics(headers.get("accept", ""))
        return _answer(Renderer().render(found, openmetrics=openmetrics), openmetrics, headers)

    def _probe(self, site: Site, limit: float) -> list[Metric] | None:
        now = time.monotonic()
        with self._state:
            kept = self._probed.get(site.id)
            if kept is not None and now - kept[0] < GOOD_SECONDS:
                return kept[1]
            future = self._probing.get(site.id)
            mine = future is None
            if future is None:
                if len(self._probing) >= MOST_PROBES:
                    return None
                future = self._probing[site.id] = Future()
        if not mine:
            return future.result()
        try:
            made = list(probe_families(_look(site, limit)))
            future.set_result(made)
        except BaseException as error:
            future.set_exception(error)
            raise
        finally:
            with self._state:
                del self._probing[site.id]
                self._probed = {key: one for key, one in self._probed.items() if now - one[0] < GOOD_SECONDS}
        with self._state:
            self._probed[site.id] = (time.monotonic(), made)
        return made


def _limit(headers: Mapping[str, str]) -> float:
    """Seconds that Prometheus will wait for us, a little less; its header is a wish, so it can only shorten."""
    try:
        return max(1.0, float(headers.get("x-prometheus-scrape-timeout-seconds", "")) - SPARE_SECONDS)
    except ValueError:
        return 30.0


def _look(site: Site, limit: float) -> Sequence[Sight]:
    from monitoring.settings import Settings

    chosen = site.settings.get("monitoring")
    if not isinstance(chosen, Settings):
        chosen = Settings()
    aims = [Aim(site.url, family, chosen.nameservers, chosen.reference, chosen.authority,
                min(limit, chosen.timeout_seconds)) for family in Family]
    return [with_expected(sight, chosen.expect) for sight in both(aims)]


def standing(sight: Sight) -> State:
    """What one look says; a first host without any address of the family is absent over it, not down."""
    if sight.reason is None:
        return State.UP
    if sight.ours:
        return State.UNKNOWN
    absent = sight.reason is Reason.NO_RECORD and sight.found is not None and sight.found.reason is Reason.NO_RECORD
    return State.ABSENT if absent else State.DOWN


def probe_families(sights: Sequence[Sight]) -> Iterator[Metric]:
    """The families of one site's probe, named as on `/metrics`, so that rules and dashboards serve both.

    Without the label `site`: by the convention Prometheus sets it (`relabel_configs`). A trouble of our own has no
    `probe_success` and a `probe_state` of 1, as there.
    """
    keys = [(sight.family.value,) for sight in sights]
    success = {State.UP: 1, State.DOWN: 0}

    def family(name: str, words: str, values: Sequence[float | None]) -> Metric:
        return Metric(name, words, _FAMILY, keys, values)

    yield family("probe_success", "Whether the page came; absent when nothing can be said of the site.",
                 [success.get(standing(sight)) for sight in sights])
    yield family("probe_state", "What this look says: 0 up, 1 unknown (our own trouble), 2 no address, 3 down.",
                 [STANDING[standing(sight)] for sight in sights])
    yield family("probe_http_status_code", "Status of the answer.", [sight.status or None for sight in sights])
    yield family("probe_body_size_bytes", "Size of the page.", [len(sight.body) for sight in sights])
    yield family("probe_certificate_not_after_timestamp_seconds", "When the certificate that was presented ends.",
                 [int(sight.chain[0].not_after.timestamp()) if sight.chain else None for sight in sights])
    yield family("probe_duration_seconds", "From the first question to the last byte, over all redirects.",
                 [grain(sight.phases.total) for sight in sights])
    yield family("probe_tcp_rtt_seconds", "Round-trip time as the kernel measured it.",
                 [grain(sight.rtt) if sight.rtt else None for sight in sights])
    phases = ("dns", "connect", "tls", "first_byte", "transfer")
    yield Metric("probe_phase_duration_seconds", "Time spent in one phase of the look, over all redirects.",
                 ("ip_family", "phase"), [(*key, phase) for phase in phases for key in keys],
                 [grain(getattr(sight.phases, phase)) for phase in phases for sight in sights])
    reasons = [(sight.family.value, sight.reason.value) for sight in sights if sight.reason is not None]
    yield Metric("probe_reason_info", "Why the look did not bring the page; always 1.", ("ip_family", "reason"), reasons,
                 [1] * len(reasons))


def _answer(body: bytes, openmetrics: bool, headers: Mapping[str, str]) -> Answer:
    told = {"content-type": OPENMETRICS if openmetrics else TEXT, "vary": "Accept, Accept-Encoding"}
    if takes_gzip(headers.get("accept-encoding", "")):
        return Answer(200, packed(body), {**told, "content-encoding": "gzip"})
    return Answer(200, body, told)


def _plain(status: int, words: Text) -> Answer:
    return Answer(status, f"{words.vi} / {words.en}\n".encode(), {"content-type": "text/plain; charset=utf-8"})
