"""What the checks share: from site and settings to an aim; from a sight to verdict, words, measures, next command."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from monitoring.certificates import day
from monitoring.endpoints import Family, bracketed
from monitoring.probe import Aim, Sight
from monitoring.reasons import CERTIFICATE, NO_ADDRESS, OURS, Reason
from ops import CannotSee, Context, Finding, Site, Text, Verdict, nfc, say

GRAIN = 4096
"""Times are kept in steps of 1/4096 s: exact in binary, so that Prometheus stores them three times smaller."""
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.I)


def aim(site: Site, ctx: Context, family: Family, *, url: str = "", handshake: bool = False) -> Aim:
    """The aim for the site's front page (or `url`) in `family`, by the site's monitoring settings."""
    chosen = ctx.settings
    return Aim(
        url or site.url, family, chosen.nameservers, chosen.reference, chosen.authority, chosen.timeout_seconds,
        handshake=handshake,
    )


def host_of(site: Site) -> str:
    """The ASCII host name of the site's URL. Raises CannotSee when it has none."""
    try:
        host = (urlsplit(site.url).hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        host = ""
    if not host:
        raise CannotSee(
            say("địa chỉ trang {url} không có tên máy", "the site's address {url} has no host", url=site.url),
            say("sửa mục url của trang trong cấu hình", "mend the site's url in the configuration"), site=site.id,
        )
    return host


def names_of(site: Site) -> tuple[str, ...]:
    """The host of the URL and the site's other names, each once."""
    return tuple(dict.fromkeys([host_of(site), *(name.lower().rstrip(".") for name in site.names)]))


def grain(seconds: float) -> float:
    """Seconds rounded to the grain."""
    return round(seconds * GRAIN) / GRAIN


def times(sight: Sight) -> dict[str, float]:
    """The phases as measures."""
    phases = sight.phases
    return {
        "duration_seconds": grain(phases.total), "dns_seconds": grain(phases.dns),
        "connect_seconds": grain(phases.connect), "tls_seconds": grain(phases.tls),
        "first_byte_seconds": grain(phases.first_byte), "transfer_seconds": grain(phases.transfer),
    }


def measures(sight: Sight) -> dict[str, float]:
    """Phases, status, size and number of redirects."""
    return {
        **times(sight), "status_code": float(sight.status), "body_bytes": float(len(sight.body)),
        "redirects": float(max(0, len(sight.hops) - 1)),
    }


def facts(sight: Sight) -> Mapping[str, Any]:
    """What evidence keeps: reason, the way taken (hosts and addresses, no paths), the leaf certificate."""
    found: dict[str, Any] = {
        "family": sight.family.value, "reason": sight.reason.value if sight.reason else "",
        "hops": [f"{hop.scheme}://{bracketed(hop.host)}:{hop.port} [{hop.address}] {hop.status}" for hop in sight.hops],
    }
    if sight.found is not None:
        found["addresses"] = list(sight.found.addresses)
    if sight.chain:
        found["certificate"] = sight.chain[0].facts()
    if sight.faults:
        found["faults"] = [fault.value for fault in sight.faults]
    if sight.reason is not None and sight.words:
        found["words"] = nfc(sight.words)
    return found


def verdict(sight: Sight) -> Verdict:
    """met, broken, or unseen when the trouble is ours."""
    if sight.reason is None:
        return Verdict.MET
    return Verdict.UNSEEN if sight.reason in OURS else Verdict.BROKEN


def detail(sight: Sight) -> Text:
    """One sentence about a sight, with the figures that a person asks for first."""
    if sight.reason is None:
        milliseconds = round(sight.phases.total * 1000)
        return say("{f} trả lời mã {s} sau {ms} ms", "{f} answers {s} in {ms} ms", f=sight.family.label,
                   s=sight.status, ms=milliseconds)
    words, extra = sight.reason.words, _extra(sight)
    return say("{f}: {why}{extra}", "{f}: {en}{extra_en}", f=sight.family.label, why=words.vi, en=words.en,
               extra=extra.vi, extra_en=extra.en)


def _extra(sight: Sight) -> Text:
    """The figure that belongs to a reason: status, day, names, place."""
    reason = sight.reason
    if reason is Reason.HTTP_STATUS:
        return say(" (mã {s})", " (status {s})", s=sight.status)
    if reason in CERTIFICATE and sight.chain:
        return _about_certificate(sight)
    if reason in NO_ADDRESS:
        return say(" ({r})", " ({r})", r=sight.family.record)
    if reason is Reason.REDIRECT_REFUSED:
        return say(" ({w})", " ({w})", w=sight.words[:80])
    last = sight.last
    if len(sight.hops) > 1 and last is not None:
        place = f"{last.scheme}://{bracketed(last.host)}"
        return say(" (sau khi chuyển hướng tới {p})", " (after the redirect to {p})", p=place)
    return Text("", "")


def _about_certificate(sight: Sight) -> Text:
    leaf = sight.chain[0]
    if sight.reason is Reason.TLS_EXPIRED:
        return say(" (từ {d})", " (since {d})", d=day(leaf.not_after))
    if sight.reason is Reason.TLS_NOT_YET_VALID:
        return say(" (có hiệu lực từ {d})", " (valid from {d})", d=day(leaf.not_before))
    if sight.reason is Reason.TLS_NAME:
        return say(" ({n})", " ({n})", n=", ".join(leaf.names[:3]) or leaf.subject)
    return say(" (nơi cấp: {i})", " (issuer: {i})", i=leaf.issuer)


def next_command(sight: Sight) -> str:
    """The command that shows the same trouble by hand; safe to paste, whatever the configuration holds."""
    version = sight.family.version
    last = sight.last
    host = last.host if last else urlsplit(sight.url).hostname or ""
    if sight.reason is None:
        return ""
    if sight.reason in (Reason.NO_ROUTE, Reason.REFERENCE_SILENT):
        return f"ip -{version} route show default"
    if sight.reason is Reason.RESOLVER_SILENT:
        return "cat /etc/resolv.conf"
    if sight.reason.value.startswith("dns_") or sight.reason in NO_ADDRESS:
        return shlex.join(["dig", "+short", sight.family.record, host])
    if sight.reason in CERTIFICATE and last is not None:
        place = f"{bracketed(host)}:{last.port}"
        return shlex.join(["openssl", "s_client", f"-{version}", "-connect", place, "-servername", host, "-brief"])
    return shlex.join(["curl", f"-{version}", "-sSLv", "-o", "/dev/null", sight.url])


def finding(sight: Sight, subject: str) -> Finding:
    """The finding of one sight."""
    return Finding(subject, verdict(sight), detail(sight), measures(sight), facts(sight), next_command(sight))


def text_of_page(sight: Sight) -> str:
    """The page's text as a person may search in it: decoded, tags and entities resolved, NFC, single spaces."""
    return nfc(" ".join(html.unescape(_without_tags(decoded(sight))).split()))


def decoded(sight: Sight) -> str:
    """The body as text, by the charset that header or page name, else UTF-8."""
    found = _CHARSET.search(sight.content_type) or _CHARSET.search(sight.body[:2048].decode("ascii", "replace"))
    try:
        return sight.body.decode(found.group(1) if found else "utf-8", "replace")
    except (LookupError, ValueError):
        return sight.body.decode("utf-8", "replace")


def _without_tags(text: str) -> str:
    """Text between tags, in one pass: a hostile page must not cost more than its length."""
    kept = []
    for piece in text.split("<"):
        tag, closed, rest = piece.partition(">")
        kept.append(rest if closed else tag)
    return " ".join(kept)


def with_expected(sight: Sight, expect: str) -> Sight:
    """The sight, turned into `wrong_text` when the page came but lacks `expect` ("" expects nothing)."""
    if sight.reason is not None or not expect:
        return sight
    wanted = " ".join(nfc(expect).split())
    return sight if wanted in text_of_page(sight) else replace(sight, reason=Reason.WRONG_TEXT)


def similarity(one: str, other: str) -> float:
    """How alike two texts are, 0 to 1: shared runs of three words over all of them (Jaccard); same text is 1."""
    if one == other:
        return 1.0
    left, right = _shingles(one), _shingles(other)
    return len(left & right) / len(left | right) if left or right else 1.0


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text[:400_000].split()
    return {tuple(words[at:at + 3]) for at in range(max(1, len(words) - 2))} if words else set()
