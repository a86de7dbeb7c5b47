"""`gaccong config schema|check`."""

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Cấu hình." if vi else "The configuration.")
    app.add_typer(group, name="config")

    @group.command(help="JSON Schema cho trình soạn thảo." if vi else "JSON Schema, for editors.")
    def schema(ctx: typer.Context) -> None:
        from ops import catalog
        from ops.config import schema as made

        session: Session = ctx.obj
        session.document(made(catalog.settings(), catalog.tops()))

    @group.command(
        help="Đọc cấu hình và báo mọi lỗi cùng lúc." if vi else "Reads the configuration, tells every mistake at once."
    )
    def check(ctx: typer.Context) -> None:
        from ops.cli.secret_files import missing_secrets
        from ops.model import say

        session: Session = ctx.obj
        config = session.config
        missing = missing_secrets(config)
        if session.json:
            session.document(
                {
                    "ok": True,
                    "path": str(config.path),
                    "sites": list(config.sites),
                    "missing_secrets": [str(path) for path in missing],
                }
            )
        session.say(
            say(
                "✓ {p}: {n} trang: {all}",
                "✓ {p}: {n} sites: {all}",
                p=config.path,
                n=len(config.sites),
                all=", ".join(config.sites),
            )
        )
        for path in missing:
            session.tell(
                say(
                    "! thiếu tệp bí mật {p}: gaccong doctor nói cách khắc phục",
                    "! secret file {p} is missing: gaccong doctor tells the mend",
                    p=path,
                )
            )
