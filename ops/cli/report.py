"""`gaccong report KIND --period P --format docx,pdf,json --out DIR`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from ops.report.tree import Document
    from ops.status import SiteStatus

KINDS = ("annual-risk", "backup-minutes")


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Lập báo cáo từ bằng chứng: " + ", ".join(KINDS),
            "en": "Writes a report from the evidence: " + ", ".join(KINDS),
        }[lang]
    )
    def report(
        ctx: typer.Context,
        kind: Annotated[str, typer.Argument(help=" | ".join(KINDS))],
        out: Annotated[Path, typer.Option(help="thư mục đích" if vi else "target folder")],
        period: Annotated[
            str,
            typer.Option(
                help="annual-risk: 2026 (15/12/2025–14/12/2026) hoặc 2026-calendar; backup-minutes: 2026-11, 2026-Q4, 2026-W47"
                if vi
                else "annual-risk: 2026 (15 Dec 2025 to 14 Dec 2026) or 2026-calendar; backup-minutes: 2026-11, 2026-Q4, 2026-W47"
            ),
        ] = "",
        format_: Annotated[str, typer.Option("--format", help="docx,pdf,json")] = "docx,pdf",
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
    ) -> None:
        raise typer.Exit(work(ctx.obj, kind, out, period, format_, site))


def work(session: Session, kind: str, out: Path, period_text: str, formats: str, name: str) -> int:
    """Writes the report of each chosen site; 4 when a ledger does not verify (the report then says so itself)."""
    from ops.cli.status import read
    from ops.errors import UsageError
    from ops.model import say
    from ops.moment import utcnow
    from ops.report import write
    from ops.store.audit import verify_site

    if kind not in KINDS:
        raise UsageError(
            say("không có loại báo cáo {k}", "there is no report {k}", k=kind),
            say("có: {all}", "there are: {all}", all=", ".join(KINDS)),
        )
    wanted = [one.strip() for one in formats.split(",") if one.strip()]
    now = utcnow()
    make, stem, label = _maker(session, kind, period_text, now)
    code, written = 0, []
    for status in read(session, name):
        site = status.site
        book = verify_site(session.reading, site.id, session.public_key(site.id))
        code = code if book.ok else 4
        written += write(make(status, book.ok), wanted, out, f"{stem}-{site.id}-{label}")
    if session.json:
        session.document(
            {"kind": kind, "period": label, "files": [str(path) for path in written], "verified": code == 0}
        )
    for path in written:
        session.say(say("→ {p}", "→ {p}", p=path))
    if code:
        session.tell(
            say(
                "sổ bằng chứng không khớp: báo cáo ghi rõ ở trang 1",
                "the ledger does not verify: the report says so on page 1",
            )
        )
    return code


def _maker(
    session: Session, kind: str, text: str, now: "datetime"
) -> "tuple[Callable[[SiteStatus, bool], Document], str, str]":
    """What makes the paper of a status (and whether its ledger verifies), the stem of its file, the period's short name."""
    from ops.moment import local
    from ops.report import annual_risk, backup_minutes, month, period

    if kind == "backup-minutes":
        start, end, label, name = month(text, now)
        return (
            lambda status, ok: backup_minutes(
                status, session.reading, now, start=start, end=end, name=name, verified=ok
            ),
            "bien-ban-sao-luu",
            label,
        )
    start, end, label = period(text or str(local(now).year), now)
    return (
        lambda status, ok: annual_risk(
            status, session.reading, session.catalog.duties, now, start=start, end=end, verified=ok
        ),
        "rui-ro",
        label,
    )
