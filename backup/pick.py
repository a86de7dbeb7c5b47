"""Which copy and which path a person means: "2026-11-20 14:30", "4f1c2a9b", "/srv/www/site/index.php"."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from backup.alarm import Alarm
from backup.cleared import clearings
from backup.copies import HEAL, Copy, Key, copies, standing
from backup.manifest import read_name, shown
from backup.restic import Repository, Snapshot
from backup.stage import MANIFEST
from backup.suspects import suspects
from ops import LOCAL, Context, PlanRefused, Site, Text, Verdict, local, nfc, say

Pair = tuple[Copy, Snapshot]
_FORMS = (("%Y-%m-%d %H:%M:%S", timedelta()), ("%Y-%m-%d %H:%M", timedelta(minutes=1)),
          ("%Y-%m-%d", timedelta(days=1)), ("%d/%m/%Y %H:%M", timedelta(minutes=1)), ("%d/%m/%Y", timedelta(days=1)))
ID = re.compile(r"[0-9a-f]{8,64}")
"""How a snapshot is named; restic 0.14 shows 8 digits, newer ones take any beginning."""
_NEAR = 4


def until(at: str) -> datetime | None:
    """The end of the moment that is written on the Vietnamese clock: a day ends at midnight. None: it is no time."""
    for form, length in _FORMS:
        try:
            return datetime.strptime(" ".join(at.replace("T", " ").split()), form).replace(tzinfo=LOCAL) + length
        except ValueError:
            continue
    return None


def when(time: datetime) -> str:
    """As people read and `--at` takes it: 2026-11-20 14:30."""
    return f"{local(time):%Y-%m-%d %H:%M}"


def doubted(site: Site, ctx: Context) -> dict[Key, Alarm]:
    """Key of each suspicious copy -> the open alarm behind it. From the ledger alone: the repository is not opened.

    Suspicious is the run of an open alarm, and every later one of its set: the night after an encryption changes nothing,
    so it rings no more, and holds the same ciphertext. An alarm that lacked a figure falls away where a look at
    `backup.anomaly` since then, which takes a sample of the files, found the set in order.
    """
    noted = {line.id: line.time for duty in ("backup.run", HEAL)
             for line in ctx.view.evidence(site.id, kind="outcome", duty=duty)}
    quiet = {state.subject: state.seen_at for state in ctx.view.states(site.id, "backup.anomaly")
             if state.verdict is Verdict.MET}
    found: dict[Key, Alarm] = {}
    for name, mine in suspects(site, ctx, clearings(site, ctx)).items():
        rung = {alarm.evidence: alarm for alarm in reversed(mine.open)
                if alarm.certain or name not in quiet or quiet[name] <= noted[alarm.evidence]}
        first: Alarm | None = None
        for run in mine.runs:  # oldest first
            first = first or rung.get(run.evidence)
            if first is not None:
                found[run.evidence, name] = rung.get(run.evidence, first)
    return found


def chosen(site: Site, pairs: Sequence[Pair], set_name: str, at: str, doubts: Mapping[Key, Alarm]) -> tuple[Pair, Text]:
    """The copy that `at` means (see `picked`), never a suspicious one unless it is asked for; and what to say of that.

    The text goes behind the plan's title; "" where there is nothing to tell. Raises PlanRefused, also where every proved
    copy is suspicious.
    """
    if at or not pairs:
        pair = picked(site, pairs, set_name, at)
        return pair, suspicion(pair[0], pair[1], doubts)
    newest, alarm = pairs[-1], doubts.get(pairs[-1][0].key)
    if alarm is None:
        return newest, Text("", "")
    calm = [pair for pair in pairs if pair[0].key not in doubts]
    if not calm:
        raise PlanRefused(
            say("mọi bản sao đã chứng minh của bộ {n} đều đáng ngờ ({e}: {vi})",
                "every proved copy of set {n} is suspicious ({e}: {en})", n=set_name, e=alarm.evidence, vi=alarm.says.vi,
                en=alarm.says.en),
            say("vẫn muốn dùng thì chỉ rõ bản nào bằng --at: {k}", "to use one all the same, name it with --at: {k}",
                k=_named(pairs[-_NEAR:])), site=site.id)
    return calm[-1], say("; bỏ qua bản mới hơn {i} ({t}) vì đáng ngờ ({e}: {vi})",
                         "; the newer copy {i} ({t}) is passed over as suspicious ({e}: {en})", i=newest[1].id[:8],
                         t=when(newest[1].time), e=alarm.evidence, vi=alarm.says.vi, en=alarm.says.en)


def suspicion(copy: Copy | None, found: Snapshot, doubts: Mapping[Key, Alarm]) -> Text:
    """What a title says of a copy that a person asked for by name or time; "" where nothing speaks against it."""
    if copy is None:
        return say("; CHÚ Ý: bản sao {i} chưa được chứng minh", "; NOTE: copy {i} is not proved", i=found.id[:8])
    alarm = doubts.get(copy.key)
    if alarm is None:
        return Text("", "")
    return say("; CHÚ Ý: bản sao {i} đáng ngờ ({e}: {vi})", "; NOTE: copy {i} is suspicious ({e}: {en})", i=found.id[:8],
               e=alarm.evidence, vi=alarm.says.vi, en=alarm.says.en)


def standing_copies(site: Site, ctx: Context, repository: Repository, set_name: str, at: str = "") -> list[Pair]:
    """The proved copies of a set that the repository still lists, oldest first. Raises ResticTrouble.

    Raises PlanRefused where `at` is the id of a snapshot that is there, and is no proved copy of this set: with the reason.
    """
    listed = repository.snapshots(ctx, "gaccong", f"site={site.id}")
    known = [copy for copy in copies(site, ctx) if copy.set == set_name]
    pairs = standing([copy for copy in known if copy.proved],
                     [one for one in listed if not one.stream and one.tag("set") == set_name])
    named = [one for one in listed if one.id.startswith(at)] if ID.fullmatch(at) and until(at) is None else []
    if len(named) == 1 and not any(one is named[0] for _, one in pairs):
        _refuse_unproved(site, known, pairs, set_name, named[0])
    return pairs


def _refuse_unproved(site: Site, known: Sequence[Copy], pairs: Sequence[Pair], set_name: str, found: Snapshot) -> NoReturn:
    run = next((copy.evidence for copy in known if copy.is_(found)), "")
    if found.tag("set") != set_name:
        raise PlanRefused(
            say("bản sao {i} thuộc bộ {n}", "copy {i} belongs to set {n}", i=found.id[:8], n=found.tag("set")),
            say("thêm --set {n}", "add --set {n}", n=found.tag("set")), site=site.id)
    why = (say("bản kết xuất {n}, không phải bản chính của bộ", "the dump {n}, not the set's main snapshot", n=found.stream)
           if found.stream else
           say("lần chạy {e} không chứng minh được", "run {e} was not proved", e=run) if run else
           say("sổ bằng chứng không ghi lần chạy nào làm ra nó", "the ledger knows of no run that made it"))
    raise PlanRefused(
        say("bản sao {i} có trong kho nhưng chưa được chứng minh ({vi})", "copy {i} is in the repository, but not proved ({en})",
            i=found.id[:8], vi=why.vi, en=why.en),
        say("chọn bản đã chứng minh: {k}; hoặc tự lấy ra, không có gì bảo đảm: restic restore {i} --target THƯ-MỤC",
            "choose a proved one: {k}; or fetch it by hand, nothing vouched for: restic restore {i} --target FOLDER",
            k=_named(pairs[-_NEAR:]) or "–", i=found.id[:8]), site=site.id)


def picked(site: Site, pairs: Sequence[Pair], set_name: str, at: str) -> Pair:
    """The copy that `at` means: "" the newest proved one, an id that very one, a time the newest one not after it.

    Raises PlanRefused with the nearest ones.
    """
    if not pairs:
        raise PlanRefused(
            say("chưa có bản sao đã chứng minh của bộ {n}", "there is no proved copy of set {n}", n=set_name),
            say("gaccong backup list --site {s}", "gaccong backup list --site {s}", s=site.id), site=site.id)
    if not at:
        return pairs[-1]
    end = until(at)
    if end is not None:
        fit = [pair for pair in pairs if pair[1].time < end or (pair[1].time == end and at.count(":") == 2)]
        if fit:
            return fit[-1]
        raise PlanRefused(
            say("bộ {n} không có bản sao đã chứng minh nào từ {t} trở về trước", "set {n} has no proved copy from {t} or before",
                n=set_name, t=at),
            say("các bản gần nhất sau đó: {k}", "the nearest ones after it: {k}", k=_named(pairs[:_NEAR])), site=site.id)
    hits = [pair for pair in pairs if pair[1].id.startswith(at)] if ID.fullmatch(at) else []
    if len(hits) == 1:
        return hits[0]
    raise PlanRefused(
        say("bộ {n} không có bản sao đã chứng minh {t}", "set {n} has no proved copy {t}", n=set_name, t=at),
        say("viết mã bản sao (8 chữ số trở lên) hoặc giờ Việt Nam (2026-11-20 14:30); mới nhất: {k}",
            "write a copy's id (8 digits or more) or a Vietnamese time (2026-11-20 14:30); the newest: {k}",
            k=_named(pairs[-_NEAR:])), site=site.id)


def _named(pairs: Sequence[Pair]) -> str:
    return ", ".join(f"{found.id[:8]} ({when(found.time)})" for _, found in pairs)


def path_in(site: Site, ctx: Context, repository: Repository, snapshot: Snapshot, set_name: str, asked: str) -> str:
    """The path as the copy has it (its bytes may be composed otherwise). Raises PlanRefused with the nearest names."""
    wanted = nfc(asked).rstrip("/") or "/"
    exact: list[bytes] = []
    names: dict[str, str] = {}  # last part -> one path
    inside = False

    def line(text: str) -> None:
        nonlocal inside
        entry = json.loads(text)
        if "kind" not in entry:
            return
        path = read_name(entry)
        said = nfc(os.fsdecode(path))
        if said == wanted:
            exact.append(path)
        inside = inside or said.startswith(wanted + "/")
        if len(names) < 200_000:
            names.setdefault(said.rpartition("/")[2], shown(path))

    repository.dump(ctx, snapshot.id, f"{snapshot.stage(set_name)}/{MANIFEST}", line)
    if exact:
        return os.fsdecode(exact[0])
    if inside:
        return wanted
    near = difflib.get_close_matches(wanted.rpartition("/")[2], names, n=_NEAR, cutoff=0.6)
    raise PlanRefused(
        say("bản sao {i} không có {p}", "copy {i} does not hold {p}", i=snapshot.id[:8], p=asked),
        say("gần giống: {k}", "similar: {k}", k=", ".join(names[name] for name in near)) if near else
        say("xem: restic ls {i}", "see: restic ls {i}", i=snapshot.id[:8]), site=site.id)
