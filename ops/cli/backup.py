"""`gaccong backup list|verify|restore|drill`: the daily words for what the duties do."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Sao lưu và khôi phục." if vi else "Copies and restoring.")
    app.add_typer(group, name="backup")
    site_help = "tên trang" if vi else "site name"

    @group.command(
        "list", help="Các bản sao và bản nào đã được chứng minh." if vi else "The copies, and which of them are proved."
    )
    def list_(ctx: typer.Context, site: Annotated[str, typer.Option(help=site_help)] = "") -> None:
        listed(ctx.obj, site)

    @group.command(
        help="Kiểm tra bản sao còn nguyên và đọc được." if vi else "Checks that the copies are whole and readable."
    )
    def verify(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help=site_help)] = "",
        all_: Annotated[bool, typer.Option("--all", help="đọc toàn bộ dữ liệu" if vi else "read every byte")] = False,
    ) -> None:
        raise typer.Exit(verified(ctx.obj, site, all_))

    @group.command(
        help="Khôi phục thử vào chỗ tạm, so từng tệp, đo thời gian."
        if vi
        else "Restores into scratch, compares every file, takes the time."
    )
    def drill(ctx: typer.Context, site: Annotated[str, typer.Option(help=site_help)] = "") -> None:
        from ops.cli.look import work

        raise typer.Exit(work(ctx.obj, "backup.drill", site))

    @group.command(
        help="Khôi phục: vào thư mục khác (--to) hoặc tại chỗ (--in-place)."
        if vi
        else "Restores: elsewhere (--to) or in place (--in-place)."
    )
    def restore(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help=site_help)] = "",
        snapshot: Annotated[
            str,
            typer.Option(
                help="mã bản sao (mặc định: bản mới nhất đã chứng minh)"
                if vi
                else "snapshot id (default: newest proved)"
            ),
        ] = "",
        set_: Annotated[str, typer.Option("--set", help="bộ nào" if vi else "which set")] = "user",
        to: Annotated[
            Path | None, typer.Option(help="thư mục trống để đặt vào" if vi else "an empty folder to restore into")
        ] = None,
        in_place: Annotated[bool, typer.Option("--in-place")] = False,
        by: Annotated[
            str,
            typer.Option(
                help="họ tên người duyệt; bỏ trống thì chỉ in kế hoạch"
                if vi
                else "who approves; without it only the plan is shown"
            ),
        ] = "",
    ) -> None:
        raise typer.Exit(restored(ctx.obj, site, snapshot, set_, to, in_place, by))


def listed(session: Session, name: str) -> None:
    """Every snapshot that the repository holds, with the evidence that proved it."""
    from backup.restic import repository_of
    from ops.moment import human

    found: list[dict[str, Any]] = []
    engine = session.engine()
    for site in session.sites(name):
        if site.settings.get("backup") is None:
            continue
        proved = _proved(session, site.id)
        with engine.context(site, session.catalog.duties["backup.run"], engine.clock()) as ctx:
            for one in repository_of(ctx).snapshots(ctx, f"site={site.id}"):
                found.append(
                    {
                        "site": site.id,
                        "snapshot": one.id,
                        "time": one.time.isoformat(),
                        "at": human(one.time),
                        "set": one.tag("set"),
                        "level": one.tag("level"),
                        "proved": proved.get(one.id[:8], ""),
                    }
                )
    if session.json:
        session.document({"snapshots": found})
        return
    session.table(
        ("site", "snapshot", "time", "set", "level", "proved"),
        [(o["site"], o["snapshot"][:8], o["at"], o["set"], o["level"], o["proved"] or "–") for o in found],
    )


def _proved(session: Session, site: str) -> dict[str, str]:
    """First 8 digits of a snapshot id -> the evidence of the proved run that made it."""
    found: dict[str, str] = {}
    for line in session.store.evidence(site, kind="outcome", duty="backup.run"):
        for step in line.body["steps"] if line.body.get("outcome") == "proved" else ():
            answer = step.get("answer")
            if isinstance(answer, dict) and answer.get("snapshot_id"):
                found[str(answer["snapshot_id"])[:8]] = line.id
    return found


def verified(session: Session, name: str, everything: bool) -> int:
    """Looks with backup.contents and backup.integrity; --all reads every byte of the repository."""
    from dataclasses import replace

    engine = session.engine()
    checks = [check for check in session.catalog.checks if check.name in ("backup.contents", "backup.integrity")]
    rows = []
    try:
        for site in session.sites(name):
            settings = site.settings.get("backup")
            if everything and settings is not None:
                site = replace(
                    site, settings={**site.settings, "backup": settings.model_copy(update={"read_gib_per_look": 1e9})}
                )
            rows += engine.look_now(site, checks)
    finally:
        engine.close()
    return session.rows(rows)


def restored(session: Session, name: str, snapshot: str, set_: str, to: Path | None, in_place: bool, by: str) -> int:
    """Plans the restore; with --by carries it out."""
    from ops.cli import apply, plan
    from ops.errors import UsageError
    from ops.model import say

    if (to is None) is not in_place:
        raise UsageError(say("chọn một: --to THƯ-MỤC hoặc --in-place", "choose one: --to FOLDER or --in-place"))
    if in_place:
        prepared = plan.make(session, "restore_site", name, {"snapshot": snapshot} if snapshot else {})
    else:
        args = {"to": str(to and to.absolute()), "set": set_, **({"snapshot": snapshot} if snapshot else {})}
        prepared = plan.make(session, "backup.restore", name, args)
    if not by:
        plan.show(session, prepared)
        return 0
    return apply.work(session, prepared, by)
