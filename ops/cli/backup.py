"""`gaccong backup list|verify|restore|drill`: the daily words for what the duties do."""

import os
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
    def drill(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help=site_help)] = "",
        set_: Annotated[
            str, typer.Option("--set", help="chỉ bộ này" if vi else "only this set")
        ] = "",
        sample: Annotated[
            bool | None,
            typer.Option(
                "--sample/--all",
                help="thử một phần, hay tất cả (mặc định: theo cấu hình)"
                if vi
                else "a sample, or all (default: as configured)",
                show_default=False,
            ),
        ] = None,
    ) -> None:
        raise typer.Exit(drilled(ctx.obj, site, set_, sample))

    @group.command(
        help="Khôi phục: vào thư mục khác (--to) hoặc tại chỗ (--in-place)."
        if vi
        else "Restores: elsewhere (--to) or in place (--in-place)."
    )
    def restore(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help=site_help)] = "",
        set_: Annotated[
            str,
            typer.Option(
                "--set",
                help="bộ nào (mặc định: bộ duy nhất mức người dùng; tại chỗ: mọi bộ mức người dùng)"
                if vi
                else "which set (default: the only set of the user level; in place: every one of them)",
            ),
        ] = "",
        at: Annotated[
            str,
            typer.Option(
                help='mã bản sao, hoặc giờ Việt Nam "2026-11-20 14:30": bản mới nhất đã chứng minh tính đến lúc ấy'
                if vi
                else 'a copy\'s id, or a Vietnamese time "2026-11-20 14:30": the newest proved copy up to then'
            ),
        ] = "",
        path: Annotated[
            str, typer.Option(help="chỉ tệp hoặc thư mục này" if vi else "only this file or folder")
        ] = "",
        to: Annotated[
            Path | None, typer.Option(help="thư mục trống để đặt vào" if vi else "an empty folder to restore into")
        ] = None,
        in_place: Annotated[
            bool,
            typer.Option(
                "--in-place",
                help="đặt lại đúng chỗ cũ, giữ bản đang có ở bên cạnh"
                if vi
                else "back where it was, keeping what is there now beside it",
            ),
        ] = False,
        by: Annotated[
            str,
            typer.Option(
                help="họ tên người duyệt; bỏ trống thì chỉ in kế hoạch"
                if vi
                else "who approves; without it only the plan is shown"
            ),
        ] = "",
    ) -> None:
        asked = {"set": set_, "at": at, "path": path}
        raise typer.Exit(restored(ctx.obj, site, asked, to, in_place, by))


def listed(session: Session, name: str) -> None:
    """Every snapshot that the repository holds, with the evidence that proved it."""
    from backup.pick import doubted
    from backup.restic import repository_of
    from backup.vouched import holding
    from ops.moment import human

    found: list[dict[str, Any]] = []
    engine = session.engine()
    for site in session.sites(name):
        if site.settings.get("backup") is None:
            continue
        with engine.context(site, session.catalog.duties["backup.run"], engine.clock()) as ctx:
            listed = repository_of(ctx).snapshots(ctx, f"site={site.id}")
            doubts = doubted(site, ctx)
            vouched = {found.id: lot.key for lot in holding(site, ctx, listed).lots if lot.proved for found in lot.snapshots}
            for one in listed:
                found.append(
                    {
                        "site": site.id,
                        "snapshot": one.id,
                        "time": one.time.isoformat(),
                        "at": human(one.time),
                        "set": one.tag("set"),
                        "level": one.tag("level"),
                        "stream": one.stream,
                        "proved": vouched.get(one.id, ("", ""))[0],
                        "suspicious": vouched.get(one.id) in doubts,
                    }
                )
    if session.json:
        session.document({"snapshots": found})
        return
    mark = "đáng ngờ" if session.lang == "vi" else "suspicious"
    session.table(
        ("site", "snapshot", "time", "set", "level", "proved"),
        [
            (o["site"], o["snapshot"][:8], o["at"], f"{o['set']} ({o['stream']})" if o["stream"] else o["set"], o["level"],
             (f"{o['proved']} ({mark})" if o["suspicious"] else o["proved"]) or "–")
            for o in found
        ],
    )


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


def drilled(session: Session, name: str, set_: str, sample: bool | None) -> int:
    """A real drill now, of every set or one, whatever the settings say about how often."""
    from dataclasses import replace

    from ops.errors import UsageError
    from ops.model import say

    engine = session.engine()
    check = session.catalog.check("backup.drill")
    rows = []
    try:
        for site in session.sites(name):
            settings = site.settings.get("backup")
            sets = sorted(settings.set) if settings is not None else []
            if set_ and sets and set_ not in sets:
                raise UsageError(
                    say("không có bộ sao lưu {n}", "there is no backup set {n}", n=set_),
                    say("các bộ: {k}", "sets: {k}", k=", ".join(sets)),
                )
            if settings is not None and sample is not None:
                chosen = settings.model_copy(update={"drill": "sample" if sample else "all"})
                site = replace(site, settings={**site.settings, "backup": chosen})
            assert check is not None
            rows += engine.look_now(site, [check], [set_] if set_ else sets)
    finally:
        engine.close()
    return session.rows(rows)


def restored(session: Session, name: str, asked: dict[str, str], to: Path | None, in_place: bool, by: str) -> int:
    """Plans the restore (asked: set, at, path; "" for what was not said); with --by carries it out."""
    from ops.cli import apply, plan
    from ops.errors import UsageError
    from ops.model import nfc, say

    if (to is None) is not in_place:
        raise UsageError(say("chọn một: --to THƯ-MỤC hoặc --in-place", "choose one: --to FOLDER or --in-place"))
    args = {key: nfc(value) for key, value in asked.items() if value}
    if "path" in args:  # copies hold full paths; a person writes what the shell completes
        args["path"] = os.path.normpath(Path(args["path"]).absolute())
    if in_place:
        prepared = plan.make(session, "restore_site", name, args)
    else:
        prepared = plan.make(session, "backup.restore", name, {"to": str(to and to.absolute()), **args})
    if not by:
        plan.show(session, prepared)
        return 0
    return apply.work(session, prepared, by)
