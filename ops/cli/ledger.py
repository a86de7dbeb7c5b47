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
    from ops.model import say
    from ops.store.audit import verify_site

    results: list[dict[str, Any]] = []
    for site in session.sites(name):
        found = verify_site(session.reading, site.id, session.public_key(site.id))
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
    """Writes the books to `out` (one site: right there; several: a folder each), and tells how to verify them."""
    import shlex

    from ops.ledger import write_book
    from ops.model import say

    sites = [site.id for site in session.sites(name)]
    with session.reading.snapshot() as view:
        books = write_book(out, view, sites)
        heads = {site: view.head(site) for site in sites}
    told = []
    for site, book in zip(sites, books, strict=True):
        size, root = heads[site]
        told.append({"site": site, "book": str(book), "lines": size, "root": root, "key": session.public_key(site)})
        session.say(say("{s}: {n} dòng bằng chứng → {b}", "{s}: {n} lines of evidence → {b}", s=site, n=size, b=book))
    folder = Path(out).resolve()
    command = ["python3", str(folder / "verifier.py"), str(folder), "--key", session.public_key(sites[0])]
    for site, (size, root) in heads.items():
        command += ["--expect", f"{site}={size}:{root}"]
    line = shlex.join(command)
    session.say(say("  kiểm tra: {c}", "  verify: {c}", c=line))
    if session.json:
        session.document({"books": told, "verify": line})
