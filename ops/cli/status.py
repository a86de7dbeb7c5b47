"""`gaccong status`: clause by clause, with the evidence behind it. Reads only."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import first
from ops.cli.session import STYLE, Session, emit, exit_code

if TYPE_CHECKING:
    from ops.model import Text, Verdict
    from ops.status import ClauseStatus, SiteStatus


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
    from ops.model import Verdict, say
    from ops.moment import human

    lines = [_line(session, status.site.id, clause) for clause in status.clauses]
    never = sum(one.never for one in lines)
    emit(f"{status.site.name} — {status.policy.name.in_(session.lang)}\n{human(status.at)}: {_summary(session, lines)}")
    for note in status.notes:
        session.say(say("  lưu ý: {vi}", "  note: {en}", vi=note.vi, en=note.en))
    shown = [one for one in lines if everything or one.verdict is not Verdict.UNSEEN]
    shown.sort(key=lambda one: (-one.verdict.weight, one.never))
    if shown:
        styles = {
            n: first.STYLE if one.never else STYLE[one.verdict]
            for n, one in enumerate(shown)
            if one.verdict is not Verdict.MET
        }
        session.table(("clause", "verdict", "since", "detail", "evidence"), [one.cells for one in shown], styles)
    session.following([command for one in shown if one.verdict is not Verdict.MET for command in one.next], bool(never))
    hidden = [one for one in lines if one.verdict is Verdict.UNSEEN]
    if hidden and not everything:
        session.say(
            say(
                "\n{n} điều khoản chưa kiểm tra được ({u} có phần chưa có trong phiên bản này): gaccong status --all",
                "\n{n} clauses unseen ({u} have parts not built in this version): gaccong status --all",
                n=len(hidden),
                u=sum(not one.built for one in hidden),
            )
        )


@dataclass(frozen=True)
class _Line:
    """A clause as it is shown. never: what decides was not begun yet. built: every duty that answers is there."""

    verdict: "Verdict"
    never: bool
    built: bool
    next: tuple[str, ...]
    cells: tuple[str, ...]


def _summary(session: Session, lines: list[_Line]) -> str:
    """`1 ✗ không đạt, 2 ○ chưa làm lần nào, 73 ? chưa kiểm tra được`."""
    from ops.model import Verdict

    parts = []
    for verdict in (Verdict.BROKEN, Verdict.AT_RISK, Verdict.UNSEEN, Verdict.MET):
        parts.append((sum(one.verdict is verdict and not one.never for one in lines), session.verdict(verdict)))
    parts.insert(1, (sum(one.never for one in lines), first.called(session.lang)))
    return ", ".join(f"{count} {name}" for count, name in parts if count)


def _line(session: Session, site: str, clause: "ClauseStatus") -> _Line:
    """Decided by the first of the worst; what broke goes before what was never begun."""
    from ops.model import Verdict
    from ops.moment import human

    worst = [answer for answer in clause.answers if answer.verdict is clause.verdict]
    states: list[tuple[str, Text, str]] = []
    for answer in worst:
        mine = [(answer.duty, one.detail, one.next) for one in answer.states if one.verdict is answer.verdict]
        states += mine or [(answer.duty, answer.detail, answer.next)]
    broke = [one for one in states if not session.first_time.never(site, one[2])]
    never = bool(states) and not broke and clause.verdict in (Verdict.BROKEN, Verdict.AT_RISK)
    told = (broke or states)[:1]
    return _Line(
        clause.verdict,
        never,
        all(answer.built for answer in clause.answers),
        tuple(command for one in (states if never else told) for command in session.next_of(site, *one)),
        (
            f"{clause.clause.id}\n{clause.clause.duty.in_(session.lang)}",
            first.called(session.lang) if never else session.verdict(clause.verdict),
            human(clause.since) if clause.since else "–",
            "".join(f"{duty}: {detail.in_(session.lang)}" for duty, detail, _ in told),
            " ".join([one for answer in clause.answers for one in answer.evidence][:4]),
        ),
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
