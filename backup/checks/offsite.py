"""Is the newest proved copy at every further place, and do the places make 3-2-1?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from shlex import quote

from backup.cleared import clearings
from backup.copies import proved
from backup.keyless import look
from backup.objects import objects_of
from backup.places import FIRST, Where
from backup.rest import Server, there, would_delete
from backup.restic import Repository, Snapshot, repository_of
from backup.rewrite import holes
from backup.structure import SECONDS, check_structure
from backup.suspects import ahead, planted
from backup.trouble import ResticTrouble
from backup.vouched import Holding, Lot, holding, pairs, twins
from ops import CannotSee, Context, Finding, Site, Text, Verdict, check, days, local, say

THREE = "3-2-1"
_SECONDS = 120.0
_READING = 300.0
_CHECKED = timedelta(days=7)
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """A place as it was met. held: what it holds; None when it could not be read. tried: whether it would delete.

    damage: what is missing or changed of what lay there; None when all is as it was.
    """

    name: str
    where: Where
    held: Holding | None = None
    tried: bool | None = None
    trouble: CannotSee | None = None
    damage: Text | None = None


@check("backup.offsite", every=days(1), clauses=["TN-10.1.d.proc", "TN-10.1.b.dr"], timeout=SECONDS + 900)
def offsite(site: Site, ctx: Context) -> Iterator[Finding]:
    """Is the newest proved copy at every further place, and are there two places, one elsewhere, one append-only?

    One subject for each further place, and `3-2-1`. Whether a rest-server is append-only is tried, with the deletion of a
    name that does not exist; of other kinds it is only claimed. A listing is no copy: the objects behind it are held
    against the place's inventory and what is new is read; over sftp and S3 `restic check` goes over them once a week.
    """
    places: dict[str, Where] = ctx.settings.places()
    wanted = [name for name in ctx.subjects or places if name in places and name != FIRST]
    whole = not ctx.subjects or THREE in ctx.subjects
    listed = _first(site, ctx) if wanted or whole else []
    mine = holding(site, ctx, listed) if isinstance(listed, list) else None
    seen = {name: _see(site, ctx, name, where, listed if isinstance(listed, list) else [])
            for name, where in places.items() if name != FIRST and (whole or name in wanted)}
    newest = _newest(site, ctx, mine)
    for name in wanted:
        yield _place(site, ctx, seen[name], newest, proof=bool(ctx.subjects))
    if whole:
        first = Seen(FIRST, places[FIRST], mine, *_try(ctx, places[FIRST]))
        yield _three(site, ctx, [first, *seen.values()])


def _first(site: Site, ctx: Context) -> list[Snapshot] | CannotSee:
    """The copies at the first place. Before the first run there is no repository: that is none, not unseen."""
    try:
        return repository_of(ctx).snapshots(ctx, "gaccong", f"site={site.id}", timeout=_SECONDS)
    except CannotSee as trouble:
        unbegun = isinstance(trouble, ResticTrouble) and trouble.kind == "no_repository" and not proved(site, ctx)
        return [] if unbegun else trouble


def _newest(site: Site, ctx: Context, mine: Holding | None) -> dict[str, list[Lot]]:
    """The proved copies of each set: those that stand at the first place; if it cannot be read, those of the ledger."""
    if mine is None:
        known = proved(site, ctx)
        return {name: [Lot(name, copy, copy.evidence, copy.started, ()) for copy in known if copy.set == name]
                for name in ctx.settings.set}
    return {name: mine.of(name) for name in ctx.settings.set}


def _try(ctx: Context, where: Where) -> tuple[bool | None, CannotSee | None]:
    """(it would delete, None); (None, None) where it cannot be tried; (None, trouble) where nobody answers."""
    if where.kind != "rest":
        return None, None
    try:
        return would_delete(_server(ctx, where)), None
    except CannotSee as trouble:
        return None, trouble


def _server(ctx: Context, where: Where) -> Server:
    login = ctx.secret(where.login).reveal().decode("utf-8", "replace") if where.login else ""
    return Server(where.repository, login, str(where.ca or ""))


def _see(site: Site, ctx: Context, name: str, where: Where, first: list[Snapshot]) -> Seen:
    """Reads a place. A rest-server is asked one short question first: restic would ask a mute one for minutes."""
    tried, trouble = _try(ctx, where)
    if trouble is not None:
        return Seen(name, where, trouble=trouble)
    try:
        if where.kind == "rest" and not there(_server(ctx, where)):
            return Seen(name, where, Holding((), (), ()), tried)
        listed = repository_of(ctx, name).snapshots(ctx, "gaccong", f"site={site.id}", timeout=_SECONDS)
    except CannotSee as error:
        if isinstance(error, ResticTrouble) and error.kind == "no_repository":
            return Seen(name, where, Holding((), (), ()), tried, error)
        return Seen(name, where, None, tried, error)
    held = holding(site, ctx, listed, name, {**pairs(site, ctx, name), **twins(first, listed)})
    try:
        return Seen(name, where, held, tried, damage=_damage(site, ctx, repository_of(ctx, name)))
    except CannotSee as error:
        return Seen(name, where, None, tried, error)


def _damage(site: Site, ctx: Context, repository: Repository) -> Text | None:
    """What is no longer as it was stored. Raises ResticTrouble."""
    objects = objects_of(ctx, repository)
    if objects is None:
        return _by_restic(site, ctx, repository)
    seen = look(site, ctx, repository, objects, proof=bool(ctx.subjects), seconds=_READING)
    if seen.busy:
        raise CannotSee(say("đang có thay đổi trên kho {r}; xem lại sau", "a change is at work on repository {r}; look again "
                            "later", r=repository.at), site=site.id)
    said = [seen.damage.words] if seen.damage else [text for verdict, text in seen.remarks if verdict is Verdict.BROKEN]
    return said[0] if said else _by_restic(site, ctx, repository)


def _by_restic(site: Site, ctx: Context, repository: Repository) -> Text | None:
    """`restic check` without the data: as the proof of a copy, and when the last good one is older than a week.

    `restic copy` ends with 0 where its source has no data for a file (0.14 to 0.19): every object that arrived is whole,
    and the copy does not restore. The file's time says when the last good check was; after a bad one there is no file.
    """
    mark = ctx.home / f"checked-{hashlib.sha256(repository.at.encode()).hexdigest()[:12]}"
    fresh = mark.exists() and 0 <= ctx.now.timestamp() - mark.stat().st_mtime < _CHECKED.total_seconds()
    if fresh and not ctx.subjects:
        return None
    seen = check_structure(ctx, repository)
    if seen.damage:
        mark.unlink(missing_ok=True)
        return _told(repository, holes(site, ctx, repository, seen.damage), seen.damage)
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch(mode=0o600)
    os.utime(mark, (ctx.now.timestamp(),) * 2)
    return None


def _told(repository: Repository, holed: dict[str, list[str]], damage: str) -> Text:
    """Which copies lack which files, and how they go; else restic's last word."""
    last = damage.splitlines()[-1]
    if not any(holed.values()):
        return Text(last, last)
    named = "; ".join(": ".join(one for one in (name, ", ".join(files[:_NAMED])) if one) for name, files in
                      list(holed.items())[:_NAMED])
    if "" in holed:
        return say("có bản sao thiếu dữ liệu của tệp {t}", "copies lack the data of files: {t}", t=named)
    return say("{k} bản sao thiếu dữ liệu của tệp ({t}); bỏ các bản ấy: restic -r {r} forget --prune {i}",
               "{k} copies lack the data of files ({t}); to remove those copies: restic -r {r} forget --prune {i}", k=len(holed),
               t=named, r=quote(repository.at), i=" ".join(holed))


