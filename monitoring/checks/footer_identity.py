"""Does the front page say who runs it: body, parent body, address, e-mail, phone, and which office is responsible?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from monitoring.pages import Page, bare, fold, front, words_of
from ops import Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say

_PHONE = re.compile(r"(?<![\d.,/-])(\(?\+?84\)?|\(?0)[\d .()-]{7,15}\d(?![\d/])")
_MAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,6}", re.I)
_WORDS = {
    "body": re.compile(r"uy ban nhan dan|\bubnd\b|co quan (chu quan|quan ly)|don vi quan ly"),
    "parent": re.compile(r"co quan chu quan|truc thuoc|thuoc (ubnd|uy ban nhan dan)|"
                         r"(ubnd|uy ban nhan dan) (tinh|thanh pho|tp)|cong thong tin dien tu (tinh|thanh pho)"),
    "address": re.compile(r"dia chi|tru so"),
    "responsible": re.compile(r"chiu trach nhiem|truong ban bien tap|nguoi phu trach|tong bien tap"),
}
_LABELS = {
    "body": say("cơ quan quản lý trang", "the managing body"),
    "parent": say("cơ quan chủ quản", "the parent body"),
    "address": say("địa chỉ trụ sở", "the address"),
    "phone": say("số điện thoại", "a phone number"),
    "mail": say("thư điện tử", "an e-mail address"),
    "responsible": say("người chịu trách nhiệm nội dung (ghi chức vụ)", "who answers for the content (by office)"),
}


@check("web.footer_identity", every=hours(6), clauses=["TN-3.2"], patience=Patience(times=2, span=minutes(1)))
def footer_identity(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the front page say who runs it: body, parent body, address, e-mail, phone, and which office is responsible?

    Decree 174/2026/NĐ-CP, article 93(1). One subject for each: "body", "parent", "address", "phone", "mail",
    "responsible". A text of `monitoring.web.identity` must stand there as it is: without it, broken. Where no text is
    given, words of that kind are looked for, and their absence is at risk (they may stand in a picture). The footer is
    read first, then the whole page; no text of either is kept.
    """
    page = front(site, ctx)
    footer = footer_of(page)
    for subject, label in _LABELS.items():
        if not ctx.subjects or subject in ctx.subjects:
            yield _judged(subject, label, getattr(ctx.settings.web.identity, subject), footer, page, site)


def footer_of(page: Page) -> str:
    """The text of the footer: the element, or what is called so; "" when there is none."""
    nodes = page.tree.css("footer,[role=contentinfo],[id*=footer],[class*=footer]")[:10]
    return " ".join(words_of(node, 20_000) for node in nodes)


def _judged(subject: str, label: Text, wanted: str, footer: str, page: Page, site: Site) -> Finding:
    texts = (("footer", footer), ("page", page.text))
    where = next((name for name, text in texts if _stands(subject, wanted, text)), "")
    if not where and subject == "mail" and not wanted and page.tree.css_first("a[href^='mailto:']") is not None:
        where = "page"
    if not where and subject == "phone" and not wanted and page.tree.css_first("a[href^='tel:']") is not None:
        where = "page"
    kept = {"where": where, "demanded": bool(wanted), "has_footer": bool(footer)}
    if where:
        words = say("trang chủ có ghi {v}", "the front page shows {e}", v=label.vi, e=label.en)
        return Finding(subject, Verdict.MET, words, facts=kept)
    words = say("trang chủ chưa ghi {v}; ghi vào chân trang bằng chữ",
                "the front page does not show {e}; write it into the footer, as text", v=label.vi, e=label.en)
    return Finding(subject, Verdict.BROKEN if wanted else Verdict.AT_RISK, words, facts=kept,
                   next=shlex.join(["curl", "-sSL", site.url]))


def _stands(subject: str, wanted: str, text: str) -> bool:
    if wanted:
        digits = re.sub(r"\D", "", wanted)
        if subject == "phone" and digits:
            return digits in re.sub(r"\D", "", text)
        return fold(wanted) in fold(text)
    if subject == "phone":
        return _PHONE.search(text) is not None
    if subject == "mail":
        return _MAIL.search(text) is not None
    return _WORDS[subject].search(bare(text)) is not None
