"""A site that was watched for ninety days: a real store, a real record of availability, real maintenance windows.

Some of it went badly: an outage over both families, IPv6 dead since three hours ago, a week with too few copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from monitoring import windows
from monitoring.page.desk import Desk
from monitoring.uptime.counting import Tally, day_number, day_start
from monitoring.uptime.judging import Sample
from monitoring.uptime.judging import State as Up
from monitoring.uptime.store import Batch
from monitoring.uptime.store import Store as Record
from ops import Site, SiteStatus, State, Verdict
from ops import status as status_module
from ops.model import Flip, Text
from ops.policy import load
from ops.signing import Signer
from ops.store import Store, open_store
from tests.kit import NOW
from tests.monitoring.desk import duty, night

DAY = timedelta(days=1)
PRIVATE = frozenset({"accounts.leavers"})
MORE = [
    ("tls.certificate", "ipv6", Verdict.MET, {"days_left": 63.4}),
    ("renewal.domain", "domain", Verdict.MET, {"days_left": 131.0}),
    ("backup.drill", "user", Verdict.MET, {"rto_seconds": 754.0, "rpo_seconds": 93_600.0}),
    ("backup.drill", "system", Verdict.MET, {"rto_seconds": 41.5, "rpo_seconds": 180_000.0}),
]


def record(folder: Path, sites: list[str], now: datetime = NOW, days: int = 90) -> None:
    """Writes `uptime.db`: good but for one night of 40 minutes (both families), and IPv6, which ends three hours ago."""
    end = int(now.timestamp())
    start = day_start(day_number(end) - days + 1)
    batch = Batch(runs={1: (start, end)})
    for site in sites:
        for family in ("ipv4", "ipv6"):
            name = f"{site}/{family}"
            night_ = end - 20 * 86400
            turns = [(start, Up.UP, ""), (night_, Up.DOWN, "timeout"), (night_ + 2400, Up.UP, "")]
            gap = end - 47 * 86400
            turns[1:1] = [(gap, Up.UNKNOWN, ""), (gap + 2 * 86400, Up.UP, "")]
            if family == "ipv6":
                turns.append((end - 11_220, Up.DOWN, "refused"))
            batch.turns += [(name, 1, moment, int(state), why) for moment, state, why in turns]
            for number in range(day_number(start), day_number(end) + 1):
                tally = Tally()
                slow = 90_000 + 1_700 * (number * 7919 % 97) + (400_000 if number % 31 == 0 else 0)
                for _ in range(20):
                    tally.count(Sample(name, day_start(number), Up.UP, "", slow + (40_000 if family == "ipv6" else 0)), Up.UP)
                batch.days[number, name] = tally
    with closing(Record(folder / "uptime")) as store:
        store.write(batch)


def ledger(store: Store, status: SiteStatus, *, days: int = 90) -> SiteStatus:
    """Writes a site's history, ending in the states of `status`; gives the status as the real reading has it then."""
    site, now = status.site.id, status.at
    began = now - days * DAY
    states = [replace(one, measures={"days_left": 9.2}) if one.duty == "tls.certificate" else one for one in status.states]
    states += _more(status)
    told: list[tuple[datetime, Callable[[datetime], object]]] = [(began, lambda when: _attested(store, site, when))]
    told += [(now - day * DAY, lambda when: _looked(store, site, when)) for day in range(days - 1, 0, -3)]
    for set_, level, rhythm in (("noi-dung", "user", (0, 2, 4)), ("may-chu", "system", (1, 3, 5))):
        for back in range(41, -1, -1):
            day = (now - back * DAY).replace(hour=0, minute=20 + (level == "system"))
            if day.weekday() in rhythm and not (level == "system" and 8 <= back < 13):
                told.append((day, partial(_copied, store, site, set_, level, back != 16)))
    for state in states:
        if state.verdict is not Verdict.MET:
            told.append((began, partial(_flip, store, site, state, Verdict.MET)))
        told.append((state.since, partial(_turned, store, site, state, now)))
    for when, tell in sorted(told, key=lambda one: one[0]):
        tell(when)
    names = {one.duty for one in states} | {"backup.integrity", "backup.run"}
    duties = {name: duty(name, private=name in PRIVATE) for name in sorted(names)}
    return status_module.read(status.site, status.policy, store, duties, now)


