"""`gaccong apply F|DIGEST --by NAME [--standing]`: carries an approved plan out, proves it, records it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.session import Session, emit

if TYPE_CHECKING:
    from ops.act import Acted
    from ops.planning import Prepared


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Duyệt và thực hiện một kế hoạch, rồi chứng minh.",
            "en": "Approves a plan, carries it out, proves it.",
        }[lang]
    )
    def apply(
        ctx: typer.Context,
        plan: Annotated[
            str,
            typer.Argument(
                help="tệp kế hoạch hoặc digest (từ 16 chữ số)" if vi else "plan file, or digest (16 digits or more)"
            ),
        ],
        by: Annotated[str, typer.Option(help="họ tên người duyệt" if vi else "name of who approves")],
        standing: Annotated[
            bool,
            typer.Option(
                "--standing",
                help=(
                    "duyệt thường xuyên: các lần sau gaccong run tự làm"
                    if vi
                    else "standing approval: gaccong run does it from now on"
                ),
            ),
        ] = False,
        until: Annotated[
            str, typer.Option(help="duyệt đến ngày YYYY-MM-DD" if vi else "approval ends on YYYY-MM-DD")
        ] = "",
    ) -> None:
        session: Session = ctx.obj
        raise typer.Exit(work(session, find(session, plan), by, standing, until))


def find(session: Session, plan: str) -> "Prepared":
    """The plan from a file or, by digest, from the store; a file that was changed after it was made is refused."""
    from ops.errors import UsageError
    from ops.model import say
    from ops.planning import plan_of, prepare

    mend = say("gaccong plan THAY-ĐỔI …", "gaccong plan CHANGE …")
    path = Path(plan)
    if path.is_file():
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise UsageError(
                say("{f} không phải tệp kế hoạch: {e}", "{f} is not a plan file: {e}", f=path, e=error), mend
            ) from None
    else:
        if len(plan) < 16:
            raise UsageError(say("digest phải từ 16 chữ số", "a digest needs 16 digits or more"), mend)
        kept = session.store.plan(plan)
        if kept is None:
            raise UsageError(say("không có kế hoạch {p}", "there is no plan {p}", p=plan), mend)
        body = json.loads(kept.body)
    try:
        made = prepare(
            session.site(body["site"]), body["change"], body["args"], plan_of(body["plan"]), session.config.hosts
        )
    except (KeyError, TypeError, ValueError):
        raise UsageError(say("kế hoạch {p} không đọc được", "plan {p} cannot be read", p=plan), mend) from None
    if made.digest != body.get("digest"):
        raise UsageError(
            say("kế hoạch {p} đã bị sửa sau khi lập", "plan {p} was changed after it was made", p=plan), mend
        )
    return made


def work(session: Session, prepared: "Prepared", by: str, standing: bool = False, until: str = "") -> int:
    """Approves, acts, prints what came of it; gives the exit code."""
    from datetime import datetime, time

    from ops.errors import UsageError
    from ops.model import say
    from ops.moment import LOCAL

    if not by.strip():
        raise UsageError(say("--by phải có họ tên người duyệt", "--by must name who approves"))
    try:
        end = datetime.combine(datetime.fromisoformat(until).date(), time(23, 59, 59), LOCAL) if until else None
    except ValueError:
        raise UsageError(say("--until phải có dạng YYYY-MM-DD", "--until must be YYYY-MM-DD")) from None
    engine = session.engine()
    actor = session.actor(engine)
    try:
        fresh = actor.plan(prepared.site, prepared.change, prepared.args)
        if fresh.digest == prepared.digest and (standing or not actor.standing(fresh)):
            actor.approve(prepared, by, standing=standing, until=end)
        acted = actor.act(prepared, by)
    finally:
        engine.close()
    return show(session, acted)


def show(session: Session, acted: "Acted") -> int:
    """The outcome for a person, or as JSON; 0 only when it is proved."""
    from ops.model import Outcome, Verdict
    from ops.words import word

    code = 0 if acted.outcome is Outcome.PROVED else 5
    if session.json:
        session.document(acted_json(acted))
        return code
    lang = session.lang
    sign = "✓" if code == 0 else "✗"
    session.emit(
        f"{sign} {acted.prepared.change}: {word(f'outcome.{acted.outcome.value}', lang)} — {acted.detail.in_(lang)}"
    )
    for proof in acted.proofs:
        told = f"{proof['check']} ({proof['subject']}): {proof['detail'][lang]}"
        session.emit(f"    {session.verdict(Verdict(proof['verdict']))}  {told}")
    emit({"vi": f"    bằng chứng: {acted.evidence}", "en": f"    evidence: {acted.evidence}"}[lang])
    return code


def acted_json(acted: "Acted") -> dict[str, Any]:
    """An outcome with stable keys."""
    return {
        "site": acted.prepared.site.id,
        "change": acted.prepared.change,
        "args": dict(acted.prepared.args),
        "digest": acted.prepared.digest,
        "outcome": acted.outcome.value,
        "detail": acted.detail.json(),
        "evidence": acted.evidence,
        "steps": list(acted.steps),
        "proofs": list(acted.proofs),
    }
