"""Has somebody taken a name that looks like the site's?"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from monitoring.checks.tld_vn import TRIAL
from monitoring.endpoints import Family, is_literal
from monitoring.looking import host_of, names_of
from monitoring.names import Lookup, lookup
from monitoring.reasons import NO_ADDRESS
from ops import Context, Finding, Site, Verdict, check, days, say

MOST = 160
SECONDS = 60.0
ENDINGS = ("vn", "com.vn", "net.vn", "org.vn", "com", "net", "org", "info", "site", "online", "top", "xyz", "cc")
_TWINS = {"o": "0", "l": "1", "i": "1", "m": "rn", "n": "m", "g": "q", "u": "v", "e": "3", "a": "4"}
SUBJECT = "lookalikes"


@check("dns.lookalike", every=days(1), clauses=["BQ-6.1.đ"], timeout=100)
def lookalike(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does a name exist that visitors could take for the site's own?

    Subject "lookalikes". At most 160 names are made from the site's own (its labels run together under other endings,
    dots turned to hyphens, letters that look alike, one letter left out or doubled) and looked up. One that exists and
    leads elsewhere is at risk until a person has judged it (`monitoring.dns.lookalikes_known`): that a name exists is
    no proof of a fake. Nothing is fetched from it. Certificates' logs and lists of new names are not read.
    """
    host = host_of(site)
    if is_literal(host) or host.rpartition(".")[2] in TRIAL or host.count(".") < 1:
        words = say("{h} không có tên để so", "{h} has no name to compare with", h=host)
        yield Finding(SUBJECT, Verdict.UNSEEN, words)
        return
    until = time.monotonic() + SECONDS
    liar = _look([f"{sha256(host.encode()).hexdigest()[:20]}.vn"], ctx, until)[0]
    if liar.addresses or liar.reason not in NO_ADDRESS:
        words = say("máy phân giải không nói đúng về tên không có; đặt monitoring.nameservers khác",
                    "the resolver does not tell the truth about a name that is not there; set other monitoring.nameservers")
        yield Finding(SUBJECT, Verdict.UNSEEN, words, facts={"reason": liar.reason.value if liar.reason else "liar"})
        return
    known = {*ctx.settings.dns.lookalikes_known, *names_of(site)}
    asked = [name for name in made_from(host) if name not in known]
    yield _judged(host, _look(asked, ctx, until), _own(site, ctx), ctx)


def _own(site: Site, ctx: Context) -> set[str]:
    """The site's own addresses: a look-alike that leads there is ours."""
    seconds = min(5.0, ctx.settings.timeout_seconds)
    return {address for name in names_of(site)[:5] for family in Family
            for address in lookup(name, family, ctx.settings.nameservers, seconds).addresses}


def _look(names: Sequence[str], ctx: Context, until: float) -> list[Lookup]:
    """Looks the names up (A; what has only AAAA is rare and is not looked for), eight at a time, until the time is up."""
    def one(name: str) -> Lookup:
        left = until - time.monotonic()
        return lookup(name, Family.IPV4, ctx.settings.nameservers, max(0.05, min(3.0, left)))

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, names))


def _judged(host: str, found: Sequence[Lookup], own: set[str], ctx: Context) -> Finding:
    taken = [one for one in found if one.addresses and not own & set(one.addresses)]
    unsure = [one for one in found if not one.addresses and one.reason not in NO_ADDRESS]
    figures = {"asked": float(len(found)), "taken": float(len(taken)), "unanswered": float(len(unsure))}
    facts = {"taken": {one.name: list(one.addresses[:2]) for one in taken[:20]}}
    if taken:
        words = say(
            "{n} tên giống {h} đang có người dùng: {l}; xem từng tên rồi ghi vào monitoring.dns.lookalikes_known",
            "{n} names like {h} are in use: {l}; look at each, then write it into monitoring.dns.lookalikes_known",
            n=len(taken), h=host, l=", ".join(one.name for one in taken[:4]),
        )
        return Finding(SUBJECT, Verdict.AT_RISK, words, figures, facts, shlex.join(["dig", "+short", taken[0].name]))
    if len(unsure) * 2 > len(found):
        words = say("phần lớn tên không hỏi được ({n} trên {m})", "most names got no answer ({n} of {m})", n=len(unsure),
                    m=len(found))
        return Finding(SUBJECT, Verdict.UNSEEN, words, figures, facts)
    words = say("không thấy tên nào giống {h} trong {n} tên đã hỏi", "none of {n} names like {h} is in use", h=host,
                n=len(found) - len(unsure))
    return Finding(SUBJECT, Verdict.MET, words, figures, facts)


def made_from(host: str) -> list[str]:
    """The look-alikes of a name, the likeliest first, each once, at most `MOST`; always the same for the same name."""
    labels = host.split(".")
    core = [label for label in labels if label not in ("vn", "gov", "www", "com")] or labels[:1]
    whole, stem = "".join(core), core[0]
    stems = [whole, "-".join(core), stem, f"{'-'.join(core)}-gov", f"{whole}gov", f"{'-'.join(core)}-gov-vn", f"{whole}govvn",
             f"{stem}-gov", f"{stem}gov"]
    made = [f"{one}.{ending}" for one in dict.fromkeys(stems) for ending in ENDINGS[:8]]
    made += [f"{host.replace('.', '-')}.{ending}" for ending in ENDINGS]
    rest = host.partition(".")[2]
    made += [f"{one}.{rest}" for one in _slips(stem)]
    made += [f"{one}.{ending}" for one in _slips(whole)[:20] for ending in ("vn", "com")]
    return [one for one in dict.fromkeys(made) if one != host and _fit(one)][:MOST]


def _slips(label: str) -> list[str]:
    """One letter that looks alike, one left out, one doubled."""
    found = [label[:at] + _TWINS[sign] + label[at + 1:] for at, sign in enumerate(label) if sign in _TWINS]
    found += [label[:at] + label[at + 1:] for at in range(1, len(label))]
    found += [label[:at] + sign + label[at:] for at, sign in enumerate(label)]
    return [one for one in dict.fromkeys(found) if one != label and one]


def _fit(name: str) -> bool:
    return len(name) < 250 and all(0 < len(label) < 64 and label.strip("-") == label for label in name.split("."))
