"""Was the last restore of each set compared with its manifest to the end, and was it right?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backup.judge import BEGUN, RIGHT, Note, note_of, read
from backup.pick import when
from ops import Context, Evidence, Finding, Site, Text, Verdict, check, days, say

DUTIES = ("backup.restore", "restore_site")
"""The changes that restore."""


@dataclass(frozen=True, slots=True)
class Act:
    """A restore as the ledger has it. outcome: None while it is at work."""

    intent: Evidence
    outcome: Evidence | None

    def holds(self, note: Note) -> bool:
        """Whether its plan has the very comparison that the note tells of: copy, manifest, target."""
        return note.get("asked") in self.asked()

    def compares(self, path: str) -> bool:
        """Whether its plan has a comparison whose verdict goes into the note at this path."""
        return any(path in words for words in self.asked())

    def asked(self) -> list[list[str]]:
        """The words of each comparison in its plan."""
        found = []
        for step in self.intent.body.get("plan", {}).get("steps", ()):
            argv = list(step.get("argv", ()))
            if "backup.judge" in argv and "--begin" not in argv:
                found.append(argv[argv.index("backup.judge") + 1 :])
        return found


    def denied(self, name: str) -> Text | None:
        """What this very check said against it when it was asked for the proof; None where it said nothing against it."""
        for proof in self.outcome.body.get("proofs", ()) if self.outcome else ():
            if (isinstance(proof, dict) and (proof.get("check"), proof.get("subject")) == ("backup.restored", name)
                    and proof.get("verdict") not in (Verdict.MET.value, Verdict.AT_RISK.value)):
                return Text(proof.get("detail", {}).get("vi", "?"), proof.get("detail", {}).get("en", "?"))
        return None


@check("backup.restored", every=days(1), clauses=["TN-10.1.c"])
def restored(site: Site, ctx: Context) -> Iterator[Finding]:
    """Was the last restore of each set compared with its manifest to the end, and was it right?

    Reads the note that `backup.judge` writes, and the ledger. One subject for each set; one that was never restored is in
    order. As the proof of a restore the note must be of the very plan that is at work, and the trees must stand there.
    """
    acts = list(_acts(site, ctx))
    for name in ctx.subjects or sorted(ctx.settings.set):
        if name in ctx.settings.set:
            yield _of_set(site, ctx, name, acts)


def _acts(site: Site, ctx: Context) -> Iterator[Act]:
    """The restores of the site, newest first."""
    lines = [line for duty in DUTIES for kind in ("intent", "outcome")
             for line in ctx.view.evidence(site.id, kind=kind, duty=duty)]
    ended = {line.body.get("intent"): line for line in lines if line.kind == "outcome"}
    for line in sorted(lines, key=lambda line: -line.seq):
        if line.kind == "intent":
            yield Act(line, ended.get(line.seq))


def _of_set(site: Site, ctx: Context, name: str, acts: list[Act]) -> Finding:
    path = note_of(ctx.home, name)
    note = read(path)
    again = f"gaccong backup restore --site {site.id} --set {name} --to …"
    at_work = next((act for act in acts if act.outcome is None and act.compares(str(path))), None)
    if ctx.subjects and at_work is not None and not (note and at_work.holds(note)):
        return Finding(name, Verdict.BROKEN, say(
            "bộ {n}: lần khôi phục này không để lại kết quả so tệp", "set {n}: this restore left no verdict of its comparison",
            n=name), next=again)
    last = next((act for act in acts if act.outcome is not None and act.compares(str(path))), None)
    if at_work is None and last is not None and not (note and last.holds(note)):
        assert last.outcome is not None  # a note that is gone, or an older restore's, hides no restore
        return Finding(name, Verdict.BROKEN, say(
            "bộ {n}: lần khôi phục {e} ({o}) không để lại kết quả so tệp", "set {n}: restore {e} ({o}) left no verdict of its comparison",
            n=name, e=last.outcome.id, o=last.outcome.body.get("outcome")), next=again)
    if note is None:
        return Finding(name, Verdict.MET, say("bộ {n}: chưa khôi phục lần nào nên không có gì phải so",
                                              "set {n}: never restored, so there is nothing to compare", n=name))
    if at_work is not None and not ctx.subjects:
        return Finding(name, Verdict.UNSEEN, say("bộ {n}: đang khôi phục", "set {n}: a restore is at work", n=name),
                       next=f"gaccong look backup.restored --site {site.id}")
    act = next((act for act in acts if act.holds(note)), None)
    verdict, text = _judged(note, act)
    if verdict is not Verdict.BROKEN and act is not None and (denied := act.denied(name)):
        verdict, text = Verdict.BROKEN, denied
    if verdict is not Verdict.BROKEN and at_work is not None and (away := _away(note)):
        verdict, text = Verdict.BROKEN, say("bản vừa khôi phục không nằm ở {p}", "what was restored does not stand at {p}",
                                            p=", ".join(away))
    said = say("bộ {n}: lần khôi phục gần nhất {vi}: {vi_}", "set {n}: the last restore {en}: {en_}", n=name,
               vi=_which(note).vi, en=_which(note).en, vi_=text.vi, en_=text.en)
    return Finding(name, verdict, said, _measures(note), _facts(note, act), again if verdict is Verdict.BROKEN else "")


def _which(note: Note) -> Text:
    began = note.get("began") or note.get("ended") or ""
    with suppress(ValueError):
        began = when(datetime.fromisoformat(str(began)))
    where = ", ".join(map(str, note.get("to", ())))
    how = ("tại chỗ", "in place") if note.get("in_place") else ("vào", "into")
    return say("({t}, bản {i}, {vi}{p})", "({t}, copy {i}, {en}{p})", t=began, i=str(note.get("snapshot", ""))[:8], vi=how[0],
               en=how[1], p=f" {where}" if where else "")


def _judged(note: Note, act: Act | None) -> tuple[Verdict, Text]:
    """What note and ledger make of a restore."""
    state, ended = note.get("state"), act.outcome if act else None
    if state == BEGUN:
        return Verdict.BROKEN, say("đã bắt đầu nhưng chưa so xong", "it was begun, and never compared to the end")
    if state != RIGHT:
        return Verdict.BROKEN, _wrong(note)
    if ended is not None and ended.body.get("outcome") not in ("proved", "unproved"):
        return Verdict.BROKEN, say("tệp đúng, nhưng việc khôi phục không làm xong ({e}: {o})",
                                   "the files were right, but the restore was not finished ({e}: {o})", e=ended.id,
                                   o=ended.body.get("outcome"))
    right = say("{f} tệp đúng từng byte{vi}", "{f} files right to the byte{en}", f=note.get("files", 0),
                **_moving(int(note.get("not_compared", 0))))
    if act is None:
        return Verdict.AT_RISK, say("{vi}; sổ bằng chứng không ghi lần khôi phục này", "{en}; the ledger knows nothing of this "
                                    "restore", vi=right.vi, en=right.en)
    if not note.get("manifest"):
        return Verdict.AT_RISK, say("{vi}, theo danh mục nằm trong bản sao; sổ bằng chứng không ghi bản này",
                                    "{en}, by the manifest in the copy; the ledger knows nothing of this copy", vi=right.vi,
                                    en=right.en)
    return Verdict.MET, right


def _moving(count: int) -> dict[str, str]:
    if not count:
        return {"vi": "", "en": ""}
    told = say("; {n} tệp không so được vì đã đổi hoặc mất trong lúc chép",
               "; {n} files could not be compared, for they changed or went while copied", n=count)
    return {"vi": told.vi, "en": told.en}


def _wrong(note: Note) -> Text:
    if note.get("error"):
        return say("không có danh mục tệp trong bản khôi phục", "there is no manifest in what was restored")
    if "files" not in note:
        return say("không đọc được ghi chú của lần khôi phục", "the note of the restore cannot be read")
    if note.get("manifest_as_noted") is False:
        return say("danh mục tệp không phải bản mà sổ bằng chứng ghi", "the manifest is not the one that the ledger noted")
    names = [name for kind in ("wrong", "lost", "gone") for name in note.get("names", {}).get(kind, ())]
    return say("{w} tệp sai nội dung, {m} tệp thiếu{e}", "{w} files with wrong content, {m} missing{e}", w=note.get("wrong", 0),
               m=note.get("missing", 0), e=f" ({', '.join(names[:3])})" if names else "")


def _away(note: Note) -> list[str]:
    """Where something else stands than what was compared."""
    away = []
    for path, known in note.get("stands", {}).items():
        try:
            status = os.lstat(path)
        except OSError:
            away.append(path)
            continue
        if [status.st_dev, status.st_ino] != known:
            away.append(path)
    return away


def _measures(note: Note) -> dict[str, float]:
    found = {f"{name}_files" if name != "files" else name: float(note[name]) for name in ("files", "wrong", "missing")
             if name in note}
    with suppress(ValueError, KeyError):
        found["restored_timestamp_seconds"] = datetime.fromisoformat(str(note["ended"])).timestamp()
    return found


def _facts(note: Note, act: Act | None) -> dict[str, Any]:
    told: dict[str, Any] = {name: note[name] for name in ("snapshot", "manifest", "to", "in_place", "state", "began", "ended", "names")
            if name in note}
    by: dict[str, Any] = {"by": str(act.intent.body.get("by", "")), "evidence": (act.outcome or act.intent).id} if act else {}
    return {**told, **by}
