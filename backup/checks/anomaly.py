"""Do the latest runs look like the site's own life, or like an attack?"""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from backup.alarm import Run, fires, shares
from backup.changes.clear import REPOSITORY
from backup.cleared import Clearing, clearings
from backup.restic import Repository, repository_of
from backup.suspects import Suspects, ahead, planted, suspects
from backup.trouble import ResticTrouble
from backup.vouched import Holding, holding
from ops import Context, Finding, Site, Text, Verdict, check, days, say

_SECONDS = 120.0


@check("backup.anomaly", every=days(1), clauses=["TN-10.1.d.freq"], timeout=300.0)
def anomaly(site: Site, ctx: Context) -> Iterator[Finding]:
    """Do the latest runs look like the site's own life, or like ransomware, a lost source, a forged snapshot?

    Judges the figures that restic gave of each run, as the ledger keeps them; what is unknown to the ledger, or from the
    future, in the repository. One subject for each set, and `repository`. An alarm stays until a person clears it.
    """
    broken = fires()
    if broken:
        text = say("báo động hỏng: phép thử của chính nó không cho kết quả đúng ({k})",
                   "the alarm is broken: its test of itself went wrong ({k})", k=", ".join(broken))
        for name in (*sorted(ctx.settings.set), REPOSITORY):
            yield Finding(name, Verdict.BROKEN, text, facts={"self_test": broken}, next="gaccong doctor")
        return
    answered = clearings(site, ctx)
    repository = repository_of(ctx)
    held, trouble = _held(site, ctx, repository)
    known = suspects(site, ctx, answered, repository, held)
    wanted = ctx.subjects or (*sorted(ctx.settings.set), REPOSITORY)
    for name in wanted:
        if name in ctx.settings.set:
            yield _of_set(site, name, known.get(name, Suspects((), (), ())))
    if REPOSITORY in wanted:
        yield _of_repository(site, ctx, repository, held, trouble, [one for one in answered if one.set == REPOSITORY])


def _held(site: Site, ctx: Context, repository: Repository) -> tuple[Holding | None, ResticTrouble | None]:
    try:
        return holding(site, ctx, repository.snapshots(ctx, "gaccong", f"site={site.id}", timeout=_SECONDS)), None
    except ResticTrouble as trouble:
        return None, trouble


def _of_set(site: Site, name: str, found: Suspects) -> Finding:
    if not found.runs:
        return Finding(name, Verdict.UNSEEN, say("bộ {n}: chưa sao lưu lần nào", "set {n}: never copied yet", n=name),
                       next=f"gaccong plan backup.run set={name} --site {site.id}")
    newest = found.runs[-1]
    measures = _measures(newest, found.runs[-2] if len(found.runs) > 1 else None)
    measures |= {"open_alarms": len({alarm.evidence for alarm in found.open}), "retention_frozen": float(bool(found.open))}
    facts = {"runs": len(found.runs), "newest": newest.evidence, "self_test": [],
             "alarms": [{"evidence": one.evidence, "kind": one.kind, "says": one.says.json()} for one in found.open],
             "cleared": [one.json() for one in found.cleared]}
    if found.open:
        first = found.open[0]
        verdict = Verdict.BROKEN if any(alarm.certain for alarm in found.open) else Verdict.AT_RISK
        return Finding(name, verdict, _rung(name, found), measures, facts,
                       f"gaccong plan backup.clear set={name} run={first.evidence} reason='…' --site {site.id}")
    looked = newest.evidence in {one.run for one in found.cleared}
    text = say("bộ {n}: lần chạy mới nhất {k} ({c} số tệp đổi, {g} mất){o}",
               "set {n}: the newest run {l} ({c} of the files changed, {g} went){p}", n=name,
               k="đáng ngờ nhưng đã có người xem xét" if looked else "bình thường",
               l="is suspicious, and a person has looked into it" if looked else "is normal",
               c=f"{measures['changed_ratio'] * 100:.0f}%", g=f"{measures['gone_ratio'] * 100:.0f}%",
               o=_blunt(newest).vi, p=_blunt(newest).en)
    return Finding(name, Verdict.MET, text, measures, facts)


def _rung(name: str, found: Suspects) -> Text:
    runs = list(dict.fromkeys(alarm.evidence for alarm in found.open))
    vi = "; ".join(f"{alarm.evidence}: {alarm.says.vi}" for alarm in found.open[:4])
    en = "; ".join(f"{alarm.evidence}: {alarm.says.en}" for alarm in found.open[:4])
    return say("bộ {n}: {k} lần chạy đáng ngờ — {vi_}. Ngừng bỏ bản sao cũ cho tới khi có người xem xét",
               "set {n}: {k} suspicious runs — {en_}. No old copy is removed until a person has looked into it",
               n=name, k=len(runs), vi_=vi, en_=en)


def _blunt(run: Run) -> Text:
    """What cannot be seen with this restic, told."""
    if run.main.packed is not None:
        return Text("", "")
    return say("; restic này không cho biết độ nén: khi nhiều tệp đổi, gaccong tự lấy mẫu; bản kết xuất bị mã hóa không nhận ra",
               "; this restic does not tell how well data compress: where many files change a sample is taken; an "
               "encrypted dump is not recognised")


def _measures(run: Run, before: Run | None) -> dict[str, float]:
    changed, gone = shares(run, before)
    found = {"changed_ratio": changed, "gone_ratio": gone, "files": float(run.main.total),
             "added_bytes": float(run.main.added)}
    if run.main.density is not None:
        found["packed_ratio"] = run.main.density
    return found


def _of_repository(site: Site, ctx: Context, repository: Repository, held: Holding | None, trouble: ResticTrouble | None,
                   answered: list[Clearing]) -> Finding:
    if held is None:
        assert trouble is not None
        return Finding(REPOSITORY, Verdict.UNSEEN, Text(trouble.explain("vi"), trouble.explain("en")),
                       facts={"kind": trouble.kind}, next=f"gaccong look backup.integrity --site {site.id}")
    every = [*held.strangers, *held.young, *(one for lot in held.lots for one in lot.snapshots)]
    future = ahead(every, ctx)
    strange = [one for one in planted(held, answered) if one not in future]
    facts = {"future": [one.id for one in future], "unknown": [one.id for one in strange],
             "not_counted": [one.id for lot in held.lots if lot.copy is None for one in lot.snapshots],
             "cleared": [one.json() for one in answered]}
    measures = {"snapshots": float(len(every)), "unknown_snapshots": float(len(strange)),
                "future_snapshots": float(len(future)), "retention_frozen": float(bool(future or strange))}
    if not future and not strange:
        text = say("kho {r}: sổ bằng chứng biết cả {k} bản sao", "repository {r}: the ledger knows all {k} snapshots",
                   r=repository.at, k=len(every))
        return Finding(REPOSITORY, Verdict.MET, text, measures, facts)
    text = say("kho {r}: {u} bản sao mà sổ bằng chứng không biết, {f} bản đề ngày tương lai ({i}). Ngừng bỏ bản sao cũ",
               "repository {r}: {u} snapshots unknown to the ledger, {f} from the future ({i}). No old copy is removed",
               r=repository.at, u=len(strange), f=len(future), i=", ".join(one.id[:8] for one in [*future, *strange][:8]))
    following = (f"restic -r {quote(repository.at)} forget {future[0].id}" if future else
                 f"gaccong plan backup.clear set={REPOSITORY} run={strange[0].id} reason='…' --site {site.id}")
    return Finding(REPOSITORY, Verdict.BROKEN, text, measures, facts, following)
