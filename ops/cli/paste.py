"""Our own commands inside a text, as they can be pasted where they were printed.

Duties, refusals and errors say `gaccong plan backup.heal --site x`: they do not know how the program was called, nor with
which configuration. Only where something is printed is that known, so only there it is put in.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_BARE = r"(?:run|doctor|status|catalog|serve|watch|init)(?=\s*(?:$|[\n.,;:)`'\"”→–—]|--|\(| #))"
"""Verbs that may stand alone: a command only where no word of a sentence follows (`gaccong run does it` is prose)."""
_NAMED = r"(?:plan|look|apply|attest|report)(?= (?:[\w-]+[._-][\w.-]|[0-9a-f]{16}|…|[^\W\d_a-zà-ỹ]{3}))"
"""Verbs before the name of a duty, a clause or a report, a digest, a placeholder (CHANGE, THAY-ĐỔI, …)."""
_GROUPS = {
    "accounts": ("census", "leavers", "revoke", "review", "leaked"),
    "backup": ("list", "verify", "restore", "drill"),
    "config": ("schema", "check"),
    "export": ("prometheus", "textfile"),
    "ledger": ("verify", "export", "checkpoint"),
    "maintenance": ("add", "list", "cancel"),
    "notify": ("test", "ack", "status", "send"),
    "policy": ("list", "show", "check"),
    "schedule": ("install", "show", "remove"),
}
_GROUPED = "|".join(rf"{verb} (?:{'|'.join(names)})\b" for verb, names in _GROUPS.items())
_COMMAND = re.compile(
    rf"(?<![\w./-])gaccong(?P<given> --config(?:=| )(?:'[^']*'|\S+))?(?= (?P<verb>{_BARE}|{_NAMED}|{_GROUPED}))"
)
_END = re.compile(r"[;\n`”→]|\bgaccong ")
_OWN = re.compile(r"(?:^|\s)--config[ =]")


def program() -> str:
    """How the program is called here: by name where the shell finds it, else by the path that it was started by."""
    called = Path(sys.argv[0])
    if called.name != "gaccong" or shutil.which("gaccong") is not None:
        return "gaccong"
    near = os.path.relpath(called)
    return shlex.quote(near if len(near) < len(str(called)) else str(called))


def configured(words: Sequence[str]) -> str:
    """The value of --config among words that `ops.cli.hoist` has ordered, or ""."""
    for number, one in enumerate(words):
        if one == "--":
            break
        if one == "--config" and number + 1 < len(words):
            return words[number + 1]
        if one.startswith("--config="):
            return one.partition("=")[2]
    return ""


def pasted(text: str, config: str = "") -> str:
    """The text with `config` in every command of ours that names none. Prose that mentions gaccong is left alone.

    So is what looks like a command within the quotes of one (a file that is called `x; gaccong run`): more quotes inside
    would end them, and the shell would see what they hid.
    """
    ended = 0

    def put(found: re.Match[str]) -> str:
        nonlocal ended
        before, ended = text[ended : found.start()], found.end()
        if before.rpartition("\n")[2].count("'") % 2 and found.start() > len(before):
            return found[0]
        given = found["given"] or ""
        after = text[found.end() :]
        end = _END.search(after)
        said = given or _OWN.search(after[: end.start() if end else None])
        # `init` is how a configuration comes to be; it takes a folder
        wanted = bool(config) and not said and not found["verb"].startswith("init")
        return program() + (f" --config {shlex.quote(config)}" if wanted else given)

    return _COMMAND.sub(put, text) if "gaccong" in text else text
