"""What to do next, so that it can be pasted: whole commands, lines for the configuration, and apart from them plain advice."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.model import Site, Verdict, say

if TYPE_CHECKING:
    from ops.cli.session import Session
    from ops.duty import Duty
    from ops.engine import Row

SCHEMA = "gaccong config schema"
_HEADER = re.compile(r"\[(site\.[^\]]+)\](?:: (\w+ = \S.*))?")
_PLAIN = re.compile(r"gaccong plan ([\w.]+) --site (\S+)")
_TOOLS = frozenset(
    [
        "gaccong",
        "${EDITOR:-nano}",
        "dig",
        "curl",
        "delv",
        "openssl",
        "pgrep",
        "systemctl",
        "timedatectl",
        "apt-get",
        "nano",
        "ps",
        "du",
        "restic",
        "journalctl",
        "ss",
    ]
)
_FEW = 2
"""So many duties of a merged row are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Told:
    """Rows that say the same, as one. duty, subject, evidence: cells."""

    row: Row
    duty: str
    subject: str
    evidence: str


def merged(rows: Sequence[Row], lang: str) -> list[Told]:
    """Rows that are not met, of one site and family of duties, with the same sentence become one, in the place of the first."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        alike = row.verdict is not Verdict.MET and not row.next.startswith("gaccong apply ")
        own = () if alike else (row.duty, row.subject, id(row))
        key = (row.site, row.duty.partition(".")[0], row.verdict, row.detail.in_(lang), *own)
        groups.setdefault(key, []).append(row)
    return [_one(group) for group in groups.values()]


def _one(group: Sequence[Row]) -> Told:
    first = group[0]
    duties = list(dict.fromkeys(row.duty for row in group))
    family = first.duty.partition(".")[0]
    named = ", ".join([duties[0], *(one.removeprefix(f"{family}.") for one in duties[1:_FEW])])
    more = f" +{len(duties) - _FEW}" if len(duties) > _FEW else ""
    evidence = first.evidence + (f" (+{len(group) - 1})" if len(group) > 1 and first.evidence else "")
    return Told(first, named + more, ", ".join(dict.fromkeys(row.subject for row in group)), evidence)


def wanted(site: Site | None, duties: Mapping[str, Duty], duty: str, sentence: str, command: str) -> list[str]:
    """The commands behind the one that a finding offers. sentence: the finding's detail, in the reader's language.

    To look again is no help where a setting is missing: the mend that the sentence tells is, when it is a command. A plan that
    lacks its arguments stands for one of each of its occasions. A missing section is named by what the sentence says.
    """
    if site is not None and command == f"gaccong look {duty} --site {site.id}" and "\n  → " in sentence:
        mend = sentence.rpartition("\n  → ")[2].strip()
        return [mend] if mend.startswith("gaccong ") and "\n" not in mend else []
    if command == SCHEMA and (named := _HEADER.search(sentence)):
        return [f"{SCHEMA}  # {named[0]}"]
    plain = _PLAIN.fullmatch(command)
    if plain and site is not None and (plans := planned(site, duties, plain[1])):
        return plans
    return [command] if command else []


def planned(site: Site, duties: Mapping[str, Duty], name: str) -> list[str]:
    """`gaccong plan …` for every occasion of a change with a schedule."""
    occasions = getattr(duties.get(name), "occasions", None)
    if occasions is None:
        return []
    return [
        shlex.join(["gaccong", "plan", name, *(f"{key}={value}" for key, value in one.args.items()), "--site", site.id])
        for one in occasions(site)
    ]


def first_things(session: Session, rows: Sequence[Row]) -> set[str]:
    """Prints what waits for a person before anything else; gives the commands that need not be told again."""
    waiting = [row for row in rows if row.verdict is Verdict.UNSEEN and row.next.startswith("gaccong apply ")]
    if not waiting:
        return set()
    session.say(
        say(
            "Việc đầu tiên: đọc kế hoạch rồi duyệt (thay HỌ-TÊN bằng họ tên người duyệt, trong dấu nháy):",
            "First of all: read the plan, then approve it (put the full name of who approves for NAME, in quotes):",
        )
    )
    done: set[str] = set()
    for row in waiting:
        args = [one for one in row.subject.split() if "=" in one]
        plan = shlex.join(["gaccong", "plan", row.duty, *args, "--site", row.site])
        for command in (plan, row.next):
            session.say(say("  {c}", "  {e}", c=command, e=command.replace("HỌ-TÊN", "NAME")))
        done |= {plan, row.next}
    session.say(say("", ""))
    return done


def show(session: Session, commands: Iterable[str]) -> None:
    """Commands, each whole on a line of its own; lines for the configuration; advice that is no command."""
    run: list[str] = []
    sections: dict[str, list[str]] = {}
    advice: list[str] = []
    for one in dict.fromkeys(commands):
        header = _HEADER.search(one) if one.startswith(SCHEMA) else None
        if header:
            lines = sections.setdefault(header[1], [])
            lines += [header[2]] if header[2] else []
        elif one:
            (run if _command(one) else advice).append(one)
    if run:
        session.say(say("\nlệnh kế tiếp:", "\nnext:"))
        for one in run:
            session.emit(f"  {one}")
    if sections:
        session.say(
            say(
                "\ndòng cần thêm vào tệp của trang (sửa cho đúng; rồi: gaccong config check):",
                "\nlines to add to the site's file (make them right; then: gaccong config check):",
            )
        )
        for name, lines in sections.items():
            for line in lines and [f"[{name}]", *lines] or template(name):
                session.emit(f"  {line}")
    if advice:
        session.say(say("\nviệc cần làm (không phải lệnh):", "\nto do (no command):"))
        for one in advice:
            session.emit(f"  {one}")


def _command(text: str) -> bool:
    """Whether a shell would know what to do with it."""
    first = text.split(maxsplit=1)[0]
    return first in _TOOLS or (first.isascii() and text.isascii() and shutil.which(first) is not None)


def template(name: str) -> list[str]:
    """The lines of a section as `gaccong init` writes them (also those that stand there as comments); else its head alone."""
    site = name.split(".")[1]
    wanted_ = name.partition("…")[0]
    text = (Path(__file__).parent / "templates" / "site.toml").read_text(encoding="utf-8")
    text = text.format(site=site, name="…", policy="…", url="…", files="/var/www/html", repository="/srv/backup/restic")
    found: list[str] = []
    taken = False
    for line in text.split("\n"):
        bare = line.removeprefix("# ")
        if bare.lstrip("[").startswith("site.") and bare.startswith("["):
            head = bare.lstrip("[").partition("]")[0]
            inside = head == wanted_ or head.startswith(wanted_ if wanted_.endswith(".") else f"{wanted_}.")
            # a second place is only written where it is asked for
            taken = inside and (".second." in wanted_ or ".second." not in head)
        taken = taken and bool(line)
        if taken:
            found.append(bare if ".second." in wanted_ else line)
    return found or [f"[{name}]"]
