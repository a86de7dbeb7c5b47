"""`gaccong plan CHANGE [name=value …]`: what a change would do, as data, to be read, kept and approved. Touches nothing."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.session import Session, emit

if TYPE_CHECKING:
    from ops.planning import Prepared


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={"vi": "Lập kế hoạch một thay đổi; chưa làm gì cả.", "en": "Plans a change; touches nothing."}[lang]
    )
    def plan(
        ctx: typer.Context,
        change: Annotated[
            str, typer.Argument(help="tên thay đổi, vd backup.run" if vi else "name of a change, e.g. backup.run")
        ],
        args: Annotated[list[str] | None, typer.Argument(help="tên=giá trị" if vi else "name=value")] = None,
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
        out: Annotated[
            Path | None, typer.Option(help="ghi kế hoạch ra tệp" if vi else "write the plan to a file")
        ] = None,
    ) -> None:
        session: Session = ctx.obj
        prepared = make(session, change, site, pairs(args or []))
        if out:
            from ops.steps import write_file

            write_file(out, json.dumps(prepared.json(), ensure_ascii=False, indent=2).encode(), 0o600)
        show(session, prepared)


def pairs(args: list[str]) -> dict[str, str]:
    """`["set=user"]` as a mapping; raises UsageError for a word without `=`."""
    from ops.errors import UsageError
    from ops.model import nfc, say

    found: dict[str, str] = {}
    for one in args:
        name, sign, value = one.partition("=")
        if not sign or not name or name in found:
            raise UsageError(say("tham số {a} không có dạng tên=giá trị", "argument {a} is not name=value", a=one))
        found[name] = nfc(value)
    return found


def make(session: Session, change: str, site_name: str, args: dict[str, str]) -> "Prepared":
    """Plans, and keeps the plan so that `gaccong apply DIGEST` finds it."""
    from ops.moment import utcnow

    site = session.site(site_name)
    engine = session.engine()
    try:
        prepared = session.actor(engine).plan(site, change, args)
        session.store.keep_plan(
            prepared.digest, site.id, change, dict(args), json.dumps(prepared.json(), ensure_ascii=False), utcnow()
        )
    finally:
        engine.close()
    return prepared


def show(session: Session, prepared: "Prepared") -> None:
    """The plan for a person: each step with its why, command and undo; then the proofs and the digest."""
    if session.json:
        session.document(prepared.json())
        return
    from ops.planning import title_of

    lang = session.lang
    emit(title_of(prepared).in_(lang))
    if not prepared.plan.steps:
        emit({"vi": "  không có bước nào: đã ở trạng thái mong muốn", "en": "  no step: it is so already"}[lang])
    for number, step in enumerate(prepared.plan.steps, 1):
        emit(f"  {number}. {step.why.in_(lang)}" + ("" if step.host == "here" else f"  [{step.host}]"))
        for one in (step, step.undo):
            if one is None:
                continue
            sign = "     $" if one is step else {"vi": "     hoàn tác $", "en": "     undo $"}[lang]
            if one.file:
                emit(f"{sign} {one.file.path} ({one.file.mode:04o}, {len(one.file.content)} B)")
            elif one.feed:
                emit(f"{sign} {shlex.join(one.feed)} | {shlex.join(one.argv)}")
            else:
                emit(f"{sign} {shlex.join(one.argv)}")
    proofs = ", ".join(f"{proof.check}({', '.join(proof.subjects)})" for proof in prepared.plan.proofs) or "–"
    emit({"vi": f"  chứng minh bằng: {proofs}", "en": f"  proved by: {proofs}"}[lang])
    if prepared.plan.rule:
        told = prepared.plan.rule.in_(lang)
        emit({"vi": f"  quy tắc (duyệt thường xuyên là duyệt quy tắc này): {told}",
              "en": f"  rule (a standing approval is given to this): {told}"}[lang])
    emit(f"  digest {prepared.digest}")
    command = session.paste(f"gaccong apply {prepared.digest[:16]}")
    change = session.catalog.duties.get(prepared.change)
    often = {
        "vi": "   (thêm --standing: duyệt cho mọi lần sau)",
        "en": "   (add --standing: for every later time too)",
    }[lang]
    often = often if getattr(change, "occasions", None) else ""
    emit(
        {
            "vi": f"  làm: {command} --by HỌ-TÊN{often}",
            "en": f"  do it: {command} --by NAME{often}",
        }[lang]
    )
