"""Statuses as the page and the exporter get them: a real policy, read over a view that holds what a test says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ops import Change, Check, Evidence, Patience, Site, SiteStatus, State, Verdict, hours, say
from ops import status as status_module
from ops.model import NOTHING, Text
from ops.policy import Attested, Clause, Policy
from tests.kit import NOW, Bare

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
HOSTILE = "<script>alert('x')</script>\"'&{{7*7}}"


class Shelf(Bare):
    """A view with these states and lines."""

    def __init__(self, states: list[State], lines: list[Evidence] | None = None) -> None:
        self._states, self._lines = states, lines or []

    def states(self, site: str, duty: str = "") -> list[State]:
        return [one for one in self._states if one.site == site and duty in ("", one.duty)]

    def evidence(self, site: str, **wanted: Any) -> list[Evidence]:
        return [one for one in self._lines if all(wanted.get(key, "") in ("", getattr(one, key))
                                                  for key in ("kind", "duty", "subject"))]

    def head(self, site: str) -> tuple[int, str]:
        return 1204, "5f2a" * 16


def state(duty: str, subject: str, verdict: Verdict, vi: str, en: str, *, ago: timedelta = timedelta(hours=3),
          now: datetime = NOW, evidence: int = 41, command: str = "", measures: dict[str, float] | None = None,
          site: str = "xamau") -> State:
    """A state of `site`, `ago` old, seen a minute ago."""
    return State(site, duty, subject, verdict, now - ago, now - timedelta(minutes=1), Text(vi, en), measures or {},
                 command, evidence, 300.0)


def duty(name: str, *clauses: str, private: bool = False) -> Check:
    """A built check that nobody will run."""

    def look(site: Site, ctx: Any) -> list[Any]:
        """Is it so?"""
        raise AssertionError("not to be run")

    return Check(name, clauses, look, 10.0, hours(1), Patience(), "", private)


def clause(number: str, vi: str, *answered: str, attested: bool = False) -> Clause:
    """A clause with these duties."""
    what = Attested(say("Đã xem tận nơi", "Seen on the spot"), 365) if attested else None
    return Clause(number, number.partition("-")[2], Text(vi, "In English: " + vi), "A", answered, what,
                  cite=Text(f"Điều {number.partition('-')[2]}", f"Article {number.partition('-')[2]}"))


def policy(*clauses: Clause) -> Policy:
    """A small policy."""
    return Policy("thong-nhat", "TN", say("Quy chế xã mẫu", "Regulation of a sample commune"), "", "2025",
                  say("UBND xã", "the committee"), clauses)


def read(states: list[State], rules: Policy, duties: list[Check | Change], *, name: str = "Xã Suối Trong", site: str = "xamau",
         now: datetime = NOW, lines: list[Evidence] | None = None, thresholds: Any = NOTHING) -> SiteStatus:
    """The status by the kernel's own reading."""
    place = Site(site, name, rules.id, "https://xamau.test/", ("xamau.test",), thresholds=thresholds)
    return status_module.read(place, rules, Shelf(states, lines), {one.name: one for one in duties}, now)


def night(now: datetime = NOW, site: str = "xamau", name: str = "Xã Suối Trong") -> SiteStatus:
    """A bad night, under the real policy: broken, at risk, unseen, met, persons among the subjects."""
    from ops.policy import load

    found = [
        ("web.http", "ipv4", MET, "IPv4 trả lời mã 200 sau 84 ms", "IPv4 answers 200 in 84 ms", "", 30),
        ("web.http", "ipv6", BROKEN, "IPv6: máy chủ từ chối kết nối (sau khi chuyển hướng tới https://xasuoitrong.test)",
         "IPv6: the server refuses the connection (after the redirect to https://xasuoitrong.test)",
         "curl -6 -sSLv -o /dev/null https://xasuoitrong.test/", 1198),
        ("web.ipv6", "ipv6", BROKEN, "IPv6: máy chủ từ chối kết nối", "IPv6: the server refuses the connection",
         "curl -6 -sSLv -o /dev/null https://xasuoitrong.test/", 1199),
        ("dns.address", "A", MET, "1 tên có bản ghi A", "1 names have A records", "", 31),
        ("dns.address", "AAAA", MET, "1 tên có bản ghi AAAA", "1 names have AAAA records", "", 31),
        ("tls.certificate", "ipv4", RISK, "xasuoitrong.test: chứng thư còn 9 ngày (đến 29/11/2026), nơi cấp CA mẫu",
         "xasuoitrong.test: certificate good for 9 days (to 29/11/2026) by Sample CA", "certbot renew", 1150),
        ("host.disk", "/", RISK, "/ còn trống 7 % dung lượng, 61 % số tệp", "/ has 7 % of room and 61 % of inodes free",
         "df -h /", 1160),
        ("host.load", "cpu", MET, "tải 5 phút: 0.31 mỗi nhân", "load of 5 minutes: 0.31 for each core", "", 33),
        ("backup.fresh", "user", MET, "4 ngày trong tuần này", "4 days this week", "", 1100),
        ("backup.fresh", "system", MET, "3 ngày trong tuần này", "3 days this week", "", 1101),
        ("backup.contents", "user", MET, "412 tệp, khớp với nguồn", "412 files, as at the source", "", 1102),
        ("accounts.leavers", "Nguyễn Văn Mẫu", BROKEN, "Nguyễn Văn Mẫu còn 2 tài khoản", "Nguyễn Văn Mẫu keeps 2 logins",
         "gaccong plan accounts.revoke person='Nguyễn Văn Mẫu'", 1190),
    ]
    states = [state(duty_, subject, verdict, vi, en, command=command, evidence=number, now=now, site=site,
                    ago=timedelta(hours=3, minutes=7) if verdict is BROKEN else timedelta(days=2, hours=5))
              for duty_, subject, verdict, vi, en, command, number in found]
    names = dict.fromkeys(one.duty for one in states)
    duties = [duty(one, private=one.startswith("accounts.")) for one in [*names, "backup.integrity", "accounts.refused"]]
    change = Change("backup.run", (), lambda site, ctx: None, 10.0)
    done = Evidence(site, 1103, now - timedelta(hours=9), "outcome", "backup.run", "user",
                    {"outcome": "proved", "args": {"set": "user"}})
    return read(states, load("thong-nhat"), [*duties, change], now=now, site=site, name=name, lines=[done],
                thresholds={"backup.days_per_week": 2.0})
