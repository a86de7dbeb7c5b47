"""The steps that put databases back, for the plan of `restore_site`; `database` is the program that they run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backup.restic import Repository, Snapshot
from backup.servers.intake import PASSWORD
from ops import Context, PlanRefused, Site, Step, python, say
from playbooks.parts import database

if TYPE_CHECKING:
    from backup.servers.database import Database

KINDS = ("mariadb", "wordpress", "postgresql")
_SECONDS = 21600.0


def steps(site: Site, ctx: Context, repository: Repository, snapshot: Snapshot, source: Any, stream: str,
          staged: Path) -> tuple[Step, Step, Step]:
    """(load, swap, clear up) for one source. Raises PlanRefused: on another machine, or without its dump."""
    if source.host != "here":
        raise PlanRefused(
            say("cơ sở dữ liệu {n} nằm trên máy {h}; chỉ đặt lại tại chỗ được trên máy này",
                "database {n} lies on host {h}; only this machine's are put back in place", n=source.name, h=source.host),
            say("gaccong backup restore --to THƯ-MỤC, rồi nạp bằng tay", "gaccong backup restore --to FOLDER, then load it"),
            site=site.id)
    if not stream:
        raise PlanRefused(say("bản sao {i} không có bản kết xuất {n}", "copy {i} has no dump {n}", i=snapshot.id[:8],
                              n=source.name),
                          say("chọn bản khác bằng at=…", "choose another copy with at=…"), site=site.id)
    digits = _digits(ctx.home, snapshot, source.name)
    deal = database.Deal(ctx.home, _writer(source), digits, b"")
    values = {"n": deal.live, "b": deal.beside, "k": deal.kept}
    dump = repository.argv("dump", "--no-lock", stream, source.file)
    load = Step(
        say("nạp cơ sở dữ liệu {n} vào {b} bên cạnh, kiểm mã băm, bảng và số bản ghi",
            "load database {n} into {b} beside it; check hash, tables and counts", **values),
        (*_argv("load", deal), "--note", str(staged / f"{source.name}.note.json"), "--", *dump), env=repository.env,
        secrets={**repository.secrets, **_secrets(source)}, keep=True, timeout=_SECONDS,
        undo=_step(say("bỏ cơ sở dữ liệu tạm {b}", "drop the temporary database {b}", **values), "drop", deal, source))
    swap = _step(
        say("đổi cơ sở dữ liệu {n} sang bản khôi phục; bản cũ giữ ở {k} (khi không cần nữa: DROP DATABASE {k})",
            "exchange database {n} for the restored one; the old one stays as {k} (once not needed: DROP DATABASE {k})",
            **values), "swap", deal, source,
        undo=_step(say("đổi cơ sở dữ liệu {n} về như cũ", "exchange database {n} back", **values), "back", deal, source))
    return load, swap, _step(say("dọn cơ sở dữ liệu tạm {b}", "remove the temporary database {b}", **values), "tidy", deal,
                             source)


def unfinished(ctx: Context) -> Iterator[Step]:
    """What a restore that was interrupted left: an exchange to finish, a loaded database to drop."""
    sources = {source.name: source for chosen in ctx.settings.set.values() for source in chosen.source
               if source.kind in KINDS}
    for note in database.unfinished(ctx.home):
        source = sources.get(note.get("source", ""))
        if source is not None:
            deal = database.Deal(ctx.home, _writer(source), str(note["digits"]), b"")
            yield _step(say("làm nốt hoặc bỏ lần khôi phục dở của cơ sở dữ liệu {n}",
                            "finish or drop what an earlier restore of database {n} left", n=deal.live), "finish", deal,
                        source)


def _digits(home: Path, snapshot: Snapshot, name: str) -> str:
    """The first digits that no restore ever used."""
    for number in range(1, 1000):
        digits = hashlib.sha256(f"{snapshot.id} database {name} {number}".encode()).hexdigest()[:8]
        if not database.path_of(home, digits).exists():
            return digits
    raise PlanRefused(say("quá nhiều lần khôi phục cũ của {n}", "too many old restores of {n}", n=name))


def _writer(source: Any) -> Database:
    """The source with the account that may write."""
    made: Database = source.model_copy(update={"user": source.restore_user or source.user})
    return made


def _secrets(source: Any) -> dict[str, str]:
    reference = source.restore_password if source.restore_user else source.password
    return {PASSWORD: reference} if reference else {}


def _argv(verb: str, deal: database.Deal) -> tuple[str, ...]:
    return python("playbooks.parts.database", verb, "--home", str(deal.home), "--source", deal.source.told(), "--digits",
                  deal.digits)


def _step(why: Any, verb: str, deal: database.Deal, source: Any, undo: Step | None = None) -> Step:
    return Step(why, _argv(verb, deal), secrets=_secrets(source), keep=True, timeout=_SECONDS, undo=undo)