def _place(site: Site, ctx: Context, seen: Seen, newest: dict[str, list[Lot]], proof: bool) -> Finding:
    following = f"gaccong plan backup.copy place={seen.name} --site {site.id}"
    if seen.held is None:
        return _blind(site, ctx, seen)
    if not any(newest.values()):
        return Finding(seen.name, Verdict.UNSEEN, say("chưa có bản sao nào được chứng minh để chép sang {n}",
                                                      "there is no proved copy yet to bring to {n}", n=seen.name),
                       next=f"gaccong plan backup.run set={next(iter(ctx.settings.set))} --site {site.id}")
    waits = {name: _wait(ctx, mine, seen.held.of(name)) for name, mine in newest.items() if mine}
    missing = [name for name, wait in waits.items() if wait and not seen.held.of(name)]
    waiting = max(waits.values())
    lag = max((mine[-1].time - held[-1].time for name, mine in newest.items()
               if mine and (held := seen.held.of(name))), default=timedelta(0))
    measures = {"lag_seconds": max(0.0, lag.total_seconds()), "waiting_seconds": waiting.total_seconds(),
                "copies": float(sum(lot.proved for lot in seen.held.lots))}
    strange = planted(seen.held, clearings(site, ctx))
    facts = {"unknown": [found.id for found in strange], "append_only": _claim(seen),
             "newest": {name: lots[-1].main.id for name in newest if (lots := seen.held.of(name)) and lots[-1].main}}
    longest = timedelta(hours=ctx.threshold("backup.longest_gap_hours", 84))
    called = {"n": seen.name, "h": f"{waiting.total_seconds() / 3600:.0f}", "m": f"{longest.total_seconds() / 3600:.0f}"}
    if seen.tried and seen.where.append_only:
        return Finding(seen.name, Verdict.BROKEN, say(
            "kho {n} khai là chỉ ghi thêm, nhưng máy chủ cho xóa: ai chiếm máy này xóa được mọi bản sao ở đó",
            "place {n} is said to be append-only, but the server lets us delete: whoever takes this machine can delete all",
            n=seen.name), measures, facts, "rest-server --append-only")
    if missing:
        text = say("kho {n}: chưa có bản sao đã chứng minh nào của bộ {s}", "place {n}: no proved copy of set {s}",
                   s=", ".join(missing), **called)
        return Finding(seen.name, Verdict.BROKEN, text, measures, facts, following)
    if seen.damage is not None:
        text = say("kho {n} liệt kê đủ bản sao, nhưng: {vi_}; không chắc lấy lại được. Nếu người quản kho đã tự dọn, "
                   "hoặc sau khi đã bỏ bản hỏng, đã dời kho hỏng đi để chép lại từ đầu: thêm give_up=yes",
                   "place {n} lists the copies, but: {en_}; they may not restore. If its keeper pruned it, or once "
                   "damaged copies were removed, or the repository moved away to copy anew: add give_up=yes", vi_=seen.damage.vi, en_=seen.damage.en, n=seen.name)
        return Finding(seen.name, Verdict.BROKEN, text, measures, facts, following)
    if (proof and waiting) or waiting > 2 * longest:
        text = say("kho {n}: bản mới nhất chưa sang, đã chờ {h} giờ (tối đa {m})",
                   "place {n}: the newest copy has not arrived and waits for {h} hours (at most {m})", **called)
        return Finding(seen.name, Verdict.BROKEN, text, measures, facts, following)
    if waiting > longest or strange:
        text = say("kho {n}: bản mới nhất chờ {h} giờ (tối đa {m}); {u} bản sao mà sổ bằng chứng không biết",
                   "place {n}: the newest copy waits for {h} hours (at most {m}); {u} snapshots unknown to the ledger",
                   u=len(strange), **called)
        if waiting <= longest:
            following = _of_strange(site, ctx, seen, strange)
        return Finding(seen.name, Verdict.AT_RISK, text, measures, facts, following)
    text = (say("kho {n}: bản mới nhất sẽ được chép theo lịch (chờ {h} giờ)",
                "place {n}: the newest copy will be brought by schedule (waits for {h} hours)", **called) if waiting else
            say("kho {n}: đã có bản đã chứng minh mới nhất của mọi bộ", "place {n}: the newest proved copy of every set is there",
                n=seen.name))
    return Finding(seen.name, Verdict.MET, text, measures, facts)


