"""`gaccong run`: the main job. Everything that is due: act on standing approvals, look, record, one table."""

import asyncio
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from ops.cli.session import Session, run_lock


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
    from ops.act import Actor
    from ops.duty import Check
    from ops.engine import Engine, Row
    from ops.model import Site, say
    from ops.schedule import check_due

    def due_checks(engine: Engine, site: Site) -> list[Check]:
        ran, now = engine.store.ran(site.id), engine.clock()
        return [
            duty
            for duty in session.catalog.checks
            if fnmatchcase(duty.name, only) and (everything or check_due(duty.every, ran.get((duty.name, "look")), now))
        ]

    def acts(actor: Actor, site: Site) -> list[Row]:
        return [
            actor.run_due(site, change, occasion)
            for change, occasion in actor.due(site)
            if fnmatchcase(change.name, only)
        ]

    async def looks(engine: Engine, sites: list[Site]) -> list[Row]:
        found = await asyncio.gather(
            *(engine.look(site, check) for site in sites for check in due_checks(engine, site))
        )
        return [row for rows in found for row in rows]

    sites = session.sites(name)
    with run_lock(session.config.state, "run", wait, session.tell):
        engine = session.engine(clock_by)
        actor = session.actor(engine)
        try:
            rows: list[Row] = []
            for site in sites:
                actor.settle(site)
                rows += acts(actor, site)
            rows += asyncio.run(looks(engine, sites))
        finally:
            engine.close()
    if not rows:
        if session.json:
            session.document({"rows": []})
        session.say(say("chưa có việc nào đến hạn; --all để làm tất cả", "nothing is due; --all does everything"))
        return 0
    return session.rows(rows)
