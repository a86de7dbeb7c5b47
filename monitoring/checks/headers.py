"""Does the front page carry the security headers?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from monitoring.looking import with_expected
from monitoring.pages import get
from monitoring.probe import Sight
from ops import CannotSee, Context, Finding, Site, Verdict, check, hours, say

SHORTEST = 15_552_000
"""Seconds of HSTS below which a browser forgets between two rare visits: half a year, a common recommendation."""
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d{1,12})", re.I)
_LEAKY = frozenset({"unsafe-url"})


@check("web.headers", every=hours(6), clauses=["TN-10.1.b.att"])
def headers(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the front page carry the security headers?

    Subject "front". HSTS (RFC 6797), Content-Security-Policy, X-Content-Type-Options, frame-ancestors or
    X-Frame-Options, Referrer-Policy. No Vietnamese rule names them, so a missing one is at risk, never broken.
    """
    sight = with_expected(get(site, ctx, site.url), ctx.settings.expect)
    if sight.reason is not None:
        raise CannotSee(
            say("trang chủ không mở được: {vi}", "the front page did not open: {en}", vi=sight.reason.words.vi,
                en=sight.reason.words.en),
            say("xem mục web.http", "see web.http"), site=site.id,
        )
    yield _judged(sight, ctx.settings.web.headers)


def _judged(sight: Sight, wanted: tuple[str, ...]) -> Finding:
    given = _joined(sight)
    https = sight.last is not None and sight.last.scheme == "https"
    wanted = tuple(name for name in wanted if https or name != "strict-transport-security")
    faults = {name: fault for name in wanted if (fault := _fault(name, given))}
    missing = sorted(name for name, fault in faults.items() if fault == "missing")
    weak = {name: fault for name, fault in sorted(faults.items()) if fault != "missing"}
    kept = {
        "missing": missing, "weak": weak,
        "shows_version": bool(re.search(r"/\d", given.get("server", "")[:200]) or given.get("x-powered-by")),
    }
    age = _MAX_AGE.search(given.get("strict-transport-security", ""))
    figures = {
        "missing_headers": float(len(missing)), "weak_headers": float(len(weak)),
        "hsts_max_age_seconds": float(age.group(1)) if age and https else 0.0,
    }
    if not faults:
        words = say("đủ {n} tiêu đề bảo mật", "all {n} security headers are there", n=len(wanted))
        return Finding("front", Verdict.MET, words, figures, kept)
    named = ", ".join(sorted(faults))
    words = say("thiếu hoặc yếu tiêu đề bảo mật: {n}; thêm vào cấu hình máy chủ web",
                "security headers missing or weak: {n}; add them to the web server's configuration", n=named)
    command = shlex.join(["curl", "-sSI", sight.final or sight.url])
    return Finding("front", Verdict.AT_RISK, words, figures, kept, command)


def _joined(sight: Sight) -> Mapping[str, str]:
    """Headers by name; several of one name are one list (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in sight.headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _fault(name: str, given: Mapping[str, str]) -> str:
    """What is wrong with one header: "", "missing", or a word that says how it is weak."""
    value = given.get(name, "").lower()
    if name == "frame-ancestors":
        policy = given.get("content-security-policy", "").lower()
        frames = given.get("x-frame-options", "").strip().lower()
        if "frame-ancestors" in policy or frames.partition(",")[0] in ("deny", "sameorigin"):
            return ""
        return "unknown_value" if frames else "missing"
    if not value:
        return "missing"
    if name == "strict-transport-security":
        age = _MAX_AGE.search(value)
        return "" if age and int(age.group(1)) >= SHORTEST else "too_short"
    if name == "content-security-policy" and not re.search(r"(default|script)-src", value):
        return "no_script_source"
    if name == "x-content-type-options" and "nosniff" not in value:
        return "unknown_value"
    if name == "referrer-policy" and value.rpartition(",")[2].strip() in _LEAKY:
        return "tells_whole_address"
    return ""
