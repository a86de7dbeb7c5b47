"""`gaccong attest CLAUSE`: what no program can see, a person states, with a file's digest, for a time."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Ghi lời xác nhận của một người về một điều khoản.",
            "en": "Records a person's statement about a clause.",
        }[lang]
    )
    def attest(
        ctx: typer.Context,
        clause: Annotated[str, typer.Argument(help="mã điều khoản, vd TN-9.1" if vi else "clause id, e.g. TN-9.1")],
        by: Annotated[str, typer.Option(help="họ tên người xác nhận" if vi else "name of who states it")],
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
        says: Annotated[str, typer.Option(help="met | at_risk | broken")] = "met",
        note: Annotated[str, typer.Option(help="xác nhận điều gì" if vi else "what is stated")] = "",
        file: Annotated[
            Path | None, typer.Option(help="tệp làm bằng chứng" if vi else "the file that shows it")
        ] = None,
        days: Annotated[
            int, typer.Option(min=0, help="hiệu lực bao nhiêu ngày" if vi else "how many days it holds")
        ] = 0,
    ) -> None:
        work(ctx.obj, clause, by, site, says, note, file, days)


def work(
    session: Session, clause_id: str, by: str, site_name: str, says: str, note: str, file: Path | None, days: int
) -> None:
    """Checks the words, hashes the file, records the line."""
    from datetime import timedelta

    from ops.errors import UsageError
    from ops.model import Verdict, nfc, say

    site = session.site(site_name)
    clauses = {clause.id: clause for clause in session.config.policies[site.policy].clauses}
    clause = clauses.get(nfc(clause_id))
    if clause is None or clause.attested is None:
        able = ", ".join(c.id for c in clauses.values() if c.attested)
        raise UsageError(
            say(
                "{c} không phải điều khoản do người xác nhận", "{c} is not a clause that a person attests", c=clause_id
            ),
            say("có: {able}", "there are: {able}", able=able),
        )
    if says not in ("met", "at_risk", "broken") or not by.strip():
        raise UsageError(
            say(
                "--says là met, at_risk hoặc broken; --by phải có tên",
                "--says is met, at_risk or broken; --by must name somebody",
            )
        )
    kept = None
    if file is not None:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise UsageError(say("không đọc được {f}: {e}", "cannot read {f}: {e}", f=file, e=error.strerror)) from None
        kept = {"name": nfc(file.name), "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    engine = session.engine()
    until = engine.clock() + timedelta(days=days or clause.attested.every_days)
    text = note.strip() or clause.attested.what.vi
    evidence = engine.attest(site, clause.id, by=by, says=Verdict(says), note=text, until=until, file=kept)
    if session.json:
        session.document(
            {"site": site.id, "clause": clause.id, "evidence": evidence, "until": until.isoformat(), "file": kept}
        )
    waits = [name for name in clause.answered_by if name not in session.catalog.duties]
    if waits:
        session.tell(
            say(
                "điều khoản này còn chờ nhiệm vụ chưa có trong phiên bản này ({w}), nên vẫn đọc là chưa kiểm tra được",
                "this clause also waits for duties not built in this version ({w}), so it still reads unseen",
                w=", ".join(waits),
            )
        )
    session.say(
        say("đã ghi {e}, hiệu lực đến {u}", "recorded {e}, holds until {u}", e=evidence, u=until.date().isoformat())
    )