def _of_strange(site: Site, ctx: Context, seen: Seen, strange: list[Snapshot]) -> str:
    """What to do with a snapshot that nobody knows: answer for it; one from the future can only go."""
    future = ahead(strange, ctx)
    named = next((one for one in strange if one not in future), None)
    if named is None:
        return f"restic -r {quote(seen.where.repository)} forget {future[0].id}"
    return f"gaccong plan backup.clear set=repository run={named.id} reason='…' --site {site.id}"


def _wait(ctx: Context, mine: list[Lot], held: list[Lot]) -> timedelta:
    """How long the oldest copy waits that is newer than the newest one there."""
    last = held[-1].time if held else None
    newer = [lot for lot in mine if last is None or lot.time > last]
    return ctx.now - newer[0].time if newer else timedelta(0)


def _claim(seen: Seen) -> str:
    """What is known of append-only: tried, only claimed, not said."""
    if seen.tried is not None:
        return "tried: it would delete" if seen.tried else "tried: deletion is refused"
    return "claimed, not tried" if seen.where.append_only else "not said"


def _blind(site: Site, ctx: Context, seen: Seen) -> Finding:
    """A place that could not be looked at: since when, and when it last could. No copy is said to be lost for that."""
    assert seen.trouble is not None
    since, good = _sight(site, ctx, seen.name)
    last = say("lần xem được gần nhất: {w}", "last good look: {w}", w=_moment(good)) if good else say(
        "chưa lần nào xem được", "it never could be looked at yet")
    mend = Text(*(f"\n  → {words}" if words else "" for words in (seen.trouble.mend.vi, seen.trouble.mend.en)))
    text = say("chưa xem được nơi cất thứ hai {n} từ {w} (chưa biết bản sao ở đó ra sao, không phải là đã mất): {y_vi}; "
               "{l_vi}{m_vi}",
               "second place {n} could not be reached or read since {w} (how its copies are is not known, not that they are "
               "lost): {y_en}; {l_en}{m_en}", n=seen.name, w=_moment(since), y_vi=seen.trouble.what.vi,
               y_en=seen.trouble.what.en, l_vi=last.vi, l_en=last.en, m_vi=mend.vi, m_en=mend.en)
    measures = {"unseen_since_timestamp_seconds": since.timestamp()}
    if good:
        measures["last_good_timestamp_seconds"] = good.timestamp()
    return Finding(seen.name, Verdict.UNSEEN, text, measures, {"append_only": seen.where.append_only},
                   f"gaccong look backup.offsite --site {site.id}")


