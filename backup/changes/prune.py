"""Takes away the copies that a place's keep rule lets go: by explicit ids, each named in the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import quote
from typing import NoReturn

from backup import inventory
from backup.cleared import clearings
from backup.copies import copies
from backup.keep import KeepRule
from backup.keeping import Choice, choose, guards
from backup.objects import reachable
from backup.places import FIRST, Where
from backup.restic import Repository, Snapshot, repository_of
from backup.suspects import ahead, planted, stands, suspects
from backup.trouble import ResticTrouble, explain
from backup.vouched import Holding, Lot, absent, holding
from ops import (
    Command,
    Context,
    MissingTool,
    Occasion,
    Plan,
    PlanRefused,
    Proof,
    Site,
    Step,
    Text,
    Verdict,
    change,
    local,
    python,
    say,
)

_WEEKLY = "40 4 * * 0"
_TOLD = 12


def weeks(site: Site) -> Iterator[Occasion]:
    """One occasion a week for each place that has a keep rule and lets things be removed."""
    settings = site.settings.get("backup")
    if settings is not None:
        for name, where in sorted(settings.places().items()):
            if where.keep is not None and not where.append_only:
                yield Occasion({"place": name}, _WEEKLY)


@change("backup.prune", clauses=["TN-10.1.d.proc"], occasions=weeks, explain=explain, timeout=1800.0)
def prune(site: Site, ctx: Context, *, place: str = FIRST, more: str = "", lost: str = "") -> Plan:
    """Takes away the copies that a place's keep rule lets go, and proves that what must stay is there.

    more: `yes` lets more than half of a set's copies go at once. lost: ids, with commas, of copies that somebody deleted
    and whose loss a person accepts. Raises PlanRefused: no rule, an append-only place, a clock that cannot be believed, a
    snapshot from the future or unknown to the ledger, an alarm that nobody cleared, a proved copy or an object missing.
    """
    where = _where(site, ctx, place)
    rule = where.keep
    if rule is None:
        _refuse(site, say("kho {n} chưa có quy tắc giữ: không bản nào bị bỏ", "place {n} has no keep rule: nothing is ever "
                          "removed", n=place),
                say("thêm `keep = {}` (hoặc keep = { days = 30, … }) cho kho này",
                    "add `keep = {}` (or keep = { days = 30, … }) to this place"))
    _refuse_clock(site, ctx)
    repository = repository_of(ctx, place)
    held = _held(site, ctx, place)
    _refuse_loss(site, ctx, held, repository, place, set(lost.split(",")))
    if place == FIRST:
        _refuse_suspicion(site, ctx, held, repository, held)
    else:
        _refuse_suspicion(site, ctx, held, repository, None)
    chosen = choose(rule, held.lots, ctx.now, sets=ctx.settings.set, drilled=_drilled(site, ctx))
    if where.append_only:
        _refuse_append_only(site, place, repository, chosen)
    if more != "yes" and (halved := chosen.over_half()):
        _refuse(site, say("bộ {s} sẽ mất hơn một nửa số bản sao trong một lần ({g} bản bỏ, {k} bản giữ)",
                          "set {s} would lose more than half of its copies at once ({g} go, {k} stay)",
                          s=", ".join(halved), g=len(chosen.go), k=len(chosen.stay)),
                say("xem kỹ rồi duyệt riêng: gaccong plan backup.prune place={p} more=yes --site {s}",
                    "look closely, then approve it by itself: gaccong plan backup.prune place={p} more=yes --site {s}",
                    p=place, s=site.id))
    return _plan(ctx, place, repository, rule, chosen)


def _where(site: Site, ctx: Context, place: str) -> Where:
    places: dict[str, Where] = ctx.settings.places()
    if place not in places:
        _refuse(site, say("không có kho {n}", "there is no place {n}", n=place),
                say("các kho: {k}", "places: {k}", k=", ".join(places)))
    return places[place]


def _refuse(site: Site, what: Text, mend: Text) -> NoReturn:
    raise PlanRefused(what, mend, site=site.id)


def _refuse_clock(site: Site, ctx: Context) -> None:
    """Old is what the clock says. One that runs behind the ledger, or that the system calls unsynchronised, is not asked."""
    newest = ctx.view.evidence(site.id, newest=1)
    if newest and newest[-1].time > ctx.now:
        _refuse(site, say("đồng hồ máy ({n}) chậm hơn dòng mới nhất của sổ bằng chứng ({e})",
                          "this machine's clock ({n}) is behind the ledger's newest line ({e})",
                          n=_when(ctx.now), e=_when(newest[-1].time)),
                say("chỉnh giờ (timedatectl) rồi chạy lại", "set the clock (timedatectl), then run again"))
    try:
        asked = ctx.ask("here").run(Command(("timedatectl", "show", "-p", "NTPSynchronized", "--value"), timeout=10.0))
    except MissingTool:
        return  # no systemd: the guards of the rule itself do not lean on the clock alone
    if asked.code == 0 and asked.text.strip() == "no":
        _refuse(site, say("đồng hồ máy chưa được đồng bộ", "this machine's clock is not synchronised"),
                say("timedatectl set-ntp true; chờ đồng bộ xong (timedatectl) rồi chạy lại",
                    "timedatectl set-ntp true; wait until it is (timedatectl), then run again"))


def _held(site: Site, ctx: Context, place: str) -> Holding:
    """What the place holds of the site, as the ledger knows it."""
    try:
        return stands(site, ctx, place)
    except ResticTrouble as trouble:
        if trouble.kind == "no_repository" and not copies(site, ctx):
            return holding(site, ctx, [], place)  # the site's first day: nothing was ever copied, nothing has to go
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None


def _refuse_loss(site: Site, ctx: Context, held: Holding, repository: Repository, place: str, accepted: set[str]) -> None:
    """A copy that somebody deleted may still be had back (`restic recover`) until a prune takes its data away."""
    listed = [*held.strangers, *held.young, *(found for lot in held.lots for found in lot.snapshots)]
    path = inventory.path_of(ctx.home, repository.at)
    ours = inventory.going(path) | accepted
    gone = absent(site, ctx, listed, place, ours)
    kept = inventory.load(path)
    missed = [name for name in (kept.missed if kept else ()) if name.removeprefix("snapshots/") not in ours]
    if place == FIRST and not gone and not missed:
        broken = [state for state in ctx.view.states(site.id, "backup.integrity") if state.verdict is Verdict.BROKEN]
        if broken:
            _refuse(site, say("kho đang hỏng theo backup.integrity: {vi_}", "the repository is broken by backup.integrity: {en_}",
                              vi_=broken[0].detail.vi, en_=broken[0].detail.en),
                    say("chữa trước: gaccong plan backup.heal --site {s}; rồi gaccong look backup.integrity --site {s}",
                        "heal it first: gaccong plan backup.heal --site {s}; then gaccong look backup.integrity --site {s}",
                        s=site.id))
        return
    if gone or missed:
        names = [*(f"snapshots/{one}" for one in gone), *(name for name in missed if name[10:] not in gone)]
        told = ", ".join(f"{name.partition('/')[0]}/{name.partition('/')[2][:8]}" for name in names[:_TOLD])
        more = f" … (+{len(names) - _TOLD})" if len(names) > _TOLD else ""
        _refuse(site, say("kho {n} mất thứ mà sổ bằng chứng ghi là còn: {t}{m}; chưa bỏ gì, vì dữ liệu có thể còn cứu được",
                          "place {n} lacks what the ledger knows to be there: {t}{m}; nothing is removed, for the data may "
                          "still be had back", n=place, t=told, m=more), _loss_mend(site, repository, place, gone))


def _loss_mend(site: Site, repository: Repository, place: str, gone: list[str]) -> Text:
    if not reachable(repository.at):
        return say("tìm ai đã xóa; cứu: restic recover; nếu chấp nhận mất: gaccong plan backup.prune place={p} lost={i} "
                   "--site {s}", "find out who deleted it; to get it back: restic recover; to accept the loss: gaccong plan "
                   "backup.prune place={p} lost={i} --site {s}", p=place, i=",".join(gone), s=site.id)
    plan = "backup.heal" if place == FIRST else f"backup.copy place={place}"
    return say("tìm ai đã xóa; cứu: gaccong plan {c} --site {s}; nếu chấp nhận mất: gaccong plan {c} give_up=yes --site {s}",
               "find out who deleted it; to get it back: gaccong plan {c} --site {s}; to accept the loss: gaccong plan {c} "
               "give_up=yes --site {s}", c=plan, s=site.id)


def _refuse_suspicion(site: Site, ctx: Context, held: Holding, repository: Repository,
                      sampled: Holding | None) -> None:
    """Nothing goes while anything is unexplained: what would go may be all that is left of the site."""
    answered = clearings(site, ctx)
    every = [*held.strangers, *held.young, *(found for lot in held.lots for found in lot.snapshots)]
    if future := ahead(every, ctx):
        _refuse(site, say("kho có bản sao đề ngày tương lai: {i}", "there are snapshots from the future: {i}", i=_ids(future)),
                say("xem là của ai, rồi bỏ bằng tay: restic -r {r} forget {i}", "find out whose it is, then remove it by hand: "
                    "restic -r {r} forget {i}", r=quote(repository.at), i=future[0].id))
    if strange := planted(held, answered):
        _refuse(site, say("kho có bản sao mà sổ bằng chứng không biết: {i}", "there are snapshots that the ledger does not "
                          "know: {i}", i=_ids(strange)), _by_hand(site, repository, strange[0]))
    for name, found in suspects(site, ctx, answered, repository if sampled else None, sampled).items():
        if found.open:
            alarm = found.open[0]
            _refuse(site, say("báo động của bộ {n} chưa được xử lý ({e}: {vi}); ngừng bỏ bản sao cũ",
                              "an alarm of set {n} is open ({e}: {en}); no old copy is removed", n=name, e=alarm.evidence,
                              vi=alarm.says.vi, en=alarm.says.en),
                    say("xem xét, rồi: gaccong plan backup.clear set={n} run={e} reason='…' --site {s}",
                        "look into it, then: gaccong plan backup.clear set={n} run={e} reason='…' --site {s}", n=name,
                        e=alarm.evidence, s=site.id))


def _by_hand(site: Site, repository: Repository, found: Snapshot) -> Text:
    return say("xem là của ai (restic snapshots); giữ lại: gaccong plan backup.clear set=repository run={i} reason='…' "
               "--site {s}; hoặc tự tay bỏ: restic -r {r} forget {i}",
               "find out whose it is (restic snapshots); to keep it: gaccong plan backup.clear set=repository run={i} "
               "reason='…' --site {s}; or remove it by hand: restic -r {r} forget {i}", i=found.id, s=site.id,
               r=quote(repository.at))


def _refuse_append_only(site: Site, place: str, repository: Repository, chosen: Choice) -> NoReturn:
    ids = " ".join(found.id for lot in chosen.go for found in lot.snapshots)
    if not ids:
        _refuse(site, say("kho {n} chỉ ghi thêm, và theo quy tắc chưa có bản nào phải bỏ",
                          "place {n} is append-only, and by its rule nothing has to go yet", n=place),
                say("không cần làm gì", "nothing to do"))
    _refuse(site, say("kho {n} chỉ ghi thêm: từ máy này không bỏ được bản nào ({g} bản đã hết hạn giữ)",
                      "place {n} is append-only: nothing can be removed from this machine ({g} copies are past their time)",
                      n=place, g=len(chosen.go)),
            say("trên máy chứa kho, với đường dẫn thư mục của kho: restic -r /đường/dẫn forget --prune {i}",
                "on the storage machine, with the repository's folder: restic -r /its/path forget --prune {i}", i=ids))


def _drilled(site: Site, ctx: Context) -> set[str]:
    """Evidence of the copies that the latest good drill of each set restored."""
    found: dict[str, str] = {}
    for line in ctx.view.evidence(site.id, duty="backup.drill"):
        body = line.body
        told = {line.subject: body} if line.kind == "flip" else body.get("subjects", {}) if line.kind == "daily" else {}
        for subject, one in told.items():
            evidence = one.get("facts", {}).get("evidence")
            if one.get("verdict") == "met" and evidence:
                found[subject] = str(evidence)
    return set(found.values())


def _plan(ctx: Context, place: str, repository: Repository, rule: KeepRule, chosen: Choice) -> Plan:
    sentence = rule.sentence()
    binding = say("kho {n} ({r}): {vi}; {gv}", "place {n} ({r}): {en}; {ge}", n=place, r=repository.at, vi=sentence.vi,
                  en=sentence.en, gv=guards().vi, ge=guards().en)
    title = say("kho {n}: bỏ {g} bản sao cũ, giữ {k} bản{s}", "place {n}: {g} old copies go, {k} stay{s}", n=place,
                g=len(chosen.go), k=len(chosen.stay), s=f" (–: {', '.join(chosen.asleep)})" if chosen.asleep else "")
    touched = sorted({lot.set for lot in chosen.go} & set(ctx.settings.set))
    levels = sorted({ctx.settings.set[name].level for name in touched})
    proofs = ((Proof("backup.fresh", tuple(levels)), Proof("backup.integrity", tuple(touched))) if place == FIRST
              else (Proof("backup.offsite", (place,)),))
    if not chosen.go:
        nothing = (Proof("backup.anomaly", ("repository",)),) if place == FIRST else proofs
        return Plan(title, (), nothing, rule=binding)
    steps = [*inventory.step(ctx.home, repository), _step(ctx, repository, chosen),
             *inventory.step(ctx.home, repository, gone=[found.id for lot in chosen.go for found in lot.snapshots])]
    return Plan(title, tuple(steps), proofs, rule=binding)


def _step(ctx: Context, repository: Repository, chosen: Choice) -> Step:
    flags = [part for flag, lots in (("--gone", chosen.go), ("--stay", chosen.stay))
             for lot in lots for found in lot.snapshots for part in (flag, found.id)]
    note = inventory.going_of(inventory.path_of(ctx.home, repository.at))
    why = say("bỏ: {g} — giữ: {k}; rồi đọc lại kho để chắc đúng như vậy",
              "go: {g} — stay: {k}; then the repository is read back to make sure", g=_said(chosen.go), k=_said(chosen.stay))
    return Step(why, python("backup.forget", *flags, "--note", str(note), "--", *repository.argv()), env=repository.env,
                secrets=repository.secrets, keep=True, timeout=7 * 3600.0)


def _said(lots: Iterable[Lot]) -> str:
    """Copies as a person reads them: set, time, id, size."""
    return "; ".join(f"{lot.set} {_when(lot.time)} {' '.join(one.id[:8] for one in lot.snapshots)}"
                     + (f" ({lot.copy.bytes / 1e6:.1f} MB)" if lot.copy else "") for lot in lots) or "–"


def _when(time: object) -> str:
    return f"{local(time):%d/%m/%Y %H:%M}"  # type: ignore[arg-type]


def _ids(found: list[Snapshot]) -> str:
    more = f" … (+{len(found) - _TOLD})" if len(found) > _TOLD else ""
    return ", ".join(f"{one.id[:8]} ({_when(one.time)})" for one in found[:_TOLD]) + more
