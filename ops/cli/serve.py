"""`gaccong serve`: the same as `run`, for ever, with /metrics and the page. The work is in `service.py`."""

from typing import Annotated

import typer

from ops.cli.session import Session, run_lock


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Chạy mãi: kiểm tra, sao lưu, trang trực ban và /metrics.",
            "en": "Runs for ever: looks, backs up, serves the page and /metrics.",
        }[lang]
    )
    def serve(
        ctx: typer.Context,
        listen: Annotated[
            str,
            typer.Option(
                help="địa chỉ:cổng, mặc định 127.0.0.1:9850" if vi else "address:port, default 127.0.0.1:9850"
            ),
        ] = "",
        page_only: Annotated[
            bool, typer.Option("--page-only", help="chỉ trang và /metrics" if vi else "only the page and /metrics")
        ] = False,
        hash_password: Annotated[
            bool,
            typer.Option(
                "--hash-password",
                help="hỏi mật khẩu trang, in bản băm rồi thôi" if vi else "asks for a page password, prints its hash, no more",
            ),
        ] = False,
    ) -> None:
        if hash_password:
            from ops.cli import desk

            desk.hash_password(ctx.obj)
            return
        import asyncio
        import logging

        from ops.cli.service import Service

        session: Session = ctx.obj
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        if page_only:
            asyncio.run(Service(session, listen).run(with_duties=False))
            return
        with run_lock(session.config.state, "serve", 5.0, session.tell):
            asyncio.run(Service(session, listen).run(with_duties=True))
