"""`gaccong ledger verify|export|checkpoint`: the evidence proves itself, also without gaccong."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Sổ bằng chứng." if vi else "The ledger of evidence.")
    app.add_typer(group, name="ledger")
    site_help = "tên trang" if vi else "site name"

    @group.command(
        help="Kiểm tra sổ: không dòng nào bị sửa, bớt, chèn, đổi chỗ."
        if vi
        else "No line changed, removed, inserted or reordered."
    )
    def verify(ctx: typer.Context, site: Annotated[str, typer.Option(help=site_help)] = "") -> None:
        raise typer.Exit(verified(ctx.obj, site))

    @group.command(
        help="Ghi sổ ra thư mục để người ngoài tự kiểm tra." if vi else "Writes the book for an outsider to verify."
    )
    def export(
        ctx: typer.Context,
        out: Annotated[Path, typer.Option(help="thư mục đích" if vi else "target folder")],
        site: Annotated[str, typer.Option(help=site_help)] = "",
    ) -> None:
        exported(ctx.obj, out, site)

    @group.command(
        help="In đầu sổ đã ký, để gửi đi giữ nơi khác." if vi else "Prints the signed head, to be kept elsewhere."
    )
    def checkpoint(ctx: typer.Context, site: Annotated[str, typer.Option(help=site_help)] = "") -> None:
        session: Session = ctx.obj
        for one in session.sites(site):
            print(session.reading.checkpoints(one.id)[-1])


def verified(session: Session, name: str) -> int:
    """Verifies the ledger of the chosen sites; 4 when one does not."""
    from dataclasses import replace

    from ops.ledger import verify_book
    from ops.model import say

    results: list[dict[str, Any]] = []
    for site in session.sites(name):
        store = session.reading
        found = verify_book(list(store.raw_lines(site.id)), store.checkpoints(site.id), session.public_key(site.id))
        misfiled = store.misfiled(site.id) if found.ok else None
        if misfiled is not None:
            what = say(
                "dòng {n} bị sửa cột trong cơ sở dữ liệu (byte đã ký vẫn nguyên)",
                "line {n} was altered in its database columns (the signed bytes are whole)",
                n=misfiled,
            )
            found = replace(found, ok=False, first_bad=misfiled, what=what)
        results.append(
            {
                "site": site.id,
                "ok": found.ok,
                "lines": found.lines,
                "first_bad": found.first_bad,
                "what": found.what.json(),
                "anchored": found.anchored,
            }
        )
        session.say(
            say(
                "{s} {site}: {vi}",
                "{s} {site}: {en}",
                s="✓" if found.ok else "✗",
                site=site.id,
                vi=found.what.vi,
                en=found.what.en,
            )
        )
    if session.json:
        session.document({"ledgers": results})
    return 0 if results and all(found["ok"] for found in results) else 4


def exported(session: Session, out: Path, name: str) -> None:
    """Writes the books to `out` (one site: right there; several: a folder each)."""
    from ops.ledger import write_book
    from ops.model import say

    sites = [site.id for site in session.sites(name)]
    books = write_book(out, session.reading, sites)
    told = []
    for site, book in zip(sites, books, strict=True):
        size, root = session.reading.head(site)
        key = session.public_key(site)
        told.append({"site": site, "book": str(book), "lines": size, "root": root, "key": key})
        session.say(
            say(
                "{n} dòng bằng chứng → {b}\n  kiểm tra: python3 {b}/verifier.py {b} --key '{k}' --expect {n}:{r}",
                "{n} lines of evidence → {b}\n  verify: python3 {b}/verifier.py {b} --key '{k}' --expect {n}:{r}",
                n=size,
                b=book,
                k=key,
                r=root,
            )
        )
    if session.json:
        session.document({"books": told})
