"""Does the front page link to the province's portal, to the public services, and to all that it must?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from monitoring.looking import host_of
from monitoring.pages import Link, front, host_in
from ops import Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say


@check("web.required_links", every=hours(6), clauses=["TN-7.3.link", "P1-2.1.c"],
       patience=Patience(times=2, span=minutes(1)))
def required_links(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the front page link to the province's portal, to the public services, and to all that it must?

    Subjects: "public_services", and each host or address of `monitoring.web.required_links`; without that setting
    "province" (the domain above the site's own). Demanded by the settings and absent: broken. Absent where we only
    guess what is demanded: at risk.
    """
    page = front(site, ctx)
    chosen = ctx.settings.web
    targets = chosen.required_links
    for target in targets:
        label = say("{t}", "{t}", t=target)
        subject = target.removeprefix("https://").removeprefix("http://")[:120]
        yield _judged(subject, [target], label, page.links, site, True)
    if not targets:
        yield from _province(site, page.links)
    services = chosen.public_services
    label = say("cổng dịch vụ công", "the public service portal")
    yield _judged("public_services", services or _services(page.links), label, page.links, site, bool(services))


def _province(site: Site, links: Sequence[Link]) -> Iterator[Finding]:
    labels = host_of(site).split(".")
    if labels[-2:] != ["gov", "vn"] or len(labels) < 4:
        words = say("không suy ra được cổng của tỉnh từ tên miền; ghi vào monitoring.web.required_links",
                    "the province's portal cannot be read off the name; write it into monitoring.web.required_links")
        yield Finding("province", Verdict.UNSEEN, words, next="gaccong config check")
        return
    above = ".".join(labels[-3:])
    label = say("Cổng thông tin điện tử tỉnh ({a})", "the provincial portal ({a})", a=above)
    yield _judged("province", [above, f"www.{above}", f"portal.{above}"], label, links, site, False)


def _services(links: Sequence[Link]) -> list[str]:
    """Hosts among the links that look like a public service portal of the state."""
    return sorted({link.host for link in links if link.host.startswith("dichvucong") and link.host.endswith(".gov.vn")})


def _judged(subject: str, targets: Sequence[str], label: Text, links: Sequence[Link], site: Site,
            demanded: bool) -> Finding:
    loose = demanded  # a host that a person wrote stands for its subdomains too; a guessed one does not
    found = [link for link in links if any(_leads(link, target, loose) for target in targets)]
    kept = {"wanted": list(targets)[:10], "linked_hosts": sorted({link.host for link in found})[:10]}
    figures = {"links": float(len(found))}
    if found:
        words = say("trang chủ có liên kết tới {t}", "the front page links to {e}", t=label.vi, e=label.en)
        return Finding(subject, Verdict.MET, words, figures, kept)
    words = say("trang chủ chưa có liên kết tới {t}; thêm vào trang chủ", "the front page does not link to {e}; add it",
                t=label.vi, e=label.en)
    command = f"curl -sSL {shlex.quote(site.url)} | grep -o 'href=\"http[^\"]*\"' | sort -u"
    return Finding(subject, Verdict.BROKEN if demanded else Verdict.AT_RISK, words, figures, kept, command)


def _leads(link: Link, target: str, loose: bool) -> bool:
    """Whether a link leads to a target: the same host (or one below it), or for an address the same one."""
    if "://" not in target:
        return link.host == target or (loose and link.host.endswith("." + target))
    plain = link.url.partition("://")[2].rstrip("/")
    return plain == target.partition("://")[2].rstrip("/") and host_in(target) == link.host
