"""`gaccong status`: clause by clause, with the evidence behind it. Reads only."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.session import STYLE, Session, emit, exit_code

if TYPE_CHECKING:
    from ops.status import SiteStatus


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Từng điều khoản: kết luận, từ lúc nào, bằng chứng.",
            "en": "Clause by clause: verdict, since when, evidence.",
        }[lang]
    )
    def status(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
        all_: Annotated[
            bool,
            typer.Option("--all", help="cả điều khoản chưa kiểm tra được" if vi else "list the unseen clauses too"),
        ] = False,
    ) -> None:
        session: Session = ctx.obj
        found = read(session, site)
        if session.json:
            session.document({"sites": [status_json(one) for one in found]})
        else:
            for one in found:
                show(session, one, all_)
        raise typer.Exit(exit_code([clause.verdict for one in found for clause in one.clauses]))


def read(session: Session, name: str = "") -> "list[SiteStatus]":
    """The status of the chosen sites, now."""
    from ops.moment import utcnow
    from ops.status import read as read_site

    now = utcnow()
    config = session.config
    return [
        read_site(site, config.policies[site.policy], session.reading, session.catalog.duties, now)
        for site in session.sites(name)
    ]


def show(session: Session, status: "SiteStatus", everything: bool) -> None:
    """Broken and at risk in full, met in one line each, unseen as counts unless asked for."""
    from collections import Counter

    from ops.model import Verdict, say
    from ops.moment import human

    counts = Counter(clause.verdict for clause in status.clauses)
    summary = ", ".join(
        f"{counts[v]} {session.verdict(v)}"
        for v in (Verdict.BROKEN, Verdict.AT_RISK, Verdict.UNSEEN, Verdict.MET)
        if counts[v]
    )
    emit(f"{status.site.name} — {status.policy.name.in_(session.lang)}\n{human(status.at)}: {summary}")
    for note in status.notes:
        session.say(say("  lưu ý: {vi}", "  note: {en}", vi=note.vi, en=note.en))
    shown = [c for c in status.clauses if everything or c.verdict is not Verdict.UNSEEN]
    shown.sort(key=lambda clause: -clause.verdict.weight)
    if shown:
        styles = {n: STYLE[one.verdict] for n, one in enumerate(shown) if one.verdict is not Verdict.MET}
        columns = ("clause", "verdict", "since", "detail", "evidence", "next")
        session.table(columns, [_row(session, clause) for clause in shown], styles)
    hidden = counts[Verdict.UNSEEN]
    if hidden and not everything:
        unbuilt = sum(
            clause.verdict is Verdict.UNSEEN and any(not a.built for a in clause.answers) for clause in status.clauses
        )
        session.say(
            say(
                "{n} điều khoản chưa kiểm tra được ({u} có phần chưa có trong phiên bản này): gaccong status --all",
                "{n} clauses unseen ({u} have parts not built in this version): gaccong status --all",
                n=hidden,
                u=unbuilt,
            )
        )


def _row(session: Session, clause: Any) -> tuple[str, ...]:
    from ops.moment import human

    # the answer that decides: the first of the worst
    top = next((a for a in clause.answers if a.verdict is clause.verdict), None)
    return (
        f"{clause.clause.id}\n{clause.clause.duty.in_(session.lang)}",
        session.verdict(clause.verdict),
        human(clause.since) if clause.since else "–",
        f"{top.duty}: {top.detail.in_(session.lang)}" if top else "",
        " ".join([one for answer in clause.answers for one in answer.evidence][:4]),
        session.paste(top.next) if top and clause.verdict.value != "met" else "",
    )


def status_json(status: "SiteStatus") -> dict[str, Any]:
    """A site's status with stable keys."""
    return {
        "site": status.site.id,
        "name": status.site.name,
        "policy": status.policy.id,
        "verdict": status.verdict.value,
        "at": status.at.isoformat(),
        "notes": [note.json() for note in status.notes],
        "ledger": {"lines": status.lines, "root": status.root},
        "clauses": [
            {
                "id": clause.clause.id,
                "article": clause.clause.article,
                "duty": clause.clause.duty.json(),
                "verdict": clause.verdict.value,
                "since": clause.since.isoformat() if clause.since else None,
                "evidence": [one for answer in clause.answers for one in answer.evidence],
                "answers": [
                    {
                        "duty": answer.duty,
                        "built": answer.built,
                        "verdict": answer.verdict.value,
                        "since": answer.since.isoformat() if answer.since else None,
                        "evidence": list(answer.evidence),
                        "detail": answer.detail.json(),
                        "next": answer.next,
                    }
                    for answer in clause.answers
                ],
            }
            for clause in status.clauses
        ],
    }
