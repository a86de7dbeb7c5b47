"""`gaccong export prometheus|textfile`: what other programs read. The work is in `monitoring.export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.session import Session

if TYPE_CHECKING:
    from monitoring.export import Scrape


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(
        no_args_is_help=True, help="Xuất cho Prometheus, Grafana." if vi else "For Prometheus and Grafana."
    )
    app.add_typer(group, name="export")

    @group.command(
        help="Ghi thư mục sẵn dùng: lấy số, luật cảnh báo, Alertmanager mẫu, bảng Grafana, sổ tay."
        if vi
        else "Writes a ready folder: scrape file, rules, an Alertmanager example, dashboards, runbook."
    )
    def prometheus(
        ctx: typer.Context,
        out: Annotated[Path, typer.Option(help="thư mục" if vi else "folder")],
        target: Annotated[
            str,
            typer.Option(
                help="máy:cổng mà Prometheus gọi (mặc định: serve.listen)"
                if vi
                else "host:port that Prometheus calls (default: serve.listen)"
            ),
        ] = "",
        https: Annotated[bool, typer.Option("--https", help="gọi bằng https" if vi else "call by https")] = False,
        runbook: Annotated[
            str,
            typer.Option(
                help="địa chỉ nơi đặt RUNBOOK.md, để bấm được trong thư cảnh báo"
                if vi
                else "address at which RUNBOOK.md can be read, for links in mails"
            ),
        ] = "",
    ) -> None:
        write(ctx.obj, out, target, "https" if https else "http", runbook)

    @group.command(
        help="Ghi số liệu ra tệp cho node_exporter (--collector.textfile); '-' in ra màn hình."
        if vi
        else "Writes the metrics into a file for node_exporter (--collector.textfile); '-' prints them."
    )
    def textfile(ctx: typer.Context, out: Annotated[str, typer.Option(help="TỆP.prom" if vi else "FILE.prom")]) -> None:
        session: Session = ctx.obj
        body = exposition(session)
        if out == "-":
            print(body.decode(), end="")
            return
        from monitoring import export
        from ops.model import say

        export.textfile(Path(out), body)
        if session.json:
            session.document({"file": out, "bytes": len(body)})
        session.say(say("đã ghi {p} ({n} byte)", "wrote {p} ({n} bytes)", p=out, n=len(body)))


def exposition(session: Session) -> bytes:
    """Everything that /metrics tells, read from the store and the state folder, with no server."""
    import ops
    from monitoring.exporter import Exposition, exposition_text
    from monitoring.watched import Sources
    from ops.cli.status import read

    config = session.config
    watched = Sources(lambda: config.sites, config.state).read()
    return exposition_text(lambda: Exposition(read(session), session.catalog.private, ops.__version__, watched))


def write(session: Session, out: Path, target: str, scheme: str, runbook: str) -> None:
    """Writes the folder and says what to do next."""
    from monitoring import export
    from ops.model import say

    wanted, token = scrape(session, target, scheme, runbook)
    done = export.write(out, export.bundle(wanted))
    if session.json:
        session.document({"out": str(out.absolute()), "files": list(done.files), "kept": list(done.kept)})
        return
    session.say(say("đã ghi {n} tệp vào {p}", "wrote {n} files into {p}", n=len(done.files), p=out.absolute()))
    for name in done.kept:
        session.say(
            say(
                "  {n} đã được sửa tay: giữ nguyên, bản mới ở {n}.new",
                "  {n} was edited: it is kept, the new one is {n}.new",
                n=name,
            )
        )
    session.say(say("\nlàm tiếp:", "\nnext:"))
    for line in export.steps(out.absolute(), wanted, token):
        session.say(line)


def scrape(session: Session, target: str, scheme: str, runbook: str) -> "tuple[Scrape, str]":
    """How Prometheus reaches us, and the file that holds the token now ("" when it is no file). The token is never read."""
    from monitoring.export import TOKEN_FILE, Scrape

    config = session.config
    reference = config.serve.token or ""
    kind, _, rest = reference.partition(":")
    token = str((config.path.parent / rest).absolute()) if kind == "file" else ""
    called = address(target) if target else reachable(config.serve.listen)
    return Scrape(called, scheme, TOKEN_FILE if reference else "", tuple(config.sites), runbook), token


def address(target: str) -> str:
    """`host:port` as it was given. Raises UsageError for anything else."""
    from monitoring.endpoints import endpoint
    from ops.errors import UsageError
    from ops.model import say

    try:
        endpoint(target)
    except ValueError:
        raise UsageError(
            say("{t}: không phải máy:cổng", "{t}: not host:port", t=target),
            say("--target 192.0.2.10:9850", "--target 192.0.2.10:9850"),
        ) from None
    return target


def reachable(listen: str) -> str:
    """The address on which we listen, as somebody on this machine calls it: `0.0.0.0` is no place to call."""
    host, _, port = listen.rpartition(":")
    return {"0.0.0.0": f"127.0.0.1:{port}", "[::]": f"[::1]:{port}"}.get(host, listen)  # noqa: S104 - we compare
