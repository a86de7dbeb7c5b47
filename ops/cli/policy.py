"""`gaccong policy list|show|check`: the regulations as data, and the proof that no clause is an orphan."""

from typing import Annotated

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Quy chế và điều khoản." if vi else "Regulations and clauses.")
    app.add_typer(group, name="policy")

    @group.command("list", help="Các quy chế có sẵn." if vi else "The policies that there are.")
    def list_(ctx: typer.Context) -> None:
        from ops import policy

        session: Session = ctx.obj
        found = [policy.load(one) for one in policy.ids()]
        if session.json:
            session.document(
                {
                    "policies": [
                        {"id": p.id, "prefix": p.prefix, "name": p.name.json(), "clauses": len(p.clauses)}
                        for p in found
                    ]
                }
            )
            return
        session.table(
            ("name", "policy", "clause_count"), [(p.id, p.name.in_(session.lang), str(len(p.clauses))) for p in found]
        )

    @group.command(help="Từng điều khoản của một quy chế." if vi else "One policy, clause by clause.")
    def show(ctx: typer.Context, name: Annotated[str, typer.Argument()]) -> None:
        from dataclasses import asdict

        from ops import policy
        from ops.errors import UsageError
        from ops.model import say

        session: Session = ctx.obj
        if name not in policy.ids():
            raise UsageError(
                say("không có quy chế {p}", "there is no policy {p}", p=name),
                say("có: {all}", "there are: {all}", all=", ".join(policy.ids())),
            )
        found = policy.load(name)
        if session.json:
            session.document(asdict(found))
            return
        session.table(
            ("clause", "law", "what", "duty"),
            [
                (
                    c.id,
                    c.article,
                    c.duty.in_(session.lang),
                    " ".join(c.answered_by) + (" (" + c.attested.what.in_(session.lang) + ")" if c.attested else ""),
                )
                for c in found.clauses
            ],
            title=found.name.in_(session.lang),
        )

    @group.command(
        help="Không điều khoản nào mồ côi, không nhiệm vụ nào vô cớ."
        if vi
        else "No clause is an orphan, no duty answers to nothing."
    )
    def check(ctx: typer.Context) -> None:
        raise typer.Exit(audit(ctx.obj))


def audit(session: Session) -> int:
    """Prints the audit; 0 when nothing is orphaned, 1 otherwise."""
    from ops import policy
    from ops.model import say

    found = policy.check([policy.load(one) for one in policy.ids()], session.catalog.duties)
    bad = not found.sound
    if session.json:
        session.document(
            {
                "orphans": list(found.orphans),
                "strays": list(found.strays),
                "unbuilt": {duty: list(clauses) for duty, clauses in found.unbuilt},
                "ok": not bad,
            }
        )
        return int(bad)
    for one in found.orphans:
        session.say(say("✗ điều khoản mồ côi: {c}", "✗ orphan clause: {c}", c=one))
    for name, clause in found.strays:
        session.say(
            say(
                "✗ nhiệm vụ gắn với điều khoản không có: {d}",
                "✗ duty bound to a clause that does not exist: {d}",
                d=f"{name} → {clause or '–'}",
            )
        )
    if bad:
        session.say(say("chưa khớp: sửa các chỗ trên", "not sound: mend the places above"))
        return 1
    session.say(
        say(
            "✓ {n} điều khoản của {p} quy chế đều có người hoặc nhiệm vụ trả lời; {u} nhiệm vụ chưa có trong phiên bản này"
            " (điều khoản của chúng đọc là 'chưa kiểm tra được')",
            "✓ all {n} clauses of {p} policies are answered for by a duty or a person; {u} duties are not built in this version"
            " (their clauses read 'unseen')",
            n=sum(len(policy.load(one).clauses) for one in policy.ids()),
            p=len(policy.ids()),
            u=len(found.unbuilt),
        )
    )
    return 0
