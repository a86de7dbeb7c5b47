"""What stands in a printed command for a person to fill in. Pasted as printed, it must not become a signature or a reason."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

REASON = {"vi": "GHI LÝ DO Ở ĐÂY", "en": "WRITE THE REASON HERE"}
_SIGNED = ("--by", "--accept-clock")
_NAMES = frozenset(
    [
        "họtên",
        "hoten",
        "họvàtên",
        "hovaten",
        "tên",
        "têncủabạn",
        "tênngườiduyệt",
        "tênngườilàm",
        "name",
        "yourname",
        "fullname",
        "who",
        "whoapproves",
    ]
)
_REASONS = frozenset(["ghilýdoởđây", "ghilydoođay", "ghilydooday", "lýdo", "writethereasonhere", "reason", "thereason"])


def refuse(words: Sequence[str]) -> None:
    """Raises UsageError where a placeholder was left in the place of a name or a reason. Pure."""
    from ops.errors import UsageError
    from ops.model import say

    for option, value in _given(words):
        if not value.strip():
            continue  # each verb has its own words for that
        if option in _SIGNED and _bare(value) in _NAMES | {""}:
            raise UsageError(
                say(
                    "{o} còn để chữ mẫu «{v}»: đó không phải tên người",
                    "{o} still holds the placeholder “{v}”: that is nobody's name",
                    o=option,
                    v=value,
                ),
                say(
                    "thay bằng họ tên người chịu trách nhiệm, trong dấu nháy; tên này nằm mãi trong sổ có chữ ký",
                    "put the full name of who answers for it, in quotes; it stays in the signed ledger for ever",
                ),
            )
        if option in ("reason", "--reason") and _bare(value) in _REASONS | {""}:
            raise UsageError(
                say("lý do còn để chữ mẫu «{v}»", "the reason still holds the placeholder “{v}”", v=value),
                say(
                    "viết lý do thật, từ 10 ký tự: reason='thay giao diện ngày 20/11, đã đối chiếu với người làm'",
                    "write the true one, 10 letters or more: reason='new template on 20 Nov, checked with who did it'",
                ),
            )


def filled(text: str, lang: str) -> str:
    """The text with a placeholder that tells what to write where a command has `reason='…'`."""
    return text.replace("reason='…'", f"reason='{REASON[lang]}'")


def _given(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options with their values, and `name=value` arguments."""
    for number, one in enumerate(words):
        name, sign, value = one.partition("=")
        if sign:
            yield name, value
        elif one in (*_SIGNED, "--reason") and number + 1 < len(words):
            yield one, words[number + 1]


def _bare(value: str) -> str:
    """Letters and digits alone, small, composed: `'HỌ-TÊN'`, `Họ tên` and `<họ_tên>` are the same."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFC", value).lower())