def _sight(site: Site, ctx: Context, name: str) -> tuple[datetime, datetime | None]:
    """(not seen since, last good look) of a place. The look before hands both on, as long as nothing is seen."""
    before = next((state for state in ctx.view.states(site.id, "backup.offsite") if state.subject == name), None)
    if before is None:
        return ctx.now, None
    if before.verdict is not Verdict.UNSEEN:
        return ctx.now, before.seen_at
    since = before.measures.get("unseen_since_timestamp_seconds", ctx.now.timestamp())
    good = before.measures.get("last_good_timestamp_seconds")
    return datetime.fromtimestamp(since, UTC), None if good is None else datetime.fromtimestamp(good, UTC)


def _moment(when: datetime) -> str:
    return f"{local(when):%d/%m/%Y %H:%M}"


def _three(site: Site, ctx: Context, seen: list[Seen]) -> Finding:
    """Three copies with the site itself, two places, one elsewhere, and one from which nothing can be deleted."""
    good = [one for one in seen if one.held is not None and one.damage is None and any(lot.proved for lot in one.held.lots)]
    unread = [one for one in seen if one.held is None]
    elsewhere, firm = [one.name for one in good if one.where.elsewhere], [one.name for one in good if _firm(one)]
    measures = {"places": float(len(good)), "elsewhere": float(len(elsewhere)), "append_only": float(len(firm)),
                "configured": float(len(seen))}
    facts = {"places": [one.name for one in good], "elsewhere": elsewhere, "unread": [one.name for one in unread],
             "append_only": {one.name: _claim(one) for one in seen}}
    lacks = list(_lacks(seen, good, unread))
    if not lacks and not _short(good):
        text = say("3-2-1 đủ: {p} nơi có bản sao, ngoài máy này: {e}; không xóa được: {f}{c}",
                   "3-2-1 holds: copies at {p} places, off this machine: {e}; nothing can be deleted at: {f}{d}",
                   p=len(good), e=", ".join(elsewhere), f=", ".join(firm), c=_only_claimed(good, firm).vi,
                   d=_only_claimed(good, firm).en)
        return Finding(THREE, Verdict.MET, text, measures, facts)
    if unread and len(good) + len(unread) >= 2:
        verdict = Verdict.UNSEEN
    else:
        verdict = Verdict.BROKEN if len(good) < ctx.threshold("backup.places", 0) else Verdict.AT_RISK
    if unread:
        names = ", ".join(one.name for one in unread)
        lacks.insert(0, say("chưa xem được nơi {n}, nên chưa tính những gì nằm ở đó", "place {n} could not be reached or read, so "
                            "what it holds is not counted", n=names))
    vi, en = "; ".join(one.vi for one in lacks), "; ".join(one.en for one in lacks)
    text = say("chưa kết luận được 3-2-1: {vi_}", "3-2-1 cannot be told: {en_}", vi_=vi, en_=en)
    if verdict is not Verdict.UNSEEN:
        text = say("chưa đủ 3-2-1: {vi_}", "3-2-1 does not hold: {en_}", vi_=vi, en_=en)
    return Finding(THREE, verdict, text, measures, facts, _towards(site, ctx, seen, good, unread))


