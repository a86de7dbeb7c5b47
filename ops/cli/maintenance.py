"""`gaccong maintenance add|list|cancel`: planned work, announced beforehand. It is shown beside availability, never hidden in it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.session import Session

if TYPE_CHECKING:
    from monitoring.windows import Window

FORMS = ("%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M")


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Lịch bảo trì." if vi else "Planned maintenance.")
    app.add_typer(group, name="maintenance")
    when = "giờ Việt Nam, vd '2026-12-01 22:00'" if vi else "Vietnamese time, e.g. '2026-12-01 22:00'"

    @group.command(
        name="add",
        help="Ghi một đợt bảo trì (báo trước ít nhất 7 ngày làm việc)."
        if vi
        else "Enters a window (announced at least 7 working days before).",
    )
    def add_(
        ctx: typer.Context,
        site: Annotated[str, typer.Argument(help="tên trang" if vi else "site name")],
        start: Annotated[str, typer.Option(help=when)],
        end: Annotated[str, typer.Option(help=when)],
        reason: Annotated[str, typer.Option(help="lý do" if vi else "why")],
        by: Annotated[str, typer.Option(help="người lập" if vi else "who enters it")],
        announced: Annotated[
            str, typer.Option(help="báo lúc nào; bỏ trống: bây giờ" if vi else "when announced; now")
        ] = "",
        notice: Annotated[str, typer.Option(help="địa chỉ bài thông báo" if vi else "address of the notice")] = "",
        forced: Annotated[bool, typer.Option("--forced", help="bất khả kháng" if vi else "force majeure")] = False,
    ) -> None:
        from monitoring import windows
        from ops.model import say
        from ops.moment import human, utcnow

        session: Session = ctx.obj
        now = utcnow()
        wanted = windows.Window(
            moment(start), moment(end), moment(announced) if announced else now, reason, by, now, forced, notice
        )
        stored = windows.add(home(session, site), wanted)
        if session.json:
            session.document(as_json(stored))
        session.say(
            say(
                "đã ghi đợt {i}: {a} – {b}",
                "entered window {i}: {a} – {b}",
                i=stored.id,
                a=human(stored.start),
                b=human(stored.end),
            )
        )
        if stored.late:
            session.tell(
                say(
                    "đợt này đã bắt đầu trước khi ghi: vẫn hiện, nhưng không giảm lỗi ngừng hoạt động",
                    "this window had begun before it was entered: it is shown, and excuses no outage",
                )
            )

    @group.command(name="list", help="Các đợt bảo trì." if vi else "The windows.")
    def list_(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
    ) -> None:
        raise typer.Exit(show(ctx.obj, site))

    @group.command(help="Hủy một đợt từ lúc này." if vi else "Calls a window off from now on.")
    def cancel(
        ctx: typer.Context,
        site: Annotated[str, typer.Argument(help="tên trang" if vi else "site name")],
        window: Annotated[str, typer.Argument(help="mã đợt" if vi else "id of the window")],
        reason: Annotated[str, typer.Option(help="lý do" if vi else "why")],
        by: Annotated[str, typer.Option(help="người hủy" if vi else "who calls it off")],
    ) -> None:
        from monitoring import windows
        from ops.model import say
        from ops.moment import utcnow

        session: Session = ctx.obj
        found = windows.cancel(home(session, site), window, reason=reason, who=by, now=utcnow())
        if session.json:
            session.document(as_json(found))
        session.say(say("đã hủy đợt {i}", "window {i} is called off", i=window))


def home(session: Session, site: str) -> Path:
    """The site's private folder. Raises UsageError for a site that nobody configured."""
    [found] = session.sites(site)
    return session.config.state / "sites" / found.id


def moment(text: str) -> datetime:
    """A moment of the Vietnamese clock. Raises UsageError."""
    from ops.errors import UsageError
    from ops.model import say
    from ops.moment import LOCAL

    for form in FORMS:
        try:
            return datetime.strptime(" ".join(text.replace("T", " ").split()), form).replace(tzinfo=LOCAL)
        except ValueError:
            continue
    raise UsageError(
        say("{t}: không phải thời điểm", "{t}: is no moment", t=text),
        say("viết như 2026-12-01 22:00 hay 01/12/2026 22:00", "write it like 2026-12-01 22:00"),
    )


def as_json(window: "Window") -> dict[str, object]:
    """A window with stable keys."""
    from ops.moment import stamp

    return {
        "id": window.id,
        "start": stamp(window.start),
        "end": stamp(window.end),
        "announced_at": stamp(window.announced_at),
        "reason": window.reason,
        "who": window.who,
        "late": window.late,
        "forced": window.forced,
        "notice": window.notice,
        "cancelled_at": stamp(window.cancelled_at) if window.cancelled_at else None,
    }


def show(session: Session, name: str) -> int:
    """Every window; 3 when a line of a register cannot be read."""
    from monitoring import windows
    from ops.model import say
    from ops.moment import human

    registers = {site.id: windows.read(home(session, site.id)) for site in session.sites(name)}
    if session.json:
        session.document(
            {
                "windows": [
                    {"site": site, **as_json(one)} for site, found in registers.items() for one in found.windows
                ],
                "faults": [
                    {"site": site, "line": line} for site, found in registers.items() for line, _ in found.faults
                ],
            }
        )
    for site, found in registers.items():
        for one in found.windows:
            mark = {True: say(" (đã hủy)", " (called off)"), False: say("", "")}[one.cancelled_at is not None]
            late = say(" (ghi muộn)", " (entered late)") if one.late else say("", "")
            session.say(
                say(
                    "{s} {i}  {a} – {b}  {r}{m}{l}",
                    "{s} {i}  {a} – {b}  {r}{n}{k}",
                    s=site,
                    i=one.id,
                    a=human(one.start),
                    b=human(one.end),
                    r=one.reason,
                    m=mark.vi,
                    l=late.vi,
                    n=mark.en,
                    k=late.en,
                )
            )
        for _, fault in found.faults:
            session.tell(fault)
    if not any(found.windows for found in registers.values()):
        session.say(say("chưa có đợt bảo trì nào", "there is no maintenance window"))
    return 3 if any(found.faults for found in registers.values()) else 0


def planned(session: Session) -> frozenset[str]:
    """The sites at which a window is in force now, entered before it began; a register that cannot be read is none."""
    from monitoring import windows
    from ops.errors import GaccongError
    from ops.moment import utcnow

    now, found = utcnow(), set()
    for site in session.sites():
        try:
            window = windows.in_force(windows.read(home(session, site.id)).windows, now)
        except GaccongError as error:
            session.tell(error.what)
            continue
        if window is not None and not window.late:
            found.add(site.id)
    return frozenset(found)
