"""Heals a damaged repository: from a mirror, from the site itself, from a second place; says what cannot be healed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from backup import inventory
from backup.changes.run import run
from backup.copies import HEAL
from backup.damage import Damage, kind_of, names_of
from backup.keyless import examine
from backup.mend import moving
from backup.objects import CONFIG, Objects, digest, objects_of
from backup.places import FIRST
from backup.restic import Repository, can, repository_of, version
from backup.rewrite import holes
from backup.structure import Seen, check_structure
from backup.trouble import ResticTrouble, explain
from backup.vouched import pairs
from ops import Context, Plan, PlanRefused, Proof, Site, Step, Text, Verdict, change, python, say

_AT_ONCE = 2000
_TOLD = 8
_PROVING = timedelta(minutes=10)
_RESCUE = "rescue"
_LEAST = say("cần restic 0.16 trở lên: đặt khóa `restic` của [site.….backup] sang chương trình mới hơn",
             "restic 0.16 or newer is needed: let key `restic` of [site.….backup] name a newer program")
_CLAIMED = say("; kho khác có bản tự nhận là bản đã mất, nhưng sổ không ghi backup.copy đã chép nó: không lấy",
               "; another place has what claims to be a copy, but the ledger has no backup.copy of it: not taken")


@dataclass
class Case:
    """What there is to heal, and with what.

    mirrored: place -> objects that it holds under the same name, right. copied: place -> snapshots that it holds of ours.
    twins: place -> lost snapshot -> what the ledger notes as its copy there. lost: what nothing can bring back.
    holes: old copy -> its files whose data is lost, where a heal before found nothing that could bring it back.
    """

    repository: Repository
    damage: Damage
    structure: Seen = field(default_factory=Seen)
    mirrored: dict[str, list[str]] = field(default_factory=dict)
    copied: dict[str, list[str]] = field(default_factory=dict)
    twins: dict[str, dict[str, str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    holes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def rest(self) -> Damage:
        """The damage that no mirror heals."""
        had = {name for names in self.mirrored.values() for name in names}
        return Damage(tuple(name for name in self.damage.missing if name not in had),
                      tuple(name for name in self.damage.bad if name not in had))


@change("backup.heal", clauses=["TN-10.1.c"], explain=explain, timeout=7200.0)
def heal(site: Site, ctx: Context, *, read: str = "known", give_up: str = "no") -> Plan:
    """Heals what is damaged in the first place, and proves it by a full look.

    An object that another place holds under the same name is put back from there. Else damaged data is taken out of the
    index, and every set is copied again with its bytes read anew. read: `all` reads the whole repository for the plan.
    give_up: `yes` accepts the loss of what nothing can bring back. Raises PlanRefused: such a loss, a restic too old.
    """
    repository = repository_of(ctx)
    having = version(ctx, repository.program)
    try:
        case = _case(site, ctx, repository, everything=read == "all")
    except ResticTrouble as trouble:
        raise PlanRefused(trouble.what, trouble.mend, site=site.id) from None
    if not case.damage and not case.structure.damage:
        return Plan(say("kho {r} không có gì phải chữa", "there is nothing to heal in repository {r}", r=repository.at), (),
                    (Proof("backup.integrity"),))
    _refuse(site, ctx, case, can("repair", having), give_up == "yes")
    steps = [*inventory.step(ctx.home, repository), *_from_mirrors(ctx, case)]
    rest = case.rest
    if CONFIG not in (*case.damage.missing, *case.damage.bad) and (rest or case.structure.damage):
        steps += _repair(ctx, case, can("repair", having))
        steps += _copies(site, ctx, repository)
        steps += _from_seconds(site, ctx, case)
        if give_up == "yes" and can("repair", having):
            steps.append(_rewriting(site, repository))
    gone = [name for name in rest.missing if name != CONFIG]
    steps += inventory.step(ctx.home, repository, after_removal=True, give_up=gone if len(gone) <= _AT_ONCE else ("all",))
    return Plan(_title(case), tuple(steps), (Proof("backup.integrity"), Proof("backup.contents")))


def _case(site: Site, ctx: Context, repository: Repository, *, everything: bool) -> Case:
    """Looks at the repository and at the other places. Raises ResticTrouble."""
    objects = objects_of(ctx, repository)
    if objects is None:
        case = Case(repository, Damage(), check_structure(ctx, repository, *(("--read-data",) if everything else ())))
        case.damage = Damage(bad=tuple(f"data/{name}" for name in case.structure.packs if len(name) == 64))
        _find_holes(site, ctx, case)
        return case
    case = Case(repository, examine(site, ctx, repository, objects, everything=everything))
    if not case.damage:
        case.structure = check_structure(ctx, repository)
        if not case.structure.damage:
            return case
    config = _pinned(ctx, repository)
    if repository.local is not None and (left := moving(ctx.home / _RESCUE).keys() & set(case.rest.missing)):
        case.mirrored[_RESCUE] = sorted(left)
    for place in ctx.settings.places():
        if place != FIRST:
            _ask_place(site, ctx, case, place, config)
    known = {f"snapshots/{name}" for names in case.twins.values() for name in names}
    rest = case.rest
    case.lost = [name for name in (*rest.missing, *rest.bad) if kind_of(name) in ("snapshots", "keys", CONFIG)
                 and name not in known]
    _find_holes(site, ctx, case)
    return case


def _find_holes(site: Site, ctx: Context, case: Case) -> None:
    """What no heal can bring back: every object is right, and the newest heal, which went through, could not either."""
    lines = ctx.view.evidence(site.id, kind="outcome", duty=HEAL)
    if case.damage or not case.structure.damage or not lines or lines[-1].body.get("outcome") != "unproved":
        return
    known = ctx.view.states(site.id, "backup.integrity")
    if any(state.verdict is not Verdict.BROKEN or state.since > lines[-1].time + _PROVING for state in known):
        return  # it was right in between: this damage is a new one
    answers = [step.get("answer") for step in lines[-1].body.get("steps", ())]
    asked = sum(isinstance(answer, dict) and "renamed" in answer for answer in answers)
    if sum(bool(names) for names in case.copied.values()) <= asked:
        case.holes = holes(site, ctx, case.repository, case.structure.damage)


def _pinned(ctx: Context, repository: Repository) -> str:
    kept = inventory.load(inventory.path_of(ctx.home, repository.at))
    return kept.config if kept else ""


def _ask_place(site: Site, ctx: Context, case: Case, place: str, config: str) -> None:
    """What another place has of what is missing. A place that cannot be read is passed over, and told in the log."""
    other = repository_of(ctx, place)
    try:
        objects = objects_of(ctx, other)
        if objects is not None and case.repository.local is not None and config and digest(objects, CONFIG)[0] == config:
            case.mirrored[place] = [name for name in (*case.rest.missing, *case.rest.bad) if _right(objects, name, config)]
        lost = set(names_of((*case.rest.missing, *case.rest.bad), "snapshots"))
        if case.repository.local is not None and (lost or case.structure.damage or _any(case.rest, "data", "index")):
            listed = other.snapshots(ctx, "gaccong", f"site={site.id}")
            case.copied[place] = sorted({f"snapshots/{found.original or found.id}" for found in listed})
            # what a snapshot there says of its origin is worth nothing: only what backup.copy noted in the signed ledger
            noted, there = pairs(site, ctx, place), {found.id for found in listed}
            case.twins[place] = {here: twin for twin, here in sorted(noted.items()) if here in lost and twin in there}
    except (OSError, ResticTrouble) as error:
        ctx.log.warning("place %s could not be asked: %s", place, error)


def _right(objects: Objects, name: str, config: str) -> bool:
    try:
        return digest(objects, name)[0] == (config if name == CONFIG else name.rpartition("/")[2])
    except OSError:
        return False


def _refuse(site: Site, ctx: Context, case: Case, repairs: bool, give_up: bool) -> None:
    """Raises PlanRefused for what cannot be done, or not without a person's word."""
    rest, at = case.rest, case.repository.at
    if names_of(case.lost, CONFIG):
        raise PlanRefused(
            say("tệp config của kho {r} đã mất hoặc bị thay, không nơi nào còn bản đúng", "config of repository {r} is lost "
                "or exchanged, and no other place has the right one", r=at),
            say("lấy lại tệp config từ một bản chép nguyên của kho; không có thì kho này không mở được nữa: đặt "
                "`repository` sang nơi mới", "bring config back from a mirror of the repository; without one it cannot be "
                "opened any more: set `repository` to a new place"), site=site.id)
    objects = objects_of(ctx, case.repository)
    if names_of(case.lost, "keys") and objects is not None:
        whole = {name for name in objects.names("keys") if name not in rest.bad}
        if not whole and not any(kind_of(name) == "keys" for names in case.mirrored.values() for name in names):
            raise PlanRefused(
                say("kho {r} không còn tệp khóa nào: mật khẩu không mở được nữa, không có cách chữa", "repository {r} has no "
                    "key file left: the password opens nothing any more, and nothing can heal that", r=at),
                say("chỉ một bản chép nguyên của kho (thư mục keys) cứu được; nếu không có: đặt `repository` sang nơi mới",
                    "only a mirror of the repository (folder keys) can help; without one set `repository` to a new place"),
                site=site.id)
    if not repairs and (names_of(rest.bad, "data") or (give_up and case.structure.damage)):
        raise PlanRefused(say("restic này không chữa được gói dữ liệu hỏng ({n} gói)", "this restic cannot heal bad data packs "
                              "({n})", n=len(names_of(rest.bad, "data"))), _LEAST, site=site.id)
    if case.holes and not give_up:
        words = _of_holes(case)
        raise PlanRefused(
            say("kho {r}: {vi_}; lần chữa trước đã thử mọi nơi còn hỏi được", "repository {r}: {en_}; the heal before tried "
                "every source there is", r=at, vi_=words.vi, en_=words.en),
            say("chấp nhận mất các tệp đó, giữ phần còn lại của các bản sao ấy: gaccong plan backup.heal give_up=yes --site {s}",
                "to accept the loss of these files and keep the rest of those copies: gaccong plan backup.heal give_up=yes "
                "--site {s}", s=site.id), site=site.id)
    claimed = {name for names in case.copied.values() for name in names} & set(case.lost)
    if case.lost and not give_up:
        words = Damage(tuple(name for name in case.lost if name in rest.missing),
                       tuple(name for name in case.lost if name in rest.bad)).words
        raise PlanRefused(
            say("không chữa được ở kho {r}: {vi_}{more_vi}", "cannot be healed in repository {r}: {en_}{more_en}", r=at,
                vi_=words.vi, en_=words.en, more_vi=_CLAIMED.vi if claimed else "", more_en=_CLAIMED.en if claimed else ""),
            say("tìm ai đã xóa; nếu chấp nhận mất: gaccong plan backup.heal give_up=yes --site {s}",
                "find out who deleted it; to accept the loss: gaccong plan backup.heal give_up=yes --site {s}", s=site.id),
            site=site.id)


