"""What every paper has: its head, its frame of warning, its closing block, in the forms of NĐ 30/2020. Pure over the office."""

from __future__ import annotations

from datetime import datetime

from ops.model import Office, nfc
from ops.report.period import paper_date
from ops.report.tree import Closing, Letterhead, Note, Signature, balanced

PLACES = (
    "ỦY BAN NHÂN DÂN XÃ ",
    "ỦY BAN NHÂN DÂN PHƯỜNG ",
    "ỦY BAN NHÂN DÂN THỊ TRẤN ",
    "ỦY BAN NHÂN DÂN ĐẶC KHU ",
    "ỦY BAN NHÂN DÂN TỈNH ",
    "ỦY BAN NHÂN DÂN THÀNH PHỐ ",
)


def letterhead(
    office: Office,
    now: datetime,
    kind: str,
    code: str,
    subject: tuple[str, ...],
    *,
    mark: str = "",
    addressees: tuple[str, ...] = (),
) -> Letterhead:
    """The head of a paper of this kind (`BÁO CÁO`) with the code of its number (`BC`); what is not known is left open."""
    return Letterhead(
        parent=parent_lines(nfc(office.parent or "ỦY BAN NHÂN DÂN ……").upper()),
        issuer=balanced(nfc(office.issuer or "BAN BIÊN TẬP").upper(), 22),
        number=f"Số:      /{code}-{office.symbol}",
        place_date=f"{nfc(office.place) or '……'}, {paper_date(now)}",
        mark=mark,
        kind=kind,
        subject=subject,
        addressees=addressees,
    )


def parent_lines(name: str) -> tuple[str, ...]:
    """A long body's name breaks where everybody breaks it: ỦY BAN NHÂN DÂN / XÃ AN BÌNH."""
    body = "ỦY BAN NHÂN DÂN "
    if name.startswith(body) and len(name) > 22:
        return (body.strip(), *balanced(name.removeprefix(body), 22))
    return balanced(name, 24)


def addressed(name: str) -> str:
    """A body's name as it stands in running text: `ỦY BAN NHÂN DÂN XÃ THỐNG NHẤT` -> `Ủy ban nhân dân xã Thống Nhất`."""
    text = nfc(name)
    if text != text.upper():
        return text
    for prefix in PLACES:
        if text.startswith(prefix):
            return prefix.capitalize() + text.removeprefix(prefix).title()
    return text.capitalize()


def warnings(verified: bool, what: str, before: str) -> tuple[Note, ...]:
    """The frame of page 1 when the ledger does not verify. what: `Sổ bằng chứng`; before: what must not be done until then."""
    if verified:
        return ()
    return (
        Note(
            f"CẢNH BÁO: {what} không xác minh được (có dòng bị sửa, mất hoặc sai chữ ký). {before} trước khi làm rõ nguyên nhân."
        ),
    )


def closing(office: Office, first: tuple[str, ...] = ()) -> Closing:
    """One signer, the recipients beside him, led by `first`."""
    return Closing(
        (*first, *_received(office)),
        office.authority or "TM. BAN BIÊN TẬP",
        office.title or "TRƯỞNG BAN",
        office.signer,
    )


def signed_by(office: Office, roles: tuple[str, ...]) -> Closing:
    """Several sign side by side: people in these roles, and the leader last."""
    leader = tuple(word for word in (office.authority, office.title) if word) or ("LÃNH ĐẠO",)
    signatures = (*(Signature((role,)) for role in roles), Signature(leader, office.signer))
    return Closing(_received(office), signatures=signatures)


def _received(office: Office) -> tuple[str, ...]:
    """Who gets the paper; the last one files it."""
    filed = any(name.startswith("Lưu") for name in office.recipients)
    return office.recipients if filed else (*office.recipients, f"Lưu: VT, {office.unit or 'Tổ chuyên trách'}")
