"""From the last day of a contract to a finding: domain and hosting are judged alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from ops import Context, Finding, Text, Verdict, local_day, say

LONGEST_DAYS = 11 * 366
"""No domain is registered for more than ten years: a later day is a slip of the pen, or this machine's clock is wrong."""


def judged(subject: str, what: Text, until: date, ctx: Context, facts: Mapping[str, Any], mend: str) -> Finding:
    """The finding for a contract whose last day is `until` (still kept on that day).

    what: "tên miền xamau.vn" and its English. mend: the command that shows or writes more.
    """
    today = local_day(ctx.now)
    left = (until - today).days
    floor = ctx.threshold("renewal.days_left", ctx.settings.renewal.days_left)
    figures = {"days_left": float(left)}
    kept = {"until": until.isoformat(), **facts}
    values: dict[str, object] = {"w": what.vi, "e": what.en, "n": left, "d": until.strftime("%d/%m/%Y")}
    if left > LONGEST_DAYS:
        words = say("{w}: ngày {d} xa quá mức có thể; xem lại ngày ghi và đồng hồ máy này",
                    "{e}: {d} is further off than can be; check the day that is written, and this machine's clock", **values)
        return Finding(subject, Verdict.UNSEEN, words, {}, kept, "timedatectl")
    if left < 0:
        words = say("{w} đã hết hạn từ sau ngày {d}; gia hạn ngay", "{e} ran out after {d}; renew it now", **values)
        return Finding(subject, Verdict.BROKEN, words, figures, kept, mend)
    if left < floor:
        words = say("{w} còn {n} ngày (đến hết {d}); làm thủ tục gia hạn", "{e}: {n} days left (to the end of {d}); renew it",
                    **values)
        return Finding(subject, Verdict.AT_RISK, words, figures, kept, mend)
    words = say("{w} còn {n} ngày (đến hết {d})", "{e}: {n} days left (to the end of {d})", **values)
    return Finding(subject, Verdict.MET, words, figures, kept)


def unknown(subject: str, what: Text, key: str, site: str) -> Finding:
    """Nobody has said when it ends: a person writes the day of the contract, or attests that it is paid."""
    words = say(
        "{w}: chưa biết hạn; ghi ngày trong hợp đồng vào [site.{s}.monitoring.renewal]: {k} = 2027-12-31",
        "{e}: its end is not known; write the contract's day into [site.{s}.monitoring.renewal]: {k} = 2027-12-31",
        w=what.vi, e=what.en, s=site, k=key,
    )
    return Finding(subject, Verdict.UNSEEN, words, next="gaccong config schema")
