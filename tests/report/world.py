"""A small year of a site, in memory: subjects with transitions, ledger lines with real leaf hashes, a real status."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ops import policy, status
from ops.duty import Check
from ops.model import Evidence, Flip, Office, Site, State, Text, Verdict
from ops.report.period import period

NOW = datetime(2026, 12, 15, 2, 0, 7, 123456, tzinfo=UTC)  # a real clock has microseconds
START, END, _ = period("2026", NOW)
HOUR = timedelta(hours=1)
OFFICE = Office(
    parent="ỦY BAN NHÂN DÂN XÃ AN BÌNH",
    issuer="BAN BIÊN TẬP TRANG THÔNG TIN ĐIỆN TỬ",
    place="An Bình",
    symbol="BBT",
    authority="TM. BAN BIÊN TẬP",
    title="TRƯỞNG BAN",
    signer="Nguyễn Văn Mẫu",
    unit="Tổ chuyên trách",
    recipients=("Thường trực HĐND xã", "Văn phòng HĐND và UBND xã"),
)
NAMES = {
    "backup.fresh": ("user", "system"),
    "backup.contents": ("user", "system"),
    "backup.integrity": ("user", "system"),
    "backup.drill": ("user", "system"),
    "web.http": ("ipv4", "ipv6"),
    "web.ipv6": ("ipv6",),
    "dns.address": ("A", "AAAA"),
    "tls.certificate": ("trang",),
    "host.disk": ("/",),
    "host.load": ("here",),
    "accounts.census": ("all",),
    "accounts.leavers": ("all",),
    "accounts.refused": ("all",),
}


def _look(site: Any, ctx: Any) -> list[Any]:
    """Is it so?"""
    return []


def make_duties(*without: str) -> dict[str, Check]:
    """The duties of this release as the catalog would hand them over."""
    return {
        name: Check(name, ("TN-10.1.a",), _look, 60.0, HOUR, private=name.startswith("accounts."))
        for name in NAMES
        if name not in without
    }


class World:
    """A view over what happened; `happen` appends a transition with its ledger line."""

    def __init__(self) -> None:
        self.tracks: dict[tuple[str, str], list[Flip]] = {}
        self.lines: list[Evidence] = []
        self.gone: set[tuple[str, str]] = set()
        self.seen: dict[tuple[str, str], datetime] = {}

    def happen(self, duty: str, subject: str, when: datetime, verdict: Verdict) -> None:
        """A subject turns to a verdict."""
        self.tracks.setdefault((duty, subject), []).append(Flip(when, verdict))
        self.write("flip", duty, subject, when, {"verdict": verdict.value})

    def cease(self, duty: str, subject: str, when: datetime) -> None:
        """A subject is no more: the engine's last line of it, and no state."""
        self.happen(duty, subject, when, Verdict.UNSEEN)
        self.gone.add((duty, subject))

    def write(self, kind: str, duty: str, subject: str, when: datetime, body: dict[str, Any]) -> None:
        """One ledger line, hashed as RFC 6962 leaves are."""
        stored = json.dumps({"kind": kind, "duty": duty, "subject": subject, "time": str(when), **body}, sort_keys=True)
        leaf = hashlib.sha256(b"\0" + stored.encode()).hexdigest()
        self.lines.append(Evidence("an-binh", len(self.lines), when, kind, duty, subject, body, leaf))

    def states(self, site: str, duty: str = "") -> list[State]:
        found = []
        for (name, subject), flips in sorted(self.tracks.items()):
            if duty in ("", name) and (name, subject) not in self.gone:
                seen = self.seen.get((name, subject), NOW)
                found.append(
                    State(site, name, subject, flips[-1].verdict, flips[-1].time, seen, Text("", ""), {}, "", 0, 3600.0)
                )
        return found

    def evidence(
        self,
        site: str,
        *,
        kind: str = "",
        duty: str = "",
        subject: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        newest: int = 0,
    ) -> list[Evidence]:
        found = [
            line
            for line in self.lines
            if kind in ("", line.kind)
            and duty in ("", line.duty)
            and subject in ("", line.subject)
            and (since is None or line.time >= since)
            and (until is None or line.time < until)
        ]
        return found[-newest:] if newest else found

    def line(self, site: str, seq: int) -> Evidence | None:
        return self.lines[seq] if seq < len(self.lines) else None

    def flips(self, site: str, duty: str, subject: str, start: datetime, end: datetime) -> list[Flip]:
        every = self.tracks.get((duty, subject), [])
        before = [flip for flip in every if flip.time < start][-1:]
        return before + [flip for flip in every if start <= flip.time < end]

    def head(self, site: str) -> tuple[int, str]:
        if not self.lines:
            return 0, ""
        return len(self.lines), hashlib.sha256("".join(line.leaf for line in self.lines).encode()).hexdigest()