def _of_holes(case: Case) -> Text:
    """Which old copies lack which files: the first few of each."""
    told = "; ".join(": ".join(part for part in (name, ", ".join(files[:_TOLD]) + (
        f" … (+{len(files) - _TOLD})" if len(files) > _TOLD else "")) if part) for name, files in list(case.holes.items())[:_TOLD])
    more = f" … (+{len(case.holes) - _TOLD})" if len(case.holes) > _TOLD else ""
    if "" in case.holes:
        return say("có bản sao cũ mất hẳn dữ liệu của các tệp: {t}", "old copies lack the data of files for good: {t}",
                   t=told or "?")
    return say("{n} bản sao cũ mất hẳn dữ liệu của các tệp: {t}{m}", "{n} old copies lack the data of files for good: {t}{m}",
               n=len(case.holes), t=told, m=more)


def _from_mirrors(ctx: Context, case: Case) -> Iterator[Step]:
    config = _pinned(ctx, case.repository)
    for place, names in case.mirrored.items():
        if place == _RESCUE:
            yield Step(say("đặt lại {n} bản sao mà lần chữa bị ngắt đã đưa ra", "put back {n} snapshots that a run which was "
                           "killed had moved out", n=len(names)),
                       python("backup.mend", "back", "--at", case.repository.at, "--folder", str(ctx.home / _RESCUE)),
                       timeout=600.0)
            continue
        other = repository_of(ctx, place)
        secrets = {name: value for name, value in other.secrets.items() if name == "RESTIC_REPOSITORY_FILE"}
        ca = ("--ca", other.ca) if other.ca else ()
        for part in _parts(names):
            yield Step(say("lấy {n} tệp cùng tên từ {p}, so mã băm, đặt lại", "fetch {n} objects of the same name from {p}, "
                           "verify, put back", n=len(part), p=other.at),
                       python("backup.mend", "fetch", "--from", other.at, *ca, "--config", config, "--to",
                              case.repository.at, "--", *part), secrets=secrets, timeout=21600.0)


