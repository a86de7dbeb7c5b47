"""Do the links of the front page and of the sections lead somewhere?"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.robotparser import RobotFileParser

from monitoring.pages import Link, Pace, Page, front, get, internal, is_public_site, read, short, whole
from monitoring.probe import Sight
from monitoring.reasons import Reason
from ops import Context, Finding, Patience, Site, Verdict, check, days, hours, say

SECONDS = 420.0
"""After that no further link is begun: a look that ends tells more than one that is cut."""
ENOUGH_BYTES = 64 << 10
"""Read of one target: that it answers is all we ask, a film need not come whole."""
_GONE = frozenset({404, 410})
_AWAY = frozenset({Reason.NXDOMAIN, Reason.NO_RECORD, Reason.REFUSED})
"""Trouble that says a link is dead. Silence, bad certificates, refusals (401, 403, 429) may be for us alone."""
_SLEEPY = frozenset({Reason.DNS_TIMEOUT, Reason.DNS_FAILED, Reason.UNREACHABLE, Reason.CONNECT_TIMEOUT, Reason.TIMEOUT})


@dataclass(frozen=True, slots=True)
class _Tried:
    """A link, the page that holds it, and what came: "ok", "dead", "doubt" (not for us to say), "ours"."""

    link: Link
    on: str
    result: str
    reason: str


@check("web.broken_links", every=days(1), clauses=["TN-7.3.link"], patience=Patience(times=2, span=hours(1)),
       timeout=600)
def broken_links(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do the links of the front page and of the sections lead somewhere?

    Subjects "internal" (broken above `monitoring.web.broken_percent`, at risk below) and "external" (at risk at worst:
    the other place is not ours). By GET, since HEAD is often answered wrongly; slowly; robots.txt of the site is
    heeded; a bounded number. Dead: 404, 410, a server error of our own, a name that is gone, a refused connection.
    """
    until = time.monotonic() + SECONDS
    page = front(site, ctx)
    robots = _Robots(site, ctx)
    pace = Pace(ctx.settings.web.per_second, robots.delay)
    found = _collected(site, ctx, page, robots, pace)
    guarded = is_public_site(page)
    for subject, own in (("internal", True), ("external", False)):
        links = [(link, on) for link, on in found.items() if internal(site, link.url) is own]
        links = links[: max(1, ctx.settings.web.links // 2)]
        if own:
            links = [(link, on) for link, on in links if robots.allows(link.url)]
        tried = []
        for link, on in links:
            if time.monotonic() > until:
                break
            pace.wait()
            sight = get(site, ctx, link.url, guarded=guarded, most_bytes=ENOUGH_BYTES)
            tried.append(_Tried(link, on, *_result(sight, own)))
        yield _judged(subject, tried, ctx.settings.web.broken_percent)


class _Robots:
    """The site's robots.txt; everything is allowed when there is none."""

    def __init__(self, site: Site, ctx: Context) -> None:
        self._rules = RobotFileParser()
        sight = get(site, ctx, whole(site, "/robots.txt"), most_bytes=500 << 10)
        text = sight.body.decode("utf-8", "replace") if sight.ok else ""
        self._rules.parse(text.splitlines()[:5000])
        asked = self._rules.crawl_delay("gaccong")
        try:
            self.delay = min(10.0, max(0.0, float(asked or 0)))
        except ValueError:
            self.delay = 0.0

    def allows(self, url: str) -> bool:
        """Whether we may ask for it."""
        return self._rules.can_fetch("gaccong", url)


def _collected(site: Site, ctx: Context, page: Page, robots: _Robots, pace: Pace) -> dict[Link, str]:
    """Links of the front page, then of the section pages (what the menu holds), each with the page that holds it."""
    found: dict[str, tuple[Link, str]] = {link.url: (link, "/") for link in page.links}
    menu = [link for link in page.links if internal(site, link.url) and link.url != page.url]
    menu.sort(key=lambda link: not link.menu)
    for link in menu[: ctx.settings.web.section_pages]:
        if not robots.allows(link.url):
            continue
        pace.wait()
        sight = get(site, ctx, link.url, guarded=is_public_site(page))
        if sight.ok and "html" in sight.content_type.lower():
            for further in read(sight).links:
                found.setdefault(further.url, (further, short(link.url)))
    return dict(found.values())


def _result(sight: Sight, own: bool) -> tuple[str, str]:
    """(result, reason) of one target."""
    reason = sight.reason
    if reason is None or (reason is Reason.TOO_LARGE and 200 <= sight.status < 300):
        return "ok", ""
    if sight.ours:
        return "ours", reason.value
    if reason is Reason.HTTP_STATUS:
        dead = sight.status in _GONE or (own and sight.status >= 500 and sight.status != 503)
        return ("dead" if dead else "doubt"), str(sight.status)
    if reason in _SLEEPY and not own:
        return "doubt", reason.value
    return ("dead" if reason in _AWAY or (own and reason is Reason.REDIRECT_LOOP) else "doubt"), reason.value


def _judged(subject: str, tried: list[_Tried], ceiling: float) -> Finding:
    dead = [one for one in tried if one.result == "dead"]
    known = [one for one in tried if one.result in ("ok", "dead")]
    share = 100.0 * len(dead) / len(known) if known else 0.0
    figures = {
        "links": float(len(tried)), "dead_links": float(len(dead)), "dead_percent": round(share, 2),
        "unjudged_links": float(len(tried) - len(known)),
    }
    kept = {"dead": [{"link": short(one.link.url), "on": one.on, "reason": one.reason} for one in dead[:20]],
            "doubtful": sorted({one.reason for one in tried if one.result == "doubt"})}
    if not tried:
        words = say("không có liên kết nào để thử", "there is no link to try")
        return Finding(subject, Verdict.MET, words, figures, kept)
    hosts = {one.link.host for one in dead}
    if not known or (subject == "external" and len(dead) == len(known) and len(hosts) > 1):
        words = say("không nơi nào trả lời: có thể máy kiểm tra đang bị chặn mạng",
                    "none answered: perhaps it is our own network that is closed")
        return Finding(subject, Verdict.UNSEEN, words, figures, kept, shlex.join(["curl", "-sSI", tried[0].link.url]))
    if not dead:
        words = say("{n} liên kết thử đều mở được", "all {n} links that were tried open", n=len(known))
        return Finding(subject, Verdict.MET, words, figures, kept)
    first = dead[0]
    words = say("{d}/{n} liên kết {k} đã chết, như {l} (ở trang {o}, {r}); sửa hoặc gỡ",
                "{d} of {n} {e} links are dead, like {l} (on {o}, {r}); mend or remove them", d=len(dead), n=len(known),
                k="nội bộ" if subject == "internal" else "ra ngoài", e=subject, l=short(first.link.url), o=first.on,
                r=first.reason)
    verdict = Verdict.BROKEN if subject == "internal" and share > ceiling else Verdict.AT_RISK
    return Finding(subject, verdict, words, figures, kept, shlex.join(["curl", "-sSIL", first.link.url]))
