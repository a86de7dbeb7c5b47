"""Is the zone signed by DNSSEC, and do the signatures hold?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from monitoring.endpoints import Family, is_literal
from monitoring.looking import host_of
from monitoring.questions import Asker, Silence, name_of
from monitoring.reasons import DOUBTFUL, Reason
from monitoring.signatures import Signed, Trouble, facts, look
from monitoring.vantage import blind
from ops import Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say

SUBJECT = "zone"
SMALL_SHARE = 0.1
"""Left of a signature's life when its renewal is overdue. A share, not days: some sign for two days, some for thirty."""
LENIENT_SECONDS = 86400.0
"""unbound lets signatures pass for up to a day after (and before) their days (val-sig-skew-max); others do not."""


@check("dns.dnssec", every=hours(1), clauses=["TN-7.2"], patience=Patience(times=2, span=minutes(5)))
def dnssec(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the site's zone signed, from the parent's DS to the address records, for how long yet, with sound algorithms?

    Subject "zone". An unsigned zone is met (TT 39/2017 recommends DNSSEC, it does not demand it) unless
    `monitoring.dns.dnssec` is true. Signatures that do not hold are broken: resolvers that validate reach nothing. A
    resolver that hands no DNSSEC records on shows nothing: unseen.
    """
    host = host_of(site)
    asked = None if is_literal(host) else name_of(host)
    command = shlex.join(["delv", host])
    if asked is None:
        words = say("{h} không phải tên miền", "{h} is not a domain name", h=host)
        yield Finding(SUBJECT, Verdict.UNSEEN, words)
        return
    try:
        found = look(Asker.of(ctx.settings.nameservers, min(20.0, 2 * ctx.settings.timeout_seconds)), asked, ctx.now)
    except Silence as silence:
        reason = silence.reason
        if reason in DOUBTFUL:
            reason = blind(Family.IPV4, "", ctx.settings.reference, ctx.settings.nameservers) or reason
        yield _unseen(host, reason)
        return
    yield _judged(found, ctx, command)


def _unseen(host: str, reason: Reason) -> Finding:
    """Who could not be asked is told by dns.address; nothing is known of the signatures."""
    words = say("chưa xem được DNSSEC của {h}: {w}", "DNSSEC of {h} could not be looked at: {e}", h=host, w=reason.words.vi,
                e=reason.words.en)
    return Finding(SUBJECT, Verdict.UNSEEN, words, facts={"reason": reason.value}, next=shlex.join(["delv", host]))


def _judged(found: Signed, ctx: Context, command: str) -> Finding:
    verdict, words = _verdict(found, ctx.settings.dns.dnssec)
    figures = {"signed": float(found.delegated), "keys": float(found.keys), "authentic": float(found.authentic)}
    if found.ends is not None:
        figures["signature_days_left"] = round((found.ends - ctx.now).total_seconds() / 86400, 2)
    if found.trouble in (Trouble.EXPIRED, Trouble.EARLY) and found.authentic:
        verdict, words = _tolerated(found)
        command = "timedatectl" if verdict is Verdict.UNSEEN else command
    return Finding(SUBJECT, verdict, words, figures, facts(found), "" if verdict is Verdict.MET else command)


def _tolerated(found: Signed) -> tuple[Verdict, Text]:
    """The resolver has just accepted what we call out of its days: it is lenient for a day, or a clock is wrong."""
    if found.missed > LENIENT_SECONDS:
        return Verdict.UNSEEN, say("máy phân giải chấp nhận chữ ký mà máy này cho là sai ngày: xem lại đồng hồ máy này",
                                   "the resolver accepts signatures whose dates look wrong here: check this machine's clock")
    return Verdict.AT_RISK, say(
        "vùng {z}: {w}; máy phân giải đang dùng còn châm chước, nơi khác thì không (hoặc đồng hồ máy này lệch)",
        "zone {z}: {e}; the resolver in use still lets it pass, others will not (or this machine's clock is off)",
        z=found.zone, w=found.trouble.words.vi if found.trouble else "", e=found.trouble.words.en if found.trouble else "",
    )


def _verdict(found: Signed, demanded: bool) -> tuple[Verdict, Text]:
    zone = found.zone
    if not found.aware:
        return Verdict.UNSEEN, say("máy phân giải đang dùng không chuyển bản ghi DNSSEC; đặt monitoring.nameservers khác",
                                   "the resolver in use hands no DNSSEC records on; set other monitoring.nameservers")
    if found.trouble is not None:
        return Verdict.BROKEN, say("vùng {z}: {w}; người dùng máy phân giải có kiểm tra không vào được trang",
                                   "zone {z}: {e}; visitors whose resolver validates cannot reach the site", z=zone,
                                   w=found.trouble.words.vi, e=found.trouble.words.en)
    if not found.delegated:
        verdict = Verdict.BROKEN if demanded else Verdict.MET
        if found.keys:
            return verdict, say("vùng {z} có khóa nhưng cấp trên chưa có DS; gửi DS cho nơi quản lý tên miền",
                                "zone {z} has keys, but its parent no DS; send the DS to the registrar", z=zone)
        return verdict, say("vùng {z} chưa ký DNSSEC (được khuyến nghị)", "zone {z} is not signed (it is recommended)", z=zone)
    if found.share < SMALL_SHARE:
        return Verdict.AT_RISK, say("vùng {z}: chữ ký sắp hết hạn mà chưa được ký lại", "zone {z}: signatures are about to "
                                    "expire and were not renewed", z=zone)
    if found.old:
        return Verdict.AT_RISK, say("vùng {z}: thuật toán cũ hoặc lạ ({o}), nên thay", "zone {z}: old or strange algorithms ({o}), to "
                                    "be replaced", z=zone, o=", ".join(found.old))
    return Verdict.MET, say("vùng {z} đã ký DNSSEC, chữ ký đúng", "zone {z} is signed and its signatures hold", z=zone)
