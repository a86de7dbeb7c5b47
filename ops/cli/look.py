"""`gaccong look CHECK`: one check now, recorded like every look."""

from typing import Annotated

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={"vi": "Kiểm tra ngay một điều, có ghi bằng chứng.", "en": "Looks at one thing now, and records it."}[lang]
    )
    def look(
        ctx: typer.Context,
        check: Annotated[
            str, typer.Argument(help="tên kiểm tra, vd web.http" if vi else "name of a check, e.g. web.http")
        ],
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
    ) -> None:
        raise typer.Exit(work(ctx.obj, check, site))


def work(session: Session, name: str, site_name: str = "") -> int:
    """Looks once at every chosen site; gives the exit code."""
    import difflib

    from ops.errors import UsageError
    from ops.model import say

    check = session.catalog.check(name)
    if check is None:
        names = [duty.name for duty in session.catalog.checks]
        near = difflib.get_close_matches(name, names, 3, 0.4)
        raise UsageError(
            say("không có kiểm tra {n}", "there is no check {n}", n=name),
            say("có: {k}", "there are: {k}", k=", ".join(near or names)),
        )
    sites = session.sites(site_name)
    engine = session.engine()
    try:
        rows = [row for site in sites for row in engine.look_now(site, [check])]
    finally:
        engine.close()
    return session.rows(rows)
