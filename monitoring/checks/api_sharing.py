"""Does the site share its information in a form that machines read?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from monitoring.pages import front, short
from monitoring.samples import Source, sources
from ops import Context, Finding, Patience, Site, Verdict, check, hours, minutes, say


@check("web.api_sharing", every=hours(6), clauses=["TN-7.4"], patience=Patience(times=2, span=minutes(1)),
       timeout=300)
def api_sharing(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the site share its information in a form that machines read?

    RSS, Atom, sitemap or a JSON interface that answers, parses and holds something. With `monitoring.web.sharing`: one
    subject for each place, each must hold. Without: one subject "sharing"; one place that holds is enough, a feed that
    the page advertises and that cannot be read is broken, and nothing in the usual places is at risk.
    """
    page = front(site, ctx)
    found = list(sources(site, ctx, page))
    if ctx.settings.web.sharing:
        for source in found:
            yield _one(source, short(source.url))
        return
    good = [one for one in found if one.shared is not None and one.shared.items]
    if good:
        yield _one(good[0], "sharing")
        return
    promised = [one for one in found if one.named == "advertised"]
    if promised:
        yield _one(promised[0], "sharing")
        return
    if all(one.sight.ours for one in found):
        yield _one(found[0], "sharing")
        return
    words = say("không thấy RSS, sơ đồ trang hay giao diện lập trình ở chỗ thường gặp; bật RSS, hoặc ghi địa chỉ vào "
                "monitoring.web.sharing",
                "no RSS, sitemap or interface in the usual places; switch RSS on, or write its address into "
                "monitoring.web.sharing")
    yield Finding("sharing", Verdict.AT_RISK, words, {"items": 0.0}, {"tried": [short(one.url) for one in found]},
                  shlex.join(["curl", "-sSIL", found[0].url]))


def _one(source: Source, subject: str) -> Finding:
    kept = {"place": short(source.url), "named": source.named, "fault": source.fault}
    command = shlex.join(["curl", "-sSLv", "-o", "/dev/null", source.url])
    if source.sight.ours:
        reason = source.sight.reason
        assert reason is not None
        return Finding(subject, Verdict.UNSEEN, reason.words, facts=kept, next=command)
    if source.shared is None:
        words = say("{p} không đọc được bằng máy ({f})", "{p} cannot be read by a machine ({f})", p=short(source.url),
                    f=source.fault)
        return Finding(subject, Verdict.BROKEN, words, {"items": 0.0}, kept, command)
    count = len(source.shared.items)
    kept = {**kept, "kind": source.shared.kind}
    if not count:
        words = say("{p} đọc được nhưng rỗng", "{p} can be read but is empty", p=short(source.url))
        return Finding(subject, Verdict.BROKEN, words, {"items": 0.0}, kept, command)
    words = say("{p}: {k}, {n} mục", "{p}: {k}, {n} items", p=short(source.url), k=source.shared.kind, n=count)
    return Finding(subject, Verdict.MET, words, {"items": float(count)}, kept)
