"""Finds what a page offers by the words of its links (questions, opinions, contact), and whether it works."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

from monitoring.pages import Link, Page, bare, get, internal, is_public_site, read, short, whole
from monitoring.probe import Sight
from ops import Context, Finding, Site, Text, Verdict, say

QUESTIONS = re.compile(
    r"\bhoi\s*[-–&,va ]{0,4}\s*dap\b|(gui|dat) cau hoi|cau hoi (cua )?(cong dan|nguoi dan)|\bq ?& ?a\b|\bfaq\b"
)
OPINIONS = re.compile(r"gop y|phan anh|kien nghi|y kien")
CONTACT = re.compile(r"lien he|duong day nong|gop y|phan anh")
_MAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,6}", re.I)


@dataclass(frozen=True, slots=True)
class Offer:
    """A function of the site. link: None when none was found. form: it has a field to write in; mail: an address."""

    link: Link | None
    demanded: bool
    sight: Sight | None = None
    form: bool = False
    mail: bool = False


def offer(site: Site, ctx: Context, page: Page, words: re.Pattern[str], place: str) -> Offer:
    """The function at a place of the settings, else behind the first link of the front page with such words.

    A link that merely names it within a headline does not count: at most 60 letters.
    """
    url = whole(site, place) if place else ""
    named = [one for one in page.links if len(one.words) <= 60 and words.search(bare(one.words))]
    named.sort(key=lambda one: not internal(site, one.url))
    link = Link(url, "") if url else named[0] if named else None
    if link is None:
        return Offer(None, bool(place))
    sight = get(site, ctx, link.url, guarded=is_public_site(page))
    if sight.reason is not None:
        return Offer(link, bool(place), sight)
    there = read(sight)
    fields = "form textarea,form input[type=email],form input[type=text],textarea,iframe[src*=form]"
    field = there.tree.css_first(fields)
    mail = there.tree.css_first("a[href^='mailto:']") is not None or _MAIL.search(there.text) is not None
    return Offer(link, bool(place), sight, field is not None, mail)


def judged(subject: str, found: Offer, name: Text, setting: str, site: Site, *, needs_form: bool) -> Finding:
    """The finding for one function. Broken: its page does not open, or the settings name it and it is not there."""
    kept: dict[str, Any] = {"form": found.form, "mail": found.mail, "demanded": found.demanded}
    if found.link is None:
        words = say("trang chủ không có liên kết tới {v}; thêm liên kết, hoặc ghi địa chỉ vào monitoring.web.{s}",
                    "the front page has no link to {e}; add one, or write its address into monitoring.web.{s}",
                    v=name.vi,
                    e=name.en, s=setting)
        return Finding(subject, Verdict.AT_RISK, words, facts=kept, next=shlex.join(["curl", "-sSL", site.url]))
    kept["place"] = short(found.link.url)
    command = shlex.join(["curl", "-sSL", found.link.url])
    reason = found.sight.reason if found.sight is not None else None
    if reason is not None and found.sight is not None:
        verdict = Verdict.UNSEEN if found.sight.ours or not internal(site, found.link.url) else Verdict.BROKEN
        words = say("{v} ({p}) không mở được: {w}", "{e} ({p}) does not open: {x}", v=name.vi, e=name.en,
                    p=kept["place"],
                    w=reason.words.vi, x=reason.words.en)
        return Finding(subject, verdict, words, facts={**kept, "reason": reason.value}, next=command)
    if found.form or (found.mail and not needs_form):
        words = say("có {v}: {p}", "there is {e}: {p}", v=name.vi, e=name.en, p=kept["place"])
        return Finding(subject, Verdict.MET, words, facts=kept)
    words = say("{v} ({p}) mở được nhưng không thấy chỗ gửi (biểu mẫu hoặc thư điện tử)",
                "{e} ({p}) opens, but there is nowhere to write (form or e-mail)", v=name.vi, e=name.en,
                p=kept["place"])
    return Finding(subject, Verdict.AT_RISK, words, facts=kept, next=command)
