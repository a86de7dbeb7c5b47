"""`gaccong catalog`: every duty, its clauses and rhythm."""

from typing import TYPE_CHECKING

import typer

from ops.cli.session import Session
from ops.words import word

if TYPE_CHECKING:
    from ops.duty import Duty


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""

    @app.command(help={"vi": "Mọi nhiệm vụ: tên, điều khoản, nhịp.", "en": "Every duty: name, clauses, rhythm."}[lang])
    def catalog(ctx: typer.Context) -> None:
        session: Session = ctx.obj
        from ops.duty import Check

        duties = session.catalog.duties.values()
        if session.json:
            session.document(
                {
                    "duties": [
                        {
                            "name": duty.name,
                            "kind": "check" if isinstance(duty, Check) else "change",
                            "clauses": list(duty.clauses),
                            "what": duty.doc.splitlines()[0],
                            "every_seconds": duty.every.total_seconds() if isinstance(duty, Check) else None,
                        }
                        for duty in duties
                    ]
                }
            )
            return
        from ops.risk_data import load

        register = load()
        session.table(
            ("name", "kind", "every", "clauses", "what"),
            [
                (
                    duty.name,
                    word(f"kind.{'check' if isinstance(duty, Check) else 'change'}", session.lang),
                    rhythm(duty.every.total_seconds(), session.lang) if isinstance(duty, Check) else "–",
                    " ".join(duty.clauses),
                    _what(duty, register.name(duty.name).vi, session.lang),
                )
                for duty in duties
            ],
        )


def _what(duty: "Duty", name: str, lang: str) -> str:
    """The deed or question; in Vietnamese the name that readers of the papers know, where there is one."""
    return name if lang == "vi" and name != duty.name else duty.doc.splitlines()[0]


def rhythm(seconds: float, lang: str) -> str:
    """`mỗi 5 phút`, `mỗi giờ`, `mỗi 7 ngày`."""
    for size, vi, en in ((86400, "ngày", "day"), (3600, "giờ", "hour"), (60, "phút", "minute")):
        if seconds >= size:
            count = seconds / size
            told = "" if count == 1 else f"{count:g} "
            return f"mỗi {told}{vi}" if lang == "vi" else f"every {told}{en}{'' if count == 1 else 's'}"
    return f"mỗi {seconds:g} giây" if lang == "vi" else f"every {seconds:g} seconds"