def _parts(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]


def _repair(ctx: Context, case: Case, repairs: bool) -> Iterator[Step]:
    """Takes what is damaged out of the repository's index, so that it is stored again."""
    repository, rest = case.repository, case.rest
    folder = str(ctx.home / _RESCUE)
    useless = [name for name in rest.bad if kind_of(name) in ("snapshots", "keys")]
    if useless:
        yield Step(say("đưa {n} tệp không đọc được ra khỏi kho (giữ ở {f})", "move {n} unreadable files out of the "
                       "repository (kept in {f})", n=len(useless), f=folder),
                   python("backup.mend", "aside", "--at", repository.at, "--folder", folder, "--", *useless), timeout=600.0)
    patient = ("--retry-lock", "5m") if repairs else ()

    def restic(why: Text, *words: str) -> Step:
        argv = python("backup.mend", "repair", "--folder", folder, "--", *repository.argv(*words, *patient))
        return Step(why, argv, env=repository.env, secrets=repository.secrets, timeout=21600.0)

    if case.structure.damage or any(kind_of(name) in ("data", "index") for name in (*rest.missing, *rest.bad)):
        yield restic(say("lập lại chỉ mục theo những gì còn trong kho", "make the index anew from what the repository holds"),
                     *(("repair", "index") if repairs else ("rebuild-index",)))
    for part in _parts(names_of(rest.bad, "data")):
        yield restic(say("cứu phần còn đọc được của {n} gói hỏng, bỏ phần hỏng", "save what can be read of {n} bad packs, "
                         "drop the rest", n=len(part)), "repair", "packs", *part)


