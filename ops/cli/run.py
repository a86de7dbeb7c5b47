"""`gaccong run`: the main job. Everything that is due: act on standing approvals, look, record, one table."""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.session import Session, run_lock

if TYPE_CHECKING:
    from ops.engine import Row
    from ops.model import Site


ACTORS = 4
"""Sites at which something is done at the same time."""


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Việc chính: làm mọi việc đến hạn, ghi bằng chứng, in một bảng.",
            "en": "The main job: does everything that is due, records it, prints one table.",
        }[lang]
    )
    def run(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
        only: Annotated[
            str, typer.Option(help="chỉ nhiệm vụ khớp mẫu, vd web.*" if vi else "only duties that match, e.g. web.*")
        ] = "*",
        all_: Annotated[
            bool, typer.Option("--all", help="cả việc chưa đến hạn" if vi else "also what is not due yet")
        ] = False,
        wait: Annotated[
            float, typer.Option(help="giây chờ gaccong khác" if vi else "seconds to wait for another gaccong")
        ] = 600.0,
        accept_clock: Annotated[
            str,
            typer.Option(
                help=(
                    "HỌ-TÊN người xác nhận đồng hồ đã chỉnh lùi là đúng"
                    if vi
                    else "NAME of who confirms that the clock set back is right"
                )
            ),
        ] = "",
    ) -> None:
        raise typer.Exit(work(ctx.obj, site, only, all_, wait, accept_clock))


def work(session: Session, name: str, only: str, everything: bool, wait: float, clock_by: str = "") -> int:
    """One round over the sites; gives the exit code."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from ops.act import Actor
    from ops.duty import Check
    from ops.engine import Engine, Row
    from ops.errors import UsageError
    from ops.model import Site, say

    def chosen(engine: Engine, site: Site) -> list[Check]:
        wanted = session.catalog.checks if everything else engine.due(site)
        return [check for check in wanted if fnmatchcase(check.name, only)]

    def acts(actor: Actor, site: Site) -> list[Row]:
        actor.settle(site)
        return [
            actor.run_due(site, change, occasion)
            for change, occasion in actor.due(site)
            if fnmatchcase(change.name, only)
        ]

    async def looks(engine: Engine, site: Site) -> list[Row]:
        found = await asyncio.gather(*(engine.look(site, check) for check in chosen(engine, site)))
        return [row for rows in found for row in rows]

    async def everywhere(engine: Engine, sites: list[Site]) -> list[list[Row] | BaseException]:
        return await asyncio.gather(*(looks(engine, site) for site in sites), return_exceptions=True)

    troubles: list[tuple[Site, BaseException]] = []
    rows: list[Row] = []
    sites = session.sites(name)
    if not any(fnmatchcase(duty, only) for duty in session.catalog.duties):
        raise UsageError(
            say("không có nhiệm vụ nào khớp {o}", "no duty matches {o}", o=only),
            say("gaccong catalog", "gaccong catalog"),
        )
    with run_lock(session.config.state, "run", wait, session.tell):
        engine = session.engine(clock_by)
        actor = session.actor(engine)
        try:
            with ThreadPoolExecutor(ACTORS) as pool:
                begun = [(site, pool.submit(acts, actor, site)) for site in sites]
                try:
                    for site, future in begun:
                        try:
                            rows += future.result()
                        except Exception as error:  # one poisoned site must not stop the line
                            troubles.append((site, error))
                except BaseException:
                    engine.stop.set()  # Ctrl-C: what is at work in the threads is ended and taken back
                    raise
            whole = [site for site in sites if site.id not in {found.id for found, _ in troubles}]
            for site, result in zip(whole, asyncio.run(everywhere(engine, whole)), strict=True):
                if isinstance(result, BaseException):
                    troubles.append((site, result))
                else:
                    rows += result
        finally:
            engine.close()
    rows += [_poisoned(session, site, trouble) for site, trouble in troubles]
    _notify(session)
    code = _told(session, rows, sites, only, everything)
    return 4 if any(getattr(error, "exit_code", 0) == 4 for _, error in troubles) else code


def _poisoned(session: Session, site: "Site", error: BaseException) -> "Row":
    """A site at which nothing more could be recorded: told, and unseen."""
    from ops.engine import Row
    from ops.errors import GaccongError
    from ops.model import Text, Verdict, say

    if isinstance(error, GaccongError):
        text = Text(error.explain("vi"), error.explain("en"))
    else:
        text = say("lỗi: {e}", "error: {e}", e=f"{type(error).__name__}: {error}"[:500])
    session.tell(Text(f"[{site.id}] {text.vi}", f"[{site.id}] {text.en}"))
    return Row(site.id, "*", "*", Verdict.UNSEEN, text, "", "gaccong doctor")


def _notify(session: Session) -> None:
    """Tells people what turned. Trouble with that never changes what the run itself found."""
    from ops.cli.notify import round_
    from ops.errors import GaccongError
    from ops.model import say

    try:
        done = round_(session)
    except (GaccongError, OSError) as error:
        text = error.explain(session.lang) if isinstance(error, GaccongError) else str(error)
        session.tell(say("không báo tin được: {t}", "no notice could be sent: {t}", t=text))
        return
    for name, trouble in done.failures.items() if done else ():
        session.tell(say("kênh {c} không gửi được: {t}", "channel {c} does not deliver: {t}", c=name, t=trouble))


def _told(session: Session, rows: list["Row"], sites: list["Site"], only: str, everything: bool) -> int:
    from ops.model import say

    if rows:
        return session.rows(rows)
    if session.json:
        session.document({"rows": []})
    if not everything and any(fnmatchcase(check.name, only) for check in session.catalog.checks):
        session.say(say("chưa có việc nào đến hạn; --all để làm tất cả", "nothing is due; --all does everything"))
    else:
        _not_forced(session, sites, only)
    return 0


def _not_forced(session: Session, sites: list["Site"], only: str) -> None:
    """Nothing but changes was asked for: they come due by their schedule alone, and a person does them at once by a plan."""
    from ops.cli.following import planned
    from ops.model import say

    names = [name for name in session.catalog.duties if fnmatchcase(name, only)]
    session.say(
        say(
            "{n} là thay đổi: chỉ tự chạy khi đến hạn theo lịch và đã được duyệt; --all không làm sớm hơn. "
            "Muốn làm ngay: lập kế hoạch, rồi duyệt bằng lệnh apply mà nó in ra.",
            "{n}: a change runs by itself only when it is due and approved; --all does not hasten it. "
            "To do it now: plan it, then approve it by the apply command that the plan prints.",
            n=", ".join(names),
        )
    )
    plans = [plan for name in names for site in sites for plan in planned(site, session.catalog.duties, name)]
    session.following(plans)
