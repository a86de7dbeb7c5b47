"""Brings the site's copies from the first place to another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from backup import inventory
from backup.carry import SOURCE
from backup.found import mark_of
from backup.objects import CONFIG
from backup.places import FIRST, Where
from backup.restic import Repository, repository_of, version
from backup.trouble import explain, trouble_of
from ops import Context, Occasion, Plan, PlanRefused, Proof, Result, Site, Step, Text, Verdict, change, python, say

_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


def rounds(site: Site) -> Iterator[Occasion]:
    """One occasion for each further place, by its own schedule."""
    settings = site.settings.get("backup")
    if settings is not None:
        for name, where in sorted(settings.second.items()):
            yield Occasion({"place": name}, where.schedule)


def blamed(step: Step, result: Result) -> Text | None:
    """What a failed step means, told of the repository that is to blame: the one copied from, or the one copied to."""
    words = step.argv
    if "backup.carry" not in words or SOURCE not in result.trouble:
        return explain(step, result)
    at = words[words.index("--from") + 1] if "--from" in words else "“first”"
    trouble = trouble_of(result, at)
    mend = say("chữa kho gốc trước: gaccong plan backup.heal read=all --site {s}", "heal the first repository: gaccong plan "
               "backup.heal read=all --site {s}", s=words[words.index("--site") + 1])
    mend = mend if trouble.kind == "damaged" else trouble.mend
    return say("kho gốc (nơi chép từ đó): {vi}. → {mend_vi}", "the first repository, which is copied from: {en}. → {mend_en}",
               vi=_brief(trouble.what.vi), en=_brief(trouble.what.en), mend_vi=mend.vi, mend_en=mend.en)


def _brief(said: str) -> str:
    """Without our mark, and without the trace of calls that restic 0.14 prints with damage."""
    lines = [line for line in said.replace(SOURCE, "").splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith("\t") and "github.com/" not in line]
    return " ".join(line.strip() for line in kept[:4])


@change("backup.copy", clauses=["TN-10.1.d.proc"], occasions=rounds, explain=blamed)
def copy(site: Site, ctx: Context, *, place: str, give_up: str = "no") -> Plan:
    """Brings the site's copies from the first place to another one, and proves that the newest proved ones arrived.

    The plan is the same every night: what is missing there is found by the step. give_up: `yes` accepts that objects of the
    place are gone (its keeper pruned it), if `restic check` finds what is left whole. Raises PlanRefused: unknown place, two
    places that restic cannot reach at once, a first repository that is damaged.
    """
    if place not in ctx.settings.second:
        known = ", ".join(sorted(ctx.settings.second)) or "–"
        raise PlanRefused(say("không có kho thứ hai tên {n}", "there is no further place {n}", n=place),
                          say("các kho: {k}; thêm bằng [site.….backup.second.TÊN]",
                              "places: {k}; add one with [site.….backup.second.NAME]", k=known), site=site.id)
    _refuse_damaged(site, ctx)
    first, second = repository_of(ctx), repository_of(ctx, place)
    _refuse_unreachable(site, ctx.settings.places(), place, first, second)
    version(ctx, second.program)
    title = say("chép các bản sao của trang từ {f} sang {r}", "bring the site's copies from {f} to {r}", f=first.at,
                r=second.at)
    checked: list[Step] = []
    accepted: tuple[str, ...] = ()
    if give_up == "yes":
        why = say("kiểm tra kho còn đủ cho những bản đang có", "check that the place has all that its copies need")
        checked, accepted = [second.step(why, "check")], ("all", CONFIG)
    steps = (_step(site, ctx, first, second), *checked, *inventory.step(ctx.home, second, give_up=accepted))
    return Plan(title, steps, (Proof("backup.offsite", (place,)),))


def _refuse_damaged(site: Site, ctx: Context) -> None:
    """`restic copy` ends with 0 where its source lacks the data of a file (0.14 to 0.19): damage would be copied over."""
    for state in ctx.view.states(site.id, "backup.integrity"):
        if state.verdict is Verdict.BROKEN:
            raise PlanRefused(
                say("không chép: kho gốc đang hỏng theo backup.integrity: {vi}", "not copied: the first repository is broken by "
                    "backup.integrity: {en}", vi=state.detail.vi, en=state.detail.en),
                say("chữa trước: gaccong plan backup.heal --site {s}; rồi gaccong look backup.integrity --site {s}",
                    "heal it first: gaccong plan backup.heal --site {s}; then gaccong look backup.integrity --site {s}",
                    s=site.id), site=site.id)


def _refuse_unreachable(site: Site, places: dict[str, Where], place: str, first: Repository, second: Repository) -> None:
    """One run of restic has one SSH command and one S3 login for both of its repositories."""
    two_hosts = bool(first.hosts and second.hosts) and first.hosts != second.hosts
    kinds = {places[FIRST].kind, places[place].kind}
    if two_hosts or (kinds == {"s3"} and first.login != second.login):
        raise PlanRefused(
            say("restic không chép thẳng giữa hai kho {k} có cách đăng nhập khác nhau",
                "restic cannot copy between two {k} places with different logins", k="/".join(sorted(kinds))),
            say("dùng rest-server (rest:https://…) cho kho {n}, hoặc cùng một cách đăng nhập",
                "use a rest-server (rest:https://…) for place {n}, or the same login", n=place), site=site.id)


def _step(site: Site, ctx: Context, first: Repository, second: Repository) -> Step:
    both = {first.ca, second.ca}
    # with one authority named, restic trusts no other: the first place's must be named beside it
    more = [first.ca or _AUTHORITIES] if both != {""} and len(both) == 2 and first.at.startswith(("rest:", "s3:")) else []
    more += [_AUTHORITIES] if not second.ca and first.ca and second.at.startswith(("rest:", "s3:")) else []
    joined = replace(second, hosts=second.hosts or first.hosts)
    argv = (*joined.argv(), *(part for path in dict.fromkeys(more) for part in ("--cacert", path)))
    secrets = {**_as_source(first), **joined.secrets}
    source = () if "RESTIC_FROM_REPOSITORY_FILE" in secrets else ("--from", first.at)
    ca = ("--ca", second.ca) if second.ca else ()
    words = python("backup.carry", "--site", site.id, "--at", second.at, "--mark", str(mark_of(ctx.home, second.at)),
                   *source, *ca, "--stall", "600", "--", *argv)
    why = say("chép những bản còn thiếu bằng restic; đọc lại danh sách để chắc đã sang đủ",
              "copy what is missing with restic; read the list back to be sure that all arrived")
    return Step(why, words, env=second.env, secrets=secrets, keep=True, timeout=7 * 3600.0)


def _as_source(first: Repository) -> dict[str, str]:
    swapped = {"RESTIC_PASSWORD_FILE": "RESTIC_FROM_PASSWORD_FILE", "RESTIC_REPOSITORY_FILE": "RESTIC_FROM_REPOSITORY_FILE"}
    return {swapped.get(name, name): reference for name, reference in first.secrets.items()}
