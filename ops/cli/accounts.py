"""`gaccong accounts census|leavers|revoke PERSON`."""

from typing import Annotated

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Tài khoản." if vi else "Accounts.")
    app.add_typer(group, name="accounts")
    site_help = "tên trang" if vi else "site name"

    @group.command(
        help="Ai có tài khoản ở đâu, ai chưa có chủ." if vi else "Who has which account; which have no owner."
    )
    def census(ctx: typer.Context, site: Annotated[str, typer.Option(help=site_help)] = "") -> None:
        from ops.cli.look import work

        raise typer.Exit(work(ctx.obj, "accounts.census", site))

    @group.command(help="Ai đã nghỉ mà còn vào được." if vi else "Who has left and can still get in.")
    def leavers(ctx: typer.Context, site: Annotated[str, typer.Option(help=site_help)] = "") -> None:
        from ops.cli.look import work

        raise typer.Exit(work(ctx.obj, "accounts.leavers", site))

    @group.command(
        help="Thu hồi mọi tài khoản của một người; --by để làm."
        if vi
        else "Revokes all accounts of a person; --by does it."
    )
    def revoke(
        ctx: typer.Context,
        person: Annotated[str, typer.Argument(help="như ghi trong danh sách" if vi else "as the roster has it")],
        site: Annotated[str, typer.Option(help=site_help)] = "",
        by: Annotated[
            str,
            typer.Option(
                help="họ tên người duyệt; bỏ trống thì chỉ in kế hoạch"
                if vi
                else "who approves; without it only the plan is shown"
            ),
        ] = "",
    ) -> None:
        from ops.cli import apply, plan
        from ops.model import nfc

        session: Session = ctx.obj
        prepared = plan.make(session, "accounts.revoke", site, {"person": nfc(person)})
        if not by:
            plan.show(session, prepared)
            return
        raise typer.Exit(apply.work(session, prepared, by))
