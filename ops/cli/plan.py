"""`gaccong plan CHANGE [name=value …]`: what a change would do, as data, to be read, kept and approved. Touches nothing."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.session import Session, emit

if TYPE_CHECKING:
    from ops.model import Step, Text
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
        full: Annotated[
            bool,
            typer.Option(
                "--full",
                "-v",
                help="in cả lệnh, biến và bí mật (chỉ tên) của từng bước"
                if vi
                else "print every step's command, variables and secrets (names only)",
            ),
        ] = False,
    ) -> None:
        session: Session = ctx.obj
        prepared = make(session, change, site, pairs(args or []))
        if out:
            from ops.steps import write_file

            write_file(out, json.dumps(prepared.json(), ensure_ascii=False, indent=2).encode(), 0o600)
        show(session, prepared, full)


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


def show(session: Session, prepared: "Prepared", full: bool = False) -> None:
    """The plan for a person, short: what is done where, what is taken back, the proofs, the digest; `full`: every command."""
    if session.json:
        session.document(prepared.json())
        return
    from ops.planning import title_of

    lang = session.lang
    emit(title_of(prepared).in_(lang))
    steps = prepared.plan.steps
    if not steps:
        emit({"vi": "  không có bước nào: đã ở trạng thái mong muốn", "en": "  no step: it is so already"}[lang])
    for number, step in enumerate(steps, 1):
        emit(f"  {number:>{len(str(len(steps)))}}. {step.why.in_(lang)}  [{_where(step.host, lang)}]")
        if full:
            _commands(step, lang)
    _cost(session, prepared)
    proofs = ", ".join(f"{proof.check}({', '.join(proof.subjects)})" for proof in prepared.plan.proofs)
    if steps or proofs:
        nothing = {"vi": "không có, nên kết quả sẽ là chưa chứng minh được", "en": "nothing, so it will end unproved"}[
            lang
        ]
        emit({"vi": "  chứng minh bằng: ", "en": "  proved by: "}[lang] + (proofs or nothing))
    if prepared.plan.rule:
        told = prepared.plan.rule.in_(lang)
        emit(
            {
                "vi": f"  quy tắc (duyệt thường xuyên là duyệt quy tắc này): {told}",
                "en": f"  rule (a standing approval is given to this): {told}",
            }[lang]
        )
    emit(f"  digest {prepared.digest}")
    _following(session, prepared, full)


def _where(host: str, lang: str) -> str:
    return {"vi": "máy này", "en": "this machine"}[lang] if host == "here" else host


def _commands(step: "Step", lang: str) -> None:
    """What a step and its undo run or write, with variables, secret references and the time they get."""
    for one in (step, step.undo):
        if one is None:
            continue
        emit(
            "     $ " + _deed(one)
            if one is step
            else {"vi": "     hoàn tác $ ", "en": "     undo $ "}[lang] + _deed(one)
        )
        for name, value in {**one.env, **one.secrets}.items():
            emit(f"         {name}={value}")
        if one.argv:
            emit(
                {"vi": f"         tối đa {one.timeout:g} giây", "en": f"         at most {one.timeout:g} seconds"}[lang]
            )


def _deed(step: "Step") -> str:
    if step.file:
        return f"{step.file.path} ({step.file.mode:04o}, {len(step.file.content)} B)"
    return f"{shlex.join(step.feed)} | {shlex.join(step.argv)}" if step.feed else shlex.join(step.argv)


def _cost(session: Session, prepared: "Prepared") -> None:
    """What is taken back when a step fails, and how long it took the last time."""
    from ops.model import say

    steps = prepared.plan.steps
    if not steps:
        return
    undone = ", ".join(str(number) for number, step in enumerate(steps, 1) if step.undo)
    if undone:
        session.say(
            say("  hỏng giữa chừng: dừng lại, hoàn tác bước {u}", "  if a step fails: stops, takes back {u}", u=undone)
        )
    else:
        session.say(
            say(
                "  hỏng giữa chừng: dừng lại; không bước nào cần hoàn tác",
                "  if a step fails: stops; there is nothing to take back",
            )
        )
    session.say(_last(session, prepared))


def _last(session: Session, prepared: "Prepared") -> "Text":
    """When this change was last carried out with these arguments, how long it took, and how it ended."""
    from ops.model import Text, say
    from ops.moment import human, unstamp
    from ops.words import text

    lines = session.reading.evidence(prepared.site.id, kind="outcome", duty=prepared.change, newest=20)
    mine = [one.body for one in lines if one.body.get("intent") and one.body.get("args") == dict(prepared.args)]
    if not mine or not mine[-1].get("started") or not mine[-1].get("finished"):
        return say("  lần trước: chưa làm lần nào", "  last time: not done yet")
    began, end = unstamp(mine[-1]["started"]), unstamp(mine[-1]["finished"])
    ended = text(f"outcome.{mine[-1]['outcome']}")
    seconds = (end - began).total_seconds()
    lasted = Text(f"{seconds / 60:.0f} phút", f"{seconds / 60:.0f} minutes")
    if seconds < 120:
        lasted = Text(f"{seconds:.0f} giây", f"{seconds:.0f} seconds")
    return Text(
        f"  lần trước: {human(began)}, mất {lasted.vi}, {ended.vi}",
        f"  last time: {human(began)}, took {lasted.en}, {ended.en}",
    )


def _following(session: Session, prepared: "Prepared", full: bool) -> None:
    lang = session.lang
    args = [f"{name}={value}" for name, value in prepared.args.items()]
    if prepared.plan.steps and not full:
        again = shlex.join(["gaccong", "plan", prepared.change, *args, "--site", prepared.site.id, "--full"])
        session.emit({"vi": f"  xem đủ từng lệnh: {again}", "en": f"  every command: {again}"}[lang])
    change = session.catalog.duties.get(prepared.change)
    often = {
        "vi": "   (thêm --standing: duyệt cho mọi lần sau)",
        "en": "   (add --standing: for every later time too)",
    }[lang]
    often = often if getattr(change, "occasions", None) else ""
    command = f"gaccong apply {prepared.digest[:16]}"
    session.emit({"vi": f"  làm: {command} --by HỌ-TÊN{often}", "en": f"  do it: {command} --by NAME{often}"}[lang])
