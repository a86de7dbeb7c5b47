"""What proof checks said, and what that makes of an applied plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.model import Outcome, Text, Verdict, say

if TYPE_CHECKING:
    from ops.engine import Row


def proof_json(check: str, subject: str, verdict: Verdict, detail: Text, row: Row | None = None) -> dict[str, Any]:
    """One proof as an outcome line keeps it."""
    finding = row.finding if row else None
    return {
        "check": check,
        "subject": subject,
        "verdict": verdict.value,
        "detail": detail.json(),
        "measures": dict(finding.measures) if finding else {},
        "facts": dict(finding.facts) if finding else {},
    }


def judge(proofs: list[dict[str, Any]]) -> tuple[Outcome, Text]:
    """proved: there is a proof and each holds (met, or at_risk: kept, though not for long)."""
    if not proofs:
        return Outcome.UNPROVED, say("kế hoạch không nêu cách chứng minh", "the plan names no proof")
    bad = [proof for proof in proofs if proof["verdict"] not in ("met", "at_risk")]
    if bad:
        first = bad[0]
        return Outcome.UNPROVED, say(
            "chưa chứng minh được: {c} ({s}): {vi}",
            "not proved: {c} ({s}): {en}",
            c=first["check"],
            s=first["subject"],
            vi=first["detail"]["vi"],
            en=first["detail"]["en"],
        )
    return Outcome.PROVED, say("đã chứng minh bằng {n} kiểm tra", "proved by {n} checks", n=len(proofs))
