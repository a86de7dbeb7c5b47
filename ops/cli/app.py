"""Puts the verbs together. One file a verb; a verb's work is imported when it runs, not before."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli import session

VERBS = (
    "init",
    "doctor",
    "catalog",
    "run",
    "serve",
    "status",
    "watch",
    "look",
    "plan",
    "apply",
    "attest",
    "backup",
    "accounts",
    "report",
    "ledger",
    "policy",
    "config",
    "schedule",
    "notify",
    "maintenance",
    "export",
)

_HELP = {
    "vi": "gác cổng: vận hành và giữ an toàn trang thông tin của xã, có bằng chứng.\n\n"
    "Tùy chọn --config, --json, --lang đặt ở đâu cũng được. Mã thoát: 0 đạt, 1 có điều không đạt, "
    "2 dùng sai hoặc cấu hình sai, 3 có điều chưa kiểm tra được, 4 sổ bằng chứng sai, 5 thay đổi hỏng.",
    "en": "gaccong: runs and guards a commune's site, with proof.\n\n"
    "--config, --json and --lang may stand anywhere. Exit codes: 0 met, 1 something broken, 2 wrong use or "
    "configuration, 3 something unseen, 4 the ledger does not verify, 5 a change failed.",
}


def build(lang: str) -> Callable[..., Any]:
    """The whole command, with help in `lang`."""
    app = typer.Typer(
        help=_HELP[lang],
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=False)
    def top(
        ctx: typer.Context,
        config: Annotated[
            Path | None,
            typer.Option(
                help={
                    "vi": "tệp cấu hình (mặc định: $GACCONG_CONFIG, ./gaccong.toml, /etc/gaccong/gaccong.toml)",
                    "en": "configuration (default: $GACCONG_CONFIG, ./gaccong.toml, /etc/gaccong/gaccong.toml)",
                }[lang],
            ),
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help={"vi": "in một tài liệu JSON", "en": "print one JSON document"}[lang])
        ] = False,
        language: Annotated[str, typer.Option("--lang", help="vi | en")] = "",
    ) -> None:
        ctx.obj = session.Session(config, as_json, language)

    for name in VERBS:
        import_module(f"ops.cli.{name}").add(app, lang)
    return typer.main.get_command(app)
