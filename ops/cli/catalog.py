"""`gaccong catalog`: every duty, its clauses and rhythm."""

import typer

from ops.cli.session import Session
from ops.words import word


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
        session.table(
            ("name", "kind", "every", "clauses", "what"),
            [
                (
                    duty.name,
                    word(f"kind.{'check' if isinstance(duty, Check) else 'change'}", session.lang),
                    str(duty.every) if isinstance(duty, Check) else "–",
                    " ".join(duty.clauses),
                    duty.doc.splitlines()[0],
                )
                for duty in duties
            ],
        )