def _rewriting(site: Site, repository: Repository) -> Step:
    """Comes last: what the site or a second place gave again is not lost, and stays in the old copies."""
    return Step(say("bỏ khỏi các bản sao cũ những tệp không còn dữ liệu", "take files whose data is lost out of old copies"),
                python("backup.rewrite", "--site", site.id, "--at", repository.at, "--", *repository.argv()),
                env=repository.env, secrets=repository.secrets, keep=True, timeout=7 * 3600.0)


def _from_seconds(site: Site, ctx: Context, case: Case) -> Iterator[Step]:
    """What the site itself cannot give again is brought back from a second place: lost snapshots, holes in old ones."""
    first = case.repository
    for place, names in case.copied.items():
        if not names:
            continue
        other = repository_of(ctx, place)
        named = [part for lost, twin in sorted(case.twins[place].items()) for part in ("--twin", f"{lost}:{twin}")]
        swapped = {name.replace("RESTIC_", "RESTIC_FROM_", 1) if name.startswith("RESTIC_") else name: reference
                   for name, reference in other.secrets.items()}
        source = () if "RESTIC_FROM_REPOSITORY_FILE" in swapped else ("--from", other.at)
        ca = ("--cacert", other.ca) if other.ca else ()
        argv = (*replace(first, hosts=other.hosts).argv(), *ca)
        yield Step(say("lấy lại từ {p} những bản sao đã mất hoặc còn thiếu dữ liệu", "bring back from {p} the copies that are "
                       "lost or lack data", p=other.at),
                   python("backup.renew", "--site", site.id, "--folder", str(ctx.home / _RESCUE), "--at", first.at, *named,
                          *source, "--", *argv),
                   env=first.env, secrets={**first.secrets, **swapped}, keep=True, timeout=7 * 3600.0)


def _copies(site: Site, ctx: Context, repository: Repository) -> Iterator[Step]:
    """A copy of every set, every byte read anew: what the index no longer knows is stored again."""
    for name in sorted(ctx.settings.set):
        for step in run.function(site, ctx, set=name).steps:
            if "backup.copying" in step.argv:
                place = step.argv.index("backup.copying") + 1
                yield replace(step, argv=(*step.argv[:place], "--force", *step.argv[place:]))
            elif "backup.inventory" not in step.argv:
                yield step


def _title(case: Case) -> Text:
    words = case.damage.words if case.damage else Text(*(case.structure.damage.splitlines()[-1:] * 2))
    how: list[Text] = []
    for place, names in case.mirrored.items():
        if names:
            how.append(say("{n} tệp lấy lại từ {p}", "{n} objects fetched from {p}", n=len(names), p=place))
    seconds = [repository for repository, names in case.copied.items() if names]
    if seconds:
        how.append(say("bản sao mất hoặc còn thiếu dữ liệu lấy lại từ kho {p}", "copies that are lost or lack data brought back "
                       "from place {p}", p=", ".join(seconds)))
    if _any(case.rest, "data", "index") or case.structure.damage:
        how.append(say("dữ liệu hỏng lấy lại từ trang đang chạy", "damaged data stored again from the site") if seconds else
                   say("dữ liệu hỏng lấy lại từ trang đang chạy; phần trang không còn giữ thì các bản sao cũ sẽ thiếu "
                       "(chấp nhận bằng give_up=yes)",
                       "damaged data stored again from the site; what the site no longer has stays missing from old copies "
                       "(accepted with give_up=yes)"))
    if case.holes:
        holed = _of_holes(case)
        how.append(say("chịu mất: {vi_}", "given up: {en_}", vi_=holed.vi, en_=holed.en))
    if case.lost:
        lost = Damage(tuple(case.lost)).words
        how.append(say("chịu {vi_}", "given up, {en_}", vi_=lost.vi, en_=lost.en))
    return say("chữa kho {r}: {vi_} → {how_vi}", "heal repository {r}: {en_} → {how_en}", r=case.repository.at, vi_=words.vi,
               en_=words.en, how_vi="; ".join(one.vi for one in how), how_en="; ".join(one.en for one in how))


def _any(damage: Damage, *kinds: str) -> bool:
    found: Iterable[str] = (*damage.missing, *damage.bad)
    return any(kind_of(name) in kinds for name in found)