def _more(status: SiteStatus) -> list[State]:
    found = []
    for name, subject, verdict, measures in MORE:
        told = {**measures, **({"drilled_timestamp_seconds": (status.at - 12 * DAY).timestamp()} if "drill" in name else {})}
        found.append(State(status.site.id, name, subject, verdict, status.at - 12 * DAY, status.at - timedelta(minutes=1),
                           Text("đạt", "met"), told, "", 0, 86_400.0))
    return found


def _attested(store: Store, site: str, when: datetime) -> None:
    with store.transaction(site, when) as writer:
        writer.append("attestation", "", "TN-2", {"says": "met", "by": "Nguyễn Văn Mẫu", "detail": "x",
                                                  "until": "2027-01-01T00:00:00Z"})


def _looked(store: Store, site: str, when: datetime) -> None:
    with store.transaction(site, when) as writer:
        writer.append("daily", "web.http", "", {"subjects": {"ipv4": {
            "verdict": "met", "measures": {"total_seconds": 0.2}, "facts": {}, "detail": {"vi": "a", "en": "a"}}}})


def _copied(store: Store, site: str, set_: str, level: str, proved: bool, when: datetime) -> None:
    with store.transaction(site, when) as writer:
        steps = [{"argv": ["restic", "backup", "--tag", f"level={level}"]}]
        intent = writer.append("intent", "backup.run", "", {"plan": {"steps": steps}, "args": {"set": set_}})
        writer.append("outcome", "backup.run", "", {
            "outcome": "proved" if proved else "stuck", "args": {"set": set_}, "intent": intent.seq,
            "started": when.isoformat(), "steps": [], "proofs": [], "detail": {"vi": "xong", "en": "done"}})


def _flip(store: Store, site: str, state: State, verdict: Verdict, when: datetime) -> int:
    with store.transaction(site, when) as writer:
        line = writer.append("flip", state.duty, state.subject, {
            "verdict": verdict.value, "was": None, "detail": state.detail.json(), "measures": {}, "facts": {}, "next": ""})
        writer.add_flip(state.duty, state.subject, Flip(when, verdict))
    return line.seq


def _turned(store: Store, site: str, state: State, now: datetime, when: datetime) -> None:
    """The subject turns to what it is now, and is seen so still."""
    seq = _flip(store, site, state, state.verdict, when)
    with store.transaction(site, when) as writer:
        writer.put_state(replace(state, evidence=seq, seen_at=now - timedelta(minutes=1)))


def maintained(folder: Path, site: str, now: datetime = NOW, reason: str = "Nâng cấp máy chủ cơ sở dữ liệu") -> None:
    """One window that is over, one that was entered late, one ahead."""
    home = folder / "sites" / site
    for start, hours, recorded in ((now - 20 * DAY, 1, now - 40 * DAY), (now - 5 * DAY, 2, now - 4 * DAY),
                                   (now + 6 * DAY, 3, now - 5 * DAY)):
        windows.add(home, windows.Window(start, start + timedelta(hours=hours), recorded, reason, "Nguyễn Văn Mẫu", recorded))


def seeded(folder: Path, now: datetime = NOW, site: str = "xamau", **more: Any) -> tuple[Desk, Store]:
    """The desk of one site with all of it; close the store."""
    signer = Signer.create(folder / "key", "gaccong/thu")
    store = open_store(f"sqlite:///{folder}/store.db", signer)
    status = ledger(store, night(now, site, **more))
    record(folder, [site], now)
    maintained(folder, site, now)
    sites: Mapping[str, Site] = {site: status.site}
    duties = {one.duty: duty(one.duty, private=one.duty in PRIVATE) for one in status.states}

    def read(_: str) -> SiteStatus:
        return status_module.read(status.site, load("thong-nhat"), store, duties, now)

    return Desk(lambda: sites, read, store, store.heads, folder), store
