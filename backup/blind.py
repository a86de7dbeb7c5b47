"""What a check says of a set when the repository cannot be read: a beginning, a loss, or only a closed door."""

from __future__ import annotations

from backup.copies import copies
from backup.restic import repository_of
from backup.trouble import ResticTrouble, lost
from ops import CannotSee, Context, Finding, Site, Text, Verdict, say


def blind(site: Site, ctx: Context, name: str, trouble: CannotSee) -> Finding:
    """The finding of a set behind `trouble`.

    No repository, and none was ever written to: nothing to look at yet (unseen, with the plan of the first copy). No
    repository although copies are known, or a damaged one: broken. Anything else, such as a wrong password: unseen.
    """
    kind = trouble.kind if isinstance(trouble, ResticTrouble) else ""
    if kind == "no_repository" and not copies(site, ctx):
        return Finding(
            name,
            Verdict.UNSEEN,
            say("bộ {n}: chưa sao lưu lần nào", "set {n}: never copied yet", n=name),
            next=f"gaccong plan backup.run set={name} --site {site.id}",
        )
    if kind == "no_repository":
        trouble = lost(repository_of(ctx).at)
    verdict = Verdict.BROKEN if kind in ("no_repository", "damaged") else Verdict.UNSEEN
    text = Text(trouble.explain("vi"), trouble.explain("en"))
    return Finding(name, verdict, text, facts={"kind": kind}, next=f"gaccong look backup.integrity --site {site.id}")