def good_year(*without: str) -> World:
    """Every duty met from before the period to its end, but those named."""
    world = World()
    for duty, subjects in NAMES.items():
        for subject in subjects if duty not in without else ():
            world.happen(duty, subject, START - timedelta(days=1), Verdict.MET)
        if duty not in without:
            world.write("daily", duty, "", NOW - timedelta(hours=20), {"day": "2026-12-14"})
    return world


def mixed_year() -> World:
    """A year as years are: outages, a late backup, a leaver still active, a drill that began late, a source that fell silent."""
    world = good_year("accounts.leavers", "accounts.refused", "backup.drill", "host.load")
    for month in (2, 5, 9):
        down = datetime(2026, month, 10, 1, 0, tzinfo=UTC)
        world.happen("web.http", "ipv6", down, Verdict.BROKEN)
        world.happen("web.http", "ipv6", down + timedelta(hours=3, minutes=20), Verdict.MET)
    world.happen("backup.fresh", "user", datetime(2026, 4, 3, tzinfo=UTC), Verdict.BROKEN)
    world.happen("backup.fresh", "user", datetime(2026, 4, 6, tzinfo=UTC), Verdict.MET)
    world.happen("tls.certificate", "trang", datetime(2026, 8, 1, tzinfo=UTC), Verdict.AT_RISK)
    world.happen("tls.certificate", "trang", datetime(2026, 8, 4, tzinfo=UTC), Verdict.MET)
    world.happen("accounts.leavers", "all", START + HOUR, Verdict.MET)
    world.happen("accounts.refused", "all", START + HOUR, Verdict.MET)
    world.happen("accounts.leavers", "Trần Thị Nghỉ", datetime(2026, 11, 4, tzinfo=UTC), Verdict.BROKEN)
    world.happen("backup.drill", "user", datetime(2026, 7, 1, tzinfo=UTC), Verdict.MET)
    world.happen("backup.drill", "system", datetime(2026, 7, 1, tzinfo=UTC), Verdict.MET)
    world.happen("host.load", "here", START + HOUR, Verdict.MET)
    world.seen["host.load", "here"] = datetime(2026, 6, 1, tzinfo=UTC)
    return world


def make_site(**changes: Any) -> Site:
    """A site with all its paper details."""
    site = Site(
        "an-binh",
        "Trang thông tin điện tử xã An Bình",
        "thong-nhat",
        "https://xaanbinh.example.gov.vn/",
        ("xaanbinh.example.gov.vn",),
        OFFICE,
    )
    return replace(site, **changes)


def make_status(world: World, duties: dict[str, Check], site: Site | None = None) -> status.SiteStatus:
    """The real reading of the site's status."""
    return status.read(site or make_site(), policy.load("thong-nhat"), world, duties, NOW)


def make_report(
    world: World,
    *,
    duties: dict[str, Check] | None = None,
    site: Site | None = None,
    verified: bool = True,
    **more: Any,
) -> Any:
    """The document of the 2026 period."""
    from ops.report.annual_risk import annual_risk

    built = make_duties() if duties is None else duties
    return annual_risk(
        make_status(world, built, site),
        world,
        built,
        more.pop("now", NOW),
        start=more.pop("start", START),
        end=more.pop("end", END),
        verified=verified,
        **more,
    )