def _towards(site: Site, ctx: Context, seen: list[Seen], good: list[Seen], unread: list[Seen]) -> str:
    """The command that brings 3-2-1 nearer: a first copy, then a look, a copy elsewhere, a further place."""
    if not good and not unread:
        return f"gaccong plan backup.run set={next(iter(ctx.settings.set))} --site {site.id}"
    if unread:
        return f"gaccong look backup.offsite --site {site.id}"
    empty = next((one.name for one in seen if one not in good and one.name != FIRST), "")
    if empty:
        return f"gaccong plan backup.copy place={empty} --site {site.id}"
    return f"gaccong config schema  # [site.{site.id}.backup.second.…]"


def _firm(seen: Seen) -> bool:
    """Whether nothing can be deleted from there, as tried, or as claimed where it cannot be tried."""
    return seen.tried is False or (seen.where.append_only and seen.tried is None)


def _short(good: list[Seen]) -> bool:
    """Whether these places alone do not make 3-2-1."""
    return len(good) < 2 or not any(one.where.elsewhere for one in good) or not any(map(_firm, good))


def _lacks(seen: list[Seen], good: list[Seen], unread: list[Seen]) -> Iterator[Text]:
    """What is known to be missing, even if all that could not be looked at were in order."""
    perhaps = [*good, *unread]
    if not perhaps:
        yield say("chưa nơi nào có bản sao đã chứng minh", "no place holds a proved copy yet")
    if len(seen) < 2:
        yield say("chưa khai nơi cất thứ hai, chỉ 1 nơi (cần 2)", "no second place is configured, only 1 place (2 are needed)")
    elif perhaps:
        for one in seen:
            if one not in perhaps and one.damage is None:
                yield say("nơi {n} chưa có bản sao đã chứng minh nào", "place {n} holds no proved copy", n=one.name)
            elif one not in perhaps:
                yield say("bản sao ở nơi {n} đã hỏng", "the copies at place {n} are damaged", n=one.name)
    if perhaps and not any(one.where.elsewhere for one in perhaps):
        yield say("không có bản nào ở ngoài máy này", "no copy is off this machine")
    if perhaps and not any(map(_firm, perhaps)):
        yield say("không có kho nào chỉ ghi thêm: ai chiếm máy này xóa được mọi bản sao",
                  "no place is append-only: whoever takes this machine can delete every copy")


def _only_claimed(seen: list[Seen], firm: list[str]) -> Text:
    claimed = [one.name for one in seen if one.name in firm and one.tried is None]
    if not claimed:
        return Text("", "")
    return say(" (chỉ khai, chưa thử được: {n})", " (claimed, could not be tried: {n})", n=", ".join(claimed))
