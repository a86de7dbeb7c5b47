"""Has the site one official address, to which its other names lead?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from urllib.parse import urlsplit

from monitoring.endpoints import bracketed, is_literal
from monitoring.looking import host_of, names_of
from monitoring.pages import absolute, get, host_in, read
from monitoring.probe import Sight
from monitoring.reasons import CERTIFICATE, NO_ADDRESS
from ops import Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say


@check("web.canonical_host", every=hours(1), clauses=["TN-2.1"], patience=Patience(times=2, span=minutes(1)))
def canonical_host(site: Site, ctx: Context) -> Iterator[Finding]:
    """Has the site one official address, to which its other names lead?

    Subjects: each name of the site, and `www.` before the official one when it resolves. Another name that shows the
    page itself is broken (at risk when the page says by `link rel=canonical` which address counts, or when the name
    stands in no setting). A name without address, or that answers nothing, is no second address.
    """
    official = host_of(site)
    yield _official(site, ctx, official)
    others = [name for name in names_of(site) if name != official]
    www = f"www.{official}"
    guess = [www] if www not in others and not official.startswith("www.") and not is_literal(official) else []
    for name in [*others, *guess]:
        sight = get(site, ctx, _with_host(site.url, name))
        if name in guess and (sight.reason in NO_ADDRESS or sight.ours) and not ctx.subjects:
            continue
        yield _other(site, sight, name, official, known=name not in guess)


def _with_host(url: str, name: str) -> str:
    split = urlsplit(url)
    port = f":{split.port}" if split.port else ""
    return f"{split.scheme}://{bracketed(name)}{port}{split.path or '/'}"


def _last(sight: Sight) -> str:
    return sight.last.host.lower() if sight.last is not None else ""


def _official(site: Site, ctx: Context, official: str) -> Finding:
    sight = get(site, ctx, site.url)
    if sight.reason is not None:
        return _unseen(site, sight, official)
    ended = _last(sight)
    kept = {"ends_at": ended, "official": official}
    if ended != official:
        words = say("địa chỉ ghi trong cấu hình ({o}) chuyển sang {e}; sửa một trong hai cho khớp",
                    "the configured address ({o}) leads on to {e}; make the two agree", o=official, e=ended)
        return Finding(official, Verdict.BROKEN, words, facts=kept, next=_curl(sight.url))
    said = _said(sight)
    if said and host_in(said) != official:
        words = say("trang chủ tự ghi địa chỉ chính thức là {s}, khác {o}; sửa thẻ link rel=canonical",
                    "the front page names {s} as its official address, not {o}; mend link rel=canonical",
                    s=host_in(said), o=official)
        return Finding(official, Verdict.AT_RISK, words, facts={**kept, "says": host_in(said)}, next=_curl(sight.url))
    return Finding(official, Verdict.MET, say("địa chỉ chính thức là {o}", "the official address is {o}", o=official),
                   facts=kept)


def _said(sight: Sight) -> str:
    page = read(sight)
    for node in page.tree.css("link[rel][href]"):
        if "canonical" in (node.attributes.get("rel") or "").lower().split():
            return absolute(page.base, node.attributes.get("href") or "")
    return ""


def _other(site: Site, sight: Sight, name: str, official: str, *, known: bool) -> Finding:
    ended = _last(sight)
    kept = {"ends_at": ended, "official": official, "reason": sight.reason.value if sight.reason else ""}
    if sight.reason in NO_ADDRESS:
        words = say("{n} không có địa chỉ nên không thành trang thứ hai", "{n} has no address: it is no second page",
                    n=name)
        return Finding(name, Verdict.MET, words, facts=kept)
    if ended == official and sight.reason is None:
        return Finding(name, Verdict.MET, say("{n} chuyển về {o}", "{n} leads to {o}", n=name, o=official), facts=kept)
    if sight.reason in CERTIFICATE and ended == name:
        words = say("{n}: {vi} nên chưa chuyển về được {o}; xin chứng thư cho cả tên này",
                    "{n}: {en}, so it cannot lead to {o}; get a certificate for this name too", n=name, o=official,
                    vi=sight.reason.words.vi, en=sight.reason.words.en)
        return Finding(name, Verdict.AT_RISK, words, facts=kept, next=_curl(sight.url))
    if sight.reason is not None:
        return _unseen(site, sight, name)
    return _second(sight, name, official, ended, kept, known)


def _second(sight: Sight, name: str, official: str, ended: str, kept: dict[str, str], known: bool) -> Finding:
    points = host_in(_said(sight)) == official
    verdict = Verdict.AT_RISK if points or not known else Verdict.BROKEN
    words: Text
    if ended != name:
        words = say("{n} chuyển sang {e}, không phải {o}; chuyển hướng 301 về {o}",
                    "{n} leads to {e}, not to {o}; redirect it to {o} with 301", n=name, e=ended, o=official)
    else:
        words = say("{n} tự mở trang, thành địa chỉ thứ hai; chuyển hướng 301 về {o}",
                    "{n} shows the page itself, a second address; redirect it to {o} with 301", n=name, o=official)
    return Finding(name, verdict, words, facts=kept, next=_curl(sight.url))


def _unseen(site: Site, sight: Sight, subject: str) -> Finding:
    reason = sight.reason
    words = say("{n} chưa xem được: {vi}", "{n} was not seen: {en}", n=subject, vi=reason.words.vi if reason else "",
                en=reason.words.en if reason else "")
    return Finding(subject, Verdict.UNSEEN, words, facts={"reason": reason.value if reason else ""},
                   next=shlex.join(["gaccong", "look", "web.http", "--site", site.id]))


def _curl(url: str) -> str:
    return shlex.join(["curl", "-sSI", url])
