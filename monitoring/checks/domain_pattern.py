"""Is the site's name the one that its regulation lays down?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from monitoring.checks.tld_vn import TRIAL
from monitoring.endpoints import is_literal
from monitoring.looking import host_of
from ops import Context, Finding, Site, Text, Verdict, check, days, say

SUBJECT = "domain"
STATE = ".gov.vn"


@check("dns.domain_pattern", every=days(1), clauses=["TN-3.1", "P1-2.3", "KP-3.1", "LL-3"])
def domain_pattern(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the site's host the one that the regulation names (`monitoring.dns.pattern`)?

    Subject "domain". Nothing is asked of the network. Without a pattern: broken outside .gov.vn (every regulation
    here names a host under it), unseen inside, since the exact name is not known. NĐ 224/2026 art. 11.4.c wants
    commune.province.gov.vn; a name that fits its regulation and not the decree is met, and told.
    """
    host, patterns = host_of(site), ctx.settings.dns.pattern
    facts = {"host": host, "patterns": list(patterns), "decree_shape": decree_shape(host)}
    figures = {"labels": float(host.count(".") + 1)}

    def found(verdict: Verdict, words: Text, command: str = "") -> Finding:
        return Finding(SUBJECT, verdict, words, figures, facts, command)

    if patterns:
        if any(fits(host, pattern) for pattern in patterns):
            yield found(Verdict.MET, _fitting(host))
        else:
            words = say("{h} không đúng tên miền quy định ({p})", "{h} is not the name laid down ({p})", h=host,
                        p=", ".join(patterns[:3]))
            yield found(Verdict.BROKEN, words)
        return
    line = f"pattern = {json.dumps([host])}"
    if host.rpartition(".")[2] in TRIAL:
        yield found(Verdict.UNSEEN, say(
            "{h} là tên để thử; ghi tên quy định vào [site.{s}.monitoring.dns]: {l}",
            "{h} is a name for trials; write the one laid down into [site.{s}.monitoring.dns]: {l}", h=host, s=site.id, l=line,
        ), "gaccong config schema")
    elif is_literal(host) or not host.endswith(STATE):
        yield found(Verdict.BROKEN, say("{h} không nằm dưới .gov.vn", "{h} is not under .gov.vn", h=host))
    else:
        yield found(Verdict.UNSEEN, say(
            "chưa biết quy chế ghi tên nào; nếu đúng là {h}, ghi vào [site.{s}.monitoring.dns]: {l}",
            "which name the regulation lays down is not known; if it is {h}, write into [site.{s}.monitoring.dns]: {l}",
            h=host, s=site.id, l=line,
        ), "gaccong config schema")


def fits(host: str, pattern: str) -> bool:
    """Whether a name fits `*.x.y` (the star is one label, never more) or is the very name."""
    if not pattern.startswith("*."):
        return host == pattern
    first, _, rest = host.partition(".")
    return bool(first) and rest == pattern[2:]


def decree_shape(host: str) -> bool:
    """Whether a name has the form commune.province.gov.vn (NĐ 224/2026 art. 11.4.c): four labels, no diacritics."""
    labels: Sequence[str] = host.split(".")
    return len(labels) == 4 and host.endswith(STATE) and not any(label.startswith("xn--") for label in labels)


def _fitting(host: str) -> Text:
    if decree_shape(host) or not host.endswith(STATE):
        return say("{h} đúng tên miền quy định", "{h} is the name laid down", h=host)
    return say(
        "{h} đúng quy chế; nhưng chưa đúng mẫu tênxã.têntỉnh.gov.vn của điểm c khoản 4 Điều 11 NĐ 224/2026",
        "{h} is the name laid down; yet not of the form commune.province.gov.vn of NĐ 224/2026 art. 11.4.c", h=host,
    )
